"""The Jupyter server's door to KFP, as one of its kernels finds it.

A kernel is a child of the server: it finds the address, and the key to it, in its environment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import requests

from . import explain
from .certificates import fingerprint
from .client import no_answer
from .scrubbing import body_of
from .sessions import Pinned, new_session
from .status import Status

_VARIABLES = ("KFP_MT_DOOR", "KFP_MT_DOOR_KEY", "KFP_MT_DOOR_CERTIFICATE")
READY_SECONDS = 30.0
CONNECT_SECONDS = 2.5

T = TypeVar("T")


class Door(msgspec.Struct, frozen=True):
    """Where it is, the key to it, and the file of the certificate that it shows, if any."""

    address: str
    key: str
    certificate: str = ""

    def __repr__(self) -> str:
        return f"Door({self.address!r})"

    @classmethod
    def of_this_process(cls) -> Door | None:
        """The door that this process was given, if it was."""
        values = [os.environ.get(name, "") for name in _VARIABLES]
        return cls(*values) if values[0] else None

    def open(self) -> None:
        """Give it to the processes that this one starts from now on."""
        os.environ.update(zip(_VARIABLES, msgspec.structs.astuple(self), strict=True))

    def shut(self) -> None:
        """Take it back."""
        if os.environ.get(_VARIABLES[1]) == self.key:
            for name in _VARIABLES:
                del os.environ[name]

    def session(self) -> requests.Session:
        """For requests to it: through no proxy, and believing its own certificate alone.

        Raises `Misconfigured` where that cannot be read.
        """
        session = new_session(trust_environment=False)
        if self.certificate:
            session.verify = False
            session.mount("https://", Pinned(fingerprint(self.certificate)))
        return session

    def get(self, session: requests.Session, path: str, **options: Any) -> requests.Response:
        """Its answer to whoever shows the key; it sends nobody elsewhere with it."""
        return self._send(session, "GET", path, **options)

    def ask(
        self,
        asked: str,
        kind: type[T],
        path: str,
        query: Mapping[str, str] | None = None,
        method: str = "GET",
        seconds: float = 30.0,
    ) -> T:
        """Its answer, as it is `asked` for in the words of an error. Raises a `KfpError`."""
        sent = {name: text for name, text in (query or {}).items() if text}
        try:
            with self.session() as session:
                timeout = (CONNECT_SECONDS, seconds)
                answer = self._send(session, method, path, params=sent, timeout=timeout)
            if answer.status_code == 200:
                return msgspec.json.decode(answer.content, type=kind)
        except (requests.RequestException, msgspec.DecodeError, UnicodeDecodeError) as error:
            cure = "Has it stopped, or been started anew? Then restart this kernel."
            raise no_answer(self.address, asked, error, cure) from None
        raise explain.refusal(answer.status_code, body_of(answer), asked)

    def status(self) -> Status:
        """What it says of its connection, once that is made. Raises `Unreachable`."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            status = self.ask("ask the Jupyter server", Status, "status", seconds=15)
            if status.ready or time.monotonic() > deadline:
                return status

    def _send(
        self, session: requests.Session, method: str, path: str, **options: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        url = f"{self.address}/{path}"
        return session.request(method, url, headers=headers, allow_redirects=False, **options)
