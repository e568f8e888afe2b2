"""A command that prints a token, such as `gcloud auth print-identity-token`."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from datetime import timedelta
from typing import ClassVar

from ..errors import Misconfigured
from .base import one_token
from .renewal import Renewed, Secret

SECONDS = 30.0
_CURE = "Try it in a terminal; c.Kfp.token_command or KFP_MT_TOKEN_COMMAND names it."


class TokenCommand(Renewed):
    """The token that a command prints, run again before the token expires. No shell sees it."""

    # A token that is no JWT may end any time: it is asked for again now and then.
    unknown_life: ClassVar[timedelta | None] = timedelta(minutes=5)

    def __init__(self, command: str, seconds: float = SECONDS) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise Misconfigured(f"The token command cannot be read: {error}.", cure=_CURE) from None
        if not self._words:
            raise Misconfigured("The token command is empty.", cure=_CURE)
        self._seconds = seconds
        # Its arguments may hold what is not to be shown.
        super().__init__(f"token command {self._words[0]}")

    def renew(self) -> Secret:
        what = f"The {self.source}"
        done = self._run(what)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            why = f": {said[-1][:500]}" if said else " and said nothing"
            raise Misconfigured(f"{what} ended with status {done.returncode}{why}", cure=_CURE)
        text = done.stdout.decode("utf-8", "replace")
        return Secret.token(one_token(text, f"What the {self.source} prints", _CURE))

    def _run(self, what: str) -> subprocess.CompletedProcess[bytes]:
        try:
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise Misconfigured(f"{what} cannot be run: {error.strerror}.", cure=_CURE) from None
        with process:
            try:
                out, err = process.communicate(timeout=self._seconds)
            except BaseException as error:
                _kill(process.pid)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                raise Misconfigured(
                    f"{what} did not end within {self._seconds:g} s.", cure=_CURE
                ) from None
        return subprocess.CompletedProcess(self._words, process.returncode, out, err)


def _kill(session: int) -> None:
    """Kill a command with all that it has started, as gcloud, a shell script, starts Python."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)
