"""The forwarded KFP API: a request to the door, and KFP's response."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from tornado import web
from tornado.escape import utf8
from tornado.iostream import StreamClosedError

from .. import refusal_causes
from ..attempts import attempting
from ..client import refused_uploads, releases, upload_reader
from ..errors import BadRequest, Conflict, KfpError, Unauthenticated, Unreachable
from ..intervals import READ_SECONDS
from ..other_servers import is_html, page
from ..resource_names import is_namespace
from .allowed_requests import checked, is_for_local, is_upload
from .handlers import KfpHandler
from .kfp_response import KfpResponse, no_answer
from .own_changes import OwnChange
from .request_body import LONGEST_UPLOAD, Body, Held
from .send_to_kfp import KfpRequest, Query
from .shared_answers import Whole, is_name, is_shared
from .unread_body import closed

# Query parameters for the Jupyter server, which are not passed on to KFP.
_JUPYTERS = {"token", "_xsrf", "no_track_activity"}
_CHANGES = {"POST", "PATCH", "DELETE"}
# A request answered with one of these has changed nothing.
_UNCHANGED = {400, 401, 403}
_CONTENT_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+( *; *[\w-]+=(\"[^\"\\]*\"|[^\s\";]+))*", re.ASCII)
# A browser must never run a response of KFP's as a page of the Jupyter server.
HARMLESS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@web.stream_request_body
class ProxyHandler(KfpHandler):
    """`<base_url>/kfp-mt/api/apis/...`: the KFP API, with this server's identity.

    The request to KFP is built from the method, path, query and body alone; the only header taken
    from the browser is the content type. A long body is forwarded while it arrives.
    """

    patience = READ_SECONDS
    _body: Body | None = None
    _working: asyncio.Task[Any] | None = None
    _gone = False
    _admitted = False
    _told: Whole | None = None

    async def prepare(self) -> None:  # type: ignore[override]
        self._started = time.monotonic()
        await super().prepare()
        kind = Held if self.request.method == "POST" and is_upload(self._path) else Body
        body = kind(self.request.headers)
        assert self.serverapp
        body.check(self.serverapp.max_body_size)
        self._admitted = True
        if self.request.method in _CHANGES:
            self._body = body
            if body.streamed:
                self._working = asyncio.ensure_future(self._ask())
                self._working.add_done_callback(lambda _: body.stop())
                body.given_up = self._working.cancel

    def finish(self, *chunk: Any, **options: Any) -> asyncio.Future[Any]:
        """Send the response. If it comes before the body is read, the connection is closed.

        Otherwise a proxy that keeps connections could send another user's request on this one.
        """
        if self._admitted:
            return super().finish(*chunk, **options)
        self.set_header("Connection", "close")
        unread = Body(self.request.headers)
        if not unread.comes:
            return super().finish(*chunk, **options)
        said = b"".join(map(utf8, chunk))
        self.set_header("Content-Type", "application/json")
        self.set_header("Content-Length", len(said))
        self.write(said)
        sent = self.flush()
        self._log()
        asyncio.ensure_future(closed(self.detach(), unread.known_length))
        return sent

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._body.add(chunk) if self._body else None

    def on_finish(self) -> None:
        if self._body:
            self._body.close()

    def on_connection_close(self) -> None:
        """The caller has disconnected: cancel the request to KFP."""
        self._gone = True
        working = self._working
        if self._body and working is None:
            self._body.close()
        if working and not working.cancel() and not working.cancelled():
            # KFP responded before the whole body had arrived.
            answer = None if working.exception() else working.result()
            if isinstance(answer, KfpResponse):
                answer.close()

    @web.authenticated
    async def get(self, *_: str) -> None:
        """Forward a GET; identical concurrent ones share one response."""
        if not is_shared(self._path):
            await self._forward()
            return
        shared = self.collaborators.shared_answers
        key = (await self.upstream.identity(), self.request.path, self.request.query)
        if told := await shared.answer(key):
            self._give(told)
            return
        asking = shared.asking(key)
        try:
            await self._forward()
        finally:
            shared.tell(key, asking, self._told, keep=is_name(self._path))

    def _give(self, told: Whole) -> None:
        for name, value in (HARMLESS | told.headers).items():
            self.set_header(name, value)
        self.finish(told.body or None, set_content_type=told.headers["Content-Type"])

    @web.authenticated
    async def post(self, *_: str) -> None:
        """Forward a change, and log its author."""
        where = "" if self.upstream.read_only else await self._where()
        if self._gone and self._working is None:
            return  # it never reached KFP
        status = 499  # nginx's status for a client that disconnected early
        try:
            await self._forward()
            status = status if self._gone else self.get_status()
        except KfpError as error:
            status = error.status
            raise
        finally:
            self._note(where, status)
            self._tell_others(where, status)

    patch = delete = post

    def _tell_others(self, where: str, status: int) -> None:
        """Report the change to listeners and drop shared responses, unless it was refused."""
        if status in _UNCHANGED:
            return
        self.collaborators.shared_answers.forget()
        change = None
        if self._told:
            change = OwnChange.of(str(self.request.method), self._path, self._told.body)
        self.collaborators.events.changed(where, self._path, change)

    async def _forward(self) -> None:
        try:
            with attempting(self._asked), contextlib.closing(await self._answer()) as answer:
                await self._relay(answer)
        except StreamClosedError:
            self._gone = True
        except asyncio.CancelledError:
            if not self._gone:
                raise
        finally:
            # Break the cycle of task and handler, so that both are freed without the garbage
            # collector.
            self._working = None

    async def _answer(self) -> KfpResponse:
        if self._working is None:
            self._working = asyncio.current_task()
            return await self._ask()
        assert self._body
        await self._body.end()
        try:
            answer: KfpResponse = await self._working
        except asyncio.CancelledError:
            if not self._body.stuck:
                raise
            raise no_answer("KFP", asyncio.TimeoutError()) from None
        self._working = asyncio.current_task()
        return answer

    async def _ask(self) -> KfpResponse:
        """Return KFP's response. Raises a `KfpError` for a request that is not allowed."""
        return await self.upstream.forward(await self._request())

    async def _request(self) -> KfpRequest:
        local = is_for_local(self._path) and (await self.upstream.health()).local
        query = self._query
        path = checked(self._path, query, local)
        body = self._body
        if body is None:
            return KfpRequest("GET", path, query)
        if self.upstream.read_only:
            raise refusal_causes.read_only()
        kind = self.request.headers.get("Content-Type", "")
        if kind and not _CONTENT_TYPE.fullmatch(kind):
            raise BadRequest(reason="its Content-Type is not one.")
        if isinstance(body, Held) and kind.startswith("multipart/form-data"):
            await self._read(kind, body)
        content = body.content()
        return KfpRequest(str(self.request.method), path, query, content, kind, body.length)

    async def _read(self, kind: str, body: Held) -> None:
        """Refuse a file that is not a pipeline before KFP has to parse it."""
        body.check_size(body.size, LONGEST_UPLOAD)
        if await self._is_local():  # the local KFP does the same itself
            return
        async with self.collaborators.reading:
            fault = await asyncio.to_thread(upload_reader.fault, kind, body.file)
        if fault:
            raise fault

    async def _relay(self, answer: KfpResponse) -> None:
        start, more = await answer.start()
        self.tenants.heard(str(self.request.method), self._path, self._query, answer.status, start)
        if answer.status >= 300:
            await self._refuse(answer, start)
            return
        if answer.content_type == "text/html" or is_html(start):
            text = refusal_causes.server_text(start)
            raise answer.explained(page(answer.status, text, answer.at))
        self.set_status(answer.status)
        headers = answer.headers()
        for name, value in (HARMLESS | headers).items():
            self.set_header(name, value)
        if not more:
            self._told = Whole(headers, start) if answer.status == 200 else None
            self.finish(start or None, set_content_type=headers["Content-Type"])
        elif await self._stream(start, answer):
            self.finish(set_content_type=headers["Content-Type"])

    async def _refuse(self, answer: KfpResponse, body: bytes) -> None:
        local = await self._is_local()
        error = answer.explained(refusal_causes.refusal(answer.status, body, local, answer.at))
        status = answer.status
        silent = refused_uploads.is_silent(error)
        if silent:
            error = await self._refused_upload(error)
            status = error.status
        if releases.is_unread(error):
            error = await self._unread(error)
        may_be_token = isinstance(error, Unauthenticated) or (silent and status == 400)
        if may_be_token and self._body and not self._body.repeatable:
            unsent = (
                " A body of this length is not kept, so it was not sent again with a new token."
            )
            error = error.with_(cause=error.cause + unsent)
        if (
            answer.status < 400 or answer.status == 407
        ):  # a browser would take it for its own proxy's
            raise error
        self.set_status(status)
        self.finish(refusal_causes.explained(body, error.with_(attempt=self._asked)))

    async def _refused_upload(self, error: KfpError) -> KfpError:
        """Add the reason for a refused upload, which KFP does not give. See `refused_uploads`."""
        namespace = await self._where()
        if not isinstance(error, Conflict):
            query = [("namespace", namespace), ("page_size", "1")]
            asked = KfpRequest("GET", "/apis/v2beta1/pipelines", query)
            with contextlib.closing(await self.upstream.forward(asked)) as answer:
                body, _ = await answer.start()
            if answer.status >= 300:
                return answer.explained(refusal_causes.refusal(answer.status, body))
        user, allowed = await self.tenants.may_create_pipelines(namespace)
        return refused_uploads.told(error, namespace, user, lambda: allowed)

    async def _unread(self, error: KfpError) -> KfpError:
        """Add both releases to an error if a newer kfp compiled the pipeline."""
        content = self._body.content() if self._body else b""
        if not isinstance(content, bytes):  # a long body was not kept
            return error
        pipeline = await asyncio.to_thread(releases.sent, content)
        return releases.told(error, pipeline, await self.upstream.health())

    async def _is_local(self) -> bool:
        try:
            return (await self.upstream.health()).local
        except KfpError:
            return False

    async def _stream(self, start: bytes, answer: KfpResponse) -> bool:
        """Stream a response; return whether it was complete."""
        try:
            await self.pass_on(start)
            async for piece in answer.rest():
                await self.pass_on(piece)
        except Unreachable as error:
            self.log.warning("kfp-mt: the response to %s broke off: %s", self._asked, error.reason)
            self.break_off()
            return False
        return True

    async def _where(self) -> str:
        """Return the namespace of a change; empty if unknown."""
        assert self._body
        known = self.collaborators.namespace_of_request
        return await known.of_change(self._path, self._query, self._body.kept)

    def _note(self, namespace: str, status: int) -> None:
        where = f" in {namespace}" if is_namespace(namespace) else ""
        who = "".join(filter(str.isprintable, self.current_user.username))
        took = (time.monotonic() - self._started) * 1000
        self.log.info("kfp-mt: %s: %s%s: %d, %.0f ms", who, self._asked, where, status, took)

    @cached_property
    def _path(self) -> str:
        return str(self.request.path).partition("/kfp-mt/api")[2]

    @cached_property
    def _query(self) -> Query:
        sent = parse_qsl(self.request.query, keep_blank_values=True)
        return [(name, value) for name, value in sent if name not in _JUPYTERS]

    @property
    def _asked(self) -> str:
        return f"{self.request.method} " + "".join(filter(str.isprintable, self._path))
