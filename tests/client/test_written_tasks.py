"""The tasks that a person wrote, out of what a real KFP 2.17 has told of its runs."""

import json
from pathlib import Path

import msgspec
import pytest
from fakes.guarded_kfp import Answer, GuardedKfp, refusal

from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.client.written_tasks import written
from jupyter_kfp_mt.models import EPOCH, Run

RECORDED = Path(__file__).parents[1] / "recorded"


def recorded(name):
    return msgspec.json.decode((RECORDED / f"{name}.json").read_bytes(), type=Run)


def group(**tasks):
    return {"dag": {"tasks": tasks}}


def task(component, *after, label="", **more):
    name = {"taskInfo": {"name": label}} if label else {}
    return {"componentRef": {"name": component}, "dependentTasks": [*after], **name, **more}


# The pipeline of the recorded runs.
TRAINING = {
    "root": group(
        **{
            "prep": task("prep"),
            "train": task("train", "prep", label="Train the model"),
            "inner": task("inner", "prep"),
            "for-loop-3": task("loop", parameterIterator={"items": {"raw": "[1, 2]"}}),
            "evaluate": task("evaluate", "train"),
            "condition-1": task("condition", "inner", "prep"),
            "notify": task("notify", "evaluate"),
        }
    ),
    "components": {
        "inner": group(train=task("train")),
        "loop": group(**{"train-2": task("train")}),
        "condition": group(**{"evaluate-2": task("evaluate")}),
        "train": {"executorLabel": "exec-train"},
    },
}


def states(run, specification=None):
    return {each.display_name: each.state for each in written(run, lambda run: specification)}


@pytest.mark.parametrize(
    "name, parts, evaluate, notify",
    [("run-failed", 36, "FAILED", "SKIPPED"), ("run-succeeded", 37, "SUCCEEDED", "SUCCEEDED")],
)
def test_of_many_parts_seven_are_tasks(name, parts, evaluate, notify):
    run = recorded(name)
    assert len(run.tasks) == parts
    assert states(run) == {
        "prep": "SUCCEEDED",
        "train": "SUCCEEDED",
        "train-2[0]": "SUCCEEDED",
        "train-2[1]": "SUCCEEDED",
        "inner/train": "SUCCEEDED",
        "evaluate": evaluate,
        "notify": notify,
    }


def test_the_specification_adds_display_names_order_and_what_never_started():
    assert [*states(recorded("run-failed"), TRAINING).items()] == [
        ("train-2[0]", "SUCCEEDED"),
        ("train-2[1]", "SUCCEEDED"),
        ("prep", "SUCCEEDED"),
        ("inner/train", "SUCCEEDED"),
        ("Train the model", "SUCCEEDED"),
        ("evaluate-2", "SKIPPED"),
        ("evaluate", "FAILED"),
        ("notify", "SKIPPED"),
    ]


def test_a_specification_may_stand_beside_that_of_a_platform():
    both = {"pipeline_spec": TRAINING, "platform_spec": {}}
    assert "Train the model" in states(recorded("run-failed"), both)


def test_a_task_that_goes_on_has_begun_and_has_no_end():
    (prep,) = written(recorded("run-running"))
    assert (prep.state, prep.end_time) == ("RUNNING", EPOCH)
    assert prep.duration.total_seconds() > 3600


def test_what_waits_is_pending_where_the_specification_tells_of_it():
    found = states(recorded("run-running"), TRAINING)
    assert found.pop("prep") == "RUNNING"
    assert found.keys() == {"inner/train", "evaluate-2", "Train the model", "evaluate", "notify"}
    assert {*found.values()} == {"PENDING"}


def test_what_was_turned_into_tasks_once_stays_as_it_is():
    run = recorded("run-failed")
    again = msgspec.structs.replace(
        run, run_details=msgspec.structs.replace(run.run_details, task_details=written(run))
    )
    assert written(again) == again.tasks


def test_ids_of_tasks_are_those_of_the_workflows_parts():
    (prep,) = written(recorded("run-running"))
    assert (prep.task_id, prep.pod_name) == (
        "training-62b7j-265378086",  # ...root.prep
        "training-62b7j-950933349",  # ...root.prep.executor
    )


def test_a_workflow_that_has_only_begun_has_no_tasks_yet():
    run = recorded("run-running")
    (alone,) = [task for task in run.tasks if task.display_name.startswith("training-")]
    alone = msgspec.structs.replace(alone, child_tasks=[])
    run = msgspec.structs.replace(
        run, run_details=msgspec.structs.replace(run.run_details, task_details=[alone])
    )
    assert written(run) == []
    assert written(run, is_local=lambda: True) == [alone]


def test_a_group_that_is_in_itself_ends_somewhere():
    around = {"root": group(prep=task("again")), "components": {"again": group(prep=task("again"))}}
    assert len(states(recorded("run-failed"), around)) == 1


class Telling(GuardedKfp):
    """It has the recorded run that failed, as one of an uploaded version of a pipeline."""

    hands_out = True

    def found(self, request, path):
        if path == "pipelines/p/versions/v":
            return (
                Answer(200, {"pipeline_spec": TRAINING}) if self.hands_out else refusal(404, 5, "")
            )
        run = json.loads((RECORDED / "run-failed.json").read_bytes())
        reference = {"pipeline_id": "p", "pipeline_version_id": "v"}
        return Answer(200, run | {"pipeline_version_reference": reference})


@pytest.mark.parametrize("hands_out, name", [(True, "Train the model"), (False, "train")])
def test_the_version_of_a_pipeline_is_asked_for_once(serve, hands_out, name):
    kfp = serve(Telling)
    kfp.hands_out = hands_out
    client = Client(kfp.endpoint, namespace="alice")
    for _ in range(3):
        assert name in {task.display_name for task in client.run("r").tasks}
    assert kfp.count("/versions/v") == 1
    client.close()
