"""The reason why there was no answer, in one sentence."""

from __future__ import annotations

import re

import requests
import urllib3

from .. import refusal_causes
from ..errors import Unreachable
from ..other_servers import IN_CLUSTER
from . import bodies, certificates

_OWN_ADDRESS = f"Use KFP's own address, such as {IN_CLUSTER}."


def no_answer(endpoint: str, asked: str, error: Exception, cure: str = "") -> Unreachable:
    """Tell why there was no answer, in one sentence."""
    if isinstance(error, bodies.BodyTooLong):
        return too_long(endpoint, asked, error)
    if wrong := certificates.fault(error):
        reason, cure = wrong.reason, cure or wrong.cure
    elif isinstance(error, requests.exceptions.ProxyError):
        reason, cure = (
            f"a proxy does not lead there: {_innermost(error)}",
            refusal_causes.OTHER_PROXY,
        )
    elif isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        reason = _late(error)
    elif isinstance(error, ValueError):  # requests looks at a Location, be it followed or not
        reason, cure = "it sends on to what is no address", cure or f"Is it KFP's? {_OWN_ADDRESS}"
    elif type(error) is OSError:
        reason = str(error)
        cure = "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names it: correct it, or unset it."
    else:
        reason = _innermost(error)
    return unreachable(endpoint, asked, reason, cure)


def too_long(endpoint: str, asked: str, error: Exception) -> Unreachable:
    return Unreachable(
        f"Cannot {asked}: {endpoint} answers too much ({error}).",
        cause="KFP has no answer of that length, unless very long pipelines are listed.",
        cure="Is it KFP's own address? Ask for fewer at a time where it is.",
    )


def unreachable(endpoint: str, asked: str, reason: str, cure: str = "") -> Unreachable:
    return Unreachable(
        f"Cannot {asked}: no answer from {endpoint} ({reason}).",
        cure=cure
        or "c.Kfp.endpoint or KF_PIPELINES_ENDPOINT names the address: does KFP run there?",
    )


def _late(error: Exception) -> str:
    limit = re.search(r"timeout=([\d.]+)", str(error))
    return f"it did not answer in {float(limit[1]):g} s" if limit else "it did not answer in time"


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
        ("Read timed out", "nothing came from it any more"),
        ("IncompleteRead", "its answer broke off"),
    ):
        if sign in text:
            return reason
    return type(error).__name__
