"""The run's side of the process from which its tasks are forked (`task/fork_process.py`)."""

from __future__ import annotations

import json
import os
import select
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

from .. import forking
from ..compiled_commands import Component, component
from ..leftover_processes import kill_with_descendants
from ..task.private_mounts import Folders

LOST = "the process that starts the tasks of this run has ended; start the run again"
# Variables that an interpreter or the system's libraries read only at their start.
_READ_AT_START = ("PYTHON", "LD_", "LC_", "LANG", "MALLOC_", "GLIBC_")


def forkable(command: list[str], environment: dict[str, str]) -> Component | None:
    """Return the command's component, if a forked process is equivalent in this environment."""
    if not forking.AVAILABLE or any(name.startswith(_READ_AT_START) for name in environment):
        return None
    return component(command)


class TaskServer:
    """Forks tasks for a run. Its process belongs to the run's group, and ends with it."""

    def __init__(self, control: socket.socket) -> None:
        """`control` is the connection to that process."""
        self._control = control
        self._asking = threading.Lock()

    def run(
        self,
        task: Component,
        environment: dict[str, str],
        folder: Path,
        prefix: Path,
        output: int,
        mounts: Folders,
        timeout: float | None = None,
    ) -> int | str:
        """Run a component in a fork. Returns its exit code, or why it is unknown."""
        scratch = tempfile.gettempdir()
        given = [task, environment, str(folder), str(prefix), scratch, mounts]
        request = json.dumps(given).encode()
        told, telling = os.pipe()
        try:
            with self._asking:
                fate = forking.ask(self._control, [told, output])
        except OSError:
            os.close(telling)
            return LOST
        finally:
            os.close(told)
        with suppress(BrokenPipeError), os.fdopen(telling, "wb") as pipe:
            pipe.write(request)
        with open(fate, "rb", buffering=0) as lines:
            pid, ready = lines.readline(), True
            if pid and timeout:
                ready = _has_more(lines, timeout)
            if not ready:
                kill_with_descendants(int(pid))
            exit_code = lines.readline()
        if not ready:
            return too_long(timeout)
        return int(exit_code) if exit_code else LOST


def _has_more(file: IO[bytes], seconds: float) -> bool:
    """Wait until there is something to read, for at most this many seconds."""
    waiting = select.poll()  # not select, which does not accept descriptors above 1023
    waiting.register(file, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def too_long(timeout: float | None) -> str:
    return f"it took longer than its timeout of {timeout} s"
