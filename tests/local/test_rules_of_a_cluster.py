"""Pipelines mean what they do on a cluster, where a first guess says something else."""

from typing import Optional

import pytest
from harness.own_executor import Kfp, component
from kfp import dsl


@pytest.fixture(scope="module")
def kfp(tmp_path_factory):
    kfp = Kfp(tmp_path_factory.mktemp("rules"))
    yield kfp
    kfp.close()


def returned(kfp, run_id, name):
    """Return the value that a task has returned, in a run in which nothing failed."""
    assert kfp.runs.errors[run_id] == ""
    return kfp.outputs(run_id, name).parameters["Output"]


# Attempts.


@component
def succeed_at(folder: str, attempt: int) -> str:
    import os
    import pathlib

    number = len(list(pathlib.Path(folder).iterdir()))
    pathlib.Path(folder, str(number)).touch()
    assert number == attempt, f"attempt {number}"
    return os.environ.get("KFP_RETRY_INDEX", "none")


@dsl.pipeline
def within(folder: str, attempt: int):
    with dsl.If(attempt > 0):
        succeed_at(folder=folder, attempt=attempt)


@dsl.pipeline
def handed_down(folder: str):
    within(folder=folder, attempt=2).set_retry(2, backoff_duration="0s")


def test_the_tasks_of_a_pipeline_that_is_tried_again_are_each_tried_again(kfp, tmp_path):
    run_id = kfp.finish(handed_down, folder=str(tmp_path))
    assert returned(kfp, run_id, "within/succeed-at") == "2", "and know which attempt they are"


@dsl.pipeline
def for_a_while(folder: str):
    task = succeed_at(folder=folder, attempt=-1)
    task.set_retry(100, backoff_duration="2s", backoff_factor=1, backoff_max_duration="3s")


def test_a_task_is_tried_again_for_so_long_and_no_longer(kfp, tmp_path):
    run_id = kfp.finish(for_a_while, folder=str(tmp_path))
    last = len(list(tmp_path.iterdir())) - 1
    assert last <= 1
    assert kfp.task(run_id, "succeed-at").error.message == f"AssertionError: attempt {last}"
    assert "[Not tried again: " in kfp.log(run_id, "succeed-at")


# Metadata of artifacts.


@component
def describe(model: dsl.Output[dsl.Model], nothing: bool = False):
    model.metadata.update(
        name="n", count=3, share=1.5, good=True, layers=[1, 2], options={"a": [True]}
    )
    if nothing:
        model.metadata["nothing"] = None


@component
def tell(model: dsl.Input[dsl.Model]) -> dict:
    return model.metadata


@dsl.pipeline
def describing(nothing: bool = False):
    tell(model=describe(nothing=nothing).outputs["model"])


def test_metadata_come_to_the_next_task_as_the_metadata_store_keeps_them(kfp):
    run_id = kfp.finish(describing)
    assert returned(kfp, run_id, "tell") == {
        **{"display_name": "model", "name": "n", "count": 3, "share": 1.5, "good": 1},
        **{"layers": {"list": [1, 2]}, "options": {"struct": {"a": [True]}}},
    }
    (shown,) = kfp.outputs(run_id, "describe").artifacts["model"]
    assert shown.metadata["layers"] == [1, 2], "people see what the task has written"


def test_metadata_without_a_value_fail_the_task_that_has_written_them(kfp):
    run_id = kfp.finish(describing, nothing=True)
    assert kfp.states(run_id) == {"describe": "FAILED", "tell": "SKIPPED"}
    reason = "the metadata 'nothing' of its output 'model' has no value"
    assert kfp.task(run_id, "describe").error.message.startswith(reason)


# Placeholders.


@component
def repeat(text: str, items: list = [], options: dict = {}) -> list:  # noqa: B006
    return [text, items, options]


PARTS = f"run {dsl.PIPELINE_JOB_ID_PLACEHOLDER}"
ROOT = dsl.PIPELINE_ROOT_PLACEHOLDER
UNKNOWN = "{{$.inputs.parameters['nobody']}}"


@dsl.pipeline
def placing():
    repeat(text=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
    repeat(text=PARTS, items=[dsl.PIPELINE_JOB_ID_PLACEHOLDER], options={"a": ROOT})
    last = repeat(text=f"{UNKNOWN} {ROOT}", items=[f"{dsl.WORKSPACE_PATH_PLACEHOLDER}/x"])
    last.set_env_variable("ARGO_DEBUG_PAUSE_AFTER", "true")  # as set_debug_pause since kfp 2.17


def test_a_placeholder_for_the_run_is_filled_in_only_where_it_is_the_whole_text(kfp):
    run_id = kfp.finish(placing)
    assert returned(kfp, run_id, "repeat") == [run_id, [], {}]
    left = [PARTS, [dsl.PIPELINE_JOB_ID_PLACEHOLDER], {"a": ROOT}]
    assert returned(kfp, run_id, "repeat-2") == left
    assert "[{{$.pipeline_job_uuid}} is filled in only where" in kfp.log(run_id, "repeat-2")
    assert returned(kfp, run_id, "repeat-3")[0] == f"{UNKNOWN} {ROOT}"
    assert "[It is not paused here" in kfp.log(run_id, "repeat-3")


# Null.


@component
def note(text: Optional[str] = None) -> str:  # noqa: UP045
    return repr(text)


@dsl.pipeline
def inner(text: Optional[str] = "inner"):  # noqa: UP045
    note(text=text)


@dsl.pipeline
def optional(text: Optional[str] = None):  # noqa: UP045
    note(text=text)
    inner()
    with dsl.ParallelFor([1]):
        note(text=text)
    with dsl.If(note().output == "None"):
        note(text=text)
    inner(text=text)


def test_null_comes_to_tasks_that_may_lack_an_input_but_into_no_group(kfp):
    run_id = kfp.finish(optional)
    error = kfp.runs.errors[run_id]
    assert "its input 'text' is null, which no dsl.If, dsl.ParallelFor" in error
    found = {name: state for name, state in kfp.states(run_id).items() if state == "SUCCEEDED"}
    assert found.keys() == {"note", "inner/note", "note-3"}
    assert kfp.outputs(run_id, "note").parameters["Output"] == "None"
    assert kfp.outputs(run_id, "inner/note").parameters["Output"] == "'inner'"
    nested = kfp.task(run_id, "inner-2/note").error.message
    assert nested.startswith("its input 'text' has no value: the enclosing pipeline has no value")


# Resources.


@dsl.pipeline
def limited(memory: str, processors: int):
    note().set_memory_limit(memory).set_cpu_request("100m").set_caching_options(False)
    note().set_cpu_limit(processors).set_caching_options(False)


def test_a_task_does_not_start_with_a_limit_that_is_no_quantity(kfp):
    run_id = kfp.finish(limited, memory="4Gi", processors=2)
    assert kfp.states(run_id) == {"note": "SUCCEEDED", "note-2": "FAILED"}
    reason = "its limit of processors is 'processors', 2, and Kubernetes takes a text such as"
    assert kfp.task(run_id, "note-2").error.message.startswith(reason)
    run_id = kfp.finish(limited, memory="lots", processors=2)
    reason = "its memory limit is 'memory', the text \"lots\", and Kubernetes takes a text"
    assert kfp.task(run_id, "note").error.message.startswith(reason)


# Inputs that are changed in place.


@component
def make(data: dsl.Output[dsl.Dataset]):
    open(data.path, "w").write("a")


@component
def append(data: dsl.Input[dsl.Dataset]):
    open(data.path, "a").write("b")


@component
def read(data: dsl.Input[dsl.Dataset]) -> str:
    return open(data.path).read()


@dsl.pipeline
def changing():
    data = make().outputs["data"]
    appended = append(data=data).set_caching_options(False)
    read(data=data).set_caching_options(False).after(appended)


def test_a_task_that_changes_its_input_is_told_that_others_see_it(kfp):
    run_id = kfp.finish(changing)
    assert "[It has changed its input 'data' in place." in kfp.log(run_id, "append")
    assert returned(kfp, run_id, "read") == "ab"
    assert "in place" not in kfp.log(run_id, "read")
