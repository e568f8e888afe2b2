"""The base of all routes of the extension: who may call them, and how errors are sent."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
from jupyter_core.utils import ensure_async
from jupyter_server.auth import User
from jupyter_server.auth.utils import HTTP_METHOD_TO_AUTH_ACTION
from jupyter_server.base.handlers import APIHandler
from jupyter_server.prometheus.log_functions import prometheus_log_method
from tornado import web
from tornado.iostream import StreamClosedError

from ..errors import KfpError
from ..log_lines import LineLogger
from ..scrubbing import Scrubber
from . import fetch_metadata
from .caller_namespaces import CallerNamespaces
from .collaborators import Collaborators
from .kernel_door import KernelDoor
from .upstream import Upstream

# Bytes that are written at a time.
CHUNK = 1 << 16
# The user of requests through the kernels' door.
KERNEL = User(username="kernel", name="A kernel of this server")


class KfpHandler(APIHandler):
    """A route for signed-in users, and at `kernels`, the kernels' own door, for kernels."""

    auth_resource = "kfp_mt"
    # A panel that polls is no activity of a user: it must not keep an idle server alive.
    _track_activity = False
    # A client that reads nothing for so many seconds is considered gone.
    patience = 60.0

    def initialize(self, kernels: KernelDoor | None = None) -> None:
        self._kernels = kernels

    @property
    def collaborators(self) -> Collaborators:
        return Collaborators.of(self.settings)

    @property
    def upstream(self) -> Upstream:
        return self.collaborators.upstream

    @property
    def log(self) -> LineLogger:  # type: ignore[override]
        """Jupyter's log, in which nothing that a request carries can forge a line."""
        return LineLogger(super().log, self._scrubbed)

    def _scrubbed(self, text: str) -> str:
        """Remove this request's own credentials from a text."""
        return Scrubber.of(self.request.headers).text(text)

    @property
    def tenants(self) -> CallerNamespaces:
        return self.collaborators.tenants

    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse callers without access before any of a body is read."""
        fetch_metadata.check(self.request.headers)
        if self._kernels is None:
            await super().prepare()
        else:
            # Another site cannot make a browser send a key in a header, so no XSRF check is needed.
            self._kernels.admit(self.request)
            self.current_user = self._jupyter_current_user = KERNEL
        action = HTTP_METHOD_TO_AUTH_ACTION[str(self.request.method)]
        if self.request.method != "OPTIONS" and not await self._may(action):
            raise web.HTTPError(403)

    async def _may(self, action: str) -> bool:
        user = self.current_user
        if user is None:
            return False
        return bool(
            await ensure_async(
                self.authorizer.is_authorized(self, user, action, self.auth_resource)
            )
        )

    async def pass_on(self, piece: bytes) -> None:
        """Write it, and wait until it has been read. Raises `StreamClosedError` if nobody reads it.

        Only the part that is being sent is copied.
        """
        for begin in range(0, len(piece) or 1, CHUNK):
            self.write(piece[begin : begin + CHUNK])
            try:
                await asyncio.wait_for(self.flush(), self.patience)
            except asyncio.TimeoutError:
                self.break_off()
                raise StreamClosedError from None

    def break_off(self) -> None:
        """Close the connection, the only sign that an answer that has begun is incomplete."""
        self.detach().close()

    def compute_etag(self) -> None:
        """Compute no ETag: these answers are not worth the time."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, KfpError):
            self.set_status(error.status)
            self.finish(msgspec.json.encode(error.to_dict()))
        else:
            super().write_error(status_code, **kwargs)

    def log_exception(self, *exc_info: Any) -> None:
        """Do not log a traceback for an error that is a regular answer."""
        if not isinstance(exc_info[1], KfpError):
            super().log_exception(*exc_info)

    def _log(self) -> None:
        """Log successful requests at debug level only: the line costs time."""
        if self.get_status() >= 400 or self._debugged:
            super()._log()
        else:
            prometheus_log_method(self)

    @property
    def _debugged(self) -> bool:
        # Its logger takes everything: what is shown is the application's to say.
        level: int = getattr(self.serverapp, "log_level", logging.INFO)
        return level <= logging.DEBUG
