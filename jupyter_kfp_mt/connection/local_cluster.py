"""The local KFP in place of Kubernetes: it answers access reviews and lists profiles itself."""

from __future__ import annotations

from typing import Any

from ..attempts import attempting
from ..client.client import Client
from ..cluster.kubernetes_api import Cluster
from ..cluster.kubernetes_objects import ResourceAccess


class LocalCluster(Cluster):
    """Sends the requests of a `Cluster` to a local KFP, through `client`, which stays open."""

    def __init__(self, client: Client) -> None:
        self.source = "the local KFP"
        self._client = client

    def close(self) -> None:
        pass

    @property
    def server(self) -> str:
        return self._client.endpoint

    def who(self) -> str:
        return self._client.credentials.claims().sub

    def _request(
        self,
        access: ResourceAccess,
        body: Any = None,
        query: dict[str, str] | None = None,
        endless: bool = False,
        read: float | None = None,
        accept: str = "application/json, */*",
    ) -> Any:
        with attempting(str(access)):
            return self._client.in_kubernetes_place(access.path, body)
