"""The headers that say who we are: the root of all kinds of credentials.

It has no `repr` of a secret, and is sent in the headers that `headers()` gives, nowhere else.
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
LONGEST = 1 << 14  # of a token; servers take no longer headers


class Claims(msgspec.Struct, frozen=True):
    """The claims of a JWT. Decoded, not verified: good for showing, not for trusting."""

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
            return None  # beyond the years that there are


class Credentials(AuthBase):
    """Sends nothing: for a KFP that asks for nothing, and the root of those that do.

    `source` says where they come from, in words; `audience` is whom a token of them is for.
    """

    kind: ClassVar[Kind] = Kind("none")
    source: str = "none"
    audience: str = AUDIENCE
    # Whether KFP sees who is asking; where it does not, only a KFP without tenants answers.
    identifies: ClassVar[bool] = True

    @classmethod
    def chosen(cls, settings: Kfp, place: Place) -> Credentials:
        """Make these as settings say. Raises `Misconfigured` where something is lacking."""
        return cls()

    def headers(self) -> dict[str, str]:
        """Return what to send now. Raises a `KfpError` where it can't be had."""
        return {}

    def refused_by(self, status: int, content_type: str) -> bool:
        """Tell whether an answer says that these are not accepted. Nothing was done then."""
        return status == 401

    def renewed(self, refused: Mapping[str, str]) -> bool:
        """Look again where they come from: whether other headers are sent now than were refused."""
        return False

    @property
    def expires_at(self) -> datetime | None:
        """When they run out, if that is known."""
        return self.claims().expires_at

    @property
    def tls(self) -> Tls | None:
        """Return what the connection is to be made with, if that is part of them."""
        return None

    def claims(self) -> Claims:
        """Return what their token says of itself."""
        return claims(self._token())

    def explained(self, error: KfpError, refused: bool) -> KfpError:
        """Return what went wrong, as these know it; `refused`: it was they that were not
        accepted.
        """
        return error

    @staticmethod
    def not_accepted(error: KfpError, reason: str, cause: str, cure: str) -> Unauthenticated:
        """The same failed attempt, for the reason that they do not say who we are."""
        found = Unauthenticated(
            reason=reason, cause=cause, cure=cure, server_text=error.server_text
        )
        return found.with_(attempt=error.attempt)

    def refresh_api_key_hook(self, config: Any) -> None:
        """Set the token of a request: `kfp.Client(credentials=...)` calls this before each."""
        headers = self.headers()
        if set(headers) - {"Authorization"}:
            raise Misconfigured(
                f"kfp.Client(credentials=...) sends tokens alone, and these are a {self.source}.",
                cure="jupyter_kfp_mt.kfp_client() gives a kfp.Client that sends it.",
            )
        # Whole, for what the SDK would put together is a string that any traceback may show. It
        # sends something in any case: an empty header says as little as none.
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
    """A key that is looked up each time, such as the one a Jupyter server gives its kernels."""

    def __init__(self, key: Callable[[], str], source: str) -> None:
        self._key = key
        self.source = source

    def headers(self) -> dict[str, str]:
        return bearer(self._key())


class Hidden(str):
    """A text that is sent but not shown: tracebacks with values, such as IPython's, print the
    `repr`.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": Hidden(f"Bearer {token}")}


def differ(refused: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    """Tell whether headers are others than those of a request that was refused."""
    return any(refused.get(name) != value for name, value in headers.items())


def one_token(text: str, source: str, cure: str = "") -> str:
    """A token as it was read. Raises `Misconfigured` for anything but one."""
    token = text.strip()
    if not token:
        raise Misconfigured(f"{source} is empty.", cure=cure)
    if not token.isascii() or not token.isprintable() or " " in token or len(token) > LONGEST:
        raise Misconfigured(f"{source} does not hold one token.", cure=cure)
    return token


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


def warnings(found: Claims, audience: str, now: datetime) -> Iterator[str]:
    """Return what is wrong with a token on the face of it."""
    if found.expires_at and found.expires_at <= now:
        yield f"The token expired at {found.expires_at:%Y-%m-%d %H:%M:%S} UTC."
    if found.sub and audience not in found.audiences:
        audiences = ", ".join(found.audiences) or "none"
        yield f"The token is for audience {audiences}, KFP takes {audience}."


def reason(error: Exception) -> str:
    """Tell why a file could not be read, without what is in it."""
    return getattr(error, "strerror", None) or "it is not text"
