"""Connections to KFP: directly, or through the Jupyter server's door."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import msgspec

from .. import refusal_causes
from ..client.client import Client
from ..cluster.kubernetes_api import Cluster
from ..credentials import Claims, Credentials, Tls, warnings
from ..credentials.kubeconfig import anonymous
from ..errors import KfpError, NotFound
from ..models import Health, Run
from ..release import RELEASE
from . import event_reader
from .door_client import Door
from .kernel_namespace import KernelNamespace
from .local_kfp import LocalKfp
from .status import ConnectionStatus, Identity, Problem, Step


class Connection(msgspec.Struct, frozen=True):
    """The chosen connection. Every method may raise a `KfpError`."""

    endpoint: str
    credentials: Credentials
    namespace: str
    trace: list[Step]
    health: Health | None = None  # if it is already known
    read_only: bool = False

    def client(self) -> Client:
        """Return a new client, which the caller has to close."""
        raise NotImplementedError

    def status(self) -> ConnectionStatus:
        """Check the connection with one request, which takes a few seconds at most."""
        raise NotImplementedError

    def subject(self) -> str:
        """The name or e-mail address that the token identifies; empty if it names none."""
        raise NotImplementedError

    def watch(self, client: Client, run: Run, namespace: str = "") -> Iterator[Run]:
        """Yield a run that was just started, each time that it has changed, until its end."""
        raise NotImplementedError

    def kernel_namespace(self, kernel: str) -> KernelNamespace:
        """The namespace that a kernel uses, by its id in the Jupyter server; empty for none."""
        raise NotImplementedError

    @property
    def kfp_credentials(self) -> Credentials | None:
        """The credentials that KFP itself accepts; None for a connection through a door."""
        raise NotImplementedError

    def _client(self, **way: Any) -> Client:
        return Client(
            self.endpoint,
            self.credentials,
            self.namespace,
            health=self.health,
            read_only=self.read_only,
            **way,
        )


class DirectConnection(Connection, frozen=True):
    """A connection from this process to KFP itself."""

    local: LocalKfp | None = None
    tls: Tls | None = None  # a copy: that of the credentials may change later
    cluster: Callable[[], Cluster | None] = lambda: None  # KFP's own

    def client(self) -> Client:
        return self._client(cluster=self.cluster)

    def status(self) -> ConnectionStatus:
        try:
            token, health = self.credentials.claims(), self._health()
        except KfpError as error:
            return self._status(error=Problem.of(error))
        if health.multi_user and not self.credentials.identifies:
            lost = anonymous().with_(attempt=f"use {self.endpoint}")
            return self._status(token, health, error=Problem.of(lost))
        return self._status(token, health, warnings=list(self._doubts(token, health)))

    def subject(self) -> str:
        token = self.credentials.claims()
        return token.email or token.sub

    def watch(self, client: Client, run: Run, namespace: str = "") -> Iterator[Run]:
        return client.watch(run.run_id, run)

    def kernel_namespace(self, kernel: str) -> KernelNamespace:
        return KernelNamespace(None, kernel, self.namespace)

    @property
    def kfp_credentials(self) -> Credentials | None:
        return self.credentials

    def is_same(self, other: DirectConnection) -> bool:
        """Tell whether both have the same endpoint, credentials and namespace, and why."""
        return self._essence == other._essence

    @property
    def _essence(self) -> tuple[object, ...]:
        return self.endpoint, self.tls, self.credentials.source, self.namespace, self.trace

    def _doubts(self, token: Claims, health: Health) -> Iterator[Problem]:
        if health.multi_user and not self.credentials.headers():
            looked_at = [step for step in self.trace if step.step == "credentials"]
            yield Problem(
                "Requests carry no identity, and this KFP serves several users.",
                cause="\n".join(f"{step.looked_at}: {step.found}" for step in looked_at),
                cure=refusal_causes.GET_TOKEN,
            )
        for text in warnings(token, self.credentials.audience, datetime.now(timezone.utc)):
            yield Problem(text, cure=refusal_causes.GET_TOKEN)

    def _health(self) -> Health:
        client = self.client()
        try:
            return client.health()
        finally:
            client.close()

    def _status(
        self,
        token: Claims | None = None,
        health: Health | None = None,
        error: Problem | None = None,
        warnings: list[Problem] | None = None,
    ) -> ConnectionStatus:
        token, known = token or Claims(), health or Health(multi_user=True)
        return ConnectionStatus(
            version=RELEASE,
            endpoint=self.endpoint,
            local=known.local,
            namespace=self.namespace,
            identity=Identity(token.sub or token.email, token.expires_at, self.credentials.source),
            multi_user=known.multi_user,
            server_version=known.tag_name,
            trace=self.trace,
            error=error,
            warnings=warnings or [],
            tokens=self.local.tokens if self.local else "",
        )


class DoorConnection(Connection, frozen=True, kw_only=True):
    """A connection through the door of the Jupyter server that started this kernel."""

    door: Door
    own_namespace: str = ""  # the one configured in this kernel, if any

    def client(self) -> Client:
        return self._client(session=self.door.session(), logs=f"{self.door.address}/logs")

    def status(self) -> ConnectionStatus:
        status = self.door.status()
        return msgspec.structs.replace(status, namespace=self.namespace, trace=self.trace)

    def subject(self) -> str:
        return self.door.status().identity.subject

    def watch(self, client: Client, run: Run, namespace: str = "") -> Iterator[Run]:
        try:
            yield from event_reader.watch(self.door, run, namespace or client.namespace)
        except NotFound:  # an older server has no events; a missing run is reported by KFP
            yield from client.watch(run.run_id, run)

    def kernel_namespace(self, kernel: str) -> KernelNamespace:
        return KernelNamespace(self.door, kernel, self.namespace, self.own_namespace)

    @property
    def kfp_credentials(self) -> Credentials | None:
        return None  # its key only opens the door
