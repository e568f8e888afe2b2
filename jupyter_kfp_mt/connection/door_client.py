"""The client of the Jupyter server's door to KFP, for the server's kernels.

A kernel is a child process of the server. Its environment has the door's address on the loopback
interface, and the path of the file with the key, which the server renews.
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
_GONE = "If it has stopped or was restarted, restart this kernel."
READY_SECONDS = intervals.READY_SECONDS

T = TypeVar("T")


class Door(msgspec.Struct, frozen=True):
    """The door's address, and the file with its key."""

    address: str
    key_file: str

    @property
    def key(self) -> str:
        """The current key. Raises `Unreachable` if its file no longer exists."""
        try:
            return Path(self.key_file).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise Unreachable(
                f"The Jupyter server's key for this kernel cannot be read: {reason(error)}.",
                cause=f"It is in {self.key_file} as long as the server runs.",
                cure=_GONE,
            ) from None

    @classmethod
    def of_this_process(cls) -> Door | None:
        """The door that the environment of this process names; None if it names none."""
        values = [os.environ.get(name, "") for name in _VARIABLES]
        return cls(*values) if values[0] else None

    def open(self) -> None:
        """Put the door into the environment of processes that this one will start."""
        os.environ.update(zip(_VARIABLES, msgspec.structs.astuple(self), strict=True))

    def shut(self) -> None:
        """Remove the door from the environment."""
        if os.environ.get(_VARIABLES[1]) == self.key_file:
            for name in _VARIABLES:
                del os.environ[name]

    def session(self) -> requests.Session:
        """Return a session for requests to the door, which use no proxy."""
        return new_session(trust_environment=False)

    def get(self, session: requests.Session, path: str, **options: Any) -> requests.Response:
        """Send a GET with the key, and return the answer; redirects are not followed."""
        return self._send(session, "GET", path, **options)

    def ask(
        self,
        kind: type[T],
        path: str,
        query: Mapping[str, str] | None = None,
        method: str = "GET",
        seconds: float = READ_SECONDS,
    ) -> T:
        """Send a request, and return the decoded answer. Raises a `KfpError`."""
        params = {name: text for name, text in (query or {}).items() if text}
        timeout = (CONNECT_SECONDS, seconds)
        try:
            with self.session() as session:
                answer = self._send(
                    session, method, path, params=params, timeout=timeout, stream=True
                )
                body = whole(answer.raw, seconds)
            if answer.status_code == 200:
                return msgspec.json.decode(body, type=kind)
        except (OSError, HTTPError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise no_answer(self.address, error, _GONE, timeout) from None
        raise refusal_causes.refusal(answer.status_code, scrubbed(answer, body))

    def status(self) -> ConnectionStatus:
        """Return the status of the server's connection, once it is ready. Raises `Unreachable`."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            with attempting("ask the Jupyter server"):
                status = self.ask(ConnectionStatus, "status", seconds=intervals.ASK_STATUS_SECONDS)
            if status.ready or time.monotonic() > deadline:
                return status

    def namespace(self) -> NamespaceInUse:
        """Return the namespace in use in the Jupyter server, and those of single kernels."""
        with attempting("ask for the namespace in use"):
            return self.ask(NamespaceInUse, "namespace")

    def choose_namespace(self, namespace: str, kernel: str = "") -> NamespaceInUse:
        """Set the namespace of the Jupyter server or of one kernel; an empty one is the default."""
        purpose = f"use namespace {namespace}" if namespace else "use the default namespace"
        query = {"namespace": namespace, "kernel": kernel}
        with attempting(purpose):
            return self.ask(NamespaceInUse, "namespace", query, "PUT")

    def _send(
        self, session: requests.Session, method: str, path: str, **options: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        url = f"{self.address}/{path}"
        return session.request(method, url, headers=headers, allow_redirects=False, **options)
