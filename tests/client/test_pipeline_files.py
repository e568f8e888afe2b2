"""Compiled pipelines as files, and the parameters that they take."""

import msgspec
import pytest

from jupyter_kfp_mt.client import pipeline_files
from jupyter_kfp_mt.errors import BadRequest, NotAPipeline

TAKES = msgspec.convert(
    {
        "rows": {"parameterType": "NUMBER_INTEGER"},
        "rate": {"parameterType": "NUMBER_DOUBLE", "defaultValue": 0.1},
        "label": {"parameterType": "STRING", "defaultValue": ""},
        "dry": {"parameterType": "BOOLEAN", "isOptional": True},
        "sizes": {"parameterType": "LIST", "defaultValue": []},
        "options": {"parameterType": "STRUCT", "defaultValue": {}},
    },
    dict[str, pipeline_files.Definition],
)


INFO = "pipelineInfo: {name: p}"


def test_reads_what_the_compiler_writes(adder):
    file = pipeline_files.read(adder)
    assert file.name == "adder"
    assert set(pipeline_files.definitions(file.pipeline_spec)) == {"x", "label"}


@pytest.mark.parametrize(
    "name, content, reason",
    [
        pytest.param("a.py", "import kfp", "source, not yet compiled", id="source"),
        pytest.param("a.yaml", "", "it is empty", id="empty"),
        pytest.param("a.yaml", "a: [", "it is not YAML", id="not YAML"),
        pytest.param("a.yaml", "- 1", "it is not a mapping", id="a list"),
        pytest.param("a.yaml", "a: 1", "missing required field `pipelineInfo`", id="other"),
        pytest.param("a.yaml", "pipelineInfo: 7\nroot: {}", "expected `object`", id="wrong shape"),
        pytest.param("a.yaml", f"{INFO}\nroot: []", "expected `object`", id="wrong root"),
        pytest.param(
            "a.yaml", f"{INFO}\nroot: {{inputDefinitions: }}", "got `null`", id="no inputs"
        ),
        pytest.param("a.yaml", f"{INFO}\nroot: &r {{a: *r}}", "not YAML that is", id="endless"),
        pytest.param("a.yaml", f"{INFO}\nroot: {{~: 1}}", "not YAML that is", id="odd key"),
        pytest.param("a.yaml", "a: 2024-99-99", "not YAML that is", id="odd date"),
        pytest.param("a.yaml", "apiVersion: argoproj.io/v1alpha1", "an Argo workflow", id="Argo"),
        pytest.param("a.yaml", "apiVersion: 3", "missing required field", id="odd version"),
        pytest.param("a.yaml", "\udcff\udcfe", "it is not YAML", id="binary"),
    ],
)
def test_says_what_a_file_is_that_is_no_pipeline(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(NotAPipeline, match=reason):
        pipeline_files.read(path)


def test_says_which_file_is_not_there(tmp_path):
    with pytest.raises(NotAPipeline, match=r"Cannot read .*nope\.yaml: No such file"):
        pipeline_files.read(tmp_path / "nope.yaml")


def test_what_was_typed_becomes_the_values_that_the_pipeline_takes():
    typed = {
        "rows": "3",
        "rate": "1e-3",
        "label": "7",
        "dry": "True",
        "sizes": "[1, 2]",
        "options": '{"a": null}',
    }
    assert pipeline_files.parse_parameters(typed, TAKES, "p") == {
        "rows": 3,
        "rate": 0.001,
        "label": "7",
        "dry": True,
        "sizes": [1, 2],
        "options": {"a": None},
    }


@pytest.mark.parametrize(
    "name, text, sentence",
    [
        pytest.param("rows", "many", "rows takes a whole number, not 'many'", id="text"),
        pytest.param("rows", "1.5", "rows takes a whole number", id="fraction"),
        pytest.param("rows", "true", "rows takes a whole number", id="truth for a number"),
        pytest.param("rows", "1e999", "rows takes a whole number", id="endless"),
        pytest.param("rate", "NaN", "rate takes a number", id="not a number"),
        pytest.param("dry", "1", "dry takes true or false", id="number for a truth"),
        pytest.param("sizes", "{}", "sizes takes a JSON list", id="object for a list"),
        pytest.param("rwos", "1", "no parameter rwos. Did you mean rows?", id="misspelt"),
    ],
)
def test_says_what_is_wrong_with_what_was_typed(name, text, sentence):
    with pytest.raises(BadRequest, match=sentence.replace(".", r"\.").replace("?", r"\?")):
        pipeline_files.parse_parameters({name: text}, TAKES, "p")


@pytest.mark.parametrize(
    "name, text, value",
    [("rate", ".25", 0.25), ("rate", "5.", 5.0), ("rows", "+7", 7), ("rows", "1_000", 1000)],
)
def test_a_number_may_be_written_as_in_python(name, text, value):
    assert pipeline_files.parse_parameters({name: text}, TAKES, "p") == {name: value}


def test_a_whole_number_may_be_very_long():
    typed = {"rows": "1" + "0" * 400}
    assert pipeline_files.parse_parameters(typed, TAKES, "p") == {"rows": 10**400}


def test_says_which_values_are_missing():
    with pytest.raises(BadRequest, match="needs a value for rows") as error:
        pipeline_files.check_parameters({}, TAKES, "p")
    assert error.value.cure == "Give it with -p rows=..., or --form."


def test_values_from_python_are_checked_too():
    with pytest.raises(BadRequest, match="rows takes a whole number, not True"):
        pipeline_files.check_parameters({"rows": True}, TAKES, "p")
    with pytest.raises(BadRequest, match="label takes text, not 7"):
        pipeline_files.check_parameters({"rows": 1, "label": 7}, TAKES, "p")


def test_a_parameter_with_literals_takes_no_other_value():
    accepted = {"size": pipeline_files.Definition("STRING", literals=["small", "large"])}
    pipeline_files.check_parameters({"size": "small"}, accepted, "p")
    with pytest.raises(BadRequest, match="size takes one of small, large, not 'huge'"):
        pipeline_files.check_parameters({"size": "huge"}, accepted, "p")
