"""One task's process: its private Python environment, its command, and the log of its output."""

from __future__ import annotations

import codecs
import errno
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import venv
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from packaging.requirements import InvalidRequirement, Requirement

LOG_NAME = "task.log"
# The beginning of the output is kept up to here, and then only its end.
MAX_LOG_BYTES = 10 * 2**20
TAIL_BYTES = 2**16
MAX_LINE_CHARACTERS = 500
# How long to wait for the rest of the output when the task has ended, but one of its children
# still holds the pipe.
DRAIN_SECONDS = 1.0

# What concerns the worker's own interpreter and must not reach the task's.
_WORKERS_OWN = ("PYTHONPATH", "PYTHONUSERBASE")
# What kfp itself writes at the start of each task: lines, and the inputs as JSON.
_KFPS_OWN_LINES = re.compile(r"^\[KFP Executor .*\n(?:\{\n(?s:.*?)^\}\n)?", re.MULTILINE)
_INSTALL = re.compile(r"pip install (.*?)&&", re.DOTALL)


def run_command(command: list[str], environment: dict[str, str], folder: Path) -> str:
    """Runs a task's command in its folder. Returns why it failed, or nothing."""
    private = folder / "venv"
    bin_folder = _make_venv(private)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        failure = _run(
            without_needless_install(command),
            {**_own_environment(bin_folder), "TMPDIR": scratch, **environment},
            folder,
        )
    shutil.rmtree(private, ignore_errors=True)
    return failure


def _run(command: list[str], environment: dict[str, str], folder: Path) -> str:
    with TaskLog(folder / LOG_NAME) as log:
        try:
            process = _start(command, environment, folder)
        except OSError as error:
            if error.errno == errno.E2BIG:
                return "its parameters are too long for a command line; pass them as an artifact"
            raise
        assert process.stdout
        copying = threading.Thread(target=log.copy, args=(process.stdout,), daemon=True)
        copying.start()
        exit_code = process.wait()
        copying.join(DRAIN_SECONDS)
    return _failure(exit_code, folder / LOG_NAME)


def _start(
    command: list[str], environment: dict[str, str], folder: Path
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        bufsize=0,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=environment,
    )


def _failure(exit_code: int, log: Path) -> str:
    if exit_code == 0:
        return ""
    return ended(exit_code) if _signal_name(exit_code) else last_line(log) or ended(exit_code)


def ended(exit_code: int) -> str:
    """How a process ended, in words."""
    name = _signal_name(exit_code)
    memory = " (out of memory?)" if name == "SIGKILL" else ""
    return f"killed by {name}{memory}" if name else f"exit code {exit_code}"


def _signal_name(exit_code: int) -> str:
    """A shell says 128 + n where its child got signal n."""
    try:
        return signal.Signals(-exit_code if exit_code < 0 else exit_code - 128).name
    except ValueError:
        return ""


def last_line(log: Path) -> str:
    """The last line that has a word in it, which for a Python program is the exception."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        text = _KFPS_OWN_LINES.sub("", file.read().decode("utf-8", "replace"))
    lines = [line.strip() for line in text.splitlines() if re.search(r"\w", line)]
    return lines[-1][:MAX_LINE_CHARACTERS] if lines else ""


class TaskLog:
    """A task's output on disk, written as it comes: valid UTF-8, and never without bounds."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._room = MAX_LOG_BYTES - path.stat().st_size
        self._tail = b""
        self._lock = threading.Lock()

    def __enter__(self) -> TaskLog:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._file.write(self._tail)
            self._file.close()

    def copy(self, output: IO[bytes]) -> None:
        """Writes what comes, until nothing more can or this log is closed."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with output:
            while data := output.read(2**16):
                if not self._write(decoder.decode(data).encode()):
                    break
            self._write(decoder.decode(b"", final=True).encode())

    def _write(self, data: bytes) -> bool:
        with self._lock:
            if self._file.closed:
                return False
            if self._room > 0:
                self._write_head(data)
            else:
                self._tail = (self._tail + data)[-TAIL_BYTES:]
            return True

    def _write_head(self, data: bytes) -> None:
        self._file.write(data)
        self._room -= len(data)
        if self._room <= 0:
            limit = f"{MAX_LOG_BYTES // 2**20} MB"
            note = f"\n[This log holds {limit}. What follows is the end of the output.]\n"
            self._file.write(note.encode())


def _make_venv(folder: Path) -> Path:
    """An environment that sees the worker's packages and keeps what is installed to itself."""
    builder = venv.EnvBuilder(symlinks=True, with_pip=False, clear=True)
    builder.create(folder)
    bin_folder = folder / "bin"
    (packages,) = folder.glob("lib/python*/site-packages")
    lines = [f"import site; site.addsitedir({path!r})\n" for path in sys.path if path]
    (packages / "worker.pth").write_text("".join(lines))
    if find_spec("pip"):
        _make_pip(bin_folder / "pip")
    return bin_folder


def _make_pip(path: Path) -> None:
    path.write_text('#!/bin/sh\nexec "$(dirname "$0")/python3" -m pip "$@"\n')
    path.chmod(0o755)
    path.with_name("pip3").symlink_to(path.name)


def _own_environment(bin_folder: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in _WORKERS_OWN}
    path = os.pathsep.join([str(bin_folder), os.environ.get("PATH", os.defpath)])
    return {**inherited, "PATH": path, "PYTHONUNBUFFERED": "1"}


def without_needless_install(command: list[str]) -> list[str]:
    """Leaves out the compiler's `pip install` step if all it asks for is there: it takes 0.6 s."""
    if command[:2] == ["sh", "-c"] and len(command) > 3:
        steps = _INSTALL.findall(command[2])
        if steps and all(_satisfied(step) for step in steps):
            return command[3:]
    return command


def _satisfied(step: str) -> bool:
    wanted = [word for word in shlex.split(step) if not word.startswith("-")]
    return all(_installed(word) for word in wanted)


def _installed(text: str) -> bool:
    try:
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate():
            return True
        if wanted.url or wanted.extras:
            return False
        return wanted.specifier.contains(version(wanted.name), prereleases=True)
    except (InvalidRequirement, PackageNotFoundError):
        return False
