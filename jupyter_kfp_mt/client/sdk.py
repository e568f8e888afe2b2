"""The kfp SDK's client, connected like our own client."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3

from .. import refusal_causes
from ..attempts import attempting
from ..credentials.kubeconfig import no_certificate
from ..network.no_answer_errors import no_answer
from ..network.sessions import proxy_to
from . import sdk_links
from .sdk_links import Links

if TYPE_CHECKING:
    import kfp

    from .client import Client


def sdk_client(client: Client, pages: str = "") -> kfp.Client:
    """Return an SDK client that neither waits for an endpoint that does not answer nor writes a
    file.

    `pages`: where KFP's pages are, as `Kfp.ui_url` has it.
    """
    local = client.health().local
    headers, tls, session = client.credentials.headers(), client.credentials.tls, client.session
    if tls and tls.certificate:
        raise no_certificate()
    adapter: Any = session.get_adapter(client.endpoint)
    proxy = proxy_to(client.endpoint, tls) if session.trust_env or tls else ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it is said of servers before 2.0
        found = _kind(adapter, proxy)(
            host=client.endpoint,
            namespace=client.namespace or "kubeflow",
            credentials=client.credentials if "Authorization" in headers else None,
            cookies=headers.get("Cookie"),
            ssl_ca_cert=session.verify if isinstance(session.verify, str) else None,
            verify_ssl=bool(session.verify),
            proxy=proxy or None,
        )
    _watch(found, client)
    links = Links(sdk_links.pages_of(client.endpoint, pages, local), client.namespace)
    for name in sdk_links.SHOWING:
        setattr(found, name, links.leading(getattr(found, name)))
    return found


def _kind(adapter: Any, proxy: str) -> type[kfp.Client]:
    """The SDK's client with settings that it has no arguments for."""
    import kfp

    class Wired(kfp.Client):  # type: ignore[misc]
        def _load_config(self, *arguments: Any, **options: Any) -> Any:
            config = super()._load_config(*arguments, **options)
            config.proxy_headers = adapter.proxy_headers(proxy)
            return config

        def _get_url_prefix(self) -> str:
            return sdk_links.UNRESOLVED

    return Wired


def _api(found: kfp.Client) -> Any:
    """Return the API client that sends the requests of all its parts."""
    return found._run_api.api_client


def _watch(found: kfp.Client, client: Client) -> None:
    """Make its errors those of our own client: for changes over a read-only connection, and for a
    missing answer.

    The traceback of urllib3's errors has frames that hold the request, including the token.
    """
    api = _api(found)
    send = api.request

    def request(method: str, url: str, *arguments: Any, **options: Any) -> Any:
        with attempting(f"{method} {urlsplit(url).path}"):
            if client.read_only and method not in ("GET", "HEAD"):
                raise refusal_causes.read_only()
            try:
                return send(method, url, *arguments, **options)
            except urllib3.exceptions.HTTPError as error:
                raise no_answer(client.endpoint, error) from None

    api.request = request
