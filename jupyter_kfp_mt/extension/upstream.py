"""The KFP behind the door: decided on in the background, and again when it went away."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any, TypeVar

import requests

from ..client import Client
from ..connection import Connection, find_local, resolve
from ..door import Door
from ..errors import KfpError, Unreachable
from ..local_kfp import Lease, LocalKfp, running
from ..models import Health
from ..settings import Kfp
from ..status import Problem, Status

T = TypeVar("T")

THREADS = 32
STATUS_SECONDS = 2.5
CLOSE_SECONDS = 5.0


class Upstream:
    """One connection for everybody who uses this server; `key` is what its kernels show.

    The blocking client is called in threads of its own.
    """

    def __init__(self, settings: Kfp) -> None:
        self.key = secrets.token_urlsafe(32)
        self.door: Door | None = None
        self._settings = settings
        self._threads = ThreadPoolExecutor(THREADS, "kfp-mt")
        self._deciding: asyncio.Future[tuple[Connection, Client]] | None = None
        self._lease: Lease | None = None
        self._lease_lock = threading.Lock()
        self._closed = threading.Event()

    async def status(self) -> Status:
        """What there is, or what stands in the way; "not ready" while that is being found out.

        It decides anew: a namespace that was chosen elsewhere meanwhile counts from here on.
        """
        deciding = self._decided(anew=True)
        done, _ = await asyncio.wait([deciding], timeout=STATUS_SECONDS)
        if not done:
            return Status(version=version("jupyter-kfp-mt"), ready=False)
        try:
            connection, _ = deciding.result()
        except KfpError as error:
            return Status(version=version("jupyter-kfp-mt"), error=Problem.of(error))
        return await self._in_thread(connection.status)

    async def health(self) -> Health:
        """What KFP says of itself. Raises the `KfpError` that stands in the way."""
        return await self._ask(Client.health, again=True)

    async def forward(self, method: str, *request: Any) -> requests.Response:
        """Somebody's request, sent as this server's identity. See `Client.forward`."""
        return await self._ask(
            lambda client: client.forward(method, *request), again=method == "GET"
        )

    async def close(self) -> None:
        """Give back the local KFP: it stops after its last user."""
        self._closed.set()
        if self._deciding is not None:
            await asyncio.wait([self._deciding], timeout=CLOSE_SECONDS)
        if self._lease is not None:
            self._lease.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, question: Callable[[Client], T], again: bool) -> T:
        """Ask KFP; a local one that died is started, and asked `again` if that is safe."""
        connection, client = await self._decided()
        try:
            return await self._in_thread(lambda: question(client))
        except Unreachable:
            _, other = await self._decided(anew=True)
            if other is client or not (again and connection.local):
                raise
            return await self._in_thread(lambda: question(other))

    def _decided(self, anew: bool = False) -> asyncio.Future[tuple[Connection, Client]]:
        """The decision; with `anew` the next one, unless one is being made."""
        before = self._deciding
        if before is None or (before.done() and (anew or before.exception())):
            known = before.result() if before and not before.exception() else None
            self._deciding = asyncio.ensure_future(self._in_thread(lambda: self._decide(known)))
        assert self._deciding is not None
        return self._deciding

    def _decide(self, known: tuple[Connection, Client] | None) -> tuple[Connection, Client]:
        found = resolve(self._settings, self._local)
        if known and found.is_same(known[0]):
            return known
        return found, found.client()

    def _local(self) -> LocalKfp:
        if not self._settings.may_start_local():
            return find_local(self._settings)
        folder = self._settings.data_folder()
        with self._lease_lock:
            before = self._lease
            if before is not None and running(folder) == before.kfp:
                return before.kfp
            self._lease = Lease(folder, self._settings.profiles_file(), self._closed)
            if before is not None:
                before.close()  # only now: the server must not be without a user meanwhile
            return self._lease.kfp

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
