"""The tasks of a pipeline, worked out from the parts of a workflow that KFP lists on a cluster.

KFP tells of every part of the Argo workflow: of the workflow itself, of drivers and executors, of
groups and iterations. Of each it tells the last name and the ids of what comes next, which are
hashes of whole names (`argo_nodes.py`). So whole names are found by trying those that KFP's
compiler for Argo would give (`backend/src/v2/compiler/argocompiler/dag.go`) and looking whether
their hash occurs: that is exact, for every part comes next after another. Which of several parts of
one name is a task's is exact where its driver or its executor tells; elsewhere it is a guess, and
marked so.

With the specification of the pipeline its tasks are known before they start, as are their display
names. Without it a group in which nothing has started is not told from a task.
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
# As Kubernetes makes names from `generateName`, with letters and digits that form no words.
_GENERATED = re.compile(r".+-[bcdfghjklmnpqrstvwxz2456789]{5}")


class _Step(NamedTuple):
    """One name on the way to a task: its own, or that of a group; for a loop the iteration, too."""

    key: str
    label: str
    iteration: int | None = None


_Path = tuple[_Step, ...]


class _Leaf(NamedTuple):
    """A task that is no group: on which way, as which part, and whether that was to be skipped."""

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
    """Return the tasks of a run's pipeline, from those that KFP lists, which may be the same
    already.

    Their ids are those of the workflow's parts, which never change. `specification` finds that of
    the run, where it is known; the tasks of a KFP that `is_local` are told as they were written.
    """
    tasks = run.tasks
    if not any(child.pod_name for task in tasks for child in task.child_tasks):
        if _is_workflow_alone(tasks) and not is_local():
            return []
        return labelled(tasks, specification(run)) if tasks else tasks
    workflow = _workflow(tasks)
    if workflow is None:  # of a KFP that names things otherwise
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
    """Return the run with a state if KFP sends none, which is before it starts."""
    if run.state != UNSPECIFIED:
        return run
    over = run.finished_at is not None and not never(run.finished_at)
    return msgspec.structs.replace(run, state="SKIPPED" if over else "PENDING")


def told(task: Task, finished: bool) -> Task:
    """Return the task with a state if KFP sends none, and without times that mean none.

    KFP has no state for tasks that wait, or were left out because an earlier one failed.
    """
    start, end = (EPOCH if never(time) else time for time in (task.start_time, task.end_time))
    over = finished or end != EPOCH
    state = task.state if task.state != UNSPECIFIED else "SKIPPED" if over else "PENDING"
    return msgspec.structs.replace(task, start_time=start, end_time=end, state=state)


def _workflow(tasks: list[Task]) -> Node | None:
    """The workflow itself: the task whose next part is the driver of the pipeline in it."""
    for task in tasks:
        node = Node.named(task.display_name)
        first = {node.part("root-driver").number, node.part("root").number}
        if any(number_of(child.pod_name) in first for child in task.child_tasks):
            return node
    return None


def _is_workflow_alone(tasks: list[Task]) -> bool:
    """Tell whether it has only begun: guessed by its name."""
    return len(tasks) == 1 and bool(_GENERATED.fullmatch(tasks[0].display_name))


class _Parts:
    """Which parts the workflow has, by their whole names."""

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
        """Tell whether an executor is in it, which is none that has a driver of its own."""
        return self.has(node.part("executor")) and not self.has(node.part("executor-driver"))

    def attempts(self, node: Node) -> int:
        """Return how many there were at what may be tried again; 0 for what is not."""
        return next(number for number in count() if not self.has(node.attempt(number)))

    def before(self, node: Node, name: str) -> Task | None:
        """The part of that name which comes before another one."""
        found = (task for task in self._before.get(node.number, ()) if task.display_name == name)
        return next(found, None)

    def driver(self, node: Node) -> Task | None:
        return self.before(node, f"{node.name.rpartition('.')[2]}-driver")

    def is_task(self, leaf: _Leaf) -> bool:
        """Tell whether it is no group that has only begun: those have drivers, and no executor."""
        return self.is_executed(leaf.node) or not self.has(leaf.driver)

    def is_skipped(self, node: Node) -> bool:
        """Tell whether a group was left out: with its driver, or with all groups of its name."""
        driver = self.driver(node)
        with_driver = driver is not None and told(driver, False).state == "SKIPPED"
        return with_driver or (self.has(node) and node.name.rpartition(".")[2] in self._skipped)

    def iterations(self, loop: Node) -> Iterator[tuple[int, Node]]:
        """The iterations of a loop that there are, each with the group that is repeated."""
        for number, name in self._iterations:
            iteration = loop.part(name)
            if self.has(iteration):
                yield number, iteration.part("iteration-item")

    def leaves(self, group: Node, scope: _Path) -> Iterator[_Leaf]:
        """The tasks in a group, as far as they can be told without the specification."""
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
        """Tell whether it is what its name says: a task called so has an executor of its own."""
        return leaf.key.endswith("-driver") and not self.is_executed(leaf.node)

    def _of(self, leaf: _Leaf) -> Iterator[_Leaf]:
        """The task itself, or those in it where it is a group."""
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
    """The pipeline as it was compiled; false where nothing is known of it."""

    def __init__(self, specification: Mapping[str, Any] | None) -> None:
        # Beside a platform's part the specification is one field of two.
        whole = specification or {}
        self._spec: Mapping[str, Any] = whole.get("pipeline_spec") or whole
        self._components: Mapping[str, Any] = self._spec.get("components") or {}

    def __bool__(self) -> bool:
        return bool(tasks_of(self._spec.get("root")))

    def leaves(self, parts: _Parts, root: Node) -> Iterator[_Leaf]:
        """All its tasks, of loops those of the iterations that there are."""
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
    """The part that is the task: one that follows whatever happens hangs at what it follows."""
    if runs_after_all(task):
        for hook in (group.part(f"{name}.onExit") for name in sorted(before(task))):
            if parts.has(hook):
                return hook.part(key)
    return group.part(key)


class _Told:
    """Each task that was written, with all that KFP tells of it."""

    def __init__(self, parts: _Parts, leaves: list[_Leaf], run: Run) -> None:
        self._parts, self._run = parts, run
        self._tasks = {leaf: parts.before(leaf.node.part("executor"), leaf.key) for leaf in leaves}
        self._guess(run.tasks)

    def task(self, leaf: _Leaf, workflow: str) -> Task:
        """The task as one that was written, under the id of its part of the workflow."""
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
        """Give the parts that are left to the tasks of their names: a guess if they are several."""
        taken = {task.task_id for task in self._tasks.values() if task}
        free: dict[str, list[Task]] = defaultdict(list)
        for task in tasks:
            if task.task_id not in taken:
                free[task.display_name].append(task)
        for leaf, found in self._tasks.items():
            if found is None and free[leaf.key] and self._parts.has(leaf.node):
                self._tasks[leaf] = free[leaf.key].pop(0)
