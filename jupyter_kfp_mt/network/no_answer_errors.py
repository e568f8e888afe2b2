"""Errors for requests without an answer, with the reason in one sentence."""

from __future__ import annotations

import re

import requests
import urllib3

from .. import refusal_causes
from ..errors import Unreachable
from ..other_servers import IN_CLUSTER
from . import bodies, certificates

OWN_ADDRESS = f"Use KFP's own address, such as {IN_CLUSTER}."


# The time limits of a request in seconds: to connect, and for each part of the answer; None for no
# limit.
Waited = tuple[float | None, float | None]


def no_answer(
    endpoint: str, error: Exception, cure: str = "", waited: Waited = (None, None)
) -> Unreachable:
    """Return the error for a request that failed with `error`."""
    if isinstance(error, bodies.BodyTooLong):
        return too_long(endpoint, error)
    if wrong := certificates.fault(error):
        reason, cure = wrong.reason, cure or wrong.cure
    elif isinstance(error, requests.exceptions.ProxyError):
        reason, cure = (
            f"the proxy did not connect to it: {_innermost(error)}",
            refusal_causes.OTHER_PROXY,
        )
    elif isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        reason = _late(error, waited)
    elif isinstance(error, ValueError):  # requests parses a Location even if it is not followed
        reason = "it redirects to an invalid address"
        cure = cure or f"Is the endpoint KFP's? {OWN_ADDRESS}"
    elif type(error) is OSError:
        reason = str(error)
        cure = "Its path is in REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE: correct or unset it."
    else:
        reason = _innermost(error)
    return unreachable(endpoint, reason, cure)


def too_long(endpoint: str, error: Exception) -> Unreachable:
    return Unreachable(
        reason=f"the answer of {endpoint} is too long ({error}).",
        cause="KFP sends no answer of that length, unless it lists very long pipelines.",
        cure="Is the endpoint KFP's own address? If so, list fewer at a time.",
    )


def unreachable(endpoint: str, reason: str, cure: str = "") -> Unreachable:
    return Unreachable(
        reason=f"no answer from {endpoint} ({reason}).",
        cure=cure
        or "Does KFP run at that address? It is set in c.Kfp.endpoint or KF_PIPELINES_ENDPOINT.",
    )


def _late(error: Exception, waited: Waited) -> str:
    if isinstance(error, bodies.BodyTooLate):
        seconds: float | None = error.seconds
    else:
        seconds = waited[0] if isinstance(error, requests.ConnectTimeout) else waited[1]
    return f"it did not answer in {seconds:g} s" if seconds else "it did not answer in time"


def _innermost(error: Exception) -> str:
    text = str(error)
    if answered := re.search(r"Tunnel connection failed: (\d+)", text):
        return f"HTTP {answered[1]}"
    for sign, reason in (
        ("Connection refused", "connection refused"),
        ("Name or service not known", "no such host"),
        ("Failed to resolve", "no such host"),
        ("Connection reset", "connection reset"),
        ("Connection aborted", "connection closed"),
        ("unreachable", "network unreachable"),
        ("Read timed out", "it stopped sending"),
        ("IncompleteRead", "its answer broke off"),
    ):
        if sign in text:
            return reason
    return type(error).__name__
