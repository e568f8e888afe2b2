"""What the extension knows of namespaces: which there are, what is allowed, who shares them."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Callable
from concurrent.futures import TimeoutError
from functools import partial
from typing import TypeVar

from .. import cluster, namespaces, pod
from ..cluster import Cluster
from ..contributors import Contributors
from ..errors import BadRequest, KfpError, Unreachable
from ..kfam import IN_CLUSTER_ENDPOINT, Kfam
from ..local_kfp import LocalKfp
from ..namespaces import Found, Namespaces, Sources, named
from ..permissions import COLLECTIONS, Permissions, told
from ..settings import Kfp
from ..status import Status
from ..used_namespaces import UsedNamespaces
from .sender import Query, Request
from .upstream import Upstream

T = TypeVar("T")

TRY_SECONDS = 2.5


class Tenants:
    """The namespaces of whatever KFP is behind the door now."""

    def __init__(self, settings: Kfp, upstream: Upstream) -> None:
        self._settings = settings
        self._upstream = upstream
        self._used = UsedNamespaces(settings.data_folder() / "used-namespaces.json")
        self._cluster: Cluster | None = None
        self._status = Status("")
        self._namespaces: Namespaces | None = None
        self._permissions: Permissions | None = None

    async def found(self) -> Found:
        """Every namespace there is to show. Raises the `KfpError` that keeps us from KFP."""
        status = await self._current()
        if not status.multi_user:
            return Found([], [], "This KFP serves a single user: it keeps no namespaces apart.")
        if not status.local and cluster.is_reached(self._settings):
            # It takes a second the first time, which is no source's fault.
            await asyncio.to_thread(importlib.import_module, "kubernetes.client")
        assert self._namespaces is not None
        found = partial(self._namespaces.found, status.identity.subject, status.local)
        return await asyncio.to_thread(found)

    def heard(self, method: str, path: str, query: Query, status: int, body: bytes) -> None:
        """KFP has answered somebody: what that says of permissions is remembered."""
        known = told(method, path, dict(query), status, body)
        if known is None or self._permissions is None:
            return
        self._permissions.learn(*known)
        namespace, _, _, allowed = known
        if allowed and not self._status.local:
            self._used.add(self._status.endpoint, namespace)

    async def contributors(self, namespace: str, ask: Callable[[Contributors], T]) -> T:
        """What `ask` says to the contributors of a namespace; without one of ours."""
        status = await self._current()
        if status.local:
            raise BadRequest(
                "The contributors of the local KFP are lines in its profiles file.",
                cure="Whoever runs it writes them there, such as\n"
                "  contributors: {bob@example.com: view}",
            )
        kfam = Kfam(self._kfam_endpoint() or IN_CLUSTER_ENDPOINT)
        one = Contributors(
            namespace or status.namespace, kfam, partial(self._found_cluster, status.local)
        )
        return await asyncio.to_thread(ask, one)

    def close(self) -> None:
        self._used.close()
        for each in (self._namespaces, self._permissions, self._cluster):
            if each is not None:
                each.close()

    async def _current(self) -> Status:
        """The connection as it is now; what was known of another one is forgotten."""
        status = await self._upstream.status()
        if status.error:
            raise status.error.to_error()
        if not status.ready:
            raise Unreachable("It is still being found out which KFP to use.", cure="Ask again.")
        known, self._status = self._status, status
        if self._namespaces is None or _who_where(status) != _who_where(known):
            # Whoever is still being answered by the old ones is not cut off.
            loop = asyncio.get_running_loop()
            self._permissions = Permissions(
                partial(self._found_cluster, status.local),
                lambda: status.identity.subject,
                partial(self._try_list, loop),
            )
            self._namespaces = Namespaces(self._sources(status), self._permissions)
        return status

    def _sources(self, status: Status) -> Sources:
        settings, subject = self._settings, status.identity.subject
        found: dict[str, Callable[[], dict[str, str]]] = {
            "configuration": lambda: named([settings.value("namespace"), self._status.namespace])
        }
        if status.local:
            if not status.tokens:  # somebody else's
                return found
            local = LocalKfp(status.endpoint, status.tokens)
            return {**found, "local KFP": lambda: named(local.namespaces)}
        if pod.is_here():
            found["pod"] = lambda: named([pod.namespace()])
        if cluster.is_reached(self._settings):
            found_cluster = self._found_cluster
            found["profiles"] = lambda: _asked(found_cluster(), namespaces.of_profiles)
            found["role bindings"] = lambda: _asked(
                found_cluster(), lambda known: namespaces.of_role_bindings(known, subject)
            )
        if endpoint := self._kfam_endpoint():
            found["kfam"] = lambda: namespaces.of_kfam(
                Kfam(endpoint), pod.namespace() or self._status.namespace, subject
            )
        return {**found, "used before": lambda: named(self._used.of(status.endpoint))}

    def _kfam_endpoint(self) -> str:
        default = IN_CLUSTER_ENDPOINT if pod.is_here() else ""
        return self._settings.value("kfam_endpoint") or default

    def _found_cluster(self, local: bool = False) -> Cluster | None:
        if local:
            return None
        if self._cluster is None:
            self._cluster = cluster.of_settings(self._settings)
        return self._cluster

    def _try_list(
        self, loop: asyncio.AbstractEventLoop, namespace: str, resource: str
    ) -> bool | None:
        """Whether KFP lists the first of these; it has other reasons not to than permission."""
        path = f"/apis/v2beta1/{COLLECTIONS[resource]}"
        query = [("namespace", namespace), ("page_size", "1")]
        asked = asyncio.run_coroutine_threadsafe(self._answer(Request("GET", path, query)), loop)
        try:
            status, body = asked.result(TRY_SECONDS)
        except (KfpError, TimeoutError):
            asked.cancel()
            return None
        known = told("GET", path, dict(query), status, body)
        return known[3] if known else None

    async def _answer(self, request: Request) -> tuple[int, bytes]:
        with contextlib.closing(await self._upstream.forward(request)) as answer:
            body, _ = await answer.start()
            return answer.status, body


def _who_where(status: Status) -> tuple[str, str, bool]:
    return status.endpoint, status.identity.subject, status.local


def _asked(known: Cluster | None, question: Callable[[Cluster], dict[str, str]]) -> dict[str, str]:
    return question(known) if known else {}
