"""Server-sent events, parsed from a `text/event-stream`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from . import bodies


class ServerSentEvent(msgspec.Struct, frozen=True):
    """One event; without a name it is a keep-alive. A stream can be resumed after an `id`."""

    name: str = ""
    data: bytes = b"{}"
    id: str = ""


E = TypeVar("E", bound=ServerSentEvent)


def events_in(pieces: Iterable[bytes], kind: type[E]) -> Iterator[E]:
    """The events in a `text/event-stream` that arrives in pieces of any length.

    Raises `BodyTooLong` for an event without an end.
    """
    rest = bytearray()
    for piece in pieces:
        joint = max(len(rest) - 1, 0)  # no event ends before it
        rest += piece
        if rest.find(b"\n\n", joint) >= 0:
            *whole, last = bytes(rest).split(b"\n\n")
            rest = bytearray(last)
            for block in whole:
                yield _event(block, kind)
        if len(rest) > bodies.LONGEST_ANSWER:
            raise bodies.BodyTooLong(bodies.LONGEST_ANSWER)


def _event(block: bytes, kind: type[E]) -> E:
    fields: dict[str, Any] = {}
    for line in block.split(b"\n"):
        name, _, value = line.partition(b": ")
        fields[name.decode()] = value
    return kind(
        fields.get("event", b"").decode(), fields.get("data", b"{}"), fields.get("id", b"").decode()
    )
