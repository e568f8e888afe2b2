"""The conditions of `dsl.If` and `dsl.Elif`, and the fields that tasks select from inputs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ....errors import KfpError
from ...wire.go_numbers import protojson_value
from .expressions import NoResult, as_cel, evaluate
from .go_values import text_of

_INPUT = re.compile(r"inputs\.parameter_values\['([^']+)'\]")
# The compiler's comparison of an untyped value, such as a field of a loop's item, and a parameter.
_IN_QUOTES = "'inputs.parameter_values['"
_MISWRITTEN = (
    "the kfp compiler has quoted a parameter, because the other side of the comparison has no "
    "type. Compare the two in a component, and use its output in the condition"
)


class ConditionFailed(KfpError):
    """A condition without a truth value."""


class NotSelected(KfpError):
    """A missing part of a value; the message names it."""


def holds(condition: str, inputs: Mapping[str, Any]) -> bool:
    """Evaluate a condition on the task's parameters. Raises ConditionFailed."""
    names = {"inputs": {"parameter_values": as_cel(dict(inputs))}}
    try:
        result = evaluate(condition, names)
        if isinstance(result, bool):
            return result
        reason = "it is neither true nor false"
    except NoResult as error:
        reason = _MISWRITTEN if _IN_QUOTES in condition else str(error)
    raise ConditionFailed(
        f"the condition `{_readable(condition)}` cannot be evaluated: {_readable(reason)}"
    )


def select(selector: str, value: Any) -> Any:
    """Return the part of a value that a `parameterExpressionSelector` selects.

    Rule: `Select` in KFP's backend/src/v2/expression/expression.go, which rejects null.
    Raises NotSelected.
    """
    try:
        selected = evaluate(selector, {"string_value": text_of(value), **_kinds(value)})
    except NoResult as error:
        raise NotSelected(str(error)) from None
    if selected is None:
        raise NotSelected("it is null")
    return protojson_value(selected)


def _kinds(value: Any) -> dict[str, Any]:
    """The fields of `google.protobuf.Value` that are set."""
    if isinstance(value, bool):
        return {"bool_value": value}
    if isinstance(value, (int, float)):
        return {"number_value": float(value)}
    if isinstance(value, dict):
        return {"struct_value": as_cel(value)}
    return {"list_value": as_cel(value)} if isinstance(value, list) else {}


def _readable(condition: str) -> str:
    text = _INPUT.sub(lambda found: found[1], condition)
    return text.replace("pipelinechannel--", "")
