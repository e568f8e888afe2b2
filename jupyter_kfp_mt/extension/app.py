"""The Jupyter server extension: configuration in, collaborators and routes out."""

from __future__ import annotations

from typing import Any

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.utils import url_path_join

from ..door import Door
from ..log_lines import one_line
from ..settings import Kfp
from .activity import Activity
from .event_stream import Events
from .logs import Logs
from .routes import routes
from .tenants import Tenants
from .upstream import Upstream
from .whereabouts import Whereabouts

# How to reach a server from its own machine, where its address is no address to reach.
_FROM_HERE = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


class KfpExtension(Kfp, ExtensionApp):
    """The one authenticated door to KFP for kernels and browser."""

    name = "kfp_mt"
    activity: Activity | None = None

    def initialize_settings(self) -> None:
        self.upstream = Upstream(self)
        self.events = Events(self.upstream.ask)
        self.settings["kfp_mt"] = self.upstream
        self.tenants = Tenants(self, self.upstream)
        self.settings["kfp_mt_tenants"] = self.tenants
        self.logs = Logs(self.upstream)
        self.settings["kfp_mt_logs"] = self.logs
        self.settings["kfp_mt_events"] = self.events
        self.settings["kfp_mt_whereabouts"] = Whereabouts(self.upstream.ask)

    def initialize_handlers(self) -> None:
        self.handlers.extend(routes)

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        if serverapp.sock:
            self.log.warning("kfp-mt: a server on a UNIX socket has no door for its kernels.")
        else:
            self.upstream.door = _door(serverapp, self.upstream.key)
            self.upstream.door.open()
        self.activity = Activity(serverapp.web_app.settings, self.upstream.is_executing)
        status = await self.upstream.status()
        if status.error:
            self.log.warning("kfp-mt: %s", one_line(status.error.message))

    def current_activity(self) -> bool | None:
        """Whether this server must not be stopped for being idle."""
        return self.activity.current if self.activity else None

    async def stop_extension(self) -> None:
        if self.activity:
            self.activity.close()
        if self.upstream.door:
            self.upstream.door.shut()
        self.logs.close()
        self.tenants.close()
        self.events.close()
        await self.upstream.close()


def _door(serverapp: Any, key: str) -> Door:
    host = _FROM_HERE.get(serverapp.ip, serverapp.ip)
    host = f"[{host}]" if ":" in host else host
    scheme = "https" if serverapp.certfile else "http"
    address = f"{scheme}://{host}:{serverapp.port}"
    return Door(
        address + url_path_join(serverapp.base_url, "kfp-mt"), key, serverapp.certfile or ""
    )
