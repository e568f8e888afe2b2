"""A schedule in words, and the next moments at which it is due."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from . import cron
from .errors import BadRequest
from .models import Trigger

SHOWN = 5  # moments


def checked(text: str) -> str:
    """Return the expression if KFP reads it as the person meant it. Raises `BadRequest`.

    KFP reads seconds first. Five fields, which begin with minutes in other programs, are refused
    with the expression that was probably meant.
    """
    try:
        cron.parse(text)
    except cron.NotACron as error:
        raise BadRequest(
            f"{text!r} is not a cron expression: {error}.",
            cure="Write six fields, seconds first, such as '0 30 9 * * 1-5' for 9:30 on working "
            "days; or use an interval, such as --every 2h.",
        ) from None
    if note := cron.note(text):
        raise BadRequest(f"{text!r} has five fields.", cause=note)
    return text


def words(text: str) -> str:
    """Put a cron expression that KFP accepts into words; empty if there are none for it."""
    if text.startswith("@every "):
        return f"Every {text.removeprefix('@every ')}"
    from cron_descriptor import FormatError, MissingFieldError, Options, get_description

    options = Options()
    options.use_24hour_time_format = True
    fields = cron.DESCRIPTORS.get(text, text).split()
    if len(fields) != 6:
        return ""
    try:
        return str(get_description(" ".join(fields), options))
    except (FormatError, MissingFieldError, ValueError, LookupError):
        return ""


def every(seconds: int) -> str:
    """An interval in words."""
    units = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
    size, unit = next((size, unit) for size, unit in units if seconds % size == 0)
    count = seconds // size
    return f"Every {unit}" if count == 1 else f"Every {count} {unit}s"


def described(trigger: Trigger | None) -> str:
    """Put the schedule of a recurring run into words."""
    if trigger and trigger.cron_schedule:
        text = trigger.cron_schedule.cron
        phrase = words(text)
        return f"{phrase} ({text})" if phrase else text
    if trigger and trigger.periodic_schedule:
        return every(int(trigger.periodic_schedule.interval_second or 0) or 1)
    return "once, immediately"


def upcoming(trigger: Trigger | None, now: datetime, since: datetime) -> list[datetime]:
    """Return the next times at which it is due, in UTC, which KFP uses unless it is given a time
    zone.

    `since`: when the recurring run was created; intervals count from there.
    """
    schedule = trigger and (trigger.cron_schedule or trigger.periodic_schedule)
    if not trigger or not schedule:
        return []
    start = schedule.start_time or since
    end = int(schedule.end_time.timestamp()) if schedule.end_time else cron.LAST
    if trigger.periodic_schedule:
        seconds = int(trigger.periodic_schedule.interval_second or 0) or 1
        passed = max((now - start) // timedelta(seconds=seconds), 0)
        moment = int(start.timestamp()) + passed * seconds
        due = cron.Every(seconds)
    else:
        assert trigger.cron_schedule
        moment = int(max(now, start).timestamp())
        due = cron.parse(trigger.cron_schedule.cron)  # type: ignore[assignment]
    return moments(due, moment, end)


def moments(due: cron.Cron | cron.Every, moment: int, end: int = cron.LAST) -> list[datetime]:
    """The next moments after one, in UTC; it and `end` are in seconds since 1970."""
    found: list[datetime] = []
    while len(found) < SHOWN:
        following = due.next(moment, timezone.utc)
        if following is None or following > end:
            break
        moment = following
        found.append(datetime.fromtimestamp(moment, timezone.utc))
    return found
