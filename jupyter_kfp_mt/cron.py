"""Cron expressions as KFP reads them: seconds first, in the dialect of robfig/cron, version 1."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone, tzinfo
from fractions import Fraction
from functools import lru_cache

import msgspec

DAY = 24 * 3600
# The longest gap between two times of a schedule, in years: 29 February on a given day of the week,
# across 2100. A schedule that has no time in so many years has none at all.
MOST_YEARS = 41
# The dates that Python can express in every time zone.
FIRST = int(datetime(2, 1, 1, tzinfo=timezone.utc).timestamp())
LAST = int(datetime(9998, 12, 31, tzinfo=timezone.utc).timestamp())

STAR = ("*", "?")
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
WEEKDAYS = "sun mon tue wed thu fri sat".split()
DESCRIPTORS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "\u00b5s": 10**3,  # the micro sign, and the Greek letter
    "\u03bcs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
# An amount and its unit, as in `1.5h`.
DURATION_PART = re.compile(r"([0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})([^0-9.]*)")


# An expression that lists every number of every field is shorter.
LONGEST = 1000


class NotACron(ValueError):
    """A text that is not a cron expression; the message is that of KFP's own parser."""


class Cron(msgspec.Struct, frozen=True):
    """The values allowed in each field, ascending."""

    # True if the day of the month or of the week is a star: a day must then match both fields;
    # otherwise one of them is enough.
    both_days: bool
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]

    def next(self, after: int, zone: tzinfo) -> int | None:
        """Return the first time after this one, in Unix seconds; None if there is none.

        A time of day that is skipped when clocks change is skipped; one that occurs twice counts
        twice.
        """
        after = max(after, FIRST)
        if after >= LAST:
            return None
        for day in self._days(datetime.fromtimestamp(after, zone).date()):
            midnight = (day - date(1970, 1, 1)).days * DAY
            for start, end, offset in _stretches(day, zone):
                second = self._second_of_day(max(start, after + 1) + offset - midnight)
                if second is not None and midnight + second - offset < end:
                    return midnight + second - offset
        return None

    def last(self, first: int, limit: int, zone: tzinfo) -> int:
        """Return the last time up to the limit, given the first one."""
        # A binary search, as a schedule may have missed years of seconds. `found` is a time of the
        # schedule, which has none after `end`.
        found, end = first, limit
        while found < end:
            middle = (found + end) // 2
            moment = self.next(middle, zone)
            if moment is None or moment > limit:
                end = middle
            else:
                found = moment
        return found

    def _days(self, first: date) -> Iterator[date]:
        for year in range(first.year, min(first.year + MOST_YEARS, 9999)):
            for month in self.months:
                if (year, month) < (first.year, first.month):
                    continue
                for number in range(1, monthrange(year, month)[1] + 1):
                    day = date(year, month, number)
                    if day >= first and self._matches(day):
                        yield day

    def _matches(self, day: date) -> bool:
        matches = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return all(matches) if self.both_days else any(matches)

    def _second_of_day(self, earliest: int) -> int | None:
        return next(
            (
                hour * 3600 + minute * 60 + second
                for hour in self.hours
                if hour * 3600 + 3599 >= earliest
                for minute in self.minutes
                if hour * 3600 + minute * 60 + 59 >= earliest
                for second in self.seconds
                if hour * 3600 + minute * 60 + second >= earliest
            ),
            None,
        )


class Every(msgspec.Struct, frozen=True):
    """A schedule that repeats after a number of seconds."""

    seconds: int

    def next(self, after: int, zone: tzinfo) -> int | None:
        return after + self.seconds

    def last(self, first: int, limit: int, zone: tzinfo) -> int:
        return limit - (limit - first) % self.seconds


class _Field(msgspec.Struct, frozen=True):
    """The values that a field takes: numbers from `low` to `high`, or names for them."""

    low: int
    high: int
    names: dict[str, int] = {}


SIXTY = _Field(0, 59)
FIELDS = (
    SIXTY,
    SIXTY,
    _Field(0, 23),
    _Field(1, 31),
    _Field(1, 12, {name: number for number, name in enumerate(MONTHS, 1)}),
    _Field(0, 6, {name: number for number, name in enumerate(WEEKDAYS)}),
)


@lru_cache(maxsize=1024)
def parse(text: str) -> Cron | Every:
    """Parse an expression. Raises `NotACron` if KFP would refuse it."""
    if not text:
        raise NotACron("Empty spec string")
    if len(text) > LONGEST:
        raise NotACron(f"Expected at most {LONGEST} characters, found {len(text)}")
    if text.startswith("@every "):
        return Every(max(_nanoseconds(text) // 10**9, 1))
    if text.startswith("@") and text not in DESCRIPTORS:
        raise NotACron(f"Unrecognized descriptor: {text}")
    fields = DESCRIPTORS.get(text, text).split()
    if len(fields) not in (5, 6):
        raise NotACron(f"Expected 5 to 6 fields, found {len(fields)}: {text}")
    fields = [*fields, "*"][:6]  # the day of the week may be left out
    numbers = [_numbers(*pair) for pair in zip(fields, FIELDS, strict=True)]
    return Cron(_has_star(fields[3]) or _has_star(fields[5]), *numbers)


def note(text: str) -> str:
    """Warn about an expression that KFP accepts but that was probably meant differently: one with
    five fields.
    """
    fields = text.split()
    if len(fields) != 5:
        return ""
    second, minute, hour, day, month = fields
    warning = (
        f"KFP reads the cron {text!r} with its seconds first: second {second}, minute {minute}, "
        f"hour {hour}, day of the month {day}, month {month}, on any day of the week."
    )
    # The usual cron also calls Sunday 7.
    weekdays = ",".join("0" if item == "7" else item for item in month.split(","))
    usual = " ".join(["0", *fields[:4], weekdays])
    try:
        parse(usual)
    except NotACron:
        return warning
    return f"{warning} For the usual five-field cron write '{usual}'."


def _stretches(day: date, zone: tzinfo) -> Iterator[tuple[int, int, int]]:
    """Start, end and UTC offset of each part of a day; a day on which clocks change has two."""
    start, end = (_first_moment(each, zone) for each in (day, day + timedelta(days=1)))
    offset, last_offset = _offset(start, zone), _offset(end - 1, zone)
    if offset == last_offset:
        yield start, end, offset
    else:
        change = start + bisect_left(
            range(start, end), True, key=lambda moment: _offset(moment, zone) != offset
        )
        yield start, change, offset
        yield change, end, last_offset


def _first_moment(day: date, zone: tzinfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def _offset(moment: int, zone: tzinfo) -> int:
    offset = datetime.fromtimestamp(moment, zone).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def _numbers(text: str, field: _Field) -> tuple[int, ...]:
    numbers = {number for item in text.split(",") if item for number in _range(item, field)}
    return tuple(sorted(numbers))


def _has_star(text: str) -> bool:
    return any(re.split("[-/]", item)[0] in STAR for item in text.split(","))


def _range(item: str, field: _Field) -> range:
    """`7`, `1-5`, `*/15`, `10/15` (from 10 to the end), `1-5/2`; names where the field has some."""
    span, *steps = item.split("/")
    start, *ends = span.split("-")
    if start in STAR:
        low, high = field.low, field.high
    else:
        low = _number(start, field)
        if len(ends) > 1:
            raise NotACron(f"Too many hyphens: {item}")
        high = _number(ends[0], field) if ends else low
    if len(steps) > 1:
        raise NotACron(f"Too many slashes: {item}")
    step = _integer(steps[0]) if steps else 1
    if steps and not ends:
        high = field.high
    _check(item, low, high, step, field)
    return range(low, high + 1, step)


def _check(item: str, low: int, high: int, step: int, field: _Field) -> None:
    if low < field.low:
        raise NotACron(f"Beginning of range ({low}) below minimum ({field.low}): {item}")
    if high > field.high:
        raise NotACron(f"End of range ({high}) above maximum ({field.high}): {item}")
    if low > high:
        raise NotACron(f"Beginning of range ({low}) beyond end of range ({high}): {item}")
    if step == 0:
        raise NotACron(f"Step of range should be a positive number: {item}")


def _number(text: str, field: _Field) -> int:
    number = field.names.get(text.lower())
    return _integer(text) if number is None else number


def _integer(text: str) -> int:
    number = re.fullmatch("([+-]?)0*([0-9]+)", text)
    if not number:
        raise _unreadable(text, "invalid syntax")
    sign, digits = number.groups()
    if len(digits) > 19 or int(digits) >= 2**63:
        raise _unreadable(text, "value out of range")
    if sign == "-" and int(digits):
        raise NotACron(f"Negative number (-{int(digits)}) not allowed: {text}")
    return int(digits)


def _unreadable(text: str, reason: str) -> NotACron:
    return NotACron(
        f"Failed to parse int from {text}: strconv.Atoi: parsing {_quoted(text)}: {reason}"
    )


def _nanoseconds(text: str) -> int:
    """The duration after `@every`, as Go writes them: `1h30m`, `1.5h`, `90s`."""
    duration = text.removeprefix("@every ")

    def refusal(reason: str) -> NotACron:
        return NotACron(
            f"Failed to parse duration {text}: time: {reason}duration {_quoted(duration)}"
        )

    negative = duration.startswith("-")
    rest = duration[1:] if duration.startswith(("+", "-")) else duration
    if rest == "0":
        return 0
    if not rest:
        raise refusal("invalid ")
    total = Fraction(0)
    while rest:
        part = DURATION_PART.match(rest)
        if not part:
            raise refusal("invalid ")
        amount, unit = part.groups()
        if unit not in NANOSECONDS:
            raise refusal(f"unknown unit {_quoted(unit)} in " if unit else "missing unit in ")
        total += Fraction(amount) * NANOSECONDS[unit]
        rest = rest[part.end() :]
    if total >= 2**63:
        raise refusal("invalid ")
    return -int(total) if negative else int(total)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
