"""The URL table of the extension, and its thin handlers."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from tornado import web

from .. import explain
from ..contributors import Contributors
from ..manifests import USER_HEADER
from .handlers import KERNEL, KfpHandler
from .logs import LogsHandler
from .proxy import ProxyHandler


class StatusHandler(KfpHandler):
    """Who am I, where, in which namespace, why, and what is wrong."""

    @web.authenticated
    async def get(self) -> None:
        self.finish(msgspec.json.encode(await self.upstream.status()))


class NamespacesHandler(KfpHandler):
    """Every namespace that this identity may use, where it was learned, and what is allowed."""

    @web.authenticated
    async def get(self) -> None:
        self.finish(msgspec.json.encode(await self.tenants.found()))


class ContributorsHandler(KfpHandler):
    """Who shares a namespace: `?namespace=`, and to change it also `&user=` and `&role=`."""

    @web.authenticated
    async def get(self) -> None:
        found = await self.tenants.contributors(self._namespace, Contributors.all)
        self.finish(msgspec.json.encode({"contributors": found}))

    @web.authenticated
    async def post(self) -> None:
        await self._change(Contributors.add, "add a contributor")

    @web.authenticated
    async def delete(self) -> None:
        await self._change(Contributors.remove, "remove a contributor")

    async def _change(self, change: Callable[..., None], asked: str) -> None:
        if self.upstream.read_only:
            raise explain.read_only(asked)
        whom = self._whom
        await self.tenants.contributors(self._namespace, lambda those: change(those, *whom))
        who = self.current_user.username
        self.log.info("kfp-mt: %s: %s in %s", who, asked, self._namespace)
        self.finish({})

    @property
    def _namespace(self) -> str:
        return self.get_query_argument("namespace", "")

    @property
    def _whom(self) -> tuple[str, str, str]:
        """The user, the role, and the person whom Kubeflow's gateway names: a kernel is none."""
        named = self.request.headers.get(USER_HEADER, "")
        sender = "" if self.current_user is KERNEL else named
        role = self.get_query_argument("role", "edit")
        return self.get_query_argument("user", ""), role, sender


routes = [
    (r"/kfp-mt/status", StatusHandler),
    (r"/kfp-mt/namespaces", NamespacesHandler),
    (r"/kfp-mt/contributors", ContributorsHandler),
    (r"/kfp-mt/logs/([^/]+)/([^/]+)", LogsHandler),
    (r"/kfp-mt/api(/.*)", ProxyHandler),
]
