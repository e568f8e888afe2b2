"""Inputs, conditions and outputs of tasks, as KFP's driver and launcher decide them."""

import json
from typing import Dict, List, NamedTuple, Optional  # noqa: UP035

import pytest
from harness.own_executor import Kfp, component
from kfp import dsl


@pytest.fixture(scope="module")
def kfp(tmp_path_factory, home):
    kfp = Kfp(tmp_path_factory.mktemp("driver"), home=home)
    yield kfp
    kfp.close()


@component
def say(text: str) -> str:
    return text


@component
def note(text: Optional[str] = None) -> str:  # noqa: UP045
    return repr(text)


@component
def add(a: int, b: int = 1) -> int:
    return a + b


@component
def make(text: str, data: dsl.Output[dsl.Dataset]):
    with open(data.path, "w") as file:
        file.write(text)


@component
def read(data: dsl.Input[dsl.Dataset]) -> str:
    return open(data.path).read()


@component
def look(data: Optional[dsl.Input[dsl.Dataset]] = None) -> str:  # noqa: UP045
    return open(data.path).read() if data else "nothing"


@component
def listing() -> list:
    return [1, 2, 3]


def returned(kfp, run_id):
    """Return the value that each task returned that has succeeded, by the task's name."""
    assert kfp.runs.errors[run_id] == ""
    done = [task for task in kfp.runs.tasks(run_id) if task.state == "SUCCEEDED"]
    outputs = {task.display_name: kfp.outputs(run_id, task.display_name) for task in done}
    return {
        name: found.parameters["Output"]
        for name, found in outputs.items()
        if "Output" in found.parameters
    }


# Conditions.


@dsl.pipeline
def over_untyped():
    with dsl.ParallelFor(listing().output) as size:
        with dsl.If(size == 2):
            say(text="two")
        with dsl.Else():
            say(text="another")


def test_an_item_of_an_untyped_list_is_a_text_to_a_condition(kfp):
    found = returned(kfp, kfp.finish(over_untyped))
    assert {name: text for name, text in found.items() if name.startswith("say")} == {
        **{"say-2[0]": "another", "say[1]": "two", "say-2[2]": "another"},
    }


@dsl.pipeline
def over_people(people: List[Dict]):  # noqa: UP006
    with dsl.ParallelFor(people) as person:
        with dsl.If(person.age == 30):
            say(text=person.who)


@dsl.pipeline
def over_numbers(numbers: List[float]):  # noqa: UP006
    with dsl.ParallelFor(numbers) as number:
        with dsl.If(number > 2):
            say(text=f"{number}")


@dsl.pipeline
def within(number: float, numbers: list):
    with dsl.If(number == 2):
        say(text="equal")
    with dsl.ParallelFor(numbers) as item:
        with dsl.If(item == "null"):
            say(text="null")
        with dsl.Elif(item == ""):
            say(text="empty")
        with dsl.Elif(item == 1.0):
            say(text="one")


@dsl.pipeline
def around(numbers: list, number: float = 2):
    within(number=number, numbers=numbers)


@dsl.pipeline
def between_kinds(whole: int, share: float):
    with dsl.If(share > whole):
        say(text="more")
    with dsl.Elif(share == whole):
        say(text="equal")
    with dsl.Else():
        say(text="less")


CONDITIONS = [
    pytest.param(
        over_people,
        {"people": [{"who": "a", "age": 30}, {"who": "b", "age": "30"}, {"who": "c", "age": 3}]},
        {"say[0]": "a", "say[1]": "b"},
        id="field",
    ),
    pytest.param(
        over_numbers, {"numbers": [1, 2.5, 3.0]}, {"say[1]": "2.5", "say[2]": "3"}, id="greater"
    ),
    pytest.param(
        around,
        {"numbers": [None, 1]},
        {"within/say": "equal", "within/say-3[0]": "empty"},
        id="nested",
    ),
    pytest.param(between_kinds, {"whole": 2, "share": 2.5}, {"say": "more"}, id="float and int"),
    pytest.param(between_kinds, {"whole": 2, "share": 2.0}, {"say-2": "equal"}, id="equal kinds"),
]


@pytest.mark.parametrize(("pipeline", "parameters", "said"), CONDITIONS)
def test_a_condition_sees_values_in_the_types_of_its_group(kfp, pipeline, parameters, said):
    assert returned(kfp, kfp.finish(pipeline, **parameters)) == said


@dsl.pipeline
def over_fields(rows: list = [{"size": 3}], limit: float = 2.0):  # noqa: B006
    with dsl.ParallelFor(rows) as row:
        with dsl.If(row.size > limit):
            say(text="large")


def test_a_condition_that_the_compiler_has_put_between_quotes_is_told_as_that(kfp):
    run_id = kfp.finish(over_fields)
    assert kfp.runs.errors[run_id].endswith(
        "the condition `rows-loop-item-subvar-size > 'limit'` cannot be evaluated: the kfp "
        "compiler has quoted a parameter, because the other side of the comparison has no type. "
        "Compare the two in a component, and use its output in the condition"
    )


@dsl.pipeline
def over_typed(numbers: List[int]):  # noqa: UP006
    with dsl.ParallelFor(numbers) as number:
        add(a=number)


def test_an_item_of_another_type_than_its_list_declares_is_refused(kfp):
    run_id = kfp.finish(over_typed, numbers=[1, None])
    assert "'numbers-loop-item' takes a number, but was given null" in kfp.runs.errors[run_id]


# Scopes.


@dsl.pipeline
def leaf(data: Optional[dsl.Input[dsl.Dataset]] = None):  # noqa: UP045
    look(data=data)


@dsl.pipeline
def middle(data: dsl.Input[dsl.Dataset]):
    look(data=data)
    leaf()


@dsl.pipeline
def outer():
    middle(data=make(text="of the outer pipeline").outputs["data"])


def test_a_nested_pipeline_sees_nothing_of_the_one_around_it(kfp):
    assert returned(kfp, kfp.finish(outer)) == {
        **{"middle/look": "of the outer pipeline", "middle/leaf/look": "nothing"},
    }


@dsl.pipeline
def telling(text: str = "own"):
    say(text=text)


@dsl.pipeline
def shadowed(text: str):
    telling()
    telling(text=f"told {text}")


def test_a_nested_pipelines_default_is_its_own(kfp):
    found = returned(kfp, kfp.finish(shadowed, text="outer"))
    assert found == {"telling/say": "own", "telling-2/say": "told outer"}


@component
def names() -> List[str]:  # noqa: UP006
    return ["a", "b"]


@dsl.pipeline
def inner_items():
    found = names()
    with dsl.ParallelFor(["1", "2"]) as number:
        with dsl.ParallelFor(found.output) as name:
            with dsl.If(name == "b"):
                say(text=f"{number}{name}")


def test_an_inner_loop_goes_over_an_upstream_list_with_a_condition_on_its_item(kfp):
    found = returned(kfp, kfp.finish(inner_items))
    assert {found["say[0][1]"], found["say[1][1]"]} == {"1b", "2b"}
    assert len(found) == 3


# Items without what is asked for.


@dsl.pipeline
def over_cities(people: List[Dict]):  # noqa: UP006
    with dsl.ParallelFor(people) as person:
        say(text=person.city)


MISSING = [
    pytest.param({"town": "Bern"}, 'of {"town":"Bern"}: \'city\' has no value', id="missing"),
    pytest.param({"city": None}, 'of {"city":null}: it is null', id="null"),
]


@pytest.mark.parametrize(("item", "reason"), MISSING)
def test_an_item_without_the_field_fails_the_task_that_asks_for_it(kfp, item, reason):
    run_id = kfp.finish(over_cities, people=[{"city": "Oslo"}, item])
    assert kfp.outputs(run_id, "say[0]").parameters == {"Output": "Oslo"}
    assert kfp.task(run_id, "say[1]").error.message == (
        f"its input 'text' selects [\"city\"] {reason}"
    )


# What tasks wait for.


@component
def memory() -> str:
    return "1G"


@dsl.pipeline
def inferred():
    say(text="trained").set_memory_limit(memory().output)
    read(data=make(text="x").outputs["data"])


def test_a_task_waits_for_those_whose_outputs_it_takes(kfp, without_dependent_tasks):
    run_id = kfp.finish(without_dependent_tasks(inferred))
    assert kfp.runs.errors[run_id] == ""
    assert set(kfp.states(run_id).values()) == {"SUCCEEDED"}


class Written:
    """A pipeline as a file may have it that no compiler has written."""

    def __init__(self, name, spec):
        self.name, self.spec = name, spec


@pytest.fixture
def edited(monkeypatch):
    """Makes a pipeline of another, with its specification changed."""
    from harness import own_executor

    compiled = own_executor.compiled

    def of_either(pipeline):
        return (pipeline.spec, {}) if isinstance(pipeline, Written) else compiled(pipeline)

    def edited(pipeline, change):
        spec = json.loads(json.dumps(compiled(pipeline)[0]))
        change(spec)
        return Written(pipeline.name, spec)

    monkeypatch.setattr(own_executor, "compiled", of_either)
    return edited


@pytest.fixture
def without_dependent_tasks(edited):
    def change(spec):
        for task in spec["root"]["dag"]["tasks"].values():
            task.pop("dependentTasks", None)

    return lambda pipeline: edited(pipeline, change)


# dsl.OneOf and dsl.Collected.


SIZES = ["small", "medium", "large"]


@dsl.pipeline
def one_of(size: str) -> dsl.Dataset:
    with dsl.If(size == "small"):
        a = make(text="small")
    with dsl.Elif(size == "medium"):
        b = make(text="medium")
    with dsl.Else():
        c = make(text="large")
    return dsl.OneOf(a.outputs["data"], b.outputs["data"], c.outputs["data"])


@dsl.pipeline
def choosing(size: str):
    read(data=one_of(size=size).output)


@dsl.pipeline
def choosing_here(size: str):
    with dsl.If(size == "small"):
        a = make(text="small")
    with dsl.Else():
        b = make(text="large")
    read(data=dsl.OneOf(a.outputs["data"], b.outputs["data"]))


CHOICES = [
    *(pytest.param(choosing, size, id=f"of a pipeline, {size}") for size in SIZES),
    *(pytest.param(choosing_here, size, id=size) for size in ("small", "large")),
]


@pytest.mark.parametrize(("pipeline", "size"), CHOICES)
def test_the_artifact_of_the_branch_that_ran_is_passed_on(kfp, pipeline, size):
    assert returned(kfp, kfp.finish(pipeline, size=size)) == {"read": size}


@component
def total(numbers: List[int]) -> int:  # noqa: UP006
    return sum(numbers)


@component
def total_of_lists(lists: List[List[int]]) -> List[int]:  # noqa: UP006
    return [sum(each) for each in lists]


@dsl.pipeline
def collected_if(numbers: List[int]):  # noqa: UP006
    with dsl.ParallelFor(numbers) as number:
        with dsl.If(number > 1):
            added = add(a=number)
    total(numbers=dsl.Collected(added.output))


@dsl.pipeline
def collected_twice():
    with dsl.ParallelFor([1, 2]) as one:
        with dsl.ParallelFor([10, 20]) as two:
            added = add(a=one, b=two)
    total_of_lists(lists=dsl.Collected(added.output))


def test_what_tasks_under_a_condition_put_out_is_collected_if_all_of_them_ran(kfp):
    assert returned(kfp, kfp.finish(collected_if, numbers=[2, 3]))["total"] == 7


def test_what_collects_from_a_task_that_did_not_run_fails_and_says_so(kfp):
    run_id = kfp.finish(collected_if, numbers=[1, 2])
    assert kfp.states(run_id)["add[1]"] == "SUCCEEDED"
    assert kfp.task(run_id, "total").error.message == (
        "its input 'numbers' has no value: 'condition-2' in 'for-loop-1-iteration-0' did not "
        "complete"
    )


def test_a_loop_in_a_loop_collects_into_lists_of_lists(kfp):
    assert returned(kfp, kfp.finish(collected_twice))["total-of-lists"] == [32, 34]


@dsl.pipeline
def over_the_same(names: List[str]):  # noqa: UP006
    with dsl.ParallelFor(names) as one:
        with dsl.ParallelFor(names) as two:
            say(text=f"{one}{two}")


def test_a_loop_in_a_loop_may_go_over_the_same_list(kfp):
    found = returned(kfp, kfp.finish(over_the_same, names=["a", "b"]))
    assert set(found.values()) == {"aa", "bb"}


# Numbers, lists and dictionaries as texts.


@dsl.pipeline
def in_text(rate: float = 1e-5, layers: list = [64, 32], big: float = 1e22, whole: float = 2.0):  # noqa: B006
    say(text=f"rate-{rate}")
    say(text=f"layers-{layers}")
    say(text=f"big-{big}")
    say(text=f"whole-{whole}")
    with dsl.ParallelFor([["<b>", {"b": 1.0, "a": None}]]) as item:
        telling(text=f"{item}")


def test_numbers_lists_and_dictionaries_are_written_in_texts_as_go_writes_them(kfp):
    assert returned(kfp, kfp.finish(in_text)) == {
        **{"say": "rate-0.00001", "say-2": "layers-[64,32]", "say-4": "whole-2"},
        "say-3": "big-10000000000000000000000",
        "telling/say[0]": '["\\u003cb\\u003e",{"a":null,"b":1}]',
    }


@component
def digits(number: int, numbers: list, options: dict) -> str:
    return f"{number} {numbers} {options}"


@dsl.pipeline
def large(number: int, numbers: list, options: dict):
    digits(number=number, numbers=numbers, options=options)


def test_whole_numbers_have_the_digits_that_protojson_writes(kfp):
    number = 1795901800123456789
    run_id = kfp.finish(large, number=number, numbers=[number, 1e20], options={"a": number})
    told = "1795901800123456800 [1795901800123456800, 100000000000000000000]"
    assert returned(kfp, run_id)["digits"] == told + " {'a': 1795901800123456800}"


# Outputs.


@component
def count(words: str) -> int:
    if words:
        return len(words.split())


@component
def leave(number: int) -> str:
    import os
    import sys

    (sys.exit if number == 0 else os._exit)(0)


@component
def share(text: str) -> float:
    return float(text)


@component
def odd() -> str:
    return "\udcff"


@component
def two(text: str) -> NamedTuple("Two", [("one", str), ("more", dict)]):
    return text, {"value": float(text)}


@dsl.pipeline
def counting():
    add(a=count(words="").output)


@dsl.pipeline
def leaving(number: int):
    leave(number=number)


@dsl.pipeline
def sharing(text: str):
    share(text=text)


@dsl.pipeline
def being_odd():
    odd()


@dsl.pipeline
def being_two():
    two(text="nan")


NOT_PUT_OUT = [
    pytest.param(counting, {}, "its output 'Output' was not written", id="None"),
    pytest.param(leaving, {"number": 0}, "its output 'Output' was not written", id="sys.exit"),
    pytest.param(leaving, {"number": 1}, "its output 'Output' was not written", id="os._exit"),
    pytest.param(sharing, {"text": "nan"}, "its output 'Output' is NaN", id="NaN"),
    pytest.param(sharing, {"text": "-inf"}, "its output 'Output' is negative inf", id="inf"),
    pytest.param(being_two, {}, "its output 'more' is NaN", id="NaN in a dictionary"),
    pytest.param(being_odd, {}, "its output 'Output' is not Unicode text", id="no Unicode"),
]


@pytest.mark.parametrize(("pipeline", "parameters", "reason"), NOT_PUT_OUT)
def test_a_task_fails_that_does_not_put_out_what_it_declares(kfp, pipeline, parameters, reason):
    run_id = kfp.finish(pipeline, **parameters)
    failed = [task for task in kfp.runs.tasks(run_id) if task.state == "FAILED"]
    assert [task.error.message[: len(reason)] for task in failed] == [reason]
    assert reason in kfp.log(run_id, failed[0].display_name)


@component
def flag(text: str, written: dsl.OutputPath(bool)):
    open(written, "w").write(text)


@component
def number(text: str, written: dsl.OutputPath(float)):
    open(written, "w").write(text)


@component
def items(text: str, written: dsl.OutputPath(list)):
    open(written, "w").write(text)


@component
def bytes_(written: dsl.OutputPath(str)):
    open(written, "wb").write(b"\xff")


@dsl.pipeline
def flags(text: str):
    flag(text=text)


@dsl.pipeline
def numbers(text: str):
    number(text=text)


@dsl.pipeline
def lists(text: str):
    items(text=text)


@dsl.pipeline
def no_text():
    bytes_()


IN_FILES = [
    pytest.param(flags, "1", True, id="1"),
    pytest.param(flags, "TRUE\n", True, id="TRUE"),
    pytest.param(flags, "f", False, id="f"),
    pytest.param(numbers, " 1e3 ", 1000, id="number"),
    pytest.param(lists, "[1.0, null]", [1, None], id="list"),
]


@pytest.mark.parametrize(("pipeline", "text", "value"), IN_FILES)
def test_a_file_is_read_as_the_type_of_its_output(kfp, pipeline, text, value):
    run_id = kfp.finish(pipeline, text=text)
    assert kfp.runs.errors[run_id] == ""
    (task,) = kfp.runs.tasks(run_id)
    found = kfp.outputs(run_id, task.display_name).parameters["written"]
    assert (found, type(found)) == (value, type(value))


NOT_IN_FILES = [
    pytest.param(flags, {"text": "yes"}, 'as true or false, but is the text "yes"', id="bool"),
    pytest.param(numbers, {"text": '"many"'}, 'as a number, but is the text "many"', id="number"),
    pytest.param(numbers, {"text": "1_0"}, 'as a number, but is the text "1_0"', id="1_0"),
    pytest.param(lists, {"text": '{"a": 1}'}, 'as a list, but is {"a":1}', id="list"),
    pytest.param(lists, {"text": "[NaN]"}, "as a list, but is [NaN]", id="NaN"),
]


@pytest.mark.parametrize(("pipeline", "parameters", "reason"), NOT_IN_FILES)
def test_a_file_with_another_type_fails_the_task(kfp, pipeline, parameters, reason):
    run_id = kfp.finish(pipeline, **parameters)
    told = f"failed: its output 'written' is declared {reason}"
    assert kfp.runs.errors[run_id].endswith(told)


def test_a_file_that_is_no_text_fails_the_task_in_a_sentence(kfp):
    error = kfp.runs.errors[kfp.finish(no_text)]
    assert error.endswith("its output 'written' is not Unicode text: pass it as an artifact")


@component
def complain(words: int):
    raise ValueError("problem " * words)


@dsl.pipeline
def complaining(words: int):
    complain(words=words)


@pytest.mark.parametrize("words", [100, 30_000])
def test_a_reason_that_is_too_long_is_cut_between_words(kfp, words):
    run_id = kfp.finish(complaining, words=words)
    message = kfp.task(run_id, "complain").error.message
    assert len(message) < 600 and "..." in message
    assert set(message.split()) <= {"ValueError:", "problem", "..."}


# Caching, paths, names.


@dsl.pipeline
def keyed():
    first = say(text="monday")
    first.set_caching_options(True, cache_key="weekly-report")
    second = say(text="tuesday").after(first)
    second.set_caching_options(True, cache_key="weekly-report")
    note(text="monday").after(first).set_caching_options(True, cache_key="weekly-report")


def test_a_cache_key_stands_for_all_that_a_component_is_given(kfp):
    found = returned(kfp, kfp.finish(keyed))
    assert found == {"say": "monday", "say-2": "monday", "note": "'monday'"}


@component
def make_elsewhere(data: dsl.Output[dsl.Dataset], folder: dsl.Output[dsl.Dataset]):
    import os
    import tempfile

    place = tempfile.mkdtemp()
    data.set_path(os.path.join(place, "data.csv"))
    open(data.path, "w").write("of a file")
    folder.custom_path = os.path.join(place, "folder")
    os.mkdir(folder.path)
    open(os.path.join(folder.path, "file"), "w").write("in a folder")


@component
def read_both(data: dsl.Input[dsl.Dataset], folder: dsl.Input[dsl.Dataset]) -> str:
    return f"{open(data.path).read()}, {open(folder.path + '/file').read()}"


@dsl.pipeline
def elsewhere():
    made = make_elsewhere()
    read_both(data=made.outputs["data"], folder=made.outputs["folder"])


def test_an_artifact_with_a_path_of_its_own_reaches_the_next_task(kfp):
    assert returned(kfp, kfp.finish(elsewhere)) == {"read-both": "of a file, in a folder"}


@dsl.pipeline
def plain():
    say(text="x")


def renamed(spec, component_name):
    spec["components"][component_name] = spec["components"].pop("comp-say")
    for task in spec["root"]["dag"]["tasks"].values():
        task["componentRef"]["name"] = component_name


@pytest.mark.parametrize("name", ["comp-../../../../outside", "comp-" + 400 * "x"])
def test_a_components_name_is_no_path(kfp, edited, name):
    run_id = kfp.finish(edited(plain, lambda spec: renamed(spec, name)))
    assert returned(kfp, run_id) == {"say": "x"}
    assert not list(kfp.folder.rglob("outside"))


def named(spec, name):
    tasks = spec["root"]["dag"]["tasks"]
    tasks[name] = tasks.pop("say")


def circular(spec):
    tasks = spec["root"]["dag"]["tasks"]
    tasks["again"] = {**tasks["say"], "dependentTasks": ["say"]}
    tasks["say"]["dependentTasks"] = ["again"]


def without_executor(spec):
    spec["components"]["comp-say"]["executorLabel"] = "exec-gone"


def without_component(spec):
    spec["root"]["dag"]["tasks"]["say"]["componentRef"]["name"] = "comp-gone"


def waiting(spec):
    spec["root"]["dag"]["tasks"]["say"]["dependentTasks"] = ["gone"]


def within_itself(spec):
    spec["components"]["comp-say"] = {"dag": {"tasks": spec["root"]["dag"]["tasks"]}}


def in_environment(**variable):
    def change(spec):
        container = spec["deploymentSpec"]["executors"]["exec-say"]["container"]
        container["env"] = [variable]

    return change


def over(items, parallelism=0):
    """The same task for each of the items, in so many iterations at once."""

    def change(spec):
        (task,) = spec["root"]["dag"]["tasks"].values()
        spec["components"]["comp-group"] = {"dag": {"tasks": {"say": {**task}}}}
        task["componentRef"] = {"name": "comp-group"}
        task["parameterIterator"] = {"itemInput": "item", "items": {"raw": items}}
        task["iteratorPolicy"] = {"parallelismLimit": parallelism}
        del task["inputs"]

    return change


REFUSED = [
    pytest.param(in_environment(name="A=B"), "environment variable 'A=B' cannot be set", id="="),
    pytest.param(in_environment(value="b"), "environment variable '' cannot be set", id="nameless"),
    pytest.param(over("[NaN]"), 'a loop needs a list to iterate over, not "[NaN]"', id="NaN"),
    pytest.param(lambda spec: named(spec, 2000 * "x"), "a name of 2000 characters", id="long"),
    pytest.param(circular, "the tasks 'again', 'say' depend on each other", id="circle"),
    pytest.param(without_executor, "there is no executor 'exec-gone'", id="no executor"),
    pytest.param(without_component, "task 'say' does not exist: 'comp-gone'", id="component"),
    pytest.param(waiting, "'gone', which is not a task of the same group", id="no task"),
    pytest.param(within_itself, "makes the pipeline contain itself: 'comp-say'", id="recursion"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED)
def test_a_pipeline_that_cannot_be_is_refused_in_a_sentence(kfp, edited, change, reason):
    run_id = kfp.finish(edited(plain, change))
    assert reason in kfp.runs.errors[run_id]
    assert "Error" not in kfp.runs.errors[run_id]


def test_a_run_that_is_refused_before_its_first_task_has_its_tasks(kfp, edited):
    run_id = kfp.finish(edited(plain, without_executor))
    assert kfp.states(run_id) == {"say": "SKIPPED"}


def test_a_loop_without_a_sensible_limit_runs_all_its_iterations(kfp, edited):
    run_id = kfp.finish(edited(plain, over("[1, 2]", parallelism=-1)))
    assert kfp.runs.errors[run_id] == ""
    assert len(kfp.states(run_id)) == 2
