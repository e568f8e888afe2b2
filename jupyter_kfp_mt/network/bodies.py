"""Answers that are read whole: within a time limit, and up to a length after decompression."""

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
    """An answer that has not come to its end in `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"its answer goes on for longer than {seconds:g} s")
        self.seconds = seconds


class BodyTooLong(OSError):
    """An answer longer than any that KFP sends."""

    def __init__(self, most: int) -> None:
        size = f"{most >> 20} MB" if most >> 20 else f"{most} bytes"
        super().__init__(f"its answer is longer than {size}")


def whole(answer: Any, seconds: float, most: int | None = None) -> bytes:
    """Read all of a urllib3 answer and close it; `LONGEST_ANSWER` bytes at most.

    Raises `BodyTooLong`, `BodyTooLate` for one that does not end in so many seconds, and urllib3's
    `HTTPError` or an `OSError` for one that breaks off.
    """
    most = LONGEST_ANSWER if most is None else most
    body = _read(answer, seconds, most)
    if len(body) > most:
        raise BodyTooLong(most)
    return body


def beginning(answer: Any, seconds: float, most: int | None = None) -> bytes:
    """Read an error's body, cut after `LONGEST_REFUSAL` bytes."""
    most = LONGEST_REFUSAL if most is None else most
    return _read(answer, seconds, most)[:most]


def _read(answer: Any, seconds: float, most: int) -> bytes:
    """Read the answer, but hardly more than `most` bytes of it."""
    body = bytearray()
    with closing(answer):
        for piece in pieces(answer, seconds):
            body += piece
            if len(body) > most:
                break
    return bytes(body)


def shut(answer: Any) -> None:
    """End it, even while another thread reads it."""
    shutdown = getattr(answer, "shutdown", answer.close)  # urllib3 2.3 has it
    with suppress(OSError, ValueError):  # it has ended already
        shutdown()


def pieces(answer: Any, seconds: float = inf) -> Iterator[bytes]:
    """Yield an answer as it arrives. Raises `BodyTooLate` once it takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    for piece in _parts(answer):
        yield piece
        if time.monotonic() > deadline:
            raise BodyTooLate(seconds)


def _parts(answer: Any) -> Iterator[bytes]:
    if not hasattr(answer, "read1"):  # urllib3 before 2.1 has none
        yield from answer.stream(CHUNK, decode_content=True)
        return
    while part := answer.read1(CHUNK, decode_content=True):
        yield part
