"""When to poll KFP next: soon after a change, rarely while nothing changes, and never too often.

KFP on a cluster answers about five requests a second for all its users together, as each needs two
access reviews by Kubernetes. So each namespace has a budget of requests, of which an unused part
can be saved; and the response time shows how many other requests are waiting.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from .. import intervals


class Bounds(msgspec.Struct, frozen=True):
    """Limits of polling, in requests and seconds.

    The budget is one request per `budget` seconds. Up to `saved` unused requests are kept; after a
    change by the user up to `owed` are taken in advance. Two polls are at least `shortest` and at
    most `longest` seconds apart.
    """

    budget: float
    saved: float = 3.0
    owed: float = 1.0
    shortest: float = intervals.POLL_SECONDS[0]
    longest: float = intervals.POLL_SECONDS[1]


def _apart(seconds: tuple[float, float]) -> dict[str, float]:
    return dict(zip(("shortest", "longest"), seconds, strict=True))


# 60 requests in ten minutes, of which three may come at once; opening a panel takes two or three
# itself.
SHARED = Bounds(600 / 54, **_apart(intervals.POLL_SECONDS))
# If Kubernetes reports changes, at most 30: KFP is asked only for the rest, in bursts.
TOLD = Bounds(600 / 20, saved=6.0, owed=2.0, **_apart(intervals.POLL_REPORTED_SECONDS))
# The local KFP has no other users.
OWN = Bounds(0.5, **_apart(intervals.POLL_LOCAL_SECONDS))

# After a time without changes, the next poll follows after a tenth of that time.
PATIENCE = 10.0
# The first pause after a failed poll; each further failure doubles it. While callers still wait
# (`intervals.PATIENCE_SECONDS`) the next poll is never far away.
RETRY = intervals.POLL_RETRY_SECONDS
RETRY_SOON, SOON_FAILURES = intervals.POLL_RETRY_SOON_SECONDS, 7
# The share of the time in which one of our requests may be waiting for a response. The budget of a
# namespace is a fiftieth of five requests a second, and less the longer responses take.
MOST_BUSY = 1 / 10
# A response has waited behind others for as long as it took more than the fastest, beyond QUEUED
# seconds and this part of the fastest: no KFP takes the same time always.
UNEVEN = 1 / 4
QUEUED = intervals.QUEUED_SECONDS
# The fastest counts for a while only: each poll adds a fiftieth to it.
FADING = 1.02
# The weight of the last response in the wait that is expected, and the wait with which pause and
# budget are four times as long. They grow with the square of the wait, up to a factor of SLOWEST:
# `python -m bench crowd` simulates the effect.
NEWEST = 1 / 4
FOURFOLD = 0.15
SLOWEST = 32.0
# Jitter: servers started at the same moment must not keep polling at the same moments.
JITTER = 0.1


class Look(msgspec.Struct, frozen=True):
    """One poll of KFP: its beginning, its cost in seconds and in requests, and its outcome."""

    at: float
    took: float
    requests: int = 1
    changed: bool = False
    failed: bool = False

    @property
    def end(self) -> float:
        return self.at + self.took


class Pace:
    """The pace at which one namespace is polled. All times are of one clock, in seconds.

    It sends no requests and reads no clock: the caller reports each poll to it.
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
        self._wait = 0.0
        self._failures = 0

    def next(self, is_seen: bool = True) -> float | None:
        """The time of the next poll; None if nobody would see its result."""
        return self._next if is_seen else None

    def keep(self, bounds: Bounds) -> None:
        """Change the bounds."""
        self._saved += bounds.saved - self.bounds.saved
        self.bounds = bounds

    def looked(self, look: Look) -> None:
        """Record a poll, and schedule the next one."""
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
        """Record a change by the user: poll at once, and again soon."""
        self._count(now)
        self._changed_at = now
        self._next = min(self._next, now + self._until_saved(1.0 - self.bounds.owed))

    def stirred(self, now: float) -> None:
        """Record a change by the user whose outcome is known: poll soon."""
        self._changed_at = now
        self.wanted(now + self.bounds.shortest)

    def wanted(self, at: float) -> None:
        """Request a poll at a given time, within the budget."""
        self._next = min(self._next, at + self._until_saved(1.0, at))

    def _weigh(self, look: Look) -> None:
        """Estimate from the response time how long requests wait at KFP."""
        if look.failed:
            return
        each = look.took / max(look.requests, 1)
        self._quickest = min(self._quickest * FADING, each)
        waited = max(0.0, each - self._quickest * (1 + UNEVEN) - QUEUED)
        self._wait += NEWEST * (waited - self._wait)

    @property
    def _slowness(self) -> float:
        """The factor for pause and budget."""
        return min((1 + self._wait / FOURFOLD) ** 2, SLOWEST)

    def _pause(self, now: float) -> float:
        if self._failures:
            pause = RETRY * 2.0 ** min(self._failures, 10)
            return min(pause, RETRY_SOON) if self._failures <= SOON_FAILURES else pause
        return max((now - self._changed_at) / PATIENCE, self.bounds.shortest)

    def _pay(self, now: float, requests: int) -> None:
        self._count(now)
        self._saved -= requests

    def _count(self, now: float) -> None:
        self._saved, self._counted_at = self._saved_at(now), max(self._counted_at, now)

    def _saved_at(self, time: float) -> float:
        """The requests that are saved then, if none is sent before."""
        earned = max(0.0, time - self._counted_at) / (self.bounds.budget * self._slowness)
        return min(self._saved + earned, self.bounds.saved)

    def _until_saved(self, requests: float, since: float | None = None) -> float:
        """The seconds until this many requests are saved, from now or from another time on."""
        saved = self._saved if since is None else self._saved_at(since)
        return max(0.0, requests - saved) * self.bounds.budget * self._slowness
