"""Identities of callers: the tokens that this server issues and verifies."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import jwt
from tornado.httputil import HTTPHeaders

from ..data.data_folder import UNFINISHED, private_folder, write_private
from ..wire.api_errors import UNAUTHENTICATED, ApiError, bad_request, unauthenticated, wrapped
from .profiles import Profiles, subject_of

AUDIENCE = "pipelines.kubeflow.org"
ISSUER = "jupyter-kfp-mt"
LIFETIME = 3600.0
# How long a token that was replaced too late is still accepted.
LATE_SECONDS = 60.0

# The gateway passes on those characters of a trusted header that gRPC's metadata may contain.
_PRINTABLE = re.compile(r"[ -~]*")
_ANYTHING = re.compile(r".*", re.DOTALL)

# Finds the caller's name in a request's headers, or raises the reason of a failure.
Authenticator = Callable[[HTTPHeaders], str]


class Caller:
    """The sender of a request, identified only when needed: much may be read anonymously."""

    def __init__(self, headers: HTTPHeaders, authenticators: Sequence[Authenticator]):
        self._headers = headers
        self._authenticators = authenticators
        self.name = ""

    def identity(self) -> str:
        reasons: list[str] = []
        for authenticate in self._authenticators:
            try:
                self.name = authenticate(self._headers)
                return self.name
            except ApiError as error:
                reasons.append(error.message)
        raise unauthenticated(
            "Failed to check authorization. User identity is empty in the request header",
            _aggregate(reasons),
        )


def _aggregate(reasons: list[str]) -> str:
    """Join several reasons as Kubernetes does."""
    distinct = list(dict.fromkeys(reasons))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]"


class TrustedHeader:
    """Trust the header in which a proxy names the caller; without a header name, none."""

    def __init__(self, name: str = "", prefix: str = ""):
        self._name = name
        self._prefix = prefix

    def __call__(self, headers: HTTPHeaders) -> str:
        value = _single(headers, self._name, prefix=self._prefix, readable=_PRINTABLE)
        return value or _missing()


def _missing() -> NoReturn:
    text = "Request header error: there is no user identity header."
    raise unauthenticated(text, text)


class BearerToken:
    """Verify the tokens of this server, with the messages of a Kubernetes token review.

    `replaced_late` returns True for an expired token whose holder could not have had another.
    """

    def __init__(
        self,
        key: bytes,
        profiles: Profiles,
        replaced_late: Callable[[str], bool] = lambda token: False,
        clock: Callable[[], float] = time.time,
    ):
        self._key = key
        self._replaced_late = replaced_late
        self._clock = clock
        self._subjects = profiles.subjects()

    def __call__(self, headers: HTTPHeaders) -> str:
        token = _single(headers, "Authorization", prefix="Bearer ")
        with wrapped("Authentication failure"):
            return self._review(token)

    def _review(self, token: str) -> str:
        claims = self._claims(token)
        audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if AUDIENCE not in audiences:
            raise _not_authenticated(
                f"[invalid bearer token, token audiences {_quoted(audiences)} is invalid for the "
                f"target audiences {_quoted([AUDIENCE])}]"
            )
        subject = claims["sub"]
        if subject not in self._subjects:
            raise _not_authenticated("invalid bearer token, its subject is in no profile")
        return str(subject)

    def _claims(self, token: str) -> dict[str, object]:
        options: jwt.types.Options = {
            "require": ["aud", "exp", "iat", "sub"],
            "verify_aud": False,  # checked above, with a message of its own
            "verify_exp": False,  # checked below
            "verify_iat": False,  # ours, perhaps made before the clock was set back
        }
        try:
            claims = jwt.decode(token, self._key, ["HS256"], options=options, issuer=ISSUER)
            expired = int(claims["exp"]) <= self._clock()
        except (jwt.PyJWTError, RecursionError, ValueError, TypeError):
            raise _not_authenticated("invalid bearer token") from None
        if expired and not self._replaced_late(token):
            raise _not_authenticated("[invalid bearer token, service account token has expired]")
        return claims


def _single(
    headers: HTTPHeaders, name: str, *, prefix: str, readable: re.Pattern[str] = _ANYTHING
) -> str:
    values = [*filter(readable.fullmatch, headers.get_list(name) if name else [])]
    if not values:
        _missing()
    if len(values) > 1:
        raise bad_request(
            f"Request header error: unexpected number of '{name}' headers. "
            f"Expect 1 got {len(values)}"
        )
    if not values[0].startswith(prefix):
        raise bad_request(f"Header '{name}' is incorrectly formatted. Expected prefix '{prefix}'")
    return values[0].removeprefix(prefix)


def _quoted(texts: Iterable[object]) -> str:
    """A list of texts in Go's format."""
    return f"[{' '.join(json.dumps(str(text), ensure_ascii=False) for text in texts)}]"


def _not_authenticated(reason: str) -> ApiError:
    text = f"Review.Status.Authenticated is false. Error {reason}"
    message = f"Unauthenticated: {text}: Failed to authenticate token review"
    return ApiError(UNAUTHENTICATED, text, message)


class IssuedTokens:
    """A token file for everyone in the profiles, rotated as by a kubelet.

    Each is in a folder of its own for mounting into containers: a file mounted by itself would not
    change when it is replaced.
    """

    def __init__(
        self,
        folder: Path,
        key: bytes,
        profiles: Profiles,
        lifetime: float = LIFETIME,
        clock: Callable[[], float] = time.time,
    ):
        self._folder = folder
        self._key = key
        self._lifetime = lifetime
        self._clock = clock
        self._made_at = float("-inf")
        self._made: set[str] = set()
        # Tokens that expired before they were replaced, and when they were, by the monotonic
        # clock.
        self._late: set[str] = set()
        self._late_at = 0.0
        self._files = {folder / "users" / user / "token": user for user in profiles.users()}
        for namespace, name in profiles.service_accounts():
            self._files[self.file(namespace, name)] = subject_of(namespace, name)

    def file(self, namespace: str, service_account: str) -> Path:
        return self._folder / namespace / service_account / "token"

    def renew(self) -> None:
        """Replace all tokens after four fifths of their lifetime, or if the clock was set back."""
        now = self._clock()
        if self._made_at <= now < self._made_at + 0.8 * self._lifetime:
            return
        made = {path: self._token(subject, now) for path, subject in self._files.items()}
        for path, token in made.items():
            private_folder(path.parent.parent)
            private_folder(path.parent)
            write_private(path, token)
        if now >= self._made_at + self._lifetime:
            self._late, self._late_at = self._made, time.monotonic()
        self._made_at, self._made = now, set(made.values())

    def replaced_late(self, token: str) -> bool:
        """Return True if a token had already expired when it was recently replaced.

        This happens when the machine has slept or its clock was set: a client that read the token
        a moment ago is not at fault, and is not refused.
        """
        return token in self._late and time.monotonic() - self._late_at < LATE_SECONDS

    def remove_strangers(self) -> None:
        """Remove the tokens of users who are no longer in a profile, and nothing else."""
        for pattern in ("token", f"{UNFINISHED}*"):
            for path in self._folder.glob(f"*/*/{pattern}"):
                folders = (path.parent, path.parent.parent)
                linked = any(each.is_symlink() for each in (path, *folders))
                if path not in self._files and path.is_file() and not linked:
                    path.unlink()
                    _remove_empty(folders)

    def _token(self, subject: str, now: float) -> str:
        claims = {
            "iss": ISSUER,
            "aud": [AUDIENCE],
            "sub": subject,
            "iat": int(now),
            "exp": int(now + self._lifetime),
            "jti": secrets.token_hex(8),
        }
        return jwt.encode(claims, self._key, "HS256")


def _remove_empty(folders: Iterable[Path]) -> None:
    with contextlib.suppress(OSError):  # it is not empty
        for folder in folders:
            folder.rmdir()
