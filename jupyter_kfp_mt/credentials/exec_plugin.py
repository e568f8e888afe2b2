"""The credential plugin of a kubeconfig: a program that prints a token or a certificate.

Its protocol is `client.authentication.k8s.io`.
"""

from __future__ import annotations

import base64
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ..errors import Misconfigured
from .base import one_token
from .run_program import printed

_CURE = (
    "To see its messages, run `kubectl get namespaces` in a terminal, which calls it, too. Here it "
    "has no terminal: if it asks you to log in, do that there first."
)


class _Variable(msgspec.Struct, frozen=True):
    name: str
    value: str


class ExecPlugin(msgspec.Struct, frozen=True, rename="camel"):
    """A plugin as a kubeconfig describes it."""

    command: str
    api_version: str
    args: list[str] | None = None
    env: list[_Variable] | None = None
    interactive_mode: str = ""

    def __repr__(self) -> str:
        return f"ExecPlugin({self.command})"

    def credential(self, source: str, folder: Path, seconds: float) -> Credential:
        """Run it and return its credential. Raises `Misconfigured`, without any of its output."""
        what = f"The plugin {self.command} of the {source}"
        if self.interactive_mode == "Always":
            raise Misconfigured(f"{what} needs a terminal, and there is none here.", cure=_CURE)
        wanted = {"apiVersion": self.api_version, "kind": "ExecCredential"}
        info = msgspec.json.encode({**wanted, "spec": {"interactive": False}}).decode()
        variables = {variable.name: variable.value for variable in self.env or []}
        variables["KUBERNETES_EXEC_INFO"] = info
        words = [self.command, *(self.args or [])]
        text = printed(words, what, _CURE, seconds, variables, folder)
        try:
            found = msgspec.json.decode(text, type=_Printed)
        except (msgspec.DecodeError, UnicodeDecodeError):
            found = None
        if found is None or found.api_version != self.api_version:
            raise Misconfigured(
                f"{what} did not print an ExecCredential of {self.api_version}.", cure=_CURE
            )
        if found.status.token:
            one_token(found.status.token, f"The token of the plugin {self.command}", _CURE)
        elif not (found.status.client_certificate_data and found.status.client_key_data):
            raise Misconfigured(f"{what} printed neither a token nor a certificate.", cure=_CURE)
        return found.status


class Credential(msgspec.Struct, frozen=True, rename="camel"):
    """A token, or a certificate with its key; and the time at which it expires, if known."""

    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None

    def __repr__(self) -> str:
        return f"Credential(expiration_timestamp={self.expiration_timestamp})"

    def as_user(self) -> dict[str, Any]:
        """The fields of a kubeconfig's user that carry it."""
        if self.token:
            return {"token": self.token}
        return {
            "client-certificate-data": _encoded(self.client_certificate_data),
            "client-key-data": _encoded(self.client_key_data),
        }


class _Printed(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str
    status: Credential


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
