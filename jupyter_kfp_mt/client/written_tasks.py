"""The tasks of a pipeline, derived from the nodes of a workflow that KFP lists on a cluster.

KFP lists every node of the Argo workflow: the workflow itself, drivers and executors, groups and
iterations. For each it has the last part of its name and the ids of its children, which contain
hashes of full names (`argo_nodes.py`). Full names are found by computing those that KFP's compiler
for Argo would give (`backend/src/v2/compiler/argocompiler/dag.go`), and checking whether their hash
occurs. That is exact, as every node is a child of another. Which of several nodes with the same
name belongs to a task is exact if its driver or its executor shows it; otherwise it is a guess,
which is marked.

With the pipeline's specification, tasks are known before they start, as are their display names.
Without it, a group in which nothing has started cannot be distinguished from a task.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, NamedTuple

import msgspec

from ..argo_nodes import Node, number_of
from ..models import EPOCH, UNSPECIFIED, Run, Task, never
from .dag import before, in_order, runs_after_all, tasks_of
from .display_names import COMPILERS_GROUP, DEEPEST, label_of, labelled

_ITERATION = re.compile(r"iteration-iterations\((\d+):")
# The suffix that Kubernetes adds to a `generateName`.
_GENERATED = re.compile(r".+-[bcdfghjklmnpqrstvwxz2456789]{5}")


class _Step(NamedTuple):
    """One name on the way to a task: its own, or that of a group; for a loop the iteration, too."""

    key: str
    label: str
    iteration: int | None = None


_Path = tuple[_Step, ...]


class _Leaf(NamedTuple):
    """A task that is not a group: its path, its node, and whether it was to be skipped."""

    path: _Path
    node: Node
    driver: Node
    skipped: bool = False

    @property
    def key(self) -> str:
        return self.path[-1].key

    @property
    def name(self) -> str:
        """`train`, `train[0]` in a loop, `inner/train` in a pipeline."""
        groups = [step.label for step in self.path[:-1] if not COMPILERS_GROUP.fullmatch(step.key)]
        numbers = [f"[{step.iteration}]" for step in self.path if step.iteration is not None]
        return "/".join([*groups, self.path[-1].label]) + "".join(numbers)


def written(
    run: Run,
    specification: Callable[[Run], Mapping[str, Any] | None] = lambda run: None,
    is_local: Callable[[], bool] = lambda: False,
) -> list[Task]:
    """Return the tasks of a run's pipeline, from those that KFP lists, which may be the same.

    Their ids are those of the workflow's nodes, which never change. `specification` returns the
    run's, if it is known; a KFP that `is_local` lists the tasks of the pipeline itself.
    """
    tasks = run.tasks
    if not any(child.pod_name for task in tasks for child in task.child_tasks):
        if _is_workflow_alone(tasks) and not is_local():
            return []
        return labelled(tasks, specification(run)) if tasks else tasks
    workflow = _workflow(tasks)
    if workflow is None:  # from a KFP with other names
        return [told(task, run.finished) for task in tasks if not task.auxiliary]
    parts = _Parts(workflow, tasks)
    spec = _Specification(specification(run))
    root = workflow.part("root")
    leaves = [*(spec.leaves(parts, root) if spec else parts.leaves(root, ()))]
    found = _Told(parts, leaves, run)
    shown = [(leaf, found.task(leaf, workflow.name)) for leaf in leaves]
    if spec:
        return [task for _, task in shown]
    certain = [task for leaf, task in shown if task.finished or parts.is_task(leaf)]
    return sorted(certain, key=lambda task: (task.start_time, task.display_name))


def stated(run: Run) -> Run:
    """Return the run with a state: KFP sends none before it has started."""
    if run.state != UNSPECIFIED:
        return run
    over = run.finished_at is not None and not never(run.finished_at)
    return msgspec.structs.replace(run, state="SKIPPED" if over else "PENDING")


def told(task: Task, finished: bool) -> Task:
    """Return the task with a state even if KFP sends none, and without times that mean "none".

    KFP has no state for tasks that wait, or were left out because an earlier one failed.
    """
    start, end = (EPOCH if never(time) else time for time in (task.start_time, task.end_time))
    over = finished or end != EPOCH
    state = task.state if task.state != UNSPECIFIED else "SKIPPED" if over else "PENDING"
    return msgspec.structs.replace(task, start_time=start, end_time=end, state=state)


def _workflow(tasks: list[Task]) -> Node | None:
    """The node of the workflow itself: its child is the driver of the pipeline."""
    for task in tasks:
        node = Node.named(task.display_name)
        first = {node.part("root-driver").number, node.part("root").number}
        if any(number_of(child.pod_name) in first for child in task.child_tasks):
            return node
    return None


def _is_workflow_alone(tasks: list[Task]) -> bool:
    """Guess from its name whether the workflow has only begun."""
    return len(tasks) == 1 and bool(_GENERATED.fullmatch(tasks[0].display_name))


class _Parts:
    """The nodes of a workflow, by their full names."""

    def __init__(self, workflow: Node, tasks: list[Task]) -> None:
        self._before: dict[int, list[Task]] = defaultdict(list)
        for task in tasks:
            for child in task.child_tasks:
                self._before[number_of(child.pod_name)].append(task)
        names = {task.display_name for task in tasks} - {workflow.name, "root"}
        # A task that has not started may only be known by its driver.
        names |= {name.removesuffix("-driver") for name in names}
        found = {name: match for name in names if (match := _ITERATION.match(name))}
        self._iterations = sorted((int(match[1]), name) for name, match in found.items())
        self._hooks = sorted(name for name in names if name.endswith(".onExit"))
        self._names = sorted(name for name in names if re.fullmatch(r"[^.()]+", name))
        self._skipped = _all_skipped(tasks)

    def has(self, node: Node) -> bool:
        return node.number in self._before

    def is_executed(self, node: Node) -> bool:
        """Tell whether a node has an executor as its child, and that has no driver of its own."""
        return self.has(node.part("executor")) and not self.has(node.part("executor-driver"))

    def attempts(self, node: Node) -> int:
        """Return the number of attempts of a node with retries; 0 for other nodes."""
        return next(number for number in count() if not self.has(node.attempt(number)))

    def before(self, node: Node, name: str) -> Task | None:
        """The node with that name whose child is another node."""
        found = (task for task in self._before.get(node.number, ()) if task.display_name == name)
        return next(found, None)

    def driver(self, node: Node) -> Task | None:
        return self.before(node, f"{node.name.rpartition('.')[2]}-driver")

    def is_task(self, leaf: _Leaf) -> bool:
        """Tell whether it is a task, and not a group that has only begun and has only a driver."""
        return self.is_executed(leaf.node) or not self.has(leaf.driver)

    def is_skipped(self, node: Node) -> bool:
        """Tell whether a group was left out: with its driver, or with all groups of its name."""
        driver = self.driver(node)
        with_driver = driver is not None and told(driver, False).state == "SKIPPED"
        return with_driver or (self.has(node) and node.name.rpartition(".")[2] in self._skipped)

    def iterations(self, loop: Node) -> Iterator[tuple[int, Node]]:
        """The existing iterations of a loop, each with the group that is repeated."""
        for number, name in self._iterations:
            iteration = loop.part(name)
            if self.has(iteration):
                yield number, iteration.part("iteration-item")

    def leaves(self, group: Node, scope: _Path) -> Iterator[_Leaf]:
        """The tasks in a group, as far as they are known without the specification."""
        for name in self._names:
            leaf = _Leaf(
                (*scope, _Step(name, name)), group.part(name), group.part(f"{name}-driver")
            )
            driven = self.has(leaf.driver) and not self.is_executed(leaf.driver)
            if driven or (self.has(leaf.node) and not self._is_driver(leaf)):
                yield from self._of(leaf)
        for hook in map(group.part, self._hooks):
            if self.has(hook):
                yield from self.leaves(hook, scope)

    def _is_driver(self, leaf: _Leaf) -> bool:
        """Tell whether it is a driver: a task with such a name has an executor of its own."""
        return leaf.key.endswith("-driver") and not self.is_executed(leaf.node)

    def _of(self, leaf: _Leaf) -> Iterator[_Leaf]:
        """Yield the task itself, or the tasks of a group."""
        key, node = leaf.key, leaf.node
        if self.is_executed(node):
            yield leaf
        elif self.has(node.part("iteration-driver")):
            for number, item in self.iterations(node):
                yield from self.leaves(item, (*leaf.path[:-1], _Step(key, key, number)))
        elif inside := [*self.leaves(node, leaf.path)]:
            yield from inside
        elif not COMPILERS_GROUP.fullmatch(key):  # a guess: it may be a pipeline that was left out
            yield leaf


def _all_skipped(tasks: list[Task]) -> set[str]:
    skipped: dict[str, bool] = {}
    for task in tasks:
        name = task.display_name
        skipped[name] = told(task, False).state == "SKIPPED" and skipped.get(name, True)
    return {name for name, whether in skipped.items() if whether}


class _Specification:
    """The compiled pipeline; false if it is not known."""

    def __init__(self, specification: Mapping[str, Any] | None) -> None:
        # Beside a platform's part the specification is one field of two.
        whole = specification or {}
        self._spec: Mapping[str, Any] = whole.get("pipeline_spec") or whole
        self._components: Mapping[str, Any] = self._spec.get("components") or {}

    def __bool__(self) -> bool:
        return bool(tasks_of(self._spec.get("root")))

    def leaves(self, parts: _Parts, root: Node) -> Iterator[_Leaf]:
        """All its tasks; for loops, those of the existing iterations."""
        yield from self._group(parts, root, tasks_of(self._spec["root"]), (), False)

    def _group(
        self, parts: _Parts, group: Node, dag: Mapping[str, Any], scope: _Path, skipped: bool
    ) -> Iterator[_Leaf]:
        for key, task in in_order(dict(sorted(dag.items()))):
            node = _place(parts, group, key, task)
            label = label_of(key, task)
            component = str((task.get("componentRef") or {}).get("name"))
            inner = tasks_of(self._components.get(component)) if len(scope) < DEEPEST else {}
            here = skipped or parts.is_skipped(node)
            if inner and ("parameterIterator" in task or "artifactIterator" in task):
                for number, item in parts.iterations(node):
                    path = (*scope, _Step(key, label, number))
                    left_out = here or parts.is_skipped(item)
                    yield from self._group(parts, item, inner, path, left_out)
            elif inner:
                path = (*scope, _Step(key, label))
                yield from self._group(parts, node, inner, path, here)
            else:
                driver = Node.named(f"{node.name}-driver")
                yield _Leaf((*scope, _Step(key, label)), node, driver, skipped)


def _place(parts: _Parts, group: Node, key: str, task: Mapping[str, Any]) -> Node:
    """The node of a task; an exit task's is a child of the group that it follows."""
    if runs_after_all(task):
        for hook in (group.part(f"{name}.onExit") for name in sorted(before(task))):
            if parts.has(hook):
                return hook.part(key)
    return group.part(key)


class _Told:
    """The tasks of a pipeline, each with all that KFP knows about it."""

    def __init__(self, parts: _Parts, leaves: list[_Leaf], run: Run) -> None:
        self._parts, self._run = parts, run
        self._tasks = {leaf: parts.before(leaf.node.part("executor"), leaf.key) for leaf in leaves}
        self._guess(run.tasks)

    def task(self, leaf: _Leaf, workflow: str) -> Task:
        """Return a task of the pipeline, with the id of its node."""
        told_of, driver = self._tasks[leaf], self._parts.driver(leaf.node)
        executor = leaf.node.part("executor")
        part = executor if self._parts.has(executor) else leaf.node
        if driver and driver.state == "FAILED":
            told_of, part = driver, leaf.driver
        elif driver and told(driver, False).state == "SKIPPED":
            told_of = driver  # left out with what it drives
        return msgspec.structs.replace(
            told(told_of or Task(), self._run.finished or leaf.skipped),
            run_id=self._run.run_id,
            task_id=f"{workflow}-{leaf.node.number}",
            display_name=leaf.name,
            pod_name=f"{workflow}-{part.number}",
            attempts=self._parts.attempts(executor),
            child_tasks=[],
        )

    def _guess(self, tasks: list[Task]) -> None:
        """Assign the remaining nodes to tasks by their names: a guess if there are several."""
        taken = {task.task_id for task in self._tasks.values() if task}
        free: dict[str, list[Task]] = defaultdict(list)
        for task in tasks:
            if task.task_id not in taken:
                free[task.display_name].append(task)
        for leaf, found in self._tasks.items():
            if found is None and free[leaf.key] and self._parts.has(leaf.node):
                self._tasks[leaf] = free[leaf.key].pop(0)
