"""Where a token comes from, and when to read it again.

A credential is a `requests` authentication object: it puts its token into one header and nowhere
else. It has no `repr` of the token, and the SDK can use it too (`refresh_api_key_hook`).
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
from requests import PreparedRequest
from requests.auth import AuthBase

from .errors import Misconfigured

# Where Kubeflow's PodDefault `access-ml-pipeline` projects a token for KFP (kfp SDK,
# set_volume_credentials.py).
PROJECTED_TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")
AUDIENCE = "pipelines.kubeflow.org"


class Claims(msgspec.Struct, frozen=True):
    """What a JWT says of itself. Decoded, not verified: good for showing, not for trusting."""

    sub: str = ""
    aud: str | list[str] = ""
    exp: float = 0

    @property
    def audiences(self) -> list[str]:
        return [self.aud] if isinstance(self.aud, str) else self.aud

    @property
    def expires_at(self) -> datetime | None:
        try:
            return datetime.fromtimestamp(self.exp, timezone.utc) if self.exp else None
        except (OverflowError, OSError, ValueError):
            return None  # beyond the years that there are


class Credentials(AuthBase):
    """Sends no token: for a KFP that asks for none, and the root of those that do."""

    source = "none"

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        token = self.token()
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source})"

    def token(self) -> str:
        """The token to send now, empty for none. Raises `Misconfigured` where it can't be had."""
        return ""

    def renewed(self, refused: PreparedRequest) -> bool:
        """Look again where the token comes from: whether it is another than was refused."""
        return False

    def refresh_api_key_hook(self, config: Any) -> None:
        """What `kfp.Client(credentials=...)` calls before each request."""
        config.api_key["authorization"] = self.token()
        config.api_key_prefix["authorization"] = "Bearer"


class Key(Credentials):
    """A key that does not change, such as the one a Jupyter server gives its kernels."""

    def __init__(self, key: str, source: str) -> None:
        self._key = key
        self.source = source

    def token(self) -> str:
        return self._key


class TokenFile(Credentials):
    """The token in a file, read again whenever the file has changed, as a kubelet replaces it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self.source = f"token file {shown(self.path)}"
        self._seen: tuple[int, int] | None = None
        self._token = ""

    def token(self) -> str:
        try:
            found = self.path.stat()
            if (found.st_mtime_ns, found.st_ino) != self._seen:
                self._token = self.path.read_text(encoding="ascii").strip()
                self._seen = (found.st_mtime_ns, found.st_ino)
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(
                f"The token file {shown(self.path)} cannot be read: {_reason(error)}.",
                cure="Point c.Kfp.token_file or KF_PIPELINES_SA_TOKEN_PATH at a readable one.",
            ) from None
        if not self._token:
            raise Misconfigured(f"The token file {shown(self.path)} is empty.")
        if any(character.isspace() for character in self._token):
            raise Misconfigured(f"The token file {shown(self.path)} does not hold one token.")
        return self._token

    def renewed(self, refused: PreparedRequest) -> bool:
        self._seen = None
        return refused.headers.get("Authorization") != f"Bearer {self.token()}"


def claims(token: str) -> Claims:
    """The claims of a JWT; empty ones if it is none."""
    try:
        payload = token.split(".")[1]
        return msgspec.json.decode(
            base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=Claims
        )
    except (IndexError, binascii.Error, msgspec.DecodeError, ValueError):
        return Claims()


def shown(path: Path) -> str:
    """A path as a person reads it: the home folder as `~`."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)


def warnings(found: Claims, now: datetime) -> Iterator[str]:
    """What is wrong with a token on the face of it."""
    if found.expires_at and found.expires_at <= now:
        yield f"The token expired at {found.expires_at:%Y-%m-%d %H:%M:%S} UTC."
    if found.sub and AUDIENCE not in found.audiences:
        audiences = ", ".join(found.audiences) or "none"
        yield f"The token is for audience {audiences}, KFP takes {AUDIENCE}."


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or "it is not text"
