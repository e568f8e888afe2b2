"""Finds, starts and shares the local KFP of a data folder.

The local KFP is a process of its own, with HTTP and four files in its data folder as its interface:
`server.json` has its address, `in-use` is a FIFO that each user holds open for writing (the server
stops after the last one), `tokens/` has the identities, `server.log` is its log. Only the server
writes these files: the folder may belong to another person.
"""

from __future__ import annotations

import fcntl
import os
import re
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

import msgspec
import requests
from urllib3.exceptions import HTTPError

from .. import intervals
from ..credentials import shown
from ..errors import Misconfigured, NotFound, Unreachable
from ..models import Health
from ..network.bodies import whole
from ..resource_names import short_name

START_SECONDS = intervals.LOCAL_START_SECONDS
OCCUPIED_SECONDS = intervals.LOCAL_OCCUPIED_SECONDS
ANSWER_SECONDS = intervals.LOCAL_ANSWER_SECONDS
_CANNOT_START, _IN_USE = (
    2,
    3,
)  # exit statuses: it has printed the reason; another server uses the folder
_LAST_WORDS = 1000  # characters of the output of a server that failed
# Its message about missing packages: the problem, and below it the command to paste.
_INSTALL = re.compile(r"(.*)\n(Install [^\n]*\npip install [^\n]*)", re.DOTALL)
# The server gets our environment, except for variables that would let it act in our name.
_OURS = ("KFP_MT_", "JUPYTER", "JPY_", "KF_PIPELINES_")
_ITS_OWN = "KFP_MT_CONTAINER_ENGINE"


class LocalKfp(msgspec.Struct, frozen=True):
    """A running local KFP: its address, the folder of its identities' tokens, and whether it stops
    after its last user.
    """

    endpoint: str
    tokens: str
    pid: int = 0
    while_used: bool = False

    @property
    def namespaces(self) -> list[str]:
        accounts = (name.partition("/") for name in self.identities)
        return sorted({namespace for namespace, slash, _ in accounts if slash})

    def token_file(self, identity: str) -> Path:
        """The token file of an identity: `NAMESPACE/NAME`, `system:serviceaccount:...`, or a user.

        Raises `NotFound` with the names of all identities.
        """
        known = self.identities
        path = known.get(identity) or known.get(short_name(identity))
        if path is None:
            raise NotFound(
                f"The local KFP has no identity {identity}.", cure=f"It has {', '.join(known)}."
            )
        return path

    @property
    def identities(self) -> dict[str, Path]:
        """`NAMESPACE/NAME` of each service account and each user's name, with its token file."""
        files = sorted(Path(self.tokens).glob("*/*/token"))
        names = [file.parent.relative_to(self.tokens).as_posix() for file in files]
        return {name.removeprefix("users/"): file for name, file in zip(names, files, strict=True)}


def running(folder: Path) -> LocalKfp | None:
    """The local KFP that serves a data folder; None if none does."""
    try:
        found = msgspec.json.decode((folder / "server.json").read_bytes(), type=LocalKfp)
        if not _is_locked(folder):
            return None  # the server is dead, and another program may have its port now
        with requests.Session() as session:
            session.trust_env = False
            url = f"{found.endpoint}/apis/v2beta1/healthz"
            answer = session.get(url, timeout=ANSWER_SECONDS, stream=True)
            body = whole(answer.raw, ANSWER_SECONDS)
        return found if msgspec.json.decode(body, type=Health).local else None
    except (OSError, HTTPError, msgspec.DecodeError):
        return None


def _is_locked(folder: Path) -> bool:
    """Tell whether a server holds the folder's lock, as it does until its process ends."""
    with (folder / "lock").open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class LocalKfpUse:
    """The use of a data folder's local KFP, started if there is none; `close()` ends the use.

    `is_new` tells whether it was started for this use.

    Raises `Misconfigured` with the server's own message if it cannot start, and `Unreachable` after
    a timeout, or when `cancelled` is set.
    """

    def __init__(
        self, folder: Path, profiles: str = "", cancelled: threading.Event | None = None
    ) -> None:
        self._folder = folder
        self._fifo = -1
        self._cancelled = cancelled or threading.Event()
        self._deadline = time.monotonic() + START_SECONDS
        found = self._taken()
        self.is_new = found is None
        self.kfp = found or self._started(profiles)

    def close(self) -> None:
        if self._fifo >= 0:
            os.close(self._fifo)
            self._fifo = -1

    def _taken(self) -> LocalKfp | None:
        if running(self._folder) is None:
            return None
        try:
            self._fifo = os.open(self._folder / "in-use", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            pass  # a server that was started by hand does not read it, and stays
        found = running(self._folder)  # it may have stopped before we registered as its user
        if found is None:
            self.close()
        return found

    def _started(self, profiles: str) -> LocalKfp:
        output = ""
        while time.monotonic() < self._deadline and not self._cancelled.is_set():
            output = self._start(profiles)
            patience = time.monotonic() + OCCUPIED_SECONDS
            while time.monotonic() < patience and not self._cancelled.wait(0.05):
                if found := self._taken():
                    return found
        raise Unreachable(f"The local KFP in {shown(self._folder)} did not start.", cause=output)

    def _start(self, profiles: str) -> str:
        """Start a server. Return its message if another one is just starting in the folder."""
        command = [sys.executable, "-m", "jupyter_kfp_mt.local", "--while-used", "--log-file"]
        command += ["--data", str(self._folder)] + (["--profiles", profiles] if profiles else [])
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                env={
                    name: value
                    for name, value in os.environ.items()
                    if name == _ITS_OWN or not name.startswith(_OURS)
                },
            )
            # It may outlive this process, for other users; otherwise its exit status is collected.
            threading.Thread(target=process.wait, daemon=True).start()
            assert process.stdout is not None
            with process.stdout as ready:
                _wait_for_line(ready, self._deadline)
            if running(self._folder):
                return ""
            return self._checked(_exit_status(process), _text(errors))

    def _checked(self, status: int | None, output: str) -> str:
        if status == _CANNOT_START:
            install = _INSTALL.fullmatch(output)
            problem, cure = install.groups() if install else (output, "")
            raise Misconfigured(f"The local KFP cannot start: {problem}", cure=cure)
        if status not in (None, 0, _IN_USE):
            raise Misconfigured(
                f"The local KFP ended with status {status} when it was started.",
                cause=output[-_LAST_WORDS:],
                cure=f"Look for the reason in {shown(self._folder / 'server.log')}.",
            )
        return output if status == _IN_USE else ""


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace").strip()


def _wait_for_line(stream: IO[bytes], deadline: float) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        if selector.select(max(0.0, deadline - time.monotonic())):
            stream.readline()


def _exit_status(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(1)
    except subprocess.TimeoutExpired:
        return None
