"""The inputs of a task or of a group of tasks: their sources and their types.

Rule: `resolveInputs` in KFP's backend/src/v2/driver/resolve.go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format  # type: ignore[import-untyped]
from kfp.pipeline_spec import pipeline_spec_pb2

from ....errors import KfpError
from ...wire.go_numbers import protojson_value
from .conditions import NotSelected, select
from .expressions import equal
from .go_values import text_of
from .placeholders import NotFilledIn, in_constant, with_parameters
from .scopes import CHANNEL, NotThere, RuntimeArtifact, Scope, Undeclared, Values

_Kind = pipeline_spec_pb2.ParameterType.ParameterTypeEnum
_EVEN_AFTER_FAILURE = pipeline_spec_pb2.PipelineTaskSpec.TriggerPolicy.ALL_UPSTREAM_TASKS_COMPLETED
_SHOWN_CHARACTERS = 100
# The Python type of each parameter type, and its name in messages.
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "NUMBER_INTEGER": ((int, float), "a number"),
    "NUMBER_DOUBLE": ((int, float), "a number"),
    "BOOLEAN": ((bool,), "true or false"),
    "LIST": ((list,), "a list"),
    "STRUCT": ((dict,), "a dictionary"),
}
_ABSENT = object()


class InputRefused(KfpError):
    """An invalid input; the message says which, and why."""


class WrongType(InputRefused):
    """A parameter of another type than declared; the message names it."""


def python_value(value: Any) -> Any:
    """Return the content of a `google.protobuf.Value` or `Struct`, as protojson writes it."""
    return protojson_value(json_format.MessageToDict(value))


def kind_of(declared: Any) -> str:
    """Return the name of a parameter's type."""
    return str(_Kind.Name(declared.parameter_type))


def pipeline_inputs(arguments: Mapping[str, Any], component: Any) -> Values:
    """Return the parameters of a pipeline: those given, and the defaults of the others."""
    parameters = {name: protojson_value(value) for name, value in arguments.items()}
    for name, declared in component.input_definitions.parameters.items():
        if name not in parameters:
            parameters[name] = _default(declared)
    return Values(parameters)


def task_inputs(
    task: Any, component: Any, scope: Scope, words: Mapping[str, str], status: Mapping[str, Any]
) -> Values:
    """Return the inputs of a task from its scope, in the types that its component declares.

    `words` are the values of placeholders in constants; `status` has the values of parameters of
    type PipelineTaskFinalStatus, by name. Optional parameters without a value are omitted for a
    task, and null for a group. Raises InputRefused.
    """
    reading = _Reading(task, component, scope, words, status)
    parameters = reading.parameters()
    artifacts = reading.artifacts()
    return Values(parameters, artifacts)


def checked(parameters: Mapping[str, Any], component: Any) -> dict[str, Any]:
    """Return the parameters of each iteration of a loop, in their declared types."""
    declared = component.input_definitions.parameters
    return {
        name: of_type(kind_of(declared[name]), name, value) if name in declared else value
        for name, value in parameters.items()
    }


class _Reading:
    """Reads the inputs of one task."""

    def __init__(self, task: Any, component: Any, scope: Scope, words: Any, status: Any) -> None:
        self._task = task
        self._declared = component.input_definitions
        self._is_group = component.WhichOneof("implementation") == "dag"
        self._scope = scope
        self._words = words
        self._status = status

    def parameters(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, source in self._task.inputs.parameters.items():
            value = self._parameter(name, source)
            if value is not _ABSENT:
                found[name] = self._selected(name, source, value)
        for name, source in self._task.inputs.parameters.items():
            if name in found and source.HasField("runtime_value"):
                found[name] = self._filled_in(name, found)
        for name, declared in self._declared.parameters.items():
            if name in found:
                found[name] = self._checked(name, declared, found[name])
            elif self._is_group and name not in self._task.inputs.parameters:
                self._put_default(name, declared, found)
        self._refuse_missing(found)
        return found

    def _parameter(self, name: str, source: Any) -> Any:
        """The value of a parameter, or the mark of a missing one."""
        if name in self._declared.parameters:
            if kind_of(self._declared.parameters[name]) == "TASK_CONFIG":
                return _ABSENT
        try:
            value = parameter(source, self._scope, self._words)
        except Undeclared:
            return _ABSENT  # The compiler also lists values that exist only in an inner loop.
        except NotThere as reason:
            if self._may_lack(name, source.HasField("component_input_parameter")):
                return _ABSENT
            raise InputRefused(f"its input '{_readable(name)}' has no value: {reason}") from None
        if source.HasField("task_final_status"):
            return self._status[name]
        if value is None and source.HasField("component_input_parameter"):
            self._refuse_null(name)
            return _ABSENT
        return value

    def _refuse_null(self, name: str) -> None:
        """Refuse null that is not a missing value: a group gets all its inputs as they are."""
        declared = self._declared.parameters.get(name)
        if self._is_group and not (declared and declared.is_optional):
            raise InputRefused(
                f"its input '{_readable(name)}' is null, which no dsl.If, dsl.ParallelFor or other "
                "group of tasks takes: give the pipeline's parameter a default that is not None"
            )

    def _may_lack(self, name: str, is_input: bool) -> bool:
        """Return whether a source (an input of the enclosing pipeline, or an output) may be absent.

        Groups may lack values that no task in them uses; tasks may lack values with a default.
        """
        if not is_input and not runs_anyway(self._task):
            return False
        if is_input and not self._is_group and name in self._declared.parameters:
            return False
        if self._is_group or name in self._declared.artifacts:
            return self._is_group or bool(self._declared.artifacts[name].is_optional)
        declared = self._declared.parameters.get(name)
        return declared is not None and (declared.is_optional or _has_default(declared))

    def _selected(self, name: str, source: Any, value: Any) -> Any:
        if not source.parameter_expression_selector:
            return value
        selector = source.parameter_expression_selector
        try:
            return select(selector, value)
        except NotSelected as reason:
            part = selector.partition("parseJson(string_value)")[2] or selector
            raise InputRefused(
                f"its input '{_readable(name)}' selects {part} of {shown(value)}: {reason}"
            ) from None

    def _filled_in(self, name: str, found: Mapping[str, Any]) -> Any:
        try:
            return with_parameters(
                found[name], {**dict.fromkeys(self._task.inputs.parameters), **found}
            )
        except NotFilledIn as reason:
            raise InputRefused(f"its input '{_readable(name)}' is incomplete: {reason}") from None

    def _checked(self, name: str, declared: Any, value: Any) -> Any:
        allowed = [python_value(one) for one in getattr(declared, "literals", ())]
        if allowed and not any(equal(value, one) for one in allowed):
            raise InputRefused(
                f"its input '{_readable(name)}' takes one of {shown(allowed)}, "
                f"but was given {shown(value)}"
            )
        return of_type(kind_of(declared), name, value)

    def _put_default(self, name: str, declared: Any, found: dict[str, Any]) -> None:
        if name != self._item_input() and (declared.is_optional or _has_default(declared)):
            found[name] = _default(declared)

    def _refuse_missing(self, found: Mapping[str, Any]) -> None:
        if self._is_group:
            return
        for name, declared in self._declared.parameters.items():
            if name not in found and not declared.is_optional and not _has_default(declared):
                raise InputRefused(f"its input '{_readable(name)}' has no value and no default")

    def _item_input(self) -> str:
        return str(self._task.parameter_iterator.item_input)

    def artifacts(self) -> dict[str, list[RuntimeArtifact]]:
        found = {}
        for name, source in self._task.inputs.artifacts.items():
            try:
                found[name] = self._artifacts(source)
            except NotThere as reason:
                of_group = self._is_group and isinstance(reason, Undeclared)
                is_input = source.HasField("component_input_artifact")
                if not of_group and not self._may_lack(name, is_input):
                    raise InputRefused(
                        f"its input '{_readable(name)}' has no artifact: {reason}"
                    ) from None
        return found

    def _artifacts(self, source: Any) -> list[RuntimeArtifact]:
        if source.HasField("component_input_artifact"):
            return self._scope.artifacts(source.component_input_artifact)
        of = source.task_output_artifact
        return self._scope.output_artifacts(of.producer_task, of.output_artifact_key)


def runs_anyway(task: Any) -> bool:
    """Return whether a task runs even if its dependencies have failed."""
    return bool(task.trigger_policy.strategy == _EVEN_AFTER_FAILURE)


def parameter(source: Any, scope: Scope, words: Mapping[str, str]) -> Any:
    """Return the value of an `InputParameterSpec` in a scope. Raises NotThere."""
    if source.HasField("runtime_value"):
        return in_constant(python_value(source.runtime_value.constant), words)
    if source.HasField("task_output_parameter"):
        of = source.task_output_parameter
        return scope.output_parameter(of.producer_task, of.output_parameter_key)
    if source.HasField("component_input_parameter"):
        return scope.parameter(source.component_input_parameter)
    return None


def of_type(kind: str, name: str, value: Any) -> Any:
    """Convert a value to a parameter's type: texts accept anything, integers any number.

    Rule: `handleParamTypeValidationAndConversion` in KFP's backend/src/v2/driver/resolve.go.
    Raises WrongType.
    """
    if kind == "STRING":
        return text_of(value)
    types, words = _TYPES.get(kind, ((), ""))
    if words and type(value) not in types:
        raise WrongType(
            f"its input '{_readable(name)}' takes {words}, but was given {shown(value)}"
        )
    return value


def shown(value: Any) -> str:
    """Return the value in a form for messages."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    kind = "the text " if isinstance(value, str) else ""
    return kind + (text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}...")


def with_defaults(parameters: Mapping[str, Any], component: Any) -> dict[str, Any]:
    """Return the parameters of a task, with its component's defaults for the others.

    Rule: `addDefaultParams` in KFP's backend/src/v2/component/launcher_v2.go.
    """
    defaults = {
        name: _default(declared)
        for name, declared in component.input_definitions.parameters.items()
        if _has_default(declared)
    }
    return {**defaults, **parameters}


def _has_default(declared: Any) -> bool:
    return declared.default_value.WhichOneof("kind") is not None


def _default(declared: Any) -> Any:
    return python_value(declared.default_value) if _has_default(declared) else None


def _readable(name: str) -> str:
    return name.removeprefix(CHANNEL)
