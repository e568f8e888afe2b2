"""What goes into a task and comes out of it: kfp's values as those of the API, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from kfp import dsl
from kfp.dsl.executor import create_artifact_instance

from ...errors import KfpError
from ...models import Artifact, TaskValues

# What is longer is not kept with the task. A whole report must stay far below its limit.
MAX_PARAMETER_BYTES = 2**17
MAX_VALUES_BYTES = 2**20
_LEFT_OUT = "[too long to be shown here: "
_SHOWN_CHARACTERS = 100
# What values of each type are, and how they are called.
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "NUMBER_INTEGER": ((int, float), "a number"),
    "NUMBER_DOUBLE": ((int, float), "a number"),
    "BOOLEAN": ((bool,), "true or false"),
    "LIST": ((list,), "a list"),
    "STRUCT": ((dict,), "a dictionary"),
}


class WrongType(KfpError):
    """A parameter that is not what it was declared as; the message says which."""


def of_type(kind: str, name: str, value: Any) -> Any:
    """The value as the task gets it. As on a cluster, texts take anything, integers any number."""
    if kind == "STRING" and not isinstance(value, str):
        return _json(whole(value)).decode()
    types, words = _TYPES.get(kind, ((), ""))
    if words and type(value) not in types:
        raise WrongType(f"its input '{name}' takes {words}, but was given {_shown(value)}")
    if kind == "NUMBER_INTEGER" and float(value).is_integer():
        return int(value)
    return value if kind == "NUMBER_DOUBLE" else whole(value)


def integer_put_out(name: str, value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not int:
        raise WrongType(f"its output '{name}' is declared as an integer, but is {_shown(value)}")
    return value


def whole(value: Any) -> Any:
    """As a cluster writes numbers: without a fraction if they have none."""
    if isinstance(value, list):
        return [whole(one) for one in value]
    if isinstance(value, dict):
        return {name: whole(one) for name, one in value.items()}
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _shown(value: Any) -> str:
    text = _json(whole(value)).decode()
    kind = "the text " if isinstance(value, str) else ""
    return kind + (text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}...")


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
