"""The host names accepted by this server, as a web page could make others resolve to it.

The owner of a name decides where it resolves to: a page of `evil.example` that suddenly resolves to
127.0.0.1 could read everything here (DNS rebinding). The header `Host` has the name that the
browser uses.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from ..wire.api_errors import PERMISSION_DENIED, ApiError

# The last two name this machine in containers of Docker and of Podman.
_LOOPBACK = ("localhost", "host.docker.internal", "host.containers.internal")
_EVERY_ADDRESS = ("", "0.0.0.0", "::")
# The longest DNS name, with its port.
_LONGEST = 260


class Hosts:
    """The machine's own names, the address to listen on, and additionally allowed names.

    The loopback, and the address at which a request arrived, are always allowed: unlike names,
    they cannot be made to resolve elsewhere.
    """

    def __init__(self, listening: str, allowed: Sequence[str] = ()):
        own = [socket.gethostname(), socket.getfqdn()] if listening in _EVERY_ADDRESS else []
        self._names = {_bare(name) for name in (*_LOOPBACK, listening, *own, *allowed) if name}

    def check(self, host: str, address: str) -> None:
        """Refuse any other `Host` header; `address` is the one at which the request arrived."""
        name = _bare(host) if len(host) <= _LONGEST else ""
        if name in self._names or name.endswith(".localhost"):
            return
        if not _is_address(name) or not (_is_loopback(name) or name == _bare(address)):
            text = (
                f"This server is not called {name!r}. Call it by the address that it printed when "
                f"it started, or start it with --allow-host {name or 'NAME'}."
            )
            raise ApiError(PERMISSION_DENIED, text, text)


@lru_cache(maxsize=256)
def _bare(host: str) -> str:
    """A host without its port, in lower case."""
    address = host.strip("[]")
    if _is_address(address):
        return address.partition("%")[0].lower()
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback
