"""Certificates: which authorities are trusted, what is wrong with one, and how to fix it."""

from __future__ import annotations

import os
from typing import NamedTuple

_NAME_AUTHORITY = (
    "Name the file of its authority where the Jupyter server starts:\n"
    "export REQUESTS_CA_BUNDLE=/path/to/ca.crt"
)
_NEW_AUTHORITY = (
    "Another server answers there, or the cluster has a new authority: ask for a new kubeconfig; "
    "in a pod, restart it."
)
_RENEW = (
    "Whoever administers that server has to renew it; or is this machine's clock wrong?\ndate -u"
)
_ADDRESS = "Use an address that is in it, in c.Kfp.endpoint or KF_PIPELINES_ENDPOINT."
_CLOCK = "Is this machine's clock right?\ndate -u"
_SHOW_ONE = (
    "A kubeconfig can name one (client-certificate, client-key); at another endpoint than the "
    "Kubernetes API none is shown."
)
_PLAIN = "Does the address begin with http:// and not with https://?"


class CertificateFault(NamedTuple):
    """A problem with a certificate: the reason as a phrase, and how to fix it."""

    reason: str
    cure: str


# OpenSSL's own words, which requests, aiohttp and the Kubernetes client all pass on.
_FAULTS = {
    "Hostname mismatch": CertificateFault("its certificate is for another name", _ADDRESS),
    "IP address mismatch": CertificateFault("its certificate is for another name", _ADDRESS),
    "certificate has expired": CertificateFault("its certificate has expired", _RENEW),
    "certificate is not yet valid": CertificateFault("its certificate is not valid yet", _CLOCK),
    "CERTIFICATE_VERIFY_FAILED": CertificateFault(
        "its certificate is not trusted", _NAME_AUTHORITY
    ),
    "CERTIFICATE_REQUIRED": CertificateFault("it asks for a certificate of ours", _SHOW_ONE),
    "HANDSHAKE_FAILURE": CertificateFault(
        "it agrees to no way of TLS, or wants a certificate", _SHOW_ONE
    ),
    "WRONG_VERSION_NUMBER": CertificateFault("it does not speak TLS", _PLAIN),
    "RECORD_LAYER_FAILURE": CertificateFault("it does not speak TLS", _PLAIN),
    "[SSL": CertificateFault("the TLS connection failed", _PLAIN),
}


def fault(error: Exception) -> CertificateFault | None:
    """Return what is wrong with TLS, if that is why there is no answer."""
    text = str(error)
    return next((found for sign, found in _FAULTS.items() if sign in text), None)


def in_cluster(cure: str) -> str:
    """Return the cure for a kubeconfig, which trusts its cluster's own authority and no other."""
    return _NEW_AUTHORITY if cure == _NAME_AUTHORITY else cure


def authorities() -> str:
    """The file or folder that the environment names, where `requests` looks; empty for none."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or ""
