"""Credentials that expire and are renewed."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import ClassVar

import msgspec

from .. import intervals
from ..errors import KfpError
from .base import Claims, Credentials, bearer, claims, differ

# The share of a secret's lifetime after which it is renewed.
LIFE_USED = 0.8
# A secret that is expired by our clock may be valid by the server's: it is not renewed each time.
LEAST = timedelta(seconds=1)
# A wall clock that goes back by more than this was set.
STEP = timedelta(minutes=1)
# How long to wait after a failed renewal, or after a new secret that was refused as well.
PATIENCE = intervals.RENEWAL_PAUSE_SECONDS


class Secret(msgspec.Struct, frozen=True):
    """A token or cookie: the headers that carry it, and when it expires, if that is known."""

    headers: dict[str, str]
    expires_at: datetime | None = None
    renew_at: datetime | None = None
    # When it was made, by the wall clock and by the monotonic one.
    made_at: datetime = msgspec.field(default_factory=lambda: _now())
    made: float = msgspec.field(default_factory=time.monotonic)

    def __repr__(self) -> str:
        return f"Secret(expires_at={self.expires_at})"

    @classmethod
    def token(cls, token: str, expires_at: datetime | None = None) -> Secret:
        """A bearer token; a JWT says itself when it expires."""
        return cls.lasting(bearer(token), expires_at or claims(token).expires_at)

    @classmethod
    def lasting(cls, headers: dict[str, str], expires_at: datetime | None) -> Secret:
        """A secret that was made just now."""
        if expires_at is None:
            return cls(headers)
        now = _now()
        return cls(headers, expires_at, now + max((expires_at - now) * LIFE_USED, LEAST))

    @property
    def valid(self) -> bool:
        return self.expires_at is None or _now() < self.expires_at

    @property
    def fresh(self) -> bool:
        """Tell by two clocks if it need not be renewed yet: the wall clock may be set, and the
        monotonic one stops while the machine sleeps.
        """
        if self.renew_at is None:
            return True
        life = (self.renew_at - self.made_at).total_seconds()
        in_time = self.made_at - STEP < _now() < self.renew_at
        return in_time and time.monotonic() - self.made < life


class Renewed(Credentials):
    """Keeps a secret and renews it before it expires.

    One thread renews at a time. Meanwhile, or if that fails, the old secret is used as long as it
    is valid.
    """

    # How long a secret of unknown expiry is kept.
    unknown_life: ClassVar[timedelta | None] = None

    def __init__(self, source: str) -> None:
        self.source = source
        self._secret: Secret | None = None
        self._lock = threading.Lock()
        self._failure: tuple[float, KfpError] | None = None
        self._refused_at = float("-inf")

    @abstractmethod
    def renew(self) -> Secret:
        """Return a new secret. Raises a `KfpError` that says why there is none."""

    def headers(self) -> dict[str, str]:
        return self._current().headers

    @property
    def expires_at(self) -> datetime | None:
        return self._current().expires_at

    def claims(self) -> Claims:
        found = super().claims()
        expires_at = self.expires_at
        exp = expires_at.timestamp() if expires_at else found.exp
        return msgspec.structs.replace(found, exp=exp)

    def explained(self, error: KfpError, refused: bool) -> KfpError:
        if not refused:
            return error
        cause = error.cause
        cure = f"The token came from the {self.source}; its audience must be {self.audience}."
        if self._failure:
            why = self._failure[1]
            cause, cure = f"{cause} A new one failed: {why.message}", why.cure or cure
        return error.with_(cause=cause, cure=cure)

    def renewed(self, refused: Mapping[str, str]) -> bool:
        with self._lock:
            if self._secret and differ(refused, self._secret.headers):
                return True  # another thread has renewed it
            if time.monotonic() - self._refused_at < PATIENCE:
                return False  # the last new one was refused as well
            self._refused_at = time.monotonic()
            return differ(refused, self._renew().headers)

    def _current(self) -> Secret:
        secret = self._secret
        if secret and secret.fresh:
            return secret
        if not self._lock.acquire(blocking=not (secret and secret.valid)):
            assert secret is not None
            return secret
        try:
            return self._renewed_in_time()
        finally:
            self._lock.release()

    def _renewed_in_time(self) -> Secret:
        secret = self._secret
        if secret and secret.fresh:
            return secret
        try:
            return self._renew()
        except KfpError:
            if secret and secret.valid:
                return secret
            raise

    def _renew(self) -> Secret:
        """Make a new secret, unless that failed just now."""
        if self._failure and time.monotonic() - self._failure[0] < PATIENCE:
            raise self._failure[1].with_traceback(None)
        try:
            secret = self.renew()
        except KfpError as error:
            self._failure = (time.monotonic(), error)
            raise
        if secret.expires_at is None and self.unknown_life:
            secret = msgspec.structs.replace(secret, renew_at=_now() + self.unknown_life)
        self._secret, self._failure = secret, None
        return secret


def _now() -> datetime:
    return datetime.now(timezone.utc)
