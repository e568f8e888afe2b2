"""The first JSON value of a body, and the errors of Go's `encoding/json` for invalid JSON.

The API server's gateway reads bodies with it, so what follows the first value is not looked at.
Rule: Go's `encoding/json`, `Decoder.Decode` and `scanner.go`.
"""

from __future__ import annotations

import json
import re

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_LITERALS = {"t": "true", "f": "false", "n": "null"}


def first_value(body: bytes) -> bytes:
    """Return the bytes of the first value; empty for an empty body.

    Raises ValueError with Go's message for anything else.
    """
    scanner = _Scanner(body.decode("latin-1"))  # like Go's, it works on bytes
    start = scanner.skip_space()
    if start == len(body):
        return b""
    return body[start : scanner.value()]


def quoted(text: str) -> str:
    """The text as Go's `%q` writes it."""
    written = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\x7f")
    return re.sub(r"(?<!\\)((?:\\\\)*)\\u00([01][0-9a-f])", r"\1\\x\2", written)


class _Scanner:
    """Scans a text without building values, and without recursion."""

    def __init__(self, text: str):
        self._text = text
        self._at = 0

    def skip_space(self) -> int:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at

    def value(self) -> int:
        """Return the end of the value that begins here."""
        open_: list[str] = []
        self._element(open_)
        while open_:
            self._next(open_)
        if self._text[self._at - 1] not in "]}" and self._at < len(self._text):
            self._expect(" \t\r\n", "after top-level value")
        return self._at

    def _next(self, open_: list[str]) -> None:
        """Take a comma and the next element, or the end of the innermost list or object."""
        closing = open_[-1]
        after = "array element" if closing == "]" else "object key:value pair"
        if self._expect(f",{closing}", f"after {after}") == closing:
            open_.pop()
            return
        if closing == "}":
            self._key('"')
        self._element(open_)

    def _element(self, open_: list[str]) -> None:
        """Take a scalar, or the beginning of a list or object with its first element."""
        char = self._peek()
        if char == "[":
            self._at += 1
            open_.append("]")
            if self._peek() == "]":
                self._at += 1
                open_.pop()
            else:
                self._element(open_)
        elif char == "{":
            self._at += 1
            open_.append("}")
            if self._key('"}') == "}":
                open_.pop()
            else:
                self._element(open_)
        else:
            self._scalar(char)

    def _key(self, allowed: str) -> str:
        first = self._expect(allowed, "looking for beginning of object key string")
        if first == '"':
            self._rest_of_string()
            self._expect(":", "after object key")
        return first

    def _scalar(self, char: str) -> None:
        if char == '"':
            self._at += 1
            self._rest_of_string()
        elif char in _LITERALS:
            self._literal(_LITERALS[char])
        elif char == "-" or char in "0123456789":
            self._number()
        else:
            self._refuse("looking for beginning of value")

    def _literal(self, word: str) -> None:
        for char in word:
            if self._char() != char:
                self._refuse(f"in literal {word} (expecting {_quoted(char)})")
            self._at += 1

    def _number(self) -> None:
        found = _NUMBER.match(self._text, self._at)
        self._at = found.end() if found else self._at + 1
        if not found:
            self._refuse("in numeric literal")
        elif self._text[self._at : self._at + 1] == "." and "." not in found[0]:
            self._at += 1
            self._refuse("after decimal point in numeric literal")
        elif self._text[self._at : self._at + 1] in ("e", "E") and "e" not in found[0].lower():
            self._at += 1 + (self._text[self._at + 1 : self._at + 2] in ("+", "-"))
            self._refuse("in exponent of numeric literal")

    def _rest_of_string(self) -> None:
        while True:
            plain = _PLAIN.match(self._text, self._at)
            self._at = plain.end() if plain else self._at
            char = self._char()
            if char == '"':
                self._at += 1
                return
            if char != "\\":
                self._refuse("in string literal")
            self._at += 1
            self._escape()

    def _escape(self) -> None:
        if (char := self._char()) not in '"\\/bfnrtu':
            self._refuse("in string escape code")
        self._at += 1
        for _ in range(4 if char == "u" else 0):
            if self._char() not in "0123456789abcdefABCDEF":
                self._refuse("in \\u hexadecimal character escape")
            self._at += 1

    def _expect(self, allowed: str, context: str) -> str:
        char = self._char() if " " in allowed else self._peek()
        if char not in allowed:
            self._refuse(context)
        self._at += 1 if " " not in allowed else 0
        return char

    def _peek(self) -> str:
        self.skip_space()
        return self._char()

    def _char(self) -> str:
        if self._at >= len(self._text):
            raise ValueError("unexpected EOF")
        return self._text[self._at]

    def _refuse(self, context: str) -> None:
        raise ValueError(f"invalid character {_quoted(self._char())} {context}")


def _quoted(char: str) -> str:
    """A byte in Go's form, in single quotes."""
    named = {"'": r"'\''", '"': "'\"'", "\\": r"'\\'", "\n": r"'\n'", "\t": r"'\t'", "\r": r"'\r'"}
    plain = f"'{char}'" if char.isprintable() else f"'\\x{ord(char):02x}'"
    return named.get(char, plain)
