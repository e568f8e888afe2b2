"""Live events: real listeners at the door of a real Jupyter server, and what they cost KFP."""

import asyncio
import base64
import json
import socket
from collections import Counter
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlencode

import aiohttp
import pytest
from fakes.guarded_kfp import Answer, GuardedKfp, refusal
from fakes.odd_kfp import OddKfp, ok, reply
from harness.jupyter_server import call, server_config
from harness.waiting import wait_until
from yarl import URL

from jupyter_kfp_mt import intervals
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.connection import event_reader
from jupyter_kfp_mt.connection.door_client import Door
from jupyter_kfp_mt.errors import Forbidden, NotFound, Unreachable
from jupyter_kfp_mt.extension import event_stream, watched_namespace
from jupyter_kfp_mt.models import Run

API = "/apis/v2beta1"
LISTS = {"runs": "run_id", "recurringRuns": "recurring_run_id", "experiments": "experiment_id"}


class ListedKfp(GuardedKfp):
    """A KFP with the runs and the like that a test puts into it."""

    def __init__(self, **options):
        self.runs, self.recurringRuns, self.experiments = {}, {}, {}
        super().__init__(**options)

    def add(self, number, state="RUNNING", tasks=(), noun="runs"):
        """The id of something made at second `number`; what was there with it is replaced."""
        key = f"00000000-0000-4000-8000-{number:012}"
        made = {
            LISTS[noun]: key,
            "display_name": f"{noun} {number}",
            "created_at": f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z",
            "state": state,
            "pipeline_spec": {"long": "x" * 1000},
            "run_details": {"task_details": [{"run_id": key, **task} for task in tasks]},
        }
        getattr(self, noun)[key] = made
        return key

    def found(self, request, path):
        if request.method == "POST":
            self.add(1, noun="experiments")
            return Answer(200, {})
        noun, _, key = path.partition("/")
        if key:
            missing = refusal(404, 5, f"Run {key} not found")
            return Answer(200, self.runs[key]) if key in self.runs else missing
        noun = {"recurringruns": "recurringRuns"}.get(noun, noun)
        return self.listed(noun, request.query)

    def listed(self, noun, query):
        items = sorted(getattr(self, noun).values(), key=lambda item: item["created_at"])[::-1]
        if "filter" in query:
            (predicate,) = json.loads(unquote(query["filter"]))["predicates"]
            values = predicate["string_values"]["values"]
            items = [item for item in items if item["state"] in values]
        size = int(query["page_size"])
        more = {"next_page_token": "more"} if len(items) > size else {}
        return Answer(200, {noun: items[:size], "total_size": len(items), **more})

    def costs(self):
        """How often each list, or single run, was asked for; healthz is left out."""
        asked = [request.path.split("/")[3] for request in self.asked]
        return Counter(noun for noun in asked if noun != "healthz")


@pytest.fixture
def multi_user():
    return True


@pytest.fixture
def behind(serve, multi_user):
    return serve(ListedKfp, multi_user=multi_user)


@pytest.fixture
def jp_server_config(behind, token_file):
    return server_config(endpoint=behind.endpoint, token_file=str(token_file), namespace="alice")


@pytest.fixture
def quick(monkeypatch):
    for name in ("FAST", "SLOW", "SHORTEST"):
        monkeypatch.setattr(event_stream, name, 0.05)


@pytest.fixture
def patient(monkeypatch):
    """Who waits for the next look by itself waits long."""
    monkeypatch.setattr(event_stream, "FAST", 60.0)
    monkeypatch.setattr(event_stream, "SLOW", 60.0)
    monkeypatch.setattr(event_stream, "SHORTEST", 0.05)


class Listener:
    """One stream of events, read as it comes."""

    def __init__(self, response):
        self.response = response

    async def event(self, *names):
        """The next event, or the next of these names."""
        while True:
            block = await asyncio.wait_for(self.response.content.readuntil(b"\n\n"), 60)
            if not block:  # it has ended as a stream should, and has not broken off
                raise EOFError
            (event,) = event_reader.parsed([block])
            if event.name in names or (event.name and not names):
                return event

    def leave(self):
        self.response.close()


@pytest.fixture
def listen(door, jp_asyncio_loop):
    """Starts listeners, with the kernels' key, and ends them after the test."""
    address, key = door
    session, started = None, []

    async def listen(namespace="alice", runs=(), last_id="", **headers):
        nonlocal session
        session = session or aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        query = urlencode({"namespace": namespace, "run": runs}, doseq=True)
        url = URL(f"{address}/events?{query}", encoded=True)
        headers = {"Authorization": f"Bearer {key}", "Last-Event-ID": last_id, **headers}
        response = await session.get(url, headers=headers)
        assert response.status == 200, await response.text()
        started.append(Listener(response))
        return started[-1]

    yield listen
    for listener in started:
        listener.leave()
    if session:
        jp_asyncio_loop.run_until_complete(session.close())


def watchers():
    names = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]
    return names.count("Watcher._watch")


async def until(condition):
    """Wait for it while the server answers on this loop, which is where it is looked at."""
    loop = asyncio.get_running_loop()

    async def value():
        return condition()

    def asked():
        return asyncio.run_coroutine_threadsafe(value(), loop).result()

    await asyncio.to_thread(wait_until, asked)


def states(event):
    return {run.run_id: run.state for run in event.changes().runs}


async def test_first_all_there_is_then_what_is_new(listen, behind, quick):
    old = behind.add(1)
    behind.add(2, noun="recurringRuns")
    behind.add(3, noun="experiments")
    listener = await listen()
    first = await listener.event()
    assert (first.name, states(first)) == ("snapshot", {old: "RUNNING"})
    assert [each.display_name for each in first.changes().recurring_runs] == ["recurringRuns 2"]
    assert [each.display_name for each in first.changes().experiments] == ["experiments 3"]
    new = behind.add(4, "PENDING")
    event = await listener.event()
    assert (event.name, states(event)) == ("changed", {new: "PENDING"})
    behind.add(4, "SUCCEEDED")
    assert states(await listener.event()) == {new: "SUCCEEDED"}


async def test_what_was_deleted_is_told_and_what_left_the_page_is_not(
    listen, behind, quick, monkeypatch
):
    monkeypatch.setattr(watched_namespace, "NEWEST", 2)
    behind.add(1, "SUCCEEDED")
    second, running = behind.add(2, "SUCCEEDED"), behind.add(3)
    listener = await listen()
    assert states(await listener.event()) == {running: "RUNNING", second: "SUCCEEDED"}
    newest = behind.add(4)
    assert states(await listener.event()) == {newest: "RUNNING"}
    del behind.runs[newest]
    event = await listener.event("removed")
    assert event.removed() == event_reader.Removed(runs=[newest])


@pytest.mark.parametrize("ending", ["SUCCEEDED", "FAILED", "deleted"])
async def test_an_old_run_that_goes_on_is_followed_to_its_end(
    listen, behind, quick, monkeypatch, ending
):
    monkeypatch.setattr(watched_namespace, "NEWEST", 2)
    old = behind.add(1)
    for number in range(2, 6):
        behind.add(number, "SUCCEEDED")
    listener = await listen()
    assert states(await listener.event())[old] == "RUNNING"
    if ending == "deleted":
        del behind.runs[old]
        assert (await listener.event("removed")).removed().runs == [old]
    else:
        behind.add(1, ending)
        assert states(await listener.event("changed")) == {old: ending}


async def test_a_look_is_one_request_while_all_that_goes_on_is_new(listen, behind, quick):
    for number in range(60):
        behind.add(number, "SUCCEEDED" if number < 50 else "RUNNING")
    listener = await listen()
    await listener.event("snapshot")
    behind.asked.clear()
    for number in range(60, 65):
        behind.add(number)
        await listener.event("changed")
    assert set(behind.costs()) == {"runs"}
    assert not [request for request in behind.asked if "filter" in request.query]


async def test_fifty_listeners_cost_what_one_costs(listen, behind, patient):
    behind.add(1)
    listeners = [await listen() for _ in range(50)]
    for listener in listeners:
        await listener.event("snapshot")
    assert behind.costs() == {"runs": 1, "recurringruns": 1, "experiments": 1}


async def test_nobody_is_asked_once_nobody_listens(listen, behind, quick, monkeypatch):
    listeners = [await listen(), await listen()]
    for listener in listeners:
        await listener.event("snapshot")
    monkeypatch.setattr(intervals, "LINGER_SECONDS", 0.05)
    assert watchers() == 1
    listeners[0].leave()
    behind.add(1)
    await listeners[1].event("changed")
    listeners[1].leave()
    await until(lambda: watchers() == 0)


async def test_a_stream_ends_after_some_time_and_who_comes_back_has_missed_nothing(
    listen, behind, quick, monkeypatch
):
    listener = await listen()
    monkeypatch.setattr(intervals, "LIFE_SECONDS", 0.2)
    last, seen = (await listener.event("snapshot")).id, []
    for number in range(3):
        listener = await listen(last_id=last)
        with pytest.raises(EOFError):
            while True:
                event = await listener.event()
                last, seen = event.id, [*seen, (event.name, [*states(event)])]
        behind.add(number)  # while nobody listens
    assert seen == [("changed", [behind.add(0)]), ("changed", [behind.add(1)])]
    assert watchers() == 1


async def test_who_may_no_more_hears_no_more(kernel, behind, quick, monkeypatch):
    monkeypatch.setattr(intervals, "LIFE_SECONDS", 0.1)
    stream = iter(event_reader.Stream(kernel, "alice"))
    while (await asyncio.to_thread(next, stream)).name != "snapshot":
        pass
    Path(kernel.key_file).write_text("another")
    with pytest.raises(Forbidden):
        await asyncio.to_thread(lambda: [*stream])


async def test_each_namespace_has_a_watcher_of_its_own(listen, behind, patient):
    for namespace in ("alice", "bob"):
        await (await listen(namespace)).event("snapshot")
    assert watchers() == 2
    assert {request.query.get("namespace") for request in behind.asked} == {None, "alice", "bob"}


async def test_a_change_through_the_door_is_seen_at_once(listen, behind, patient, door):
    listener = await listen()
    await listener.event("snapshot")
    headers = {"Authorization": f"Bearer {door[1]}"}
    await call("POST", f"{door[0]}/api{API}/experiments", headers=headers, json={})
    event = await listener.event("changed")
    assert [each.display_name for each in event.changes().experiments] == ["experiments 1"]


async def test_tasks_go_to_those_who_watch_their_run(listen, behind, quick):
    task = {"task_id": "t", "display_name": "add", "state": "RUNNING"}
    run, other = behind.add(1, tasks=[task]), behind.add(2)
    watching, not_watching = await listen(runs=[run]), await listen(runs=[other])
    snapshot = await watching.event("snapshot")
    assert [task.state for task in snapshot.changes().tasks] == ["RUNNING"]
    assert (await not_watching.event("snapshot")).changes().tasks == []
    behind.add(1, "SUCCEEDED", [{**task, "state": "SUCCEEDED"}])
    event = await watching.event()
    assert [task.state for task in event.changes().tasks] == ["SUCCEEDED"]
    assert states(event) == {run: "SUCCEEDED"}  # the run does not end before its tasks
    assert (await not_watching.event()).changes().tasks == []


async def test_who_asks_for_a_run_later_is_told_of_it_at_once(listen, behind, patient):
    run = behind.add(1, tasks=[{"task_id": "t", "state": "RUNNING"}])
    await (await listen()).event("snapshot")
    snapshot = await (await listen(runs=[run])).event("snapshot")
    assert [task.task_id for task in snapshot.changes().tasks] == ["t"]


async def test_an_old_run_that_has_finished_is_asked_for_once(listen, behind, quick, monkeypatch):
    monkeypatch.setattr(watched_namespace, "NEWEST", 1)
    old = behind.add(1, "FAILED", [{"task_id": "t", "state": "FAILED"}])
    behind.add(2)
    listener = await listen(runs=[old])
    snapshot = await listener.event()
    assert [task.state for task in snapshot.changes().tasks] == ["FAILED"]
    assert states(snapshot)[old] == "FAILED"
    for number in range(3, 6):
        behind.add(number)
        await listener.event("changed")
    assert behind.count(old) == 1


async def test_a_run_that_is_not_there_is_told_to_who_asked_for_it(listen, behind, quick):
    missing, other = await listen(runs=["nope"]), await listen()
    await other.event("snapshot")
    assert (await missing.event()).name == "snapshot"
    failure = (await missing.event("error")).failure()
    assert (failure.run_id, failure.kind) == ("nope", "NotFound")
    behind.add(1)
    assert (await other.event()).name == "changed"


async def test_trouble_is_told_once_with_its_cure_and_so_is_its_end(listen, behind, quick):
    listener = await listen()
    await listener.event("snapshot")
    behind.lets_in = lambda request: False
    failure = (await listener.event()).failure()
    assert failure.kind == "Unauthenticated"
    assert failure.message and failure.cure
    behind.asked.clear()
    await until(lambda: behind.costs()["runs"] > 2)
    behind.lets_in = lambda request: True
    assert (await listener.event()).name == "back"


async def test_who_comes_in_trouble_is_told_and_gets_all_when_it_ends(listen, behind, quick):
    behind.lets_in = lambda request: False
    listener = await listen()
    assert (await listener.event()).name == "error"
    behind.lets_in = lambda request: True
    assert (await listener.event()).name == "snapshot"


async def test_a_kfp_that_fails_is_asked_less_and_less(listen, behind, monkeypatch):
    monkeypatch.setattr(event_stream, "SHORTEST", 0.0)
    monkeypatch.setattr(event_stream, "FAST", 0.01)
    pauses = []
    original = event_stream.Watcher._pause
    monkeypatch.setattr(
        event_stream.Watcher,
        "_pause",
        lambda watcher: pauses.append(original(watcher)) or pauses[-1],
    )
    behind.lets_in = lambda request: False
    await listen()
    await until(lambda: len(pauses) > 4)
    assert pauses[:5] == [0.02, 0.04, 0.08, 0.16, 0.32]


async def test_the_pace_is_quick_while_something_goes_on_and_slows_down_after(
    listen, behind, monkeypatch
):
    monkeypatch.setattr(event_stream, "SHORTEST", 0.0)
    monkeypatch.setattr(event_stream, "FAST", 0.02)
    monkeypatch.setattr(event_stream, "SLOW", 0.1)
    behind.add(1)
    listener = await listen()
    await listener.event("snapshot")
    (watcher,) = [
        task.get_coro().cr_frame.f_locals["self"]
        for task in asyncio.all_tasks()
        if task.get_coro().__qualname__ == "Watcher._watch"
    ]
    assert watcher._pace == 0.02
    behind.add(1, "SUCCEEDED")
    await listener.event("changed")
    await until(lambda: watcher._pace == 0.1)


async def test_who_was_away_gets_what_it_missed(listen, behind, quick):
    stays, goes = await listen(), await listen()
    await stays.event("snapshot")
    last = (await goes.event("snapshot")).id
    goes.leave()
    missed = [behind.add(1), behind.add(2)]
    seen = {}
    while len(seen) < 2:
        seen |= states(await stays.event("changed"))
    back, seen = await listen(last_id=last), {}
    while len(seen) < 2:
        event = await back.event()
        assert event.name == "changed"
        seen |= states(event)
    assert sorted(seen) == missed


@pytest.mark.parametrize("last_id", ["x", "-1", "0123abcd-0", "{name}-999999", "{name}--1"])
async def test_an_id_that_nobody_knows_is_answered_with_all_there_is(
    listen, behind, quick, last_id
):
    first = await (await listen()).event("snapshot")
    name = first.id.partition("-")[0]
    again = await listen(last_id=last_id.format(name=name))
    assert (await again.event()).name == "snapshot"


async def test_who_is_too_slow_gets_all_there_is_anew(
    listen, behind, quick, monkeypatch, jp_serverapp, door
):
    monkeypatch.setattr(event_stream, "KEPT_EVENTS", 2)
    quick_one = await listen()
    await quick_one.event("snapshot")
    slow = jp_serverapp.web_app.settings["kfp_mt"].events.listen("alice")
    while b"snapshot" not in await anext(slow):
        pass
    for number in range(5):
        behind.add(number)
        await quick_one.event("changed")
    text = await anext(slow)
    (event,) = event_reader.parsed([text])
    assert (event.name, len(states(event))) == ("snapshot", 5)
    await slow.aclose()


async def test_another_identity_ends_the_stream(listen, behind, quick, token_file):
    def token(subject):
        claims = base64.urlsafe_b64encode(json.dumps({"sub": subject}).encode()).decode()
        return f"e30.{claims.rstrip('=')}.x"

    token_file.write_text(token("alice"))
    listener = await listen()
    await listener.event("snapshot")
    token_file.write_text(token("somebody else"))
    assert (await listener.event()).name == "reset"
    with pytest.raises(EOFError):
        await listener.event()
    assert (await (await listen()).event()).name == "snapshot"


async def test_the_stream_ends_with_the_server(listen, behind, patient, jp_serverapp):
    listener = await listen()
    await listener.event("snapshot")
    jp_serverapp.web_app.settings["kfp_mt"].events.close()
    with pytest.raises(EOFError):
        await listener.event()


@pytest.mark.parametrize("seconds", [0.01, 60.0])
async def test_a_quiet_stream_shows_that_it_is_alive_however_often_it_looks(
    listen, monkeypatch, seconds
):
    for name in ("FAST", "SLOW", "SHORTEST"):
        monkeypatch.setattr(event_stream, name, seconds)
    monkeypatch.setattr(intervals, "KEEP_ALIVE_SECONDS", 0.05)
    listener = await listen()
    await listener.event("snapshot")
    for _ in range(3):
        assert await asyncio.wait_for(listener.response.content.readuntil(b"\n\n"), 60) == b":\n\n"


async def test_a_stream_is_told_to_proxies_as_one(listen):
    headers = (await listen()).response.headers
    assert headers["Content-Type"] == "text/event-stream"
    assert (headers["Cache-Control"], headers["X-Accel-Buffering"]) == ("no-store", "no")


@pytest.mark.parametrize(
    "query, said",
    [
        pytest.param("", "no namespace is named", id="no namespace"),
        pytest.param("namespace=", "no namespace is named", id="an empty one"),
        pytest.param("namespace=a/../b", "is no namespace", id="a path"),
        pytest.param("namespace=alice&run=a/b", "names a run by its id", id="a path as run"),
        pytest.param(
            "namespace=alice" + "".join(f"&run={number}" for number in range(21)),
            "20 at most",
            id="too many runs",
        ),
    ],
)
async def test_a_wrong_question_is_answered_with_a_sentence(door, query, said):
    headers = {"Authorization": f"Bearer {door[1]}"}
    answered = await call("GET", f"{door[0]}/events?{query}", headers=headers)
    assert answered.status_code == 400
    assert said in answered.json()["message"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
async def test_who_is_not_signed_in_hears_nothing(door, behind, headers):
    answered = await call("GET", f"{door[0]}/events?namespace=alice", headers=headers)
    assert answered.status_code == 403
    assert watchers() == 0


@pytest.mark.parametrize("multi_user", [False])
async def test_a_kfp_for_a_single_user_needs_no_namespace(listen, behind, patient):
    run = behind.add(1)
    assert states(await (await listen("")).event()) == {run: "RUNNING"}


# --- a kernel ---------------------------------------------------------------------------------


@pytest.fixture
def kernel(door):
    """What is heard through the door, in a thread as a kernel would."""
    return Door.of_this_process()


async def test_a_kernel_follows_a_run_to_its_end_with_its_tasks(kernel, behind, quick):
    task = {"task_id": "t", "display_name": "add", "state": "RUNNING"}
    run = Run(run_id=behind.add(1, tasks=[task]), runtime_config={"parameters": {"x": 1}})
    seen = []

    def follow():
        for now in event_reader.watch(kernel, run, "alice"):
            seen.append(now)
            behind.add(1, "SUCCEEDED", [{**task, "state": "SUCCEEDED"}])

    await asyncio.to_thread(follow)
    assert [(now.state, now.tasks[0].state) for now in seen] == [
        ("RUNNING", "RUNNING"),
        ("SUCCEEDED", "SUCCEEDED"),
    ]
    assert seen[-1].runtime_config == run.runtime_config


@pytest.mark.parametrize(
    "run_id, status, kind",
    [
        pytest.param("nope", 200, NotFound, id="a run that is not there"),
        pytest.param("", 403, Forbidden, id="a namespace that is another's"),
    ],
)
async def test_a_kernel_is_told_why_it_hears_nothing(kernel, behind, quick, run_id, status, kind):
    if status != 200:
        behind.listed = lambda noun, query: refusal(status, 7, "User 'a' is not authorized")
    watching = event_reader.watch(kernel, Run(run_id=run_id or behind.add(1)), "alice")
    with pytest.raises(kind):
        await asyncio.to_thread(list, watching)


BEGUN = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n:\n\n"


@pytest.fixture
def odd_door():
    odd = OddKfp()
    yield odd
    odd.close()


def test_a_kernel_goes_on_where_its_stream_broke_off(odd_door, key_file):
    def answer(connection, asked):
        number = len(odd_door.seen)
        connection.sendall(BEGUN + b"id: x-%d\nevent: changed\ndata: {}\n\nid: x-9\nev" % number)
        connection.shutdown(socket.SHUT_RDWR)

    odd_door.answer = answer
    stream = iter(event_reader.Stream(Door(odd_door.endpoint, key_file), "alice", ["r"]))
    told = (event for event in stream if event.name)
    assert [next(told).id for _ in range(3)] == ["x-1", "x-2", "x-3"]
    assert [asked.headers.get("Last-Event-ID") for asked in odd_door.seen] == [None, "x-1", "x-2"]
    assert {asked.path for asked in odd_door.seen} == {"/events?namespace=alice&run=r"}


def test_a_kernel_gives_up_a_door_that_stays_shut(odd_door, key_file, monkeypatch):
    monkeypatch.setattr(intervals, "PATIENCE_SECONDS", 0.5)
    odd_door.close()
    with pytest.raises(Unreachable, match="listen to the Jupyter server"):
        next(iter(event_reader.Stream(Door(odd_door.endpoint, key_file), "alice")))


def test_a_kernel_asks_where_the_server_is_too_old_to_tell(odd_door, key_file):
    def answer(connection, asked):
        run = b'{"run_id": "r", "state": "SUCCEEDED"}'
        told = reply("404 Not Found") if asked.path.startswith("/events") else ok(run)
        connection.sendall(told)

    odd_door.answer = answer
    with closing(Client(odd_door.endpoint, namespace="alice")) as client:
        (run,) = event_reader.follow(client, Door(odd_door.endpoint, key_file), Run(run_id="r"))
    assert run.state == "SUCCEEDED"


def test_a_stream_is_read_however_it_is_cut():
    text = b':\n\nid: a-1\nevent: changed\ndata: {"runs":[]}\n\n'
    whole = [event_reader.LiveEvent(), event_reader.LiveEvent("changed", b'{"runs":[]}', "a-1")]
    pieces = ([text[:cut], text[cut:]] for cut in range(len(text)))
    assert all([*event_reader.parsed(each)] == whole for each in pieces)
