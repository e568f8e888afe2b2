"""Processes that start in milliseconds, forked from a server that has already made its imports.

A client sends only descriptors over a socket, so that the fork server never sees the data for the
new process. The last descriptor is the writing end of a pipe, through which the client receives the
id of the new process and, in the end, its exit code, one per line.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Collection

from .leftover_processes import adopt_orphans

# On other systems the libraries use threads, and a forked process must not use them.
AVAILABLE = sys.platform == "linux"

_MOST_DESCRIPTORS = 8


def ask(control: socket.socket, descriptors: list[int]) -> int:
    """Request a process with these descriptors. Returns the pipe with its id and exit code."""
    fate, writer = os.pipe()
    try:
        socket.send_fds(control, [b"."], [*descriptors, writer])
    except OSError:
        os.close(fate)
        raise
    finally:
        os.close(writer)
    return fate


def serve(control: socket.socket, orphans_end: Callable[[Collection[int]], None]) -> list[int]:
    """Fork on each request. Returns in each new process, with the descriptors sent.

    Orphans of an ended process become children of this one. `kill_orphans` is called whenever a
    process ends, with those that are still running.

    The server itself never returns: it exits when the other end is closed.
    """
    adopt_orphans()
    fates: dict[int, int] = {}
    woken, waker = _wake_when_a_child_ends()
    # Not select, which does not accept descriptors above 1023, which can be inherited.
    awaited = select.poll()
    awaited.register(woken, select.POLLIN)
    awaited.register(control, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in awaited.poll()}
        if woken in ready:
            os.read(woken, 512)
            _tell_fates(fates, orphans_end)
        if control.fileno() in ready:
            _, descriptors, _, _ = socket.recv_fds(control, 1, _MOST_DESCRIPTORS)
            if not descriptors:
                os._exit(0)
            *given, fate = descriptors
            if pid := fork():
                _parent_after_fork(pid, fate, given, fates)
            else:
                _become_a_child(control, [woken, waker, fate, *fates.values()])
                return given


def _wake_when_a_child_ends() -> tuple[int, int]:
    """Return both ends of a pipe that is written to whenever a child ends."""
    woken, waker = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    # Children get the same signal as their server, which has to outlive them.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    return woken, waker


def fork() -> int:
    """`os.fork`, but -1 if the system cannot start another process."""
    try:
        return os.fork()
    except OSError:
        return -1


def _parent_after_fork(pid: int, fate: int, given: list[int], fates: dict[int, int]) -> None:
    for descriptor in given:
        os.close(descriptor)
    if pid > 0:
        fates[pid] = fate
        _tell(fate, pid)
    else:
        os.close(fate)


def _tell_fates(fates: dict[int, int], orphans_end: Callable[[Collection[int]], None]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        if (fate := fates.pop(pid, None)) is not None:
            orphans_end(fates)
            _tell(fate, os.waitstatus_to_exitcode(status))
            os.close(fate)


def _tell(fate: int, number: int) -> None:
    try:
        os.write(fate, b"%d\n" % number)
    except OSError:  # The client has gone.
        pass


def _become_a_child(control: socket.socket, parents: list[int]) -> None:
    signal.set_wakeup_fd(-1)  # from Python 3.12 on, asyncio has done so already
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    control.close()
    for descriptor in parents:
        os.close(descriptor)
