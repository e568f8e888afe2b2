"""A kind of credentials, as its class declares it: its name, its settings, and how it is made."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import msgspec

from ..errors import Misconfigured
from ..settings import Kfp, variable

# The kfp SDK's own variable for a token file.
STANDARD = "KF_PIPELINES_SA_TOKEN_PATH"


class Kind(msgspec.Struct, frozen=True):
    """One kind: its name in `c.Kfp.auth`, and the settings that select or refine it.

    A setting in `asked_by` selects it; one in `beside` refines it, once `auth` or one of the former
    has selected it. `held_in` are environment variables that contain the secret itself. Kinds that
    are `of_clusters` make no sense for the local KFP.
    """

    name: str
    asked_by: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    held_in: tuple[str, ...] = ()
    of_clusters: bool = False

    def needed(self, settings: Kfp, name: str) -> str:
        """The value of a setting that this kind requires. Raises `Misconfigured` without it."""
        return settings.value(name) or self._raise(f"c.Kfp.{name} or {variable(name)}")

    def lacking(self, what: str) -> Misconfigured:
        return Misconfigured(
            f"Credentials of kind {self.name} need another setting.", cure=f"Set {what}."
        )

    def _raise(self, what: str) -> str:
        raise self.lacking(what)


class TokenIssuer(Protocol):
    """The part of a Kubernetes API that issues tokens for service accounts."""

    def request_token(
        self, namespace: str, service_account: str, audience: str, seconds: float
    ) -> tuple[str, datetime]: ...


class Pod(Protocol):
    """The pod that this process runs in."""

    def is_here(self) -> bool: ...
    def projected_token(self) -> Path: ...
    def service_account_folder(self) -> Path: ...


K = TypeVar("K")


class KeptCredentials:
    """Credentials that are expensive to make, kept under keys of what they were made from.

    With them, a repeated choice neither runs a kubeconfig's plugin nor requests another token. The
    owner decides how long they live: `clear` drops all of them with their secrets.
    """

    MOST = 16

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def one(self, key: Hashable, make: Callable[[], K]) -> K:
        """Return the credentials kept under `key`, made now if there are none."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return cast(K, self._kept[key])
        made = make()  # without the lock, as it may take a while
        with self._lock:
            found = self._kept.setdefault(key, made)
            while len(self._kept) > self.MOST:
                self._kept.popitem(last=False)
            return cast(K, found)

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()


class Place(msgspec.Struct, frozen=True):
    """The place where credentials will be used, and what they can be made from there.

    `issuer` opens the Kubernetes API for a service account's folder, or else for a kubeconfig's
    file and context.
    """

    endpoint: str
    namespace: str
    pod: Pod
    issuer: Callable[[str, str, str], TokenIssuer]
    kept: KeptCredentials


def kubeconfig_now(settings: Kfp) -> tuple[str, str, object]:
    """The file and context of a kubeconfig, and a value that changes when the file does."""
    file, context = settings.value("kubeconfig"), settings.value("kube_context")
    searched = file or os.environ.get("KUBECONFIG") or "~/.kube/config"
    paths = [Path(path).expanduser() for path in searched.split(os.pathsep)]
    return file, context, tuple((path, _changed_at(path)) for path in paths)


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
