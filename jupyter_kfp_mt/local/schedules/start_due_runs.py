"""Fire recurring runs: create a run whenever one is due."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from bisect import bisect_left, insort
from collections.abc import Callable
from datetime import datetime, timezone, tzinfo
from typing import Protocol

import msgspec

from ...models import Trigger
from ..machine.disk_faults import why
from ..wire.api_errors import ApiError
from .next_time import next_moment

__all__ = ["RecurringRunController", "RecurringRunStore", "Schedule", "run_name"]

# How many recurring runs are handled before control returns to the event loop.
ATTENDED_PER_TURN = 4
# A timer does not notice that the computer slept or that its clock was set; this check does.
MOST_SECONDS_ASLEEP = 30.0
# A smaller difference is not a step of the clock, but its regular correction.
STEP_SECONDS = 1.0
FAR_AHEAD_SECONDS = 3600.0
# Delays between attempts for the same time, if no run could be created. The last is repeated.
RETRY_SECONDS = (10, 20, 40, 80, 160, 320, 360)

logger = logging.getLogger(__name__)


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """An enabled recurring run, as the controller sees it."""

    recurring_run_id: str
    trigger: Trigger
    created_at: datetime
    # The scheduled time of its last run, which may be long before that run's creation.
    last_triggered: datetime | None = None
    no_catchup: bool = False
    max_concurrency: int = 1
    # The number of its unfinished runs.
    active: int = 0

    @property
    def full(self) -> bool:
        """True if one of its runs must end before the next may start."""
        return self.active >= self.max_concurrency


class RecurringRunStore(Protocol):
    """The part of the database that the controller needs."""

    def enabled_schedules(self) -> list[Schedule]: ...

    def schedule(self, recurring_run_id: str) -> Schedule | None:
        """The current state; None if it is disabled or deleted."""

    def set_error(self, recurring_run_id: str, text: str) -> None: ...


class RecurringRunController:
    """Calls `fire` with each due recurring run and the time at which it was due.

    `fire` creates the run and records the time in one transaction. If it raises, the time is tried
    again later. The controller belongs to the event loop, and calls the store on that thread.
    """

    def __init__(
        self,
        store: RecurringRunStore,
        fire: Callable[[str, datetime], None],
        zone: tzinfo = timezone.utc,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._fire = fire
        self._zone = zone
        self._clock = clock
        # The time of the last check, and the time since which the clock has not been set back.
        self._looked_at = self._right_since = clock()
        # Those that last fired while the clock was far ahead.
        self._ahead: set[str] = set()
        self._running = False
        self._timer: asyncio.TimerHandle | None = None
        # The planned time of each recurring run: by id, and ordered by time.
        self._planned: dict[str, float] = {}
        self._order: list[tuple[float, str]] = []
        # Consecutive failures of each.
        self._failures: dict[str, int] = {}

    def start(self) -> None:
        """Load every enabled recurring run, with times missed while the server was down."""
        self._running = True
        for schedule in self._store.enabled_schedules():
            # A lower bound; the actual time is computed when its turn comes.
            earliest = schedule.last_triggered or schedule.created_at
            self._put(schedule.recurring_run_id, earliest.timestamp())
        self._set_timer()

    def changed(self, recurring_run_id: str) -> None:
        """Handle a recurring run that was created, enabled, disabled or deleted."""
        self._put(recurring_run_id, self._clock())
        self._set_timer()

    def finished(self, recurring_run_id: str) -> None:
        """Handle the end of one of its runs: another may start."""
        if recurring_run_id not in self._failures:
            self.changed(recurring_run_id)

    def close(self) -> None:
        self._running = False
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._running and self._order:
            wait = self._order[0][0] - self._clock()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(min(wait, MOST_SECONDS_ASLEEP), 0), self._look)

    def _look(self) -> None:
        try:
            self._notice_clock()
            for _ in range(ATTENDED_PER_TURN):
                if not self._order or self._order[0][0] > self._clock():
                    break
                self._attend(self._order[0][1])
        finally:
            self._set_timer()

    def _notice_clock(self) -> None:
        """Check every recurring run again if the clock was set back, as plans are too far ahead."""
        now = self._clock()
        if now < self._looked_at - STEP_SECONDS:
            for recurring_run_id in list(self._planned):
                self._put(recurring_run_id, now)
            self._right_since = now
        self._looked_at = now

    def _attend(self, recurring_run_id: str) -> None:
        try:
            schedule = self._store.schedule(recurring_run_id)
            moment = self._next_moment(schedule) if schedule else None
            if moment and moment.timestamp() <= self._clock():
                # It stays first in the queue: its next time may have passed as well.
                self._fire(recurring_run_id, moment)
                self._ahead.discard(recurring_run_id)
            else:
                self._put(recurring_run_id, moment.timestamp() if moment else None)
            self._failures.pop(recurring_run_id, None)
        except Exception as error:  # Whatever it was, the other recurring runs continue.
            self._postpone(recurring_run_id)
            if reason := why(error):
                # The reason cannot be stored, either.
                logger.error("recurring run %s could not start a run: %s", recurring_run_id, reason)
                return
            unexpected = None if isinstance(error, ApiError) else error
            logger.error("recurring run %s: %s", recurring_run_id, error, exc_info=unexpected)
            self._store.set_error(recurring_run_id, str(error) or type(error).__name__)

    def _next_moment(self, schedule: Schedule) -> datetime | None:
        """The next time; None also while one of its runs must end first, which starts a check."""
        if schedule.full:
            return None
        last = schedule.last_triggered
        origin = self._passed(schedule.recurring_run_id, last or schedule.created_at)
        return next_moment(
            schedule.trigger,
            schedule.created_at if last else origin,
            origin if last else None,
            schedule.no_catchup,
            datetime.fromtimestamp(self._clock(), timezone.utc),
            self._zone,
        )

    def _passed(self, recurring_run_id: str, moment: datetime) -> datetime:
        """Correct a recorded time that is far ahead because the clock was set back since.

        The real controller waits until the clock has caught up. This one waits only a short while,
        so that it does not fire twice for one time.
        """
        if moment.timestamp() > self._clock() + FAR_AHEAD_SECONDS:
            self._ahead.add(recurring_run_id)
        if recurring_run_id not in self._ahead:
            return moment
        return datetime.fromtimestamp(self._right_since, timezone.utc)

    def _postpone(self, recurring_run_id: str) -> None:
        failures = self._failures.get(recurring_run_id, 0)
        self._failures[recurring_run_id] = failures + 1
        wait = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
        self._put(recurring_run_id, self._clock() + wait)

    def _put(self, recurring_run_id: str, moment: float | None) -> None:
        """Plan a recurring run for this time instead of the earlier plan; None: not at all."""
        planned = self._planned.pop(recurring_run_id, None)
        if planned is not None:
            del self._order[bisect_left(self._order, (planned, recurring_run_id))]
        if moment is not None:
            self._planned[recurring_run_id] = moment
            insort(self._order, (moment, recurring_run_id))


def run_name(display_name: str, recurring_run_id: str, index: int) -> str:
    """Return KFP's name of the index-th run, from 1: `daily-report3f2a9-1-2166136261`.

    The first part is the name of the Kubernetes object, which ends in five characters of its own.
    """
    lower = re.sub("[^a-z0-9-]+", "", display_name.lower()) or "job-"
    name = f"{lower[:25]}{recurring_run_id[:5]}-{index}"
    return f"{name}-{_fnv1a(name.encode())}"


def _fnv1a(data: bytes) -> int:
    digest = 0x811C9DC5
    for byte in data:
        digest = (digest ^ byte) * 0x01000193 % 2**32
    return digest
