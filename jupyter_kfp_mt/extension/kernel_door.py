"""The kernels' door: a loopback port of its own, protected by a key that is renewed.

A kernel has no credentials for the Jupyter server, and a key would not be safe at the server's own
port: that may be a UNIX socket, demand client certificates (JupyterHub's `internal_ssl`), or be
open to the world through a proxy, where anybody who has once seen the key could use it.
"""

from __future__ import annotations

import atexit
import contextlib
import hmac
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tornado import httpserver, netutil, web
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import PeriodicCallback

from .. import intervals
from ..connection.door_client import Door
from ..errors import Forbidden

RENEW_SECONDS = intervals.KEY_SECONDS
_LOOPBACK = ("127.0.0.1", "::1")
# Headers added by proxies, in addition to X-Forwarded-For and the like.
_OF_PROXIES = ("Forwarded", "Via", "X-Real-Ip")


class Keys:
    """The kernels' keys: the newest in a file that only this user can read, and the previous one.

    The key is renewed regularly; the previous one stays valid for one more period.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / f"kfp-mt-{secrets.token_hex(8)}.key"
        self._valid: list[str] = []

    def renew(self) -> None:
        """Make a new key. Raises `OSError`, and keeps the old ones, if it cannot be written."""
        key, unseen = secrets.token_urlsafe(32), self.file.with_suffix(".new")
        with open(os.open(unseen, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(key)
        unseen.replace(self.file)
        self._valid = [key, *self._valid[:1]]

    def knows(self, key: str) -> bool:
        sent = key.encode("utf-8", "replace")
        return any([hmac.compare_digest(sent, valid.encode()) for valid in self._valid])

    def forget(self) -> None:
        self._valid = []
        for path in (self.file, self.file.with_suffix(".new")):
            with contextlib.suppress(OSError):
                path.unlink()


class KernelDoor:
    """Serves `routes` to the kernels of this server, and to nobody else."""

    def __init__(
        self, serverapp: Any, routes: Sequence[tuple[str, type[web.RequestHandler]]]
    ) -> None:
        self._log = serverapp.log
        self._keys = Keys(Path(serverapp.runtime_dir))
        self._renewing = PeriodicCallback(self._renew, RENEW_SECONDS * 1000)
        nothing_else = (".*", web.ErrorHandler, {"status_code": 404})
        app = web.Application(
            [*((path, kind, {"kernels": self}) for path, kind in routes), nothing_else]
        )
        app.settings = serverapp.web_app.settings  # the same object, so that later changes apply
        self._server = httpserver.HTTPServer(
            app, max_body_size=serverapp.max_body_size, max_buffer_size=serverapp.max_buffer_size
        )
        self._host = ""
        self._door: Door | None = None

    def open(self) -> None:
        """Listen, and tell new kernels the address through their environment. Raises `OSError`."""
        # JupyterHub stops servers with SIGINT; without a terminal a server then ends at once,
        # without stopping its extensions.
        atexit.register(self._keys.forget)
        self._keys.renew()
        address, port = self._listen()
        self._host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        self._renewing.start()
        self._door = Door(f"http://{self._host}/kfp-mt", str(self._keys.file))
        self._door.open()

    async def close(self) -> None:
        if self._door:
            self._door.shut()
        self._renewing.stop()
        self._keys.forget()
        atexit.unregister(self._keys.forget)
        self._server.stop()
        await self._server.close_all_connections()

    def admit(self, request: HTTPServerRequest) -> None:
        """Raises `Forbidden` for a caller that is not a kernel on this machine, or has no valid
        key.
        """
        if request.host != self._host or _was_forwarded(request.headers):
            raise Forbidden(
                "This address is for kernels alone; requests through a proxy are refused.",
                cure="Sign in to the Jupyter server, and use its own address.",
            )
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self._keys.knows(key):
            raise Forbidden(
                "The key of this kernel is not valid at this Jupyter server.",
                cure="If the server was restarted, restart this kernel.",
            )

    def _listen(self) -> tuple[str, int]:
        for address in _LOOPBACK:
            with contextlib.suppress(OSError):
                sockets = netutil.bind_sockets(0, address)
                self._server.add_sockets(sockets)
                return address, sockets[0].getsockname()[1]
        raise OSError(None, "no port on the loopback interface can be used")

    def _renew(self) -> None:
        try:
            self._keys.renew()
        except OSError as error:
            self._log.warning(
                "kfp-mt: could not renew the kernels' key in %s (%s); the old one stays valid.",
                self._keys.file.parent,
                error.strerror,
            )


def _was_forwarded(headers: Mapping[str, str]) -> bool:
    return any(name in _OF_PROXIES or name.startswith("X-Forwarded-") for name in headers)
