"""The inputs and outputs of tasks in the form of the API, and back."""

from __future__ import annotations

from typing import Any

import msgspec

from ....models import Artifact, TaskValues
from .artifact_metadata import DISPLAY_NAME
from .scopes import RuntimeArtifact, Values
from .task_cache import is_there

# Longer values are not kept with the task: a report must stay far below its limit.
MAX_PARAMETER_BYTES = 2**17
MAX_VALUES_BYTES = 2**20
_LEFT_OUT = "[too long to be shown here: "


def given(values: Values, parameters: dict[str, Any], component: Any) -> TaskValues:
    """Return the inputs of a task, without those that are only used in others.

    The parameters include the component's defaults.
    """
    declared = component.input_definitions.parameters
    shown = {name: value for name, value in parameters.items() if name in declared}
    return _limited(shown, {name: _told(one, name) for name, one in values.artifacts.items()})


def put_out(values: Values, reused_from: str = "") -> TaskValues:
    """Return the outputs of a task; each artifact is displayed under the name of its output.

    `reused_from`: the run that made them, if it is another one.
    """
    artifacts = {
        name: [
            msgspec.structs.replace(one, metadata={DISPLAY_NAME: name, **one.metadata})
            for one in _told(listed, name)
        ]
        for name, listed in values.artifacts.items()
    }
    told = _limited(values.parameters, artifacts)
    return msgspec.structs.replace(told, reused_from=reused_from)


def restored(kept: TaskValues, component: Any) -> Values | None:
    """Return the outputs of a task; None if some no longer exist or were too long to keep."""
    declared = component.output_definitions
    if any(_left_out(value) for value in kept.parameters.values()):
        return None
    if not {*declared.parameters, *declared.artifacts} <= {*kept.parameters, *kept.artifacts}:
        return None
    artifacts = {
        name: [
            RuntimeArtifact(one.name, one.type, one.uri, dict(one.metadata))
            for one in kept.artifacts[name]
        ]
        for name in declared.artifacts
    }
    if not all(is_there(one.uri) for listed in artifacts.values() for one in listed):
        return None
    return Values(dict(kept.parameters), artifacts)


def _told(listed: list[RuntimeArtifact], name: str) -> list[Artifact]:
    return [
        Artifact(name=one.name or name, type=one.type, uri=one.uri, metadata=one.metadata)
        for one in listed
    ]


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
