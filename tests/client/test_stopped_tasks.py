"""Tasks of a run that was terminated: which of them have failed by themselves."""

from datetime import datetime, timedelta, timezone

import pytest

from jupyter_kfp_mt.models import Run, StateChange, Status, Task
from jupyter_kfp_mt.notebook.formats import task_state

START = datetime(2026, 11, 29, 5, tzinfo=timezone.utc)


def at(seconds):
    return START + timedelta(seconds=seconds)


def run_of(*changes):
    return Run(state="FAILED", state_history=[*changes])


BY_KFP = run_of(StateChange(at(5), "CANCELING"), StateChange(at(7), "FAILED"))
LOCAL = run_of(StateChange(at(7), "FAILED", Status(message="terminated")))
FAILED = run_of(StateChange(at(7), "FAILED", Status(message="task train failed")))


@pytest.mark.parametrize(
    "run, end, error, word",
    [
        pytest.param(BY_KFP, 6, "exit code 1", "TERMINATED", id="after it was asked for"),
        pytest.param(BY_KFP, 4, "exit code 1", "FAILED", id="before it was asked for"),
        pytest.param(LOCAL, 6, "killed by SIGTERM", "TERMINATED", id="by a signal"),
        pytest.param(LOCAL, 6, "ValueError: no more", "FAILED", id="by itself"),
        pytest.param(LOCAL, 6, "", "TERMINATED", id="without a reason"),
        pytest.param(FAILED, 6, "killed by SIGKILL", "FAILED", id="of a run that nobody stopped"),
    ],
)
def test_a_task_that_was_stopped_with_its_run_is_not_said_to_have_failed(run, end, error, word):
    problem = Status(message=error) if error else None
    assert task_state(run, Task(state="FAILED", end_time=at(end), error=problem)).word == word


def test_other_states_stay():
    assert task_state(LOCAL, Task(state="SUCCEEDED")).word == "SUCCEEDED"
