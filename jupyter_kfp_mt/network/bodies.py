"""Bodies that are read to their end, within limits of time and of decompressed length."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, suppress
from math import inf
from typing import Any

import requests

CHUNK = 1 << 16
# Enough for 200 runs, the longest page, with pipelines of 300 kB each.
LONGEST_ANSWER = 64 << 20
LONGEST_REFUSAL = 1 << 20


class BodyTooLate(requests.ReadTimeout):
    """An answer that has not ended within `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"its answer did not end within {seconds:g} s")
        self.seconds = seconds


class BodyTooLong(OSError):
    """An answer longer than any that KFP sends."""

    def __init__(self, most: int) -> None:
        size = f"{most >> 20} MB" if most >> 20 else f"{most} bytes"
        super().__init__(f"its answer is longer than {size}")


def whole(answer: Any, seconds: float, most: int | None = None) -> bytes:
    """Read all of a urllib3 answer, at most `most` bytes (default: `LONGEST_ANSWER`), and close it.

    Raises `BodyTooLong`, `BodyTooLate` if it does not end within `seconds`, and urllib3's
    `HTTPError` or an `OSError` if it breaks off.
    """
    most = LONGEST_ANSWER if most is None else most
    body = _read(answer, seconds, most)
    if len(body) > most:
        raise BodyTooLong(most)
    return body


def beginning(answer: Any, seconds: float, most: int | None = None) -> bytes:
    """Read the body of an error, cut after `most` bytes (default: `LONGEST_REFUSAL`)."""
    most = LONGEST_REFUSAL if most is None else most
    return _read(answer, seconds, most)[:most]


def _read(answer: Any, seconds: float, most: int) -> bytes:
    """Read an answer until its end, or until there are more than `most` bytes."""
    body = bytearray()
    with closing(answer):
        for piece in pieces(answer, seconds):
            body += piece
            if len(body) > most:
                break
    return bytes(body)


def shut(answer: Any) -> None:
    """End an answer, even while another thread reads it."""
    shutdown = getattr(answer, "shutdown", answer.close)  # new in urllib3 2.3
    with suppress(OSError, ValueError):  # it has already ended
        shutdown()


def pieces(answer: Any, seconds: float = inf) -> Iterator[bytes]:
    """Yield an answer as it arrives. Raises `BodyTooLate` once it takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    for piece in _parts(answer):
        yield piece
        if time.monotonic() > deadline:
            raise BodyTooLate(seconds)


def _parts(answer: Any) -> Iterator[bytes]:
    if not hasattr(answer, "read1"):  # new in urllib3 2.1
        yield from answer.stream(CHUNK, decode_content=True)
        return
    while part := answer.read1(CHUNK, decode_content=True):
        yield part
