"""Processes that have left their run's group, as daemons do, and must end with it all the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def clear_away(scratch: Path) -> None:
    """Removes a run's folder for temporary files, and kills what was started with it."""
    for pid in _started_with(f"TMPDIR={scratch}".encode()):
        if pid != os.getpid():
            _signal(pid, signal.SIGKILL)
    shutil.rmtree(scratch, ignore_errors=True)


def kill_with_descendants(pid: int) -> None:
    """None of them can start another meanwhile: all are halted before the first is killed."""
    halted: set[int] = set()
    while found := {pid, *_descendants(pid)} - halted:
        for one in found:
            _signal(one, signal.SIGSTOP)
        halted |= found
    for one in halted:
        _signal(one, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _descendants(pid: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for one, parent in _parents():
        children.setdefault(parent, []).append(one)
    found: set[int] = set()
    left = [pid]
    while left:
        new = children.pop(left.pop(), [])
        found.update(new)
        left += new
    return found


def _parents() -> Iterator[tuple[int, int]]:
    """Each process with its parent."""
    if not os.path.exists("/proc/self/stat"):
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True)
        for line in listed.stdout.splitlines():
            pid, parent = line.split()
            yield int(pid), int(parent)
        return
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # It has ended.
            # The name before that is in brackets, and may hold any character.
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
            yield int(path.parent.name), int(fields[1])


def _started_with(variable: bytes) -> Iterator[int]:
    """Linux tells the environments of processes; where it is not known there is nothing here."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # It has ended, or belongs to somebody else.
            if any(entry.startswith(variable) for entry in path.read_bytes().split(b"\0")):
                yield int(path.parent.name)
