"""Sessions of `requests`, with kept-alive connections and the environment's settings that apply."""

from __future__ import annotations

import ipaddress
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy

from .certificates import authorities

if TYPE_CHECKING:
    from .tls import Tls


def new_session(*, trust_environment: bool, tls: Tls | None = None) -> requests.Session:
    """Return a session with kept-alive connections and without cookies.

    With `trust_environment`, proxies and `.netrc` count. The authorities that the environment names
    count in any case, unless `tls` names others.
    """
    session = requests.Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    # REQUESTS_CA_BUNDLE must not replace the authorities of `tls`.
    session.trust_env = trust_environment and tls is None
    session.verify = authorities() or True
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=32)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    if tls:
        session.verify = (tls.authorities or True) if tls.verified else False
        session.cert = (tls.certificate, tls.key) if tls.certificate else None
        session.proxies = {"https": tls.proxy, "http": tls.proxy} if tls.proxy else {}
    return session


def proxy_to(endpoint: str, tls: Tls | None = None) -> str:
    """The address of the proxy that requests to an endpoint go through; empty for none."""
    if tls or is_own(endpoint):
        found = tls.proxy if tls else ""
    else:
        found = select_proxy(endpoint, get_environ_proxies(endpoint)) or ""
    # Some clients do not understand the address of a proxy without a scheme.
    return str(prepend_scheme_if_needed(found, "http")) if found else ""  # type: ignore[no-untyped-call]


def is_own(endpoint: str) -> bool:
    """Tell whether an address is this machine's, to which requests never go through a proxy."""
    return is_loopback(urlsplit(endpoint).hostname or "")


def is_loopback(host: str) -> bool:
    """Tell whether a host name means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
