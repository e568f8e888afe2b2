"""The reason for a task's failure: its exception, its exit code, or the signal that killed it."""

from __future__ import annotations

import re
import signal
from collections import deque
from contextlib import suppress
from pathlib import Path

from ...machine.regular_files import open_to_read
from ..task import task_interpreter
from ..task.task_interpreter import first_line

MAX_CHARACTERS = 500
# How much of the end of a log is searched.
TAIL_BYTES = 2**16
# Python's exit code after an uncaught exception.
_UNCAUGHT = 1

# Python's traceback of an uncaught exception: indented calls and code, and the exception. Exception
# groups have a margin, and the exceptions in them a wider one.
_TRACEBACK = re.compile(
    r"^(?:Traceback \(most recent call last\):\n|  File \"[^\"\n]+\", line \d+\n)"
    r"(?:[ \t].*\n)*([\w.<>]+(?::.*)?)$"
    r"|^  \+ Exception Group Traceback \(most recent call last\):\n(?:  \| [ \t].*\n)*"
    r"  \| ([\w.<>]+(?::.*)?)$",
    re.MULTILINE,
)


def of_process(exit_code: int, noted: Path, log_end: str) -> str:
    """Return why a process failed: the exception that it noted, else one in its log."""
    if exit_code == 0:
        return ""
    if _signal_name(exit_code):
        return ended(exit_code)
    with suppress(OSError):
        with open_to_read(noted) as file:
            told = file.read(TAIL_BYTES).decode("utf-8", "replace")
        if told:  # empty if the disk was full
            return shortened(told)
    return (raised(log_end) if exit_code == _UNCAUGHT else "") or ended(exit_code)


def noted_in(prefix: Path) -> Path:
    """The file in the task's environment where a Python component notes its exception."""
    return prefix / task_interpreter.FAILURE


def raised(log: str) -> str:
    """Return the exception of the last traceback in the log; empty if there is none."""
    log = log.replace("\r\n", "\n")
    found = deque(_TRACEBACK.finditer(log), maxlen=1)
    if not found:
        return ""
    line = found[0][1] or found[0][2]
    if line.endswith(": "):  # The message begins with a line break.
        following = log[found[0].end() :].strip().splitlines()
        line = first_line("\n".join([line, *following[:1]]))
    return shortened(line)


def end_of(log: Path, unwritten: bytes = b"", begin: int = 0) -> str:
    """Return the end of a log, from a byte on, with what could not be written to disk."""
    end = b""
    with suppress(OSError), open_to_read(log) as file:
        file.seek(max(begin, log.stat().st_size - TAIL_BYTES))
        end = file.read()
    return (end + unwritten).decode("utf-8", "replace")


def ended(exit_code: int) -> str:
    """Describe how a process ended."""
    name = _signal_name(exit_code)
    memory = " (out of memory?)" if name == "SIGKILL" else ""
    return f"killed by {name}{memory}" if name else f"exit code {exit_code}"


def _signal_name(exit_code: int) -> str:
    """The name of the signal; a shell exits with 128 + n if signal n killed its child."""
    try:
        return signal.Signals(-exit_code if exit_code < 0 else exit_code - 128).name
    except ValueError:
        return ""


def shortened(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Shorten a text to a limit, at the end of a word if possible, with three dots."""
    if len(text) <= limit:
        return text
    cut = text[: limit - len(" ...")]
    words = cut.rpartition(" ")[0]
    return f"{words if len(words) > len(cut) // 2 else cut} ..."
