"""Certificates: the trusted authorities, and what is wrong with a certificate and how to fix it."""

from __future__ import annotations

import os
from typing import NamedTuple

_NAME_AUTHORITY = (
    "Name the file of its authority in the environment of the Jupyter server:\n"
    "export REQUESTS_CA_BUNDLE=/path/to/ca.crt"
)
_NEW_AUTHORITY = (
    "Another server answers there, or the cluster has a new authority: get a new kubeconfig, or "
    "restart the pod."
)
_RENEW = (
    "Whoever administers that server has to renew it, unless this machine's clock is wrong:\n"
    "date -u"
)
_ADDRESS = "Set c.Kfp.endpoint or KF_PIPELINES_ENDPOINT to an address that the certificate names."
_CLOCK = "Is this machine's clock right?\ndate -u"
_SHOW_ONE = (
    "A kubeconfig can name one (client-certificate, client-key); it is only presented to the "
    "Kubernetes API."
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
    "CERTIFICATE_REQUIRED": CertificateFault("it requires a client certificate", _SHOW_ONE),
    "HANDSHAKE_FAILURE": CertificateFault(
        "the TLS handshake failed; it may require a client certificate", _SHOW_ONE
    ),
    "WRONG_VERSION_NUMBER": CertificateFault("it does not speak TLS", _PLAIN),
    "RECORD_LAYER_FAILURE": CertificateFault("it does not speak TLS", _PLAIN),
    "[SSL": CertificateFault("the TLS connection failed", _PLAIN),
}


def fault(error: Exception) -> CertificateFault | None:
    """Return the problem with TLS that an error is about; None for another error."""
    text = str(error)
    return next((found for sign, found in _FAULTS.items() if sign in text), None)


def in_cluster(cure: str) -> str:
    """Adapt a cure to a kubeconfig, which trusts only its own cluster's authority."""
    return _NEW_AUTHORITY if cure == _NAME_AUTHORITY else cure


def authorities() -> str:
    """The file or folder that the environment names, where `requests` looks; empty for none."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or ""
