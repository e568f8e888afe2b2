"""The data folder: the paths in it, and the lock that gives it to one server at a time."""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from ...errors import Misconfigured
from .data_folder_mark import claim

_KEY_BYTES = 32
# The name of a file until it is complete.
UNFINISHED = ".new-"
LOG = "server.log"
_LOOKED_AT_SECONDS = 1.0
_OURS = (
    *("lock", "in-use", "server.json", "profiles.yaml", "kfp.db", "kfp.db-wal", "kfp.db-shm"),
    *("keys", "tokens", "namespaces", LOG, f"{LOG}.1"),
)


class Occupied(Misconfigured):
    """Another server is using the data folder."""


class DataFolder:
    """The folder of one local KFP, locked inside a `with` block."""

    def __init__(self, path: Path):
        self.path = path.absolute()
        self.database = self.path / "kfp.db"
        self.tokens = self.path / "tokens"
        self.namespaces = self.path / "namespaces"
        # The profiles of the last start, which the next start may omit.
        self.profiles = self.path / "profiles.yaml"
        self._announcement = self.path / "server.json"
        self._lock = -1

    def __enter__(self) -> DataFolder:
        try:
            self._occupy()
        except OSError as error:
            self._release()
            raise Misconfigured(
                f"The data folder {self.path} cannot be used: {error.strerror or error}"
                f"{_about(error, self.path)}.",
                cure="Choose another with --data (c.Kfp.data, KFP_MT_DATA).",
            ) from error
        except Misconfigured:
            self._release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.withdraw()
        self._release()

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _occupy(self) -> None:
        if not self.path.exists():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        claim(self.path)
        for path in [*(self.path / name for name in _OURS), *_entries(self.namespaces)]:
            check_no_link(path)
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        if not _is_taken(lock):
            os.close(lock)
            raise Occupied(self._occupant())
        self._lock = lock
        self.withdraw()  # left by a killed server
        private_folder(self.tokens)
        private_folder(self.namespaces)

    def _occupant(self) -> str:
        try:
            other: dict[str, Any] = msgspec.json.decode(self._announcement.read_bytes())
            who = f"process {other['pid']} at {other['endpoint']}"
        except (OSError, msgspec.DecodeError, KeyError):
            who = "it is starting or stopping"
        return f"Another local KFP already serves the data folder {self.path} ({who})."

    @property
    def log(self) -> Path:
        """The log file of a server that writes its own."""
        return self.path / LOG

    def announce(self, ready: dict[str, str], while_used: bool) -> None:
        """Publish the server's address in the folder, and whether it stops with its last user."""
        announcement = {**ready, "pid": os.getpid(), "while_used": while_used}
        write_private(self._announcement, msgspec.json.encode(announcement).decode())

    def withdraw(self) -> None:
        self._announcement.unlink(missing_ok=True)

    def keep_profiles(self, file: Path) -> None:
        """Keep the profiles for the next start without a profiles file."""
        write_private(self.profiles, file.read_text(encoding="utf-8"))

    def signing_key(self) -> bytes:
        """The key that signs this folder's tokens, made at the first use."""
        path = self.path / "keys" / "signing-key"
        private_folder(path.parent)
        if not path.exists():
            write_private(path, secrets.token_hex(_KEY_BYTES))
        try:
            key = bytes.fromhex(path.read_text())
        except OSError as error:
            raise Misconfigured(
                f"The key that signs tokens, {path}, cannot be read: {error.strerror}.",
                cure="Make it readable, or remove it: the next start makes a new one.",
            ) from error
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise Misconfigured(
                f"The key that signs tokens, {path}, is damaged.",
                cure="Remove it: the next start makes a new one.",
            )
        return key

    def open_in_use(self) -> int:
        """Open the reading end of the pipe that each user of this server holds open."""
        path = self.path / "in-use"
        if not path.exists():
            os.mkfifo(path, 0o600)
        elif not path.is_fifo():
            raise Misconfigured(
                f"The data folder {self.path} cannot be used: its {path.name} is not a named "
                "pipe, as a local KFP makes it.",
                cure="Move it away; the next start makes a new one.",
            )
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def _is_taken(lock: int) -> bool:
    """Take the lock unless a server holds it; checks for one share the lock for a moment."""
    patience = time.monotonic() + _LOOKED_AT_SECONDS
    while not _is_locked(lock, fcntl.LOCK_EX):
        if time.monotonic() > patience or not _is_locked(lock, fcntl.LOCK_SH):
            return False
        fcntl.flock(lock, fcntl.LOCK_UN)
        time.sleep(0.01)
    return True


def _is_locked(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def private_folder(path: Path) -> None:
    """Make a private folder inside the data folder, unless it exists.

    Raises `Misconfigured` for a link or a file in its place: neither is followed nor removed.
    """
    check_no_link(path)
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        raise Misconfigured(
            f"The data folder of the local KFP has a file where a folder belongs: {path}.",
            cure="Move it away; the next start makes the folder.",
        ) from None


def check_no_link(path: Path) -> None:
    """Raises `Misconfigured` for a link, which could lead out of the data folder."""
    if path.is_symlink():
        raise Misconfigured(
            f"The data folder of the local KFP contains a link, {path}, which is not followed.",
            cure="Replace it with its target; or link, or mount, the whole data folder.",
        )


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []


def _about(error: OSError, folder: Path) -> str:
    """The file in the folder that an error names, if any."""
    name = Path(os.fsdecode(error.filename)).name if error.filename else ""
    return f" ({name})" if name not in ("", folder.name) else ""


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; nobody else may read it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
