"""The next time of a recurring run, by the rules of KFP's ScheduledWorkflow controller."""

from __future__ import annotations

import math
from datetime import datetime, timezone, tzinfo
from zoneinfo import ZoneInfo

from ... import cron
from ...errors import Misconfigured
from ...models import CronSchedule, PeriodicSchedule, Trigger
from ..wire.api_errors import invalid_input


def time_zone(name: str) -> tzinfo:
    """The time zone of cron expressions, by its IANA name; UTC without one."""
    if name in ("", "UTC"):
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Misconfigured(
            f"There is no time zone {name!r} on this machine.",
            cure="Write an IANA name, such as UTC or Europe/Berlin; if it is one, the package"
            " tzdata may be missing.",
        ) from None


def check(trigger: Trigger) -> None:
    """Refuse an invalid schedule, as the API server does."""
    if trigger.cron_schedule and trigger.periodic_schedule:
        raise invalid_input(
            "The request is not a valid message: a trigger has either a cron_schedule or a"
            " periodic_schedule, not both"
        )
    if trigger.cron_schedule:
        try:
            cron.parse(trigger.cron_schedule.cron)
        except cron.NotACron as error:
            raise invalid_input(
                "Schedule cron is not a supported format(https://godoc.org/github.com/robfig/cron)."
                f" Error: {error}"
            ) from None
    if trigger.periodic_schedule and (interval := _interval(trigger.periodic_schedule)) < 1:
        raise invalid_input(
            f"Found invalid period schedule interval {interval}. Set at interval to least 1 second"
        )


def next_moment(
    trigger: Trigger,
    created_at: datetime,
    last_triggered: datetime | None,
    no_catchup: bool,
    now: datetime,
    zone: tzinfo,
) -> datetime | None:
    """Return the time after the last one, missed or in the future; None for never.

    With `no_catchup`, several missed times of a cron schedule are reduced to the last one; those of
    a periodic schedule are replaced by the present time, or by the end if that has passed.
    """
    schedule = trigger.cron_schedule or trigger.periodic_schedule
    if schedule is None:
        return created_at if last_triggered is None else None
    # A start in the past counts: times missed since then are caught up.
    origin = _seconds(last_triggered or schedule.start_time or created_at)
    start = _seconds(schedule.start_time) if schedule.start_time else origin
    end = _seconds(schedule.end_time) if schedule.end_time else cron.LAST
    first = _first(schedule, origin, start, zone)
    if first is None or first > end:
        return None
    missed = first < _seconds(now)
    moment = (
        _stand_in(schedule, first, _seconds(now), end, zone) if no_catchup and missed else first
    )
    return datetime.fromtimestamp(moment, timezone.utc)


def _first(
    schedule: CronSchedule | PeriodicSchedule, origin: int, start: int, zone: tzinfo
) -> int | None:
    if isinstance(schedule, CronSchedule):
        return cron.parse(schedule.cron).next(max(origin, start), zone)
    return start if start > origin else origin + _interval(schedule)


def _stand_in(
    schedule: CronSchedule | PeriodicSchedule, first: int, now: int, end: int, zone: tzinfo
) -> int:
    """Return the time that replaces all missed ones, given the first of them."""
    if isinstance(schedule, CronSchedule):
        return cron.parse(schedule.cron).last(first, min(now, end), zone)
    return min(now, end) if first + _interval(schedule) <= now else first


def _interval(schedule: PeriodicSchedule) -> int:
    return int(schedule.interval_second or 0)


def _seconds(moment: datetime) -> int:
    return math.floor(moment.timestamp())
