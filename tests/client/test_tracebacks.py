"""Logs without the lines of kfp's executor, which are those that kfp 2.17.0 writes."""

import json
from pathlib import Path

import pytest

from jupyter_kfp_mt.client import tracebacks

# The views in the browser are held to the same (labextension/src/views/__tests__/text.spec.ts).
SAMPLES = json.loads((Path(__file__).parents[1] / "recorded/executor_logs.json").read_text())
LOOKING = (
    "[KFP Executor 2026-11-29 12:27:51,179 INFO]: "
    "Looking for component `add` in --component_module_path `/tmp/x.py`"
)


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample["name"] for sample in SAMPLES])
def test_what_the_executor_writes_is_no_line_of_the_task(sample):
    assert tracebacks.readable("\n".join(sample["log"])).split("\n") == sample["own"]


def test_lines_come_while_the_task_writes():
    def written():
        yield LOOKING
        yield "first"
        pytest.fail("The second line is awaited before the first is told.")

    assert next(tracebacks.own_lines(written())) == "first"


@pytest.mark.parametrize(
    "after",
    ["[KFP Executor x]: more", "F1129 12:27:52.179123      17 main.go:79] exit status 1", ""],
)
def test_an_exception_ends_where_the_executor_or_the_launcher_goes_on(after):
    own = 'Traceback (most recent call last):\n  File "x.py", line 5, in f\nValueError: no\nmore'
    assert tracebacks.found(f"{own}\n{after}\n").own == own
