"""Inputs and outputs of tasks, and their reuse by a retry or by another run."""

import shutil
from pathlib import Path
from typing import Dict, List  # noqa: UP035

import pytest
from harness.own_executor import Kfp, component
from kfp import dsl, kubernetes


@component
def train(rate: float, note: str, model: dsl.Output[dsl.Model], log: dsl.OutputPath(str)) -> int:
    import os

    os.makedirs(model.path)
    with open(os.path.join(model.path, "weights"), "w") as file:
        file.write(note)
    model.metadata.update(framework="none", rate=rate)
    with open(log, "w") as file:
        file.write("trained")
    return 7


@component
def judge(model: dsl.Input[dsl.Model], step: int = 1) -> str:
    import os

    return open(os.path.join(model.path, "weights")).read() + str(model.metadata["framework"])


@component
def mix(text: str, items: List[int], options: Dict[str, float], flag: bool) -> str:  # noqa: UP006
    return text


@component
def fail_at_first(marker: str, part: dsl.Output[dsl.Dataset], early: dsl.OutputPath(int)) -> int:
    import pathlib

    pathlib.Path(part.path).write_text("a part")
    pathlib.Path(early).write_text("3")
    place = pathlib.Path(marker)
    if not place.exists():
        place.touch()
        raise OSError("not yet")
    return 1


@component
def listing(part: dsl.Output[dsl.Dataset]) -> List[int]:  # noqa: UP006
    open(part.path, "w").write("a file")
    return [1, 2]


@component
def shout(length: int) -> str:
    return "x" * length


@component
def add(a: int, b: int = 1) -> int:
    return a + b


@component
def conclude(status: dsl.PipelineTaskFinalStatus) -> str:
    return status.state


@dsl.pipeline
def training(note: str = "w"):
    trained = train(rate=0.5, note=note)
    judge(model=trained.outputs["model"])
    mix(text=f"note {note}", items=[1, 2], options={"a": 0.5}, flag=True)
    dsl.importer(artifact_uri="/etc/hostname", artifact_class=dsl.Dataset, metadata={"a": note})


@pytest.fixture(scope="module")
def trained(tmp_path_factory, home):
    kfp = Kfp(tmp_path_factory.mktemp("values"), home=home)
    kfp.run_id = kfp.finish(training)
    assert kfp.runs.errors[kfp.run_id] == ""
    yield kfp
    kfp.close()


def test_parameters_are_known_as_the_task_gets_them(trained):
    inputs = trained.inputs(trained.run_id, "mix")
    assert inputs.parameters == {
        **{"text": "note w", "items": [1, 2], "options": {"a": 0.5}, "flag": True},
    }
    assert trained.inputs(trained.run_id, "judge").parameters == {"step": 1}


def test_outputs_are_known_with_their_artifacts(trained):
    outputs = trained.outputs(trained.run_id, "train")
    assert outputs.parameters == {"Output": 7, "log": "trained"}
    (model,) = outputs.artifacts["model"]
    assert (model.name, model.type) == ("model", "system.Model")
    assert model.metadata == {"display_name": "model", "framework": "none", "rate": 0.5}
    assert Path(model.uri).is_absolute() and Path(model.uri, "weights").read_text() == "w"
    assert trained.inputs(trained.run_id, "judge").artifacts["model"][0].uri == model.uri


def test_an_importer_gives_what_it_is_pointed_at(trained):
    (artifact,) = trained.outputs(trained.run_id, "importer").artifacts["artifact"]
    assert (artifact.type, artifact.uri) == ("system.Dataset", "/etc/hostname")
    assert artifact.metadata["a"] == "w"
    assert trained.inputs(trained.run_id, "importer").parameters["uri"] == "/etc/hostname"


@dsl.pipeline
def shouting(length: int):
    shout(length=length)


@pytest.mark.parametrize("length", [200_000, 6_000_000], ids=["long", "longer than a report"])
def test_a_value_that_is_too_long_is_left_out_with_a_word(trained, length):
    run_id = trained.finish(shouting, length=length)
    assert trained.runs.errors[run_id] == ""
    value = trained.outputs(run_id, "shout").parameters["Output"]
    assert value == f"[too long to be shown here: {length + 2} bytes]"


@dsl.pipeline
def stumbling(marker: str):
    with dsl.ExitHandler(conclude()):
        first = add(a=1)
        made = train(rate=0.5, note="w")
        stumbled = fail_at_first(marker=marker)
        add(a=stumbled.outputs["Output"], b=first.output)
        judge(model=made.outputs["model"]).after(stumbled)
        with dsl.ParallelFor([1, 2]) as item:
            summed = add(a=item, b=first.output)
        add(a=first.output).after(summed)


@pytest.fixture(scope="module")
def retried(tmp_path_factory, home):
    """A run that has failed, what was known of it then, and the same after a retry."""
    folder = tmp_path_factory.mktemp("retried")
    kfp = Kfp(folder, home=home)
    kfp.run_id = kfp.finish(stumbling, marker=str(folder / "marker"))
    kfp.before = {task.display_name: task for task in kfp.runs.tasks(kfp.run_id)}
    kfp.partial = kfp.outputs(kfp.run_id, "fail-at-first")
    kfp.retry(kfp.run_id)
    yield kfp
    kfp.close()


def test_of_a_failed_task_what_it_has_written_is_known(retried):
    assert retried.before["fail-at-first"].state == "FAILED"
    assert retried.partial.parameters == {"early": 3}
    assert Path(retried.partial.artifacts["part"][0].uri).read_text() == "a part"


def test_a_retry_runs_only_what_had_not_succeeded(retried):
    assert retried.runs.states[retried.run_id] == "SUCCEEDED", retried.runs.errors
    after = {task.display_name: task for task in retried.runs.tasks(retried.run_id)}
    same = {name for name, task in after.items() if task == retried.before[name]}
    assert same == {"add", "train", "conclude", "add-3[0]", "add-3[1]", "add-4"}
    assert {task.state for task in after.values()} == {"SUCCEEDED"}


def test_a_retry_passes_on_what_is_there_already(retried):
    assert retried.outputs(retried.run_id, "add-2").parameters == {"Output": 3}
    assert retried.outputs(retried.run_id, "judge").parameters == {"Output": "wnone"}


def test_a_retried_task_keeps_its_history_and_its_log(retried):
    history = [
        change.state for change in retried.task(retried.run_id, "fail-at-first").state_history
    ]
    assert history == ["PENDING", "RUNNING", "FAILED", "PENDING", "RUNNING", "SUCCEEDED"]
    first, again = retried.log(retried.run_id, "fail-at-first").split("[The run was restarted")
    assert "not yet" in first and "not yet" not in again


def test_a_retry_runs_again_what_has_lost_its_outputs(kfp, tmp_path):
    run_id = kfp.finish(stumbling, marker=str(tmp_path / "marker"))
    shutil.rmtree(kfp.outputs(run_id, "train").artifacts["model"][0].uri)
    kfp.retry(run_id)
    assert kfp.runs.states[run_id] == "SUCCEEDED"
    assert "The run was restarted" in kfp.log(run_id, "train")


@component
def count_in(steps: int, model: dsl.Output[dsl.Model]):
    model.metadata.update(steps=steps, rate=0.5, layers=[1, 2.5])
    open(model.path, "w").close()


@component
def count_out(model: dsl.Input[dsl.Model]) -> list:
    return [repr(model.metadata[name]) for name in ("steps", "rate", "layers")]


@dsl.pipeline
def counting():
    count_out(model=count_in(steps=3).outputs["model"])


def test_a_whole_number_in_an_artifacts_metadata_stays_one(kfp):
    run_id = kfp.finish(counting)
    assert kfp.runs.errors[run_id] == ""
    assert kfp.outputs(run_id, "count-out").parameters == {
        "Output": ["3", "0.5", "{'list': [1, 2.5]}"]
    }


# Caching.


def reused(kfp, run_id, name):
    """From which run the outputs of the task are, or nothing."""
    _, told, rest = kfp.log(run_id, name).partition(
        "[Not executed: the outputs of the same task in run "
    )
    return rest.split()[0] if told else ""


@pytest.fixture
def twice(kfp):
    """Two runs of one pipeline, the first of which may be treated badly in between."""

    def twice(pipeline, between=lambda run_id: None, second=None, **parameters):
        first = kfp.finish(pipeline, **parameters)
        between(first)
        run_id = kfp.finish(pipeline, **(second or parameters))
        assert kfp.runs.errors[run_id] == ""
        return first, run_id

    return twice


def test_what_ran_before_is_not_executed_again(kfp, twice):
    first, second = twice(training)
    for name in ("train", "judge", "mix"):
        assert reused(kfp, second, name) == first
        assert kfp.task(second, name).state == "SUCCEEDED"
        values = kfp.outputs(first, name), kfp.outputs(second, name)
        assert values[0].parameters == values[1].parameters
    assert kfp.inputs(second, "mix") == kfp.inputs(first, "mix")
    assert not reused(kfp, second, "importer")


def test_what_was_reused_stays_when_the_run_that_made_it_is_deleted(kfp, twice):
    first, second = twice(training)
    runs = kfp.folder / "namespaces" / "alice" / "runs"
    shutil.rmtree(runs / first)
    (model,) = kfp.outputs(second, "train").artifacts["model"]
    assert Path(model.uri).is_relative_to(runs / second)
    assert Path(model.uri, "weights").read_text() == "w"


@dsl.pipeline
def one_file():
    listing()


def test_what_is_reused_is_a_copy_of_its_own_and_a_list_stays_one_of_integers(kfp, twice):
    values = [kfp.outputs(run_id, "listing") for run_id in twice(one_file)]
    first, second = [Path(outputs.artifacts["part"][0].uri) for outputs in values]
    assert first.read_bytes() == second.read_bytes() and not first.samefile(second)
    assert [repr(outputs.parameters) for outputs in values] == ["{'Output': [1, 2]}"] * 2


def test_other_inputs_are_another_matter(kfp, twice):
    _, second = twice(training, note="w", second={"note": "v"})
    assert [reused(kfp, second, name) for name in ("train", "judge", "mix")] == ["", "", ""]


def test_outputs_that_have_gone_are_made_again_and_so_is_what_follows(kfp, twice):
    def delete_model(run_id):
        shutil.rmtree(kfp.outputs(run_id, "train").artifacts["model"][0].uri)

    _, second = twice(training, delete_model)
    assert not reused(kfp, second, "train") and not reused(kfp, second, "judge")


def test_namespaces_do_not_share_what_their_tasks_made(kfp):
    kfp.finish(training)
    assert not reused(kfp, kfp.finish(training, namespace="bob"), "train")


@dsl.pipeline
def excepted(other: str = "x"):
    add(a=1).set_caching_options(False)
    kubernetes.use_secret_as_env(add(a=2), "warehouse", {"password": "PASSWORD"})
    mix(text=dsl.PIPELINE_JOB_ID_PLACEHOLDER, items=[1], options={}, flag=False)
    with dsl.ExitHandler(conclude()):
        add(a=5)


@dsl.pipeline
def other_secret():
    add(a=1)
    kubernetes.use_secret_as_env(add(a=2), "warehouse", {"password": "PASSPHRASE"})


def test_what_would_not_be_the_same_again_is_executed_again(kfp, twice):
    _, second = twice(excepted)
    executed = {name for name in kfp.states(second) if not reused(kfp, second, name)}
    assert executed == {"add", "mix", "conclude"}


def test_other_secrets_are_another_matter(kfp):
    kfp.finish(excepted)
    run_id = kfp.finish(other_secret)
    assert not reused(kfp, run_id, "add-2")


@component
def judge_file(model: dsl.Input[dsl.Model]) -> str:
    return open(model.path).read()


@dsl.pipeline
def importing(file: str):
    imported = dsl.importer(artifact_uri=file, artifact_class=dsl.Model)
    judge_file(model=imported.output)


def test_a_file_that_has_changed_is_not_the_same_input(kfp, twice, tmp_path):
    file = tmp_path / "file"
    file.write_text("one")
    _, second = twice(importing, lambda _: file.write_text("three"), file=str(file))
    assert kfp.outputs(second, "judge-file").parameters == {"Output": "three"}
    assert reused(kfp, kfp.finish(importing, file=str(file)), "judge-file") == second
