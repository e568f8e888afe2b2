"""Parameters as texts and back, as KFP's driver and launcher write and read them.

A parameter is a JSON value, with numbers as `protojson_number` returns them.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ....errors import KfpError
from ...wire.go_numbers import (
    float64,
    go_number,
    protojson_number,
    protojson_value,
    short_go_number,
)

# Characters that encoding/json escapes in addition to JSON's own.
_ESCAPED = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
_ESCAPED_ORDS = {ord(character): escape for character, escape in _ESCAPED.items()}
_WHOLE = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(
    r"[+-]?(0[xX]([0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+"
    r"|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|inf|infinity|nan)",
    re.IGNORECASE,
)
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


class NoSuchValue(KfpError):
    """A text that is not a value of a type; the message says what it is."""


def text_of(value: Any) -> str:
    """Convert a value to a text, for an input of that type or in the middle of a text.

    Rule: `PbValueToText` in KFP's backend/src/v2/metadata/converter.go.
    """
    if value is None:
        return ""
    return _text_of(value, go_number)


def argument_of(value: Any) -> str:
    """Convert a value to a text, for an argument of a container.

    Rule: `pbValueToString` in KFP's backend/src/v2/driver/util.go.
    """
    if value is None:
        return ""
    return _text_of(value, short_go_number)


def _text_of(value: Any, number: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(number(value))
    return go_json(value)


def go_json(value: Any) -> str:
    """Write JSON as Go's `json.Marshal` does: sorted, compact, and escaped for HTML."""
    if isinstance(value, dict):
        pairs = (f"{_quoted(name)}:{go_json(value[name])}" for name in sorted(value))
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(go_json, value)) + "]"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _json_number(value)
    return json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).translate(_ESCAPED_ORDS)


def _json_number(value: float) -> str:
    number = protojson_number(value)
    if isinstance(number, int):
        return str(number)
    if 1e-6 <= abs(number) < 1e21:
        return go_number(number)
    return re.sub(r"e-0(\d)$", r"e-\1", repr(number))


def value_of(text: str, kind: str) -> Any:
    """Convert a text to a value of a type, which is a name of `ParameterTypeEnum`.

    Rule: `TextToPbValue` in KFP's backend/src/v2/metadata/converter.go.
    Raises NoSuchValue.
    """
    if kind == "NUMBER_INTEGER":
        return protojson_number(_whole(text.strip()))
    if kind == "NUMBER_DOUBLE":
        return protojson_number(_number(text.strip()))
    if kind == "BOOLEAN":
        return _boolean(text.strip())
    if kind in ("LIST", "STRUCT"):
        return _listed(text, list if kind == "LIST" else dict)
    return text


def _whole(text: str) -> int:
    if _WHOLE.fullmatch(text) and len(text) <= 20 and -(2**63) <= (number := int(text)) < 2**63:
        return number
    raise NoSuchValue("an integer")


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise NoSuchValue("a number")
    return float.fromhex(text) if "x" in text.lower() else float64(float(text))


def _boolean(text: str) -> bool:
    if text not in _TRUE + _FALSE:
        raise NoSuchValue("true or false")
    return text in _TRUE


def _listed(text: str, kind: type) -> Any:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise NoSuchValue("a list" if kind is list else "a dictionary")
    return protojson_value(value)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
