"""A token asked of Kubernetes for a service account and for KFP alone (TokenRequest)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import AUDIENCE
from .renewal import Renewed, Secret

if TYPE_CHECKING:
    from ..cluster import Cluster

SECONDS = 3600


class TokenRequest(Renewed):
    """A token of `namespace`'s service account `name`, renewed at 80 % of its life."""

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        super().__init__(f"token request for {namespace}/{name}")
        self._cluster = cluster
        self._account = (namespace, name)

    def renew(self) -> Secret:
        return Secret.token(*self._cluster.request_token(*self._account, AUDIENCE, SECONDS))
