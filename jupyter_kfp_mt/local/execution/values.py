"""What goes into a task and comes out of it: kfp's values as those of the API, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from kfp import dsl
from kfp.dsl.executor import create_artifact_instance

from ...models import Artifact, TaskValues

# What is longer is not kept with the task. A whole report must stay far below its limit.
MAX_PARAMETER_BYTES = 2**17
MAX_VALUES_BYTES = 2**20
_LEFT_OUT = "[too long to be shown here: "


def given(executor_input: dict[str, Any], component: Any) -> TaskValues:
    """The inputs in kfp's executor input, without those that only fill in others."""
    inputs = executor_input.get("inputs", {})
    parameters = inputs.get("parameterValues", {})
    declared = component.input_definitions.parameters
    return _limited(
        {name: parameters[name] for name in parameters if name in declared},
        {
            name: [_artifact(one, name) for one in listed.get("artifacts", [])]
            for name, listed in inputs.get("artifacts", {}).items()
        },
    )


def put_out(outputs: dict[str, Any]) -> TaskValues:
    """The outputs of a task as kfp reads them."""
    artifacts = {
        name: [_of_dsl(one, name) for one in (value if isinstance(value, list) else [value])]
        for name, value in outputs.items()
        if _is_artifact(value)
    }
    return _limited({n: v for n, v in outputs.items() if n not in artifacts}, artifacts)


def left_behind(executor_input: dict[str, Any], parameters: dict[str, Any]) -> TaskValues:
    """What a task has written before it failed."""
    expected = executor_input.get("outputs", {}).get("artifacts", {})
    artifacts = {
        name: [_artifact(one, name) for one in listed["artifacts"] if Path(one["uri"]).exists()]
        for name, listed in expected.items()
    }
    return _limited(parameters, {name: found for name, found in artifacts.items() if found})


def restored(values: TaskValues, component: Any) -> dict[str, Any] | None:
    """The outputs as kfp reads them; None if some have gone, or were too long to be kept."""
    definitions = component.output_definitions
    if any(_left_out(value) for value in values.parameters.values()):
        return None
    outputs = dict(values.parameters)
    for name, artifacts in values.artifacts.items():
        if not all(_is_there(artifact) for artifact in artifacts):
            return None
        listed = [_to_dsl(artifact) for artifact in artifacts]
        outputs[name] = listed if definitions.artifacts[name].is_artifact_list else listed[0]
    return outputs


def _is_artifact(value: Any) -> bool:
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, dsl.Artifact)


def _of_dsl(artifact: Any, name: str) -> Artifact:
    return Artifact(
        name=artifact.name or name,
        type=artifact.schema_title,
        uri=artifact.uri or "",
        metadata={"display_name": name, **artifact.metadata},
    )


def _artifact(found: dict[str, Any], name: str) -> Artifact:
    return Artifact(
        name=found.get("name") or name,
        type=found.get("type", {}).get("schemaTitle", "system.Artifact"),
        uri=found.get("uri", ""),
        metadata=found.get("metadata", {}),
    )


def _to_dsl(artifact: Artifact) -> Any:
    return create_artifact_instance(
        {
            "name": artifact.name,
            "uri": artifact.uri,
            "type": {"schemaTitle": artifact.type},
            "metadata": artifact.metadata,
        }
    )


def _is_there(artifact: Artifact) -> bool:
    return "://" in artifact.uri or Path(artifact.uri).exists()


def _limited(parameters: dict[str, Any], artifacts: dict[str, list[Artifact]]) -> TaskValues:
    values = TaskValues(
        parameters={name: _short(value) for name, value in parameters.items()}, artifacts=artifacts
    )
    if len(_json(values)) <= MAX_VALUES_BYTES:
        return values
    note = f"{_LEFT_OUT}{len(_json(values))} bytes in all]"
    return TaskValues(parameters=dict.fromkeys([*parameters, *artifacts], note))


def _short(value: Any) -> Any:
    length = len(_json(value))
    return value if length <= MAX_PARAMETER_BYTES else f"{_LEFT_OUT}{length} bytes]"


def _left_out(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(_LEFT_OUT)


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=str)
