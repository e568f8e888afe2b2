"""When to ask KFP next: soon after something changed, seldom while nothing does, always little.

A KFP on a cluster answers about five requests a second for all its users together: each waits for
two reviews that Kubernetes is asked for. So what one namespace is asked about has a budget, which
what was not used of it adds to; and how long an answer takes tells how many others wait.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec


class Bounds(msgspec.Struct, frozen=True):
    """Bounds of what may be asked, in requests and seconds.

    Of a budget of one request for each `budget` seconds `saved` may be kept, and for somebody who
    has just changed something `owed` taken before they are there. Between two looks are at least
    `shortest` and at most `longest` seconds.
    """

    budget: float
    saved: float = 3.0
    owed: float = 1.0
    shortest: float = 2.0
    longest: float = 240.0


# Of the 60 requests that ten minutes may take, three may come at once, and a panel that is opened
# asks two or three itself.
SHARED = Bounds(600 / 54)
# Where Kubernetes tells of changes, at most 30: KFP is asked for what it does not tell, which comes
# together.
TOLD = Bounds(600 / 20, saved=6.0, owed=2.0, shortest=120.0)
# A KFP on this machine has nobody else to answer.
OWN = Bounds(0.5, shortest=1.0, longest=5.0)

# After so many seconds in which nothing changed, the next look is a tenth of them away.
PATIENCE = 10.0
# The first pause after a look that failed, which each further one doubles. For about as long as
# those who wait are patient (`intervals.PATIENCE_SECONDS`) the next look is never far away.
RETRY = 1.0
RETRY_SOON, SOON_FAILURES = 30.0, 7
# How much of the time one of our questions may be waiting for its answer. Of five requests a second
# the budget of a namespace takes a fiftieth, and less the longer the answers take.
MOST_BUSY = 1 / 10
# An answer that takes so many seconds longer than the quickest did has waited behind others.
QUEUED = 0.1
# What pause and budget are stretched by after an answer that has waited, and after one that has
# not: `python -m bench crowd` plays what comes of it.
SLOWER, QUICKER = 2.0, 0.93
SLOWEST = 32.0
# Servers that were started at the same moment do not go on asking at the same moments.
JITTER = 0.1


class Look(msgspec.Struct, frozen=True):
    """A look at KFP: when it began, what it took (in seconds, and in requests), whether
    there was something new, and whether there was an answer at all.
    """

    at: float
    took: float
    requests: int = 1
    changed: bool = False
    failed: bool = False

    @property
    def end(self) -> float:
        return self.at + self.took


class Pace:
    """The pace at which one namespace is looked at. All times are those of one clock, in seconds.

    It does not ask, and knows no clock: whoever asks tells it what came of it.
    """

    def __init__(
        self,
        now: float,
        bounds: Bounds = SHARED,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.bounds = bounds
        self._jitter = jitter
        self._saved, self._counted_at = bounds.saved, now
        self._next = now
        self._changed_at = now
        self._quickest = float("inf")
        self._slowness = 1.0
        self._failures = 0

    def next(self, is_seen: bool = True) -> float | None:
        """The moment of the next look; None where nobody sees what it would find."""
        return self._next if is_seen else None

    def keep(self, bounds: Bounds) -> None:
        """Go on within other bounds, under which more or less may be saved."""
        self._saved += bounds.saved - self.bounds.saved
        self.bounds = bounds

    def looked(self, look: Look) -> None:
        """A look has been made: when the next one is due follows from it."""
        self._pay(look.end, look.requests)
        self._failures = self._failures + 1 if look.failed else 0
        if look.changed:
            self._changed_at = look.end
        self._weigh(look)
        pause = self._pause(look.end) * self._slowness * (1 + JITTER * self._jitter())
        busy = look.took / MOST_BUSY - look.took
        pause = min(max(pause, busy), self.bounds.longest)
        self._next = look.end + max(pause, self._until_saved(1.0))

    def woken(self, now: float) -> None:
        """Somebody has changed something here: look at once, and again soon."""
        self._count(now)
        self._changed_at = now
        self._next = min(self._next, now + self._until_saved(1.0 - self.bounds.owed))

    def stirred(self, now: float) -> None:
        """Somebody has changed something here, and what it is now is known: look again soon."""
        self._changed_at = now
        self.wanted(now + self.bounds.shortest)

    def wanted(self, at: float) -> None:
        """Only KFP can tell what there is to be known at a moment: look then, within the budget."""
        self._count(at)
        self._next = min(self._next, at + self._until_saved(1.0))

    def _weigh(self, look: Look) -> None:
        """Learn from how long an answer took how many others wait for theirs."""
        if look.failed:
            return
        each = look.took / max(look.requests, 1)
        waited = each > self._quickest + QUEUED
        self._quickest = min(self._quickest, each)
        self._slowness = min(max(self._slowness * (SLOWER if waited else QUICKER), 1.0), SLOWEST)

    def _pause(self, now: float) -> float:
        if self._failures:
            pause = RETRY * 2.0 ** min(self._failures, 10)
            return min(pause, RETRY_SOON) if self._failures <= SOON_FAILURES else pause
        return max((now - self._changed_at) / PATIENCE, self.bounds.shortest)

    def _pay(self, now: float, requests: int) -> None:
        self._count(now)
        self._saved -= requests

    def _count(self, now: float) -> None:
        earned = max(0.0, now - self._counted_at) / (self.bounds.budget * self._slowness)
        self._saved = min(self._saved + earned, self.bounds.saved)
        self._counted_at = max(self._counted_at, now)

    def _until_saved(self, requests: float) -> float:
        """The seconds until there are so many."""
        return max(0.0, requests - self._saved) * self.bounds.budget * self._slowness
