"""Reads the JSON of a request into a message, as Go's protojson does."""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timezone
from decimal import Decimal
from functools import cache, partial
from itertools import islice, zip_longest
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from .api_errors import gateway_refusal
from .go_json import first_value
from .go_numbers import protojson_number
from .protojson_text import JsonToken, JsonTokens, UnreadableJson


class Message(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """A message of a request. Missing or null fields have their defaults.

    If it is also a response, empty or zero fields are omitted. `ONE_OF` names groups of fields, by
    their names in the API's definition, of which a request may have only one.
    """

    ONE_OF: ClassVar[tuple[str, frozenset[str]]] = ("", frozenset())


class Whole(msgspec.Struct, frozen=True):
    """Marks a whole number with this many bits."""

    bits: int


class Enumeration(msgspec.Struct, frozen=True):
    """Marks a value of an enumeration: its names by number."""

    names: tuple[tuple[int, str], ...]

    def read(self, given: int | str) -> str | int | None:
        """The name of a value, or a number without a name. None if it is not a value."""
        if isinstance(given, int):
            return dict(self.names).get(given, given)
        return given if given in dict(self.names).values() else None


def enumeration(*names: str) -> Enumeration:
    """An enumeration whose elements are numbered from 0, in this order."""
    return Enumeration(tuple(enumerate(names)))


# A time must have a time zone.
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Int32 = Annotated[int, msgspec.Meta(extra={"kind": Whole(32)})]
Int64 = Annotated[int, msgspec.Meta(extra={"kind": Whole(64)})]

M = TypeVar("M", bound=Message)

# The same limit as for a pipeline in a message.
MOST_VALUES = 150_000
# In JSON without escapes: texts, even an unterminated one, and characters that occur once per
# value.
_STRUCTURE = re.compile(rb'"[^"]*"?|[\[{,]')

# In JSON: texts, and minus zero as msgspec writes it.
_MINUS_ZERO = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|(?<![0-9.])-0\.0(?![0-9])')
# How much is scanned before other threads get a turn.
_WINDOW = 1 << 20
# Go's syntax of times of RFC 3339.
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)T(\d\d?):(\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII
)
_MOST_FRACTION_DIGITS = 9


def read(body: bytes, message: type[M]) -> M:
    """Read the message in the body of a request. Raises a refusal with the fault."""
    try:
        _check_extent(body)
        return parse(first_value(body).decode("utf-8", "surrogateescape") or "{}", message)
    except ValueError as error:
        raise gateway_refusal(str(error)) from error
    except RecursionError:
        raise gateway_refusal("The request is nested too deeply") from None


def parse(text: str, message: type[M]) -> M:
    """Read the message in a JSON text. Raises Unreadable with protojson's message."""
    tokens = JsonTokens(text)
    fields = _Reader(tokens).message(message)
    if (after := tokens.next()).kind != "end":
        tokens.unexpected(after)
    return msgspec.convert(fields, message)


def count_of_values(body: bytes) -> int:
    """An upper bound of the number of values: the counted characters occur in texts, too."""
    return sum(map(body.count, (b",", b"[", b"{")))


def _check_extent(body: bytes) -> None:
    """Refuse a message that would take far more memory than its text, before decoding it."""
    if count_of_values(body) <= MOST_VALUES:
        return
    body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    outside_texts = (1 for found in _STRUCTURE.finditer(body) if body[found.start()] != ord('"'))
    if sum(islice(outside_texts, MOST_VALUES + 1)) > MOST_VALUES:
        raise ValueError(f"The request has more than {MOST_VALUES} values")


class _Reader:
    """Reads values of the field types of messages.

    Rule: `google.golang.org/protobuf/encoding/protojson`, decode.go and well_known_types.go.
    """

    def __init__(self, tokens: JsonTokens):
        self._tokens = tokens

    def message(self, kind: type[Message]) -> dict[str, Any]:
        """The fields of a message by name."""
        names, types = _names(kind), _types(kind)
        group, alternatives = kind.ONE_OF
        self._begin("{")
        given: dict[str, Any] = {}
        while (token := self._tokens.next()).kind != "}":
            name = names.get(token.value)
            if name is None:
                self._tokens.refuse(token, f"unknown field {token.raw}")
            if name in given:
                self._tokens.refuse(token, f"duplicate field {token.raw}")
            given[name] = None
            if self._tokens.peek().kind == "null":
                self._tokens.next()
                continue
            if name in alternatives and any(given.get(each) is not None for each in alternatives):
                text = f"error parsing {token.raw}, oneof {group} is already set"
                self._tokens.refuse(token, text)
            given[name] = self._value(types[name], _camel(name))
        return {name: value for name, value in given.items() if value is not None}

    def _value(self, kind: Any, field: str) -> Any:
        """The value of a field of this type; `field` is its name in JSON."""
        if kind is Any:
            return self._tokens.value()
        if get_origin(kind) is list:
            self._begin("[")
            return self._tokens.items(partial(self._value, get_args(kind)[0], field))
        if get_origin(kind) is dict:
            self._begin("{", take=get_args(kind)[1] is not Any)
            if get_args(kind)[1] is Any:
                return self._tokens.value()
            return self._tokens.entries(partial(self._value, get_args(kind)[1], "value"))
        if isinstance(kind, type) and issubclass(kind, Message):
            return self.message(kind)
        return self._scalar(kind, field)

    def _scalar(self, kind: Any, field: str) -> Any:
        token = self._tokens.next()
        if kind is datetime:
            return self._moment(token)
        if not token.is_scalar and token.kind not in ("{", "["):
            self._tokens.unexpected(token)
        name, value = _scalar(kind, token)
        if value is None:
            self._tokens.refuse(token, f"invalid value for {name} field {field}: {token.raw}")
        return value

    def _moment(self, token: JsonToken) -> datetime:
        name = "google.protobuf.Timestamp"
        if token.kind != "string":
            self._tokens.unexpected(token)
        if not (found := _TIME.fullmatch(token.value)) or len(found[4] or "") > 9:
            self._tokens.refuse(token, f"invalid {name} value {token.raw}")
        try:
            return _moment(found)
        except OverflowError:
            self._tokens.refuse(token, f"{name} value out of range: {token.raw}")
        except ValueError:
            self._tokens.refuse(token, f"invalid {name} value {token.raw}")

    def _begin(self, opening: str, *, take: bool = True) -> None:
        token = self._tokens.peek()
        if token.kind != opening:
            self._tokens.unexpected(self._tokens.next())
        if take:
            self._tokens.next()


def _scalar(kind: Any, token: JsonToken) -> tuple[str, Any]:
    """Return protojson's name of the type, and the value; None if the token is not of the type."""
    if isinstance(kind, Enumeration):
        given = _whole(token, 32) if token.kind == "number" else token.value
        return "enum", None if given is None or token.kind == "bool" else kind.read(given)
    if isinstance(kind, Whole):
        return f"int{kind.bits}", _whole(_unquoted(token), kind.bits)
    if kind is float:
        return "double", _float(token)
    if kind is bool:
        return "bool", token.value if token.kind == "bool" else None
    return "string", token.value if token.kind == "string" else None


def _unquoted(token: JsonToken) -> JsonToken:
    """A number may be in quotes, with no space around it."""
    if token.kind != "string" or token.value.strip() != token.value:
        return token
    try:
        return JsonTokens(token.value).next()
    except UnreadableJson:
        return token


def _whole(token: JsonToken, bits: int) -> int | None:
    if token.kind != "number":
        return None
    return _integer(token.raw, bits)


def _float(token: JsonToken) -> float | None:
    if token.kind == "string" and token.value in ("NaN", "Infinity", "-Infinity"):
        return float(token.value)
    token = _unquoted(token)
    if token.kind != "number":
        return None
    number = float(token.raw)
    return None if number in (float("inf"), float("-inf")) else number


def _moment(found: re.Match[str]) -> datetime:
    """The time in UTC. Raises OverflowError outside the years 1 to 9999, ValueError if none."""
    day, hour, rest, fraction, offset = found.groups()
    if day.startswith("0000"):
        raise OverflowError
    offset = "+00:00" if offset == "Z" else offset
    text = f"{day}T{hour:0>2}:{rest}.{(fraction or '0')[:6]:0<6}{offset}"
    return datetime.fromisoformat(text).astimezone(timezone.utc)


@cache
def _names(message: type[Message]) -> dict[str, str]:
    """The fields of a message by their names in JSON, in either casing."""
    names = message.__struct_fields__
    return {**{_camel(name): name for name in names}, **{name: name for name in names}}


@cache
def _types(message: type[Message]) -> dict[str, Any]:
    """Map each field's name to its type, or to the marker for one."""
    hints = get_type_hints(message, include_extras=True)
    return {name: _type(hints[name]) for name in message.__struct_fields__}


def _type(hint: Any) -> Any:
    """The type of a field with a value, without the parts that only msgspec uses."""
    if get_origin(hint) is Annotated:
        kind, *metas = get_args(hint)
        marks = [meta.extra["kind"] for meta in metas if meta.extra]
        return marks[0] if marks else kind
    if get_origin(hint) is Union or type(hint).__name__ == "UnionType":
        return _type(next(each for each in get_args(hint) if each is not type(None)))
    if get_origin(hint) in (list, dict):
        return get_origin(hint)[tuple(map(_type, get_args(hint)))]
    return hint


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def struct(value: Any) -> Any:
    """The JSON value of a `google.protobuf.Value`, which a server in Go gives back: as
    `go_numbers.protojson_value` has it, but minus zero is still one.
    """
    if isinstance(value, dict):
        return {name: struct(one) for name, one in value.items()}
    if isinstance(value, list):
        return [struct(one) for one in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if str(value) == "-0.0" else protojson_number(value)
    return value


def written(value: object) -> bytes:
    """The JSON of a response, in which minus zero is written as any whole number."""
    return bytes(with_whole_zeros(memoryview(msgspec.json.encode(value))))


def in_parts(value: Any, long: int) -> list[memoryview]:
    """The JSON of a response as consecutive parts.

    A specification of at least this many bytes is a part of its own, and not copied.
    """
    mark, texts = f'"{secrets.token_hex(16)}"'.encode(), []

    def outside(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: outside(each) for name, each in value.items()}
        if isinstance(value, list):
            return [outside(each) for each in value]
        specification = getattr(value, "pipeline_spec", None)
        if not isinstance(specification, msgspec.Raw) or len(memoryview(specification)) < long:
            return value
        texts.append(memoryview(specification))
        return msgspec.structs.replace(value, pipeline_spec=msgspec.Raw(mark))

    around = [memoryview(part) for part in msgspec.json.encode(outside(value)).split(mark)]
    return [part for pair in zip_longest(around, texts) for part in pair if part]


def is_plain(encoded: bytes) -> bool:
    """Return whether a JSON text is ASCII, without escapes for what is not."""
    windows = range(0, len(encoded), _WINDOW)
    parts = (encoded[at : at + _WINDOW + 1] for at in windows)
    return all(part.isascii() and b"\\u" not in part for part in parts)


def with_whole_zeros(encoded: memoryview) -> memoryview:
    """Rewrite minus zero as a whole number in a JSON text, or in a part of one."""
    windows = range(0, len(encoded), _WINDOW)
    if all(b"-0.0" not in bytes(encoded[at : at + _WINDOW + 3]) for at in windows):
        return encoded
    return memoryview(
        _MINUS_ZERO.sub(lambda found: b"-0" if found[0] == b"-0.0" else found[0], encoded)
    )


def _integer(text: str, bits: int) -> int | None:
    """A whole number, which JSON may also write with an exponent or a zero fraction."""
    try:
        number = Decimal(text)  # exact, unlike a float
        if -(2 ** (bits - 1)) <= number < 2 ** (bits - 1) and number == number.to_integral_value():
            return int(number)
    except ArithmeticError:
        pass
    return None
