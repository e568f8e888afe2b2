"""The Jupyter server extension: configuration in, collaborators and routes out."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from jupyter_server.extension.application import ExtensionApp

from ..cluster.kubernetes_api import of_settings
from ..log_lines import one_line
from ..settings import Kfp
from .activity import Activity
from .caller_namespaces import CallerNamespaces
from .event_stream import Events
from .kernel_door import KernelDoor
from .namespace_of_request import NamespaceOfRequest
from .routes import routes
from .shared_answers import SharedAnswers
from .task_log_handler import Logs
from .upstream import Upstream

UPLOADS_READ_AT_ONCE = 2


class KfpExtension(Kfp, ExtensionApp):
    """The one authenticated door to KFP for kernels and browser."""

    name = "kfp_mt"
    kernels: KernelDoor | None = None
    activity: Activity | None = None

    def initialize_settings(self) -> None:
        self.upstream = Upstream(self)
        self.events = Events(self.upstream.ask, partial(of_settings, self))
        self.settings["kfp_mt"] = self.upstream
        self.tenants = CallerNamespaces(self, self.upstream)
        self.settings["kfp_mt_tenants"] = self.tenants
        self.logs = Logs(self.upstream)
        self.settings["kfp_mt_logs"] = self.logs
        self.settings["kfp_mt_reading"] = asyncio.Semaphore(UPLOADS_READ_AT_ONCE)
        self.settings["kfp_mt_events"] = self.events
        self.settings["kfp_mt_shared"] = SharedAnswers()
        self.settings["kfp_mt_whereabouts"] = NamespaceOfRequest(self.upstream.ask)

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
        status = await self.upstream.status()
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
