"""The base class of the extension's handlers: access control, and responses to errors."""

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

from .. import intervals
from ..errors import KfpError
from ..log_lines import LineLogger
from ..scrubbing import Scrubber
from . import fetch_metadata
from .caller_namespaces import CallerNamespaces
from .collaborators import Collaborators
from .kernel_door import KernelDoor
from .upstream import Upstream

# How many bytes are written at a time.
CHUNK = 1 << 16
# The user name for requests through the kernels' door.
KERNEL = User(username="kernel", name="A kernel of this server")


class KfpHandler(APIHandler):
    """A route for signed-in users and, at the door `kernels`, for kernels."""

    auth_resource = "kfp_mt"
    # A polling panel is not user activity: it must not keep an idle server alive.
    _track_activity = False
    # A client that reads nothing for this many seconds counts as disconnected.
    patience = intervals.UNREAD_SECONDS

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
        """Jupyter's log, protected from lines forged by the content of a request."""
        return LineLogger(super().log, self._scrubbed)

    def _scrubbed(self, text: str) -> str:
        """Remove this request's own credentials from a text."""
        return Scrubber.of(self.request.headers).text(text)

    @property
    def tenants(self) -> CallerNamespaces:
        return self.collaborators.tenants

    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse callers without access before the body is read."""
        fetch_metadata.check(self.request.headers)
        if self._kernels is None:
            await super().prepare()
        else:
            # No other site can make a browser send a key in a header, so no XSRF check is needed.
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
        """Write data, and wait until it has been read. Raises `StreamClosedError` if it is not.

        Only the part being sent is copied.
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
        """Compute no ETag: it would cost more than it saves."""

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
        # The extension's logger has no level of its own: the application's decides.
        level: int = getattr(self.serverapp, "log_level", logging.INFO)
        return level <= logging.DEBUG
