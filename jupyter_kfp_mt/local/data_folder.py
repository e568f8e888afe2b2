"""The data folder: where everything is kept, and that one server at a time keeps it."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from ..errors import Misconfigured

_KEY_BYTES = 32


class Occupied(Misconfigured):
    """Another server has the data folder."""


class DataFolder:
    """The folder of one local KFP, held from entering to leaving a `with` block."""

    def __init__(self, path: Path):
        self.path = path.absolute()
        self.database = self.path / "kfp.db"
        self.tokens = self.path / "tokens"
        self.namespaces = self.path / "namespaces"
        # Those it was last started with; the next start may leave them out.
        self.profiles = self.path / "profiles.yaml"
        self._announcement = self.path / "server.json"
        self._lock = -1

    def __enter__(self) -> DataFolder:
        try:
            self._occupy()
        except OSError as error:
            raise Misconfigured(
                f"The data folder {self.path} cannot be used: {error.strerror or error}.",
                cure="Choose another with --data.",
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.withdraw()
        os.close(self._lock)

    def _occupy(self) -> None:
        private_folder(self.path)
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise Occupied(self._occupant()) from None
        self._lock = lock
        self.withdraw()  # what a killed server left
        private_folder(self.tokens)
        private_folder(self.namespaces)

    def _occupant(self) -> str:
        try:
            other: dict[str, Any] = msgspec.json.decode(self._announcement.read_bytes())
            who = f"process {other['pid']} at {other['endpoint']}"
        except (OSError, msgspec.DecodeError, KeyError):
            who = "it is just starting or stopping"
        return f"Another local KFP already serves the data folder {self.path} ({who})."

    def announce(self, ready: dict[str, str]) -> None:
        """Say where the server is, for those who come to this folder."""
        announcement = {**ready, "pid": os.getpid()}
        write_private(self._announcement, msgspec.json.encode(announcement).decode())

    def withdraw(self) -> None:
        self._announcement.unlink(missing_ok=True)

    def keep_profiles(self, file: Path) -> None:
        """The next start without a profiles file goes on with these."""
        write_private(self.profiles, file.read_text(encoding="utf-8"))

    def signing_key(self) -> bytes:
        """The key of this folder's tokens, made when first asked for."""
        path = self.path / "keys" / "signing-key"
        private_folder(path.parent)
        if not path.exists():
            write_private(path, secrets.token_hex(_KEY_BYTES))
        try:
            key = bytes.fromhex(path.read_text())
        except OSError as error:
            raise Misconfigured(
                f"The key {path}, with which tokens are signed, cannot be read: {error.strerror}.",
                cure="Make it readable; or remove it, and the next start makes a new one.",
            ) from error
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise Misconfigured(
                f"The key {path}, with which tokens are signed, is damaged.",
                cure="Remove it; the next start makes a new one.",
            )
        return key

    def open_in_use(self) -> int:
        """The reading end of the pipe that everyone who uses this server holds open for writing."""
        path = self.path / "in-use"
        if path.exists() and not stat.S_ISFIFO(path.stat().st_mode):
            path.unlink()
        if not path.exists():
            os.mkfifo(path, 0o600)
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def private_folder(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; nobody else may read it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
