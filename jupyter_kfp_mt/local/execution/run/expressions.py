"""The expressions of pipelines: the part of CEL (Common Expression Language) that kfp writes.

Rule: KFP's backend/src/v2/expression/expression.go, with cel-go 0.30.
"""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from ....errors import KfpError
from ...wire.go_numbers import protojson_value
from .go_values import NoSuchValue, text_of, value_of

_TOKEN = re.compile(
    r"""'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|&&|\|\||!(?!=)|\b(?:true|false|null)\b""", re.DOTALL
)
_IN_PYTHON = {
    **{"&&": " and ", "||": " or ", "!": " not "},
    **{"true": "True", "false": "False", "null": "None"},
}
_ORDERINGS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    **{ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge},
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    **{ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul},
}
# The longest text that an error shows.
_SHOWN_CHARACTERS = 100


class NoResult(KfpError):
    """An expression without a result; the message says why."""


def evaluate(expression: str, names: Mapping[str, Any]) -> Any:
    """Evaluate an expression. Raises NoResult.

    `names` are the maps and values that it may use; numbers in these are floats, as in a
    `google.protobuf.Value`.
    """
    in_python = _TOKEN.sub(lambda found: _IN_PYTHON.get(found[0], found[0]), expression).strip()
    try:
        tree = ast.parse(in_python, mode="eval")
        return _Evaluation(names).of(tree.body)
    except (SyntaxError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "it is nested too deeply"
        raise NoResult(reason) from None


class _Evaluation:
    """One evaluation of an expression with known names."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = names

    def of(self, node: ast.expr) -> Any:
        how = getattr(self, f"_{type(node).__name__.lower()}", None)
        if how is None:
            raise NoResult(f"`{ast.unparse(node)}` is not understood")
        return how(node)

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _name(self, node: ast.Name) -> Any:
        if node.id not in self._names:
            raise NoResult(f"'{node.id}' is not defined")
        return self._names[node.id]

    def _attribute(self, node: ast.Attribute) -> Any:
        return _field(self.of(node.value), node.attr)

    def _subscript(self, node: ast.Subscript) -> Any:
        return _field(self.of(node.value), self.of(node.slice))

    def _list(self, node: ast.List) -> Any:
        return [self.of(one) for one in node.elts]

    def _boolop(self, node: ast.BoolOp) -> bool:
        """One side may decide even if the other one has an error."""
        decisive = isinstance(node.op, ast.Or)
        failure: NoResult | None = None
        for one in node.values:
            try:
                if _boolean(self.of(one)) is decisive:
                    return decisive
            except NoResult as error:
                failure = error
        if failure:
            raise failure
        return not decisive

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        value = self.of(node.operand)
        if isinstance(node.op, ast.Not):
            return not _boolean(value)
        if isinstance(node.op, ast.USub) and _is_number(value):
            return -value
        raise NoResult(f"`{ast.unparse(node)}` is not understood")

    def _compare(self, node: ast.Compare) -> bool:
        left, result = self.of(node.left), True
        for comparison, right in zip(node.ops, map(self.of, node.comparators), strict=True):
            result = result and _compared(comparison, left, right)
            left = right
        return result

    def _binop(self, node: ast.BinOp) -> Any:
        left, right = self.of(node.left), self.of(node.right)
        alike = type(left) is type(right) and isinstance(left, (int, float, str, list))
        if isinstance(node.op, ast.Mod) and alike and type(left) is int and right:
            return left - right * int(left / right)
        if type(node.op) not in _ARITHMETIC or not alike or isinstance(left, bool):
            raise NoResult(f"`{ast.unparse(node)}` has no result for {_kind(left)}, {_kind(right)}")
        return _ARITHMETIC[type(node.op)](left, right)

    def _call(self, node: ast.Call) -> Any:
        name = ast.unparse(node.func)
        if name not in _FUNCTIONS:
            raise NoResult(f"'{name}' is not defined")
        if len(node.args) != 1 or node.keywords:
            raise NoResult(f"{name} takes one argument")
        return _FUNCTIONS[name](self.of(node.args[0]))


def _field(value: Any, key: Any) -> Any:
    if isinstance(value, list) and _is_number(key) and float(key).is_integer():
        if 0 <= key < len(value):
            return value[int(key)]
        raise NoResult(f"there is no item {key:g} in a list of {len(value)}")
    if not isinstance(value, dict):
        raise NoResult(f"{_shown(value)} has no field '{key}'")
    if key not in value:
        raise NoResult(f"'{key}' has no value")
    return value[key]


def _compared(comparison: ast.cmpop, left: Any, right: Any) -> bool:
    if isinstance(comparison, (ast.Eq, ast.NotEq)):
        return equal(left, right) is isinstance(comparison, ast.Eq)
    if isinstance(comparison, (ast.In, ast.NotIn)) and isinstance(right, (list, dict)):
        return any(equal(left, one) for one in right) is isinstance(comparison, ast.In)
    ordered = _ORDERINGS.get(type(comparison))
    alike = _is_number(left) and _is_number(right) or type(left) is type(right)
    if ordered and alike and isinstance(left, (bool, int, float, str)):
        return ordered(left, right)
    raise NoResult(f"{_kind(left)} cannot be compared with {_kind(right)}")


def equal(left: Any, right: Any) -> bool:
    """Return whether two values are equal; values of different types never are, except numbers."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    alike = _is_number(left) and _is_number(right) or type(left) is type(right)
    return alike and bool(left == right)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise NoResult(f"{_shown(value)} is neither true nor false")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _int(value: Any) -> int:
    try:
        if isinstance(value, str) and not re.fullmatch(r"[+-]?\d+", value, re.ASCII):
            raise NoResult(f"invalid literal for int(): {_shown(value)}")
        if (isinstance(value, str) or _is_number(value)) and -(2**63) <= int(value) < 2**63:
            return int(value)
    except (OverflowError, ValueError):
        pass
    raise NoResult(f"{_shown(value)} is not a whole number")


def _double(value: Any) -> float:
    try:
        if _is_number(value) or isinstance(value, str) and value == value.strip():
            return float(value)
    except (OverflowError, ValueError):
        pass
    raise NoResult(f"{_shown(value)} is not a number")


def _string(value: Any) -> str:
    if isinstance(value, (str, bool)) or _is_number(value):
        return text_of(value)
    raise NoResult(f"{_kind(value)} cannot be converted to a text")


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    try:
        if isinstance(value, str) and value == value.strip():
            return bool(value_of(value, "BOOLEAN"))
    except NoSuchValue:
        pass
    raise NoResult(f"{_shown(value)} is neither true nor false")


def _size(value: Any) -> int:
    if isinstance(value, (str, list, dict)):
        return len(value)
    raise NoResult(f"{_kind(value)} has no size")


def _parse_json(value: Any) -> Any:
    try:
        return as_cel(json.loads(value))
    except (TypeError, ValueError, RecursionError):
        raise NoResult(f"{_shown(value)} is not JSON") from None


def as_cel(value: Any) -> Any:
    """Return the value with its numbers as floats."""
    if isinstance(value, dict):
        return {name: as_cel(one) for name, one in value.items()}
    if isinstance(value, list):
        return [as_cel(one) for one in value]
    return float(protojson_value(value)) if _is_number(value) else value


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    **{"int": _int, "double": _double, "float": _double, "string": _string, "str": _string},
    **{"bool": _bool, "size": _size, "len": _size, "parseJson": _parse_json},
}


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, dict):
        return "a dictionary"
    if isinstance(value, list):
        return "a list"
    return "a text" if isinstance(value, str) else "a number"


def _shown(value: Any) -> str:
    text = json.dumps(protojson_value(value), ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
