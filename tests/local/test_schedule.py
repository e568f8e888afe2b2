"""When the local KFP's recurring runs are due, and that they are fired then."""

import asyncio
import sqlite3
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import msgspec
import pytest

from jupyter_kfp_mt import cron
from jupyter_kfp_mt.errors import Misconfigured
from jupyter_kfp_mt.local.schedules.next_time import check, next_moment, time_zone
from jupyter_kfp_mt.local.schedules.start_due_runs import (
    ATTENDED_PER_TURN,
    MOST_SECONDS_ASLEEP,
    RETRY_SECONDS,
    RecurringRunController,
    Schedule,
    run_name,
)
from jupyter_kfp_mt.local.wire.api_errors import ApiError
from jupyter_kfp_mt.models import CronSchedule, PeriodicSchedule, Trigger

UTC = timezone.utc
BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


def at(text, zone=UTC):
    """`2024-01-01 09:00`, in the zone unless it tells its own."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def moments(text, after, count=1, zone=UTC):
    """The next moments of a cron expression."""
    found = []
    for _ in range(count):
        last = found[-1] if found else after
        moment = cron.parse(text).next(int(last.timestamp()), zone)
        if moment is None:
            break
        found.append(datetime.fromtimestamp(moment, zone))
    return found


def by_cron(text, start=None, end=None):
    return Trigger(cron_schedule=CronSchedule(cron=text, start_time=start, end_time=end))


def by_period(seconds, start=None, end=None):
    schedule = PeriodicSchedule(interval_second=str(seconds), start_time=start, end_time=end)
    return Trigger(periodic_schedule=schedule)


def due(trigger, last=None, no_catchup=False, now=MONDAY, created=MONDAY, zone=UTC):
    return next_moment(trigger, created, last, no_catchup, now, zone)


# After 2024-01-01 00:00 UTC, a Monday.
@pytest.mark.parametrize(
    "text, expected",
    [
        pytest.param("30 * * * * *", "2024-01-01 00:00:30", id="seconds come first"),
        pytest.param("0 0 9 * * *", "2024-01-01 09:00", id="daily"),
        pytest.param("0 0 0 * * *", "2024-01-02 00:00", id="later than the moment itself"),
        pytest.param("0 0 9 * * 3", "2024-01-03 09:00", id="on a weekday"),
        pytest.param("0 0 9 * * SUN", "2024-01-07 09:00", id="a weekday's name"),
        pytest.param("0 0 0 1 feb ?", "2024-02-01 00:00", id="a month's name"),
        pytest.param("0 */15 * * * *", "2024-01-01 00:15", id="steps"),
        pytest.param("0 20/25 * * * *", "2024-01-01 00:20", id="steps from a number to the end"),
        pytest.param("0 0 8-18/5 * * *", "2024-01-01 08:00", id="steps in a range"),
        pytest.param("5,10 0 7,3 * * *", "2024-01-01 03:00:05", id="lists"),
        pytest.param("0 0 0 * * tue-thu", "2024-01-02 00:00", id="a range of names"),
        pytest.param("0 0 0 10 * 5", "2024-01-05 00:00", id="day of month or of week"),
        pytest.param("0 0 0 4 * 5", "2024-01-04 00:00", id="day of week or of month"),
        pytest.param("0 0 0 */10 * 0", "2024-01-21 00:00", id="a star with steps: both must match"),
        pytest.param("0 0 0 1-31 * 5", "2024-01-02 00:00", id="every day is not a star"),
        pytest.param("0 0 0 ? * 5", "2024-01-05 00:00", id="question mark for the day"),
        pytest.param("0 0 0 13 * ?", "2024-01-13 00:00", id="question mark for the weekday"),
        pytest.param("0 0 0 29 2 *", "2024-02-29 00:00", id="leap day"),
        pytest.param("0 0 0 29 2 1/7", "2024-02-05 00:00", id="leap day or a Monday in February"),
        pytest.param("0 0 0 31 * *", "2024-01-31 00:00", id="a day not every month has"),
        pytest.param("@hourly", "2024-01-01 01:00", id="@hourly"),
        pytest.param("@daily", "2024-01-02 00:00", id="@daily"),
        pytest.param("@midnight", "2024-01-02 00:00", id="@midnight"),
        pytest.param("@weekly", "2024-01-07 00:00", id="@weekly is on Sundays"),
        pytest.param("@monthly", "2024-02-01 00:00", id="@monthly"),
        pytest.param("@yearly", "2025-01-01 00:00", id="@yearly"),
        pytest.param("@annually", "2025-01-01 00:00", id="@annually"),
        pytest.param("@every 1h30m", "2024-01-01 01:30", id="@every"),
        pytest.param("@every 1.5h", "2024-01-01 01:30", id="@every with a fraction"),
        pytest.param("@every 10ms", "2024-01-01 00:00:01", id="@every second at most"),
        pytest.param("@every -1h", "2024-01-01 00:00:01", id="@every with a negative duration"),
    ],
)
def test_the_next_moment_of_a_cron_expression(text, expected):
    assert moments(text, MONDAY) == [at(expected)]


def test_moments_follow_each_other_across_hours_days_and_years():
    found = moments("15/35 20-35/15 23 31 12 *", MONDAY, count=5)
    assert [str(moment)[:19] for moment in found] == [
        "2024-12-31 23:20:15",
        "2024-12-31 23:20:50",
        "2024-12-31 23:35:15",
        "2024-12-31 23:35:50",
        "2025-12-31 23:20:15",
    ]


@pytest.mark.parametrize("text", ["0 9 * * 1", " 0  9 * * 1 "])
def test_of_five_fields_the_day_of_the_week_is_left_out(text):
    assert cron.parse(text) == cron.parse("0 9 * * 1 *")
    assert moments(text, MONDAY, 2) == [at("2024-01-01 00:09"), at("2024-01-01 01:09")]


@pytest.mark.parametrize(
    "text", ["0 0 0 31 2 *", "0 0 0 30 2 ?", "0 0 0 31 4,6,9,11 *", "0 0 , * * *", "0 0 0 , , ?"]
)
def test_a_schedule_that_can_never_fire_is_recognised(text):
    assert moments(text, MONDAY) == []


def test_a_leap_day_on_a_sunday_is_found_across_the_year_2100_which_has_none():
    assert moments("0 0 0 29 2 */7", at("2088-03-01")) == [at("2128-02-29")]


@pytest.mark.parametrize(
    "text, message",
    [
        pytest.param("", "Empty spec string", id="nothing"),
        pytest.param("1 * * ", "Expected 5 to 6 fields, found 3: 1 * * ", id="too few fields"),
        pytest.param(
            "1 2 3 4 5 6 7", "Expected 5 to 6 fields, found 7: 1 2 3 4 5 6 7", id="too many fields"
        ),
        pytest.param("60 * * * * *", "End of range (60) above maximum (59): 60", id="too high"),
        pytest.param("0 0 0 0 * *", "Beginning of range (0) below minimum (1): 0", id="too low"),
        pytest.param("0 0 0 * * 7", "End of range (7) above maximum (6): 7", id="Sunday is 0"),
        pytest.param(
            "0 0 5-3 * * *", "Beginning of range (5) beyond end of range (3): 5-3", id="backwards"
        ),
        pytest.param("0 0 1-2-3 * * *", "Too many hyphens: 1-2-3", id="hyphens"),
        pytest.param("0 */2/3 * * * *", "Too many slashes: */2/3", id="slashes"),
        pytest.param(
            "0 */0 * * * *", "Step of range should be a positive number: */0", id="no step"
        ),
        pytest.param("0 */-2 * * * *", "Negative number (-2) not allowed: -2", id="negative step"),
        pytest.param(
            "0 0 x * * *",
            'Failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax',
            id="no number",
        ),
        pytest.param(
            "0 0 0 * * -1",
            'Failed to parse int from : strconv.Atoi: parsing "": invalid syntax',
            id="negative number",
        ),
        pytest.param(
            "0 0 0 L * *",
            'Failed to parse int from L: strconv.Atoi: parsing "L": invalid syntax',
            id="the last day is not known",
        ),
        pytest.param(
            "0 99999999999999999999 * * *",
            "Failed to parse int from 99999999999999999999: strconv.Atoi: parsing"
            ' "99999999999999999999": value out of range',
            id="a number too long",
        ),
        pytest.param("@Daily", "Unrecognized descriptor: @Daily", id="unknown descriptor"),
        pytest.param("@every", "Unrecognized descriptor: @every", id="every what"),
        pytest.param(
            "@every 5",
            'Failed to parse duration @every 5: time: missing unit in duration "5"',
            id="no unit",
        ),
        pytest.param(
            "@every 1d",
            'Failed to parse duration @every 1d: time: unknown unit "d" in duration "1d"',
            id="unknown unit",
        ),
        pytest.param(
            "@every Xm",
            'Failed to parse duration @every Xm: time: invalid duration "Xm"',
            id="no duration",
        ),
    ],
)
def test_what_the_api_server_refuses_is_refused_in_its_words(text, message):
    with pytest.raises(ApiError) as refusal:
        check(by_cron(text))
    assert refusal.value.status == 400
    assert refusal.value.text == (
        "Schedule cron is not a supported format(https://godoc.org/github.com/robfig/cron)."
        f" Error: {message}"
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"0 {'9' * 5000} * * * *", id="a field"),
        pytest.param(f"@every {'9' * 5000}h", id="a duration"),
        pytest.param(f"@every 0.{'9' * 5000}h", id="its fraction"),
    ],
)
def test_very_long_numbers_are_refused_like_any_other(text):
    with pytest.raises(cron.NotACron):
        cron.parse(text)


@pytest.mark.parametrize("interval", ["0", "-1", ""])
def test_an_interval_below_a_second_is_refused(interval):
    with pytest.raises(ApiError) as refusal:
        check(by_period(interval))
    assert refusal.value.text == (
        f"Found invalid period schedule interval {interval or 0}. Set at interval to least 1 second"
    )


def test_a_trigger_has_only_one_schedule():
    with pytest.raises(ApiError, match="either a cron_schedule or a periodic_schedule, not both"):
        check(Trigger(cron_schedule=CronSchedule(), periodic_schedule=PeriodicSchedule()))


@pytest.mark.parametrize(
    "trigger",
    [
        pytest.param(Trigger(), id="none: one run at once"),
        pytest.param(by_period(1), id="every second"),
        pytest.param(by_cron("0 9 * * 1"), id="five fields"),
        pytest.param(by_cron("@daily", MONDAY, at("2023-01-01")), id="ends before it starts"),
    ],
)
def test_what_the_api_server_accepts_is_accepted(trigger):
    check(trigger)


def test_a_note_says_what_five_fields_mean_and_what_was_probably_meant():
    assert cron.note("0 9 * * 1") == (
        "KFP reads the cron '0 9 * * 1' with its seconds first: second 0, minute 9, hour *, day of"
        " the month *, month 1, on any day of the week. For the usual five-field cron write"
        " '0 0 9 * * 1'."
    )


def test_a_note_advises_only_what_would_be_accepted():
    assert "write '0 0 9 * * 0,1'" in cron.note("0 9 * * 7,1")
    assert "write" not in cron.note("0 9 * * 12")


@pytest.mark.parametrize("text", ["0 0 9 * * 1", "@daily", "@every 1h"])
def test_without_doubt_there_is_no_note(text):
    assert cron.note(text) == ""


def test_cron_is_read_in_the_time_zone():
    assert moments("0 0 9 * * *", MONDAY, zone=BERLIN) == [at("2024-01-01 08:00")]
    assert moments("0 0 9 1 7 *", MONDAY, zone=BERLIN) == [at("2024-07-01 07:00")]


# In Berlin, 2024-03-31 has no time from 2 to 3, and 2024-10-27 has it twice.
@pytest.mark.parametrize(
    "text, after, expected",
    [
        pytest.param(
            "0 30 2 * * *",
            "2024-03-30 12:00",
            ["2024-04-01T02:30:00+02:00", "2024-04-02T02:30:00+02:00"],
            id="a time that is skipped is not made up for",
        ),
        pytest.param(
            "0 0 * * * *",
            "2024-03-31 01:00",
            ["2024-03-31T03:00:00+02:00", "2024-03-31T04:00:00+02:00"],
            id="an hour is an hour in spring",
        ),
        pytest.param(
            "0 0 3 * * *",
            "2024-03-30 12:00",
            ["2024-03-31T03:00:00+02:00", "2024-04-01T03:00:00+02:00"],
            id="the first moment of summer time",
        ),
        pytest.param(
            "0 30 2 * * *",
            "2024-10-26 12:00",
            ["2024-10-27T02:30:00+02:00", "2024-10-27T02:30:00+01:00", "2024-10-28T02:30:00+01:00"],
            id="a time that comes twice fires twice",
        ),
        pytest.param(
            "0 0 * * * *",
            "2024-10-27 01:00",
            ["2024-10-27T02:00:00+02:00", "2024-10-27T02:00:00+01:00", "2024-10-27T03:00:00+01:00"],
            id="an hour is an hour in autumn",
        ),
        pytest.param(
            "0 0 9 * * *",
            "2024-10-26 12:00",
            ["2024-10-27T09:00:00+01:00", "2024-10-28T09:00:00+01:00"],
            id="any other time stays what the clock shows",
        ),
    ],
)
def test_when_the_clocks_change(text, after, expected):
    found = moments(text, at(after, BERLIN), len(expected), BERLIN)
    assert [moment.isoformat() for moment in found] == expected


@pytest.mark.parametrize(
    "zone, expected",
    [
        pytest.param("Australia/Lord_Howe", "2024-10-06T02:45:00+11:00", id="by half an hour"),
        pytest.param("America/New_York", "2024-10-06T02:45:00-04:00", id="not at all"),
    ],
)
def test_the_change_may_be_of_any_size(zone, expected):
    (moment,) = moments("0 45 2 6 10 *", MONDAY, zone=ZoneInfo(zone))
    assert moment.isoformat() == expected


def test_where_midnight_is_skipped_the_day_starts_later():
    havana = ZoneInfo("America/Havana")  # 2024-03-10 starts at one
    found = moments("0 0 * 10 3 *", MONDAY, zone=havana)
    assert [moment.isoformat() for moment in found] == ["2024-03-10T01:00:00-04:00"]
    assert moments("0 0 0 10 3 *", MONDAY, zone=havana)[0].year == 2025


@pytest.mark.parametrize("name", ["", "UTC", "Europe/Berlin"])
def test_a_time_zone_is_utc_or_what_its_name_says(name):
    assert str(time_zone(name)) == (name or "UTC")


@pytest.mark.parametrize("name", ["Europe/Atlantis", "Europe", "../etc/passwd", "/etc/hosts", "\0"])
def test_an_unknown_time_zone_is_a_sentence(name):
    with pytest.raises(Misconfigured, match="no time zone .* on this machine"):
        time_zone(name)


@pytest.mark.parametrize(
    "trigger, last, expected",
    [
        pytest.param(by_period(60), None, "2024-01-01 00:01", id="from its creation"),
        pytest.param(by_period(60, at("2024-02-01")), None, "2024-02-01 00:01", id="from a start"),
        pytest.param(
            by_period(60, at("2023-02-01")), None, "2023-02-01 00:01", id="from a start long ago"
        ),
        pytest.param(by_period(60), "2024-01-01 00:01", "2024-01-01 00:02", id="from the last"),
        pytest.param(
            by_period(60, at("2024-02-01")), "2024-01-05", "2024-02-01 00:00", id="start moved"
        ),
        pytest.param(
            by_period(60, None, at("2024-01-01 00:01")), None, "2024-01-01 00:01", id="end counts"
        ),
        pytest.param(by_period(61, None, at("2024-01-01 00:01")), None, None, id="after the end"),
        pytest.param(by_period(60, at("2024-02-01"), MONDAY), None, None, id="ends before start"),
        pytest.param(by_period(2**63 - 1), None, None, id="beyond all time"),
        pytest.param(by_cron("@hourly"), None, "2024-01-01 01:00", id="cron from creation"),
        pytest.param(
            by_cron("@hourly", at("2023-02-01 00:30")), None, "2023-02-01 01:00", id="cron start"
        ),
        pytest.param(
            by_cron("@hourly", at("2024-02-01")), "2024-01-05", "2024-02-01 01:00", id="cron moved"
        ),
        pytest.param(
            by_cron("@hourly"), "2024-01-05 01:00", "2024-01-05 02:00", id="cron from the last"
        ),
        pytest.param(
            by_cron("@hourly", None, at("2024-01-01 01:00")),
            None,
            "2024-01-01 01:00",
            id="cron: end counts",
        ),
        pytest.param(
            by_cron("@hourly", None, at("2024-01-01 00:59")), None, None, id="cron after the end"
        ),
        pytest.param(
            by_cron("@every 90m", at("2024-02-01 00:00:10")),
            None,
            "2024-02-01 01:30:10",
            id="@every counts from the start",
        ),
        pytest.param(by_cron("0 0 0 31 2 *"), None, None, id="cron for no day"),
        pytest.param(
            by_cron("@daily", at("9999-12-31 23:59:59")), None, None, id="cron at the end of time"
        ),
        pytest.param(
            by_cron("@yearly", at("0001-01-01")), None, "0003-01-01", id="from the start of time"
        ),
        pytest.param(Trigger(), None, "2024-01-01", id="no schedule: at once"),
        pytest.param(Trigger(), "2024-01-01", None, id="no schedule: only once"),
    ],
)
@pytest.mark.parametrize("no_catchup", [False, True], ids=["catchup", "no catchup"])
def test_the_moment_after_the_last(trigger, last, expected, no_catchup):
    moment = due(trigger, last and at(last), no_catchup, now=at("0001-01-02"))
    assert moment == (expected and at(expected))


def test_a_zone_ahead_of_utc_has_no_moments_beyond_all_time():
    assert due(by_cron("@daily", at("9999-12-31 23:59:59")), zone=BERLIN) is None


def test_fractions_of_a_second_do_not_count():
    created = MONDAY + timedelta(milliseconds=700)
    assert due(by_period(60), created=created) == at("2024-01-01 00:01")
    assert due(by_cron("* * * * * *"), created=created) == at("2024-01-01 00:00:01")


@pytest.mark.parametrize(
    "trigger, now, expected",
    [
        pytest.param(by_cron("@hourly"), "2024-01-01 05:30", "2024-01-01 05:00", id="the last"),
        pytest.param(by_cron("@hourly"), "2024-01-01 05:00", "2024-01-01 05:00", id="it is now"),
        pytest.param(by_cron("@hourly"), "2024-01-01 01:59", "2024-01-01 01:00", id="the only one"),
        pytest.param(by_cron("@hourly"), "2024-01-01 00:30", "2024-01-01 01:00", id="none missed"),
        pytest.param(
            by_cron("@hourly", None, at("2024-01-01 03:30")),
            "2024-01-01 05:30",
            "2024-01-01 03:00",
            id="the last before the end",
        ),
        pytest.param(
            by_cron("0 0 9-17 * * 1-5"), "2024-01-07 12:00", "2024-01-05 17:00", id="before a gap"
        ),
        pytest.param(
            by_cron("@every 7m"), "2024-01-01 01:00", "2024-01-01 00:56", id="@every keeps step"
        ),
        pytest.param(
            by_cron("* * * * * *"), "2054-01-01 00:00:00", "2054-01-01 00:00:00", id="30 years"
        ),
        pytest.param(by_period(60), "2024-01-01 00:05:30", "2024-01-01 00:05:30", id="period: now"),
        pytest.param(by_period(60), "2024-01-01 00:01:59", "2024-01-01 00:01", id="period: one"),
        pytest.param(by_period(60), "2024-01-01 00:00:59", "2024-01-01 00:01", id="period: none"),
        pytest.param(
            by_period(60, None, at("2024-01-01 00:03:10")),
            "2024-01-01 00:05:30",
            "2024-01-01 00:03:10",
            id="period: the end",
        ),
        pytest.param(
            by_period(60, None, at("2024-01-01 00:01:30")),
            "2024-01-01 00:05:30",
            "2024-01-01 00:01:30",
            id="period: the end, though only one was missed",
        ),
    ],
)
def test_without_catchup_one_run_stands_for_all_that_were_missed(trigger, now, expected):
    assert due(trigger, no_catchup=True, now=at(now)) == at(expected)


def test_with_catchup_each_missed_moment_comes_in_turn():
    found, last = [], None
    for _ in range(3):
        last = due(by_cron("@hourly"), last, now=at("2024-01-09"))
        found.append(last.hour)
    assert found == [1, 2, 3]


class ManualLoop(asyncio.SelectorEventLoop):
    """A real event loop, whose timers run when a test lets time pass."""

    now = 0.0

    def time(self):
        return self.now


class World:
    """Recurring runs in memory, their controller, and the time."""

    def __init__(self, loop):
        self.loop = loop
        self.now = MONDAY
        self.schedules, self.disabled, self.fired, self.errors = {}, set(), [], {}
        self.broken = self.full = False
        self.restart()

    def restart(self):
        """As after `kill -9`: a new controller, and nothing but what the store has."""
        if hasattr(self, "controller"):
            self.controller.close()
        self.controller = RecurringRunController(
            self, self.fire, clock=lambda: self.now.timestamp()
        )

    def enabled_schedules(self):
        return [each for name, each in self.schedules.items() if name not in self.disabled]

    def schedule(self, name):
        return None if name in self.disabled else self.schedules.get(name)

    def _write(self):
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")

    def set_error(self, name, text):
        self._write()
        self.errors[name] = text

    def fire(self, name, moment):
        if self.broken:
            raise ValueError("no pipeline")
        self._write()
        self.fired.append((name, moment))
        active = self.schedules[name].active + 1
        self.put(name, last_triggered=moment, active=active)

    def put(self, name, **changes):
        schedule = self.schedules.get(name) or Schedule(
            recurring_run_id=name, trigger=Trigger(), created_at=self.now, max_concurrency=10
        )
        self.schedules[name] = msgspec.structs.replace(schedule, **changes)

    def do(self, call, *arguments):
        """Calls it on the loop, which then runs until it would wait."""
        self.loop.call_soon(call, *arguments)
        self.settle()

    def settle(self):
        count = -1
        while count != len(self.fired):
            count = len(self.fired)
            for _ in range(5):
                self.loop.run_until_complete(asyncio.sleep(0))

    def add(self, name, trigger, **changes):
        self.put(name, trigger=trigger, **changes)
        self.do(self.controller.changed, name)

    def end_run(self, name):
        self.put(name, active=self.schedules[name].active - 1)
        self.do(self.controller.finished, name)

    def wait(self, seconds, loop_seconds=None):
        self.now += timedelta(seconds=seconds)
        self.loop.now += seconds if loop_seconds is None else loop_seconds
        self.settle()

    @property
    def times(self):
        return [f"{moment:%H:%M:%S}" for _, moment in self.fired]


@pytest.fixture
def stopped():
    loop = ManualLoop()
    world = World(loop)
    yield world
    world.controller.close()
    loop.close()


@pytest.fixture
def world(stopped):
    stopped.do(stopped.controller.start)
    return stopped


def test_a_recurring_run_fires_when_it_is_due_and_not_before(world):
    world.add("a", by_period(60))
    world.wait(59)
    assert world.times == []
    world.wait(1)
    assert world.times == ["00:01:00"]
    world.wait(60)
    assert world.times == ["00:01:00", "00:02:00"]


def test_one_without_a_schedule_fires_once_at_once(world):
    world.add("a", Trigger())
    world.wait(3600)
    assert world.times == ["00:00:00"]


def test_those_due_fire_in_the_order_of_their_moments(world):
    world.add("late", by_period(30))
    world.add("early", by_period(20))
    world.wait(35)
    assert [name for name, _ in world.fired] == ["early", "late"]


@pytest.mark.parametrize("how", ["disabled", "deleted"])
def test_one_that_is_gone_fires_no_more_until_it_is_back(world, how):
    world.add("a", by_period(60))
    gone = world.schedules["a"]
    if how == "disabled":
        world.disabled.add("a")
    else:
        del world.schedules["a"]
    world.do(world.controller.changed, "a")
    world.wait(90)
    assert world.fired == []
    world.disabled.clear()
    world.schedules["a"] = gone
    world.do(world.controller.changed, "a")
    assert world.times == ["00:01:00"]


def test_one_disabled_without_a_word_does_not_fire(world):
    world.add("a", by_period(60))
    world.disabled.add("a")
    world.wait(90)
    assert world.fired == []


@pytest.mark.parametrize(
    "no_catchup, expected",
    [
        pytest.param(False, ["00:01:00", "00:02:00", "00:03:00"], id="each in turn"),
        pytest.param(True, ["00:01:00", "00:03:30"], id="or only now"),
    ],
)
def test_at_the_limit_of_concurrent_runs_it_waits_and_then_catches_up(world, no_catchup, expected):
    world.add("a", by_period(60), max_concurrency=1, no_catchup=no_catchup)
    world.wait(60)
    world.wait(150)
    assert world.times == ["00:01:00"]
    for _ in range(3):
        world.end_run("a")
    assert world.times == expected


@pytest.mark.parametrize(
    "no_catchup, expected",
    [
        pytest.param(False, ["01:00:00", "02:00:00", "03:00:00"], id="caught up"),
        pytest.param(True, ["03:00:00"], id="skipped but for the last"),
    ],
)
def test_what_was_missed_while_the_server_was_down(stopped, no_catchup, expected):
    stopped.put("a", trigger=by_cron("@hourly"), no_catchup=no_catchup)
    stopped.now += timedelta(hours=3, minutes=30)
    stopped.do(stopped.controller.start)
    assert stopped.times == expected


def test_after_a_kill_no_moment_is_fired_twice_and_none_is_lost(world):
    world.add("a", by_period(60))
    world.wait(60)
    world.restart()
    world.wait(60)
    world.do(world.controller.start)
    assert world.times == ["00:01:00", "00:02:00"]


def test_a_failure_is_recorded_and_the_same_moment_tried_again(world, caplog):
    world.add("a", by_period(3600))
    world.broken = True
    world.wait(3600)
    assert world.errors == {"a": "no pipeline"}
    world.broken = False
    world.wait(RETRY_SECONDS[0] - 1)
    assert world.fired == []
    world.wait(1)
    assert world.times == ["01:00:00"]


def test_what_finds_no_room_on_the_disk_is_tried_again_and_holds_up_no_other(world, caplog):
    world.full = True
    for name in ("a", "b"):
        world.add(name, by_period(3600))
    world.wait(3600)
    assert [record.getMessage() for record in caplog.records] == [
        f"recurring run {name} could not start a run: the disk is full" for name in ("a", "b")
    ]
    world.full = False
    world.wait(RETRY_SECONDS[0])
    assert world.times == ["01:00:00", "01:00:00"]
    assert world.errors == {}


def test_after_a_success_the_next_failure_is_tried_again_soon(world, caplog):
    world.broken = True
    world.add("a", by_period(3600), created_at=MONDAY - timedelta(hours=1))
    world.wait(RETRY_SECONDS[0])
    world.broken = False
    world.wait(RETRY_SECONDS[1])
    assert len(world.fired) == 1
    world.broken = True
    world.wait(3600)
    world.broken = False
    world.wait(RETRY_SECONDS[0])
    assert len(world.fired) == 2


def test_failures_are_tried_again_ever_more_rarely(world, caplog):
    world.broken = True
    world.add("a", Trigger())
    for seconds in (*RETRY_SECONDS, RETRY_SECONDS[-1]):
        world.errors.clear()
        world.wait(seconds - 1)
        world.do(world.controller.finished, "a")
        assert not world.errors
        world.wait(1)
        assert world.errors


def test_a_failure_holds_up_no_other(world, caplog):
    world.add("a", by_cron("never"))
    world.add("b", by_period(60))
    world.wait(60)
    assert world.fired == [("b", MONDAY + timedelta(minutes=1))]
    assert "Expected 5 to 6 fields" in world.errors["a"]


def test_a_change_tries_at_once_what_had_failed(world, caplog):
    world.broken = True
    world.add("a", Trigger())
    world.broken = False
    world.do(world.controller.changed, "a")
    assert len(world.fired) == 1


def test_a_computer_that_slept_notices_what_it_missed(world):
    world.add("a", by_cron("@hourly"), no_catchup=True)
    world.wait(8 * 3600, loop_seconds=MOST_SECONDS_ASLEEP)
    assert world.times == ["08:00:00"]


def test_a_clock_that_is_set_back_fires_nothing_twice(world):
    world.add("a", by_period(60))
    world.wait(60)
    world.wait(-30, loop_seconds=MOST_SECONDS_ASLEEP)
    world.wait(89)
    assert world.times == ["00:01:00"]
    world.wait(1)
    assert world.times == ["00:01:00", "00:02:00"]


def test_the_event_loop_has_its_turn_after_a_few_runs(stopped):
    for number in range(50):
        stopped.put(f"a{number}", trigger=by_cron("@hourly"))
    counts = [0]

    def count():
        counts.append(len(stopped.fired))
        stopped.loop.call_soon(count)

    stopped.now += timedelta(hours=1)
    stopped.loop.call_soon(count)
    stopped.do(stopped.controller.start)
    assert counts[-1] == 50
    steps = [after - before for before, after in zip(counts, counts[1:], strict=False)]
    assert max(steps) <= ATTENDED_PER_TURN


def test_ten_thousand_recurring_runs_all_fire(stopped):
    for number in range(10_000):
        stopped.put(f"a{number}", trigger=by_cron("@daily"))
    stopped.do(stopped.controller.start)
    stopped.wait(MOST_SECONDS_ASLEEP)
    assert stopped.fired == []
    stopped.wait(24 * 3600)
    assert len({name for name, _ in stopped.fired}) == len(stopped.fired) == 10_000


def test_nothing_fires_before_the_start_nor_after_the_close(stopped):
    stopped.add("a", Trigger())
    stopped.wait(60)
    assert stopped.fired == []
    stopped.do(stopped.controller.start)
    stopped.controller.close()
    stopped.add("b", Trigger())
    stopped.wait(60)
    assert [name for name, _ in stopped.fired] == ["a"]


@pytest.mark.parametrize(
    "display_name, expected",
    [
        pytest.param("My Report!", "myreport3f2a9-1-", id="what Kubernetes allows"),
        pytest.param("x" * 40, "x" * 25 + "3f2a9-1-", id="cut"),
        pytest.param("日報", "job-3f2a9-1-", id="never empty"),
    ],
)
def test_a_run_is_called_as_kfp_calls_it(display_name, expected):
    assert run_name(display_name, "3f2a9c", 1).startswith(expected)


def test_the_name_of_a_run_ends_in_the_hash_that_kfp_writes():
    # FNV-1a of "a1-1", 32 bits.
    assert run_name("a", "1", 1) == "a1-1-3373607581"


def test_a_clock_that_was_far_ahead_keeps_nothing_waiting(world):
    world.add("each minute", by_period(60), max_concurrency=1000)
    world.add("daily", by_cron("0 30 1 * * *"))
    world.wait(7200)
    before = len(world.fired)
    world.wait(-7200, loop_seconds=MOST_SECONDS_ASLEEP)
    assert len(world.fired) == before
    world.wait(60)
    assert len(world.fired) == before + 1
    world.wait(3000)  # to where the last moment of the daily one is not far ahead any more
    world.wait(3600)
    assert [name for name, _ in world.fired[before:]].count("daily") == 1


def test_a_clock_that_is_put_right_by_minutes_fires_no_moment_twice(world):
    world.add("a", by_cron("0 * * * * *"), max_concurrency=1000)
    world.wait(600)
    world.wait(-600, loop_seconds=60)
    for _ in range(12):
        world.wait(60)
    assert len(world.times) == len(set(world.times)) > 10


def test_what_failed_is_tried_again_though_the_clock_was_set_back(world):
    world.broken = True
    world.add("a", Trigger())
    world.broken = False
    world.wait(-5 * 24 * 3600, loop_seconds=MOST_SECONDS_ASLEEP)
    assert [name for name, _ in world.fired] == ["a"]
