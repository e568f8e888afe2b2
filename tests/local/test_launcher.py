"""Commands, texts and outputs as KFP's launcher makes them, and as Go writes them."""

import json

import pytest

from jupyter_kfp_mt.local.execution.run.go_values import (
    NoSuchValue,
    argument_of,
    go_json,
    text_of,
    value_of,
)
from jupyter_kfp_mt.local.execution.run.placeholders import (
    NotFilledIn,
    in_command,
    in_constant,
    with_parameters,
)
from jupyter_kfp_mt.local.execution.run.scopes import RuntimeArtifact, Values
from jupyter_kfp_mt.local.execution.run.task_outputs import in_their_places

GIVEN = Values(
    {"rate": 1e-5, "share": 2.0, "items": ["<b>", 1.0], "text": "a 'b' {{$.inputs}}", "none": None}
)
EXECUTOR_INPUT = {
    "inputs": {
        "parameterValues": {**GIVEN.parameters, "default": 3},
        "artifacts": {"model": {"artifacts": [{"uri": "/m", "name": "n", "metadata": {"a": 1}}]}},
    },
    "outputs": {
        "parameters": {"sum": {"outputFile": "/out/sum"}},
        "artifacts": {"data": {"artifacts": [{"uri": "/out/data", "name": "data"}]}},
        "outputFile": "/out/executor_output.json",
    },
}
WORDS = {"{{$.pipeline_job_name}}": "My run", "/kfp-workspace": "/here"}


def command(*elements):
    return in_command(list(elements), EXECUTOR_INPUT, GIVEN, WORDS)


FILLED = [
    # As the driver writes them, and the launcher what is left to it.
    ("{{$.inputs.parameters['rate']}}", "1e-05"),
    (
        "{{$.outputs.parameters['sum'].output_file}} {{$.inputs.parameters['rate']}}",
        "/out/sum 0.00001",
    ),
    ("--share={{$.inputs.parameters['share']}}", "--share=2"),
    ("{{$.inputs.parameters['items']}}", '["\\u003cb\\u003e",1]'),
    ("{{$.inputs.parameters['text']}}", "a 'b' {{$.inputs}}"),
    ("{{$.inputs.parameters['default']}}", "3"),
    ("{{$.inputs.artifacts['model'].path}}{{$.inputs.artifacts['model'].uri}}", "/m/m"),
    ("{{$.inputs.artifacts['model'].metadata['a']}}", "1"),
    ("{{$.outputs.artifacts['data'].path}}", "/out/data"),
    ("{{$.outputs.output_file}}", "/out/executor_output.json"),
    ("{{$.pipeline_job_name}} in /kfp-workspace/x", "{{$.pipeline_job_name}} in /here/x"),
    ("{{$.other}} {{$.inputs.x}}", "{{$.other}} {{$.inputs.x}}"),
]


@pytest.mark.parametrize(("element", "filled"), FILLED)
def test_a_placeholder_in_a_command_becomes_what_it_stands_for(element, filled):
    assert command(element) == [filled]


def test_a_program_is_told_its_whole_executor_input():
    assert json.loads(command("{{$}}")[0]) == EXECUTOR_INPUT


def if_present(name, then, otherwise=None):
    return json.dumps({"IfPresent": {"InputName": name, "Then": then, "Else": otherwise}})


CHOSEN = [
    pytest.param(if_present("rate", ["--rate", "{{$.inputs.parameters['rate']}}"]), id="present"),
    pytest.param(if_present("none", "no", ["--rate", "1e-05"]), id="null is not present"),
    pytest.param(if_present("default", "no", ["--rate", "1e-05"]), id="nor is a default"),
    pytest.param(if_present("rate", ["--rate", {"Concat": ["1e", "-05"]}]), id="within"),
]


@pytest.mark.parametrize("element", CHOSEN)
def test_arguments_depend_on_what_is_given(element):
    assert command(element) == ["--rate", "1e-05"]


def test_what_is_not_present_leaves_no_argument():
    assert command("a", if_present("gone", "b"), "c") == ["a", "c"]


def test_texts_are_put_together():
    concat = json.dumps({"Concat": ["--", "{{$.inputs.parameters['share']}}", "x"]})
    assert command(concat) == ["--2x"]


def test_an_argument_without_a_value_is_refused_with_its_name():
    with pytest.raises(NotFilledIn, match="'none' is part of it, but has no value"):
        command("{{$.inputs.parameters['none']}}")


def test_an_argument_that_is_no_text_is_refused():
    with pytest.raises(NotFilledIn, match=r'its command has {"IfPresent": \["a"\]} where a text'):
        command(json.dumps({"IfPresent": ["a"]}))


def test_constants_are_filled_in_within_lists_and_dictionaries():
    constant = ["/kfp-workspace/x", {"a": "{{$.inputs.parameters['pipelinechannel--n']}}"}]
    assert in_constant(constant, WORDS) == ["/here/x", constant[1]]
    assert with_parameters(constant, {"pipelinechannel--n": 1e-5})[1] == {"a": "0.00001"}


def test_json_is_written_sorted_and_fit_for_html():
    value = {"b": [1.0, 1e-7, 2.5, True, None], "a": "<&>\u2028é\n"}
    assert go_json(value) == '{"a":"\\u003c\\u0026\\u003e\\u2028é\\n","b":[1,1e-7,2.5,true,null]}'


TEXTS = [(None, ""), ("a", "a"), (True, "true"), (1e22, "1" + 22 * "0"), ([1.0], "[1]"), ({}, "{}")]


@pytest.mark.parametrize(("value", "text"), TEXTS)
def test_a_value_is_a_text(value, text):
    assert text_of(value) == text
    assert argument_of(value) == ("1e+22" if value == 1e22 else text)


VALUES = [
    ("12", "NUMBER_INTEGER", 12),
    ("-3\n", "NUMBER_INTEGER", -3),
    ("1e3", "NUMBER_DOUBLE", 1000),
    ("0x1p-2", "NUMBER_DOUBLE", 0.25),
    ("T", "BOOLEAN", True),
    (" 0 ", "BOOLEAN", False),
    ('{"a": 1.0}', "STRUCT", {"a": 1}),
    (" text\n", "STRING", " text\n"),
]


@pytest.mark.parametrize(("text", "kind", "value"), VALUES)
def test_a_text_is_read_as_a_value_of_its_type(text, kind, value):
    found = value_of(text, kind)
    assert (found, type(found)) == (value, type(value))


NO_VALUES = [
    *(("", "NUMBER_INTEGER"), ("1.0", "NUMBER_INTEGER"), (str(2**63), "NUMBER_INTEGER")),
    *(("1_0", "NUMBER_DOUBLE"), ("0x1", "NUMBER_DOUBLE"), ("many", "NUMBER_DOUBLE")),
    *(("yes", "BOOLEAN"), ("tRUE", "BOOLEAN"), ("{}", "LIST"), ("[NaN]", "LIST"), ("[]", "STRUCT")),
]


@pytest.mark.parametrize(("text", "kind"), NO_VALUES)
def test_a_text_that_is_no_value_of_its_type_is_refused(text, kind):
    with pytest.raises(NoSuchValue):
        value_of(text, kind)


@pytest.mark.parametrize("path", ["made", "outputs/data/made", "{folder}/made"])
def test_an_artifact_comes_to_its_place_from_wherever_it_was_made(tmp_path, path):
    place = tmp_path / "outputs" / "data"
    place.mkdir(parents=True)
    made = tmp_path / path.format(folder=tmp_path)
    made.write_text("made")
    artifact = RuntimeArtifact(uri=str(place), path=path.format(folder=tmp_path))
    found = in_their_places(Values({}, {"data": [artifact]}), tmp_path, lambda _: True)
    assert found.artifacts == {"data": [RuntimeArtifact(uri=str(place))]}
    assert place.read_text() == "made"


def test_what_may_not_be_read_is_left_where_it_is(tmp_path):
    (tmp_path / "secret").write_text("of another")
    artifact = RuntimeArtifact(uri=str(tmp_path / "data"), path=str(tmp_path / "secret"))
    in_their_places(Values({}, {"data": [artifact]}), tmp_path, lambda _: False)
    assert not (tmp_path / "data").exists()
