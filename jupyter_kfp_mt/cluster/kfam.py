"""Kubeflow's access management service (kfam), which lists and changes contributors.

Only the cluster's network limits who can call it: it answers everybody, and trusts the header in
which a request names its sender. So the header is sent only with changes, and only with a name from
a trusted source.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import requests
from urllib3.exceptions import HTTPError

from .. import intervals
from ..attempts import attempting
from ..errors import Forbidden, Misconfigured, Refused, Unreachable
from ..network.bodies import BodyTooLong, whole
from .access_manifests import USER_HEADER

IN_CLUSTER_ENDPOINT = "http://profiles-kfam.kubeflow.svc.cluster.local:8081"
SECONDS = intervals.KFAM_SECONDS


class _User(msgspec.Struct, frozen=True):
    name: str
    kind: str = "User"


class _RoleReference(msgspec.Struct, frozen=True):
    name: str
    kind: str = "ClusterRole"


class Binding(msgspec.Struct, frozen=True, rename="camel"):
    """A contributor: `role` is admin (the owner), edit or view."""

    user_: _User = msgspec.field(name="user")
    referred_namespace: str
    # The service reads it in upper or lower case, and writes it like this.
    role_ref: _RoleReference = msgspec.field(name="RoleRef")

    @classmethod
    def of(cls, user: str, namespace: str, role: str) -> Binding:
        return cls(_User(user), namespace, _RoleReference(role))

    @property
    def user(self) -> str:
        return self.user_.name

    @property
    def namespace(self) -> str:
        return self.referred_namespace

    @property
    def role(self) -> str:
        return self.role_ref.name


class _Bindings(msgspec.Struct, frozen=True):
    bindings: list[Binding] = []


class Kfam:
    """The service at `endpoint`. Every method raises `Unreachable` or `Refused`."""

    def __init__(self, endpoint: str) -> None:
        if not re.fullmatch(r"https?://[^/@\s]+(/[^@\s]*)?", endpoint):
            raise Misconfigured(
                "c.Kfp.kfam_endpoint is not an address of Kubeflow's access management.",
                cure=f"It needs a scheme and no password, such as {IN_CLUSTER_ENDPOINT}.",
            )
        self.endpoint = endpoint.rstrip("/")

    def bindings(self, namespace: str = "", user: str = "", role: str = "") -> list[Binding]:
        """Return the bindings of a namespace, a user and a role; without one of them, of all."""
        query = {"namespace": namespace, "user": user, "role": role}
        with attempting(f"list the contributors of {namespace or 'every namespace'}"):
            answer = self._request("GET", params={key: query[key] for key in query if query[key]})
            try:
                return msgspec.json.decode(answer, type=_Bindings).bindings
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise Unreachable(reason=f"what answered at {self.endpoint} is not kfam.") from None

    def owner(self, namespace: str) -> str:
        """Return the owner of a namespace's profile; empty if the service does not say."""
        owners = self.bindings(namespace, role="admin")
        return owners[0].user if owners else ""

    def add(self, binding: Binding, sender: str) -> None:
        """Add a contributor in the name of `sender`, the namespace's owner."""
        with attempting(f"add {binding.user} to {binding.namespace}"):
            self._request("POST", sender, data=msgspec.json.encode(binding))

    def remove(self, binding: Binding, sender: str) -> None:
        with attempting(f"remove {binding.user} from {binding.namespace}"):
            self._request("DELETE", sender, data=msgspec.json.encode(binding))

    def _request(self, method: str, sender: str = "", **options: Any) -> bytes:
        headers = {"Content-Type": "application/json"} | ({USER_HEADER: sender} if sender else {})
        url = f"{self.endpoint}/kfam/v1/bindings"
        try:
            with requests.Session() as session:
                session.trust_env = False
                options |= {"timeout": SECONDS, "allow_redirects": False, "stream": True}
                answer = session.request(method, url, headers=headers, **options)
                body = whole(answer.raw, SECONDS)
        except (OSError, HTTPError) as error:
            raise Unreachable(
                reason=f"no answer from Kubeflow's access management at {self.endpoint} "
                f"({_cause(error)}).",
                cause="By default, Kubeflow lets only its dashboard reach it.",
                cure="Use the Kubeflow dashboard instead, under Manage Contributors.",
            ) from None
        if answer.status_code != 200:
            raise _refusal(answer.status_code, body, sender)
        return body


def _refusal(status: int, body: bytes, sender: str) -> Refused:
    text = body.decode("utf-8", "replace")[:1000].strip()
    if "RBAC: access denied" in text:
        cause = "Istio lets only the Kubeflow dashboard reach Kubeflow's access management."
    elif text:
        cause = f"Kubeflow's access management says: {text}"
    else:
        cause = f"{sender or 'Nobody'} is not the owner of that namespace."
    kind = Forbidden if status in (401, 403) else Refused
    return kind(reason="it was refused.", cause=cause, server_text=text)


def _cause(error: Exception) -> str:
    if isinstance(error, BodyTooLong):
        return str(error)
    if isinstance(error, requests.Timeout):
        return f"none in {SECONDS:g} s"
    return "it cannot be reached" if isinstance(error, requests.ConnectionError) else "not HTTP"
