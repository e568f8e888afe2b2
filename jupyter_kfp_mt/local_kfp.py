"""Finds, starts and shares the local KFP of a data folder.

The local KFP is a process of its own, met through HTTP and four files of its data folder:
`server.json` says where it listens, `in-use` is a FIFO that each user holds open for writing (the
server stops after the last one), `tokens/` holds the identities, `server.log` what it logs.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import msgspec
import requests

from .credentials import shown
from .errors import Misconfigured, NotFound, Unreachable
from .models import Health

START_SECONDS = 30.0
_IN_USE = 3  # the exit status of a server whose data folder is served already
_LOG_BYTES = 1_000_000
# What the server needs of our environment is all but what lets it speak for us.
_OURS = ("KFP_MT_", "JUPYTER_", "JPY_", "KF_PIPELINES_")


class LocalKfp(msgspec.Struct, frozen=True):
    """A running local KFP: where it listens, and the folder of its identities' tokens."""

    endpoint: str
    tokens: str
    pid: int = 0

    @property
    def namespaces(self) -> list[str]:
        folders = Path(self.tokens).iterdir()
        return sorted(folder.name for folder in folders if folder.name != "users")

    def token_file(self, identity: str) -> Path:
        """The token file of an identity: `NAMESPACE/NAME`, `system:serviceaccount:...`, or a user.

        Raises `NotFound`, naming those there are.
        """
        known = self.identities
        wanted = identity.removeprefix("system:serviceaccount:").replace(":", "/")
        path = known.get(identity) or known.get(wanted)
        if path is None:
            raise NotFound(
                f"The local KFP has no identity {identity}.", cure=f"It has {', '.join(known)}."
            )
        return path

    @property
    def identities(self) -> dict[str, Path]:
        """`NAMESPACE/NAME` of each service account and each user's name, with its token file."""
        files = sorted(Path(self.tokens).glob("*/*"))
        return {
            (file.name if file.parent.name == "users" else f"{file.parent.name}/{file.name}"): file
            for file in files
            if not file.name.startswith(".")
        }


def running(folder: Path) -> LocalKfp | None:
    """The local KFP that serves a data folder, if one does."""
    try:
        found = msgspec.json.decode((folder / "server.json").read_bytes(), type=LocalKfp)
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(f"{found.endpoint}/apis/v2beta1/healthz", timeout=2)
        return found if msgspec.json.decode(answer.content, type=Health).local else None
    except (OSError, msgspec.DecodeError, requests.RequestException):
        return None


class Lease:
    """The use of a data folder's local KFP, started if there is none; `close()` ends the use.

    Raises `Misconfigured` with the server's own words where it cannot start.
    """

    def __init__(self, folder: Path, profiles: str = "") -> None:
        self._folder = folder
        self._fifo = -1
        self._started: subprocess.Popen[bytes] | None = None
        deadline = time.monotonic() + START_SECONDS
        while (kfp := self._taken()) is None:
            if time.monotonic() > deadline:
                raise Unreachable(f"The local KFP in {shown(folder)} did not start in 30 seconds.")
            self._start(profiles, deadline)
        self.kfp = kfp

    def close(self) -> None:
        self._let_go()
        if self._started is not None and self._started.poll() is None:
            self._started.returncode = 0  # it may have other users: not ours to wait for
        self._started = None

    def _let_go(self) -> None:
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
        found = running(self._folder)  # it may have stopped before we took hold of it
        if found is None:
            self._let_go()
        return found

    def _start(self, profiles: str, deadline: float) -> None:
        command = [sys.executable, "-m", "jupyter_kfp_mt.local", "--while-used"]
        command += ["--data", str(self._folder)] + (["--profiles", profiles] if profiles else [])
        with self._log() as log:
            begin = log.tell()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={key: value for key, value in os.environ.items() if not key.startswith(_OURS)},
            )
        assert process.stdout is not None
        with process.stdout as ready:
            _wait_for_line(ready, deadline)
        if process.poll() is None and running(self._folder):
            self._started = process
            return
        self._raise_for(_exit_status(process), begin)

    def _raise_for(self, status: int | None, begin: int) -> None:
        if status in (0, None, _IN_USE):
            time.sleep(0.1)  # another server is about to answer for this folder
            return
        said = (self._folder / "server.log").read_bytes()[begin:].decode("utf-8", "replace").strip()
        raise Misconfigured(f"The local KFP cannot start: {said or f'it ended with {status}'}")

    def _log(self) -> IO[bytes]:
        path = self._folder / "server.log"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.exists() and path.stat().st_size > _LOG_BYTES:
                path.replace(path.with_suffix(".log.1"))
            log = path.open("ab")
            log.seek(0, os.SEEK_END)
            return log
        except OSError as error:
            raise Misconfigured(
                f"The data folder of the local KFP, {shown(self._folder)}, cannot be written: "
                f"{error.strerror}.",
                cure="Choose another with c.Kfp.data or KFP_MT_DATA.",
            ) from None


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
