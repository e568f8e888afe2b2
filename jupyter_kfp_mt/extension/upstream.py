"""The KFP behind the door: chosen in the background, and again after it has stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import TypeVar

import msgspec

from .. import intervals
from ..attempts import attempting
from ..client.client import Client
from ..connection.choose_connection import find_local, resolve
from ..connection.connections import DirectConnection
from ..connection.local_kfp import LocalKfp, LocalKfpUse, running
from ..connection.status import ConnectionStatus, Problem
from ..credentials import TokenFile
from ..doctor import run_checks
from ..doctor.check_results import CheckReport
from ..errors import KfpError, Unreachable
from ..models import Health
from ..release import RELEASE
from ..settings import Kfp
from .kfp_response import KfpResponse
from .send_to_kfp import Destination, KfpRequest, Sender

T = TypeVar("T")

THREADS = 32
STATUS_SECONDS = intervals.STATUS_SECONDS
LOOK_SECONDS = intervals.LOOK_SECONDS
CLOSE_SECONDS = intervals.CLOSE_SECONDS


class _Decision(msgspec.Struct, frozen=True):
    """The connection, with its clients for threads and for the event loop.

    `default_namespace` applies if no namespace is chosen.
    """

    connection: DirectConnection
    default_namespace: str
    client: Client
    destination: Destination


class Upstream:
    """The connection that all users of this server share.

    Users' requests are sent from the event loop; our own few requests use the blocking client in
    threads. `identity` gives a connection the identity that was chosen in this server, and `chosen`
    the namespace.
    """

    def __init__(
        self,
        settings: Kfp,
        chosen: Callable[[DirectConnection], DirectConnection] = lambda found: found,
        identity: Callable[[DirectConnection], DirectConnection] = lambda found: found,
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._chosen = chosen
        self._threads = ThreadPoolExecutor(THREADS, "kfp-mt")
        self._sender = Sender()
        self._deciding: asyncio.Future[_Decision] | None = None
        self._known: tuple[Client, Health] | None = None
        self._lease: LocalKfpUse | None = None
        self._lease_lock = threading.Lock()
        self._closed = threading.Event()

    async def status(self) -> ConnectionStatus:
        """Return the status of the connection, or its error; "not ready" while it is being chosen.

        The choice is made again, so that a namespace chosen elsewhere takes effect.
        """
        deciding = self._decided(refresh=True)
        done, _ = await asyncio.wait([deciding], timeout=STATUS_SECONDS)
        if not done:
            return ConnectionStatus(version=RELEASE, ready=False)
        try:
            decision = deciding.result()
        except KfpError as error:
            return ConnectionStatus(version=RELEASE, error=Problem.of(error))
        looking = self._in_thread(decision.connection.status)
        await asyncio.wait([looking], timeout=LOOK_SECONDS)
        if not looking.done():
            return ConnectionStatus(version=RELEASE, ready=False)
        default = decision.default_namespace
        return msgspec.structs.replace(looking.result(), default_namespace=default)

    @property
    def read_only(self) -> bool:
        """Return True if requests that change something are refused."""
        return self._settings.is_read_only()

    @property
    def believes_userid(self) -> bool:
        """Return True if the header `kubeflow-userid` of a request names the signed-in user."""
        return self._settings.believes_userid()

    async def examined(self, namespace: str, apart: bool, others: tuple[str, ...]) -> CheckReport:
        """Return the doctor's report, as seen from this server."""
        loop = asyncio.get_running_loop()

        def decide() -> DirectConnection:
            decision = asyncio.run_coroutine_threadsafe(self._decision(refresh=True), loop)
            return decision.result().connection

        look = partial(run_checks.look, decide, self._settings, namespace, apart, others)
        return await asyncio.to_thread(look)

    async def health(self) -> Health:
        """Return KFP's own health report. Raises a `KfpError` if it cannot be reached."""
        decision = await self._decision()
        if self._known is None or self._known[0] is not decision.client:
            health = await self.ask(lambda client: client.health())
            self._known = (decision.client, health)
        return self._known[1]

    async def identity(self) -> Hashable:
        """A key of KFP's endpoint and our identity, which changes with either."""
        return await (await self._decision()).destination.identity()

    async def connection(self, refresh: bool = False) -> tuple[DirectConnection, str]:
        """Return the connection, and its default namespace.

        `refresh`: apply a namespace chosen in the meantime. Raises a `KfpError` if there is no
        connection.
        """
        decision = await self._decision(refresh)
        return decision.connection, decision.default_namespace

    async def client(self) -> Client:
        """The client for our own requests. Raises a `KfpError` if there is no connection."""
        return (await self._decision()).client

    async def forward(self, request: KfpRequest) -> KfpResponse:
        """Send a user's request with this server's identity. See `Sender.send`."""
        with attempting(str(request)):
            return await self._ask(
                lambda found: self._sender.send(found.destination, request),
                again=request.method == "GET",
                repeatable=request.repeatable,
            )

    async def ask(self, question: Callable[[Client], T]) -> T:
        """Run a read-only request of our own in a thread."""
        return await self._ask(
            lambda found: self._in_thread(lambda: question(found.client)), again=True
        )

    async def is_executing(self) -> bool:
        """Return True if a local KFP that stops with this server has unfinished runs."""
        lease = self._lease
        if lease is None or not lease.kfp.while_used:
            return False
        return await self._in_thread(lambda: _has_unfinished_runs(lease.kfp))

    async def close(self) -> None:
        """Release the local KFP, which stops after its last user."""
        self._closed.set()
        if self._deciding is not None:
            await asyncio.wait([self._deciding], timeout=CLOSE_SECONDS)
        if self._lease is not None:
            self._lease.close()
        await self._sender.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(
        self,
        question: Callable[[_Decision], Awaitable[T]],
        again: bool,
        repeatable: bool = True,
    ) -> T:
        """Call KFP; a local one that has died is restarted, and called again if that is safe.

        That is so if `again`, for read-only calls, and for any that certainly did not arrive.
        """
        before = await self._decision()
        try:
            return await question(before)
        except Unreachable as error:
            after = await self._decision(refresh=True)
            if after is before or not before.connection.local:
                raise
            if repeatable and (again or not error.sent):
                return await question(after)
            raise _ended_meanwhile(error) from None

    async def _decision(self, refresh: bool = False) -> _Decision:
        # Shielded: if one caller disconnects, the others keep waiting.
        return await asyncio.shield(self._decided(refresh))

    def _decided(self, refresh: bool = False) -> asyncio.Future[_Decision]:
        """The decision; with `refresh` the next one, unless one is in progress."""
        before = self._deciding
        if before is None or (before.done() and (refresh or before.exception())):
            known = before.result() if before and not before.exception() else None
            self._deciding = self._in_thread(lambda: self._decide(known))
        assert self._deciding is not None
        return self._deciding

    def _decide(self, known: _Decision | None) -> _Decision:
        decided = self._identity(resolve(self._settings, self._local))
        found = self._chosen(decided)
        if known and found.is_same(known.connection):
            return known
        destination = Destination(found.endpoint, found.credentials, self._threads)
        return _Decision(found, decided.namespace, found.client(), destination)

    def _local(self) -> LocalKfp:
        if not self._settings.may_start_local():
            return find_local(self._settings)
        folder = self._settings.data_folder()
        with self._lease_lock:
            before = self._lease
            if before is not None and running(folder) == before.kfp:
                return before.kfp
            self._lease = LocalKfpUse(folder, self._settings.profiles_file(), self._closed)
            if before is not None:
                before.close()  # only now, so that the server always has a user
            return self._lease.kfp

    def _in_thread(self, call: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, call)


def _has_unfinished_runs(kfp: LocalKfp) -> bool:
    """Return True if any namespace has unfinished runs; False if KFP cannot be asked."""
    for namespace in kfp.namespaces:
        try:
            credentials = TokenFile(kfp.token_file(f"{namespace}/default-viewer"))
            with closing(Client(kfp.endpoint, credentials, namespace)) as client:
                if next(client.unfinished_runs(page_size=1), None):
                    return True
        except KfpError:
            continue
    return False


def _ended_meanwhile(error: Unreachable) -> Unreachable:
    """Return the error for a change to which the local KFP did not respond before it died."""
    return error.with_(
        cause="The local KFP had stopped, and has been restarted.",
        cure="Check whether the change was made, and try again if it was not."
        if error.sent
        else "The change was not made: try again.",
    )
