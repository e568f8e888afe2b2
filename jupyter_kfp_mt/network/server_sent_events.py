"""Server-sent events, as the lines of a `text/event-stream` carry them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from . import bodies


class ServerSentEvent(msgspec.Struct, frozen=True):
    """One event; without a name it is a keep-alive. `id`: the place to resume from."""

    name: str = ""
    data: bytes = b"{}"
    id: str = ""


E = TypeVar("E", bound=ServerSentEvent)


def events_in(pieces: Iterable[bytes], kind: type[E]) -> Iterator[E]:
    """The events in a `text/event-stream`, however it is cut.

    Raises `BodyTooLong` for one that has no end.
    """
    rest = bytearray()
    for piece in pieces:
        joint = max(len(rest) - 1, 0)  # what is before it has been looked through
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
