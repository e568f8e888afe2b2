"""Live events: one watcher for each namespace that somebody listens to, however many listen."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from typing import Any, Protocol, TypeVar

import msgspec

from .. import intervals
from ..client.client import Client
from ..connection.event_reader import Changes, EventFailure, Removed
from ..connection.status import Problem
from ..errors import KfpError
from .watched_namespace import NamespaceState, look

T = TypeVar("T")

# From one look to the next: while something goes on, at most, and between two in any case.
FAST, SLOW, SHORTEST = 1.0, 30.0, 0.5
# How often to ask for what seldom changes, and for runs that were started again.
THOROUGH = 15.0
# What is kept for listeners that are slow or were away; who missed more gets a new snapshot.
KEPT_EVENTS, KEPT_BYTES = 256, 1 << 20

ALIVE = b":\n\n"


class Ask(Protocol):
    """How a question is put to KFP. See `Upstream.ask`."""

    async def __call__(self, question: Any) -> Any: ...


class Events:
    """The watchers: each is started by its first listener and stopped after its last."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._watchers: dict[str, Watcher] = {}

    async def listen(
        self, namespace: str, runs: frozenset[str] = frozenset(), last_id: str = ""
    ) -> AsyncGenerator[bytes, None]:
        """A stream of events, with the tasks of `runs`; from `last_id` on, if that is known yet."""
        watcher = self._watchers.get(namespace)
        if watcher is None or watcher.ended:
            watcher = self._watchers[namespace] = Watcher(namespace, self._ask)
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
        """Stop it, if nobody has come back meanwhile."""
        if not watcher.listeners:
            watcher.stop()
            if self._watchers.get(namespace) is watcher:
                del self._watchers[namespace]

    def wake(self) -> None:
        """Something was changed through this door: look at once."""
        for watcher in self._watchers.values():
            watcher.wake(thorough=True)

    def close(self) -> None:
        """End all streams."""
        for watcher in self._watchers.values():
            watcher.stop()


class _Kept(msgspec.Struct, frozen=True):
    """An event as it is sent; those of a run are for whoever asked for it."""

    number: int
    text: bytes
    run_id: str = ""


class _Listener(msgspec.Struct):
    """The runs whose tasks it asked for, and what it was last told: an event, or why there is none.

    `seen` is the number of that event; None until it has been told everything.
    """

    runs: Collection[str]
    seen: int | None
    problem: Problem | None = None


class Watcher:
    """Looks at one namespace for all who listen to it, and keeps what it last told.

    A listener is nothing but the number of the last event it was given: a slow one holds up nobody.
    """

    def __init__(self, namespace: str, ask: Ask) -> None:
        self.ended = False
        self._namespace = namespace
        self._ask = ask
        self._name = secrets.token_hex(4)  # numbers of another watcher mean nothing to this one
        self._state: NamespaceState | None = None
        self._problem: Problem | None = None
        self._whose: tuple[str, ...] = ()
        self._farewell = b""
        self.listeners = 0
        self._runs: Counter[str] = Counter()
        self._kept: deque[_Kept] = deque()
        self._bytes = 0
        self._newest = 0
        self._published = asyncio.Event()
        self._woken = asyncio.Event()
        self._pace, self._failures, self._thorough_at = FAST, 0, 0.0
        self._task: asyncio.Task[None] | None = None

    # --- its listeners ------------------------------------------------------------------------

    def join(self, runs: Collection[str]) -> None:
        self.listeners += 1
        self._runs.update(runs)
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        elif runs and not self._knows(runs):
            self.wake()

    def leave(self, runs: Collection[str]) -> None:
        self.listeners -= 1
        self._runs -= Counter(runs)

    def wake(self, thorough: bool = False) -> None:
        if thorough:
            self._thorough_at = 0.0
        self._woken.set()

    def stop(self) -> None:
        if self._task:
            self._task.cancel()
        self._end()

    async def stream(self, runs: Collection[str], last_id: str) -> AsyncIterator[bytes]:
        """All that a listener is to be told, until its stream has lived long enough.

        It is told at least every `KEEP_ALIVE_SECONDS` that the door is there: looks that find
        nothing new are no reason to be silent.
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
        """The news for it now, if there is something."""
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
        """The number of the last event that a listener was given; None if it needs a snapshot."""
        name, _, number = last_id.partition("-")
        known = name == self._name and number.isdecimal() and self._knows(runs)
        return int(number) if known and int(number) <= self._newest else None

    def _knows(self, runs: Collection[str]) -> bool:
        return self._state is not None and self._state.watched.keys() >= set(runs)

    def _snapshot(self, runs: Collection[str]) -> bytes:
        assert self._state
        failures = [self._state.watched[run_id] for run_id in runs]
        failures += [_failure(self._problem)] if self._problem else []
        errors = [_sent("error", each) for each in failures if isinstance(each, EventFailure)]
        return b"".join([self._numbered("snapshot", self._state.everything(runs)), *errors])

    def _after(self, number: int, runs: Collection[str]) -> bytes:
        later = (kept for kept in self._kept if kept.number > number)
        return b"".join(kept.text for kept in later if not kept.run_id or kept.run_id in runs)

    # --- what it does ---------------------------------------------------------------------------

    async def _watch(self) -> None:
        try:
            while not self.ended:
                self._woken.clear()
                started = time.monotonic()
                await self._look(started)
                took = time.monotonic() - started
                # A KFP that is slow to answer is asked less.
                pause = max(self._pause() - took, min(took, SLOW), SHORTEST)
                await asyncio.sleep(SHORTEST)
                await _set(self._woken, pause - SHORTEST)
        finally:
            self._end()

    async def _look(self, now: float) -> None:
        before, watched = self._state or NamespaceState(), frozenset(self._runs)
        thorough = self._state is None or now - self._thorough_at >= THOROUGH
        self._thorough_at = now if thorough else self._thorough_at

        def question(client: Client) -> tuple[tuple[str, ...], NamespaceState, Removed]:
            return _whose(client), *look(client, self._namespace, before, watched, thorough)

        try:
            whose, state, removed = await self._ask(question)
        except KfpError as error:
            self._thorough_at = 0.0
            self._fail(Problem.of(error))
            return
        if self._whose and whose != self._whose:
            self._end(_sent("reset", {}))
            return
        self._whose = whose
        self._succeed(state, removed)

    def _fail(self, problem: Problem) -> None:
        self._failures += 1
        if problem != self._problem:
            self._problem = problem
            self._publish("error", _failure(problem))

    def _succeed(self, state: NamespaceState, removed: Removed) -> None:
        before, self._state, self._failures = self._state, state, 0
        if self._problem:
            self._problem = None
            self._publish("back", {})
        changed = before is not None and self._tell(before, state, removed)
        self._pace = FAST if changed or state.busy else min(self._pace * 1.5, SLOW)
        self._announce()

    def _tell(self, before: NamespaceState, state: NamespaceState, removed: Removed) -> bool:
        """Publish what is new: whether there is something."""
        newest = self._newest
        # Those of a run come first: who waits for its end then has its last tasks already.
        for run_id, news in state.of_watched(before):
            self._publish("error" if isinstance(news, EventFailure) else "changed", news, run_id)
        if (changes := state.since(before)) != Changes():
            self._publish("changed", changes)
        if removed != Removed():
            self._publish("removed", removed)
        return self._newest > newest

    def _pause(self) -> float:
        return min(FAST * 2.0 ** min(self._failures, 10), SLOW) if self._failures else self._pace

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
    """Whose namespace it is: where KFP is, and as whom it is asked."""
    credentials = client.credentials
    claims = credentials.claims()
    return client.endpoint, credentials.source, claims.sub or claims.email


def _failure(problem: Problem) -> EventFailure:
    return EventFailure(**msgspec.structs.asdict(problem))


def _sent(name: str, data: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))


async def _set(event: asyncio.Event, seconds: float) -> bool:
    """Whether it was set in time."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except asyncio.TimeoutError:
        return False
    return True
