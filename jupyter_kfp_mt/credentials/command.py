"""A command that prints a secret: run without a shell, without input, and not for ever."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import Misconfigured

SECONDS = 30.0


def printed(
    words: Sequence[str],
    what: str,
    cure: str,
    seconds: float = SECONDS,
    variables: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> bytes:
    """What it prints. Raises `Misconfigured` where it fails, which says nothing of what it wrote:
    a secret may be in that.
    """
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, **(variables or {})},
            start_new_session=True,  # so it has no terminal either
        )
    except (OSError, ValueError) as error:  # the latter for a word with a null character
        why = getattr(error, "strerror", None) or "it is no command"
        raise Misconfigured(f"{what} cannot be run: {why}.", cure=cure) from None
    with process:
        try:
            text, _ = process.communicate(timeout=seconds)
        except BaseException as error:
            _kill(process.pid)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise Misconfigured(f"{what} did not end within {seconds:g} s.", cure=cure) from None
    if process.returncode:
        raise Misconfigured(f"{what} ended with status {process.returncode}.", cure=cure)
    return text


def _kill(session: int) -> None:
    """Kill a command with all that it has started, as gcloud, a shell script, starts Python."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)
