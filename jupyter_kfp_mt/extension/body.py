"""The body of a request as it arrives: kept if it is short, else handed on piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import msgspec

from ..errors import TooLong
from ..intervals import READ_SECONDS

# Up to this size a body is kept until KFP has answered, so that it can be sent again.
LONGEST_KEPT = 1 << 20


class Body:
    """What a browser or a kernel sends, and KFP takes.

    Where that takes nothing for as long as it may be silent, `given_up` is called, and `stuck`.
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
        """Raises `TooLong` for one that is known to be longer than the server takes."""
        if (self.known_length or 0) > longest:
            raise TooLong(
                f"A body of {self.known_length} bytes is too long: this Jupyter server takes "
                f"{longest} at most.",
                cure="Whoever runs it can allow more with c.ServerApp.max_body_size.",
            )

    def content(self) -> bytes | AsyncIterator[bytes]:
        return self._as_it_comes() if self.streamed else b"".join(self._kept)

    async def add(self, piece: bytes) -> None:
        """One piece more; of a streamed body not before the last one was taken."""
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
        """Nobody takes it any more: what still arrives is dropped."""
        self._stopped = True
        while not self._pieces.empty():
            self._pieces.get_nowait()

    def named(self, kind: str) -> str:
        """The NAMESPACE or the EXPERIMENT that it names, where it is kept and one is to be seen."""
        try:
            return msgspec.json.decode(b"".join(self._kept), type=_Naming).name(kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ""

    async def _as_it_comes(self) -> AsyncIterator[bytes]:
        while piece := await self._pieces.get():
            yield piece


class _Key(msgspec.Struct):
    type: str = ""
    id: str = ""


class _Reference(msgspec.Struct):
    key: _Key = msgspec.field(default_factory=_Key)


class _Naming(msgspec.Struct):
    """Where the messages of both versions of the API have a namespace, or an experiment."""

    namespace: str = ""
    experiment_id: str = ""
    pipeline: _Naming | None = None
    resource_references: list[_Reference] = []

    def name(self, kind: str) -> str:
        keys = (reference.key for reference in self.resource_references)
        named = next((key.id for key in keys if key.type == kind), "")
        own = self.namespace if kind == "NAMESPACE" else self.experiment_id
        return own or named or (self.pipeline.name(kind) if self.pipeline else "")
