"""The kernels' way in: a port of its own on this machine's loopback, and a key that is renewed.

A kernel has nothing to sign in with, and the Jupyter server's own port is no place for a key: it
may be a UNIX socket, demand client certificates (JupyterHub's `internal_ssl`), or be open to the
world through a proxy, where anybody who has once seen a key could use it.
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
# Headers that proxies add, besides X-Forwarded-For and the like.
_OF_PROXIES = ("Forwarded", "Via", "X-Real-Ip")


class Keys:
    """The key, in a file that only this user may read, which always holds the newest.

    It is renewed regularly, and the previous one stays valid for as long again.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / f"kfp-mt-{secrets.token_hex(8)}.key"
        self._valid: list[str] = []

    def renew(self) -> None:
        """Raises `OSError` if a new one cannot be written, and keeps the old ones."""
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
    """Answers the kernels of this server, and nobody else, at `routes`."""

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
        app.settings = serverapp.web_app.settings  # the same, also where they are changed later
        self._server = httpserver.HTTPServer(
            app, max_body_size=serverapp.max_body_size, max_buffer_size=serverapp.max_buffer_size
        )
        self._host = ""
        self._door: Door | None = None

    def open(self) -> None:
        """Pass it on to kernels that are started from now on. Raises `OSError`."""
        # JupyterHub interrupts a server. Without a terminal that ends then, and stops no extension.
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
                "Kernels come here directly: what came through a proxy is refused.",
                cure="Sign in to the Jupyter server, and ask at its own address.",
            )
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self._keys.knows(key):
            raise Forbidden(
                "This is not the key of this Jupyter server's kernels.",
                cure="Was the server started anew? Then restart this kernel.",
            )

    def _listen(self) -> tuple[str, int]:
        for address in _LOOPBACK:
            with contextlib.suppress(OSError):
                sockets = netutil.bind_sockets(0, address)
                self._server.add_sockets(sockets)
                return address, sockets[0].getsockname()[1]
        raise OSError(None, "nothing can be bound on the loopback interface")

    def _renew(self) -> None:
        try:
            self._keys.renew()
        except OSError as error:
            self._log.warning(
                "kfp-mt: the kernels' key could not be renewed in %s (%s): the old one is kept.",
                self._keys.file.parent,
                error.strerror,
            )


def _was_forwarded(headers: Mapping[str, str]) -> bool:
    return any(name in _OF_PROXIES or name.startswith("X-Forwarded-") for name in headers)
