"""The base of all kinds of credentials: the headers that carry an identity.

A secret has no `repr`, and is sent only in the headers that `headers()` returns.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from requests import PreparedRequest
from requests.auth import AuthBase

from ..errors import KfpError, Misconfigured, Unauthenticated
from ..network.tls import Tls
from ..settings import Kfp
from .kinds import Kind, Place

AUDIENCE = "pipelines.kubeflow.org"
LONGEST = 1 << 14  # bytes of a token: servers accept no longer headers


class Claims(msgspec.Struct, frozen=True):
    """The claims of a JWT, decoded but not verified: to be shown, not to be trusted."""

    sub: str = ""
    aud: str | list[str] = ""
    exp: float = 0
    iat: float = 0
    email: str = ""

    @property
    def audiences(self) -> list[str]:
        return [self.aud] if isinstance(self.aud, str) else self.aud

    @property
    def expires_at(self) -> datetime | None:
        try:
            return datetime.fromtimestamp(self.exp, timezone.utc) if self.exp else None
        except (OverflowError, OSError, ValueError):
            return None  # outside the range of datetime


class Credentials(AuthBase):
    """No credentials, for a KFP that needs none; the base class of all other kinds.

    `source` says where they come from; `audience` is the audience of their token.
    """

    kind: ClassVar[Kind] = Kind("none")
    source: str = "none"
    audience: str = AUDIENCE
    # Whether KFP sees an identity; without one, only a single-user KFP answers.
    identifies: ClassVar[bool] = True

    @classmethod
    def chosen(cls, settings: Kfp, place: Place) -> Credentials:
        """Make credentials from settings. Raises `Misconfigured` if something is missing."""
        return cls()

    def headers(self) -> dict[str, str]:
        """Return the headers to send now. Raises a `KfpError` if they cannot be obtained."""
        return {}

    def refused_by(self, status: int, content_type: str) -> bool:
        """Tell whether an answer rejects these credentials, so that the request had no effect."""
        return status == 401

    def renewed(self, refused: Mapping[str, str]) -> bool:
        """Renew the credentials; return whether their headers differ from the refused ones."""
        return False

    @property
    def expires_at(self) -> datetime | None:
        """The time at which they expire; None if it is not known."""
        return self.claims().expires_at

    @property
    def tls(self) -> Tls | None:
        """Return the TLS settings that belong to them, if any."""
        return None

    def claims(self) -> Claims:
        """Return the claims of their token."""
        return claims(self._token())

    def explained(self, error: KfpError, refused: bool) -> KfpError:
        """Return the error with the cause and cure that these credentials know; `refused` tells
        whether they were rejected.
        """
        return error

    @staticmethod
    def not_accepted(error: KfpError, reason: str, cause: str, cure: str) -> Unauthenticated:
        """Return an error about the same attempt that says that these were rejected."""
        found = Unauthenticated(
            reason=reason, cause=cause, cure=cure, server_text=error.server_text
        )
        return found.with_(attempt=error.attempt)

    def refresh_api_key_hook(self, config: Any) -> None:
        """Set the token of a request: `kfp.Client(credentials=...)` calls this before each."""
        headers = self.headers()
        if set(headers) - {"Authorization"}:
            raise Misconfigured(
                f"kfp.Client(credentials=...) can only send tokens, and these are a {self.source}.",
                cure="jupyter_kfp_mt.kfp_client() returns a kfp.Client that sends it.",
            )
        # The whole header: from a prefix and a token, the SDK would build a plain string, which
        # tracebacks show. The SDK always sends the header; KFP ignores an empty one.
        config.api_key["authorization"] = headers.get("Authorization", " ")
        config.api_key_prefix.pop("authorization", None)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers.update(self.headers())
        return request

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source})"

    def _token(self) -> str:
        return self.headers().get("Authorization", "").removeprefix("Bearer ")


class Key(Credentials):
    """A key that is read for each request, such as the key of a Jupyter server's kernels."""

    def __init__(self, key: Callable[[], str], source: str) -> None:
        self._key = key
        self.source = source

    def headers(self) -> dict[str, str]:
        return bearer(self._key())


class Hidden(str):
    """A secret text; its `repr`, which tracebacks such as IPython's print, does not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": Hidden(f"Bearer {token}")}


def differ(refused: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    """Tell whether headers differ from those of a refused request."""
    return any(refused.get(name) != value for name, value in headers.items())


def one_token(text: str, source: str, cure: str = "") -> str:
    """Return the token in a text. Raises `Misconfigured` if the text is not exactly one token."""
    token = text.strip()
    if not token:
        raise Misconfigured(f"{source} is empty.", cure=cure)
    if not token.isascii() or not token.isprintable() or " " in token or len(token) > LONGEST:
        raise Misconfigured(f"{source} is not a single token.", cure=cure)
    return token


def claims(token: str) -> Claims:
    """The claims of a JWT; empty for any other token."""
    try:
        payload = token.split(".")[1]
        return msgspec.json.decode(
            base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=Claims
        )
    except (IndexError, binascii.Error, msgspec.DecodeError, ValueError):
        return Claims()


def shown(path: Path) -> str:
    """A path for messages, with the home folder as `~`."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)


def warnings(found: Claims, audience: str, now: datetime) -> Iterator[str]:
    """Yield what is wrong with a token according to its own claims."""
    if found.expires_at and found.expires_at <= now:
        yield f"The token expired at {found.expires_at:%Y-%m-%d %H:%M:%S} UTC."
    if found.sub and audience not in found.audiences:
        audiences = ", ".join(found.audiences) or "none"
        yield f"The token is for audience {audiences}, and KFP accepts {audience}."


def reason(error: Exception) -> str:
    """Tell why a file could not be read, without showing its content."""
    return getattr(error, "strerror", None) or "it is not text"
