"""The schema of compiled pipelines, and the violations of it in a document.

Rule: `api/v2alpha1/pipeline_spec.proto` of Kubeflow Pipelines 2.17, read as
`google.golang.org/protobuf/encoding/protojson` reads it. The content of `deploymentSpec` may be any
object there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any

# Fields and their types: a message, `[...]` a list, `{...}` an object with any keys.
MESSAGES: dict[str, dict[str, str]] = {
    "PipelineSpec": {
        "pipelineInfo": "PipelineInfo",
        "deploymentSpec": "object",
        "sdkVersion": "string",
        "schemaVersion": "string",
        "components": "{ComponentSpec}",
        "root": "ComponentSpec",
        "defaultPipelineRoot": "string",
    },
    "PipelineInfo": {"name": "string", "displayName": "string", "description": "string"},
    "ComponentSpec": {
        "inputDefinitions": "ComponentInputsSpec",
        "outputDefinitions": "ComponentOutputsSpec",
        "dag": "DagSpec",
        "executorLabel": "string",
        "singlePlatformSpecs": "[SinglePlatformSpec]",
        "taskConfigPassthroughs": "[TaskConfigPassthrough]",
    },
    "ComponentInputsSpec": {
        "artifacts": "{ComponentInputsSpec.ArtifactSpec}",
        "parameters": "{ComponentInputsSpec.ParameterSpec}",
    },
    "ComponentInputsSpec.ArtifactSpec": {
        "artifactType": "ArtifactTypeSchema",
        "isArtifactList": "bool",
        "isOptional": "bool",
        "description": "string",
    },
    "ArtifactTypeSchema": {
        "schemaTitle": "string",
        "schemaUri": "string",
        "instanceSchema": "string",
        "schemaVersion": "string",
    },
    "ComponentInputsSpec.ParameterSpec": {
        "type": "PrimitiveType.PrimitiveTypeEnum",
        "parameterType": "ParameterType.ParameterTypeEnum",
        "defaultValue": "any",
        "isOptional": "bool",
        "description": "string",
        "literals": "[any]",
    },
    "ComponentOutputsSpec": {
        "artifacts": "{ComponentOutputsSpec.ArtifactSpec}",
        "parameters": "{ComponentOutputsSpec.ParameterSpec}",
    },
    "ComponentOutputsSpec.ArtifactSpec": {
        "artifactType": "ArtifactTypeSchema",
        "properties": "{ValueOrRuntimeParameter}",
        "customProperties": "{ValueOrRuntimeParameter}",
        "metadata": "object",
        "isArtifactList": "bool",
        "description": "string",
    },
    "ValueOrRuntimeParameter": {
        "constantValue": "Value",
        "runtimeParameter": "string",
        "constant": "any",
    },
    "Value": {"intValue": "int64", "doubleValue": "double", "stringValue": "string"},
    "ComponentOutputsSpec.ParameterSpec": {
        "type": "PrimitiveType.PrimitiveTypeEnum",
        "parameterType": "ParameterType.ParameterTypeEnum",
        "description": "string",
    },
    "DagSpec": {"tasks": "{PipelineTaskSpec}", "outputs": "DagOutputsSpec"},
    "PipelineTaskSpec": {
        "taskInfo": "PipelineTaskInfo",
        "inputs": "TaskInputsSpec",
        "dependentTasks": "[string]",
        "cachingOptions": "PipelineTaskSpec.CachingOptions",
        "componentRef": "ComponentRef",
        "triggerPolicy": "PipelineTaskSpec.TriggerPolicy",
        "artifactIterator": "ArtifactIteratorSpec",
        "parameterIterator": "ParameterIteratorSpec",
        "retryPolicy": "PipelineTaskSpec.RetryPolicy",
        "iteratorPolicy": "PipelineTaskSpec.IteratorPolicy",
    },
    "PipelineTaskInfo": {"name": "string"},
    "TaskInputsSpec": {
        "parameters": "{TaskInputsSpec.InputParameterSpec}",
        "artifacts": "{TaskInputsSpec.InputArtifactSpec}",
    },
    "TaskInputsSpec.InputParameterSpec": {
        "taskOutputParameter": "TaskInputsSpec.InputParameterSpec.TaskOutputParameterSpec",
        "runtimeValue": "ValueOrRuntimeParameter",
        "componentInputParameter": "string",
        "taskFinalStatus": "TaskInputsSpec.InputParameterSpec.TaskFinalStatus",
        "parameterExpressionSelector": "string",
    },
    "TaskInputsSpec.InputParameterSpec.TaskOutputParameterSpec": {
        "producerTask": "string",
        "outputParameterKey": "string",
    },
    "TaskInputsSpec.InputParameterSpec.TaskFinalStatus": {"producerTask": "string"},
    "TaskInputsSpec.InputArtifactSpec": {
        "taskOutputArtifact": "TaskInputsSpec.InputArtifactSpec.TaskOutputArtifactSpec",
        "componentInputArtifact": "string",
    },
    "TaskInputsSpec.InputArtifactSpec.TaskOutputArtifactSpec": {
        "producerTask": "string",
        "outputArtifactKey": "string",
    },
    "PipelineTaskSpec.CachingOptions": {"enableCache": "bool", "cacheKey": "string"},
    "ComponentRef": {"name": "string"},
    "PipelineTaskSpec.TriggerPolicy": {
        "condition": "string",
        "strategy": "PipelineTaskSpec.TriggerPolicy.TriggerStrategy",
    },
    "ArtifactIteratorSpec": {"items": "ArtifactIteratorSpec.ItemsSpec", "itemInput": "string"},
    "ArtifactIteratorSpec.ItemsSpec": {"inputArtifact": "string"},
    "ParameterIteratorSpec": {"items": "ParameterIteratorSpec.ItemsSpec", "itemInput": "string"},
    "ParameterIteratorSpec.ItemsSpec": {"raw": "string", "inputParameter": "string"},
    "PipelineTaskSpec.RetryPolicy": {
        "maxRetryCount": "int32",
        "backoffDuration": "duration",
        "backoffFactor": "double",
        "backoffMaxDuration": "duration",
    },
    "PipelineTaskSpec.IteratorPolicy": {"parallelismLimit": "int32"},
    "DagOutputsSpec": {
        "artifacts": "{DagOutputsSpec.DagOutputArtifactSpec}",
        "parameters": "{DagOutputsSpec.DagOutputParameterSpec}",
    },
    "DagOutputsSpec.DagOutputArtifactSpec": {
        "artifactSelectors": "[DagOutputsSpec.ArtifactSelectorSpec]"
    },
    "DagOutputsSpec.ArtifactSelectorSpec": {
        "producerSubtask": "string",
        "outputArtifactKey": "string",
    },
    "DagOutputsSpec.DagOutputParameterSpec": {
        "valueFromParameter": "DagOutputsSpec.ParameterSelectorSpec",
        "valueFromOneof": "DagOutputsSpec.ParameterSelectorsSpec",
    },
    "DagOutputsSpec.ParameterSelectorSpec": {
        "producerSubtask": "string",
        "outputParameterKey": "string",
    },
    "DagOutputsSpec.ParameterSelectorsSpec": {
        "parameterSelectors": "[DagOutputsSpec.ParameterSelectorSpec]"
    },
    "SinglePlatformSpec": {
        "deploymentSpec": "PlatformDeploymentConfig",
        "platform": "string",
        "config": "object",
        "pipelineConfig": "PipelineConfig",
    },
    "PlatformDeploymentConfig": {"executors": "{object}"},
    "PipelineConfig": {
        "resourceTtlOnCompletion": "int32",
        "workspace": "WorkspaceConfig",
        "resourceTtlOnSuccess": "int32",
        "resourceTtlOnFailure": "int32",
        "activeDeadlineSeconds": "int32",
    },
    "WorkspaceConfig": {"size": "string", "kubernetes": "KubernetesWorkspaceConfig"},
    "KubernetesWorkspaceConfig": {"pvcSpecPatch": "object"},
    "TaskConfigPassthrough": {
        "field": "TaskConfigPassthroughType.TaskConfigPassthroughTypeEnum",
        "applyToTask": "bool",
    },
    "PlatformSpec": {"platforms": "{SinglePlatformSpec}"},
}
# Groups of fields of which a message may have only one.
ONE_OF: dict[str, tuple[str, tuple[str, ...]]] = {
    "ComponentSpec": ("implementation", ("dag", "executorLabel")),
    "ArtifactTypeSchema": ("kind", ("schemaTitle", "schemaUri", "instanceSchema")),
    "ValueOrRuntimeParameter": ("value", ("constantValue", "runtimeParameter", "constant")),
    "Value": ("value", ("intValue", "doubleValue", "stringValue")),
    "PipelineTaskSpec": ("iterator", ("artifactIterator", "parameterIterator")),
    "TaskInputsSpec.InputParameterSpec": (
        "kind",
        ("taskOutputParameter", "runtimeValue", "componentInputParameter", "taskFinalStatus"),
    ),
    "TaskInputsSpec.InputArtifactSpec": ("kind", ("taskOutputArtifact", "componentInputArtifact")),
    "ParameterIteratorSpec.ItemsSpec": ("kind", ("raw", "inputParameter")),
    "DagOutputsSpec.DagOutputParameterSpec": ("kind", ("valueFromParameter", "valueFromOneof")),
}
# Their names, in the order of their numbers.
ENUMERATIONS: dict[str, tuple[str, ...]] = {
    "PrimitiveType.PrimitiveTypeEnum": ("PRIMITIVE_TYPE_UNSPECIFIED", "INT", "DOUBLE", "STRING"),
    "ParameterType.ParameterTypeEnum": (
        "PARAMETER_TYPE_ENUM_UNSPECIFIED",
        "NUMBER_DOUBLE",
        "NUMBER_INTEGER",
        "STRING",
        "BOOLEAN",
        "LIST",
        "STRUCT",
        "TASK_FINAL_STATUS",
        "TASK_CONFIG",
    ),
    "PipelineTaskSpec.TriggerPolicy.TriggerStrategy": (
        "TRIGGER_STRATEGY_UNSPECIFIED",
        "ALL_UPSTREAM_TASKS_SUCCEEDED",
        "ALL_UPSTREAM_TASKS_COMPLETED",
    ),
    "TaskConfigPassthroughType.TaskConfigPassthroughTypeEnum": (
        "NONE",
        "RESOURCES",
        "ENV",
        "KUBERNETES_AFFINITY",
        "KUBERNETES_TOLERATIONS",
        "KUBERNETES_NODE_SELECTOR",
        "KUBERNETES_VOLUMES",
    ),
}

_SCALARS = {"string": "a text", "bool": "true or false", "object": "an object"}
_BITS = {"int32": 32, "int64": 64}
_DURATION = re.compile(r"-?\d{1,12}(\.\d{1,9})?s", re.ASCII)
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,30})(\.\d{1,30})?([eE][+-]?\d{1,3})?", re.ASCII)


def faults(document: Any, message: str = "PipelineSpec") -> Iterator[str]:
    """Yield each violation of the schema, as the end of a sentence."""
    yield from _message(document, message, "")


def canonical(value: Any, kind: str = "PipelineSpec") -> Any:
    """Return a valid document as protojson writes it: fields in camel case and none that is null,
    and names for the numbers of enumerations.
    """
    if kind[0] == "[":
        return [canonical(each, kind[1:-1]) for each in value]
    if kind[0] == "{":
        return {key: canonical(each, kind[1:-1]) for key, each in value.items()}
    if kind in ENUMERATIONS:
        return value if isinstance(value, str) else _named(int(value), ENUMERATIONS[kind])
    if kind not in MESSAGES:
        return value
    names, types = _names(kind), MESSAGES[kind]
    given = ((names[key], each) for key, each in value.items())
    return {
        name: canonical(each, types[name])
        for name, each in given
        if each is not None or types[name] == "any"
    }


def _named(number: int, names: tuple[str, ...]) -> str | int:
    """Return the name of a number, or the number if it has none."""
    return names[number] if 0 <= number < len(names) else number


def _message(value: Any, kind: str, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place or 'it'} is not an object"
        return
    names, given = _names(kind), set()
    for key, each in value.items():
        where = f"{place}.{key}" if place else key
        name = names.get(key, "")
        if not name:
            yield f"{where} is a field that KFP's schema does not have"
        elif name in given:
            yield f"{where} occurs twice"
        elif each is not None or MESSAGES[kind][name] == "any":
            given.add(name)
            yield from _value(each, MESSAGES[kind][name], where)
    _, alternatives = ONE_OF.get(kind, ("", ()))
    if len(both := [name for name in alternatives if name in given]) > 1:
        yield f"{place or 'it'} has both {both[0]} and {both[1]}, of which it may have one"


def _value(value: Any, kind: str, place: str) -> Iterator[str]:
    if kind[0] == "[":
        if not isinstance(value, list):
            yield f"{place} is not a list"
            return
        for number, each in enumerate(value):
            yield from _value(each, kind[1:-1], f"{place}[{number}]")
    elif kind[0] == "{":
        if not isinstance(value, dict):
            yield f"{place} is not an object"
            return
        for key, each in value.items():
            yield from _value(each, kind[1:-1], f"{place}.{key}")
    elif kind in MESSAGES:
        yield from _message(value, kind, place)
    elif wanted := _mismatch(value, kind):
        yield f"{place} is not {wanted}"


def _mismatch(value: Any, kind: str) -> str:
    """Return the expected kind of a value; empty if it is valid."""
    if kind in _SCALARS:
        types = {"string": str, "bool": bool, "object": dict}
        return "" if isinstance(value, types[kind]) else _SCALARS[kind]
    if kind in _BITS:
        return "" if _whole(value, _BITS[kind]) else f"a whole number of {_BITS[kind]} bits"
    if kind == "double":
        named = value in ("NaN", "Infinity", "-Infinity")
        return "" if named or _number(value) is not None else "a number"
    if kind == "duration":
        found = _DURATION.fullmatch(value) if isinstance(value, str) else None
        return "" if found else "a duration such as 60s"
    if kind in ENUMERATIONS:
        fits = value in ENUMERATIONS[kind] if isinstance(value, str) else _whole(value, 32)
        return "" if fits else f"one of {', '.join(ENUMERATIONS[kind])}"
    return ""


def _number(value: Any) -> Decimal | None:
    """A number, which may be in quotes."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value)
    return Decimal(text) if not isinstance(value, str) or _NUMBER.fullmatch(text) else None


def _whole(value: Any, bits: int) -> bool:
    number = _number(value)
    return (
        number is not None
        and number == number.to_integral_value()
        and -(2 ** (bits - 1)) <= number < 2 ** (bits - 1)
    )


@cache
def _names(message: str) -> dict[str, str]:
    """The fields of a message by name, in either casing."""
    fields = MESSAGES[message]
    snake = {re.sub("([A-Z])", lambda found: f"_{found[1].lower()}", name): name for name in fields}
    return {**snake, **{name: name for name in fields}}
