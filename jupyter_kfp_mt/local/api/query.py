"""The query parameters of a request, as read and refused by the API server's gateway.

Rule: `runtime.PopulateQueryParameters` of grpc-gateway, and `net/url` of Go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from ..wire.api_errors import gateway_refusal
from ..wire.go_json import quoted

_TRUE = ("true", "True", "TRUE", "t", "T", "1")
_FALSE = ("false", "False", "FALSE", "f", "F", "0")


class Query:
    """Query parameters by their API names, or the same in camel case; others are ignored."""

    def __init__(self, text: str):
        self.refusal = ""
        self._values: dict[str, list[bytes]] = {}
        for pair in filter(None, text.split("&")):
            if wrong := _wrong(pair):
                self.refusal = self.refusal or wrong
            else:
                name, _, value = pair.partition("=")
                self._add(_decoded(name).decode("utf-8", "replace"), _decoded(value))

    def _add(self, name: str, value: bytes) -> None:
        """Of a map `name[key]=value` would be an entry; of anything else they are two values."""
        entry = re.fullmatch(r"(.*)\[(.*)\]", name, re.DOTALL)
        values = self._values.setdefault(entry[1] if entry else name, [])
        values += [entry[2].encode(), value] if entry else [value]

    def check_message(self, name: str, kind: str) -> None:
        """Refuse a value for what is a message and has only fields."""
        if self._value(name, has_fields=True) is not None:
            raise _not_parsed(name, f"unsupported message type: {quoted(kind)}")

    def has(self, prefix: str) -> bool:
        """Return True if the name of a parameter has this prefix."""
        return any(name.startswith((prefix, _camel(prefix))) for name in self._values)

    def text(self, name: str) -> str:
        """The value, unchanged; empty if there is none."""
        return self._value(name) or ""

    def whole(self, name: str) -> int:
        """A whole number of 32 bits; 0 if there is none."""
        value = self._value(name)
        if value is None:
            return 0
        if not re.fullmatch(r"[+-]?[0-9]+", value, re.ASCII):
            raise _not_parsed(name, f"strconv.ParseInt: parsing {quoted(value)}: invalid syntax")
        # A longer one is out of range, and slow to read.
        number = int(value) if len(value) < 20 else 2**31
        if not -(2**31) <= number < 2**31:
            text = f"strconv.ParseInt: parsing {quoted(value)}: value out of range"
            raise _not_parsed(name, text)
        return number

    def flag(self, name: str) -> bool:
        """False if there is none."""
        value = self._value(name)
        if value not in (None, *_TRUE, *_FALSE):
            text = f"strconv.ParseBool: parsing {quoted(str(value))}: invalid syntax"
            raise _not_parsed(name, text)
        return value in _TRUE

    def enum(self, name: str, values: Mapping[int, str]) -> str:
        """The name of an enum value, which may be given by number; that of 0 if there is none."""
        value = self._value(name)
        if value is None:
            return values[0]
        numbers = {str(number): text for number, text in values.items()}
        if value not in values.values() and value not in numbers:
            raise _not_parsed(name, f"{quoted(value)} is not a valid value")
        return numbers.get(value, value)

    def _value(self, name: str, *, has_fields: bool = False) -> str | None:
        if self.refusal:
            raise gateway_refusal(self.refusal)
        if not has_fields and self.has(f"{name}."):
            field = name.rsplit(".", 1)[-1]
            raise gateway_refusal(f"invalid path: {quoted(field)} is not a message")
        values = self._values.get(name) or self._values.get(_camel(name)) or []
        if len(values) > 1:
            given = b", ".join(values).decode("utf-8", "replace")
            field = name.rsplit(".", 1)[-1]
            raise gateway_refusal(f"too many values for field {quoted(field)}: {given}")
        try:
            return values[0].decode() if values else None
        except UnicodeDecodeError:
            raise gateway_refusal(f"The parameter {name} is not UTF-8 text") from None


def _wrong(pair: str) -> str:
    if ";" in pair:
        return "invalid semicolon separator in query"
    found = re.search(r"%(?![0-9a-fA-F]{2}).{0,2}", pair.replace("+", " "), re.DOTALL)
    return f"invalid URL escape {quoted(found[0])}" if found else ""


def _decoded(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " "))


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def _not_parsed(name: str, text: str) -> Exception:
    return gateway_refusal(f"parsing field {quoted(name.rsplit('.', 1)[-1])}: {text}")
