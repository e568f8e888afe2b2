"""Logs without the lines of kfp's executor, which are those that kfp 2.17.0 writes."""

import pytest

from jupyter_kfp_mt.client import tracebacks

TOLD = "[KFP Executor 2026-11-29 12:27:51,179 INFO]: "
INPUT = ["{", '    "inputs": {', "    }", "}"]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["mine"], id="nothing of the executor"),
        pytest.param([f"{TOLD}Looking for component", "mine"], id="a message"),
        pytest.param([f"{TOLD}Got executor_input:", *INPUT, "mine"], id="its input"),
        pytest.param(["mine", f"{TOLD}Wrote executor output file"], id="after mine"),
        pytest.param([f"{TOLD}Got executor_input:", "mine"], id="an input that was cut away"),
        pytest.param([f"{TOLD}Got executor_input:", f"{TOLD}x", "mine"], id="no input at all"),
    ],
)
def test_what_the_executor_writes_is_no_line_of_the_task(lines):
    assert list(tracebacks.own_lines(lines)) == ["mine"]


def test_a_task_may_write_what_looks_like_an_input():
    assert list(tracebacks.own_lines(INPUT)) == INPUT


def test_lines_come_while_the_task_writes():
    def written():
        yield f"{TOLD}Looking for component"
        yield "first"
        pytest.fail("The second line is awaited before the first is told.")

    assert next(tracebacks.own_lines(written())) == "first"
