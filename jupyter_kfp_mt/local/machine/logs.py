"""The log of the local KFP: standard error, or a file of its own of limited size."""

from __future__ import annotations

import logging
import os
import sys
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ...log_lines import LineFormatter

# The size of the file; the previous one is kept as well.
LONGEST_BYTES = 1_000_000
_STDERR = 2


def open_standard_streams() -> None:
    """Make sure that no standard stream is closed, as the next file opened would replace it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number


def log_to_stderr() -> None:
    logging.raiseExceptions = False  # a log that cannot be written is no reason to stop
    _use(logging.StreamHandler())
    # Below this level Tornado quotes malformed requests, which may contain a token.
    logging.getLogger("tornado").setLevel(logging.ERROR)


def _use(handler: logging.Handler) -> None:
    handler.setFormatter(LineFormatter("%(asctime)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


class LogFile(RotatingFileHandler):
    """A file for everything logged from now on, which is rotated when it is long."""

    _has_stderr = False

    def __init__(self, path: Path, longest: int = LONGEST_BYTES) -> None:
        super().__init__(
            path, maxBytes=longest, backupCount=1, encoding="utf-8", errors="backslashreplace"
        )
        _use(self)

    def take_stderr(self) -> None:
        """Redirect standard error into the file, too, for crashes and started processes."""
        self._has_stderr = True
        if self.stream:
            os.dup2(self.stream.fileno(), _STDERR)

    def _open(self) -> TextIOWrapper:
        stream = super()._open()
        if self._has_stderr:
            os.dup2(stream.fileno(), _STDERR)
        return stream


def say(line: str) -> None:
    """Print a line to the process that started this one, if it still listens."""
    try:
        print(line, flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # unwritten output would be written again at exit
        os.close(nowhere)
