"""The KFP behind the door: decided on in the background, and again when it went away."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any, TypeVar

import requests

from ..client import Client
from ..connection import Connection, Problem, Status, resolve
from ..errors import KfpError, Misconfigured, Unreachable
from ..local_kfp import Lease, LocalKfp
from ..models import Health
from ..settings import Kfp

T = TypeVar("T")

THREADS = 32
STATUS_SECONDS = 2.5


class Upstream:
    """One connection for everybody who uses this server; `key` is what its kernels show.

    The blocking client is called in threads of its own.
    """

    def __init__(self, settings: Kfp) -> None:
        self.key = secrets.token_urlsafe(32)
        self._settings = settings
        self._threads = ThreadPoolExecutor(THREADS, "kfp-mt")
        self._lease: Lease | None = None
        self._deciding: asyncio.Future[tuple[Connection, Client]] | None = None

    async def status(self) -> Status:
        """What there is, or what stands in the way; "not ready" while that is being found out."""
        deciding = self._decided()
        done, _ = await asyncio.wait([deciding], timeout=STATUS_SECONDS)
        if not done:
            return Status(version=version("jupyter-kfp-mt"), ready=False)
        try:
            connection, _ = deciding.result()
        except KfpError as error:
            return Status(version=version("jupyter-kfp-mt"), error=Problem.of(error))
        status = await self._in_thread(connection.status)
        if status.error:
            self.forget()
        return status

    async def health(self) -> Health:
        """What KFP says of itself. Raises the `KfpError` that stands in the way."""
        return await self._ask(Client.health)

    async def forward(self, *request: Any) -> requests.Response:
        """Somebody's request, sent as this server's identity. See `Client.forward`."""
        return await self._ask(lambda client: client.forward(*request))

    async def _ask(self, question: Callable[[Client], T]) -> T:
        _, client = await self._decided()
        try:
            return await self._in_thread(lambda: question(client))
        except Unreachable:
            self.forget()
            raise

    def forget(self) -> None:
        """Decide anew at the next request: a local KFP that died is started again then."""
        if self._deciding is not None and self._deciding.done():
            self._deciding = None

    async def close(self) -> None:
        """Give back the local KFP: it stops after its last user."""
        if self._deciding is not None:
            await asyncio.wait([self._deciding])
        if self._lease is not None:
            self._lease.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _decided(self) -> asyncio.Future[tuple[Connection, Client]]:
        if self._deciding is None or (self._deciding.done() and self._deciding.exception()):
            self._deciding = asyncio.ensure_future(self._in_thread(self._decide))
        return self._deciding

    def _decide(self) -> tuple[Connection, Client]:
        connection = resolve(self._settings, self._local)
        return connection, connection.client()

    def _local(self) -> LocalKfp:
        if not self._settings.may_start_local():
            raise Misconfigured(
                "No KFP is configured, and the local KFP is switched off.",
                cure="Name one in c.Kfp.endpoint or KF_PIPELINES_ENDPOINT.",
            )
        if self._lease is not None:
            self._lease.close()
        self._lease = Lease(self._settings.data_folder(), self._settings.profiles_file())
        return self._lease.kfp

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
