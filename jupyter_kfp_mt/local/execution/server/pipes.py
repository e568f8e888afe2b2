"""Pipes as asyncio streams."""

from __future__ import annotations

import asyncio

# Each report is one line, whose texts are kept far below this limit.
MAX_LINE_BYTES = 2**22


async def reader(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    stream = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), open(descriptor, "rb", buffering=0)
    )
    return stream, pipe
