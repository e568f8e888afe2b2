"""Other servers that answer in KFP's place: how to recognize them, and what to do about it.

Go's HTTP server, nginx, Envoy, Google and S3 are each recognized by the words of their answers.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qs, urljoin, urlsplit

from .errors import Forbidden, KfpError, NotFound, Unauthenticated, Unreachable

# Where Kubeflow's gateway has KFP.
PREFIX = "/pipeline"
IN_CLUSTER = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
_OWN = f"Use KFP's own address, such as {IN_CLUSTER}."
_HTTPS = re.compile(r"HTTP request (was sent )?to (an )?HTTPS|speaking plain HTTP to an SSL", re.I)
_TOKENS = re.compile(r"(Audiences in )?Jw(t|ks)\b")  # Envoy's jwt_authn, see its verify_status
_OBJECTS = re.compile(r"<(Error|ListAllMyBucketsResult|ListBucketResult)\b")
_CLIENT_ID = re.compile(r"[\w.-]{1,200}", re.ASCII)


class AskedAddress(NamedTuple):
    """The endpoint, the address of a request, and where the answer redirects to."""

    endpoint: str = ""
    url: str = ""
    location: str = ""

    @property
    def elsewhere(self) -> str:
        """The endpoint that the answer names as KFP's; empty for none, or for the same."""
        try:
            target = urlsplit(urljoin(self.url, self.location))
        except ValueError:
            return ""
        if not self.location or target.scheme not in ("http", "https") or "@" in target.netloc:
            return ""
        asked = urlsplit(self.url).path.removeprefix(urlsplit(self.endpoint).path)
        before, found, _ = (target.path.rstrip("/") + "/").partition(PREFIX + "/")
        if asked and target.path.endswith(asked):
            path = target.path.removesuffix(asked)
        elif found:
            path = before.removesuffix("/_") + PREFIX
        else:
            return ""
        named = f"{target.scheme}://{target.netloc}{path}".rstrip("/")
        return "" if named == self.endpoint else named

    @property
    def below(self) -> str:
        """The endpoint at which KFP would be behind Kubeflow's gateway, where that is another."""
        if not self.endpoint or urlsplit(self.endpoint).path.endswith(PREFIX):
            return ""
        return self.endpoint + PREFIX


NOWHERE = AskedAddress()


def is_html(body: bytes) -> bool:
    """Tell from its beginning if a body is a web page."""
    start = body.lstrip()[:15].lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<title", b"<body"))


def refuses_tokens(text: str) -> bool:
    """Tell if these are Istio's words for a token that its RequestAuthentication refuses."""
    return bool(_TOKENS.match(text))


def named(endpoint: str) -> str:
    """The line that sets an endpoint, for a cure."""
    return f"c.Kfp.endpoint = '{endpoint}'"


def error_of(status: int, body: bytes, text: str, at: AskedAddress) -> KfpError | None:
    """Return the error for the answer of such a server; None for other answers."""
    if _HTTPS.search(text):
        return _https(text, at)
    if refuses_tokens(text):
        return _istio_tokens(status, text)
    if _OBJECTS.search(text[:300]):
        return _objects(status, text)
    if text.startswith("Invalid IAP credentials") or _is_googles(at.location):
        return _iap(status, text, at)
    if 300 <= status < 400 and at.elsewhere:
        return _elsewhere(status, text, at)
    if 300 <= status < 400 or is_html(body):
        return page(status, text, at)
    return None


def nothing_there(text: str, at: AskedAddress) -> NotFound:
    """Return the error for a 404 that is not KFP's."""
    maybe = f" Behind Kubeflow's gateway it is below {PREFIX}:\n{named(at.below)}"
    return NotFound(
        reason="nothing answers at this path (HTTP 404).",
        cause="The endpoint is not KFP's, or this KFP is too old to have the path.",
        cure="Correct the endpoint." + (maybe if at.below else f" {_OWN}"),
        server_text=text,
    )


def too_old(text: str) -> NotFound:
    """Return the error for a path or a method that a KFP 2 before 2.14 does not have."""
    return NotFound(
        reason="this KFP does not have that part of the API.",
        cause="It is too old for this request; %kfp doctor shows its version.",
        cure="Do without it, or ask whoever administers KFP to upgrade it.",
        server_text=text,
    )


def version_1(text: str, at: AskedAddress) -> NotFound:
    """Return the error for KFP's own 404: before 2.0 it has no v2beta1."""
    show = f":\ncurl {at.endpoint}/apis/v1beta1/healthz" if at.endpoint else "."
    return NotFound(
        reason="this KFP does not have that part of the API v2beta1.",
        cause="KFP 1 has only the API v1beta1, and a KFP 2 may be too old for this request.",
        cure="Whoever administers it can upgrade it to KFP 2; until then kfp.Client of kfp 1.8 "
        f"works with a KFP 1, which reports its version at /apis/v1beta1/healthz{show}",
        server_text=text,
    )


def _https(text: str, at: AskedAddress) -> Unreachable:
    secure = at.endpoint.replace("http://", "https://", 1)
    return Unreachable(
        reason="the server speaks HTTPS, and the request was sent in HTTP.",
        cause="The endpoint begins with http://, and its port accepts only https://.",
        cure="Set it to:\n" + named(secure or "https://..."),
        server_text=text,
    )


def istio_tokens(text: str) -> tuple[str, str]:
    """Return the cause and the cure of Istio's refusal of a token."""
    inside = f"Or use KFP's address inside the cluster:\n{named(IN_CLUSTER)}"
    if text.startswith("Audiences"):
        return (
            "Istio checks tokens itself (RequestAuthentication), and does not accept the audience "
            "of this one.",
            "Whoever administers the cluster can add pipelines.kubeflow.org to its audiences, or "
            f"say which audience a token needs. {inside}",
        )
    if "expired" in text or "not yet valid" in text:
        return (
            "Istio checks tokens itself (RequestAuthentication), and by its clock this one is "
            "not valid now.",
            f"Renew it; date -u shows whether this machine's clock is right. {inside}",
        )
    return (
        "Istio checks tokens itself (RequestAuthentication), and does not accept those that this "
        "cluster issues.",
        f"Whoever administers the cluster can add their issuer to it. {inside}",
    )


def _istio_tokens(status: int, text: str) -> KfpError:
    cause, cure = istio_tokens(text)
    kind = Unauthenticated if status == 401 else Forbidden
    excerpt = text[:100].rstrip(".")
    return kind(
        reason=f"Istio refused the token before KFP saw it ({excerpt}).",
        cause=cause,
        cure=cure,
        server_text=text,
    )


def _objects(status: int, text: str) -> Unreachable:
    return Unreachable(
        reason=f"an object store, such as MinIO, answered instead of KFP (HTTP {status}).",
        cause="The endpoint is the port or the service of the store, and not of KFP.",
        cure=f"KFP's API is at service ml-pipeline, port 8888:\n{named(IN_CLUSTER)}",
        server_text=text,
    )


def _is_googles(location: str) -> bool:
    try:
        return urlsplit(location).hostname == "accounts.google.com"
    except ValueError:
        return False


def _iap(status: int, text: str, at: AskedAddress) -> Unreachable:
    query = parse_qs(urlsplit(at.location).query)
    client = query.get("client_id", [""])[0]
    client = client if _CLIENT_ID.fullmatch(client) else "CLIENT_ID"
    return Unreachable(
        reason=f"Google's sign-in answered in KFP's place (HTTP {status}).",
        cause="Google's Identity-Aware Proxy (IAP) is in front of the endpoint.",
        cure="Set the proxy's client id; the token for it comes from Google's application default "
        f"credentials:\nc.Kfp.iap_client_id = '{client}'",
        server_text=text,
    )


def _elsewhere(status: int, text: str, at: AskedAddress) -> Unreachable:
    found = Unreachable(
        reason=f"the server redirects to {at.elsewhere} (HTTP {status}).",
        cause="A token is only ever sent to the endpoint that is configured.",
        cure=f"If KFP is there, set that as the endpoint:\n{named(at.elsewhere)}",
        server_text=text,
    )
    found.moved = True
    return found


def page(status: int, text: str, at: AskedAddress) -> Unreachable:
    """Return the error for a web page or a redirect, where KFP would have sent JSON."""
    below = f"Behind Kubeflow's dashboard KFP is at {at.below}. " if at.below else ""
    return Unreachable(
        reason=f"what answered is not KFP (HTTP {status}, a web page or a redirect).",
        cause="Usually a login page is in front of the endpoint, or the endpoint is a dashboard's.",
        cure=f"{below}Inside the cluster use KFP's own address, such as {IN_CLUSTER}. "
        "Or sign in: with a user name and password (c.Kfp.login_file), or with the session cookie "
        "of a browser (c.Kfp.cookie_file).",
        server_text=text,
    )


def endpoint_of(address: str) -> str:
    """The endpoint in an address that was copied from a browser."""
    address = address.strip().partition("#")[0].partition("?")[0]
    address = re.sub(r"/apis(/.*)?$", "", address)
    return re.sub(r"/_(/pipeline)?/*$", PREFIX, address).rstrip("/")
