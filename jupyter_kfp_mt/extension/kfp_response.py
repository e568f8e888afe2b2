"""KFP's response, read as it arrives, and the reason if it is missing or incomplete.

aiohttp is slow to import, so it is imported after the server has started.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from ..errors import KfpError, Unreachable
from ..intervals import CONNECT_SECONDS, READ_SECONDS
from ..network import certificates
from ..network.no_answer_errors import unreachable
from ..other_servers import AskedAddress
from ..refusal_causes import OTHER_PROXY
from ..scrubbing import Scrubber

if TYPE_CHECKING:
    import aiohttp

# A longer response is streamed; a shorter one is read completely first.
LONGEST_WHOLE = 1 << 20
CHUNK = 1 << 16
# Responses up to this length are scrubbed on the event loop.
AT_ONCE = 1 << 14


class KfpResponse:
    """A response, which holds its connection until it is read completely or closed.

    `explained` adds the credentials' knowledge to an error; `scrubber` finds the credentials that
    were sent.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        endpoint: str,
        explained: Callable[[KfpError], KfpError],
        scrubber: Scrubber,
    ) -> None:
        self.status = response.status
        self.content_type = response.content_type
        self.explained = explained
        self._response = response
        packed = (
            "Content-Encoding" in response.headers
        )  # a compressed response: its full length is not known
        self._length = None if packed else response.content_length
        self._endpoint = endpoint
        self._scrubber = scrubber
        self._held = b""
        self._late = False

    @property
    def at(self) -> AskedAddress:
        """The address that was asked, and where the answer redirects to."""
        location = self._response.headers.get("Location", "")
        return AskedAddress(self._endpoint, str(self._response.url.with_query(None)), location)

    async def start(self) -> tuple[bytes, bool]:
        """Read a short response, or the beginning of a long one; return it and if more follows.

        Raises `Unreachable` if that does not arrive in time, even if single bytes do.
        """
        if self._response.content.is_eof():  # as a short one is that came in one piece
            start, more = await self._start()
        else:
            start, more = await self._start_in_time()
        if more:
            start, self._held = self._scrubber.part(start)
        return await self._scrubbed(start), more

    async def _start_in_time(self) -> tuple[bytes, bool]:
        late = asyncio.get_running_loop().call_later(READ_SECONDS, self._give_up)
        try:
            return await self._start()
        finally:
            late.cancel()

    async def _scrubbed(self, body: bytes) -> bytes:
        """Mask sent credentials in an error, and in any other response that repeats them."""
        if self.status < 300 and not self._scrubber.is_plainly_in(body):
            return body
        scrub = self._scrubber.body  # it takes a second for a megabyte
        scrubbed = scrub(body) if len(body) <= AT_ONCE else await asyncio.to_thread(scrub, body)
        if self._length is not None:
            self._length += len(scrubbed) - len(body)
        return scrubbed

    async def _start(self) -> tuple[bytes, bool]:
        if self._length is not None:
            return (b"", True) if self._length > LONGEST_WHOLE else (await self._whole(), False)
        start = bytearray()
        async for piece in self._pieces():
            start += piece
            if len(start) > LONGEST_WHOLE:
                return bytes(start), True
        return bytes(start), False

    async def _whole(self) -> bytes:
        try:
            return await self._response.read()
        except faults() as error:
            raise self._no_answer(error) from None

    async def rest(self) -> AsyncIterator[bytes]:
        """Yield the rest of the body, with sent credentials masked.

        Raises `Unreachable` if it breaks off.
        """
        async for piece in self._pieces():
            shown, self._held = self._scrubber.part(self._held + piece)
            if shown:
                yield shown
        if self._held:
            yield self._scrubber.masked(self._held)

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._response.content.iter_chunked(CHUNK):
                yield piece
        except faults() as error:
            raise self._no_answer(error) from None

    def headers(self) -> dict[str, str]:
        """Return the few headers that are forwarded; the type keeps browsers from guessing one."""
        headers = self._response.headers
        warning = self._scrubber.text(", ".join(headers.getall("Warning", [])))
        warning = warning.encode("ascii", "replace").decode()
        passed_on = {"Warning": warning} if warning else {}
        if self._length is not None:
            passed_on["Content-Length"] = str(self._length)
        if self.content_type == "application/json":
            return {"Content-Type": "application/json", **passed_on}
        if self.content_type.startswith("text/"):
            return {"Content-Type": "text/plain; charset=utf-8", **passed_on}
        download = {"Content-Disposition": "attachment"}
        return {"Content-Type": "application/octet-stream", **download, **passed_on}

    def close(self) -> None:
        self._response.close()

    def _give_up(self) -> None:
        self._late = True
        self.close()

    def _no_answer(self, error: Exception) -> Unreachable:
        error = TimeoutError() if self._late else error
        return no_answer(self._endpoint, error)


def faults() -> tuple[type[Exception], ...]:
    """Return the exceptions of a request, and of reading its response."""
    import aiohttp

    return aiohttp.ClientError, TimeoutError, asyncio.TimeoutError, OSError


def no_answer(endpoint: str, error: Exception) -> Unreachable:
    """Return the error for a missing or incomplete response."""
    import aiohttp

    if wrong := certificates.fault(error):
        return unreachable(endpoint, *wrong)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        refused = f"the proxy did not connect to it: HTTP {error.status}"
        return unreachable(endpoint, refused, OTHER_PROXY)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        reason = f"the proxy did not connect to it: {_reason(error)}"
        return unreachable(endpoint, reason, OTHER_PROXY)
    found = unreachable(endpoint, _reason(error))
    found.sent = not isinstance(error, aiohttp.ClientConnectorError)
    return found


def _reason(error: Exception) -> str:
    import aiohttp

    reasons = (
        (aiohttp.ConnectionTimeoutError, f"no connection in {CONNECT_SECONDS:g} s"),
        ((TimeoutError, asyncio.TimeoutError), f"it did not answer in {READ_SECONDS:g} s"),
        (aiohttp.ClientConnectorDNSError, "no such host"),
        (aiohttp.ClientPayloadError, "its answer broke off"),
        (aiohttp.ClientResponseError, "its answer is not HTTP"),
        (aiohttp.ServerDisconnectedError, "connection closed"),
    )
    for kind, reason in reasons:
        if isinstance(error, kind):
            return reason
    code = getattr(error, "errno", None)
    if code:
        return os.strerror(code).lower()
    return "connection closed" if isinstance(error, OSError) else type(error).__name__
