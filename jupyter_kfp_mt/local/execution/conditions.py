"""The conditions of `dsl.If` and `dsl.Elif`, as the compiler writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...errors import KfpError

_INPUT = re.compile(r"inputs\.parameter_values\['([^']+)'\]")
_TOKEN = re.compile(
    rf"""{_INPUT.pattern}|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|&&|\|\||!(?!=)""", re.DOTALL
)
_IN_PYTHON = {"&&": " and ", "||": " or ", "!": " not "}
_FUNCTIONS = {
    **{"int": int, "double": float, "float": float, "string": str, "str": str, "bool": bool},
    **{"true": True, "false": False, "null": None, "len": len, "size": len},
}


class ConditionFailed(KfpError):
    """A condition that is neither true nor false."""


def holds(condition: str, inputs: Mapping[str, Any]) -> bool:
    """Whether it is true of the task's inputs."""
    values: dict[str, Any] = {}

    def in_python(token: re.Match[str]) -> str:
        if name := token[1]:
            values[f"_{len(values)}"] = inputs[name]
            return f"_{len(values) - 1}"
        return _IN_PYTHON.get(token[0], token[0])

    try:
        expression = _TOKEN.sub(in_python, condition).strip()
        return bool(eval(expression, {"__builtins__": {}, **_FUNCTIONS}, values))
    except Exception as error:  # Anything can be wrong with it.
        why = f"{error} has no value" if isinstance(error, KeyError) else str(error)
        raise ConditionFailed(
            f"the condition `{_readable(condition)}` cannot be evaluated: {why}"
        ) from None


def _readable(condition: str) -> str:
    return _INPUT.sub(lambda found: found[1].removeprefix("pipelinechannel--"), condition)
