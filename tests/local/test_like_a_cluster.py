"""Inputs and ends of tasks: as on a cluster, or refused in a sentence."""

import json

import pytest
from harness.own_executor import component
from kfp import dsl, kubernetes


@component
def say(text: str):
    print("said:", text)


@dsl.pipeline
def placing(own: str = ""):
    say(text=dsl.PIPELINE_JOB_NAME_PLACEHOLDER)
    say(text=dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER)
    say(text=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
    say(text=dsl.PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER)
    say(text=dsl.PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER)
    say(text=dsl.PIPELINE_TASK_NAME_PLACEHOLDER)
    say(text=dsl.PIPELINE_TASK_ID_PLACEHOLDER)
    say(text=f"{own} {{{{$.other}}}}")


def said(kfp, run_id, name):
    lines = kfp.log(run_id, name).splitlines()
    (line,) = [line for line in lines if line.startswith("said:")]
    return line.removeprefix("said: ")


def test_placeholders_are_filled_in_as_on_a_cluster(kfp):
    run_id = kfp.finish(placing, own="{{$.inputs.own}} 'q'")
    assert kfp.runs.errors[run_id] == ""
    names = ["say", *(f"say-{number}" for number in range(2, 9))]
    assert [said(kfp, run_id, name) for name in names] == [
        "My placing",
        "placing-abcde",
        run_id,
        "2030-01-01T08:00:02Z",
        "2030-01-01T08:00:00Z",
        "say-6",
        kfp.task(run_id, "say-7").task_id,
        "{{$.inputs.own}} 'q' {{$.other}}",
    ]


@component
def hold(lifeline: str):
    """Holds it itself, in a child that is none any more, and in one with a session of its own."""
    import os
    import subprocess
    import sys
    import time

    held = open(lifeline, "w")
    if os.fork() == 0:
        time.sleep(600)
    program = "import os, sys, time; f = open(sys.argv[1], 'w'); os.fork(); time.sleep(600)"
    again = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True)"
    subprocess.run([sys.executable, "-c", again, sys.executable, "-c", program, lifeline])
    print(os.getpgrp(), file=held, flush=True)
    time.sleep(600)


@component
def stay():
    import time

    time.sleep(600)


def forked(seconds):
    @dsl.pipeline(name="forked")
    def pipeline(lifeline: str):
        kubernetes.set_timeout(hold(lifeline=lifeline), seconds)
        stay()

    return pipeline


def started(seconds):
    @dsl.pipeline(name="started")
    def pipeline(lifeline: str):
        task = hold(lifeline=lifeline).set_env_variable("PYTHONHASHSEED", "1")
        kubernetes.set_timeout(task, seconds)
        stay()

    return pipeline


def trying_again(seconds):
    @dsl.pipeline(name="trying-again")
    def pipeline(lifeline: str):
        task = hold(lifeline=lifeline).set_retry(1, backoff_duration="0s")
        kubernetes.set_timeout(task, seconds)

    return pipeline


def with_deadline(seconds):
    deadline = dsl.PipelineConfig(active_deadline_seconds=seconds)

    @dsl.pipeline(name="with-deadline", pipeline_config=deadline)
    def pipeline(lifeline: str):
        hold(lifeline=lifeline)

    return pipeline


# How many seconds a task is given: a slow machine does not begin it in the first of these.
LIMITS = (2, 10, 60)


@dsl.pipeline
def in_time():
    kubernetes.set_timeout(say(text="in time"), 60)


@pytest.mark.parametrize("pipeline", [forked, started], ids=["forked", "in a new interpreter"])
def test_a_task_that_takes_too_long_is_killed_with_all_its_processes(kfp, lifeline, pipeline):
    for seconds in LIMITS:
        run_id = kfp.start(pipeline(seconds), lifeline=lifeline.path)
        kfp.until(lambda run_id=run_id: kfp.states(run_id).get("hold") == "FAILED")
        if began := lifeline.written():
            break
        kfp.call(kfp.executor.terminate, run_id)
    assert began and lifeline.released()
    assert kfp.runs.states[run_id] == "RUNNING", "else it is the run's end that has killed them"
    kfp.call(kfp.executor.terminate, run_id)
    kfp.wait(run_id)
    told = kfp.task(run_id, "hold").error.message
    assert told == f"it took longer than its timeout of {seconds} s"


def test_each_attempt_has_its_own_time(kfp, lifeline):
    for seconds in LIMITS:
        run_id = kfp.finish(trying_again(seconds), lifeline=lifeline.path)
        told = f"it took longer than its timeout of {seconds} s"
        assert kfp.runs.errors[run_id].endswith(told)
        if len(attempts := lifeline.written().split()) == 2:
            break
    assert len(attempts) == 2
    task = kfp.task(run_id, "hold")
    assert (task.end_time - task.start_time).total_seconds() >= 2 * seconds


def test_a_task_in_time_has_its_own_end(kfp):
    run_id = kfp.finish(in_time)
    assert kfp.states(run_id) == {"say": "SUCCEEDED"}


def test_a_run_stops_at_its_deadline(kfp, lifeline):
    for seconds in LIMITS:
        run_id = kfp.finish(with_deadline(seconds), lifeline=lifeline.path)
        told = f"the run took longer than its deadline of {seconds} s"
        assert kfp.runs.errors[run_id] == told
        if began := lifeline.written():
            break
    assert began and lifeline.released()


@component
def show(number: int, share: float = 0.5):
    import json

    print("said:", json.dumps([number, share]))


@component
def tell(text: str):
    print("said:", text)


@component
def count() -> int:
    return 3


@dsl.component(base_image="python:3.11")
def measure(text: str, measured: dsl.OutputPath(int)):
    with open(measured, "w") as file:
        file.write(text)


@component
def listed(items: list, flag: bool, options: dict):
    print(items, flag, options)


@dsl.pipeline
def numbers(number: int, share: float = 2):
    show(number=number, share=share)


@dsl.pipeline
def measuring(text: str):
    measure(text=text)


@dsl.pipeline
def over_numbers(items: list):
    with dsl.ParallelFor(items) as item:
        show(number=item)


@dsl.pipeline
def over_flags(items: list):
    with dsl.ParallelFor(items) as item:
        listed(items=[], flag=item, options={})


@dsl.pipeline
def over_lists(items: list):
    with dsl.ParallelFor(items) as item:
        listed(items=item, flag=True, options={})


@dsl.pipeline
def over_options(items: list):
    with dsl.ParallelFor(items) as item:
        listed(items=[], flag=True, options=item)


@dsl.pipeline
def over_texts(items: list):
    with dsl.ParallelFor(items) as item:
        tell(text=item)


NUMBERS = [
    pytest.param(3, 3, int, id="integer"),
    pytest.param(3.0, 3, int, id="without a fraction"),
    pytest.param(1.5, 1.5, float, id="with a fraction"),
    # The digits that protojson writes of it.
    pytest.param(2**60, 1152921504606847000, int, id="large"),
]


@pytest.mark.parametrize("given, arrives, kind", NUMBERS)
def test_an_integer_arrives_as_the_number_that_was_given(kfp, given, arrives, kind):
    run_id = kfp.finish(numbers, number=given)
    number, share = json.loads(said(kfp, run_id, "show"))
    assert (number, type(number), share) == (arrives, kind, 2)
    assert kfp.inputs(run_id, "show").parameters["number"] == arrives


OUTPUTS = [
    pytest.param("1.5", "its output 'measured' is declared as an integer, but is 1.5", id="1.5"),
    pytest.param('"a"', 'is declared as an integer, but is the text "a"', id="text"),
    pytest.param("7.0", "is declared as an integer, but is 7.0", id="7.0"),
    pytest.param(" 7\n", "", id="7"),
]


@pytest.mark.parametrize("text, reason", OUTPUTS)
def test_an_output_that_is_no_integer_is_not_made_one(kfp, text, reason):
    run_id = kfp.finish(measuring, text=text)
    assert reason in kfp.runs.errors[run_id] if reason else kfp.runs.errors[run_id] == ""


# The items of a list of which nobody has said what it holds are texts.
MISMATCHES = [
    pytest.param(over_numbers, "a", "'number' takes a number", '"a"', id="int"),
    pytest.param(over_numbers, True, "'number' takes a number", '"true"', id="no number"),
    pytest.param(over_flags, 1, "'flag' takes true or false", '"1"', id="bool"),
    pytest.param(over_lists, {}, "'items' takes a list", '"{}"', id="list"),
    pytest.param(over_options, [1], "'options' takes a dictionary", '"[1]"', id="dict"),
]


@pytest.mark.parametrize("pipeline, item, takes, given", MISMATCHES)
def test_a_value_of_another_type_is_refused_with_the_name_of_the_input(
    kfp, pipeline, item, takes, given
):
    run_id = kfp.finish(pipeline, items=[item])
    (task,) = kfp.runs.tasks(run_id)
    assert task.error.message == f"its input {takes}, but was given the text {given}"
    assert task.error.message in kfp.log(run_id, task.display_name)


def test_a_text_takes_anything_in_the_form_of_json(kfp):
    run_id = kfp.finish(over_texts, items=["a", 3.0, 1.5, True, [1, "b"]])
    arrived = [said(kfp, run_id, f"tell[{number}]") for number in range(5)]
    assert arrived == ["a", "3", "1.5", "true", '[1,"b"]']


@component
def conclude(status: dsl.PipelineTaskFinalStatus):
    import json

    fields = "state", "pipeline_job_resource_name", "pipeline_task_name", "error_code"
    print("said:", json.dumps([getattr(status, f) for f in (*fields, "error_message")]))


@component
def fail(message: str):
    raise ValueError(message)


@dsl.pipeline
def concluding():
    with dsl.ExitHandler(conclude()):
        say(text="well")
    with dsl.ExitHandler(conclude()):
        fail(message="first")
    with dsl.ExitHandler(conclude()):
        fail(message="second")


def test_an_exit_handler_learns_how_it_went_in_the_words_of_a_cluster(kfp):
    run_id = kfp.finish(concluding)
    told = [json.loads(said(kfp, run_id, f"conclude{n}")) for n in ("", "-2", "-3")]
    assert told == [
        ["COMPLETE", "concluding-abcde", "exit-handler-1", None, None],
        ["FAILED", "concluding-abcde", "exit-handler-2", None, None],
        ["FAILED", "concluding-abcde", "exit-handler-3", None, None],
    ]


@component
def read(data: dsl.Input[dsl.Dataset]):
    print("said:", open(data.path).read())


@dsl.pipeline
def importing(uri: str):
    imported = dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset)
    read(data=imported.output).set_caching_options(False)


URIS = [
    pytest.param("{folder}/a b.csv", id="path"),
    pytest.param("file://{folder}/a%20b.csv", id="file"),
    pytest.param("file://localhost{folder}/a b.csv", id="localhost"),
]


@pytest.mark.parametrize("uri", URIS)
def test_an_imported_file_can_be_read(kfp, tmp_path, uri):
    (tmp_path / "a b.csv").write_text("1,2")
    run_id = kfp.finish(importing, uri=uri.format(folder=tmp_path))
    assert said(kfp, run_id, "read") == "1,2"


NOT_IMPORTED = [
    pytest.param("file:///no/such", "there is no such file or folder on the machine", id="absent"),
    pytest.param("/no/such", "there is no such file or folder on the machine", id="no such path"),
    pytest.param("data/x.csv", "it is neither an absolute path on this machine nor", id="relative"),
    pytest.param("file://nas/x.csv", "it names the host 'nas'", id="another host"),
]


@pytest.mark.parametrize("uri, reason", NOT_IMPORTED)
def test_an_importer_fails_where_there_is_nothing(kfp, uri, reason):
    error = kfp.runs.errors[kfp.finish(importing, uri=uri)]
    assert error.startswith(f"Task 'importer' failed: '{uri}' cannot be imported: {reason}")


def test_what_is_elsewhere_is_recorded_and_its_reader_is_told_so(kfp):
    run_id = kfp.finish(importing, uri="gs://bucket/x.csv")
    assert kfp.states(run_id) == {"importer": "SUCCEEDED", "read": "FAILED"}
    assert "The input 'data' is gs://bucket/x.csv, which is not down" in kfp.log(run_id, "read")
    told = "Task 'read' failed: its input 'data' is gs://bucket/x.csv, which is not downloaded"
    assert kfp.runs.errors[run_id].startswith(told)
