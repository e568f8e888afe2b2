"""Live events: real listeners at the door of a real Jupyter server, and what they cost KFP."""

import asyncio
import base64
import json
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest
from fakes.guarded_kfp import Answer, refusal
from fakes.listed_kfp import ListedKfp
from fakes.odd_kfp import OddKfp, ok, reply
from harness.jupyter_server import call
from harness.live_events import at_any_time, states, until, watcher, watchers
from harness.waiting import wait_until

from jupyter_kfp_mt import intervals
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.connection import event_reader
from jupyter_kfp_mt.connection.connections import DoorConnection
from jupyter_kfp_mt.connection.door_client import Door
from jupyter_kfp_mt.errors import Forbidden, NotFound, Unreachable
from jupyter_kfp_mt.extension import event_stream, pace, watched_namespace
from jupyter_kfp_mt.models import Run

API = "/apis/v2beta1"


async def test_first_all_there_is_then_what_is_new(listen, behind, quick):
    old = behind.add(1)
    behind.add(2, noun="recurringRuns")
    behind.add(3, noun="experiments")
    listener = await listen()
    first = await listener.event()
    assert (first.name, states(first)) == ("snapshot", {old: "RUNNING"})
    seldom = (await listener.event("changed")).changes()
    assert [each.display_name for each in seldom.recurring_runs] == ["recurringRuns 2"]
    assert [each.display_name for each in seldom.experiments] == ["experiments 3"]
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
    seen = states(await listener.event("snapshot"))
    if old not in seen:  # it may be found before the snapshot is told
        seen = states(await listener.event("changed"))
    assert seen[old] == "RUNNING"
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
    await until(lambda: behind.costs()["runs"] > 3)
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
    await until(lambda: len(behind.costs()) == 3)
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
    await until(lambda: behind.costs()["runs"] > 1)
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


async def test_the_pace_is_told_how_each_look_went(listen, behind, monkeypatch):
    looks = []
    monkeypatch.setattr(pace.Pace, "looked", lambda self, look: looks.append(look))
    listener = await listen()
    await listener.event("snapshot")
    await until(lambda: len(looks) > 1)
    behind.add(1)
    await listener.event("changed")
    behind.lets_in = lambda request: False
    await listener.event("error")
    await until(lambda: looks[-1].failed)
    assert (looks[0].requests, looks[0].changed) == (3, False)
    assert any(look.changed for look in looks)
    assert not any(look.failed and look.changed for look in looks)


async def test_the_pages_of_those_that_go_on_are_paid_for_and_the_newest_is_asked_for_once(
    listen, behind, monkeypatch
):
    looks = []

    def looked(self, look):
        looks.append((look, [*behind.asked], sum(behind.costs().values())))

    monkeypatch.setattr(pace.Pace, "looked", looked)
    monkeypatch.setattr(behind, "listed", lambda noun, query: paged(behind, noun, query))
    for number in range(450):
        behind.add(number)
    listener = await listen()
    await listener.event("snapshot")
    await until(lambda: looks)
    look, asked, costs = looks[0]  # the next look follows at once
    assert len([each for each in asked if each.query.get("page_size") == "50"]) == 1
    assert look.requests == costs == 1 + 3 + 2


def paged(behind, noun, query):
    """A page of a list of which all fit a filter."""
    items = sorted(getattr(behind, noun).values(), key=lambda item: item["created_at"])[::-1]
    begin, size = int(query.get("page_token", 0)), int(query["page_size"])
    more = {"next_page_token": str(begin + size)} if begin + size < len(items) else {}
    page = items[begin : begin + size]
    return Answer(200, {noun: page, "total_size": len(items), **more})


async def test_nothing_is_asked_while_nobody_listens_even_if_they_may_come_back(
    listen, behind, quick
):
    listener = await listen()
    last = (await listener.event("snapshot")).id
    listener.leave()
    await until(lambda: watchers() == 1 and not watcher().listeners)
    asked = len(behind.asked)
    run = behind.add(1)
    await asyncio.sleep(20 * 0.05)
    assert len(behind.asked) <= asked + 3  # those of a look that was going on
    assert states(await (await listen(last_id=last)).event("changed")) == {run: "RUNNING"}


async def test_the_first_rows_take_one_list(listen, behind, patient):
    for number in range(60):
        behind.add(number)
    asked = []

    def listed(noun, query):
        asked.append(noun)
        wait_until(lambda: len(asked) == 1 or told.done(), what="the first rows")
        return ListedKfp.listed(behind, noun, query)

    behind.listed = listed
    listener = await listen()
    told = asyncio.ensure_future(listener.event("snapshot"))
    await told
    assert asked[:1] == ["runs"]
    await until(lambda: {"experiments", "recurringRuns"} <= {*asked})


async def test_what_a_panel_asks_before_its_first_list_costs_kfp_nothing(door, behind):
    headers = {"Authorization": f"Bearer {door[1]}"}
    assert (await call("GET", f"{door[0]}/status", headers=headers)).json()["ready"]
    assert behind.asked and behind.costs() == {}  # `healthz` waits for nobody


async def test_a_page_is_no_longer_than_what_goes_on(listen, behind, quick):
    for number in range(100):
        behind.add(number, "RUNNING" if number == 80 else "SUCCEEDED")
    listener = await listen()
    await listener.event("snapshot")
    await until(lambda: len(pages(behind)) > 5)
    assert pages(behind)[0] == 50
    assert min(pages(behind)) == 20 + watched_namespace.SPARE
    behind.add(80, "SUCCEEDED")
    await listener.event("changed")
    await until(lambda: pages(behind)[-1] == watched_namespace.FEWEST)


@pytest.mark.parametrize("many", [1, 30])
async def test_what_comes_or_goes_beyond_a_short_page_is_seen(
    listen, behind, quick, monkeypatch, many
):
    for number in range(60):
        behind.add(number, "SUCCEEDED")
    listener = await listen()
    await listener.event("snapshot")
    await until(lambda: pages(behind)[-1] == watched_namespace.FEWEST)
    gone = [behind.add(59 - 20 - number, "SUCCEEDED") for number in range(many)]
    for run_id in gone:
        del behind.runs[run_id]
    removed = {*(await listener.event("removed")).removed().runs}
    assert removed and removed <= {*gone}
    made = {behind.add(100 + number) for number in range(many)}
    seen = set()
    while seen < made:
        seen |= states(await listener.event("changed")).keys()


def pages(behind):
    """Return the sizes of the pages that were asked for."""
    asked = [request.query for request in behind.asked if request.path == f"{API}/runs"]
    return [int(query["page_size"]) for query in asked if "filter" not in query]


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
    at_any_time(monkeypatch, seconds)
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
        pytest.param("namespace=a/../b", "is not a namespace", id="a path"),
        pytest.param("namespace=alice&run=a/b", "takes the id of a run", id="a path as run"),
        pytest.param(
            "namespace=alice" + "".join(f"&run={number}" for number in range(21)),
            "at most 20 times",
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
    """Listen through the door, in a thread as a kernel would."""
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
        door = Door(odd_door.endpoint, key_file)
        behind = DoorConnection(odd_door.endpoint, client.credentials, "alice", [], door=door)
        (run,) = behind.watch(client, Run(run_id="r"))
    assert run.state == "SUCCEEDED"


def test_a_stream_is_read_however_it_is_cut():
    text = b':\n\nid: a-1\nevent: changed\ndata: {"runs":[]}\n\n'
    whole = [event_reader.LiveEvent(), event_reader.LiveEvent("changed", b'{"runs":[]}', "a-1")]
    pieces = ([text[:cut], text[cut:]] for cut in range(len(text)))
    assert all([*event_reader.parsed(each)] == whole for each in pieces)


def test_an_event_of_megabytes_takes_no_longer_for_coming_in_small_pieces():
    data = b'{"text":"' + b"x" * (16 << 20) + b'"}'
    text = b"event: changed\ndata: " + data + b"\n\nevent: removed\n\n"
    pieces = (text[at : at + 1000] for at in range(0, len(text), 1000))
    started = time.monotonic()
    told = [*event_reader.parsed(pieces)]
    assert time.monotonic() - started < 5
    assert told == [event_reader.LiveEvent("changed", data), event_reader.LiveEvent("removed")]


def test_events_are_told_apart_wherever_the_pieces_end():
    text = b"event: a\n\nevent: b\n\n\nevent: c\n\n"
    whole = [*event_reader.parsed([text])]
    for length in range(1, len(text)):
        pieces = [text[at : at + length] for at in range(0, len(text), length)]
        assert [*event_reader.parsed(pieces)] == whole
