"""The forwarded KFP API: somebody's request to the door, and KFP's answer to it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
from tornado import web
from tornado.iostream import StreamClosedError

from .. import explain
from ..client import READ_SECONDS
from ..errors import BadRequest, KfpError, Unauthenticated
from .allowed import checked, is_log
from .body import Body
from .handlers import KfpHandler
from .sender import FAULTS, Query, Request, no_answer

# What a browser says to the Jupyter server in the query, and is not for KFP.
_JUPYTERS = {"token", "_xsrf", "no_track_activity"}
_CHANGES = {"POST", "PATCH", "DELETE"}
_CONTENT_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+( *; *[\w-]+=(\"[^\"\\]*\"|[^\s\";]+))*", re.ASCII)
_NAMESPACE = re.compile(r"[a-z0-9-]{1,63}")
# A longer answer is passed on as it comes; a shorter one is whole before anything of it is.
LONGEST_WHOLE = 1 << 20
CHUNK = 1 << 16
# Whatever KFP answers with, a browser must not run it as a page of the Jupyter server.
_HARMLESS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@web.stream_request_body
class ProxyHandler(KfpHandler):
    """`<base_url>/kfp-mt/api/apis/...`: the KFP API, as this server's identity.

    The request to KFP is built anew, from the method, path, query and body, with no header of the
    browser's but the type of the body. A long body is sent on while it arrives.
    """

    _body: Body | None = None
    _working: asyncio.Task[Any] | None = None
    _gone = False

    async def prepare(self) -> None:  # type: ignore[override]
        self._started = time.monotonic()
        await super().prepare()
        if self.request.method in _CHANGES:
            self._body = body = Body(self.request.headers)
            if body.streamed:
                self._working = asyncio.ensure_future(self._ask())
                self._working.add_done_callback(lambda _: body.stop())
                body.given_up = self._working.cancel

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._body.add(chunk) if self._body else None

    def on_connection_close(self) -> None:
        """Whoever asked went away: KFP need not answer any more."""
        self._gone = True
        if self._working:
            self._working.cancel()

    @web.authenticated
    async def get(self, *_: str) -> None:
        await self._forward()

    @web.authenticated
    async def post(self, *_: str) -> None:
        """Whatever changes something: who did what leaves a line in the log."""
        status = 499  # as nginx calls it: who asked went away before there was an answer
        try:
            await self._forward()
            status = status if self._gone else self.get_status()
        except KfpError as error:
            status = error.status
            raise
        finally:
            self._note(status)

    patch = delete = post

    async def _forward(self) -> None:
        try:
            with contextlib.closing(await self._answer()) as answer:
                await self._relay(answer)
        except StreamClosedError:
            self._gone = True
        except asyncio.CancelledError:
            if not self._gone:
                raise

    async def _answer(self) -> aiohttp.ClientResponse:
        if self._working is None:
            self._working = asyncio.current_task()
            return await self._ask()
        assert self._body
        await self._body.end()
        try:
            answer: aiohttp.ClientResponse = await self._working
        except asyncio.CancelledError:
            if not self._body.stuck:
                raise
            raise no_answer("KFP", self._asked, asyncio.TimeoutError()) from None
        self._working = asyncio.current_task()
        return answer

    async def _ask(self) -> aiohttp.ClientResponse:
        """KFP's answer. Raises for a request that is not to go through."""
        return await self.upstream.forward(await self._request())

    async def _request(self) -> Request:
        local = is_log(self._path) and (await self.upstream.health()).local
        query = self._query
        path = checked(self._path, query, local)
        body = self._body
        if body is None:
            return Request("GET", path, query)
        if self.upstream.read_only:
            raise explain.read_only(self._asked)
        kind = self.request.headers.get("Content-Type", "")
        if kind and not _CONTENT_TYPE.fullmatch(kind):
            raise BadRequest(f"Cannot {self._asked}: its Content-Type is not one.")
        return Request(str(self.request.method), path, query, body.content(), kind, body.length)

    async def _relay(self, answer: aiohttp.ClientResponse) -> None:
        try:
            start, more = await _start(answer)
        except FAULTS as error:
            raise no_answer(self.upstream.endpoint, self._asked, error) from None
        page = answer.content_type == "text/html" or explain.is_html(start)
        if answer.status < 300 and page:
            raise explain.not_kfp(answer.status, self._asked, explain.server_text(start))
        if answer.status >= 300:
            await self._refuse(answer.status, start)
            return
        self.set_status(answer.status)
        for name, value in (_HARMLESS | _passed_on(answer)).items():
            self.set_header(name, value)
        kind = str(self._headers["Content-Type"])
        if not more:
            self.finish(start, set_content_type=kind)
        elif await self._stream(answer, start):
            self.finish(set_content_type=kind)

    async def _refuse(self, status: int, body: bytes) -> None:
        local = await self._is_local()
        error = explain.refusal(status, body, self._asked, local)
        if isinstance(error, Unauthenticated) and self._body and self._body.streamed:
            error.cause += " So long a body is not kept, and was not sent again with a new token."
        if status < 400:
            raise error
        self.set_status(status)
        self.finish(explain.explained(body, error))

    async def _is_local(self) -> bool:
        try:
            return (await self.upstream.health()).local
        except KfpError:
            return False

    async def _stream(self, answer: aiohttp.ClientResponse, start: bytes) -> bool:
        """Pass it on as it comes: whether to its end."""
        try:
            self.write(start)
            await asyncio.wait_for(self.flush(), READ_SECONDS)
            async for chunk in answer.content.iter_chunked(CHUNK):
                self.write(chunk)
                await asyncio.wait_for(self.flush(), READ_SECONDS)
        except FAULTS as error:
            self.log.warning("kfp-mt: %s", no_answer("KFP", self._asked, error).message)
            # It has begun: that it is not whole can be told only by the end of the connection.
            self.detach().close()
            return False
        return True

    def _note(self, status: int) -> None:
        assert self._body
        named = [value for name, value in self._query if name == "namespace"]
        namespace = (named or [self._body.namespace()])[0]
        where = f" in {namespace}" if _NAMESPACE.fullmatch(namespace) else ""
        who = "".join(filter(str.isprintable, self.current_user.username))
        took = (time.monotonic() - self._started) * 1000
        self.log.info("kfp-mt: %s: %s%s: %d, %.0f ms", who, self._asked, where, status, took)

    @property
    def _path(self) -> str:
        return str(self.request.path).partition("/kfp-mt/api")[2]

    @property
    def _query(self) -> Query:
        sent = parse_qsl(self.request.query, keep_blank_values=True)
        return [(name, value) for name, value in sent if name not in _JUPYTERS]

    @property
    def _asked(self) -> str:
        return f"{self.request.method} " + "".join(filter(str.isprintable, self._path))


async def _start(answer: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """All of a short answer, or what a long one begins with; and whether there is more."""
    start = bytearray()
    if (answer.content_length or 0) > LONGEST_WHOLE:
        return b"", True
    async for piece in answer.content.iter_any():
        start += piece
        if len(start) > LONGEST_WHOLE:
            return bytes(start), True
    return bytes(start), False


def _passed_on(answer: aiohttp.ClientResponse) -> dict[str, str]:
    """The headers of an answer that are told, and as what a browser may take its body."""
    kind = answer.content_type
    headers = {"Content-Type": "application/octet-stream", "Content-Disposition": "attachment"}
    if kind == "application/json":
        headers = {"Content-Type": kind}
    elif kind.startswith("text/"):
        headers = {"Content-Type": "text/plain; charset=utf-8"}
    if answer.content_length is not None and "Content-Encoding" not in answer.headers:
        headers["Content-Length"] = str(answer.content_length)
    if "Warning" in answer.headers:
        headers["Warning"] = answer.headers["Warning"]
    return headers
