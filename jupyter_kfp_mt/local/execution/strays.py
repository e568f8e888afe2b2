"""Processes that have left their run's group, as daemons do, and must end with it all the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def kill_strays(scratch: str) -> None:
    """Kills what was started with this folder, one run's own, for its temporary files."""
    for pid in _started_with(f"TMPDIR={scratch}".encode()):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _started_with(variable: bytes) -> Iterator[int]:
    """Linux tells the environments of processes; where it is not known there is nothing here."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # It has ended, or belongs to somebody else.
            if any(entry.startswith(variable) for entry in path.read_bytes().split(b"\0")):
                yield int(path.parent.name)
