"""Requests to one Kubernetes API server, over connections that are kept open.

The official client does the same in its `rest` module, but importing that loads the models of every
kind of object: 700 modules and 65 MB, none of which is needed here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from ..intervals import KUBERNETES_CONNECT_SECONDS as CONNECT_SECONDS
from ..intervals import KUBERNETES_READ_SECONDS as READ_SECONDS
from ..network.tls import Tls
from ..release import USER_AGENT

if TYPE_CHECKING:
    import urllib3

_POOLS = 4
_CONNECTIONS = 32  # enough for one burst of access reviews


class ApiServer:
    """Sends requests to `address`, with the Authorization header that `authorization` returns.

    `authorization` is called for each request. No request is retried, and no redirect followed.
    """

    def __init__(self, address: str, tls: Tls, authorization: Callable[[], str]) -> None:
        self.address = address.rstrip("/")
        self.authorization = authorization
        self._connections = _connections(tls)

    def request(
        self,
        path: str,
        query: Mapping[str, str],
        body: Any = None,
        accept: str = "application/json, */*",
        read_seconds: float | None = READ_SECONDS,
    ) -> Any:
        """Return urllib3's answer, of any status, before its body is read.

        With a `body` the request is a POST. The answer may pause for `read_seconds`, or for any
        time if that is None. Raises the errors of `authorization`, urllib3's `HTTPError`, an
        `OSError`, or a `ValueError` for a header that cannot be sent.
        """
        from urllib3 import Timeout

        encoded = urlencode({name: text for name, text in query.items() if text})
        return self._connections.request(
            "GET" if body is None else "POST",
            f"{self.address}{path}{'?' if encoded else ''}{encoded}",
            headers=self._headers(accept),
            body=None if body is None else msgspec.json.encode(body),
            timeout=Timeout(connect=CONNECT_SECONDS, read=read_seconds),
            preload_content=False,
            redirect=False,
            retries=False,
        )

    def close(self) -> None:
        """Close all connections."""
        self._connections.clear()

    def _headers(self, accept: str) -> dict[str, str]:
        headers = {"Accept": accept, "Content-Type": "application/json", "User-Agent": USER_AGENT}
        authorization = self.authorization()
        return {**headers, "Authorization": authorization} if authorization else headers


def _connections(tls: Tls) -> urllib3.PoolManager:
    import certifi
    import urllib3

    options: dict[str, Any] = {
        "num_pools": _POOLS,
        "maxsize": _CONNECTIONS,
        "socket_options": _keep_alive(),
        "cert_reqs": "CERT_REQUIRED" if tls.verified else "CERT_NONE",
        "ca_certs": tls.authorities or certifi.where(),
        "cert_file": tls.certificate or None,
        "key_file": tls.key or None,
    }
    if tls.server_name:
        options["server_hostname"] = tls.server_name
    if tls.proxy:
        return urllib3.ProxyManager(tls.proxy, **options)
    return urllib3.PoolManager(**options)


def _keep_alive() -> list[tuple[int, int, int | bytes]]:
    """The socket options for TCP keep-alive, which detects a lost connection within a minute."""
    from urllib3.connection import HTTPConnection

    options = [*HTTPConnection.default_socket_options]
    options.append((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1))
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):  # macOS does not have all of them
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options
