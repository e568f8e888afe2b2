"""Finds, starts and shares the local KFP of a data folder.

The local KFP is a process of its own, met through HTTP and four files of its data folder:
`server.json` says where it listens, `in-use` is a FIFO that each user holds open for writing (the
server stops after the last one), `tokens/` holds the identities, `server.log` what it logs.
All of them are the server's own: nothing is written here, for the folder may be somebody else's.
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
)  # exit statuses: it prints the reason; the folder is in use by another server
_LAST_WORDS = 1000  # of the output of a server that failed, in characters
# How it says that packages are missing: what is wrong, and below it what is to be pasted.
_INSTALL = re.compile(r"(.*)\n(Install [^\n]*\npip install [^\n]*)", re.DOTALL)
# The server gets our environment, except what would let it act in our name.
_OURS = ("KFP_MT_", "JUPYTER", "JPY_", "KF_PIPELINES_")
_ITS_OWN = "KFP_MT_CONTAINER_ENGINE"


class LocalKfp(msgspec.Struct, frozen=True):
    """A running local KFP: where it listens, the folder of its identities' tokens, and whether it
    stops after its last user.
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

        Raises `NotFound`, naming those there are.
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
    """The local KFP that serves a data folder, if one does."""
    try:
        found = msgspec.json.decode((folder / "server.json").read_bytes(), type=LocalKfp)
        if not _is_locked(folder):
            return None  # its server is dead, and its port may be another program's now
        with requests.Session() as session:
            session.trust_env = False
            url = f"{found.endpoint}/apis/v2beta1/healthz"
            answer = session.get(url, timeout=ANSWER_SECONDS, stream=True)
            body = whole(answer.raw, ANSWER_SECONDS)
        return found if msgspec.json.decode(body, type=Health).local else None
    except (OSError, HTTPError, msgspec.DecodeError):
        return None


def _is_locked(folder: Path) -> bool:
    """Tell whether a server holds the folder's lock, which it does as long as it lives."""
    with (folder / "lock").open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class LocalKfpUse:
    """The use of a data folder's local KFP, started if there is none; `close()` ends the use.

    `is_new`: none ran before.

    Raises `Misconfigured` with the server's own words where it cannot start, and `Unreachable` when
    `cancelled` is set meanwhile or time is up.
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
            pass  # nobody reads it: a server that was started by hand and stays
        found = running(self._folder)  # it may have stopped before we registered as its user
        if found is None:
            self.close()
        return found

    def _started(self, profiles: str) -> LocalKfp:
        said = ""
        while time.monotonic() < self._deadline and not self._cancelled.is_set():
            said = self._start(profiles)
            patience = time.monotonic() + OCCUPIED_SECONDS
            while time.monotonic() < patience and not self._cancelled.wait(0.05):
                if found := self._taken():
                    return found
        raise Unreachable(f"The local KFP in {shown(self._folder)} did not start.", cause=said)

    def _start(self, profiles: str) -> str:
        """Start a server. What it says if the folder has one already, which is about to answer."""
        command = [sys.executable, "-m", "jupyter_kfp_mt.local", "--while-used", "--log-file"]
        command += ["--data", str(self._folder)] + (["--profiles", profiles] if profiles else [])
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                start_new_session=True,
                env={
                    name: value
                    for name, value in os.environ.items()
                    if name == _ITS_OWN or not name.startswith(_OURS)
                },
            )
            # It may outlive us, for other users; otherwise its exit status is collected.
            threading.Thread(target=process.wait, daemon=True).start()
            assert process.stdout is not None
            with process.stdout as ready:
                _wait_for_line(ready, self._deadline)
            if running(self._folder):
                return ""
            return self._last_words(_exit_status(process), _text(said))

    def _last_words(self, status: int | None, said: str) -> str:
        if status == _CANNOT_START:
            install = _INSTALL.fullmatch(said)
            said, cure = install.groups() if install else (said, "")
            raise Misconfigured(f"The local KFP cannot start: {said}", cure=cure)
        if status not in (None, 0, _IN_USE):
            raise Misconfigured(
                f"The local KFP ended with status {status} when it was started.",
                cause=said[-_LAST_WORDS:],
                cure=f"{shown(self._folder / 'server.log')} may hold more of what it said.",
            )
        return said if status == _IN_USE else ""


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
