"""The local KFP's tasks in a cluster's shape: what was written comes out of it again."""

import base64
import time
import uuid
from contextlib import closing
from datetime import datetime, timedelta, timezone

import msgspec
import pytest
import requests
from harness.pipelines import compiled
from harness.waiting import wait_until
from harness.watching import Watch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from kfp import dsl

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.client.written_tasks import written
from jupyter_kfp_mt.credentials import TokenFile
from jupyter_kfp_mt.extension.watched_namespace import Look, NamespaceState
from jupyter_kfp_mt.local.api.argo_tasks import as_on_a_cluster, local_task_ids
from jupyter_kfp_mt.local.database import Database
from jupyter_kfp_mt.local.database.row_types import Origin, PlacedRun
from jupyter_kfp_mt.local.pipelines.pipeline_files import Specification
from jupyter_kfp_mt.models import EPOCH, FINISHED, Run, RunDetails, Task, TaskValues
from jupyter_kfp_mt.notebook import render

RUN_ID = "7c7e1a52-3f0e-4a52-9d5b-0c9a55e1a001"
WORKFLOW = "training-x7k2p"
START = datetime(2026, 11, 28, 22, 0, 0, tzinfo=timezone.utc)
STATES = ["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "SKIPPED"]
ENDED = ["SUCCEEDED", "FAILED", "SKIPPED"]

# A task is its state; a group is a dictionary of such, and a loop a list of iterations.
LEAVES = st.sampled_from(["prep", "train", "train-2", "data-driver", "root", "executor"])
GROUPS = st.sampled_from(["inner", "outer", "condition-1", "exit-handler-1"])
LOOPS = st.sampled_from(["for-loop-1", "for-loop-2"])


def groups(states, depth=2):
    leaf = st.dictionaries(LEAVES, st.sampled_from(states), min_size=1, max_size=2)
    if not depth:
        return leaf
    inner = st.dictionaries(GROUPS, groups(states, depth - 1), max_size=1)
    loops = st.dictionaries(LOOPS, alike(groups(states, depth - 1), states), max_size=1)
    return st.builds(
        lambda *parts: {k: v for part in parts for k, v in part.items()}, leaf, inner, loops
    )


def alike(group, states):
    """One to three iterations of the same tasks, in other states."""
    return st.tuples(group, st.integers(1, 3), st.randoms(use_true_random=False)).map(
        lambda given: [shuffled(given[0], states, given[2]) for _ in range(given[1])]
    )


def shuffled(tree, states, random):
    if isinstance(tree, str):
        return random.choice(states)
    if isinstance(tree, list):
        return [shuffled(each, states, random) for each in tree]
    return {key: shuffled(each, states, random) for key, each in tree.items()}


class Pipeline:
    """A tree as a specification, and as the tasks that the local KFP would tell of."""

    def __init__(self, tree):
        self.components, self.tasks = {}, []
        self.specification = {"components": self.components, "root": self.component(tree)}
        self.add(tree, (), "", "")

    def component(self, tree):
        tasks, before = {}, []
        for number, (key, inside) in enumerate(tree.items()):
            name = f"comp-{len(self.components)}"
            self.components[name] = {"executorLabel": "exec"}
            task = {"componentRef": {"name": name}, "taskInfo": {"name": key}}
            # Every other waits for the one before it.
            tasks[key] = task | ({"dependentTasks": before} if number % 2 else {})
            before = [key]
            if isinstance(inside, list):
                tasks[key]["parameterIterator"] = {}
            if not isinstance(inside, str):
                one = inside[0] if isinstance(inside, list) else inside
                self.components[name] = self.component(one)
        return {"dag": {"tasks": tasks}}

    def add(self, tree, path, pipelines, iterations):
        for key, inside in tree.items():
            if isinstance(inside, str):
                self.tasks.append(task((*path, key), f"{pipelines}{key}{iterations}", inside))
            elif isinstance(inside, list):
                for number, each in enumerate(inside):
                    scope = (*path, f"{key}-iteration-{number}")
                    self.add(each, scope, pipelines, f"{iterations}[{number}]")
            else:
                shown = "" if key[-2:] == "-1" else f"{key}/"
                self.add(inside, (*path, key), pipelines + shown, iterations)

    @property
    def as_on_a_cluster(self):
        return as_on_a_cluster(self.placed, self.origin)

    @property
    def placed(self):
        return PlacedRun(self.run, "alice", WORKFLOW)

    @property
    def origin(self):
        return Origin(Specification.of(self.specification))

    @property
    def run(self):
        states = {task.state for task in self.tasks}
        state = "RUNNING" if not states <= FINISHED else "SUCCEEDED"
        return Run(
            run_id=RUN_ID,
            state="FAILED" if "FAILED" in states and state != "RUNNING" else state,
            created_at=START,
            finished_at=START + timedelta(minutes=9),
            run_details=RunDetails(task_details=self.tasks),
        )


def task(path, name, state):
    begun, over = state not in ("PENDING", "SKIPPED"), state in ("SUCCEEDED", "FAILED")
    return Task(
        run_id=RUN_ID,
        task_id=str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join((RUN_ID, *path)))),
        display_name=name,
        state=state,
        start_time=START if begun else EPOCH,
        end_time=START + timedelta(seconds=5) if over else EPOCH,
    )


def told(tasks):
    """Return the facts of tasks that must be the same again, without the times of skipped ones."""
    return sorted(
        (each.display_name, each.state)
        + ((each.start_time, each.end_time) if each.state != "SKIPPED" else ())
        for each in tasks
    )


def begun(tasks):
    return any(task.start_time > EPOCH for task in tasks)


def has_iterations(tree, within=False):
    """Tell whether something began in each loop in a loop: else its iterations are not known."""
    for inside in tree.values():
        repeated = inside if isinstance(inside, list) else []
        if within and repeated and not any(begun(Pipeline(each).tasks) for each in repeated):
            return False
        groups = repeated or ([inside] if isinstance(inside, dict) else [])
        if not all(has_iterations(each, within or bool(repeated)) for each in groups):
            return False
    return True


slowly = settings(
    deadline=None, suppress_health_check=list(HealthCheck), max_examples=25, derandomize=True
)


@slowly
@given(st.one_of(groups(STATES), groups(ENDED)))
def test_what_was_written_comes_out_of_a_clusters_parts_again(tree):
    assume(has_iterations(tree))
    pipeline = Pipeline(tree)
    run = pipeline.as_on_a_cluster
    if not begun(pipeline.tasks) and not pipeline.run.finished:
        assert run.tasks == []
        return
    found = written(run, lambda run: pipeline.specification)
    assert told(found) == told(pipeline.tasks)
    ids = {each.task_id for each in pipeline.tasks if each.state not in ("PENDING", "SKIPPED")}
    again = [each.task_id for each in found if each.state not in ("PENDING", "SKIPPED")]
    own = local_task_ids(pipeline.placed, pipeline.origin)
    assert {own.get(each, each) for each in again} == ids


@slowly
@given(groups(["SUCCEEDED", "FAILED", "RUNNING"]))
def test_without_the_specification_what_has_begun_comes_out_again(tree):
    pipeline = Pipeline(tree)
    run = pipeline.as_on_a_cluster
    assert told(written(run)) == told(pipeline.tasks)


def test_the_parts_are_more_than_the_tasks_and_tell_less():
    pipeline = Pipeline({"prep": "FAILED", "late": "SKIPPED", "for-loop-1": [{"x": "SUCCEEDED"}]})
    run = pipeline.as_on_a_cluster
    names = {each.display_name for each in run.tasks}
    assert {WORKFLOW, "root", "root-driver", "prep-driver", "executor", "iteration-item"} <= names
    (late,) = [each for each in run.tasks if each.display_name == "late"]
    assert late.state == "RUNTIME_STATE_UNSPECIFIED"


# --- a local KFP that tells of its tasks so ------------------------------------------------------


@pytest.fixture
def alice(argo_tasks_kfp):
    file = TokenFile(argo_tasks_kfp.token_file("alice/default-editor"))
    client = Client(argo_tasks_kfp.endpoint, file, "alice")
    yield client
    client.close()


def test_a_run_that_is_told_of_as_on_a_cluster_is_waited_for_and_shown_as_any(alice, failing):
    run = alice.start_run(failing)
    with pytest.raises(errors.RunFailed, match="failed: task fail failed") as caught:
        alice.wait(run.run_id)
    assert "ValueError: no more" in caught.value.cause
    parts = {task.display_name for task in alice.run_as_told(run.run_id).tasks}
    assert {"root-driver", "fail-driver", "fail", "executor"} < parts
    (listed,) = [each for each in alice.run_page() if each.run_id == run.run_id]
    assert [task.display_name for task in alice.tasks(listed)] == ["fail"]
    assert "driver" not in render.text(listed)


def test_an_uploaded_pipelines_skipped_task_is_told_by_its_version(alice, skipping):
    version = alice.upload_pipeline(skipping)
    run = alice.start_run(version.pipeline_id)
    with pytest.raises(errors.RunFailed):
        alice.wait(run.run_id)
    states = {task.display_name: task.state for task in alice.run(run.run_id).tasks}
    assert states == {"fail": "FAILED", "skipped": "SKIPPED"}


def test_events_tell_of_the_tasks_that_were_written(alice, failing):
    run = alice.start_run(failing)
    wait_until(lambda: alice.run(run.run_id).finished)
    state, _ = Look(alice, "alice", NamespaceState()).runs([run.run_id], older=True, again=True)
    tasks = state.everything([run.run_id]).tasks
    assert [(task.display_name, task.state) for task in tasks] == [("fail", "FAILED")]


@pytest.fixture(scope="session")
def writing(tmp_path_factory):
    """The compiled YAML of a pipeline with one task, whose artifact `greeting` is five bytes."""

    @dsl.component(base_image="python:3.12")
    def write(greeting: dsl.Output[dsl.Artifact]):
        with open(greeting.path, "w") as file:
            file.write("hello")

    @dsl.pipeline(name="writing")
    def pipeline():
        write()

    return compiled(tmp_path_factory.mktemp("writing"), pipeline)


def test_the_results_of_a_task_are_asked_for_by_the_id_that_is_told(alice, writing):
    run_id = alice.start_run(writing).run_id
    (task,) = alice.wait(run_id).tasks
    assert task.task_id.startswith("writing-")
    path = f"runs/{run_id}/nodes/{task.task_id}"

    def read(path):
        headers = alice.credentials.headers()
        return requests.get(f"{alice.endpoint}/apis/{path}", headers=headers, timeout=60).json()

    assert [*read(f"v1alpha1/{path}")["outputs"]["artifacts"]] == ["greeting"]
    content = read(f"v2beta1/{path}/artifacts/greeting:read")["data"]
    assert base64.b64decode(content) == b"hello"


def with_run_id(each, run_id):
    """A task as that of another run."""
    own = uuid.uuid5(uuid.NAMESPACE_OID, f"{run_id}/{each.display_name}")
    return msgspec.structs.replace(each, run_id=run_id, task_id=str(own))


@pytest.fixture
def long_runs(start_local_kfp, tmp_path):
    """A server with forty runs of three hundred tasks each, in alice."""
    folder = tmp_path / "data"
    start_local_kfp("--argo-tasks", data=folder).stop()
    pipeline = Pipeline({f"task-{number}": "SUCCEEDED" for number in range(300)})
    with closing(Database(folder / "kfp.db")) as database:
        for number in range(40):
            run_id = f"01900000-0000-7000-8000-{number:012x}"
            run = msgspec.structs.replace(
                pipeline.run, run_id=run_id, experiment_id="e", scheduled_at=START
            )
            database.runs.add(PlacedRun(run, "alice", f"run-{number}"), pipeline.origin)
            for each in pipeline.tasks:
                database.runs.put_task(with_run_id(each, run_id), TaskValues(), TaskValues())
            database.runs.set_run_state(run_id, "SUCCEEDED")
    return start_local_kfp("--argo-tasks", data=folder)


def test_a_list_of_runs_with_many_tasks_holds_up_nobody(long_runs):
    with Watch(long_runs) as watch:
        started = time.monotonic()
        answer = long_runs.get("/apis/v2beta1/runs", namespace="alice", page_size=40)
        seconds = time.monotonic() - started
    tasks = [len(run["run_details"]["task_details"]) for run in answer.json()["runs"]]
    assert len(tasks) > 10 and min(tasks) > 900
    assert max(watch.seconds) < seconds / 3
