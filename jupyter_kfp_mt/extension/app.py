"""The Jupyter server extension: configuration in, collaborators and routes out."""

from __future__ import annotations

import os
from typing import Any

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.utils import url_path_join

from ..connection import DOOR, DOOR_KEY
from ..settings import Kfp
from .routes import routes
from .upstream import Upstream

_ANY_ADDRESS = ("", "*", "0.0.0.0", "::")


class KfpExtension(Kfp, ExtensionApp):
    """The one authenticated door to KFP for kernels and browser."""

    name = "kfp_mt"

    def initialize_settings(self) -> None:
        self.upstream = Upstream(self)
        self.settings["kfp_mt"] = self.upstream

    def initialize_handlers(self) -> None:
        self.handlers.extend(routes)

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        # Kernels are children of this process: they find the door, and the key to it, in theirs.
        os.environ[DOOR] = _address(serverapp)
        os.environ[DOOR_KEY] = self.upstream.key
        await self.upstream.status()

    async def stop_extension(self) -> None:
        if os.environ.get(DOOR_KEY) == self.upstream.key:
            del os.environ[DOOR], os.environ[DOOR_KEY]
        await self.upstream.close()


def _address(serverapp: Any) -> str:
    scheme = "https" if serverapp.certfile else "http"
    host = "127.0.0.1" if serverapp.ip in _ANY_ADDRESS else serverapp.ip
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{serverapp.port}" + url_path_join(serverapp.base_url, "kfp-mt")
