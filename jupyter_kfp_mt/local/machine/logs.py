"""Where the local KFP logs to: standard error, or a file of its own that stays short."""

from __future__ import annotations

import logging
import os
import sys
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ...log_lines import LineFormatter

# Of the file; the one before it is kept as well.
LONGEST_BYTES = 1_000_000
_STDERR = 2


def open_standard_streams() -> None:
    """See that none is closed: the next file to be opened would be taken for it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def log_to_stderr() -> None:
    logging.raiseExceptions = False  # a log that cannot be written is nothing to end for
    _use(logging.StreamHandler())
    # Tornado quotes malformed requests below this level, and they may hold a token.
    logging.getLogger("tornado").setLevel(logging.ERROR)


def _use(handler: logging.Handler) -> None:
    handler.setFormatter(LineFormatter("%(asctime)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


class LogFile(RotatingFileHandler):
    """A file that takes all that is logged from now on, and begins anew when it is long."""

    _has_stderr = False

    def __init__(self, path: Path, longest: int = LONGEST_BYTES) -> None:
        super().__init__(
            path, maxBytes=longest, backupCount=1, encoding="utf-8", errors="backslashreplace"
        )
        _use(self)

    def take_stderr(self) -> None:
        """Take as well what else this process and those that it starts say, such as in a crash."""
        self._has_stderr = True
        if self.stream:
            os.dup2(self.stream.fileno(), _STDERR)

    def _open(self) -> TextIOWrapper:
        stream = super()._open()
        if self._has_stderr:
            os.dup2(stream.fileno(), _STDERR)
        return stream


def say(line: str) -> None:
    """Print a line for whoever has started this, if they still listen."""
    try:
        print(line, flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # what is left of it is written at the end
        os.close(nowhere)
