"""The kfp SDK's client, wired to where our own client is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import explain
from .credentials.kubeconfig import no_certificate
from .sessions import Pinned, proxy_to

if TYPE_CHECKING:
    import kfp

    from .client import Client


def sdk_client(client: Client) -> kfp.Client:
    """One that neither waits for an endpoint that does not answer nor writes a file."""
    import kfp

    client.health()
    headers, tls, session = client.credentials.headers(), client.credentials.tls, client.session
    if tls and tls.certificate:
        raise no_certificate()
    adapter: Any = session.get_adapter(client.endpoint)
    proxy = proxy_to(client.endpoint, tls) if session.trust_env or tls else ""

    class Wired(kfp.Client):  # type: ignore[misc]
        """With what it has no arguments for."""

        def _load_config(self, *arguments: Any, **options: Any) -> Any:
            config = super()._load_config(*arguments, **options)
            config.proxy_headers = adapter.proxy_headers(proxy)
            return config

        def get_kfp_healthz(self, *arguments: Any, **options: Any) -> Any:
            _pin(self, adapter)  # it may be asked before this is made
            return super().get_kfp_healthz(*arguments, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it is said of servers before 2.0
        found = Wired(
            host=client.endpoint,
            namespace=client.namespace or "kubeflow",
            credentials=client.credentials if "Authorization" in headers else None,
            cookies=headers.get("Cookie"),
            ssl_ca_cert=session.verify if isinstance(session.verify, str) else None,
            verify_ssl=bool(session.verify),
            proxy=proxy or None,
        )
    _pin(found, adapter)
    if client.read_only:
        _only_reading(found)
    return found


def _pin(found: kfp.Client, adapter: Any) -> None:
    """Have it believe the one certificate that we believe, if that is so."""
    pools = _api(found).rest_client.pool_manager
    pools.connection_pool_kw.update(adapter.pin if isinstance(adapter, Pinned) else {})


def _api(found: kfp.Client) -> Any:
    """What sends the requests of all its parts."""
    return found._run_api.api_client


def _only_reading(found: kfp.Client) -> None:
    """Refuse what would change something, as our own client does."""
    api = _api(found)
    send = api.request

    def request(method: str, url: str, *arguments: Any, **options: Any) -> Any:
        if method not in ("GET", "HEAD"):
            raise explain.read_only(f"{method} {urlsplit(url).path}")
        return send(method, url, *arguments, **options)

    api.request = request
