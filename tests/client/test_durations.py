"""The durations of runs."""

from datetime import datetime, timedelta, timezone

import pytest

from jupyter_kfp_mt.models import Run, StateChange


def at(second):
    return datetime(2026, 11, 29, 5, tzinfo=timezone.utc) + timedelta(seconds=second)


@pytest.mark.parametrize(
    ("history", "taken"),
    [
        pytest.param([("RUNNING", 0), ("FAILED", 60)], 60, id="never retried"),
        pytest.param([("FAILED", 10), ("PENDING", 40), ("SUCCEEDED", 60)], 30, id="retried"),
        pytest.param([("CANCELED", 50), ("FAILED", 60)], 60, id="ended in two words"),
        pytest.param([], 60, id="without a history"),
    ],
)
def test_the_time_that_a_run_lay_finished_before_its_retry_does_not_count(history, taken):
    changes = [StateChange(state=state, update_time=at(second)) for state, second in history]
    run = Run(created_at=at(0), finished_at=at(60), state="FAILED", state_history=changes)
    assert run.duration == timedelta(seconds=taken)
