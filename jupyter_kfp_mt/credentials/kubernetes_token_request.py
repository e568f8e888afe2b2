"""A token asked of Kubernetes for a service account and for KFP alone (TokenRequest)."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import Protocol

from ..errors import Misconfigured, NotFound
from .base import AUDIENCE
from .renewal import Renewed, Secret

SECONDS = 3600


class Cluster(Protocol):
    """The part of a Kubernetes API that gives tokens."""

    def request_token(
        self, namespace: str, service_account: str, audience: str, seconds: float
    ) -> tuple[str, datetime]: ...


class KubernetesTokenRequest(Renewed):
    """A token of `namespace`'s service account `name`, renewed at 80 % of its life."""

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        super().__init__(f"token request for {namespace}/{name}")
        self._cluster = cluster
        self._account = (namespace, name)

    def renew(self) -> Secret:
        namespace, name = self._account
        try:
            return Secret.token(*self._cluster.request_token(namespace, name, AUDIENCE, SECONDS))
        except NotFound as error:
            raise Misconfigured(
                f"There is no service account {name} in namespace {namespace} to be.",
                cause=f"Kubernetes says: {error.server_text}",
                cure="Name another in c.Kfp.service_account (KFP_MT_SERVICE_ACCOUNT); this lists "
                f"them:\nkubectl get serviceaccounts -n {shlex.quote(namespace)}",
                server_text=error.server_text,
            ) from None
