"""The logs of tasks, streamed to whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tornado import web
from tornado.iostream import StreamClosedError

from ..errors import BadRequest, Conflict, KfpError
from ..task_logs import TaskLog
from .handlers import KfpHandler
from .proxy import HARMLESS
from .upstream import Upstream

T = TypeVar("T")

# Each takes a thread, which mostly waits.
MOST = 64
_YES, _NO = {"1", "true", "yes"}, {"", "0", "false", "no"}


class Logs:
    """Those that are being read now."""

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


class LogsHandler(KfpHandler):
    """`GET logs/RUN_ID/TASK_ID?follow=1&tail=500&container=main`: lines of text, as they come."""

    _reading: TaskLog | None = None
    _gone = False

    @property
    def logs(self) -> Logs:
        logs: Logs = self.settings["kfp_mt_logs"]
        return logs

    def on_connection_close(self) -> None:
        """Whoever read it went away: the thread that waits for a line waits no more."""
        self._gone = True
        if self._reading is not None:
            self._reading.close()

    @web.authenticated
    async def get(self, run_id: str, task_id: str) -> None:
        follow, tail = self._yes("follow"), self._tail()
        recent = self._yes("recent")
        container = self.get_query_argument("container", "")
        log = self._reading = await self.logs.open(
            *(run_id, task_id, follow, tail, container, recent)
        )
        try:
            await self._stream(log)
        except StreamClosedError:
            pass  # nobody is there any more
        finally:
            self.logs.done(log)

    async def _stream(self, log: TaskLog) -> None:
        for name, value in HARMLESS.items():
            self.set_header(name, value)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Kfp-Mt-Log-Source", log.source)
        if not self._gone:
            await self.pass_on(b"")
        pieces = log.pieces()
        while not self._gone and (piece := await self._next(pieces)):
            await self.pass_on(piece)
        if not self._gone:
            self.finish(set_content_type="text/plain; charset=utf-8")

    async def _next(self, pieces: Any) -> bytes:
        try:
            return await self.logs.in_thread(lambda: next(filter(None, pieces), b""))
        except KfpError as error:
            # What has begun can tell of it only so.
            return self._ended(error)

    def _ended(self, error: KfpError) -> bytes:
        return f"[The log ends here. {error.message} {error.cause}".rstrip().encode() + b"]\n"

    def _yes(self, name: str) -> bool:
        said = self.get_query_argument(name, "").lower()
        if said not in _YES | _NO:
            raise BadRequest(f"{name}={said} is neither 1 nor 0.")
        return said in _YES

    def _tail(self) -> int | None:
        said = self.get_query_argument("tail", "")
        if said and not (said.isascii() and said.isdigit() and len(said) < 10):
            raise BadRequest(f"tail={said} is no number of lines.")
        return int(said) if said else None
