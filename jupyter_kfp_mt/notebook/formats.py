"""Times, durations, states and names as cells write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ..models import Run, Task, never
from .view_parts import ShownState

LONGEST_NAME = 100
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def one_line(value: Any) -> str:
    """Return a text as it is, and any other value as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def run_state(run: Run) -> ShownState:
    """The state of a run; a terminated one is not shown as failed."""
    return ShownState("TERMINATED" if run.terminated and run.state == "FAILED" else run.state)


def task_state(run: Run, task: Task) -> ShownState:
    """The state of a task; one terminated with its run is not shown as failed."""
    return ShownState("TERMINATED" if run.stopped(task) else task.state)


def timestamp(moment: datetime) -> str:
    """A time with this machine's time zone; empty if it is not set."""
    if never(moment):
        return ""
    local = moment.astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"


def duration_text(span: timedelta) -> str:
    """A duration in its two largest units, such as `2 min 5 s`: KFP's times are in seconds."""
    seconds = max(int(span.total_seconds()), 0)
    if not seconds:
        return "under 1 s"
    return " ".join(f"{count} {unit}" for count, unit in _parts(seconds)[:2] if count)


def _parts(seconds: int) -> list[tuple[int, str]]:
    units = [(86400, "d"), (3600, "h"), (60, "min"), (1, "s")]
    found: list[tuple[int, str]] = []
    for size, unit in units:
        count, seconds = divmod(seconds, size)
        if count or found or size == 1:
            found.append((count, unit))
    return found


def printable(text: str) -> str:
    """A text without the characters that control a terminal or change the writing direction."""
    text = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def cut(text: str) -> str:
    """Shorten a name to fit into a row."""
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}…"


def task_duration(task: Task) -> str:
    """The duration of a task, and its number of attempts if it was retried."""
    if never(task.start_time):
        return ""
    attempts = f" in {task.tries} attempts" if task.tries > 1 else ""
    return duration_text(task.duration) + attempts


def values_text(parameters: dict[str, Any]) -> str:
    """Return parameters as `name = value`, with the values in JSON, and long ones cut."""
    return ", ".join(
        f"{name} = {cut(msgspec.json.encode(value).decode())}" for name, value in parameters.items()
    )


def plural_of(noun: str, count: int) -> str:
    """Return the noun in the number that `count` demands."""
    return noun if count == 1 else f"{noun}s"
