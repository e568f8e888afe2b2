"""The URL table of the extension, and its thin handlers."""

from __future__ import annotations

import msgspec
from tornado import web

from ..contributors import Contributors
from ..manifests import USER_HEADER
from .handlers import KERNEL, KfpHandler
from .proxy import ProxyHandler
from .tenants import Tenants


class StatusHandler(KfpHandler):
    """Who am I, where, in which namespace, why, and what is wrong."""

    @web.authenticated
    async def get(self) -> None:
        self.finish(msgspec.json.encode(await self.upstream.status()))


class DoctorHandler(KfpHandler):
    """What is wrong, and what mends it; `?isolation=1&of=NAME`: are tenants kept apart."""

    @web.authenticated
    async def get(self) -> None:
        apart = bool(self.get_query_argument("isolation", ""))
        others = tuple(self.get_query_arguments("of"))
        namespace = self.get_query_argument("namespace", "")
        report = await self.upstream.examined(namespace, apart, others)
        self.finish(msgspec.json.encode(report))


class _TenantsHandler(KfpHandler):
    @property
    def tenants(self) -> Tenants:
        tenants: Tenants = self.settings["kfp_mt_tenants"]
        return tenants


class NamespacesHandler(_TenantsHandler):
    """Every namespace that this identity may use, where it was learned, and what is allowed."""

    @web.authenticated
    async def get(self) -> None:
        self.finish(msgspec.json.encode(await self.tenants.found()))


class ContributorsHandler(_TenantsHandler):
    """Who shares a namespace: `?namespace=`, and to change it also `&user=` and `&role=`."""

    @web.authenticated
    async def get(self) -> None:
        found = await self.tenants.contributors(self._namespace, Contributors.all)
        self.finish(msgspec.json.encode({"contributors": found}))

    @web.authenticated
    async def post(self) -> None:
        change = self._change
        await self.tenants.contributors(self._namespace, lambda those: those.add(*change))
        self.finish({})

    @web.authenticated
    async def delete(self) -> None:
        change = self._change
        await self.tenants.contributors(self._namespace, lambda those: those.remove(*change))
        self.finish({})

    @property
    def _namespace(self) -> str:
        return self.get_query_argument("namespace", "")

    @property
    def _change(self) -> tuple[str, str, str]:
        """The user, the role, and the person whom Kubeflow's gateway names: a kernel is none."""
        named = self.request.headers.get(USER_HEADER, "")
        sender = "" if self.current_user is KERNEL else named
        role = self.get_query_argument("role", "edit")
        return self.get_query_argument("user", ""), role, sender


routes = [
    (r"/kfp-mt/status", StatusHandler),
    (r"/kfp-mt/doctor", DoctorHandler),
    (r"/kfp-mt/namespaces", NamespacesHandler),
    (r"/kfp-mt/contributors", ContributorsHandler),
    (r"/kfp-mt/api(/.*)", ProxyHandler),
]
