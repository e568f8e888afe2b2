"""Remove the credentials of a request from shown text, even if a server sends them back.

Servers repeat the headers of a request in their errors: unchanged, escaped for JSON, HTML or an
address, in base64, broken into lines, or cut in the middle.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

import requests

from .errors import KfpError

MASK = "***"
# A shorter secret cannot be distinguished from an ordinary word.
SHORTEST = 6
# This many characters in a row count as a part of a longer secret.
FRAGMENT = 16
_BLOCK = FRAGMENT // 2
# One escaped character, in an address, JSON, Python and HTML.
_ESCAPED = (
    r"%(?:25)*([0-9A-Fa-f]{2})|\\+u([0-9A-Fa-f]{4})|\\+x([0-9A-Fa-f]{2})"
    r"|&\#x([0-9A-Fa-f]{1,6});|&\#([0-9]{1,7});"
)
# Text that may be inserted between two characters: white space, quotes, commas, tags.
_BETWEEN = r"\\+[nrtbf]|[\s\\\"',\u200b-\u200d\u2060\ufeff\xad]+|</?[A-Za-z]{1,10} ?/?>"
_WRITTEN = re.compile(f"{_ESCAPED}|{_BETWEEN}")


class Scrubber:
    """Finds secrets, and parts of them, in text that is about to be shown."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = {secret for secret in secrets if len(secret) >= SHORTEST}

    @cached_property
    def _sent(self) -> list[bytes]:
        """The secrets as they were sent, the longest first, as one may be a part of another."""
        return sorted((secret.encode() for secret in self._secrets), key=len, reverse=True)

    @cached_property
    def _forms(self) -> set[str]:
        """The secrets in all encodings: computed only for the few answers that need it."""
        return {form for secret in self._secrets for form in _forms(secret)}

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Scrubber:
        """Return a scrubber of the secrets in the headers of a request."""
        return cls(_secrets_in(headers))

    def is_plainly_in(self, body: bytes) -> bool:
        """Tell whether a body contains one unchanged. A quick check, for long answers."""
        return any(secret in body for secret in self._sent)

    def text(self, text: str) -> str:
        if not (text and self._secrets):
            return text
        plain, places = _plain(text)
        spans = sorted(span for form in self._forms for span in _found(plain, form))
        pieces, end = [], 0
        for begin, stop in spans:
            first, last = places[begin][0], places[stop - 1][1]
            if last > end:
                pieces += [text[end : max(first, end)], MASK if first >= end else ""]
                end = last
        return "".join(pieces) + text[end:]

    def body(self, body: bytes) -> bytes:
        return self.text(body.decode("latin-1")).encode("latin-1")

    def part(self, body: bytes) -> tuple[bytes, bytes]:
        """Split the part of a long body that has arrived: into what may be shown, and an end that
        may be the beginning of a secret, to be put before the next part.

        Secrets that occur unchanged are masked. The length stays the same, as it has already been
        sent in a header.
        """
        cut = len(body) - max((_begun(body, secret) for secret in self._sent), default=0)
        while crossing := [at for secret in self._sent if (at := _across(body, secret, cut)) >= 0]:
            cut = min(crossing)
        return self.masked(body[:cut]), body[cut:]

    def masked(self, body: bytes) -> bytes:
        """A body of the same length in which secrets that occur unchanged are masked."""
        for secret in self._sent:
            body = body.replace(secret, b"*" * len(secret))
        return body

    def error(self, error: KfpError) -> KfpError:
        """Return a copy of the error without secrets."""
        names = ("sentence", "attempt", "reason", "cause", "cure", "server_text")
        return error.with_(**{name: self.text(getattr(error, name)) for name in names})


def scrubbed(answer: requests.Response, body: bytes) -> bytes:
    """The body of an answer without the secrets that its request sent."""
    return Scrubber.of(answer.request.headers).body(body)


def _secrets_in(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        if name.lower() in ("authorization", "proxy-authorization"):
            scheme, _, secret = text.partition(" ")
            yield secret.strip() or scheme
            if scheme.lower() == "basic":
                yield _password(secret)
        elif name.lower() == "cookie":
            yield from (part.partition("=")[2].strip(' "') for part in text.split(";"))


def _password(secret: str) -> str:
    try:
        return base64.b64decode(secret).decode("utf-8", "replace").partition(":")[2]
    except binascii.Error:
        return ""


def _begun(body: bytes, secret: bytes) -> int:
    """Return how many bytes at the end of a body are the beginning of a secret."""
    longest = min(len(body), len(secret) - 1)
    return next((n for n in range(longest, 0, -1) if body.endswith(secret[:n])), 0)


def _across(body: bytes, secret: bytes, cut: int) -> int:
    """The position of a secret that begins before the cut and ends after it; -1 for none."""
    beyond = len(secret) - 1
    return body.find(secret, max(0, cut - beyond), min(len(body), cut + beyond))


def _forms(secret: str) -> Iterator[str]:
    """A secret unchanged, in base64 at each of three alignments, and in hexadecimal."""
    plain, _ = _plain(secret)
    yield plain
    data = secret.encode()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        whole = encoded[(0, 2, 3)[before] : len(encoded) - bool((before + len(data)) % 3)]
        yield from {whole, whole.replace("+", "-").replace("/", "_")}
    yield from {data.hex(), data.hex().upper()}


def _plain(text: str) -> tuple[str, list[tuple[int, int]]]:
    """A text without escapes and insertions, and the span of each of its characters before."""
    pieces: list[str] = []
    places: list[tuple[int, int]] = []
    end = 0
    for found in _WRITTEN.finditer(text):
        pieces.append(text[end : found.start()])
        places.extend((at, at + 1) for at in range(end, found.start()))
        if char := _char(found):
            pieces.append(char)
            places.append(found.span())
        end = found.end()
    places.extend((at, at + 1) for at in range(end, len(text)))
    return "".join([*pieces, text[end:]]), places


def _char(found: re.Match[str]) -> str:
    """The character that was escaped, if a secret may contain it."""
    for group in range(1, 6):
        if digits := found[group]:
            code = int(digits, 10 if group == 5 else 16)
            return chr(code) if 32 < code < 127 else ""
    return ""


def _found(text: str, form: str) -> Iterator[tuple[int, int]]:
    """The spans of a secret in a text: whole if it is short, else every part of some length."""
    if len(form) < FRAGMENT:
        yield from (found.span() for found in re.finditer(re.escape(form), text))
        return
    for at in range(0, len(form) - _BLOCK + 1, _BLOCK):
        block, start = form[at : at + _BLOCK], 0
        while (hit := text.find(block, start)) >= 0:
            begin, end = _extended(text, form, hit, at)
            if end - begin >= FRAGMENT:
                yield begin, end
            start = max(end, hit + 1)


def _extended(text: str, form: str, hit: int, at: int) -> tuple[int, int]:
    """The span in a text around a block that both have, as far as they agree on both sides."""
    begin, left = hit, at
    while begin and left and text[begin - 1] == form[left - 1]:
        begin, left = begin - 1, left - 1
    end, right = hit + _BLOCK, at + _BLOCK
    while end < len(text) and right < len(form) and text[end] == form[right]:
        end, right = end + 1, right + 1
    return begin, end
