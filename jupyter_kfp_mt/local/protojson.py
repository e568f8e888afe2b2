"""How the JSON of a request becomes a message: in either casing, with no unknown fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from itertools import islice
from typing import Annotated, Any, TypeVar, get_args

import msgspec

from .api_errors import invalid_input
from .go_numbers import protojson_number


class Message(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """What a request may hold. What is missing or null has its default.

    Where it is also an answer, what is empty or zero is left out.
    """


# A time says where on earth it is so late.
Moment = Annotated[datetime, msgspec.Meta(tz=True)]

M = TypeVar("M", bound=Message)

# As many as a pipeline in a message may have.
MOST_VALUES = 150_000
# In JSON without escapes: texts, even one that does not end, and what comes once with each value.
_STRUCTURE = re.compile(rb'"[^"]*"?|[\[{,]')

# In JSON: texts, and minus zero as msgspec writes it.
_MINUS_ZERO = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|(?<![0-9.])-0\.0(?![0-9])')


def read(body: bytes | str, message: type[M]) -> M:
    """The message in a JSON text; a refusal says what is wrong with it."""
    try:
        _check_extent(body if isinstance(body, bytes) else body.encode())
        return msgspec.convert(_named(msgspec.json.decode(body or b"{}"), message), message)
    except (msgspec.MsgspecError, UnicodeError, ValueError) as error:
        raise invalid_input(f"The request is not a valid message: {error}") from error
    except RecursionError:
        raise invalid_input("The request is nested too deeply") from None


def _check_extent(body: bytes) -> None:
    """Refuse what takes much more memory than it looks, before it is built."""
    if sum(map(body.count, (b",", b"[", b"{"))) <= MOST_VALUES:
        return
    body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    outside_texts = (1 for found in _STRUCTURE.finditer(body) if body[found.start()] != ord('"'))
    if sum(islice(outside_texts, MOST_VALUES + 1)) > MOST_VALUES:
        raise ValueError(f"it has more than {MOST_VALUES} values")


def _named(value: Any, kind: Any) -> Any:
    """The value with its messages' fields named as in their declaration."""
    message = _message_in(kind)
    if message and isinstance(value, list):
        return [_named(item, message) for item in value]
    if message is None or not isinstance(value, dict):
        return value
    fields = _fields(message)
    named: dict[str, Any] = {}
    for key, item in value.items():
        name = key if key in fields else re.sub(r"[A-Z]", lambda m: "_" + m[0].lower(), key)
        if name in named:
            raise ValueError(f"field {name!r} is given twice")
        if item is not None:
            named[name] = _named(item, fields.get(name, Any))
    return named


@cache
def _fields(message: type[Message]) -> dict[str, Any]:
    """The types of a message's fields, by their names."""
    return {field.name: field.type for field in msgspec.structs.fields(message)}


def _message_in(kind: Any) -> type[Message] | None:
    """The message type in a field's type, which may be optional or a list."""
    for candidate in (kind, *get_args(kind)):
        if isinstance(candidate, type) and issubclass(candidate, Message):
            return candidate
    return None


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
    """The JSON of an answer, in which minus zero is a whole number as any other."""
    encoded = msgspec.json.encode(value)
    if b"-0.0" not in encoded:
        return encoded
    return _MINUS_ZERO.sub(lambda found: b"-0" if found[0] == b"-0.0" else found[0], encoded)


def integer(value: int | float | str, bits: int) -> int:
    """A whole number, which JSON may also write as a string or with a fraction of zero."""
    try:
        number = Decimal(value)  # exact, where a float is not
        if -(2 ** (bits - 1)) <= number < 2 ** (bits - 1) and number == number.to_integral_value():
            return int(number)
    except ArithmeticError:
        pass
    raise invalid_input(f"invalid value for int{bits} type: {value}")


def enum(name: str, values: Mapping[int, str], given: int | str) -> str:
    """A value of an enumeration, which may be given by its name or by its number."""
    value = values.get(given) if isinstance(given, int) else given
    if value not in values.values():
        raise invalid_input(f"invalid value for enum field {name}: {given!r}")
    return str(value)
