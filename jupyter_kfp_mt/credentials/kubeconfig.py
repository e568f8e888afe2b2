"""A kubeconfig: KFP through the Kubernetes API, from outside the cluster."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from requests.utils import should_bypass_proxies

from ..errors import Forbidden, KfpError, Misconfigured, Unauthenticated
from ..network.certificates import in_cluster
from ..network.sessions import is_own
from ..network.tls import Tls
from ..settings import Kfp
from .base import Claims, Hidden, claims, one_token, shown
from .exec_plugin import ExecPlugin
from .kinds import Kind, Place, kubeconfig_now
from .renewal import Renewed, Secret
from .run_program import SECONDS

SERVICE_PROXY = "/api/v1/namespaces/kubeflow/services/http:ml-pipeline:8888/proxy"
PORT_FORWARD = (
    "Forward a port instead:\n"
    "kubectl port-forward -n kubeflow svc/ml-pipeline 8888:8888\n"
    "and set c.Kfp.endpoint = 'http://localhost:8888' and c.Kfp.auth = 'kubernetes'."
)
_NOBODY = "no identity reaches KFP through the Kubernetes API."
_LOST = (
    "The Kubernetes API removes the identity from every request that it passes on, and this KFP "
    "needs one, as it serves several users."
)
# The names under which the official client keeps the token: in newer releases that of the scheme in
# Kubernetes' OpenAPI, in older ones that of the header.
_SCHEMES = ("BearerToken", "authorization")
# The part before the host in an address, even in a misspelt one.
_USERINFO = re.compile(r"(\w+:/*)?[^/]*@")


class Kubeconfig(Renewed):
    """Sends the kubeconfig's own identity, which only the Kubernetes API sees.

    Without `file` and `context` it is the kubeconfig and the context that kubectl would use. Its
    plugin, if it has one, may take `seconds`.
    """

    kind: ClassVar[Kind] = Kind("kubeconfig", beside=("kubeconfig", "kube_context"))
    identifies: ClassVar[bool] = False
    # After this time the file is read again and its plugin run, if no expiry is known.
    unknown_life: ClassVar[timedelta | None] = timedelta(minutes=5)

    @classmethod
    def chosen(cls, settings: Kfp, place: Place) -> Kubeconfig:
        """Return the credentials of a context, which are kept: reading them may run a plugin."""
        file, context, state = kubeconfig_now(settings)
        return place.kept.one((cls, file, context, state), lambda: cls(file, context))

    def __init__(self, file: str = "", context: str = "", seconds: float = SECONDS) -> None:
        self._file = str(Path(file).expanduser()) if file else ""
        self._context = context
        self._seconds = seconds
        self._configuration: Any = None
        which = f" {shown(Path(self._file))}" if file else ""
        super().__init__(f"kubeconfig{which}" + (f", context {context}" if context else ""))

    @property
    def configuration(self) -> Any:
        """The official client's `Configuration`, which contains secrets."""
        self.headers()
        return self._configuration

    @property
    def server(self) -> str:
        """The address of the Kubernetes API."""
        return str(self.configuration.host).rstrip("/")

    @property
    def endpoint(self) -> str:
        """The address of KFP behind the service proxy of the Kubernetes API."""
        return self.server + SERVICE_PROXY

    @property
    def tls(self) -> Tls | None:
        found = self.configuration
        return Tls(
            found.ssl_ca_cert or "",
            found.cert_file or "",
            found.key_file or "",
            "" if _bypassed(found) else found.proxy or "",
            found.verify_ssl,
            found.tls_server_name or "",
        )

    def renew(self) -> Secret:
        try:
            self._configuration, expires_at = self._read()
        except KfpError:
            raise
        except Exception as error:  # the client raises anything
            raise _unusable(self.source, error) from None
        value = _authorization(self._configuration)
        if not value:
            return Secret.lasting({}, expires_at)
        scheme, _, text = value.partition(" ")
        token = one_token(text, f"The token of the {self.source}")
        expires_at = expires_at or claims(token).expires_at
        return Secret.lasting({"Authorization": Hidden(f"{scheme} {token}")}, expires_at)

    def _read(self) -> tuple[Any, datetime | None]:
        """Return the configuration, and when the user's credential expires, if that is known."""
        from kubernetes.client import Configuration
        from kubernetes.config.kube_config import (
            KUBE_CONFIG_DEFAULT_LOCATION,
            ConfigException,
            KubeConfigLoader,
            KubeConfigMerger,
        )

        config = KubeConfigMerger(self._file or KUBE_CONFIG_DEFAULT_LOCATION).config
        if config is None:
            raise ConfigException("Invalid kube-config file. No configuration found.")
        context = self._context or config["current-context"]
        expires_at = self._ask_plugin(config, context)
        loader = KubeConfigLoader(config, context, config_base_path=None)
        configuration = Configuration()
        loader.load_and_set(configuration)
        configuration.refresh_api_key_hook = None  # it is renewed here
        if _USERINFO.match(configuration.host):
            raise Misconfigured(
                f"The {self.source} has a user name or a password in the address of its server.",
                cure="Remove them: a token or a certificate proves your identity.",
            )
        return configuration, expires_at or getattr(loader, "expiry", None)

    def _ask_plugin(self, config: Any, context: str) -> datetime | None:
        """Run the user's plugin with a time limit, which the official client does not have."""
        name = config["contexts"].get_with_name(context)["context"].safe_get("user")
        entry = name and config.safe_get("users") and config["users"].get_with_name(name, safe=True)
        user = entry and entry.value.get("user")
        if not user or "exec" not in user:
            return None
        described = user.pop("exec")
        if {"auth-provider", "token", "tokenFile"} & set(user):
            return None  # these take precedence over a plugin
        try:
            plugin = msgspec.convert(described, ExecPlugin)
        except msgspec.ValidationError as error:
            raise Misconfigured(
                f"The plugin of the {self.source} is not described correctly: {error}."
            ) from None
        found = plugin.credential(self.source, Path(entry.path).absolute().parent, self._seconds)
        user.update(found.as_user())
        return found.expiration_timestamp

    def claims(self) -> Claims:
        """Return no claims: KFP never sees this identity."""
        return Claims()

    def explained(self, error: KfpError, refused: bool) -> KfpError:
        if isinstance(error, Forbidden) and "services" in error.server_text:
            return error.with_(
                cause="This kubeconfig may not use the service proxy of the Kubernetes API.",
                cure=PORT_FORWARD,
            )
        if refused:
            return self.not_accepted(error, _NOBODY, _LOST, PORT_FORWARD)
        return error.with_(cure=in_cluster(error.cure))


def namespace_of(file: str = "", context: str = "") -> str:
    """The namespace of a kubeconfig's context, as set by `kubectl config set-context`."""
    from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigMerger

    path = str(Path(file).expanduser()) if file else KUBE_CONFIG_DEFAULT_LOCATION
    try:
        config = KubeConfigMerger(path).config
        chosen = config["contexts"].get_with_name(context or config["current-context"])
        return str(chosen["context"].safe_get("namespace") or "")
    except Exception:  # the client raises anything; connecting will report what is wrong
        return ""


def anonymous() -> Unauthenticated:
    """Return the error for an identity that is lost on the way to KFP."""
    return Unauthenticated(
        reason=_NOBODY,
        cause=_LOST,
        cure=PORT_FORWARD,
    )


def no_certificate() -> Misconfigured:
    """Return the error for a client certificate, which the SDK's client cannot present."""
    return Misconfigured(
        "kfp.Client cannot present the client certificate of this kubeconfig.", cure=PORT_FORWARD
    )


def _authorization(configuration: Any) -> str:
    """Return the header that the official client would send, empty if none."""
    sent = (configuration.get_api_key_with_prefix(name) for name in _SCHEMES)
    return str(next(filter(None, sent), ""))


def _bypassed(configuration: Any) -> bool:
    """Tell whether its API server is exempt from the proxy."""
    host = str(configuration.host)
    return is_own(host) or should_bypass_proxies(host, configuration.no_proxy or None)


def _unusable(source: str, error: Exception) -> Misconfigured:
    from kubernetes.config.config_exception import ConfigException

    why = "it cannot be read"
    if isinstance(error, ConfigException):
        # A message that names an entry also shows its content.
        why = re.split(r"/?\{|\n", str(error))[0][:300].rstrip(".")
    return Misconfigured(
        f"The {source} cannot be used: {why}.",
        cure="Choose another one with c.Kfp.kubeconfig and c.Kfp.kube_context; "
        "`kubectl config get-contexts` lists the contexts.",
    )
