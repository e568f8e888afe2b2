"""What a kubeconfig holds: the way to KFP through the Kubernetes API, from outside the cluster."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from requests.utils import should_bypass_proxies

from ..certificates import in_cluster
from ..errors import Forbidden, KfpError, Misconfigured, Unauthenticated
from ..sessions import is_own
from .base import Claims, Credentials, Tls, differ, shown

SERVICE_PROXY = "/api/v1/namespaces/kubeflow/services/http:ml-pipeline:8888/proxy"
PORT_FORWARD = (
    "Forward a port instead:\n"
    "kubectl port-forward -n kubeflow svc/ml-pipeline 8888:8888\n"
    "and set c.Kfp.endpoint = 'http://localhost:8888' and c.Kfp.auth = 'kubernetes'."
)
_LOST = (
    "The Kubernetes API takes the identity off every request that it passes on, so that KFP sees "
    "none; and this KFP serves several users."
)


class Kubeconfig(Credentials):
    """Sends the kubeconfig's own identity, to the Kubernetes API alone.

    `file` and `context` choose; without them it is what kubectl would use.
    """

    identifies: ClassVar[bool] = False

    def __init__(self, file: str = "", context: str = "") -> None:
        self._file = str(Path(file).expanduser()) if file else None
        self._context = context
        self._lock = threading.Lock()
        which = f" {shown(Path(file).expanduser())}" if file else ""
        self.source = f"kubeconfig{which}" + (f", context {context}" if context else "")

    def __repr__(self) -> str:
        return f"Kubeconfig({self.source})"

    @property
    def endpoint(self) -> str:
        """KFP behind the service proxy of the Kubernetes API."""
        return str(self._configuration.host).rstrip("/") + SERVICE_PROXY

    @property
    def tls(self) -> Tls | None:
        found = self._configuration
        return Tls(
            found.ssl_ca_cert or "",
            found.cert_file or "",
            found.key_file or "",
            "" if _bypassed(found) else found.proxy or "",
            found.verify_ssl,
        )

    def headers(self) -> dict[str, str]:
        with self._lock:  # a plugin may be run for it
            try:
                value = self._configuration.get_api_key_with_prefix("authorization")
            except Exception as error:  # the client and its plugins raise anything
                raise _unusable(self.source, error) from None
        return {"Authorization": value} if value else {}

    def renewed(self, refused: Mapping[str, str]) -> bool:
        with self._lock:
            self.__dict__.pop("_configuration", None)
        return differ(refused, self.headers())

    def claims(self) -> Claims:
        """Nothing that KFP would see."""
        return Claims()

    def explained(self, error: KfpError, refused: bool) -> KfpError:
        if isinstance(error, Forbidden) and "services" in error.server_text:
            return Forbidden(
                error.message,
                cause="This kubeconfig may not use the service proxy of the Kubernetes API.",
                cure=PORT_FORWARD,
                server_text=error.server_text,
            )
        if refused:
            return anonymous(error.message.partition(": ")[0], error.server_text)
        error.cure = in_cluster(error.cure)
        return error

    @cached_property
    def _configuration(self) -> Any:
        from kubernetes.client import Configuration
        from kubernetes.config import load_kube_config

        configuration = Configuration()
        try:
            load_kube_config(self._file, self._context or None, configuration, persist_config=False)
        except Exception as error:  # the client and its plugins raise anything
            raise _unusable(self.source, error) from None
        return configuration


def anonymous(asked: str, server_text: str = "") -> Unauthenticated:
    """Why nobody arrives at KFP this way."""
    return Unauthenticated(
        f"{asked}: no identity arrives at KFP through the Kubernetes API.",
        cause=_LOST,
        cure=PORT_FORWARD,
        server_text=server_text,
    )


def no_certificate() -> Misconfigured:
    """Why the SDK's client has to go another way."""
    return Misconfigured(
        "kfp.Client cannot show the client certificate of this kubeconfig.", cure=PORT_FORWARD
    )


def _bypassed(configuration: Any) -> bool:
    """Whether its API server is one of those that no proxy is for."""
    host = str(configuration.host)
    return is_own(host) or should_bypass_proxies(host, configuration.no_proxy or None)


def _unusable(source: str, error: Exception) -> Misconfigured:
    from kubernetes.config.config_exception import ConfigException

    # Only this one's words are known to hold no secret.
    why = str(error).partition("\n")[0][:300] if isinstance(error, ConfigException) else ""
    return Misconfigured(
        f"The {source} cannot be used: {why or type(error).__name__}.",
        cure="Does kubectl get namespaces work with it? c.Kfp.kubeconfig and c.Kfp.kube_context "
        "choose another one.",
    )
