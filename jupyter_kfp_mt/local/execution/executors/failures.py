"""The reason why a task has failed: the exception that ended it, its exit code, or its signal."""

from __future__ import annotations

import re
import signal
from collections import deque
from contextlib import suppress
from pathlib import Path

from ..task import task_interpreter
from ..task.task_interpreter import first_line

MAX_CHARACTERS = 500
# So much of the end of a log is searched.
TAIL_BYTES = 2**16
# How an uncaught exception ends Python.
_UNCAUGHT = 1

# What Python writes of an exception that nobody has caught: calls and code, which are indented,
# and the exception. A group of exceptions has a margin; those in it have a wider one.
_TRACEBACK = re.compile(
    r"^(?:Traceback \(most recent call last\):\n|  File \"[^\"\n]+\", line \d+\n)"
    r"(?:[ \t].*\n)*([\w.<>]+(?::.*)?)$"
    r"|^  \+ Exception Group Traceback \(most recent call last\):\n(?:  \| [ \t].*\n)*"
    r"  \| ([\w.<>]+(?::.*)?)$",
    re.MULTILINE,
)


def of_process(exit_code: int, noted: Path, log_end: str) -> str:
    """Say why a process failed that ended so: what it has left word of counts, else its log."""
    if exit_code == 0:
        return ""
    if _signal_name(exit_code):
        return ended(exit_code)
    with suppress(OSError):
        if told := noted.read_text(encoding="utf-8"):  # else the disk has not taken it
            return shortened(told)
    return (raised(log_end) if exit_code == _UNCAUGHT else "") or ended(exit_code)


def noted_in(prefix: Path) -> Path:
    """Where a Python component leaves word, in the task's environment."""
    return prefix / task_interpreter.FAILURE


def raised(log: str) -> str:
    """The exception whose traceback is the last in the log, or nothing."""
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
    """The end of a log, of which this begins at a byte, and what the disk did not take of it."""
    end = b""
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(begin, log.stat().st_size - TAIL_BYTES))
        end = file.read()
    return (end + unwritten).decode("utf-8", "replace")


def ended(exit_code: int) -> str:
    """Say how a process ended."""
    name = _signal_name(exit_code)
    memory = " (out of memory?)" if name == "SIGKILL" else ""
    return f"killed by {name}{memory}" if name else f"exit code {exit_code}"


def _signal_name(exit_code: int) -> str:
    """A shell says 128 + n where its child got signal n."""
    try:
        return signal.Signals(-exit_code if exit_code < 0 else exit_code - 128).name
    except ValueError:
        return ""


def shortened(text: str, limit: int = MAX_CHARACTERS) -> str:
    """The text, or as many of its words as fit, but for a very long one, and three dots."""
    if len(text) <= limit:
        return text
    cut = text[: limit - len(" ...")]
    words = cut.rpartition(" ")[0]
    return f"{words if len(words) > len(cut) // 2 else cut} ..."
