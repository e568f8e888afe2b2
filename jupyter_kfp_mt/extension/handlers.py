"""The base of every route of the extension: who may ask, and how an error is told."""

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

# What is written at a time.
CHUNK = 1 << 16
# Who a request through the kernels' door comes from.
KERNEL = User(username="kernel", name="A kernel of this server")


class KfpHandler(APIHandler):
    """A route for whoever is signed in, and at `kernels`, their own door, for kernels."""

    auth_resource = "kfp_mt"
    # A panel that looks now and then is nobody at work: it must not keep an idle server alive.
    _track_activity = False
    # A reader that takes nothing for so many seconds is gone.
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
        """A text without what this request was sent with to say who asks."""
        return Scrubber.of(self.request.headers).text(text)

    @property
    def tenants(self) -> CallerNamespaces:
        return self.collaborators.tenants

    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse who may not ask, before anything of a body is read."""
        fetch_metadata.check(self.request.headers)
        if self._kernels is None:
            await super().prepare()
        else:
            # A key in a header is not something that another site can make a browser send.
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
        """Write it, and wait until it is taken. Raises `StreamClosedError` if nobody reads it.

        Of a long one no more is copied than what is on its way.
        """
        for begin in range(0, len(piece) or 1, CHUNK):
            self.write(piece[begin : begin + CHUNK])
            try:
                await asyncio.wait_for(self.flush(), self.patience)
            except asyncio.TimeoutError:
                self.break_off()
                raise StreamClosedError from None

    def break_off(self) -> None:
        """End the connection: what has begun can tell only so that it is not whole."""
        self.detach().close()

    def compute_etag(self) -> None:
        """None: what is here now is not worth the time to compare."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, KfpError):
            self.set_status(error.status)
            self.finish(msgspec.json.encode(error.to_dict()))
        else:
            super().write_error(status_code, **kwargs)

    def log_exception(self, *exc_info: Any) -> None:
        """An error that is part of the answer is no fault of this server."""
        if not isinstance(exc_info[1], KfpError):
            super().log_exception(*exc_info)

    def _log(self) -> None:
        """Log what went well only where it is debugged: the line costs its time."""
        if self.get_status() >= 400 or self._debugged:
            super()._log()
        else:
            prometheus_log_method(self)

    @property
    def _debugged(self) -> bool:
        # Its logger takes everything: what is shown is the application's to say.
        level: int = getattr(self.serverapp, "log_level", logging.INFO)
        return level <= logging.DEBUG
