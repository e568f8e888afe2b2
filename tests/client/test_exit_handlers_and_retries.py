"""Exit handlers and retries of a cluster's run: Argo's parts, written by hand after its rules.

What follows a group whatever happens is an exit hook, a part `GROUP.onExit` that comes next after
the group (`exit_handler.go` of Argo, `dag.go` of KFP's compiler). A task that is tried again has an
executor for each attempt: `executor(0)`, `executor(1)`, after one part that stands for all.
"""

from datetime import datetime, timezone

import pytest
import yaml
from fakes.argo_kfp import RUN_ID, WORKFLOW, add_pod, node_id
from fakes.kubernetes_api import ALICE
from harness.pipelines import compiled
from harness.waiting import wait_until
from kfp import compiler, dsl

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.client.written_tasks import written
from jupyter_kfp_mt.cluster.kubernetes_api import Cluster
from jupyter_kfp_mt.cluster.task_pods import TaskPods
from jupyter_kfp_mt.credentials import TokenFile
from jupyter_kfp_mt.models import ChildTask, Run, RunDetails, Task
from jupyter_kfp_mt.notebook import render
from jupyter_kfp_mt.notebook.run_card import Cards

ROOT = f"{WORKFLOW}.root"


def moment(second):
    return datetime(2026, 1, 1, 0, 0, second, tzinfo=timezone.utc)


class Workflow:
    """Parts by their whole names: the state, and what comes next after each."""

    def __init__(self, state):
        self.parts = {}
        self.state = state
        self.add(WORKFLOW, state, f"{ROOT}-driver")
        self.add(f"{ROOT}-driver", "SUCCEEDED", ROOT)
        self.add(ROOT, state)

    def add(self, name, state, *following):
        self.parts[name] = (state, [*following])

    def after(self, before, name):
        self.parts[before][1].append(name)

    def group(self, name, state, before):
        """A group with its driver."""
        self.after(before, f"{name}-driver")
        self.add(f"{name}-driver", "SUCCEEDED", name)
        self.add(name, state)
        return name

    def task(self, name, state, before, *attempts):
        """A task with its driver and executor, and the attempts of that where there are several."""
        self.group(name, state, before)
        executor = f"{name}.executor"
        self.after(name, executor)
        tries = [f"{executor}({number})" for number, _ in enumerate(attempts)]
        self.add(executor, state, *tries)
        for attempt, how in zip(tries, attempts, strict=True):
            self.add(attempt, how)
        return name

    def hook(self, group, state):
        """Add the node that Argo makes of a task that follows a group whatever happens to it."""
        self.after(group, f"{group}.onExit")
        self.add(f"{group}.onExit", state)
        return f"{group}.onExit"

    def run(self):
        tasks = [
            Task(
                run_id="r",
                task_id=f"task-{number}",
                display_name=_shown(name),
                state=state,
                start_time=moment(number),
                end_time=moment(number + 1) if state in ("SUCCEEDED", "FAILED") else moment(0),
                child_tasks=[ChildTask(pod_name=node_id(each)) for each in following],
            )
            for number, (name, (state, following)) in enumerate(self.parts.items())
        ]
        details = RunDetails(task_details=tasks[::-1])
        return Run(run_id="r", state=self.state, run_details=details)


def _shown(name):
    """Argo's display name: without that of the group around, which a hook is not."""
    start, _, hook = name.rpartition(".")
    return f"{start.rpartition('.')[2]}.onExit" if hook == "onExit" else hook


@dsl.component(base_image="python:3.11")
def work():
    pass


@dsl.pipeline
def guarded():
    cleanup = work().set_display_name("Clean up")
    with dsl.ExitHandler(cleanup):
        work().set_retry(2).set_display_name("Do it")


@pytest.fixture(scope="session")
def specification(tmp_path_factory):
    path = tmp_path_factory.mktemp("compiled") / "guarded.yaml"
    compiler.Compiler().compile(guarded, str(path))
    return yaml.safe_load(path.read_text())


def failed_and_cleaned_up():
    """Twice it failed, and what cleans up after it succeeded."""
    workflow = Workflow("FAILED")
    group = workflow.group(f"{ROOT}.exit-handler-1", "FAILED", ROOT)
    workflow.task(f"{group}.work-2", "FAILED", group, "FAILED", "FAILED")
    hook = workflow.hook(group, "SUCCEEDED")
    workflow.task(f"{hook}.work", "SUCCEEDED", hook)
    return workflow


def states(workflow, specification=None):
    found = written(workflow.run(), lambda run: specification)
    return {task.display_name: task.state for task in found}


def test_what_follows_an_exit_handler_is_a_task_of_its_own(specification):
    told = states(failed_and_cleaned_up(), specification)
    assert told == {"Do it": "FAILED", "Clean up": "SUCCEEDED"}
    assert states(failed_and_cleaned_up()) == {"work-2": "FAILED", "work": "SUCCEEDED"}


def test_the_task_that_failed_is_the_one_in_the_exit_handler_whatever_its_attempts(specification):
    (failed,) = [
        task
        for task in written(failed_and_cleaned_up().run(), lambda run: specification)
        if task.state == "FAILED"
    ]
    assert failed.display_name == "Do it"
    executor = f"{ROOT}.exit-handler-1.work-2.executor"
    assert failed.pod_name == node_id(executor)


def test_its_attempts_are_counted(specification):
    for known in (specification, None):
        found = written(failed_and_cleaned_up().run(), lambda run, known=known: known)
        assert [task.tries for task in found if task.state == "FAILED"] == [2]


def test_what_cleans_up_may_be_what_failed(specification):
    workflow = Workflow("FAILED")
    group = workflow.group(f"{ROOT}.exit-handler-1", "SUCCEEDED", ROOT)
    workflow.task(f"{group}.work-2", "SUCCEEDED", group, "FAILED", "SUCCEEDED")
    hook = workflow.hook(group, "FAILED")
    workflow.task(f"{hook}.work", "FAILED", hook)
    assert states(workflow, specification) == {"Do it": "SUCCEEDED", "Clean up": "FAILED"}
    assert states(workflow) == {"work-2": "SUCCEEDED", "work": "FAILED"}


@pytest.mark.parametrize("known", [True, False])
def test_a_task_that_is_tried_again_goes_on(specification, known):
    workflow = Workflow("RUNNING")
    group = workflow.group(f"{ROOT}.exit-handler-1", "RUNNING", ROOT)
    workflow.task(f"{group}.work-2", "RUNNING", group, "FAILED", "RUNNING")
    told = states(workflow, specification if known else None)
    assert told == ({"Do it": "RUNNING", "Clean up": "PENDING"} if known else {"work-2": "RUNNING"})


def test_what_never_came_to_clean_up_was_left_out(specification):
    workflow = Workflow("FAILED")
    group = workflow.group(f"{ROOT}.exit-handler-1", "FAILED", ROOT)
    workflow.task(f"{group}.work-2", "FAILED", group, "FAILED")
    assert states(workflow, specification)["Clean up"] == "SKIPPED"


def test_an_exit_handler_in_a_loop_has_its_hook_in_each_iteration():
    workflow = Workflow("SUCCEEDED")
    loop = f"{ROOT}.for-loop-1"
    workflow.after(ROOT, loop)
    every = f"{loop}.iteration-iterations"
    workflow.add(loop, "SUCCEEDED", f"{loop}.iteration-driver")
    workflow.add(f"{loop}.iteration-driver", "SUCCEEDED", every)
    workflow.add(every, "SUCCEEDED")
    for number in range(2):
        iteration = f"{every}({number}:{number})"
        workflow.after(every, iteration)
        workflow.add(iteration, "SUCCEEDED")
        item = workflow.group(f"{iteration}.iteration-item", "SUCCEEDED", iteration)
        group = workflow.group(f"{item}.exit-handler-2", "SUCCEEDED", item)
        workflow.task(f"{group}.work-2", "SUCCEEDED", group)
        hook = workflow.hook(group, "SUCCEEDED")
        workflow.task(f"{hook}.work", "SUCCEEDED", hook)
    assert states(workflow).keys() == {"work-2[0]", "work-2[1]", "work[0]", "work[1]"}


@pytest.mark.parametrize("of_container", [True, False])
def test_what_ignores_the_failure_of_one_task_hangs_at_that_task(of_container):
    """`ignore_upstream_failure()`: a hook at a component or at a pipeline in the pipeline."""
    workflow = Workflow("FAILED")
    if of_container:
        first = workflow.task(f"{ROOT}.first", "FAILED", ROOT, "FAILED", "FAILED")
        inside = "first"
    else:
        first = workflow.group(f"{ROOT}.first", "FAILED", ROOT)
        workflow.task(f"{first}.step", "FAILED", first)
        inside = "first/step"
    hook = workflow.hook(first, "SUCCEEDED")
    workflow.task(f"{hook}.then", "SUCCEEDED", hook)
    assert states(workflow) == {inside: "FAILED", "then": "SUCCEEDED"}


def test_of_several_attempts_the_pod_of_the_last_has_the_log(in_pod, kubernetes_api, specification):
    kubernetes_api.allow(ALICE, "list", "pods", "alice")
    for part in ("work-2.executor(0)", "work-2.executor(1)"):
        add_pod(kubernetes_api, f"exit-handler-1.{part}")
    add_pod(kubernetes_api, "exit-handler-1.onExit.work.executor")
    cluster = Cluster.of_pod(in_pod())
    told = written(failed_and_cleaned_up().run(), lambda run: specification)
    names = {}
    for task in told:
        pod = TaskPods(cluster, "alice", RUN_ID).find(task)
        names[task.display_name] = pod.metadata.annotations["workflows.argoproj.io/node-name"]
    cluster.close()
    group = f"{ROOT}.exit-handler-1"
    assert names == {
        "Do it": f"{group}.work-2.executor(1)",
        "Clean up": f"{group}.onExit.work.executor",
    }


# --- the local KFP, as it is and as it tells of tasks like a cluster does ------------------------


@pytest.fixture(
    scope="module", params=["local_kfp", "argo_tasks_kfp"], ids=["local", "as on a cluster"]
)
def alice(request):
    kfp = request.getfixturevalue(request.param)
    client = Client(kfp.endpoint, TokenFile(kfp.token_file("alice/default-editor")), "alice")
    yield client
    client.close()


@pytest.fixture(scope="session")
def stumbling(tmp_path_factory):
    """Its guarded task fails once, and its exit task always."""

    @dsl.component(base_image="python:3.12")
    def stumble(marker: str):
        import pathlib

        path = pathlib.Path(marker)
        print("again" if path.exists() else "first")
        if not path.exists():
            path.touch()
            raise ValueError("not yet")

    @dsl.component(base_image="python:3.12")
    def clean_up():
        raise ValueError("it cannot be cleaned up")

    @dsl.pipeline(name="stumbling")
    def pipeline(marker: str):
        with dsl.ExitHandler(clean_up().set_display_name("Clean up")):
            stumble(marker=marker).set_retry(2, backoff_duration="0s")

    return compiled(tmp_path_factory.mktemp("stumbling"), pipeline)


@pytest.fixture(scope="module")
def stumbled(alice, stumbling, tmp_path_factory):
    """A run of it that has ended."""
    marker = tmp_path_factory.mktemp("stumbled") / "marker"
    run = alice.start_run(stumbling, {"marker": str(marker)})
    wait_until(lambda: alice.run(run.run_id).finished)
    return alice.run(run.run_id)


def test_a_task_that_was_tried_again_is_one_row_with_its_attempts(alice, stumbled):
    (stumble,) = [task for task in stumbled.tasks if task.display_name == "stumble"]
    assert (stumble.state, stumble.tries) == ("SUCCEEDED", 2)
    assert "again" in alice.log(stumbled.run_id, stumble.task_id).splitlines()
    (line,) = [
        line for line in render.text(stumbled).splitlines() if "stumble" in line and "✓" in line
    ]
    assert line.endswith("in 2 attempts")


def test_a_run_whose_exit_task_fails_has_failed_by_that(alice, stumbled):
    assert stumbled.state == "FAILED"
    with pytest.raises(errors.RunFailed, match="'?Clean up'? failed") as caught:
        alice.raise_for_failure(stumbled)
    assert "it cannot be cleaned up" in caught.value.cause


def test_an_exit_task_is_shown_as_one_and_last(alice, stumbled):
    *_, group, stumble, last = render.text(Cards(alice).of(stumbled)).splitlines()
    assert group.startswith("With an exit task")
    assert "stumble" in stumble and "Succeeded" in stumble and stumble.endswith("in 2 attempts")
    assert last.startswith("Clean up (exit task)") and "Failed" in last
