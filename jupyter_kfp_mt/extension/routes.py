"""The URL table of the extension, and its thin handlers."""

from __future__ import annotations

import msgspec
from tornado import web

from .handlers import KfpHandler
from .proxy import ProxyHandler


class StatusHandler(KfpHandler):
    """Who am I, where, in which namespace, why, and what is wrong."""

    @web.authenticated
    async def get(self) -> None:
        self.finish(msgspec.json.encode(await self.upstream.status()))


routes = [
    (r"/kfp-mt/status", StatusHandler),
    (r"/kfp-mt/api(/.*)", ProxyHandler),
]
