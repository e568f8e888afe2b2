"""The namespaces that this server's identity can use, its permissions, and their contributors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError
from functools import partial
from typing import TypeVar

from .. import intervals, refusal_causes
from ..client.client import Client
from ..connection.status import ConnectionStatus
from ..errors import KfpError, Unreachable
from ..namespaces.contributors import Contributors
from ..namespaces.list_namespaces import Found
from ..namespaces.namespace_source import DirectNamespaceSource
from ..namespaces.permissions import COLLECTIONS
from ..namespaces.recent_namespaces import UsedNamespaces
from ..settings import Kfp
from .namespace_of_request import of_list
from .send_to_kfp import KfpRequest, Query
from .upstream import Upstream

T = TypeVar("T")

TRY_SECONDS = intervals.TRY_SECONDS


class CallerNamespaces:
    """The namespaces of the KFP that is currently behind the door."""

    def __init__(self, settings: Kfp, upstream: Upstream) -> None:
        self._settings = settings
        self._upstream = upstream
        self._used = UsedNamespaces.of_settings(settings)
        self._known: DirectNamespaceSource | None = None

    async def found(self, wanted: str = "") -> Found:
        """Return every known namespace. Raises a `KfpError` if KFP cannot be reached."""
        known = await self._current()
        return await asyncio.to_thread(known.found, wanted)

    def heard(self, method: str, path: str, query: Query, status: int, body: bytes) -> None:
        """Learn permissions from a response of KFP's."""
        known = told(method, path, dict(query), status, body)
        if known is None or self._known is None:
            return
        self._known.permissions.learn(*known)
        namespace, _, _, allowed = known
        where = self._known.status
        if allowed and not where.local:
            self._used.add(where.endpoint, namespace)

    async def may_create_pipelines(self, namespace: str) -> tuple[str, bool | None]:
        """Return this server's identity, and its permission to do so; None if unknown."""
        known = await self._current()
        may = partial(known.permissions.may, namespace, "create", "pipelines")
        return known.status.identity.subject, await asyncio.to_thread(may)

    async def contributors(self, namespace: str, ask: Callable[[Contributors], T]) -> T:
        """Return the result of `ask` for the contributors of a namespace (default: ours)."""
        known = await self._current()
        return await asyncio.to_thread(lambda: ask(known.contributors(namespace)))

    def close(self) -> None:
        self._used.close()
        if self._known is not None:
            self._known.close()

    async def _current(self) -> DirectNamespaceSource:
        """Return the source for the current connection; knowledge of earlier ones is dropped."""
        status = await self._upstream.status()
        if status.error:
            raise status.error.to_error()
        if not status.ready:
            raise Unreachable("It is still being found out which KFP to use.", cure="Ask again.")
        if self._known is None or _who_where(status) != _who_where(self._known.status):
            # Requests that the old source is still answering are not cut off.
            loop = asyncio.get_running_loop()
            try_list, client = partial(self._try_list, loop), partial(self._client, loop)
            self._known = DirectNamespaceSource(
                self._settings, status, self._used, try_list, client
            )
        self._known.status = status
        return self._known

    def _client(self, loop: asyncio.AbstractEventLoop) -> Client:
        """The client of the KFP behind the door, for a worker thread."""
        found = asyncio.run_coroutine_threadsafe(self._upstream.client(), loop)
        try:
            return found.result(TRY_SECONDS)
        except TimeoutError:
            found.cancel()
            raise Unreachable("It is still being found out which KFP to use.") from None

    def _try_list(
        self, loop: asyncio.AbstractEventLoop, namespace: str, resource: str
    ) -> bool | None:
        """Check a list permission by listing; None if KFP fails for another reason."""
        path = f"/apis/v2beta1/{COLLECTIONS[resource]}"
        query = [("namespace", namespace), ("page_size", "1")]
        asked = asyncio.run_coroutine_threadsafe(self._answer(KfpRequest("GET", path, query)), loop)
        try:
            status, body = asked.result(TRY_SECONDS)
        except (KfpError, TimeoutError):
            asked.cancel()
            return None
        known = told("GET", path, dict(query), status, body)
        return known[3] if known else None

    async def _answer(self, request: KfpRequest) -> tuple[int, bytes]:
        with contextlib.closing(await self._upstream.forward(request)) as answer:
            body, _ = await answer.start()
            return answer.status, body


def told(
    method: str, path: str, query: Mapping[str, str], status: int, body: bytes
) -> tuple[str, str, str, bool] | None:
    """Return the permission implied by a response: namespace, verb, resource, allowed."""
    if status == 403:
        denied = refusal_causes.denial(body)
        return (denied.namespace, denied.verb, denied.resource, False) if denied else None
    listed = of_list(path, query) if status == 200 and method == "GET" else None
    return (listed[0], "list", listed[1], True) if listed else None


def _who_where(status: ConnectionStatus) -> tuple[str, str, bool]:
    return status.endpoint, status.identity.subject, status.local
