"""Faults of the disk that holds the data folder: their errors, and their cures."""

from __future__ import annotations

import errno
import logging
import sqlite3
import time
from pathlib import Path

import msgspec

# How often a lasting fault is logged.
SECONDS_BETWEEN_COMPLAINTS = 600.0

log = logging.getLogger(__name__)


class DiskFault(msgspec.Struct, frozen=True):
    """The reason why nothing can be written or read, and its cure, as halves of a sentence."""

    why: str
    cure: str


FULL = DiskFault("the disk is full", "Make room on it")
READ_ONLY = DiskFault("the disk is read-only", "Make it writable")
FAILING = DiskFault(
    "the disk reports an error, or has become read-only", "Repair it (the system's log has details)"
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
# The database is not where it was any more.
GONE = "database moved or deleted"
# By their texts: Python 3.10 does not expose SQLite's error codes.
_ERRORS_OF_SQLITE = {
    "database or disk is full": FULL,
    "attempt to write a readonly database": DiskFault("the database is read-only", READ_ONLY.cure),
    "disk I/O error": FAILING,
    "unable to open database file": DiskFault(
        "the database cannot be opened", "Make it readable and writable"
    ),
    GONE: DiskFault(
        "the database was moved or deleted while it was in use",
        "Move it back, or start the local KFP again for an empty one",
    ),
    "database is locked": DiskFault(
        "another program has locked the database", "Close that program"
    ),
    "database disk image is malformed": DiskFault(
        "the database is damaged", "Stop the local KFP and restore the database from a copy"
    ),
}


def fault(error: BaseException | None) -> DiskFault | None:
    """The fault behind an error; None for any other error."""
    if isinstance(error, sqlite3.Error):
        return _ERRORS_OF_SQLITE.get(str(error))
    return _ERRORS_OF_FILES.get(error.errno or 0) if isinstance(error, OSError) else None


def why(error: BaseException) -> str:
    """The fault behind an error in a few words; empty for any other error."""
    found = fault(error)
    return found.why if found else ""


class Complaints:
    """Logs faults of a data folder, each only once in a while."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._said: dict[DiskFault, float] = {}

    def say(self, found: DiskFault, met: str) -> None:
        now = time.monotonic()
        if now - self._said.get(found, -SECONDS_BETWEEN_COMPLAINTS) >= SECONDS_BETWEEN_COMPLAINTS:
            self._said[found] = now
            log.error("The data folder %s cannot be used: %s (%s)", self._folder, found.why, met)
