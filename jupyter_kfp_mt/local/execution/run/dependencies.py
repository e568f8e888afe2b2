"""The order of a group's tasks, which follows from their dependencies."""

from __future__ import annotations

import re
from typing import Any

from ....errors import KfpError


class PipelineRefused(KfpError):
    """A pipeline that cannot be run; the message says why."""


def dependencies(dag: Any) -> dict[str, list[str]]:
    """Return the dependencies of each task of a `DagSpec` by name, in topological order.

    A task depends on the tasks that it names, and on those whose outputs it uses.
    Rule: `addImplicitDependencies` in KFP's backend/src/v2/compiler/argocompiler/dag.go.
    Raises PipelineRefused.
    """
    waits = {name: _waits_for(name, dag) for name in sorted(dag.tasks, key=_natural)}
    ordered: dict[str, list[str]] = {}
    while waits:
        ready = [name for name, before in waits.items() if ordered.keys() >= set(before)]
        if not ready:
            names = ", ".join(f"'{shortened(name)}'" for name in list(waits)[:5])
            raise PipelineRefused(f"the tasks {names} depend on each other, so none can start")
        ordered |= {name: waits.pop(name) for name in ready}
    return ordered


def shortened(name: str) -> str:
    """Return the name in a form for messages."""
    return name if len(name) <= 100 else f"{name[:100]}..."


def _waits_for(name: str, dag: Any) -> list[str]:
    task = dag.tasks[name]
    sources = [
        *task.dependent_tasks,
        *(one.task_output_parameter.producer_task for one in task.inputs.parameters.values()),
        *(one.task_output_artifact.producer_task for one in task.inputs.artifacts.values()),
        *(one.task_final_status.producer_task for one in task.inputs.parameters.values()),
    ]
    for source in filter(None, sources):
        if source not in dag.tasks:
            raise PipelineRefused(
                f"the task '{shortened(name)}' depends on '{shortened(source)}', "
                "which is not a task of the same group"
            )
    return sorted({*filter(None, sources)})


def _natural(name: str) -> list[Any]:
    """A sort key by which `say-10` comes after `say-9`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
