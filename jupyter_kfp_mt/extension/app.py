"""The Jupyter server extension: builds collaborators and routes from the configuration."""

from __future__ import annotations

import asyncio
from functools import partial
from importlib import import_module
from typing import Any

from jupyter_server.extension.application import ExtensionApp

from ..cluster.kubernetes_api import of_settings
from ..log_lines import one_line
from ..namespaces.chosen_namespaces import ChosenNamespaces
from ..settings import Kfp
from .activity import Activity
from .caller_namespaces import CallerNamespaces
from .collaborators import SETTING, Collaborators
from .event_stream import Events
from .kernel_door import KernelDoor
from .names_by_id import NamesById
from .namespace_of_request import NamespaceOfRequest
from .routes import routes
from .server_identity import ServerIdentity
from .server_namespace import ServerNamespace
from .shared_answers import SharedAnswers
from .task_log_handler import Logs
from .upstream import Upstream


class KfpExtension(Kfp, ExtensionApp):
    """The one authenticated door to KFP for kernels and browser."""

    name = "kfp_mt"
    kernels: KernelDoor | None = None
    activity: Activity | None = None

    def initialize_settings(self) -> None:
        chosen = ChosenNamespaces(self.data_folder() / "chosen-namespaces.json")
        identity = ServerIdentity(self)
        upstream = Upstream(self, chosen.over, identity.over)
        events = Events(upstream.ask, partial(of_settings, self))
        assert self.serverapp  # of this moment
        is_alive = self.serverapp.kernel_manager.__contains__
        shared_answers = SharedAnswers()
        self.collaborators = Collaborators(
            upstream=upstream,
            tenants=CallerNamespaces(self, upstream),
            logs=Logs(upstream),
            events=events,
            shared_answers=shared_answers,
            names=NamesById(upstream, shared_answers),
            namespace_of_request=NamespaceOfRequest(upstream.ask, events.namespace_of),
            namespace=ServerNamespace(chosen, upstream, events, is_alive),
            identity=identity,
        )
        self.settings[SETTING] = self.collaborators

    def initialize_handlers(self) -> None:
        self.handlers.extend(routes)

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        self.kernels = KernelDoor(serverapp, routes)
        try:
            self.kernels.open()
        except OSError as error:
            self.log.warning(
                "kfp-mt: kernels cannot use this server, and have to find KFP themselves: %s",
                error,
            )
        self.activity = Activity(
            serverapp.web_app.settings, self.collaborators.upstream.is_executing
        )
        # Import the HTTP client for requests while the connection to KFP is being chosen.
        loading = asyncio.to_thread(import_module, "aiohttp")
        status, _ = await asyncio.gather(self.collaborators.upstream.status(), loading)
        if status.error:
            self.log.warning("kfp-mt: %s", one_line(status.error.message))

    def current_activity(self) -> bool | None:
        """Return True if this server must not be culled as idle."""
        return self.activity.current if self.activity else None

    async def stop_extension(self) -> None:
        if self.activity:
            self.activity.close()
        found = self.collaborators
        for one in (found.logs, found.tenants, found.events):
            one.close()
        if self.kernels:
            await self.kernels.close()
        await found.upstream.close()
