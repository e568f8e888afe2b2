"""Processes that have left their run's group, as daemons do, and must end with it all the same."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def clear_away(scratch: Path) -> None:
    """Removes a run's folder for temporary files, and kills what was started with it."""
    for pid in _started_with(f"TMPDIR={scratch}".encode()):
        with suppress(ProcessLookupError, PermissionError):
            if pid != os.getpid():
                os.kill(pid, signal.SIGKILL)
    shutil.rmtree(scratch, ignore_errors=True)


def _started_with(variable: bytes) -> Iterator[int]:
    """Linux tells the environments of processes; where it is not known there is nothing here."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # It has ended, or belongs to somebody else.
            if any(entry.startswith(variable) for entry in path.read_bytes().split(b"\0")):
                yield int(path.parent.name)
