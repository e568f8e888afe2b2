"""The intervals of door, streams, kernels and proxies: that they fit each other."""

import re
import time

from harness.paths import ROOT

from jupyter_kfp_mt import intervals
from jupyter_kfp_mt.connection.event_reader import SHORTEST_PAUSE
from jupyter_kfp_mt.extension import upstream
from jupyter_kfp_mt.intervals import (
    CONNECT_SECONDS,
    DOOR_SECONDS,
    KEEP_ALIVE_SECONDS,
    LIFE_SECONDS,
    LINGER_SECONDS,
    PATIENCE_SECONDS,
    PROXY_SECONDS,
    READ_SECONDS,
    SILENCE_SECONDS,
)


def test_a_sign_of_life_may_be_lost_and_no_proxy_ends_the_stream():
    assert 2 * KEEP_ALIVE_SECONDS < PROXY_SECONDS


def test_a_listener_waits_longer_than_for_two_signs_of_life():
    assert SILENCE_SECONDS > 2 * KEEP_ALIVE_SECONDS


def test_a_stream_that_fell_silent_is_tried_again_more_than_once():
    assert PATIENCE_SECONDS > 2 * (SILENCE_SECONDS + CONNECT_SECONDS)


def test_the_door_answers_itself_when_kfp_does_not_before_its_asker_gives_up():
    assert DOOR_SECONDS > 2 * (CONNECT_SECONDS + READ_SECONDS)


def test_kernels_wait_for_a_status_until_the_door_has_looked_at_kfp():
    looked = intervals.STATUS_SECONDS + intervals.LOOK_SECONDS
    assert looked < intervals.ASK_STATUS_SECONDS < intervals.READY_SECONDS


def test_the_door_looks_for_longer_than_kfp_is_given_to_answer():
    assert intervals.LOOK_SECONDS > CONNECT_SECONDS + intervals.HEALTH_SECONDS


def test_an_upload_is_read_before_its_sender_gives_up():
    assert intervals.UPLOAD_READ_SECONDS < DOOR_SECONDS


def test_a_program_has_printed_a_secret_before_its_asker_gives_up():
    assert intervals.PROGRAM_SECONDS + CONNECT_SECONDS + READ_SECONDS < DOOR_SECONDS


def test_one_step_of_a_login_fits_into_a_request():
    assert sum(intervals.LOGIN_SECONDS) < READ_SECONDS


def test_no_source_of_namespaces_is_waited_for_longer_than_for_all():
    assert max(intervals.KFAM_SECONDS, intervals.TRY_SECONDS) <= intervals.SOURCE_SECONDS


def test_the_doctor_has_time_for_a_decision_and_two_probes_in_a_row():
    probe = max(intervals.PROBE_CONNECT_SECONDS, intervals.PROBE_ANSWER_SECONDS)
    assert intervals.DECIDE_SECONDS + 2 * probe <= intervals.EXAMINE_SECONDS


def test_kubernetes_gives_up_before_the_doctor_does():
    kubernetes = intervals.KUBERNETES_CONNECT_SECONDS + intervals.KUBERNETES_READ_SECONDS
    assert kubernetes < intervals.EXAMINE_SECONDS


def test_a_stream_lives_longer_than_it_takes_to_find_out_that_it_is_dead():
    assert LIFE_SECONDS > PATIENCE_SECONDS


def test_who_comes_back_at_the_end_of_a_stream_finds_what_it_missed():
    assert LINGER_SECONDS > 2 * SHORTEST_PAUSE + 2 * CONNECT_SECONDS


def test_a_watch_and_its_retries_fit_between_the_polls_that_stand_in_for_it():
    assert intervals.WATCH_RETRY_SECONDS[1] < intervals.POLL_REPORTED_SECONDS[0]
    assert intervals.WATCH_SECONDS <= intervals.POLL_REPORTED_SECONDS[1]


def test_the_door_polls_again_before_who_waits_gives_up():
    assert intervals.POLL_RETRY_SOON_SECONDS < PATIENCE_SECONDS


def test_streams_that_began_together_end_apart():
    ends = {round(intervals.end_of_life() - time.monotonic()) for _ in range(50)}
    assert len(ends) > 10
    assert min(ends) >= LIFE_SECONDS and max(ends) <= 2 * LIFE_SECONDS


def browsers():
    """Return the intervals of the sidebar, in seconds."""
    text = (ROOT / "labextension/src/wire/intervals.ts").read_text()
    found = re.findall(r"const (\w+) = ([\d_]+);", text)
    return {name: int(milliseconds) / 1000 for name, milliseconds in found}


def test_the_sidebar_takes_a_stream_for_dead_when_a_kernel_does():
    assert browsers()["SILENCE"] == SILENCE_SECONDS


def test_the_sidebar_waits_until_the_door_has_said_what_came_of_a_question_to_kfp():
    assert browsers()["KFP_TIMEOUT"] > DOOR_SECONDS
    assert browsers()["SERVER_TIMEOUT"] > upstream.STATUS_SECONDS + upstream.LOOK_SECONDS


# Of a pace also what is no time, as shares and factors are, is in its own file.
WRITTEN = re.compile(
    r"^ *\w*(?:SECONDS|PATIENCE|TIMEOUT|PAUSE|RETRY|patience|pause|delay)\w*(?:, \w+)* = "
    r"\(?(?:[\d<, ]+, )?\d+\.\d|\b(?:timeout|seconds: float) ?= ?\d",
    re.M,
)
# Counted in pauses: after a time without changes the next poll follows after a tenth of it.
FACTORS = {"extension/pace.py: PATIENCE = 10.0"}


def test_every_time_limit_is_written_down_in_one_place():
    package = ROOT / "jupyter_kfp_mt"
    rooms = [path for path in package.rglob("*.py") if path.parent != package]
    files = {path.relative_to(package).as_posix(): path for path in rooms}
    found = {
        f"{name}: {limit}"
        for name, path in files.items()
        if not name.startswith("local/")
        for limit in WRITTEN.findall(path.read_text())
    }
    assert found - FACTORS == set()


def test_a_local_kfp_that_is_there_says_so_before_another_is_started():
    assert intervals.LOCAL_ANSWER_SECONDS < intervals.LOCAL_OCCUPIED_SECONDS
    assert intervals.LOCAL_OCCUPIED_SECONDS < intervals.LOCAL_START_SECONDS
