"""The tasks of a group in a compiled pipeline, and what they wait for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_AFTER_ALL = "ALL_UPSTREAM_TASKS_COMPLETED"

Tasks = Mapping[str, Mapping[str, Any]]


def tasks_of(component: Any) -> Tasks:
    """Return the tasks of a group by their keys; none for a task that is not a group."""
    tasks = ((component or {}).get("dag") or {}).get("tasks")
    return tasks if isinstance(tasks, Mapping) else {}


def in_order(tasks: Tasks) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each task after those that it waits for, and otherwise in the given order."""
    left = dict(tasks)
    while left:
        ready = [key for key, task in left.items() if not left.keys() & before(task)]
        for key in ready or [*left]:
            yield key, left.pop(key)


def before(task: Mapping[str, Any]) -> set[str]:
    """Return the keys of the tasks that one waits for."""
    return {*(task.get("dependentTasks") or [])}


def runs_after_all(task: Mapping[str, Any]) -> bool:
    """Tell whether a task runs even if those that it waits for fail."""
    return (task.get("triggerPolicy") or {}).get("strategy") == _AFTER_ALL
