"""Durations and times as people write them: `2d`, `1h30m`, `2026-11-01`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from ..errors import BadRequest

_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 86400),
}
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([a-z]+)\s*")


def span(text: str, option: str) -> timedelta:
    """The duration that `2d`, `90s` or `1h30m` stands for. Raises `BadRequest`."""
    rest, seconds = text.strip().lower(), 0.0
    while rest and (part := _PART.match(rest)) and part[2] in _UNITS:
        seconds, rest = seconds + float(part[1]) * _UNITS[part[2]], rest[part.end() :]
    if rest or not seconds:
        raise BadRequest(
            f"{option} {text} is not a duration: write it as 90s, 30min, 2h, 1h30m or 2d."
        )
    return timedelta(seconds=seconds)


def since(given: str | timedelta | datetime, option: str = "--since") -> datetime:
    """Return a time, given as such or as how long ago it was. Raises `BadRequest`."""
    told = _told(given, option) if isinstance(given, str) else given
    try:
        moment = told if isinstance(told, datetime) else datetime.now(timezone.utc) - told
    except OverflowError:
        raise BadRequest(f"{option} leads to a time before the year 1.") from None
    return moment.astimezone(timezone.utc)


def _told(text: str, option: str) -> timedelta | datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        return span(text, option)
    except BadRequest:
        raise BadRequest(
            f"{option} {text} is neither a duration nor a date: write it as 90min, 2d, 2026-11-29 "
            "or 2026-11-29T08:30."
        ) from None
