"""YAML as the API server reads it, with the types of values as in a library for Go.

It is nearer to YAML 1.2 than PyYAML is: `yes`, `1:30` and numbers that no float64 can hold are
texts, and dates are times. Rule: `resolve` and `decodeTimestamp` of gopkg.in/yaml.v3.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import yaml

_CORE = "tag:yaml.org,2002:"
# The tag of all that is written without quotes, whatever it is.
_PLAIN = "plain"
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMERIC = frozenset("+-.0123456789")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_WHOLE = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[1-9][0-9]*|0)", re.ASCII)
# More digits than any whole number of 64 bits has, in any notation.
_LONGEST_WHOLE = 70
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?:[Tt](?=.*(?:Z|[-+][0-9]{2}:[0-9]{2})$)| (?!.*(?:Z|[-+][0-9]{2}:[0-9]{2})$))"
    r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:\.([0-9]+))?(Z|[-+][0-9]{2}:[0-9]{2})?)?",
    re.ASCII,
)


class Loader(yaml.CSafeLoader):
    """A loader for `yaml.load`; what it loads is what JSON can hold."""

    yaml_implicit_resolvers: dict[str | None, list[tuple[str, re.Pattern[str]]]] = {}


def plain(text: str) -> Any:
    """Return the value of a text without quotes."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC:
        return text
    if (time := _time(text)) is not None:
        return time
    digits = text if text[0] == "." else text.replace("_", "")
    if (whole := _whole(digits)) is not None:
        return whole
    number = float(digits) if _FLOAT.fullmatch(digits) else math.inf
    return number if math.isfinite(number) else text


def _whole(text: str) -> int | None:
    """A whole number of 64 bits, with or without a sign; None for anything else."""
    if len(text) > _LONGEST_WHOLE or not _WHOLE.fullmatch(text):
        return None
    octal = re.fullmatch(r"([-+]?)0([0-7]+)", text)
    number = int(octal[1] + octal[2], 8) if octal else int(text, 0)
    return number if -(2**63) <= number < 2**64 else None


def _time(text: str) -> str | None:
    """A time as JSON has it; None for anything else."""
    if not (found := _TIME.fullmatch(text)):
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    fraction = (found[7] or "")[:9].rstrip("0")
    zone = found[8] or "Z"
    try:
        moment = datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    zone = "Z" if zone in ("+00:00", "-00:00") else zone
    return f"{moment.isoformat()}{fraction and f'.{fraction}'}{zone}"


def _of_kind(*kinds: type) -> Callable[[Loader, yaml.ScalarNode], Any]:
    """Construct a value with an explicit tag, such as `!!int 1`."""

    def construct(loader: Loader, node: yaml.ScalarNode) -> Any:
        value = plain(node.value)
        if type(value) not in kinds:
            raise _no_such_value(node)
        return value

    return construct


def _timestamp(loader: Loader, node: yaml.ScalarNode) -> str:
    if (time := _time(node.value)) is None:
        raise _no_such_value(node)
    return time


def _binary(loader: Loader, node: yaml.ScalarNode) -> str:
    try:
        return base64.b64decode(node.value, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        raise _no_such_value(node) from None


def _mapping(loader: Loader, node: yaml.MappingNode) -> Any:
    return loader.construct_mapping(node, deep=True)


def _sequence(loader: Loader, node: yaml.SequenceNode) -> Any:
    return loader.construct_sequence(node, deep=True)


def _with_own_tag(loader: Loader, node: Any) -> Any:
    """Construct what has a tag of the author's own, which means nothing."""
    if node.tag.startswith(_CORE):
        return loader.construct_undefined(node)
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node)
    return _sequence(loader, node)


def _no_such_value(node: yaml.ScalarNode) -> yaml.MarkedYAMLError:
    kind = node.tag.removeprefix(_CORE)
    problem = f"{node.value[:100]!r} is no !!{kind}"
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


Loader.add_implicit_resolver(f"{_CORE}merge", re.compile(r"<<\Z"), ["<"])
Loader.add_implicit_resolver(_PLAIN, re.compile(""), None)
Loader.add_constructor(_PLAIN, lambda loader, node: plain(node.value))
Loader.add_constructor(f"{_CORE}merge", lambda loader, node: node.value)
Loader.add_constructor(f"{_CORE}int", _of_kind(int))
Loader.add_constructor(f"{_CORE}float", _of_kind(int, float))
Loader.add_constructor(f"{_CORE}bool", _of_kind(bool))
Loader.add_constructor(f"{_CORE}null", _of_kind(type(None)))
Loader.add_constructor(f"{_CORE}timestamp", _timestamp)
Loader.add_constructor(f"{_CORE}binary", _binary)
Loader.add_constructor(f"{_CORE}set", _mapping)
Loader.add_constructor(f"{_CORE}omap", _sequence)
Loader.add_constructor(f"{_CORE}pairs", _sequence)
Loader.add_constructor(None, _with_own_tag)
