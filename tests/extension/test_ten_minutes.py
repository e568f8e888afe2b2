"""Ten minutes of a namespace at work, played at a real door: what they ask of KFP.

Twenty runs go on. Every three seconds something of one changes, and every half minute one ends and
another begins, by turns through the door and elsewhere.
"""

import asyncio
import random
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from fakes.guarded_kfp import Answer
from fakes.kubernetes_api import ALICE
from fakes.listed_kfp import ListedKfp
from harness.jupyter_server import call, server_config

from jupyter_kfp_mt import intervals
from jupyter_kfp_mt.extension import event_stream
from jupyter_kfp_mt.local.api.allowance import PER_SECOND

API = "/apis/v2beta1"
MINUTES = 10
GOING_ON, CHANGE_SECONDS, CHANGES_FOR_A_NEW_ONE = 20, 3, 10


class StartingKfp(ListedKfp):
    """A KFP in which somebody starts runs."""

    def found(self, request, path):
        if request.method == "POST" and path == "runs":
            return Answer(200, self.runs[self.add(len(self.runs), "PENDING")])
        return super().found(request, path)


class Namespace:
    """The runs of alice as KFP and Argo know them."""

    def __init__(self, behind, cluster, listener):
        self._behind, self._cluster, self._listener = behind, cluster, listener
        self._random = random.Random(1)
        self.states = {}

    def put(self, run_id, phase, state):
        self._behind.runs[run_id]["state"] = self.states[run_id] = state
        name = self._behind.runs[run_id]["display_name"]
        self._cluster.put_workflow(f"flow-{run_id}", "alice", run_id, phase, run_name=name)

    def start(self):
        self.put(self._behind.add(len(self._behind.runs), "PENDING"), "", "PENDING")

    async def start_through_the_door(self):
        number = len(self._behind.runs)
        url = f"{self._listener.address}/api{API}/runs"
        body = {"display_name": "mine", "experiment_id": [*self._behind.experiments][0]}
        answer = await call("POST", url, headers=self._listener.headers, json=body)
        assert answer.ok and len(self._behind.runs) == number + 1
        self.put(answer.json()["run_id"], "", "PENDING")

    async def change(self, number):
        """Something of one run; now and then one ends, and another begins."""
        going_on = [key for key, state in self.states.items() if state in ("PENDING", "RUNNING")]
        chosen = self._random.choice(going_on)
        if number % CHANGES_FOR_A_NEW_ONE:
            is_running = self.states[chosen] == "RUNNING"
            self.put(chosen, *(("Pending", "PENDING") if is_running else ("Running", "RUNNING")))
            return
        self.put(chosen, "Succeeded", "SUCCEEDED")
        if number // CHANGES_FOR_A_NEW_ONE % 2:
            await self.start_through_the_door()
        else:
            self.start()


class Heard:
    """The states that a listener has been told, and how long that took."""

    def __init__(self, listener):
        self.states = {}
        self._task = asyncio.ensure_future(self._listen(listener))

    async def _listen(self, listener):
        while True:
            event = await listener.event("snapshot", "changed", "removed")
            if event.name == "removed":
                for run_id in event.removed().runs:
                    self.states.pop(run_id, None)
            else:
                self.states |= {run.run_id: run.state for run in event.changes().runs}

    def close(self):
        self._task.cancel()


@pytest.fixture
def behind(serve):
    return serve(StartingKfp)


class Clock:
    """The watcher's clock: it moves when it is told to, and requests take no time on it."""

    def __init__(self):
        self.now = 0.0
        self.looking = 0
        self._waiting = []

    def monotonic(self):
        return self.now

    async def wait(self, event, seconds):
        """As `event_stream._set`, by this clock."""
        passed = asyncio.Event()
        self._waiting.append((float("inf") if seconds is None else self.now + seconds, passed))
        waits = [asyncio.ensure_future(each.wait()) for each in (event, passed)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        return event.is_set()

    async def advance(self, seconds):
        """Move on second by second, each time until nothing more is asked."""
        for _ in range(seconds):
            self.now += 1
            for until, passed in self._waiting:
                if until <= self.now:
                    passed.set()
            self._waiting = [each for each in self._waiting if not each[1].is_set()]
            await self.settle()

    async def settle(self):
        for _ in range(20):
            await asyncio.sleep(0)
        while self.looking:
            await asyncio.sleep(0.001)


@pytest.fixture
def clock(monkeypatch):
    clock, look = Clock(), event_stream.Watcher._look

    async def counted(watcher):
        clock.looking += 1
        try:
            await look(watcher)
        finally:
            clock.looking -= 1

    for module in (event_stream, intervals):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic))
    monkeypatch.setattr(event_stream, "_set", clock.wait)
    monkeypatch.setattr(event_stream.Watcher, "_look", counted)
    monkeypatch.setattr(intervals, "LIFE_SECONDS", 1e9)
    return clock


@pytest.fixture
def jp_server_config(behind, token_file, kubernetes_api, in_pod, request):
    in_pod()
    if "where_workflows_are_watched" in request.node.name:
        kubernetes_api.allow(ALICE, "get list watch", "workflows", "alice", "argoproj.io")
    return server_config(endpoint=behind.endpoint, token_file=str(token_file), namespace="alice")


@pytest.fixture
def opened(listen, behind, kubernetes_api, clock):
    """Opens a panel: what it asks at first, and what it is told from then on."""

    async def opened():
        behind.add(1, noun="experiments")
        listener = await listen()
        runs = Namespace(behind, kubernetes_api, listener)
        for _ in range(GOING_ON):
            runs.start()
        for path in ("status", "namespaces", f"api{API}/runs?namespace=alice&page_size=20"):
            answer = await call("GET", f"{listener.address}/{path}", headers=listener.headers)
            assert answer.ok
        await clock.settle()
        return runs, Heard(listener)

    return opened


async def played(runs, clock, seen):
    """Play the ten minutes; `seen` waits for a change to be seen before the next one."""
    for number in range(1, MINUTES * 60 // CHANGE_SECONDS + 1):
        await runs.change(number)
        await seen()
        await clock.advance(CHANGE_SECONDS)


def asked(behind):
    """The questions that KFP asks Kubernetes about."""
    return [each for each in behind.asked if each.method == "GET" and "healthz" not in each.path]


async def test_ten_minutes_ask_thirty_times_where_workflows_are_watched(
    kubernetes_api, behind, opened, clock
):
    runs, heard = await opened()

    async def seen():
        while {key: heard.states.get(key) for key in runs.states} != runs.states:
            await asyncio.sleep(0.001)

    await played(runs, clock, seen)
    heard.close()
    assert len(asked(behind)) <= 30


async def test_ten_minutes_ask_sixty_times_where_they_are_not(behind, opened, clock):
    runs, heard = await opened()
    begun = clock.now
    await played(runs, clock, clock.settle)
    heard.close()
    assert 40 < len(asked(behind)) <= 60
    assert len(asked(behind)) <= (clock.now - begun) * PER_SECOND / 20


async def test_an_end_is_seen_when_earlier_runs_of_the_pipeline_had_ended(
    behind, listen, clock, monkeypatch
):
    begun = datetime(2026, 1, 2, tzinfo=timezone.utc)
    monkeypatch.setattr(event_stream, "_now", lambda: begun + timedelta(seconds=clock.now))
    version = {"pipeline_version_reference": {"pipeline_version_id": "v1"}}
    for number, took in enumerate((590, 600, 700)):
        earlier = begun - timedelta(hours=number + 1)
        end = {"finished_at": (earlier + timedelta(seconds=took)).isoformat()}
        made = {"created_at": earlier.isoformat(), **end, **version}
        behind.runs[behind.add(number, "SUCCEEDED")] |= made
    run = behind.add(9)
    behind.runs[run] |= {"created_at": begun.isoformat(), **version}
    heard = Heard(await listen())
    await clock.settle()
    await clock.advance(599)
    asked_before = len(asked(behind))
    behind.runs[run]["state"] = "SUCCEEDED"
    await clock.advance(5)
    heard.close()
    assert heard.states[run] == "SUCCEEDED"
    assert asked_before < 50
