"""The Jupyter server extension: configuration in, collaborators and routes out."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from jupyter_server.extension.application import ExtensionApp

from ..log_lines import one_line
from ..settings import Kfp
from .activity import Activity
from .event_stream import Events
from .kernels import KernelDoor
from .logs import Logs
from .routes import routes
from .tenants import Tenants
from .upstream import Upstream
from .whereabouts import Whereabouts

UPLOADS_READ_AT_ONCE = 2


class KfpExtension(Kfp, ExtensionApp):
    """The one authenticated door to KFP for kernels and browser."""

    name = "kfp_mt"
    kernels: KernelDoor | None = None
    activity: Activity | None = None

    def initialize_settings(self) -> None:
        self.upstream = Upstream(self)
        self.events = Events(self.upstream.ask)
        self.settings["kfp_mt"] = self.upstream
        self.tenants = Tenants(self, self.upstream)
        self.settings["kfp_mt_tenants"] = self.tenants
        self.logs = Logs(self.upstream)
        self.settings["kfp_mt_logs"] = self.logs
        self.settings["kfp_mt_reading"] = asyncio.Semaphore(UPLOADS_READ_AT_ONCE)
        self.settings["kfp_mt_events"] = self.events
        self.settings["kfp_mt_whereabouts"] = Whereabouts(self.upstream.ask)

    def initialize_handlers(self) -> None:
        self.handlers.extend(routes)

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        self.kernels = KernelDoor(serverapp, routes)
        try:
            self.kernels.open()
        except OSError as error:
            self.log.warning(
                "kfp-mt: kernels cannot ask this server, and have to find KFP themselves: %s", error
            )
        self.activity = Activity(serverapp.web_app.settings, self.upstream.is_executing)
        # While it is decided which KFP there is, what requests will be sent with is loaded.
        loading = asyncio.to_thread(import_module, "aiohttp")
        status, _ = await asyncio.gather(self.upstream.status(), loading)
        if status.error:
            self.log.warning("kfp-mt: %s", one_line(status.error.message))

    def current_activity(self) -> bool | None:
        """Tell whether this server must not be stopped for being idle."""
        return self.activity.current if self.activity else None

    async def stop_extension(self) -> None:
        if self.activity:
            self.activity.close()
        self.logs.close()
        self.tenants.close()
        self.events.close()
        if self.kernels:
            await self.kernels.close()
        await self.upstream.close()
