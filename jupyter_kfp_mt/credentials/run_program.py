"""A command that prints a secret, run without a shell, without input, and with a time limit."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .. import intervals
from ..errors import Misconfigured

SECONDS = intervals.PROGRAM_SECONDS
LONGEST = 1 << 16  # bytes


def printed(
    words: Sequence[str],
    what: str,
    cure: str,
    seconds: float = SECONDS,
    variables: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> bytes:
    """Run a command and return its output. Raises `Misconfigured` if it fails, without showing the
    output, which may contain a secret.
    """
    process = _started(words, what, cure, variables or {}, folder)
    with process:
        try:
            text = _output(process, time.monotonic() + seconds)
        except BaseException as error:
            _kill(process.pid)
            if not isinstance(error, (TimeoutError, subprocess.TimeoutExpired)):
                raise
            raise Misconfigured(f"{what} did not end within {seconds:g} s.", cure=cure) from None
        if len(text) > LONGEST:
            _kill(process.pid)
            raise Misconfigured(f"{what} printed more than {LONGEST >> 10} kB.", cure=cure)
    if process.returncode:
        raise Misconfigured(f"{what} ended with status {process.returncode}.", cure=cure)
    return text


def _started(
    words: Sequence[str], what: str, cure: str, variables: Mapping[str, str], folder: Path | None
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, **variables},
            start_new_session=True,  # without a terminal
        )
    except (OSError, ValueError) as error:  # the latter for a word with a null character
        why = getattr(error, "strerror", None) or "it is not a command"
        raise Misconfigured(f"{what} cannot be run: {why}.", cure=cure) from None


def _output(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """Read a program's output until it ends, or until there is more than `LONGEST`."""
    assert process.stdout
    text = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(text) <= LONGEST:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            piece = os.read(process.stdout.fileno(), LONGEST)
            if not piece:
                process.wait(max(0.0, deadline - time.monotonic()))
                break
            text += piece
    return text


def _kill(session: int) -> None:
    """Kill a command and its child processes: gcloud is a shell script that starts Python."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)
