"""Split the line after `%kfp` into words, with the notebook's variables filled in."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import Misunderstood

_MARK = "\ue000{}\ue001"  # from the private use area: stands for a value of any type
_MARKED = re.compile("\ue000(\\d+)\ue001")
_VARIABLE = re.compile(r"\$\$|\$([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
_NAME = re.compile(r"\{([A-Za-z_][\w.\[\]'\"]*)(?:![rsa])?(?::[^{}]*)?\}")


def words(line: str, variables: Mapping[str, Any], warn: Callable[[str], None]) -> list[Any]:
    """Split a line as a shell does. `$name` and `{expression}` are filled in by IPython's rules,
    each as part of one word; a word that consists of one alone becomes the value itself.

    `warn` gets a sentence for each text that looks like a variable and is not one. Raises
    `Misunderstood`.
    """
    values: list[Any] = []
    marked = _filled(_without_comment(line), variables, values, warn)
    try:
        found = shlex.split(marked.rstrip().removesuffix(";"))
    except ValueError as error:  # an open quotation
        raise Misunderstood(f"%kfp {line}: {str(error).lower()}.") from None
    return [_valued(word, values) for word in found]


def _valued(word: str, values: list[Any]) -> Any:
    alone = _MARKED.fullmatch(word)
    if alone:
        value = values[int(alone[1])]
        return value if isinstance(value, (dict, list, tuple)) or callable(value) else str(value)
    return _MARKED.sub(lambda mark: str(values[int(mark[1])]), word)


def _filled(
    line: str, variables: Mapping[str, Any], values: list[Any], warn: Callable[[str], None]
) -> str:
    """Return the line with a mark in place of each value."""
    done, place = "", 0
    while place < len(line):
        if line[place] not in "{}$":
            done, place = done + line[place], place + 1
            continue
        text, end = _next(line, place)
        value = _value(text, variables, warn)
        if value is _NONE:
            done += {"{{": "{", "}}": "}", "$$": "$"}.get(text, text)
        else:
            values.append(value)
            done += _MARK.format(len(values) - 1)
        place = end
    return done


_NONE = object()


def _next(line: str, place: int) -> tuple[str, int]:
    """Return the variable or expression that begins here, and where it ends."""
    if line.startswith(("{{", "}}", "$$"), place):
        return line[place : place + 2], place + 2
    if line[place] == "$":
        found = _VARIABLE.match(line, place)
        return (found[0], found.end()) if found else ("$", place + 1)
    if line[place] == "}":
        return "}", place + 1
    depth = 0
    for end in range(place, len(line)):
        depth += {"{": 1, "}": -1}.get(line[end], 0)
        if depth == 0:
            return line[place : end + 1], end + 1
    return line[place:], len(line)


def _value(text: str, variables: Mapping[str, Any], warn: Callable[[str], None]) -> Any:
    if text in ("{{", "}}", "$$", "$", "{", "}", "{}"):
        return _NONE
    if text.startswith("$"):
        return _of_name(text[1:], variables)
    inner = text[1:-1]
    if inner.isidentifier() and inner in variables:
        return variables[inner]
    from IPython.utils.text import FullEvalFormatter

    try:
        return FullEvalFormatter().vformat(text, [], dict(variables))
    except Exception:  # an expression may raise anything; IPython leaves such a text unchanged, too
        if _NAME.fullmatch(text):
            warn(
                f"{text} is sent unchanged because it has no value in this notebook. Define it, or "
                f"write {{{text}}} for literal braces."
            )
        return _NONE


def _of_name(name: str, variables: Mapping[str, Any]) -> Any:
    first, *rest = name.split(".")
    if first not in variables:
        return _NONE
    value = variables[first]
    for attribute in rest:
        if not hasattr(value, attribute):
            return _NONE
        value = getattr(value, attribute)
    return value


def _without_comment(line: str) -> str:
    """The line up to a # that begins a word outside quotes, as in a shell."""
    quote, escaped, begins = "", False, True
    for place, sign in enumerate(line):
        if sign == "#" and begins:
            return line[:place]
        begins = sign.isspace() and not quote and not escaped
        if escaped:
            escaped = False
        elif sign == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
    return line
