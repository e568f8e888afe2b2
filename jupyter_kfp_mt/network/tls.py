"""TLS settings: trusted authorities, and the client certificate."""

from __future__ import annotations

import msgspec


class Tls(msgspec.Struct, frozen=True):
    """Files for a connection: trusted authorities, and the client certificate with its key.

    `server_name` is the name in the server's certificate, if that differs from its address.
    """

    authorities: str = ""
    certificate: str = ""
    key: str = ""
    proxy: str = ""
    verified: bool = True
    server_name: str = ""
