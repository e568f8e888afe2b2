"""Waits in which nothing happens for minutes: real servers and streams, intervals shortened."""

import asyncio
import base64
from contextlib import closing
from urllib.parse import parse_qs, urlsplit

import pytest
from fakes.guarded_kfp import Answer, GuardedKfp, refusal
from fakes.odd_kfp import OddKfp

from jupyter_kfp_mt import intervals
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.connection import event_reader
from jupyter_kfp_mt.connection.door_client import Door
from jupyter_kfp_mt.errors import Forbidden, KfpError
from jupyter_kfp_mt.extension import event_stream, pace
from jupyter_kfp_mt.models import Run

HURRY = 50


@pytest.fixture
def hurried(monkeypatch):
    """A minute takes little more than a second."""
    for module, names in (
        (intervals, [name for name in vars(intervals) if name.endswith("_SECONDS")]),
        (event_stream, ["THOROUGH"]),
        (pace, ["RETRY", "RETRY_SOON"]),
    ):
        for name in names:
            if isinstance(seconds := getattr(module, name), (int, float)):
                monkeypatch.setattr(module, name, seconds / HURRY)
    bounds = (getattr(pace.SHARED, name) for name in ("budget", "shortest", "longest"))
    budget, shortest, longest = (each / HURRY for each in bounds)
    hurried = pace.Bounds(budget, shortest=shortest, longest=longest)
    monkeypatch.setattr(pace, "SHARED", hurried)


class QuietKfp(GuardedKfp):
    """A KFP with one run, whose one task writes nothing and changes nothing until it ends."""

    state = "RUNNING"

    def found(self, request, path):
        task = {"run_id": "r", "task_id": "t", "display_name": "think", "state": self.state}
        run = {"run_id": "r", "display_name": "thinker", "state": self.state}
        run["run_details"] = {"task_details": [task]}
        if path == "runs" and request.method == "GET":
            return Answer(200, {"runs": [run], "total_size": 1})
        return Answer(200, run if path in ("runs", "runs/r") else {})


@pytest.fixture
def behind(serve):
    return serve(QuietKfp)


@pytest.fixture
def kernel(door):
    """The door, as a kernel finds it."""
    assert door
    return Door.of_this_process()


async def test_a_task_that_says_nothing_for_three_minutes_is_waited_for(kernel, behind, hurried):
    signs = 180 / (intervals.KEEP_ALIVE_SECONDS * HURRY)

    def until_quiet_for_so_long():
        alive = (event for event in event_reader.Stream(kernel, "alice") if not event.name)
        for _ in range(round(signs) + 1):
            next(alive)
        behind.state = "SUCCEEDED"

    quiet = asyncio.create_task(asyncio.to_thread(until_quiet_for_so_long))
    seen = await asyncio.to_thread(
        lambda: [run.state for run in event_reader.watch(kernel, Run(run_id="r"), "alice")]
    )
    await quiet
    assert seen == ["RUNNING", "SUCCEEDED"]


async def test_a_wait_goes_on_while_kfp_is_away_for_a_minute(kernel, behind, hurried):
    behind.lets_in = lambda request: False

    def back_after_a_while():
        alive = (event for event in event_reader.Stream(kernel, "alice") if not event.name)
        for _ in range(round(60 / HURRY / intervals.KEEP_ALIVE_SECONDS)):
            next(alive)
        behind.state, behind.lets_in = "SUCCEEDED", lambda request: True

    away = asyncio.create_task(asyncio.to_thread(back_after_a_while))
    seen = await asyncio.to_thread(
        lambda: [run.state for run in event_reader.watch(kernel, Run(run_id="r"), "alice")]
    )
    await away
    assert seen[-1] == "SUCCEEDED"


def test_a_wait_without_a_door_goes_on_while_kfp_fails(behind, hurried):
    refusals = iter([refusal(500, 13, "no connection to the database")] * 3)
    found = behind.found
    behind.found = lambda request, path: next(refusals, None) or found(request, path)
    behind.state = "SUCCEEDED"
    with closing(Client(behind.endpoint, namespace="alice")) as client:
        assert [run.state for run in client.watch("r", Run(run_id="r"))] == ["SUCCEEDED"]
    assert next(refusals, None) is None


@pytest.fixture
def waiting(shell, behind, adder, token_file, monkeypatch):
    """Runs `%kfp run --wait` and gives what it raised; KFP's run goes on meanwhile."""
    monkeypatch.setenv("KFP_MT_ENDPOINT", behind.endpoint)
    monkeypatch.setenv("KFP_MT_NAMESPACE", "alice")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(token_file))
    monkeypatch.delenv("KFP_MT_DOOR", raising=False)

    def wait():
        with pytest.raises(KfpError) as error:
            shell.run_line_magic("kfp", f"run {adder} -p x=1 --wait")
        return str(error.value)

    return wait


def test_who_waits_in_vain_is_told_that_the_run_goes_on(waiting, behind, hurried, capsys):
    found = behind.found
    overloaded = refusal(503, 14, "overloaded")
    behind.found = lambda request, path: (
        overloaded if behind.count("/runs/r") > 1 else found(request, path)
    )
    assert "overloaded" in waiting()
    said = capsys.readouterr().out
    assert "it was last seen Running" in said
    assert "%kfp runs shows it once KFP answers again." in said


async def test_a_server_that_was_started_anew_is_told_as_such(kernel, behind, key_file):
    listening = iter(event_reader.Stream(Door(kernel.address, key_file), "alice"))
    with pytest.raises(Forbidden) as error:
        await asyncio.to_thread(next, listening)
    assert error.value.cure == "If the server was restarted, restart this kernel."


def test_a_followed_log_whose_stream_fell_silent_is_taken_up_where_it_was(hurried):
    door = OddKfp()

    def answer(connection, asked):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n:\n\n")
        number = len(door.seen)
        for word in [b"one\n", b"two\n"][number - 1 :]:
            text = base64.b64encode(word)
            connection.sendall(b"id: %d\nevent: lines\ndata: %s\n\n" % (number, text))
            if number == 1:
                return  # and never another byte
        connection.sendall(b"event: end\ndata: {}\n\n")

    door.answer = answer
    with closing(Client(door.endpoint, logs=f"{door.endpoint}/logs")) as client:
        assert [*client.task_log("r", "t", follow=True, tail=5)] == [b"one\n", b"two\n"]
    queries = [parse_qs(urlsplit(asked.path).query) for asked in door.seen]
    assert [query.get("after") for query in queries] == [None, ["1"]]
    door.close()
