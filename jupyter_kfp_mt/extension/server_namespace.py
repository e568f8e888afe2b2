"""The namespace in use in this Jupyter server: for everybody, and for single kernels."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..connection.status import NamespaceInUse
from ..errors import BadRequest
from ..namespaces import list_namespaces
from ..namespaces.chosen_namespaces import ChosenNamespaces
from ..resource_names import check_namespace
from .event_stream import Events
from .upstream import Upstream


class ServerNamespace:
    """The namespace in use in this server: for everybody, and for single kernels.

    `is_alive` returns True for the id of an existing kernel.
    """

    def __init__(
        self,
        chosen: ChosenNamespaces,
        upstream: Upstream,
        events: Events,
        is_alive: Callable[[str], bool],
    ) -> None:
        self._chosen = chosen
        self._upstream = upstream
        self._events = events
        self._is_alive = is_alive
        self._kernels: dict[str, str] = {}

    async def in_use(self, refresh: bool = False) -> NamespaceInUse:
        """Return the current one. Raises a `KfpError` if KFP cannot be reached."""
        connection, default = await self._upstream.connection(refresh)
        return NamespaceInUse(connection.namespace, default, self.of_kernels)

    @property
    def of_kernels(self) -> dict[str, str]:
        """Return the namespaces of kernels that use one of their own, by kernel id."""
        self._kernels = {each: of for each, of in self._kernels.items() if self._is_alive(each)}
        return {**self._kernels}

    async def choose(self, namespace: str, kernel: str = "") -> NamespaceInUse:
        """Use a namespace from now on, in one kernel or everywhere; without a name, the default.

        Raises `BadRequest` for an invalid namespace, an unknown kernel, or a single-user KFP.
        """
        await self._check(namespace, kernel)
        connection, default = await self._upstream.connection()
        if kernel:
            self._kernels = {**self._kernels, kernel: namespace}
            if not namespace:
                del self._kernels[kernel]
        else:
            kept = "" if namespace == default else namespace
            await asyncio.to_thread(self._chosen.choose, connection, kept)
        return await self.announced(refresh=not kernel)

    async def announced(self, refresh: bool = True) -> NamespaceInUse:
        """Return the current namespace, and send it to all listeners."""
        found = await self.in_use(refresh)
        self._events.announce("namespace", found)
        return found

    async def _check(self, namespace: str, kernel: str) -> None:
        if namespace:
            check_namespace(namespace)
        if kernel and not self._is_alive(kernel):
            raise BadRequest(f"This Jupyter server has no kernel {kernel[:100]!r}.")
        if not (await self._upstream.health()).multi_user:
            raise BadRequest(list_namespaces.SINGLE_USER)
