"""A hundred notebook servers on one KFP that may ask Kubernetes five times a second, as by default.

They are played on a clock of their own, with the pace of the Jupyter server and the allowance of
the local KFP: twenty minutes take seconds. In the namespace of each many runs go on, and somebody
looks at them all the time, which is more than a hundred teams will ever do. Then five of them are
real, for a few minutes, to see that they ask as those do that are played.
"""

from __future__ import annotations

import heapq
import random
import statistics
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator

from jupyter_kfp_mt.extension.pace import SHARED, TOLD, Look, Pace
from jupyter_kfp_mt.local.api.allowance import Allowance

from .figures import Figure

SERVERS = 100
MINUTES, PLAYS = 20, 4
WARM_MINUTES = 5
# Between two changes of one namespace, on average.
CHANGE_SECONDS = 3.0
# Between two runs that begin or end in one.
NEW_SECONDS = 60.0
# How long a list takes on a KFP 2.17 that has nothing else to do, as measured on one, how long of
# that KFP reads and writes once it knows who asks, and how often somebody without any of this asks.
LIST_SECONDS, READ_SECONDS = 0.6, 0.2
# No list takes the same time: the standard deviation of what it takes more, as a part of it.
UNEVEN = 0.2
TENANT_SECONDS = 7.0
# What is asked for beside the runs, and how often.
OTHERS, OTHERS_SECONDS = 2, 900.0
# What a panel asks that does not watch its pace: once a second while something goes on.
PANELS, POLL_SECONDS = 10, 1.0

Waiting = Generator[float, float, None]


class Played:
    """A KFP and all who ask it, until the end of the time; the first minutes are not counted."""

    def __init__(
        self, seed: int, warm_minutes: float = WARM_MINUTES, minutes: float = MINUTES
    ) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self.begin = warm_minutes * 60.0
        self.end = self.begin + minutes * 60.0
        self.asked = 0
        self.lists: list[float] = []
        self.delays: list[float] = []
        self._allowance = Allowance(clock=lambda: self.clock)
        self._queue: list[tuple[float, int, Waiting]] = []
        self._count = 0

    def add(self, who: Waiting) -> None:
        self._put(next(who), who)

    def play(self) -> None:
        while self._queue and self._queue[0][0] < self.end:
            moment, _, who = heapq.heappop(self._queue)
            self.sleep_until(moment)
            self._put(who.send(self.now), who)

    @property
    def clock(self) -> float:
        return self.now

    def sleep_until(self, moment: float) -> None:
        self.now = moment

    @property
    def is_counted(self) -> bool:
        return self.clock >= self.begin

    def request(self) -> float:
        """Ask KFP something: the moment of the answer."""
        return self.now + self._allowance.reserve() + self.list_seconds()

    def list_seconds(self) -> float:
        """The time of a list once it need not wait any more."""
        return LIST_SECONDS * (1 + abs(self.random.gauss(0, UNEVEN)))

    def _put(self, when: float, who: Waiting) -> None:
        self._count += 1
        heapq.heappush(self._queue, (when, self._count, who))


def server(played: Played, told: bool) -> Waiting:
    """One that keeps the pace; `told`: Kubernetes tells it of changes, and KFP only of new runs."""
    begin = played.random.uniform(0, 60)
    pace = Pace(begin, TOLD if told else SHARED, played.random.random)
    changes = _moments(played, CHANGE_SECONDS)
    seen, others_at = begin, 0.0
    while True:
        due = pace.next()
        assert due is not None
        begun = yield max(due, played.now)
        requests = 1
        now = yield played.request()
        read = now - READ_SECONDS
        if begun >= others_at:
            others_at, requests = begun + OTHERS_SECONDS, 1 + OTHERS
            for _ in range(OTHERS):
                now = yield played.request()
        new = changes[bisect_right(changes, seen) : bisect_right(changes, read)]
        seen = read
        if played.is_counted:
            played.asked += requests
            played.delays += [read + READ_SECONDS - moment for moment in new]
        pace.looked(Look(begun, now - begun, requests, bool(new)))
        if told:
            # There is a new run, or an end, of which only KFP can tell the rest.
            pace.wanted(now + played.random.expovariate(1 / NEW_SECONDS))


def panel(played: Played) -> Waiting:
    """One that asks each second."""
    yield played.random.uniform(0, 60)
    while True:
        now = yield played.request()
        played.asked += played.is_counted
        yield now + POLL_SECONDS


def tenant(played: Played) -> Waiting:
    """Somebody who has nothing of this, and lists runs now and then."""
    yield 0.0
    while True:
        begun = yield played.now + played.random.expovariate(1 / TENANT_SECONDS)
        now = yield played.request()
        if played.is_counted:
            played.lists.append(now - begun)


def figures() -> Iterator[Figure]:
    alone = _played(lambda played: [])
    polled = _played(lambda played: [panel(played) for _ in range(PANELS)])
    yield _over(f"{PANELS} panels that ask each second", polled, alone, None)
    before = _played(lambda played: [panel(played)])
    yield Figure("1 panel that asks each second: requests in ten minutes", _in_ten_minutes(before))
    yield from _figures(alone, "told by Kubernetes", True, 30)
    yield from _figures(alone, "asking", False, 60)
    from . import real_servers  # which stands on this file

    yield from real_servers.figures(random.getrandbits(32), alone)


def _figures(alone: Played, name: str, told: bool, most: int) -> Iterator[Figure]:
    crowd = _played(lambda played: [server(played, told) for _ in range(SERVERS)])
    who = f"{SERVERS} servers {name}"
    yield Figure(f"{who}: requests a second", crowd.asked / (PLAYS * MINUTES * 60))
    yield _over(who, crowd, alone, 1.2)
    one, who = _played(lambda played: [server(played, told)]), f"1 server {name}"
    yield Figure(f"{who}: requests in ten minutes", _in_ten_minutes(one), most)
    if not told:
        yield Figure(f"{who}: a change is seen, median s", statistics.median(one.delays), 6.5)
        seconds = statistics.median(crowd.delays)
        yield Figure(f"{SERVERS} servers {name}: a change is seen, median s", seconds)


def _in_ten_minutes(one: Played) -> float:
    return one.asked / (PLAYS * MINUTES) * 10


def _over(who: str, crowd: Played, alone: Played, most: float | None) -> Figure:
    over = statistics.mean(crowd.lists) / statistics.mean(alone.lists)
    return Figure(f"{who}: another's list over one without them, mean", over, most)


def _played(crowd: Callable[[Played], list[Waiting]]) -> Played:
    """Several plays, with what was counted in all of them."""
    plays = [Played(random.getrandbits(32)) for _ in range(PLAYS)]
    for played in plays:
        for who in [tenant(played), *crowd(played)]:
            played.add(who)
        played.play()
    first, *others = plays
    for other in others:
        first.asked += other.asked
        first.lists += other.lists
        first.delays += other.delays
    return first


def _moments(played: Played, mean: float) -> list[float]:
    found, now = [], 0.0
    while (now := now + played.random.expovariate(1 / mean)) < played.end:
        found.append(now)
    return found
