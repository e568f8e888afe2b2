"""Close a connection whose request is answered before its body has been read."""

from __future__ import annotations

import asyncio

from tornado.iostream import IOStream, StreamClosedError

from .. import intervals

CHUNK = 1 << 16
MOST_BYTES, MOST_SECONDS = 1 << 26, intervals.UNREAD_BODY_SECONDS


async def closed(stream: IOStream, length: int | None) -> None:
    """Close a stream after the other side has, or after a body of `length` bytes has arrived.

    With unread data the kernel would reset the connection, and the response could be lost; nginx's
    `lingering_close` does the same. A body that exceeds `MOST_BYTES` or `MOST_SECONDS` is cut off.
    """
    try:
        await asyncio.wait_for(_dropped(stream, length), MOST_SECONDS)
    except (StreamClosedError, asyncio.TimeoutError):
        pass
    finally:
        stream.close()


async def _dropped(stream: IOStream, length: int | None) -> None:
    left = MOST_BYTES if length is None else min(length, MOST_BYTES)
    while left > 0:
        left -= len(await stream.read_bytes(min(CHUNK, left), partial=True))
