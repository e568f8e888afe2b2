"""Processes that have left their run's group, as daemons do, and still must end with the run."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

# From <linux/prctl.h>.
PR_SET_CHILD_SUBREAPER = 36
# Podman's own processes, which monitor containers or hold the user's namespaces.
ENGINES_OWN = ("catatonit", "conmon", "pasta", "podman", "podman pause", "rootlessport")


def clear_away(scratch: Path) -> None:
    """Remove a run's folder for temporary files, and kill the processes that use it."""
    for pid in _started_with(f"TMPDIR={scratch}".encode()):
        if pid != os.getpid():
            _signal(pid, signal.SIGKILL)
    shutil.rmtree(scratch, ignore_errors=True)


def be_found_by(scratch: str) -> None:
    """Let `clear_away` find this process and its children, which are forked and not executed.

    What /proc tells of a process's environment is memory in which its start has put it (proc(5)),
    and which nothing may use any more.
    """
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        # Its fields env_start and env_end.
        begin, end = map(int, file.read().rpartition(")")[2].split()[47:49])
    variable = f"TMPDIR={scratch}\0".encode()
    if len(variable) < end - begin:
        ctypes.memset(begin, 0, end - begin)
        ctypes.memmove(begin, variable, len(variable))


def adopt_orphans() -> None:
    """Make this process the parent of every orphaned descendant (Linux).

    So a daemon stays a descendant, whatever its group, session and environment.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_with_descendants(pid: int) -> None:
    """Kill a process and all its descendants."""
    _kill(lambda: {pid, *_descendants([pid])})


def kill_descendants() -> None:
    """Kill all descendants of this process."""
    _kill(lambda: _descendants([os.getpid()]))


def kill_orphans(children: Collection[int]) -> None:
    """Kill adopted processes, that is, all but this process's own children, with descendants."""

    def orphans() -> set[int]:
        adopted = _children().get(os.getpid(), set()) - {*children}
        return adopted | _descendants(adopted) if adopted else adopted

    if _has_children():
        _kill(orphans)


def _has_children() -> bool:
    """Ask the system, as it takes milliseconds to look at each process of a machine."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _kill(those: Callable[[], set[int]]) -> None:
    """Kill processes together: all are stopped first, so that none can start another."""
    halted: set[int] = set()
    while found := those() - halted:
        for one in found:
            _signal(one, signal.SIGSTOP)
        halted |= found
    for one in halted:
        _signal(one, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _descendants(pids: Collection[int]) -> set[int]:
    children = _children()
    found: set[int] = set()
    left = [*pids]
    while left:
        new = children.pop(left.pop(), set())
        found |= new
        left += new
    return found


def _children() -> dict[int, set[int]]:
    """Processes by parent, without a container engine's, which serve several containers."""
    children: dict[int, set[int]] = {}
    for one, parent, name in _processes():
        if name not in ENGINES_OWN:
            children.setdefault(parent, set()).add(one)
    return children


def _processes() -> Iterator[tuple[int, int, str]]:
    """Each process with its parent and its name."""
    if not os.path.exists("/proc/self/stat"):
        listing = ["ps", "-A", "-o", "pid=,ppid=,comm="]
        listed = subprocess.run(listing, capture_output=True, text=True, errors="replace")
        for line in listed.stdout.splitlines():
            pid, parent, name = line.split(None, 2)
            yield int(pid), int(parent), name
        return
    for one, told in _told("stat"):
        # The name is in brackets, and may contain any character.
        before, _, after = told.decode(errors="replace").rpartition(")")
        yield one, int(after.split(None, 2)[1]), before.partition("(")[2]


def _started_with(variable: bytes) -> Iterator[int]:
    """Processes with a value in their environment, which only Linux shows."""
    for pid, told in _told("environ"):
        if b"\0" + variable in b"\0" + told:
            yield pid


def _told(name: str) -> Iterator[tuple[int, bytes]]:
    """Each process with what is in its file of this name.

    Without pathlib, which takes three times as long: this is asked several times in each run.
    """
    names = os.listdir("/proc") if os.path.exists("/proc") else []
    for pid in filter(str.isdecimal, names):
        with suppress(OSError):  # It has ended, or belongs to somebody else.
            with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:
                told = file.readall()
            yield int(pid), told
