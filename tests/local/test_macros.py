"""Macros that the local KFP fills into parameters when a run starts."""

import time
from datetime import datetime, timedelta, timezone

import pytest

from jupyter_kfp_mt.local.pipelines.macros import expanded

SCHEDULED = datetime(2026, 3, 4, 15, 6, 7, tzinfo=timezone.utc)
CREATED = SCHEDULED + timedelta(seconds=2)


def filled(text, scheduled=SCHEDULED):
    return expanded({"name": text}, "the-run", scheduled, CREATED)["name"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[RunUUID]]", "the-run"),
        ("[[ScheduledTime]]", "20260304150607"),
        ("[[CurrentTime]]", "20260304150609"),
        ("from [[ScheduledTime]] to [[CurrentTime]]", "from 20260304150607 to 20260304150609"),
        ("[[CurrentTime.2006-01-02]]", "2026-03-04"),
        ("[[CurrentTime.2006-1-2 3:04:05 PM]]", "2026-3-4 3:06:09 PM"),
        ("[[ScheduledTime.Monday, January _2, 06]]", "Wednesday, March  4, 26"),
        ("[[ScheduledTime.2006-01-02T15:04:05Z07:00]]", "2026-03-04T15:06:07Z"),
        ("[[ScheduledTime.Mon Jan 002 -0700 MST]]", "Wed Mar 063 +0000 UTC"),
        ("[[CurrentTime.100%]]", "300%"),
        ("{{$.scheduledTime.strftime('%Y-%m-%d')}}", "2026-03-04"),
        ("{{$.currentTime.strftime('%s')}}", str(int(CREATED.timestamp()))),
        ("[[Index]]", "[[Index]]"),
        ("[[RunUUID", "[[RunUUID"),
        ("plain", "plain"),
    ],
)
def test_a_macro_in_a_text_is_filled_in(text, expected):
    assert filled(text) == expected


def test_a_run_that_nothing_scheduled_has_no_scheduled_time():
    for text in ("[[ScheduledTime]]", "{{$.scheduledTime.strftime('%Y')}}"):
        assert filled(text, scheduled=None) == text


def test_times_are_in_utc():
    elsewhere = SCHEDULED.astimezone(timezone(timedelta(hours=9)))
    assert filled("[[ScheduledTime]]", elsewhere) == "20260304150607"


def test_only_texts_are_filled():
    parameters = {"number": 1, "list": ["[[RunUUID]]"], "none": None}
    assert expanded(parameters, "the-run", SCHEDULED, CREATED) == parameters


@pytest.mark.parametrize("start", ["[[CurrentTime.", "{{$.currentTime.strftime('", "[[", "{{$."])
def test_a_text_that_only_begins_macros_is_read_soon(start):
    started = time.process_time()
    assert filled(start * 50_000) == start * 50_000
    assert time.process_time() - started < 5


@pytest.mark.parametrize("layout", ["\0", "%", "%999999999d", "%Q"])
def test_a_layout_that_is_none_does_no_harm(layout):
    assert len(filled(f"{{{{$.currentTime.strftime('{layout}')}}}}")) < 100
