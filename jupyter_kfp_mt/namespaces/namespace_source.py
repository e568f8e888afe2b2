"""Sources of namespaces and contributors: this process, or the Jupyter server behind a door."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import msgspec

from .. import refusal_causes
from ..attempts import attempting
from ..client.api import no_namespace
from ..client.client import Client
from ..cluster import kubernetes_api, own_pod
from ..cluster.kfam import IN_CLUSTER_ENDPOINT, Kfam
from ..cluster.kubernetes_api import Cluster
from ..connection.connections import Connection, DoorConnection
from ..connection.door_client import Door
from ..connection.local_cluster import LocalCluster
from ..connection.local_kfp import LocalKfp
from ..connection.status import ConnectionStatus
from ..errors import BadRequest, Forbidden, KfpError
from ..resource_names import check_namespace
from ..settings import Kfp
from . import list_namespaces
from .contributors import Contributor, Contributors, LocalContributors
from .list_namespaces import Found, Namespaces, Sources, named
from .permissions import Permissions
from .recent_namespaces import UsedNamespaces

# Tells whether KFP lists an item of a resource in a namespace; None if the answer proves nothing.
TryList = Callable[[str, str], bool | None]


class ContributorSource(Protocol):
    """The contributors of a namespace."""

    def all(self) -> list[Contributor]: ...

    def add(self, user: str, role: str) -> None: ...

    def remove(self, user: str, role: str = "") -> None: ...


class NamespaceSource(Protocol):
    """A source of namespaces. Every method blocks, and may raise a `KfpError`."""

    def found(self, wanted: str = "") -> Found:
        """Return all namespaces, and the one `wanted` even if no source knows it."""

    def contributors(self, namespace: str = "") -> ContributorSource:
        """Return the contributors of a namespace, by default the configured one."""

    def close(self) -> None: ...


class DirectNamespaceSource:
    """The namespaces of one identity at one KFP, found by this process, from any thread.

    `client` is for a local KFP, which answers access reviews itself. `close()` also closes `used`.
    """

    def __init__(
        self,
        settings: Kfp,
        status: ConnectionStatus,
        used: UsedNamespaces,
        try_list: TryList,
        client: Callable[[], Client] | None = None,
    ) -> None:
        self.status = status
        self._settings = settings
        self._used = used
        self._client = client
        self._cluster: Cluster | None = None
        self._lock = threading.Lock()
        subject = status.identity.subject
        self.permissions = Permissions(self._found_cluster, lambda: subject, try_list)
        self._namespaces = Namespaces(self._sources(), self.permissions)

    def found(self, wanted: str = "") -> Found:
        status = self.status
        if not status.multi_user:
            return Found([], [], list_namespaces.SINGLE_USER)
        if wanted:
            check_namespace(wanted)
        if not status.local:
            kubernetes_api.prepare(self._settings)  # which must not count against a source
        return self._namespaces.found(status.identity.subject, status.local, wanted)

    def contributors(self, namespace: str = "") -> Contributors:
        status = self.status
        if not status.multi_user:
            raise BadRequest(list_namespaces.SINGLE_USER)
        namespace = namespace or status.namespace
        if not namespace:
            raise no_namespace()
        if status.local:
            return LocalContributors(namespace, self._found_cluster)
        kfam = Kfam(self._kfam_endpoint() or IN_CLUSTER_ENDPOINT)
        return Contributors(namespace, kfam, self._found_cluster)

    def close(self) -> None:
        for each in (self._used, self._namespaces, self.permissions, self._cluster):
            if each is not None:
                each.close()

    def _sources(self) -> Sources:
        settings, status = self._settings, self.status
        subject, found_cluster = status.identity.subject, self._found_cluster
        found: dict[str, Callable[[], dict[str, str]]] = {
            "configuration": lambda: named([settings.value("namespace"), self.status.namespace])
        }
        if status.local:
            found["profiles"] = lambda: _asked(found_cluster(), list_namespaces.of_profiles)
            if status.tokens:  # otherwise the local KFP belongs to another person
                local = LocalKfp(status.endpoint, status.tokens)
                found["local KFP"] = lambda: named(local.namespaces)
            return found
        if own_pod.is_here():
            found["pod"] = lambda: named([own_pod.namespace()])
        if kubernetes_api.is_reached(settings):
            found["profiles"] = lambda: _asked(found_cluster(), list_namespaces.of_profiles)
            found["role bindings"] = lambda: _asked(
                found_cluster(), lambda known: list_namespaces.of_role_bindings(known, subject)
            )
        if endpoint := self._kfam_endpoint():
            found["kfam"] = lambda: list_namespaces.of_kfam(
                Kfam(endpoint), own_pod.namespace() or self.status.namespace, subject
            )
        return {**found, "used before": lambda: named(self._used.of(status.endpoint))}

    def _kfam_endpoint(self) -> str:
        default = IN_CLUSTER_ENDPOINT if own_pod.is_here() else ""
        return self._settings.value("kfam_endpoint") or default

    def _found_cluster(self) -> Cluster | None:
        if self.status.local:
            return LocalCluster(self._client()) if self._client else None
        with self._lock:  # several threads may call this, and it may run a program
            if self._cluster is None:
                self._cluster = kubernetes_api.of_settings(self._settings)
            return self._cluster


class DoorNamespaceSource:
    """The namespaces that the Jupyter server knows, requested through its door."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def found(self, wanted: str = "") -> Found:
        with attempting("list namespaces"):
            return self._door.ask(Found, "namespaces", {"namespace": wanted})

    def contributors(self, namespace: str = "") -> ContributorSource:
        return DoorContributorSource(self._door, namespace)

    def close(self) -> None:
        pass


class _Answer(msgspec.Struct, frozen=True):
    contributors: list[Contributor] = []


class DoorContributorSource:
    """The contributors of a namespace, listed and changed through a Jupyter server's door."""

    def __init__(self, door: Door, namespace: str) -> None:
        self._door = door
        self._namespace = namespace

    def all(self) -> list[Contributor]:
        with attempting("list the contributors"):
            return self._ask().contributors

    def add(self, user: str, role: str) -> None:
        with attempting(f"add {user}"):
            self._ask("POST", user, role)

    def remove(self, user: str, role: str = "") -> None:
        with attempting(f"remove {user}"):
            self._ask("DELETE", user, role)

    def _ask(self, method: str = "GET", user: str = "", role: str = "") -> _Answer:
        query = {"namespace": self._namespace, "user": user, "role": role}
        return self._door.ask(_Answer, "contributors", query, method)


def of_connection(settings: Kfp, connection: Connection, client: Client) -> NamespaceSource:
    """Return the source of namespaces for a connection."""
    if isinstance(connection, DoorConnection):
        return DoorNamespaceSource(connection.door)
    return of_client(settings, connection.status(), client)


def of_client(settings: Kfp, status: ConnectionStatus, client: Client) -> DirectNamespaceSource:
    """Return the source of namespaces for a client's identity. Raises the error in its status."""
    if status.error:
        raise status.error.to_error()
    pages: dict[str, Callable[..., object]] = {
        "experiments": client.experiment_page,
        "runs": client.run_page,
        "jobs": client.recurring_run_page,
        "pipelines": client.pipeline_page,
    }
    used = UsedNamespaces.of_settings(settings)

    def try_list(namespace: str, resource: str) -> bool | None:
        return _allowed(lambda: pages[resource](namespace, page_size=1))

    return DirectNamespaceSource(settings, status, used, try_list, lambda: client)


def _allowed(listing: Callable[[], object]) -> bool | None:
    try:
        listing()
    except Forbidden as error:
        return False if refusal_causes.denial(error.server_text.encode()) else None
    except KfpError:
        return None
    return True


def _asked(known: Cluster | None, question: Callable[[Cluster], dict[str, str]]) -> dict[str, str]:
    return question(known) if known else {}
