"""A token for a service account, requested from Kubernetes for KFP alone (TokenRequest)."""

from __future__ import annotations

import os
import shlex
from typing import ClassVar

from ..errors import Misconfigured, NotFound
from ..resource_names import short_name
from ..settings import Kfp
from .base import AUDIENCE, claims
from .kinds import Kind, Place, Pod, TokenIssuer, kubeconfig_now
from .renewal import Renewed, Secret

LIFETIME = 3600  # in seconds


class KubernetesTokenRequest(Renewed):
    """A token of `namespace`'s service account `name`, renewed at 80 % of its life."""

    kind: ClassVar[Kind] = Kind(
        "kubernetes",
        asked_by=("service_account",),
        beside=("kubeconfig", "kube_context"),
        of_clusters=True,
    )

    @classmethod
    def chosen(cls, settings: Kfp, place: Place) -> KubernetesTokenRequest:
        """Return the credentials of a service account, which are kept with their token."""
        named = settings.value("service_account") or _own_account(place.pod)
        namespace, _, name = named.rpartition("/")
        namespace, name = namespace or place.namespace, name or "default-editor"
        if not namespace:
            raise cls.kind.lacking("c.Kfp.service_account as NAMESPACE/NAME, or c.Kfp.namespace")
        file, context, state = kubeconfig_now(settings)
        # A kubeconfig takes precedence over the pod itself.
        in_pod = not (file or context) and place.pod.is_here()
        folder = str(place.pod.service_account_folder()) if in_pod else ""
        host = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
        return place.kept.one(
            (cls, folder, host, file, context, state, namespace, name),
            lambda: cls(place.issuer(folder, file, context), namespace, name),
        )

    def __init__(self, cluster: TokenIssuer, namespace: str, name: str) -> None:
        super().__init__(f"token request for {namespace}/{name}")
        self._cluster = cluster
        self._account = (namespace, name)

    def renew(self) -> Secret:
        namespace, name = self._account
        try:
            return Secret.token(*self._cluster.request_token(namespace, name, AUDIENCE, LIFETIME))
        except NotFound as error:
            raise Misconfigured(
                f"There is no service account {name} in namespace {namespace}.",
                cause=f"Kubernetes says: {error.server_text}",
                cure="Set c.Kfp.service_account (KFP_MT_SERVICE_ACCOUNT) to one of these:\n"
                f"kubectl get serviceaccounts -n {shlex.quote(namespace)}",
                server_text=error.server_text,
            ) from None


def _own_account(pod: Pod) -> str:
    """The pod's own service account, as NAMESPACE/NAME, according to its ordinary token."""
    try:
        token = (pod.service_account_folder() / "token").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
    return short_name(claims(token).sub)
