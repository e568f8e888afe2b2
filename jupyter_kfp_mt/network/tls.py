"""The making of a TLS connection: whom it trusts, and the certificate that it shows."""

from __future__ import annotations

import msgspec


class Tls(msgspec.Struct, frozen=True):
    """Files for the connection itself: who is trusted, and the certificate that is shown."""

    authorities: str = ""
    certificate: str = ""
    key: str = ""
    proxy: str = ""
    verified: bool = True
