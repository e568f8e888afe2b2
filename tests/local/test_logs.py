"""Logs of the local KFP: one line for each thing, and never too much."""

import logging
import os
import re
import signal
import subprocess
import sys

import pytest
from harness.local_kfp import API
from harness.paths import ROOT
from harness.waiting import PATIENCE, wait_until

from jupyter_kfp_mt.local.machine.logs import LogFile
from jupyter_kfp_mt.log_lines import LONGEST, LineFormatter

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [\w.]+ ")
FORGED = "2026-01-01 00:00:00,000 jupyter_kfp_mt.local.api.handlers DELETE /apis 200 mallory"
# Line breaks, of which Unicode has more; a terminal's orders; and what reverses the writing.
ODD = {
    "line feed": "\n",
    "carriage return": "\r",
    "vertical tab": "\v",
    "escape": "\x1b[2K\x1b[1A",
    "next line": "\x85",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "right to left": "\u202e",
    "isolate": "\u2067",
    "delete": "\x7f",
    "control sequence": "\x9b31m",
    "surrogate": "\udc0a",
}


def formatted(message, *arguments, exc_info=None):
    record = logging.LogRecord("a", logging.INFO, "", 0, message, arguments, exc_info)
    return LineFormatter("%(name)s %(message)s").format(record)


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_a_message_is_one_line_whatever_is_in_it(odd):
    line = formatted("asked for %s", f"x{odd}{FORGED}")
    assert line.isprintable()
    assert line.startswith("a asked for x\\") and line.endswith(FORGED)


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_no_line_of_a_traceback_is_taken_for_a_message(odd):
    try:
        raise ValueError(f"x{odd}{FORGED}")
    except ValueError:
        first, *rest = formatted("failed", exc_info=sys.exc_info()).split("\n")
    assert first == "a failed"
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_what_can_be_printed_is_logged_as_it_is():
    assert formatted("%s", "Läuße 数据 \U0001f600") == "a Läuße 数据 \U0001f600"


def test_a_message_is_not_longer_than_a_line_should_be():
    assert len(formatted("%s", "x" * 10 * LONGEST)) < LONGEST + 10


def test_no_line_can_be_forged_through_what_a_request_carries(local_kfp, experiment, spec):
    for name, odd in ODD.items():
        if name == "surrogate":  # there is none in JSON that is UTF-8
            continue
        text = f"x{odd}{FORGED}"
        spec = {**spec, "defaultPipelineRoot": text}
        body = {"display_name": text, "experiment_id": experiment.experiment_id}
        body |= {"pipeline_spec": spec, "runtime_config": {"parameters": {"x": 1}}}
        body["runtime_config"]["pipeline_root"] = text
        assert local_kfp.post(f"{API}/runs", body).status_code == 200
        local_kfp.post(f"{API}/runs/{text}:terminate")

    def lines():
        return [line for line in local_kfp.log.read_text().splitlines() if "mallory" in line]

    # A line is written once the answer is sent.
    wait_until(lambda: len(lines()) >= 2 * (len(ODD) - 1), what="a line for each request")
    assert all(line.isprintable() and LINE.match(line) for line in lines())
    assert not any(line.startswith(FORGED) for line in local_kfp.log.read_text().splitlines())


def test_what_is_read_is_not_logged_and_a_change_is_one_line(start_local_kfp):
    server = start_local_kfp()
    for _ in range(20):
        assert server.get(f"{API}/experiments", namespace="alice").status_code == 200
    body = {"display_name": "e", "namespace": "alice"}
    server.post(f"{API}/experiments", body).raise_for_status()
    assert server.get(f"{API}/experiments", who=None, namespace="alice").status_code == 401
    assert server.stop() == 0
    change, refusal = server.log.read_text().splitlines()
    assert change.endswith(
        "POST /apis/v2beta1/experiments 200 system:serviceaccount:alice:default-editor"
    )
    assert refusal.endswith("GET /apis/v2beta1/experiments 401 -")


SPOKEN = """
import logging, os, pathlib, sys
from jupyter_kfp_mt.local.machine.logs import LogFile
file = LogFile(pathlib.Path(sys.argv[1]), longest=2000)
file.take_stderr()
for number in range(200):
    logging.info("line %d", number)
os.write(2, b"said without a logger\\n")
"""


def test_the_log_stays_short_while_it_is_written_and_takes_what_is_said_without_it(tmp_path):
    path = tmp_path / "server.log"
    subprocess.run([sys.executable, "-c", SPOKEN, path], cwd=ROOT, check=True)
    sizes = [file.stat().st_size for file in (path, tmp_path / "server.log.1")]
    assert all(0 < size <= 2000 for size in sizes)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["server.log", "server.log.1"]
    assert path.read_text().endswith("line 199\nsaid without a logger\n")


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path, capfd):
    root = logging.getLogger()
    before, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    try:
        logging.raiseExceptions = False
        log = LogFile(tmp_path / "server.log", longest=100)
        log.close()
        (tmp_path / "server.log").unlink()
        (tmp_path / "server.log").mkdir()
        logging.getLogger("a").info("x" * 200)
    finally:
        root.handlers[:], logging.raiseExceptions = before, raising
        root.setLevel(level)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_server_without_its_standard_streams_keeps_its_files_to_itself(
    tmp_path, profiles, closed
):
    from jupyter_kfp_mt.connection.local_kfp import running

    data = tmp_path / "data"
    command = f'exec "$0" -m jupyter_kfp_mt.local --data "$1" --profiles "$2" {closed}'
    arguments = [sys.executable, str(data), str(profiles)]
    server = subprocess.Popen(
        ["sh", "-c", command, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, text=True
    )
    try:
        wait_until(lambda: running(data), what="the start")
        streams = [os.readlink(f"/proc/{server.pid}/fd/{number}") for number in range(3)]
        assert not any(str(data) in stream or "socket" in stream for stream in streams)
    finally:
        server.terminate()
        assert server.wait(30) == 0


def test_nobody_who_listens_is_no_reason_not_to_start(tmp_path, profiles):
    from jupyter_kfp_mt.connection.local_kfp import running

    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "jupyter_kfp_mt.local", "--data", tmp_path / "data"]
    server = subprocess.Popen(
        [*command, "--profiles", profiles], cwd=ROOT, stdout=writing, stderr=writing
    )
    os.close(writing)
    try:
        wait_until(lambda: running(tmp_path / "data"), what="the start")
    finally:
        server.terminate()
        assert server.wait(30) == 0


def test_a_closed_terminal_stops_a_server_in_order(start_local_kfp):
    server = start_local_kfp()
    os.kill(server.process.pid, signal.SIGHUP)
    assert server.process.wait(timeout=PATIENCE) == 0
    assert not (server.data / "server.json").exists()


def test_under_nohup_a_closed_terminal_stops_nothing(tmp_path, profiles):
    from harness.local_kfp import LocalKfp

    within = ["env", "--ignore-signal=HUP"]
    server = LocalKfp(tmp_path / "data", "--profiles", str(profiles), within=within)
    os.kill(server.process.pid, signal.SIGHUP)
    assert server.get(f"{API}/healthz").status_code == 200
    assert server.stop() == 0
