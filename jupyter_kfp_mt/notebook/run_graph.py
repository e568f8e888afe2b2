"""The tasks of a run as a tree: one line for each task, below the groups of its pipeline."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..client.dag import before, in_order, runs_after_all, tasks_of
from ..client.display_names import COMPILERS_GROUP, DEEPEST, label_of
from ..models import Task

_PARAMETER = re.compile(r"inputs\.parameter_values\['(?:pipelinechannel--)?(.*?)(?:-Output)?'\]")
_ITERATIONS = re.compile(r"((?:\[\d+\])*)$")

Specification = Mapping[str, Any]


class Line(msgspec.Struct, frozen=True):
    """A task, or a group whose lines follow; `task` is None for a group and for an unknown task."""

    depth: int
    name: str
    task: Task | None = None
    group: bool = False


def lines(specification: Specification | None, tasks: Sequence[Task]) -> list[Line]:
    """All groups and tasks; only the tasks if the pipeline is not known."""
    spec = pipeline_spec(specification)
    found = [*_Tree(spec, tasks).lines(tasks_of(spec.get("root")), ("",), (), 0)]
    return found or [Line(0, task.display_name, task) for task in tasks]


def pipeline_spec(specification: Specification | None) -> Specification:
    """A pipeline specification without the platform specification that may accompany it."""
    whole = specification or {}
    return whole.get("pipeline_spec") or whole


class _Tree:
    def __init__(self, spec: Specification, tasks: Sequence[Task]) -> None:
        self._components: Mapping[str, Any] = spec.get("components") or {}
        self._tasks = {task.display_name: task for task in tasks}
        self._numbers: dict[str, list[list[int]]] = defaultdict(list)
        for name in self._tasks:
            numbers = _ITERATIONS.search(name)
            assert numbers
            base = name[: numbers.start()]
            self._numbers[base].append([int(each) for each in re.findall(r"\d+", numbers[1])])

    def lines(
        self,
        dag: Mapping[str, Any],
        bases: tuple[str, ...],
        iterations: tuple[int, ...],
        depth: int,
    ) -> Iterator[Line]:
        for key, task in in_order(dag):
            label = label_of(key, task)
            inner = self._inner(task) if depth < DEEPEST else {}
            names = dict.fromkeys(base + name for base in bases for name in (key, label))
            if not inner:
                name = f"{label} (exit task)" if _is_exit_task(task) else label
                yield Line(depth, name, self._task([*names], iterations))
                continue
            hidden = COMPILERS_GROUP.fullmatch(key)
            within = bases if hidden else tuple(f"{name}/" for name in names)
            title = _title(key, label, task)
            if "parameterIterator" not in task and "artifactIterator" not in task:
                yield Line(depth, title, group=True)
                yield from self.lines(inner, within, iterations, depth + 1)
                continue
            numbers = self._iterations(self._leaves(inner, within), iterations)
            if not numbers:
                yield Line(depth, title, group=True)
            for number in numbers:
                yield Line(depth, f"{title} [{number}]", group=True)
                yield from self.lines(inner, within, (*iterations, number), depth + 1)

    def _inner(self, task: Mapping[str, Any]) -> Mapping[str, Any]:
        return tasks_of(self._components.get(str((task.get("componentRef") or {}).get("name"))))

    def _task(self, names: Sequence[str], iterations: tuple[int, ...]) -> Task | None:
        suffix = "".join(f"[{number}]" for number in iterations)
        return next(filter(None, (self._tasks.get(name + suffix) for name in names)), None)

    def _leaves(
        self, dag: Mapping[str, Any], bases: tuple[str, ...], depth: int = 0
    ) -> Iterator[str]:
        """The names of all tasks in a group, without iteration numbers."""
        for key, task in dag.items():
            label = label_of(key, task)
            names = tuple(dict.fromkeys(base + name for base in bases for name in (key, label)))
            inner = self._inner(task) if depth < DEEPEST else {}
            if not inner:
                yield from names
            elif COMPILERS_GROUP.fullmatch(key):
                yield from self._leaves(inner, bases, depth + 1)
            else:
                yield from self._leaves(inner, tuple(f"{name}/" for name in names), depth + 1)

    def _iterations(self, leaves: Iterator[str], outer: tuple[int, ...]) -> list[int]:
        depth = len(outer)
        return sorted(
            {
                numbers[depth]
                for leaf in leaves
                for numbers in self._numbers.get(leaf, ())
                if len(numbers) > depth and tuple(numbers[:depth]) == outer
            }
        )


def _title(key: str, label: str, task: Mapping[str, Any]) -> str:
    """A group's own name, else its condition or its items."""
    if label != key:
        return str(label)
    if key.startswith("exit-handler-"):
        return "With an exit task"
    if condition := (task.get("triggerPolicy") or {}).get("condition"):
        return "If " + _PARAMETER.sub(r"\1", condition)
    items = (task.get("parameterIterator") or {}).get("items") or {}
    named = str(items.get("inputParameter") or items.get("raw") or "")
    if named:
        return f"For each of {named.removeprefix('pipelinechannel--').removesuffix('-Output')}"
    return key


def _is_exit_task(task: Mapping[str, Any]) -> bool:
    """Return True if the task is the exit task of a `dsl.ExitHandler`."""
    return runs_after_all(task) and any(name.startswith("exit-handler-") for name in before(task))
