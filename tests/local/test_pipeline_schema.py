"""The schema of compiled pipelines, held against the one that kfp brings."""

import pytest
from kfp.pipeline_spec import pipeline_spec_pb2

from jupyter_kfp_mt.local.pipelines.pipeline_schema import ENUMERATIONS, MESSAGES, ONE_OF, faults

GOOGLES = {"Value": "any", "Struct": "object", "Duration": "duration"}
SCALARS = {9: "string", 8: "bool", 5: "int32", 3: "int64", 1: "double"}


def name(descriptor):
    return descriptor.full_name.removeprefix("ml_pipelines.")


def type_of(field):
    if field.message_type and field.message_type.GetOptions().map_entry:
        return f"{{{type_of(field.message_type.fields_by_name['value'])}}}"
    if field.message_type and field.message_type.full_name.startswith("google."):
        kind = GOOGLES[field.message_type.name]
    else:
        described = field.message_type or field.enum_type
        kind = name(described) if described else SCALARS[field.type]
    return f"[{kind}]" if field.is_repeated else kind


def described(kind):
    found = pipeline_spec_pb2.DESCRIPTOR.message_types_by_name[kind.split(".")[0]]
    for inner in kind.split(".")[1:]:
        found = found.nested_types_by_name[inner]
    return found


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_has_the_fields_that_kfp_has(message):
    descriptor = described(message)
    assert {each.json_name: type_of(each) for each in descriptor.fields} == MESSAGES[message]
    groups = [each for each in descriptor.oneofs if not each.name.startswith("_")]
    named = [(each.name, tuple(one.json_name for one in each.fields)) for each in groups]
    assert named == [ONE_OF[message]] if message in ONE_OF else named == []


@pytest.mark.parametrize("enumeration", ENUMERATIONS)
def test_an_enumeration_has_the_names_that_kfp_has(enumeration):
    outer, _, inner = enumeration.rpartition(".")
    values = described(outer).enum_types_by_name[inner].values
    assert tuple(each.name for each in values) == ENUMERATIONS[enumeration]
    assert [each.number for each in values] == [*range(len(values))]


def of_task(**fields):
    return {"root": {"dag": {"tasks": {"t": fields}}}}


@pytest.mark.parametrize(
    ("document", "found"),
    [
        pytest.param({"pipeline_info": {"name": "x"}}, [], id="snake case"),
        pytest.param({"root": None}, [], id="null"),
        pytest.param({"deploymentSpec": {"any": [1]}}, [], id="any object"),
        pytest.param(
            of_task(retryPolicy={"maxRetryCount": "3", "backoffFactor": 2}), [], id="text"
        ),
        pytest.param(of_task(retryPolicy={"backoffDuration": "0.5s"}), [], id="duration"),
        pytest.param(of_task(triggerPolicy={"strategy": 2}), [], id="number of an enumeration"),
        pytest.param([], ["it is not an object"], id="list"),
        pytest.param(
            {"nosuch": 1}, ["nosuch is a field that KFP's schema does not have"], id="unknown"
        ),
        pytest.param(
            {"sdkVersion": "a", "sdk_version": "b"}, ["sdk_version occurs twice"], id="twice"
        ),
        pytest.param({"sdkVersion": 2}, ["sdkVersion is not a text"], id="no text"),
        pytest.param(
            of_task(dependentTasks={}),
            ["root.dag.tasks.t.dependentTasks is not a list"],
            id="no list",
        ),
        pytest.param(
            of_task(dependentTasks=["a", None]),
            ["root.dag.tasks.t.dependentTasks[1] is not a text"],
            id="null in a list",
        ),
        pytest.param(
            of_task(cachingOptions={"enableCache": "true"}),
            ["root.dag.tasks.t.cachingOptions.enableCache is not true or false"],
            id="no bool",
        ),
        pytest.param(
            of_task(retryPolicy={"maxRetryCount": 2**31}),
            ["root.dag.tasks.t.retryPolicy.maxRetryCount is not a whole number of 32 bits"],
            id="too large",
        ),
        pytest.param(
            of_task(retryPolicy={"backoffDuration": "60"}),
            ["root.dag.tasks.t.retryPolicy.backoffDuration is not a duration such as 60s"],
            id="no unit",
        ),
        pytest.param(
            {"root": {"dag": {}, "executorLabel": "e"}},
            ["root has both dag and executorLabel, of which it may have one"],
            id="both",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(document, found):
    assert [*faults(document)] == found
