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


def test_a_stream_lives_longer_than_it_takes_to_find_out_that_it_is_dead():
    assert LIFE_SECONDS > PATIENCE_SECONDS


def test_who_comes_back_at_the_end_of_a_stream_finds_what_it_missed():
    assert LINGER_SECONDS > 2 * SHORTEST_PAUSE + 2 * CONNECT_SECONDS


def test_streams_that_began_together_end_apart():
    ends = {round(intervals.end_of_life() - time.monotonic()) for _ in range(50)}
    assert len(ends) > 10
    assert min(ends) >= LIFE_SECONDS and max(ends) <= 2 * LIFE_SECONDS


def browsers():
    """What the sidebar waits for, in seconds."""
    text = (ROOT / "labextension/src/intervals.ts").read_text()
    found = re.findall(r"const (\w+) = ([\d_]+);", text)
    return {name: int(milliseconds) / 1000 for name, milliseconds in found}


def test_the_sidebar_takes_a_stream_for_dead_when_a_kernel_does():
    assert browsers()["SILENCE"] == SILENCE_SECONDS


def test_the_sidebar_waits_until_the_door_has_said_what_came_of_a_question_to_kfp():
    assert browsers()["KFP_TIMEOUT"] > DOOR_SECONDS
    assert browsers()["SERVER_TIMEOUT"] > upstream.STATUS_SECONDS + upstream.LOOK_SECONDS
