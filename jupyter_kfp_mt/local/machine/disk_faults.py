"""Faults of the disk with the data folder: which errors they are, and what to say of them."""

from __future__ import annotations

import errno
import logging
import sqlite3
import time
from pathlib import Path

import msgspec

# A fault that lasts is in the log again after so long.
SECONDS_BETWEEN_COMPLAINTS = 600.0

log = logging.getLogger(__name__)


class DiskFault(msgspec.Struct, frozen=True):
    """The reason why nothing can be written, or read; and what to do about it, as half a
    sentence.
    """

    why: str
    cure: str


FULL = DiskFault("the disk is full", "Make room on it")
READ_ONLY = DiskFault("the disk is read-only", "Make it writable")
FAILING = DiskFault(
    "the disk reports an error, or has become read-only", "Mend it (the system's log tells more)"
)
CROWDED = DiskFault(
    "too many files and connections are open", "Close some, or raise the limit (ulimit -n)"
)
_ERRORS_OF_FILES = {
    errno.EMFILE: CROWDED,
    errno.ENFILE: CROWDED,
    errno.ENOSPC: FULL,
    errno.EDQUOT: DiskFault("the quota on the disk is used up", "Make room on it"),
    errno.EROFS: READ_ONLY,
    errno.EIO: FAILING,
    errno.EACCES: DiskFault("its permissions do not allow it", "Change them"),
}
# By their texts: Python 3.10 does not tell SQLite's error codes.
_ERRORS_OF_SQLITE = {
    "database or disk is full": FULL,
    "attempt to write a readonly database": DiskFault("the database is read-only", READ_ONLY.cure),
    "disk I/O error": FAILING,
    "unable to open database file": DiskFault(
        "the database cannot be opened", "See that it can be read and written"
    ),
    "database is locked": DiskFault(
        "another program has locked the database", "Close that program"
    ),
    "database disk image is malformed": DiskFault(
        "the database is damaged", "Stop the local KFP and put a copy of the database in its place"
    ),
}


def fault(error: BaseException | None) -> DiskFault | None:
    """The fault that the error tells of; None if it is another kind of error."""
    if isinstance(error, sqlite3.Error):
        return _ERRORS_OF_SQLITE.get(str(error))
    return _ERRORS_OF_FILES.get(error.errno or 0) if isinstance(error, OSError) else None


def why(error: BaseException) -> str:
    """The same in a few words; empty if it is another kind of error."""
    found = fault(error)
    return found.why if found else ""


class Complaints:
    """Complaints in the log about a data folder: each fault once in a while, however often it is
    met.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._said: dict[DiskFault, float] = {}

    def say(self, found: DiskFault, met: str) -> None:
        now = time.monotonic()
        if now - self._said.get(found, -SECONDS_BETWEEN_COMPLAINTS) >= SECONDS_BETWEEN_COMPLAINTS:
            self._said[found] = now
            log.error("The data folder %s cannot be used: %s (%s)", self._folder, found.why, met)
