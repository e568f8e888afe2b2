"""The Jupyter server's door to KFP, as one of its kernels finds it.

A kernel is a child of the server. Its environment has the door's address, on this machine's
loopback, and the file with the key, which the server renews.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import requests
from urllib3.exceptions import HTTPError

from .. import intervals, refusal_causes
from ..attempts import attempting
from ..credentials.base import reason
from ..errors import Unreachable
from ..intervals import CONNECT_SECONDS, READ_SECONDS
from ..network.bodies import whole
from ..network.no_answer_errors import no_answer
from ..network.sessions import new_session
from ..scrubbing import scrubbed
from .status import ConnectionStatus, NamespaceInUse

_VARIABLES = ("KFP_MT_DOOR", "KFP_MT_DOOR_KEY_FILE")
_GONE = "Has it stopped, or been started anew? Then restart this kernel."
READY_SECONDS = intervals.READY_SECONDS

T = TypeVar("T")


class Door(msgspec.Struct, frozen=True):
    """The door's address, and the file with its key."""

    address: str
    key_file: str

    @property
    def key(self) -> str:
        """The key as it is now. Raises `Unreachable` where it is not there any more."""
        try:
            return Path(self.key_file).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise Unreachable(
                f"The Jupyter server's key for this kernel cannot be read: {reason(error)}.",
                cause=f"It is in {self.key_file} while the server runs.",
                cure=_GONE,
            ) from None

    @classmethod
    def of_this_process(cls) -> Door | None:
        """The door that this process was given, if it was."""
        values = [os.environ.get(name, "") for name in _VARIABLES]
        return cls(*values) if values[0] else None

    def open(self) -> None:
        """Pass it on to processes that this one starts from now on."""
        os.environ.update(zip(_VARIABLES, msgspec.structs.astuple(self), strict=True))

    def shut(self) -> None:
        """Stop passing it on."""
        if os.environ.get(_VARIABLES[1]) == self.key_file:
            for name in _VARIABLES:
                del os.environ[name]

    def session(self) -> requests.Session:
        """Return a session for requests to it, which use no proxy."""
        return new_session(trust_environment=False)

    def get(self, session: requests.Session, path: str, **options: Any) -> requests.Response:
        """Return its answer to a GET with the key, without following redirects."""
        return self._send(session, "GET", path, **options)

    def ask(
        self,
        kind: type[T],
        path: str,
        query: Mapping[str, str] | None = None,
        method: str = "GET",
        seconds: float = READ_SECONDS,
    ) -> T:
        """Its answer. Raises a `KfpError`."""
        sent = {name: text for name, text in (query or {}).items() if text}
        timeout = (CONNECT_SECONDS, seconds)
        try:
            with self.session() as session:
                answer = self._send(
                    session, method, path, params=sent, timeout=timeout, stream=True
                )
                body = whole(answer.raw, seconds)
            if answer.status_code == 200:
                return msgspec.json.decode(body, type=kind)
        except (OSError, HTTPError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise no_answer(self.address, error, _GONE, timeout) from None
        raise refusal_causes.refusal(answer.status_code, scrubbed(answer, body))

    def status(self) -> ConnectionStatus:
        """Return the status of its connection, once there is one. Raises `Unreachable`."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            with attempting("ask the Jupyter server"):
                status = self.ask(ConnectionStatus, "status", seconds=intervals.ASK_STATUS_SECONDS)
            if status.ready or time.monotonic() > deadline:
                return status

    def namespace(self) -> NamespaceInUse:
        """Return the namespace in use in the Jupyter server, and those of its kernels' own."""
        with attempting("ask for the namespace in use"):
            return self.ask(NamespaceInUse, "namespace")

    def choose_namespace(self, namespace: str, kernel: str = "") -> NamespaceInUse:
        """Have a namespace used in the Jupyter server, or in one kernel; without one the usual."""
        asked = f"use namespace {namespace}" if namespace else "use the usual namespace"
        query = {"namespace": namespace, "kernel": kernel}
        with attempting(asked):
            return self.ask(NamespaceInUse, "namespace", query, "PUT")

    def _send(
        self, session: requests.Session, method: str, path: str, **options: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        url = f"{self.address}/{path}"
        return session.request(method, url, headers=headers, allow_redirects=False, **options)
