"""The local KFP as a whole: builds its parts, starts them, and stops them."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import os
import signal
import socket
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from datetime import datetime
from types import TracebackType

from tornado.netutil import bind_sockets

from ..errors import Misconfigured
from .api.allowance import Allowance
from .api.app import application
from .api.hosts import Hosts
from .api.http_server import LONGEST_HEADERS, HttpServer
from .api.listener import Listener
from .data.data_folder import DataFolder
from .database import Database
from .execution.server.run_queue import STOPPED, RunQueue
from .machine.disk_faults import Complaints, fault
from .operations import Operations
from .pipelines.pipeline_reader import PipelineReader
from .schedules.next_time import time_zone
from .schedules.start_due_runs import RecurringRunController
from .tenants.identity import Authenticator, BearerToken, IssuedTokens, TrustedHeader
from .tenants.profiles import Profiles
from .tenants.roles import Roles

ABANDONED = (
    "the Jupyter server that had started the local KFP was stopped while this run was executing"
)

log = logging.getLogger(__name__)


class Server:
    """The server: listens inside a `with` block, and leaves no process behind."""

    def __init__(
        self,
        options: Namespace,
        folder: DataFolder,
        profiles: Profiles,
        clock: Callable[[], float] = time.time,
    ):
        self.stopped_because = STOPPED
        self._sockets = _bound(options.host, options.port)
        self.endpoint = _endpoint(options.host, self._sockets)
        key = folder.signing_key()
        self._tokens = IssuedTokens(folder.tokens, key, profiles, options.token_lifetime, clock)
        self._database = Database(folder.database)
        self._executor = RunQueue(
            self._database.runs,
            self._database.run_request,
            folder.namespaces,
            profiles.secrets,
            self._tokens.file,
            self.endpoint,
            options.max_runs or os.cpu_count() or 1,
            self._run_ended,
            profiles.config_maps,
        )
        self._controller = RecurringRunController(
            self._database.recurring_runs, self._fire, time_zone(options.time_zone), clock
        )
        roles = Roles(profiles.bindings())
        self._operations = Operations(
            self._database, roles, profiles, self._executor, self._controller, options.argo_tasks
        )
        self._complaints = Complaints(folder.path)
        identity = TrustedHeader(options.trust_userid_header, options.userid_prefix)
        token = BearerToken(key, profiles, self._replaced_late, clock)
        self._reader = PipelineReader()
        self._http = self._http_server(options, [identity, token])
        # The wall clock decides, so check often: other clocks stand still on a suspended laptop.
        self._renewal_seconds = min(60.0, options.token_lifetime / 20)
        # What is done all the while.
        self._chores: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Server:
        self._tokens.remove_strangers()
        self._tokens.renew()
        chores = self._keep_renewing(), self._database.keep_log_short()
        self._chores = [asyncio.create_task(chore) for chore in chores]
        self._executor.recover()
        self._controller.start()
        self._listener = Listener(self._sockets, self._http.handle_stream)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close()
        for chore in self._chores:
            chore.cancel()
        self._controller.close()
        self._reader.close()
        await self._http.close_all_connections()
        await self._executor.close(self.stopped_because)
        self._database.close()

    def _http_server(self, options: Namespace, authenticators: list[Authenticator]) -> HttpServer:
        server = HttpServer(
            application(
                self._operations,
                authenticators,
                self._complaints,
                pipeline_reader=self._reader,
                hosts=Hosts(options.host, options.allow_host),
                allowance=_allowance(options),
                write_timeout=options.write_timeout,
            ),
            max_header_size=LONGEST_HEADERS,
            max_body_size=sys.maxsize,
            idle_connection_timeout=options.request_timeout,
            body_timeout=options.request_timeout,
        )
        server.authenticators = authenticators
        return server

    async def _keep_renewing(self) -> None:
        # Not Tornado's PeriodicCallback, which stops for as long as the clock was set back.
        while True:
            await asyncio.sleep(self._renewal_seconds)
            try:
                self._renew()
            except Exception as error:  # Whatever it was may be fixed at the next check.
                log.error("The tokens cannot be renewed: %s", error)

    def _replaced_late(self, token: str) -> bool:
        self._renew()
        return self._tokens.replaced_late(token)

    def _renew(self) -> None:
        try:
            self._tokens.renew()
        except OSError as error:  # The next check tries again, before the old tokens expire.
            if not (found := fault(error)):
                raise
            self._complaints.say(found, f"renewal of the tokens: {error}")

    def _run_ended(self, run_id: str) -> None:
        if recurring_run_id := self._database.runs.recurring_run_id(run_id):
            self._controller.finished(recurring_run_id)

    def _fire(self, recurring_run_id: str, moment: datetime) -> None:
        self._operations.recurring_runs.fire(recurring_run_id, moment)


def _allowance(options: Namespace) -> Allowance | None:
    """Return the limit of reviews, as on a cluster; None for no limit."""
    if not options.reviews_per_second:
        return None
    return Allowance(
        options.reviews_per_second,
        options.review_burst,
        options.reviews_per_request,
        [name for name in ("Authorization", options.trust_userid_header) if name],
    )


class Stop:
    """The end of the server: after a signal or, optionally, after its last user has gone.

    It owns the reading end of the pipe that users hold open, and closes it at the end, so that
    nobody starts to use a server that is about to stop.
    """

    def __init__(self, in_use: int, *, while_used: bool, first_user_within: float = 30.0):
        self._in_use = in_use
        self._because = STOPPED
        self._event = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        for number in _signals():
            self._loop.add_signal_handler(number, self._event.set)
        if while_used:
            self._loop.add_reader(in_use, self._check_use)
            self._loop.call_later(first_user_within, self._check_use)

    async def wait(self) -> str:
        """The reason, which is reported for runs that were executing."""
        await self._event.wait()
        self._loop.remove_reader(self._in_use)
        os.close(self._in_use)
        return self._because

    def _check_use(self) -> None:
        try:
            if os.read(self._in_use, 4096):
                return  # users need not write anything, but may
        except BlockingIOError:
            return  # it has a user
        log.info("Stopping, as nobody uses this server any more")
        self._because = ABANDONED
        self._event.set()
        self._loop.remove_reader(self._in_use)


def _signals() -> list[signal.Signals]:
    """The signals that stop the server; a closed terminal's SIGHUP, unless it is ignored."""
    hangup = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN  # as with nohup
    return [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hangup else [])]


def _bound(host: str, port: int) -> list[socket.socket]:
    try:
        sockets = bind_sockets(port, host)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Misconfigured(
                f"Port {port} on {host} is in use by another program.",
                cure="Choose another with --port, or omit it to get a free one.",
            ) from error
        raise Misconfigured(
            f"Cannot listen on {host}, port {port}: {error.strerror or error}.",
            cure="Choose others with --host and --port.",
        ) from error
    addresses = [str(sock.getsockname()[0]) for sock in sockets]
    if not all(ipaddress.ip_address(address).is_loopback for address in addresses):
        log.warning("Listening on %s, although this server is meant for one machine", host)
    return sockets


def _endpoint(host: str, sockets: list[socket.socket]) -> str:
    port = sockets[0].getsockname()[1]
    reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
