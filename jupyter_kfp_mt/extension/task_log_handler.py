"""Streams the logs of tasks."""

from __future__ import annotations

import asyncio
import base64
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tornado import web
from tornado.iostream import StreamClosedError

from .. import intervals
from ..client.task_logs import TaskLog
from ..errors import BadRequest, Conflict, KfpError
from .handlers import KfpHandler
from .proxy_handler import HARMLESS
from .upstream import Upstream

T = TypeVar("T")

# Each open log takes a thread, which mostly waits.
MOST = 64
_YES, _NO = {"1", "true", "yes"}, {"", "0", "false", "no"}


class Logs:
    """The logs that are currently being read."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._threads = ThreadPoolExecutor(MOST, "kfp-mt-logs")
        self.open_logs: set[TaskLog] = set()
        self.count = 0

    async def open(self, *asked: Any) -> TaskLog:
        """See `Client.task_log`."""
        if self.count >= MOST:
            raise Conflict(
                f"{MOST} logs are being read through this Jupyter server already.",
                cure="Stop following some of them.",
            )
        self.count += 1
        try:
            client = await self._upstream.client()
            log = await self.in_thread(lambda: client.task_log(*asked))
        except BaseException:
            self.count -= 1
            raise
        self.open_logs.add(log)
        return log

    def done(self, log: TaskLog) -> None:
        self.open_logs.discard(log)
        self.count -= 1
        log.close()

    async def in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def close(self) -> None:
        for log in self.open_logs:
            log.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Text:
    """A log as plain text, with nothing but the lines of the task."""

    kind = "text/plain; charset=utf-8"
    alive = end = b""
    goes_on = b"[The log continues. One request shows a few minutes of it: request it again.]\n"

    def lines(self, piece: bytes, cursor: str) -> bytes:
        return piece


class _Events(_Text):
    """A log as events, which can be resumed."""

    kind = "text/event-stream"
    alive, end, goes_on = b":\n\n", b"event: end\ndata: {}\n\n", b""

    def lines(self, piece: bytes, cursor: str) -> bytes:
        text = base64.b64encode(piece)
        return b"id: %s\nevent: lines\ndata: %s\n\n" % (cursor.encode(), text)


class LogsHandler(KfpHandler):
    """`GET logs/RUN_ID/TASK_ID?follow=1&tail=500&container=main`: lines of text as they arrive.

    A client that accepts `text/event-stream` gets a followed log as events: `lines` in base64 with
    an id to continue `after`, signs of life, and `end`.
    """

    _reading: TaskLog | None = None
    _gone = False

    @property
    def logs(self) -> Logs:
        return self.collaborators.logs

    def on_connection_close(self) -> None:
        """The reader has disconnected: release the thread that waits for a line."""
        self._gone = True
        if self._reading is not None:
            self._reading.close()

    @web.authenticated
    async def get(self, run_id: str, task_id: str) -> None:
        follow, tail = self._yes("follow"), self._tail()
        recent = self._yes("recent")
        container = self.get_query_argument("container", "")
        after = self.get_query_argument("after", "")
        asked = (run_id, task_id, follow, tail, container, recent, after)
        log = self._reading = await self.logs.open(*asked)
        as_events = follow and "text/event-stream" in self.request.headers.get("Accept", "")
        try:
            await self._stream(log, _Events() if as_events else _Text(), follow)
        except StreamClosedError:
            pass  # the client has disconnected
        finally:
            self.logs.done(log)

    async def _stream(self, log: TaskLog, form: _Text, follow: bool) -> None:
        for name, value in HARMLESS.items():
            self.set_header(name, value)
        self.set_header("Content-Type", form.kind)
        self.set_header("X-Accel-Buffering", "no")
        self.set_header("Kfp-Mt-Log-Source", log.source)
        if not self._gone:
            await self.pass_on(form.alive)
        life = intervals.end_of_life() if follow else math.inf
        async for said in self._said(log, form, life):
            if self._gone:
                return
            await self.pass_on(said)
        if not self._gone:
            self.finish(set_content_type=form.kind)

    async def _said(self, log: TaskLog, form: _Text, life: float) -> AsyncIterator[bytes]:
        """The log in this form, until it ends or its stream has reached its maximum age."""
        pieces = log.pieces()
        reading = asyncio.ensure_future(self._next(log, pieces))
        while (left := life - time.monotonic()) > 0:
            await asyncio.wait([reading], timeout=min(left, intervals.KEEP_ALIVE_SECONDS))
            if not reading.done():
                yield form.alive
                continue
            piece, cursor = reading.result()
            yield form.lines(piece, cursor) if piece else form.end
            if not piece:
                return
            reading = asyncio.ensure_future(self._next(log, pieces))
        yield form.goes_on

    async def _next(self, log: TaskLog, pieces: Iterator[bytes]) -> tuple[bytes, str]:
        """The next lines (none at the end), and the position after them."""

        def read() -> tuple[bytes, str]:
            return next(filter(None, pieces), b""), log.cursor

        try:
            return await self.logs.in_thread(read)
        except KfpError as error:
            # A response that has begun can report an error only in its body.
            return self._ended(error), log.cursor

    def _ended(self, error: KfpError) -> bytes:
        return f"[The log ends here. {error.message} {error.cause}".rstrip().encode() + b"]\n"

    def _yes(self, name: str) -> bool:
        said = self.get_query_argument(name, "").lower()
        if said not in _YES | _NO:
            raise BadRequest(f"{name}={said} must be 1 or 0.")
        return said in _YES

    def _tail(self) -> int | None:
        said = self.get_query_argument("tail", "")
        if said and not (said.isascii() and said.isdigit() and len(said) < 10):
            raise BadRequest(f"tail={said} is not a number of lines.")
        return int(said) if said else None
