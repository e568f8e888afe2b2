"""What tasks are given and how they end: as on a cluster, or refused in a sentence."""

import pytest
from executing import component
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


@dsl.pipeline
def forked(lifeline: str):
    kubernetes.set_timeout(hold(lifeline=lifeline), 2)
    stay()


@dsl.pipeline
def started(lifeline: str):
    task = hold(lifeline=lifeline).set_env_variable("PYTHONHASHSEED", "1")
    kubernetes.set_timeout(task, 2)
    stay()


@dsl.pipeline
def trying_again(lifeline: str):
    kubernetes.set_timeout(hold(lifeline=lifeline).set_retry(1, backoff_duration="0s"), 1)


@dsl.pipeline(pipeline_config=dsl.PipelineConfig(active_deadline_seconds=2))
def with_deadline(lifeline: str):
    hold(lifeline=lifeline)


@dsl.pipeline
def in_time():
    kubernetes.set_timeout(say(text="in time"), 60)


@pytest.mark.parametrize("pipeline", [forked, started], ids=["forked", "in a new interpreter"])
def test_a_task_that_takes_too_long_is_killed_with_all_its_processes(kfp, lifeline, pipeline):
    run_id = kfp.start(pipeline, lifeline=lifeline.path)
    assert lifeline.holder()
    kfp.until(lambda: kfp.states(run_id)["hold"] == "FAILED")
    assert lifeline.released()
    assert kfp.runs.states[run_id] == "RUNNING", "else it is the run's end that has killed them"
    kfp.call(kfp.executor.terminate, run_id)
    kfp.wait(run_id)
    assert kfp.task(run_id, "hold").error.message == "it took longer than its timeout of 2 s"


def test_each_attempt_has_its_own_time(kfp, lifeline):
    run_id = kfp.finish(trying_again, lifeline=lifeline.path)
    assert kfp.runs.errors[run_id].endswith("it took longer than its timeout of 1 s")
    task = kfp.task(run_id, "hold")
    assert (task.end_time - task.start_time).total_seconds() >= 2
    assert len(lifeline.read().split()) == 2


def test_a_task_in_time_has_its_own_end(kfp):
    run_id = kfp.finish(in_time)
    assert kfp.states(run_id) == {"say": "SUCCEEDED"}


def test_a_run_stops_at_its_deadline(kfp, lifeline):
    run_id = kfp.finish(with_deadline, lifeline=lifeline.path)
    assert kfp.runs.errors[run_id] == "the run took longer than its deadline of 2 s"
    assert lifeline.holder()
    assert lifeline.released()
