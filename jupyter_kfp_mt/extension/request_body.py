"""The body of a request as it arrives: kept if it is short, else streamed."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from typing import IO

from ..client.pipeline_archives import LONGEST
from ..errors import TooLong
from ..intervals import READ_SECONDS

# Up to this size a body is kept until KFP has responded, so that it can be sent again.
LONGEST_KEPT = 1 << 20
# The longest pipeline that KFP accepts, plus the multipart form around it.
LONGEST_UPLOAD = LONGEST + (1 << 16)
PIECE = 64 << 10


class Body:
    """The body of a request, on its way from a browser or a kernel to KFP.

    If KFP reads none of it within the time limit, it is `stuck`, and `given_up` is called.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        length = headers.get("Content-Length", "")
        known = length.isdecimal() and "Transfer-Encoding" not in headers
        self.comes = bool(length or "Transfer-Encoding" in headers)
        self.known_length = int(length) if known else None
        self.streamed = int(length) > LONGEST_KEPT if known else self.comes
        self.length = length if known and self.streamed else ""
        self.stuck = False
        self.given_up: Callable[[], object] = lambda: None
        self._kept: list[bytes] = []
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)
        self._stopped = False

    def check(self, longest: int) -> None:
        """Raises `TooLong` for a body declared longer than the server accepts."""
        self.check_size(self.known_length or 0, longest)

    @staticmethod
    def check_size(size: int, longest: int) -> None:
        if size > longest:
            raise TooLong(
                f"A body of {size} bytes is too long: this server accepts at most {longest}.",
                cure="Its administrator can allow more with c.ServerApp.max_body_size.",
            )

    @property
    def repeatable(self) -> bool:
        """Return True if the body can be sent again."""
        return not self.streamed

    def close(self) -> None:
        """Release its resources."""

    def content(self) -> bytes | AsyncIterator[bytes]:
        return self._as_it_comes() if self.streamed else b"".join(self._kept)

    async def add(self, piece: bytes) -> None:
        """Add a piece; for a streamed body, wait until the last one was taken."""
        if not self.streamed:
            self._kept.append(piece)
        elif not self._stopped:
            try:
                await asyncio.wait_for(self._pieces.put(piece), READ_SECONDS)
            except asyncio.TimeoutError:
                self.stuck = True
                self.given_up()

    async def end(self) -> None:
        await self.add(b"")

    def stop(self) -> None:
        """Stop: the rest of the body is dropped."""
        self._stopped = True
        while not self._pieces.empty():
            self._pieces.get_nowait()

    @property
    def kept(self) -> bytes:
        """The received part of the body; empty for a streamed one and for an upload."""
        return b"".join(self._kept)

    async def _as_it_comes(self) -> AsyncIterator[bytes]:
        while piece := await self._pieces.get():
            yield piece


class Held(Body):
    """An upload, written to disk completely before any of it is sent to KFP."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(headers)
        self.streamed, self.length = False, ""
        self.size = 0
        self._file: IO[bytes] | None = None

    @property
    def file(self) -> IO[bytes]:
        if self._file is None:
            self._file = tempfile.TemporaryFile()
        return self._file

    @property
    def repeatable(self) -> bool:
        return self.size <= LONGEST_KEPT

    def check(self, longest: int) -> None:
        super().check(min(longest, LONGEST_UPLOAD))

    async def add(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size <= LONGEST_UPLOAD:
            self.file.write(piece)

    def content(self) -> bytes | AsyncIterator[bytes]:
        """Raises `TooLong` if the body was longer than declared."""
        self.check_size(self.size, LONGEST_UPLOAD)
        self.file.seek(0)
        if self.repeatable:
            return self.file.read()
        self.length = str(self.size)
        return self._from_file()

    async def _from_file(self) -> AsyncIterator[bytes]:
        while piece := self.file.read(PIECE):
            yield piece

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
