"""The walk through a pipeline's graph: tasks run concurrently as soon as they can.

Everything except the tasks themselves happens on one event loop, so shared state needs no locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ....errors import KfpError
from ...machine.disk_faults import why
from .conditions import holds
from .dependencies import dependencies, shortened
from .iterations import iterations
from .record_progress import TaskPath
from .scopes import CANCELED, COMPLETE, DONE, FAILED, Outcome, Scope, Values, is_of_compiler
from .task_inputs import checked, pipeline_inputs, runs_anyway, task_inputs

# Executes a task that is not a group: its path, PipelineTaskSpec, ComponentSpec, scope, and the
# final status of its dependencies.
RunTask = Callable[[TaskPath, Any, Any, Scope, Mapping[str, Any]], Outcome]
# The values of placeholders in the constants of a group.
Words = Callable[[TaskPath], Mapping[str, str]]


class GroupFailed(KfpError):
    """A group that cannot be executed, through no fault of its tasks."""


class Graph:
    """One walk through a pipeline, with a limit of concurrent tasks."""

    def __init__(
        self,
        spec: Any,
        run_task: RunTask,
        words: Words,
        run_name: str,
        at_once: int,
        give_up: Callable[[str], None],
    ):
        self._components = spec.components
        self._root = spec.root
        self._run_task = run_task
        self._words = words
        self._run_name = run_name
        self._threads = ThreadPoolExecutor(at_once)
        # Called with the reason if something other than a task fails.
        self._give_up = give_up

    def walk(self, arguments: Mapping[str, Any]) -> bool:
        """Walk through the whole pipeline; return whether it succeeded."""
        inputs = pipeline_inputs(arguments, self._root)
        scope = Scope("", inputs, self._root.dag.outputs, None)
        with self._threads:
            return asyncio.run(self._group(self._root, scope, ()))

    async def _group(self, component: Any, scope: Scope, path: TaskPath) -> bool:
        """Walk a pipeline, a loop's iteration or a condition; return whether it succeeded."""
        ending: dict[str, asyncio.Task[Outcome]] = {}
        for name, before in dependencies(component.dag).items():
            waited_for = [ending[one] for one in before]
            task = component.dag.tasks[name]
            ending[name] = asyncio.create_task(
                self._outcome((*path, name), task, scope, waited_for)
            )
        outcomes = await asyncio.gather(*ending.values())
        return not any(outcome.state == FAILED for outcome in outcomes)

    async def _outcome(
        self, path: TaskPath, task: Any, scope: Scope, before: list[asyncio.Task[Outcome]]
    ) -> Outcome:
        """Wait for the task's turn, run it, and note its outcome in the scope."""
        states = [(await one).state for one in before]
        if all(state in DONE for state in states) or runs_anyway(task):
            try:
                outcome = await self._run(path, task, scope)
            except Exception as error:  # Any error is this task's alone: the others continue.
                self._give_up(f"'{shortened(path[-1])}' could not be run: {why(error) or error}")
                outcome = Outcome(FAILED)
        else:
            outcome = Outcome(FAILED if FAILED in states else CANCELED)
        scope.outcomes[path[-1]] = outcome
        return outcome

    async def _run(self, path: TaskPath, task: Any, scope: Scope) -> Outcome:
        component = self._components[task.component_ref.name]
        is_group = component.WhichOneof("implementation") == "dag"
        status = self._final_status(task, scope)
        if not is_group and not task.trigger_policy.condition:
            if task.WhichOneof("iterator"):
                raise GroupFailed("a loop needs a group of tasks to repeat")
            return await self._in_a_thread(path, task, component, scope, status)
        inputs = task_inputs(task, component, scope, self._words(path), status)
        condition = task.trigger_policy.condition
        if condition and not holds(condition, inputs.parameters):
            return Outcome(CANCELED)
        if task.WhichOneof("iterator"):
            return await self._loop(path, task, component, inputs, scope)
        if not is_group:
            return await self._in_a_thread(path, task, component, scope, status)
        group = _scope_within(scope, path[-1], inputs, component)
        state = COMPLETE if await self._group(component, group, path) else FAILED
        return Outcome(state, group=group)

    async def _in_a_thread(self, *task: Any) -> Outcome:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._run_task, *task)

    async def _loop(
        self, path: TaskPath, task: Any, component: Any, inputs: Values, scope: Scope
    ) -> Outcome:
        each = iterations(task, inputs)
        at_once = asyncio.Semaphore(_parallelism(task) or len(each) or 1)

        async def iterate(number: int, values: Values) -> Scope | None:
            place = (*path[:-1], f"{path[-1]}-iteration-{number}")
            async with at_once:
                return await self._iteration(place, component, values, scope)

        scopes = await asyncio.gather(*map(iterate, range(len(each)), each))
        whole = [one for one in scopes if one]
        return Outcome(COMPLETE if len(whole) == len(each) else FAILED, iterations=whole)

    async def _iteration(
        self, path: TaskPath, component: Any, values: Values, around: Scope
    ) -> Scope | None:
        """The scope of a successful iteration."""
        try:
            parameters = checked(values.parameters, component)
        except KfpError as error:
            self._give_up(f"'{path[-1]}' could not be run: {error}")
            return None
        inputs = Values(parameters, values.artifacts)
        scope = _scope_within(around, path[-1], inputs, component)
        return scope if await self._group(component, scope, path) else None

    def _final_status(self, task: Any, scope: Scope) -> dict[str, Any]:
        """Return the final status of a task's dependencies, by the names of its inputs.

        Rule: `resolveInputParameter` in KFP's backend/src/v2/driver/resolve.go, which leaves the
        error empty.
        """
        return {
            name: {
                "state": scope.state(source.task_final_status.producer_task),
                "pipelineJobResourceName": self._run_name,
                "pipelineTaskName": source.task_final_status.producer_task,
                "error": {},
            }
            for name, source in task.inputs.parameters.items()
            if source.HasField("task_final_status")
        }


def _parallelism(task: Any) -> int:
    """Return the number of iterations that may run at once: 0 for any number, as what is less."""
    return max(int(task.iterator_policy.parallelism_limit), 0)


def _scope_within(scope: Scope, name: str, inputs: Values, component: Any) -> Scope:
    """The scope of a group; it sees the enclosing scope only within the same pipeline."""
    around = scope if is_of_compiler(name, component) else None
    return Scope(name, inputs, component.dag.outputs, around)
