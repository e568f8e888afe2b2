"""What tasks are given and how they end: as on a cluster, or refused in a sentence."""

import pytest
from executing import component
from kfp import dsl


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
