"""Files that are nearly a compiled pipeline: read as the API server's template code reads them."""

import copy
import json

import pytest
import yaml

from jupyter_kfp_mt.local.pipelines.pipeline_files import read_pipeline_file
from jupyter_kfp_mt.local.wire.api_errors import ApiError


@pytest.fixture
def spec(adder):
    return yaml.safe_load(adder.read_text())


PLATFORM = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}}


def read(*documents):
    text = "---\n".join(yaml.safe_dump(document, sort_keys=False) for document in documents)
    return read_pipeline_file("p.yaml", text.encode())


def test_fields_may_have_the_names_of_the_definition_and_are_kept_in_camel_case(spec):
    component = spec["components"]["comp-add"]
    snake = {
        **{name: value for name, value in spec.items() if name not in ("schemaVersion", "root")},
        "schema_version": spec["schemaVersion"],
        "pipeline_info": spec["pipelineInfo"],
        "default_pipeline_root": None,
        "root": spec["root"],
        "components": {
            **spec["components"],
            "comp-add": {
                **{name: value for name, value in component.items() if name != "executorLabel"},
                "executor_label": component["executorLabel"],
            },
        },
    }
    del snake["pipelineInfo"]
    assert json.loads(read(snake).pipeline) == json.loads(read(spec).pipeline)


def test_a_type_may_be_a_number_and_is_kept_by_its_name(spec):
    numbered = copy.deepcopy(spec)
    numbered["root"]["inputDefinitions"]["parameters"]["x"]["parameterType"] = 1
    spec["root"]["inputDefinitions"]["parameters"]["x"]["parameterType"] = "NUMBER_DOUBLE"
    assert json.loads(read(numbered).pipeline) == json.loads(read(spec).pipeline)


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_json_does_not_have_is_in_no_pipeline(spec, number):
    spec["root"]["inputDefinitions"]["parameters"]["x"]["defaultValue"] = number
    with pytest.raises(ApiError, match=r"JSON has no number -?\.(inf|nan) \(line \d+\)") as refusal:
        read(spec)
    assert refusal.value.said == "unknown template format"


def test_a_text_that_looks_like_infinity_is_a_text(spec):
    spec["pipelineInfo"]["description"] = ".inf"
    assert json.loads(read(spec).pipeline)["pipelineInfo"]["description"] == ".inf"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"platforms": {}}, id="no platform"),
        pytest.param({"platforms": {"other": {}}}, id="another platform"),
        pytest.param({"foo": 1}, id="something else"),
    ],
)
def test_a_document_that_is_about_no_kubernetes_is_not_looked_at(spec, other):
    assert read(spec, other).platform == b"{}"
    assert json.loads(read(spec, PLATFORM, other).platform) == PLATFORM
