"""The names that a pipeline's author gave its tasks, which KFP leaves out of a run's tasks.

They are in the specification, as `taskInfo.name`: from `set_display_name`, else the task's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ..models import Task

# The groups that KFP's compiler makes of `with dsl.If`, `dsl.ParallelFor` and so on, whose names
# the pipeline's author does not know.
COMPILERS_GROUP = re.compile(r"(condition|condition-branches|for-loop|exit-handler)-\d+")
# Deeper than any pipeline, unless a group contains itself.
DEEPEST = 50
_ITERATIONS = re.compile(r"(\[\d+\])*$")


def label_of(key: str, task: Mapping[str, Any]) -> str:
    """Return the name of the task that is under `key` in the specification."""
    return (task.get("taskInfo") or {}).get("name") or key


def labelled(tasks: list[Task], specification: Mapping[str, Any] | None) -> list[Task]:
    """Rename the tasks of the local KFP as their author did; some may have these names already.

    The local KFP names them by their keys: `train[0]` in a loop, `inner/train` in a pipeline.
    """
    whole = specification or {}
    spec = whole.get("pipeline_spec") or whole
    known = dict(_names(spec, spec.get("root"), ("", ""), 0))
    is_written = any(task.pod_name for task in tasks)  # out of the parts of a workflow
    if is_written or all(key == label for key, label in known.items()):
        return tasks
    ends = [_ITERATIONS.search(task.display_name).start() for task in tasks]  # type: ignore[union-attr]
    names = [task.display_name[:end] for task, end in zip(tasks, ends, strict=True)]
    if not known.keys() >= {*names}:  # they have other names than their keys
        return tasks
    return [
        msgspec.structs.replace(task, display_name=known[name] + task.display_name[end:])
        for task, name, end in zip(tasks, names, ends, strict=True)
    ]


def _names(
    spec: Mapping[str, Any], component: Any, around: tuple[str, str], depth: int
) -> Iterator[tuple[str, str]]:
    """Map the keys of each task in a group, and its labels, to its name."""
    tasks = ((component or {}).get("dag") or {}).get("tasks")
    for key, task in (tasks or {}).items():
        names = around[0] + key, around[1] + label_of(key, task)
        component = str((task.get("componentRef") or {}).get("name"))
        inner = (spec.get("components") or {}).get(component)
        if depth == DEEPEST or not (inner or {}).get("dag"):
            yield names
        elif COMPILERS_GROUP.fullmatch(key):
            yield from _names(spec, inner, around, depth + 1)
        else:
            yield from _names(spec, inner, (f"{names[0]}/", f"{names[1]}/"), depth + 1)
