"""Which tasks of a pipeline run, when, and with what: loops, conditions, failures, exits."""

from typing import List, Optional  # noqa: UP035

import pytest
from harness.own_executor import Kfp, component
from kfp import dsl

from jupyter_kfp_mt.local.execution.run.conditions import ConditionFailed, holds
from jupyter_kfp_mt.local.execution.run.pipeline_run import tasks_at_once


@pytest.fixture(scope="module")
def kfp(tmp_path_factory, home):
    kfp = Kfp(tmp_path_factory.mktemp("graph"), home=home)
    yield kfp
    kfp.close()


@component
def add(a: int, b: int = 100) -> int:
    return a + b


@component
def echo(text: str) -> str:
    return text


@component
def fail() -> int:
    raise ValueError("no more")


@component
def meet(me: str, other: str, folder: str):
    import pathlib
    import time

    pathlib.Path(folder, me).touch()
    deadline = time.monotonic() + 20
    while not pathlib.Path(folder, other).exists():
        assert time.monotonic() < deadline, "alone"
        time.sleep(0.01)


@component
def count(number: int, folder: str) -> int:
    import os
    import pathlib
    import time

    place = pathlib.Path(folder, str(number))
    place.touch()
    time.sleep(0.1)
    there = len(os.listdir(folder))
    place.unlink()
    return there


@component
def write(number: int, made: dsl.Output[dsl.Dataset]):
    made.metadata["number"] = number
    open(made.path, "w").write(str(number))


@component
def read(made: dsl.Input[dsl.Dataset]) -> str:
    return open(made.path).read()


@component
def total(numbers: List[int]) -> int:  # noqa: UP006
    return sum(numbers)


@component
def conclude(status: dsl.PipelineTaskFinalStatus) -> str:
    return status.state


def results(kfp, run_id):
    """Return the value that each task returned that has succeeded."""
    assert kfp.runs.errors[run_id] == ""
    done = [task for task in kfp.runs.tasks(run_id) if task.state == "SUCCEEDED"]
    return {
        task.display_name: kfp.outputs(run_id, task.display_name).parameters.get("Output")
        for task in done
    }


@dsl.pipeline
def meeting(folder: str):
    meet(me="one", other="two", folder=folder)
    meet(me="two", other="one", folder=folder)


def test_tasks_that_do_not_need_each_other_run_at_the_same_time(kfp, tmp_path):
    assert results(kfp, kfp.finish(meeting, folder=str(tmp_path))).keys() == {"meet", "meet-2"}


@dsl.pipeline
def relayed(folder: str):
    short = meet(me="short", other="long", folder=folder)
    meet(me="next", other="long", folder=folder).after(short)
    meet(me="long", other="next", folder=folder)


def test_the_end_of_a_task_is_known_while_others_go_on(kfp, tmp_path):
    assert len(results(kfp, kfp.finish(relayed, folder=str(tmp_path)))) == 3


@dsl.pipeline
def crowded(folder: str):
    with dsl.ParallelFor(list(range(tasks_at_once() + 2))) as number:
        count(number=number, folder=folder)


@dsl.pipeline
def queued(folder: str):
    with dsl.ParallelFor(list(range(3)), parallelism=1) as number:
        count(number=number, folder=folder)


@pytest.mark.parametrize(
    ("pipeline", "most"),
    [
        pytest.param(crowded, tasks_at_once(), id="twice as many as processors"),
        pytest.param(queued, 1, id="as many as the loop allows"),
    ],
)
def test_only_so_many_tasks_run_at_once(kfp, tmp_path, pipeline, most):
    counted = results(kfp, kfp.finish(pipeline, folder=str(tmp_path)))
    assert max(counted.values()) <= most


@dsl.pipeline
def pair(number: int) -> int:
    first = add(a=number, b=1)
    return add(a=first.output, b=1).output


@dsl.pipeline
def looping(numbers: List[int], start: int = 5) -> int:  # noqa: UP006
    before = add(a=start, b=1)
    with dsl.ParallelFor(numbers) as number:
        # An output of another task, and not the item.
        summed = add(a=number, b=before.output)
        with dsl.ParallelFor([{"low": 1, "high": 2}]) as span:
            add(a=span.low, b=span.high)
            add(a=number, b=before.output)
        pair(number=summed.output)
    return total(numbers=dsl.Collected(summed.output)).output


def test_loops_know_their_items_and_what_is_around_them(kfp):
    returned = results(kfp, kfp.finish(looping, numbers=[10, 20]))
    assert returned.pop("total") == 16 + 26
    assert returned == {
        **{"add": 6, "add-2[0]": 16, "add-2[1]": 26},
        **{"add-3[0][0]": 3, "add-3[1][0]": 3, "add-4[0][0]": 16, "add-4[1][0]": 26},
        **{"pair/add[0]": 17, "pair/add[1]": 27, "pair/add-2[0]": 18, "pair/add-2[1]": 28},
    }


def test_a_loop_over_nothing_collects_nothing(kfp):
    assert results(kfp, kfp.finish(looping, numbers=[])) == {"add": 6, "total": 0}


@dsl.pipeline
def several() -> List[dsl.Dataset]:  # noqa: UP006
    with dsl.ParallelFor([1, 2]) as number:
        made = write(number=number)
    return dsl.Collected(made.outputs["made"])


@dsl.pipeline
def over_artifacts():
    with dsl.ParallelFor(several().output) as made:
        read(made=made)


def test_a_loop_can_go_over_artifacts(kfp):
    returned = results(kfp, kfp.finish(over_artifacts))
    assert (returned["read[0]"], returned["read[1]"]) == ("1", "2")


@dsl.pipeline
def choose(text: str, number: int) -> str:
    with dsl.If(text == "a && !(b)"):
        one = echo(text="quoted")
    with dsl.Elif(add(a=number, b=0).output > 3):
        two = echo(text="big")
    with dsl.Else():
        three = echo(text="else")
    return dsl.OneOf(one.output, two.output, three.output)


@dsl.pipeline
def choosing(text: str, number: int):
    echo(text=choose(text=text, number=number).output)


@pytest.mark.parametrize(
    ("text", "number", "chosen"),
    [
        pytest.param("a && !(b)", 4, "quoted", id="if"),
        pytest.param("x", 4, "big", id="elif"),
        pytest.param("' or '1' == '1", 3, "else", id="else"),
    ],
)
def test_one_branch_runs_and_gives_its_output(kfp, text, number, chosen):
    assert results(kfp, kfp.finish(choosing, text=text, number=number))["echo"] == chosen


VALUE = "inputs.parameter_values['{}']".format


@pytest.mark.parametrize(
    ("condition", "inputs", "expected"),
    [
        pytest.param(f"{VALUE('a')} == 'it\\'s && ||!'", {"a": "it's && ||!"}, True, id="literal"),
        pytest.param(f"!({VALUE('a')} == 1) && {VALUE('b')} == true", {"a": 2.0, "b": True}, True),
        pytest.param(f"int({VALUE('a')}) > 2 || {VALUE('a')} != '1'", {"a": "1"}, False),
        pytest.param(f"{VALUE('a')} == {VALUE('b')}", {"a": "x' or 'x'", "b": "x"}, False),
        pytest.param(f"{VALUE('a')} == null", {"a": None}, True, id="null"),
    ],
)
def test_a_condition_is_about_the_values(condition, inputs, expected):
    assert holds(condition, inputs) is expected


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        pytest.param("int(inputs.parameter_values['a']) > 1", "invalid literal", id="type"),
        pytest.param("inputs.parameter_values['gone'] == 1", "'gone' has no value", id="missing"),
        pytest.param("1 ==", "invalid syntax", id="syntax"),
        pytest.param("open('/etc/passwd')", "'open' is not defined", id="function"),
    ],
)
def test_a_condition_that_cannot_be_evaluated_is_an_error(condition, reason):
    with pytest.raises(ConditionFailed, match=reason):
        holds(condition, {"a": "x"})


@dsl.pipeline
def undecided(number: Optional[int] = None):  # noqa: UP045
    with dsl.If(number > 3):
        add(a=1)
    add(a=2)


def test_a_run_fails_with_a_condition_on_what_is_null(kfp):
    run_id = kfp.finish(undecided)
    reason = "'condition-1' could not be run: its input 'number' is null, which no dsl.If"
    assert kfp.runs.errors[run_id].startswith(reason)
    assert kfp.states(run_id) == {"add": "SKIPPED", "add-2": "SUCCEEDED"}


@dsl.pipeline
def partly():
    with dsl.ExitHandler(conclude()):
        bad = fail()
        after = add(a=bad.output)
        add(a=1).after(after)
        good = add(a=2)
        add(a=good.output)
    add(a=9)


@dsl.pipeline
def excused():
    bad = fail()
    add(a=4, b=bad.output).ignore_upstream_failure()


def test_a_failure_stops_only_what_depends_on_it(kfp):
    run_id = kfp.finish(partly)
    assert kfp.runs.errors[run_id] == "Task 'fail' failed: ValueError: no more"
    states = kfp.states(run_id)
    assert states == {
        **{"fail": "FAILED", "add": "SKIPPED", "add-2": "SKIPPED"},
        **{"add-3": "SUCCEEDED", "add-4": "SUCCEEDED", "add-5": "SUCCEEDED"},
        "conclude": "SUCCEEDED",
    }
    assert kfp.outputs(run_id, "conclude").parameters == {"Output": "FAILED"}


def test_what_a_failed_task_did_not_give_falls_back_to_the_default(kfp):
    run_id = kfp.finish(excused)
    assert kfp.states(run_id) == {"fail": "FAILED", "add": "SUCCEEDED"}
    assert kfp.outputs(run_id, "add").parameters == {"Output": 104}
    assert kfp.runs.states[run_id] == "FAILED"


@dsl.pipeline
def long():
    with dsl.ParallelFor(list(range(100))) as number:
        add(a=number)


def test_a_loop_may_be_long(kfp):
    returned = results(kfp, kfp.finish(long))
    assert returned == {f"add[{number}]": 100 + number for number in range(100)}
