"""A run in the form of a cluster's API server: every node of the Argo workflow is a task.

For `--argo-tasks`, with which clients get the same responses as from a cluster: drivers, executors,
groups, iterations and the workflow itself; no state where Argo has none that KFP knows, no end but
that of the year 1, and no reason why a run failed. The parts are those that KFP's compiler for Argo
makes (`backend/src/v2/compiler/argocompiler/dag.go`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import msgspec

from ...argo_nodes import fnv
from ...models import EPOCH, UNSPECIFIED, ChildTask, Run, RunDetails, Task
from ..database.row_types import Origin, PlacedRun
from ..execution.run.record_progress import task_id

_YEAR_1 = datetime(1, 1, 1, tzinfo=timezone.utc)
_AFTER_ALL = "ALL_UPSTREAM_TASKS_COMPLETED"

_ITERATION = re.compile(r"\[(\d+)\]")

_Dag = Mapping[str, Any]


def as_on_a_cluster(placed: PlacedRun, origin: Origin) -> Run:
    """Return the run with its workflow's nodes as tasks. Slow for a large run."""
    run = placed.run
    if not run.run_details:
        return run
    tasks = [*_Workflow(run, _components(origin), placed.workflow_name).parts()]
    begun = run.finished or any(task.start_time > EPOCH for task in run.tasks)
    return msgspec.structs.replace(
        run,
        run_details=RunDetails(task_details=tasks) if begun else None,
        state=run.state if begun or run.state == "PENDING" else UNSPECIFIED,
        error=None,
    )


def local_task_ids(placed: PlacedRun, origin: Origin) -> dict[str, str]:
    """The ids of our tasks by the ids of their nodes in the workflow."""
    return _Workflow(placed.run, _components(origin), placed.workflow_name).ids


class _Components(msgspec.Struct, frozen=True):
    """The parts of a compiled pipeline from which its workflow is made."""

    root: Any = None
    components: dict[str, Any] | None = None


def _components(origin: Origin) -> _Components:
    if origin.specification is None:
        return _Components()
    return msgspec.json.decode(origin.specification.pipeline, type=_Components)


def node_id(workflow: str, name: str) -> str:
    """Argo's id of a node, from its full name."""
    return workflow if name == workflow else f"{workflow}-{fnv(name)}"


class _Part(msgspec.Struct):
    """A node that is being assembled."""

    name: str  # the full name
    shown: str
    state: str
    start: datetime = EPOCH
    end: datetime = EPOCH
    next: list[str] = []  # full names


class _Workflow:
    """The nodes of a run's workflow. `ids`: the ids of our tasks, by node id."""

    def __init__(self, run: Run, pipeline: _Components, name: str) -> None:
        self._run, self._name = run, name
        self._root = _dag(pipeline.root)
        self._components = pipeline.components or {}
        self._known = {task.task_id: task for task in run.tasks}
        numbers = [int(n) for task in run.tasks for n in _ITERATION.findall(task.display_name)]
        self._most = max(numbers, default=-1) + 1  # iterations of any loop
        self._parts: dict[str, _Part] = {}
        self.ids: dict[str, str] = {}
        root = f"{name}.root"
        first, inside = self._group(root, self._root, ())
        state, start, end = _whole(inside)
        self._add(name, name, run.state, start, end, [f"{root}-driver"])
        self._add(f"{root}-driver", "root-driver", "SUCCEEDED", start, start, [root])
        self._add(root, "root", state, start, end, first)

    def parts(self) -> Iterator[Task]:
        """The nodes as tasks, in arbitrary order."""
        for part in sorted(self._parts.values(), key=lambda part: node_id("", part.name)):
            yield Task(
                run_id=self._run.run_id,
                task_id=task_id(self._run.run_id, (part.name,)),
                display_name=part.shown,
                create_time=self._run.created_at,
                start_time=part.start.replace(microsecond=0),
                end_time=part.end.replace(microsecond=0) if part.end > EPOCH else _YEAR_1,
                state=part.state,
                child_tasks=[ChildTask(pod_name=node_id(self._name, name)) for name in part.next],
            )

    def _add(
        self, name: str, shown: str, state: str, start: datetime, end: datetime, then: list[str]
    ) -> None:
        self._parts[name] = _Part(name, shown, state, start, end, then)

    def _group(self, group: str, dag: _Dag, scope: tuple[str, ...]) -> tuple[list[str], list[Task]]:
        """Add the nodes of a group; return the names of its first ones, and all its tasks."""
        entries: dict[str, str] = {}  # by key, the first node of a task
        lasts: dict[str, str] = {}  # the node of the task itself
        inside: list[Task] = []
        for key, task in _in_order(dag):
            place = group
            if hook := _hook(task, lasts):
                place = f"{group}.{hook}.onExit"
            entry, found = self._task(place, key, task, scope)
            inside += found
            if not entry:
                continue
            if hook:
                state, start, end = _whole(found)
                self._add(place, f"{hook}.onExit", state, start, end, [entry])
                entry = place
            entries[key], lasts[key] = entry, f"{place}.{key}"
        first = []
        for key, entry in entries.items():
            before = [name for name in dag[key].get("dependentTasks") or [] if name in lasts]
            for name in before:
                self._parts[lasts[name]].next.append(entry)
            first += [] if before else [entry]
        return first, inside

    def _task(
        self, group: str, key: str, task: _Dag, scope: tuple[str, ...]
    ) -> tuple[str, list[Task]]:
        """Add a task or group; return the name of its first node, if any, and its tasks."""
        name = f"{group}.{key}"
        inner = _dag(self._components.get((task.get("componentRef") or {}).get("name", "")))
        if inner and ("parameterIterator" in task or "artifactIterator" in task):
            return self._loop(name, key, inner, scope)
        if not inner:
            return self._leaf(name, key, scope, "retryPolicy" in task)
        first, found = self._group(name, inner, (*scope, key))
        return self._driven(name, key, found, first), found

    def _leaf(
        self, name: str, key: str, scope: tuple[str, ...], is_retried: bool
    ) -> tuple[str, list[Task]]:
        known = self._known.get(task_id(self._run.run_id, (*scope, key)))
        if known is None:
            return "", []
        self.ids[node_id(self._name, name)] = known.task_id
        entry = self._driven(name, key, [known], [f"{name}.executor"])
        if entry and known.state != "SKIPPED":
            self._execution(f"{name}.executor", known, is_retried)
        return entry, [known]

    def _execution(self, name: str, task: Task, is_retried: bool) -> None:
        """Add the executor node of a task, with one for each attempt if it has retries."""
        attempts = [f"executor({number})" for number in range(task.tries if is_retried else 0)]
        group = name.removesuffix("executor")
        whole = [group + attempt for attempt in attempts]
        self._add(name, "executor", task.state, task.start_time, task.end_time, whole)
        for attempt in attempts:
            state = task.state if attempt == attempts[-1] else "FAILED"
            self._add(group + attempt, attempt, state, task.start_time, task.end_time, [])

    def _driven(self, name: str, key: str, inside: list[Task], first: list[str]) -> str:
        """Add a node that has a driver, if it has started or was omitted."""
        state, start, end = _whole(inside)
        if state == "PENDING":
            return ""
        if state == "SKIPPED":  # Argo's Omitted, for which KFP has no state
            for part in [part for part in self._parts if part.startswith(f"{name}.")]:
                del self._parts[part]
            state, first = UNSPECIFIED, []
            start = end = self._run.finished_at or self._run.created_at
        driver = state if state == UNSPECIFIED else "SUCCEEDED"
        self._add(f"{name}-driver", f"{key}-driver", driver, start, start, [name])
        self._add(name, key, state, start, end, first)
        return f"{name}-driver"

    def _loop(
        self, name: str, key: str, inner: _Dag, scope: tuple[str, ...]
    ) -> tuple[str, list[Task]]:
        inside: list[Task] = []
        iterations = []
        for number in range(self._most):
            shown = f"iteration-iterations({number}:{number})"
            item = f"{name}.{shown}.iteration-item"
            first, found = self._group(item, inner, (*scope, f"{key}-iteration-{number}"))
            if not found:
                continue
            inside += found
            entry = self._driven(item, "iteration-item", found, first)
            self._add(f"{name}.{shown}", shown, *_whole(found), [entry] if entry else [])
            iterations.append(f"{name}.{shown}")
        if not inside:
            return "", []
        state, start, end = _whole(inside)
        each = f"{name}.iteration-iterations"
        self._add(name, key, state, start, end, [f"{name}.iteration-driver"])
        self._add(f"{name}.iteration-driver", "iteration-driver", "SUCCEEDED", start, start, [each])
        self._add(each, "iteration-iterations", state, start, end, iterations)
        return name, inside


def _whole(tasks: list[Task]) -> tuple[str, datetime, datetime]:
    """The state of a group, its start, and its end, if it has ended."""
    states = {task.state for task in tasks}
    begun = [task.start_time for task in tasks if task.start_time > EPOCH]
    start = min(begun, default=EPOCH)
    end = max((task.end_time for task in tasks), default=EPOCH)
    going = states & {"PENDING", "RUNNING", "CANCELING", "PAUSED"}
    if going:
        return ("PENDING" if states == {"PENDING"} else "RUNNING"), start, EPOCH
    for state in ("FAILED", "CANCELED"):
        if state in states:
            return state, start, end
    return ("SUCCEEDED" if "SUCCEEDED" in states else "SKIPPED"), start, end


def _dag(component: Any) -> _Dag:
    tasks = ((component or {}).get("dag") or {}).get("tasks")
    return tasks if isinstance(tasks, Mapping) else {}


def _in_order(dag: _Dag) -> Iterator[tuple[str, _Dag]]:
    left = dict(dag)
    while left:
        ready = [
            key for key in left if not left.keys() & {*(left[key].get("dependentTasks") or [])}
        ]
        for key in ready or [*left]:
            yield key, left.pop(key)


def _hook(task: _Dag, before: Mapping[str, str]) -> str:
    """The task that an exit task follows."""
    if (task.get("triggerPolicy") or {}).get("strategy") != _AFTER_ALL:
        return ""
    return next((name for name in task.get("dependentTasks") or [] if name in before), "")
