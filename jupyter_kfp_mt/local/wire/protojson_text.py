"""JSON as read by Go's protojson: token by token, with its positions and messages.

Rule: `google.golang.org/protobuf/internal/encoding/json`, decode.go and decode_token.go.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NamedTuple, NoReturn

from .go_json import quoted

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[a-z]+")
_NOT_A_VALUE = re.compile(r"[-+._a-zA-Z0-9]{1,32}|[\s\S]")
# Matching single characters would take a hundred times the memory of the text.
_BROKEN_STRING = re.compile(
    r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*'
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_DELIMITED = re.compile(r"[-+._a-zA-Z0-9]")
_LITERALS = {"null": None, "true": True, "false": False}
# A refusal quotes its subject, which may be the whole body.
_LONGEST_REFUSAL = 5000
# The most digits of a float64 before its point.
_MOST_DIGITS = 310


class UnreadableJson(ValueError):
    """A text is not a valid message; the error's text is protojson's."""

    def __init__(self, text: str):
        super().__init__(f"proto: {text[:_LONGEST_REFUSAL]}")


class JsonToken(NamedTuple):
    """A token of a text: its kind, position, text, and value."""

    kind: str
    start: int
    raw: str
    value: Any = None

    @property
    def is_scalar(self) -> bool:
        return self.kind in ("null", "bool", "number", "string")


class JsonTokens:
    """The tokens of a JSON text, in order."""

    def __init__(self, text: str):
        self.text = text
        self._at = 0
        self._open: list[str] = []
        self._last = ""

    def peek(self) -> JsonToken:
        before = self._at, [*self._open], self._last
        try:
            return self.next()
        finally:
            self._at, self._open, self._last = before

    def next(self) -> JsonToken:
        """Take the next token, with commas and colons around it."""
        token = self._token()
        if token.kind == "string" and not self._value_may_follow():
            token = self._name(token)
        elif not self._may_follow(token.kind):
            if token.kind == "end":
                raise UnreadableJson("unexpected EOF")
            self.unexpected(token)
        if token.kind in ("{", "["):
            self._open.append(token.kind)
        elif token.kind in ("}", "]"):
            self._open.pop()
        self._last = "scalar" if token.is_scalar else token.kind
        return self.next() if token.kind == "," else token

    def value(self) -> Any:
        """Read the next value of any kind; objects must not have duplicate keys."""
        self.peek()  # refuses tokens that are invalid here
        start = _end(_SPACE, self.text, self._at)
        if self.text[start : start + 1] == ",":
            start = _end(_SPACE, self.text, start + 1)
        if not _SURROGATE_ESCAPE.search(self.text):
            try:
                found, self._at = _FAST.raw_decode(self.text, start)
            except ValueError:
                return self._slow_value()
            self._last = "}"  # as after any other value
            return found
        return self._slow_value()

    def _slow_value(self) -> Any:
        token = self.next()
        if token.kind == "{":
            return self.entries(self._slow_value)
        if token.kind == "[":
            return [*self.items(self._slow_value)]
        if not token.is_scalar:
            self.unexpected(token)
        if token.kind == "number" and not math.isfinite(_number(token.raw)):
            self.refuse(token, f"invalid google.protobuf.Value: {token.raw}")
        return _number(token.raw) if token.kind == "number" else token.value

    def items(self, read: Callable[[], Any]) -> list[Any]:
        """Read the elements of a list with `read`, after its beginning."""
        found = []
        while self.peek().kind != "]":
            found.append(read())
        self.next()
        return found

    def entries(self, read: Callable[[], Any]) -> dict[str, Any]:
        """Read the entries of an object with arbitrary keys, after its beginning."""
        found: dict[str, Any] = {}
        while (token := self.next()).kind != "}":
            if token.value in found:
                self.refuse(token, f"duplicate map key {token.raw}")
            found[token.value] = read()
        return found

    def refuse(self, token: JsonToken, text: str) -> NoReturn:
        raise UnreadableJson(f"({self._place(token.start)}): {text}")

    def unexpected(self, token: JsonToken) -> NoReturn:
        self._syntax_error(token.start, f"unexpected token {token.raw}")

    def _syntax_error(self, at: int, text: str) -> NoReturn:
        raise UnreadableJson(f"syntax error ({self._place(at)}): {text}")

    def _place(self, at: int) -> str:
        before = self.text[:at]
        return f"line {before.count(chr(10)) + 1}:{at - before.rfind(chr(10))}"

    def _token(self) -> JsonToken:
        start = self._at = _end(_SPACE, self.text, self._at)
        char = self.text[start : start + 1]
        if not char:
            return JsonToken("end", start, "")
        if char in "{}[],":
            self._at += 1
            return JsonToken(char, start, char)
        if char == '"':
            return self._string(start)
        for pattern, kind in ((_NUMBER, "number"), (_WORD, "word")):
            found = pattern.match(self.text, start)
            if found and (kind == "number" or found[0] in _LITERALS):
                return self._delimited(found, kind)
        return self._no_value(start)

    def _delimited(self, found: re.Match[str], kind: str) -> JsonToken:
        if _DELIMITED.match(self.text, found.end()):
            self._no_value(found.start())
        self._at = found.end()
        if kind == "number":
            return JsonToken(kind, found.start(), found[0])
        value = _LITERALS[found[0]]
        return JsonToken("null" if value is None else "bool", found.start(), found[0], value)

    def _no_value(self, start: int) -> NoReturn:
        found = _NOT_A_VALUE.match(self.text, start)
        self._syntax_error(start, f"invalid value {found[0] if found else ''}")

    def _string(self, start: int) -> JsonToken:
        try:
            value, end = scanstring(self.text, start + 1)
        except ValueError:
            self._broken_string(start)
        written = self.text[start:end]
        if alone := _SURROGATE.search(value):
            self._syntax_error(start, _wrong_character(alone[0], escaped="\\u" in written))
        self._at = end
        return JsonToken("string", start, written, value)

    def _broken_string(self, start: int) -> NoReturn:
        rest = self.text[_end(_BROKEN_STRING, self.text, start) :]
        if not rest or (rest[0] == "\\" and len(rest) < 6 and "u" in rest[:2]) or rest == "\\":
            raise UnreadableJson("unexpected EOF")
        if rest[0] != "\\":
            self._syntax_error(start, f"invalid character {quoted(rest[0])} in string")
        escape = rest[:6] if rest[1] == "u" else rest[:2]
        self._syntax_error(start, f"invalid escape code {quoted(escape)} in string")

    def _name(self, token: JsonToken) -> JsonToken:
        if self._last not in ("{", ",") or self._open[-1:] == ["["]:
            self.unexpected(token)
        at = _end(_SPACE, self.text, self._at)
        if at >= len(self.text):
            raise UnreadableJson("unexpected EOF")
        if self.text[at] != ":":
            text = f'unexpected character {self.text[at]}, missing ":" after field name'
            self._syntax_error(at, text)
        self._at = at + 1
        return token._replace(kind="name")

    def _may_follow(self, kind: str) -> bool:
        complete = self._last in ("scalar", "}", "]")
        if kind == "end":
            return not self._open and complete
        if kind == ",":
            return bool(self._open) and complete
        if kind in ("}", "]"):
            opening = "{" if kind == "}" else "["
            return self._open[-1:] == [opening] and self._last not in ("name", ",")
        return self._value_may_follow()

    def _value_may_follow(self) -> bool:
        if not self._open:
            return not self._last
        return self._last == "name" if self._open[-1] == "{" else self._last in ("[", ",")


def _wrong_character(alone: str, *, escaped: bool) -> str:
    if escaped:
        return f'invalid escape code "\\\\u{ord(alone):04x}" in string'
    return "invalid UTF-8 in string"


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _number(raw: str) -> int | float:
    if raw.lstrip("-").isdigit() and len(raw) < _MOST_DIGITS:
        return -0.0 if raw == "-0" else int(raw)
    return float(raw)


def _finite(raw: str) -> int | float:
    number = _number(raw)
    if not math.isfinite(number):
        raise ValueError(raw)
    return number


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


# Reads like the above, except for its messages.
_FAST = json.JSONDecoder(
    object_pairs_hook=_distinct,
    parse_int=_finite,
    parse_float=_finite,
    parse_constant=_no_constant,
)
