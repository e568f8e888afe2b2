"""Live events: one watcher for each namespace with listeners, however many they are."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from datetime import datetime, timezone
from typing import TypeVar

import msgspec

from .. import intervals
from ..client.client import Client
from ..cluster.kubernetes_api import Cluster
from ..connection.event_reader import Changes, EventFailure, Removed
from ..connection.status import Problem
from ..errors import KfpError
from . import pace
from .expected_ends import next_end
from .live_runs import Ask, LiveRuns
from .own_changes import OwnChange, OwnChanges
from .watched_namespace import Look, NamespaceState

T = TypeVar("T")

THOROUGH = intervals.POLL_ALL_SECONDS
# The resources that belong to it: a change of one of them triggers a poll.
_SELDOM_CHANGED = re.compile(r"/(experiments|recurringruns|jobs)\b|[:/]retry\b")
# Events kept for slow or reconnecting listeners; one that missed more gets a new snapshot.
KEPT_EVENTS, KEPT_BYTES = 256, 1 << 20

_LOOKS_FOR = intervals.REPORTED_RUN_SECONDS
_SETTLED = intervals.REPORTED_END_SECONDS
_NOTHING = Removed()

ALIVE = b":\n\n"


class Events:
    """The watchers: each is started by its first listener and stopped after its last."""

    def __init__(self, ask: Ask, cluster: Callable[[], Cluster | None] = lambda: None) -> None:
        self._ask = ask
        self._cluster = cluster
        self._watchers: dict[str, Watcher] = {}

    async def listen(
        self, namespace: str, runs: frozenset[str] = frozenset(), last_id: str = ""
    ) -> AsyncGenerator[bytes, None]:
        """A stream of events, with the tasks of `runs`; from `last_id` on, if still known."""
        watcher = self._watchers.get(namespace)
        if watcher is None or watcher.ended:
            watcher = self._watchers[namespace] = Watcher(namespace, self._ask, self._cluster)
        watcher.join(runs)
        try:
            async for piece in watcher.stream(runs, last_id):
                yield piece
        finally:
            watcher.leave(runs)
            asyncio.get_running_loop().call_later(
                intervals.LINGER_SECONDS, self._drop, namespace, watcher
            )

    def _drop(self, namespace: str, watcher: Watcher) -> None:
        """Stop a watcher, unless a listener has returned in the meantime."""
        if not watcher.listeners:
            watcher.stop()
            if self._watchers.get(namespace) is watcher:
                del self._watchers[namespace]

    def changed(self, namespace: str, path: str, change: OwnChange | None = None) -> None:
        """Report a change made through this door by a request with this path, or poll at once.

        Without a namespace it may have been in any.
        """
        for watcher in self._watchers.values():
            if change and watcher.namespace == namespace and namespace:
                watcher.learn(change)
            elif not namespace or not watcher.namespace or watcher.namespace == namespace:
                watcher.wake(thorough=bool(_SELDOM_CHANGED.search(path)))

    def namespace_of(self, noun: str, identifier: str) -> str:
        """The namespace of an object that is listed in a watched namespace; else empty."""
        for namespace, watcher in self._watchers.items():
            if watcher.lists(noun, identifier):
                return namespace
        return ""

    def announce(self, name: str, data: object) -> None:
        """Send an event to every listener of this server."""
        for watcher in self._watchers.values():
            watcher.announce(name, data)

    def start_over(self) -> None:
        """End all streams, as another identity may not see the same events."""
        for watcher in self._watchers.values():
            watcher.stop(_RESET)
        self._watchers.clear()

    def close(self) -> None:
        """End all streams."""
        for watcher in self._watchers.values():
            watcher.stop()


class _Kept(msgspec.Struct, frozen=True):
    """An encoded event; one with a run id is for listeners that requested the run."""

    number: int
    text: bytes
    run_id: str = ""


class _Answer(msgspec.Struct, frozen=True):
    """The result of a poll: its source, the state, what was deleted, and whether KFP is local."""

    whose: tuple[str, ...]
    state: NamespaceState
    removed: Removed
    is_local: bool


class _Listener(msgspec.Struct):
    """A listener: the runs whose tasks it requested, and the last event or failure sent to it.

    `seen` is the number of that event; None until it has received a snapshot.
    """

    runs: Collection[str]
    seen: int | None
    problem: Problem | None = None


class Watcher:
    """Watches one namespace for all its listeners, and keeps its latest events.

    It polls KFP, and watches the cluster's Workflows where that is permitted. A listener is only
    the number of the last event sent to it, so a slow one delays nobody.
    """

    def __init__(self, namespace: str, ask: Ask, cluster: Callable[[], Cluster | None]) -> None:
        self.ended = False
        self.namespace = namespace
        self._ask = ask
        self._live = LiveRuns(namespace, ask, cluster, self._hear)
        self._name = secrets.token_hex(4)  # event ids of another watcher are invalid here
        self._own = OwnChanges()
        self._asked: NamespaceState | None = None  # as reported by KFP
        self._state: NamespaceState | None = None  # as sent to listeners
        self._unclaimed: set[str] = set()  # runs known only from Workflows
        self._problem: Problem | None = None
        self._whose: tuple[str, ...] = ()
        self._farewell = b""
        self.listeners = 0
        self._runs: Counter[str] = Counter()
        self._kept: deque[_Kept] = deque()
        self._bytes = 0
        self._newest = 0
        self._shared: tuple[object, NamespaceState | None, bytes] | None = None
        self._published = asyncio.Event()
        self._woken = asyncio.Event()
        self._pace = pace.Pace(time.monotonic(), pace.SHARED)
        self._thorough_at: float | None = None
        self._list_at = 0.0  # when to poll the whole list instead of single runs
        self._is_eager = False
        self._task: asyncio.Task[None] | None = None

    # --- listeners ------------------------------------------------------------------------

    def join(self, runs: Collection[str]) -> None:
        self.listeners += 1
        self._woken.set()
        self._runs.update(runs)
        self._live.view(self._runs)
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        elif runs and not self._knows(runs):
            self.wake()

    def leave(self, runs: Collection[str]) -> None:
        self.listeners -= 1
        self._runs -= Counter(runs)
        self._live.view(self._runs)

    def wake(self, thorough: bool = False) -> None:
        if thorough:
            self._thorough_at = None
        self._is_eager, self._list_at = True, 0.0
        self._pace.woken(time.monotonic())
        self._woken.set()

    def announce(self, name: str, data: object) -> None:
        """Send an event to current listeners; later ones request the value themselves."""
        self._publish(name, data)

    def lists(self, noun: str, identifier: str) -> bool:
        """Return True if the object is in the known state."""
        kinds = {"runs": "runs", "recurringruns": "recurring_runs", "experiments": "experiments"}
        return noun in kinds and identifier in getattr(self._state, kinds[noun], {})

    def learn(self, change: OwnChange) -> None:
        """Report a change that KFP has just made, whose outcome is known without a request."""
        now = time.monotonic()
        self._own.add(change, now)
        if self._asked is None or self._pace.bounds is pace.OWN:
            self.wake()  # a local KFP has no other clients, and continues at once
        elif not self._live.is_told:
            self._pace.stirred(now)
            self._woken.set()
        if self._asked is not None and self._problem is None:
            self._show(Removed(runs=[change.run_id] if change.gone else []))

    def stop(self, farewell: bytes = b"") -> None:
        self._live.close()
        if self._task:
            self._task.cancel()
        self._end(farewell)

    async def stream(self, runs: Collection[str], last_id: str) -> AsyncIterator[bytes]:
        """Yield the events for a listener, until its stream has reached its maximum age.

        At least every `KEEP_ALIVE_SECONDS` it gets a sign of life, even if nothing has changed.
        """
        listener = _Listener(runs, self._number(last_id, runs))
        piece, life = ALIVE, intervals.end_of_life()
        while time.monotonic() < life:
            if piece:
                yield piece
                alive_until = time.monotonic() + intervals.KEEP_ALIVE_SECONDS
            published = self._published
            piece = self._news(listener)
            if not piece and self.ended:
                yield self._farewell
                return
            left = min(alive_until, life) - time.monotonic()
            if not piece and not await _set(published, left):
                piece = ALIVE

    def _news(self, listener: _Listener) -> bytes:
        """The events that a listener has not received yet."""
        runs, seen = listener.runs, listener.seen
        if seen is not None and seen >= self._newest - len(self._kept):
            listener.seen = self._newest
            return self._after(seen, runs)
        if self._knows(runs):
            listener.seen = self._newest
            return self._snapshot(runs)
        listener.seen = None
        if self._problem is None or self._problem == listener.problem:
            return b""
        listener.problem = self._problem
        return _sent("error", _failure(self._problem))

    def _number(self, last_id: str, runs: Collection[str]) -> int | None:
        """The number of the last event that a listener received; None if it needs a snapshot."""
        name, _, number = last_id.partition("-")
        known = name == self._name and number.isdecimal() and self._knows(runs)
        return int(number) if known and int(number) <= self._newest else None

    def _knows(self, runs: Collection[str]) -> bool:
        return self._state is not None and self._state.watched.keys() >= set(runs)

    def _snapshot(self, runs: Collection[str]) -> bytes:
        """A snapshot with the tasks of these runs; simultaneous listeners share it."""
        key = self._newest, frozenset(runs), self._problem
        if self._shared is None or self._shared[0] != key or self._shared[1] is not self._state:
            self._shared = key, self._state, self._new_snapshot(runs)
        return self._shared[2]

    def _new_snapshot(self, runs: Collection[str]) -> bytes:
        assert self._state
        failures = [self._state.watched[run_id] for run_id in runs]
        failures += [_failure(self._problem)] if self._problem else []
        errors = [_sent("error", each) for each in failures if isinstance(each, EventFailure)]
        return b"".join([self._numbered("snapshot", self._state.everything(runs)), *errors])

    def _after(self, number: int, runs: Collection[str]) -> bytes:
        later = (kept for kept in self._kept if kept.number > number)
        return b"".join(kept.text for kept in later if not kept.run_id or kept.run_id in runs)

    # --- polling ---------------------------------------------------------------------------

    async def _watch(self) -> None:
        try:
            while not self.ended:
                await self._look()
                await self._rest()
        finally:
            self._live.close()
            self._end()

    async def _rest(self) -> None:
        """Wait until the next poll is due; with no listeners, until one joins."""
        while True:
            self._woken.clear()
            due, now = self._pace.next(bool(self.listeners)), time.monotonic()
            if due is not None and due <= now:
                return
            await _set(self._woken, None if due is None else due - now)

    async def _look(self) -> None:
        """Poll the runs, or a single wanted one, and record what the requests took."""
        begun, newest, self._requests = time.monotonic(), self._newest, 0
        self._is_eager = False
        sought = self._sought(begun)
        failed = False
        try:
            if len(sought) == 1 and begun < self._list_at:
                (run_id,) = sought
                await self._ask_for(lambda look: look.one(run_id))
            else:
                await self._ask_all(begun)
        except KfpError as error:
            failed, self._thorough_at, self._list_at = True, None, 0.0
            self._fail(Problem.of(error))
        took, changed = time.monotonic() - begun, self._newest > newest and not failed
        self._pace.looked(pace.Look(begun, took, self._requests, changed, failed))
        if self._is_eager:  # the response may be older than the change
            self._pace.woken(time.monotonic())
        if self._known is not None and not failed:
            self._miss(sought)
        self._want()

    async def _ask_all(self, begun: float) -> None:
        """Poll the runs, and then what seldom changes, if that is due."""
        is_first = self._state is None
        thorough = self._thorough_at is None or begun - self._thorough_at >= THOROUGH
        again = thorough and not is_first
        self._list_at = begun + self._pace.bounds.shortest
        await self._ask_runs(older=again, again=again)
        if thorough and not self.ended:
            self._thorough_at = begun
            await self._ask_others(is_first)

    def _sought(self, now: float) -> set[str]:
        """The runs that only KFP knows in full: new ones, and those that have ended."""
        if self._known is None or not self._live.is_told:
            return set()
        unknown = self._live.unknown(self._known)
        new = {run_id for run_id, looks in unknown.items() if looks < len(_LOOKS_FOR)}
        return new | self._live.unsettled()

    def _miss(self, sought: Collection[str]) -> None:
        """Count a failed attempt for each of these runs that KFP still does not know."""
        assert self._known
        missed = self._live.unknown(self._known).keys() & sought
        self._live.missed(missed)
        if missed:
            self._show()

    async def _ask_runs(self, older: bool, again: bool = False) -> None:
        watched, begun = frozenset(self._runs), time.monotonic()
        await self._ask_for(lambda look: look.runs(watched, older, again), begun)

    async def _ask_others(self, is_first: bool) -> None:
        """Poll what follows the first page, for which a listener is waiting."""
        assert self._state
        if is_first and self._state.total_runs > len(self._state.runs):
            await self._ask_for(lambda look: look.older())
        await self._ask_for(lambda look: look.others())

    async def _ask_for(
        self, part: Callable[[Look], tuple[NamespaceState, Removed]], listed_at: float = 0.0
    ) -> None:
        """Adopt a response of KFP's; `listed_at` is when all runs were requested, if so."""
        before = self._asked or NamespaceState()

        def question(client: Client) -> _Answer:
            look = Look(client, self.namespace, before)
            try:
                state, removed = part(look)
            finally:
                self._requests += look.requests
            return _Answer(_whose(client), state, removed, client.health().local)

        answer: _Answer = await self._ask(question)
        if self._whose and answer.whose != self._whose:
            self._end(_RESET)
            return
        self._whose = answer.whose
        if not answer.is_local:
            self._live.start()
        told = pace.TOLD if self._live.is_told else pace.SHARED
        self._pace.keep(pace.OWN if answer.is_local else told)
        self._own.settle(listed_at)
        self._succeed(answer.state, answer.removed)

    def _fail(self, problem: Problem) -> None:
        if problem != self._problem:
            self._problem = problem
            self._publish("error", _failure(problem))

    def _succeed(self, state: NamespaceState, removed: Removed) -> None:
        self._asked = state
        if self._problem:
            self._problem = None
            self._publish("back", {})
        self._show(removed)

    @property
    def _known(self) -> NamespaceState | None:
        """The state reported by KFP in all of its responses."""
        return None if self._asked is None else self._own.over(self._asked)

    def _show(self, removed: Removed = _NOTHING) -> None:
        """Publish the differences to the state that was last published."""
        known = self._known
        assert known
        self._live.settle(known)
        before, self._state = self._state, self._live.over(known)
        # A Workflow that turned out not to be a run of this KFP was shown for a moment.
        gone = sorted(self._unclaimed - self._state.runs.keys())
        self._unclaimed = self._state.runs.keys() - known.runs.keys()
        if gone:
            removed = msgspec.structs.replace(removed, runs=[*removed.runs, *gone])
        if before is not None:
            self._tell(before, self._state, removed)
        self._announce()

    def _hear(self, unsure: bool) -> None:
        """Handle news from Kubernetes; `unsure`: only KFP knows what became of some runs."""
        if self._asked is not None and self._problem is None:
            self._show()
        self._pace.keep(pace.TOLD if self._live.is_told else pace.SHARED)
        if unsure:
            self._list_at = 0.0
            self._pace.wanted(time.monotonic())
        self._want()
        self._woken.set()

    def _want(self) -> None:
        """Schedule a poll for the runs that only KFP knows in full, or that may have ended."""
        if self._known is None:
            return
        if not self._live.is_told:
            self._expect(self._known)
            return
        looks = self._live.unknown(self._known).values()
        delays = [_LOOKS_FOR[many] for many in looks if many < len(_LOOKS_FOR)]
        if self._live.unsettled():
            delays.append(_SETTLED)
        if delays:
            self._pace.wanted(time.monotonic() + min(delays))

    def _expect(self, known: NamespaceState) -> None:
        seconds = next_end(known.runs.values(), _now())
        if seconds is not None:
            seconds = max(seconds, self._pace.bounds.shortest)
            self._pace.wanted(time.monotonic() + seconds)

    def _tell(self, before: NamespaceState, state: NamespaceState, removed: Removed) -> None:
        """Publish the changes between two states."""
        # Task events come first: a listener that waits for the end of a run then has all its tasks.
        for run_id, news in state.of_watched(before):
            self._publish("error" if isinstance(news, EventFailure) else "changed", news, run_id)
        if (changes := state.since(before)) != Changes():
            self._publish("changed", changes)
        if removed != Removed():
            self._publish("removed", removed)

    def _publish(self, name: str, data: object, run_id: str = "") -> None:
        self._newest += 1
        kept = _Kept(self._newest, self._numbered(name, data), run_id)
        self._kept.append(kept)
        self._bytes += len(kept.text)
        while len(self._kept) > KEPT_EVENTS or self._bytes > KEPT_BYTES:
            self._bytes -= len(self._kept.popleft().text)
        self._announce()

    def _announce(self) -> None:
        self._published.set()
        self._published = asyncio.Event()

    def _numbered(self, name: str, data: object) -> bytes:
        return f"id: {self._name}-{self._newest}\n".encode() + _sent(name, data)

    def _end(self, farewell: bytes = b"") -> None:
        if not self.ended:
            self.ended, self._farewell = True, farewell
            self._announce()


def _whose(client: Client) -> tuple[str, ...]:
    """The source of a state: the endpoint of KFP, and the identity of the requests."""
    credentials = client.credentials
    claims = credentials.claims()
    return client.endpoint, credentials.source, claims.sub or claims.email


def _failure(problem: Problem) -> EventFailure:
    return EventFailure(**msgspec.structs.asdict(problem))


def _sent(name: str, data: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))


_RESET = _sent("reset", {})


async def _set(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait for an event; return whether it was set in time."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except asyncio.TimeoutError:
        return False
    return True


def _now() -> datetime:
    return datetime.now(timezone.utc)
