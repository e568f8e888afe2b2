"""A pipeline's graph, walked: whatever waits for nothing runs at the same time.

Everything but the tasks themselves happens on one event loop, so that what the groups know of each
other needs no locks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kfp.local import graph_utils, io
from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils
from kfp.pipeline_spec import pipeline_spec_pb2

from ...errors import KfpError
from .conditions import holds
from .progress import TaskPath

_EVEN_AFTER_FAILURE = pipeline_spec_pb2.PipelineTaskSpec.TriggerPolicy.ALL_UPSTREAM_TASKS_COMPLETED

Outputs = dict[str, Any]
# Runs a task that is no group. Returns its outputs, or None if it failed.
RunTask = Callable[[TaskPath, Any, io.IOStore], Outputs | None]


class GroupFailed(KfpError):
    """Why a group cannot be walked: no fault of a task in it."""


class Graph:
    """One walk through a pipeline, with at most so many tasks at once."""

    def __init__(self, spec: Any, run_task: RunTask, at_once: int, give_up: Callable[[str], None]):
        self._components = spec.components
        self._root = spec.root
        self._run_task = run_task
        self._threads = ThreadPoolExecutor(at_once)
        # Hears why what is no task has failed.
        self._give_up = give_up

    def walk(self, arguments: dict[str, Any]) -> bool:
        """Whether all went well."""
        with self._threads:
            return asyncio.run(self._group(self._root, arguments, (), None)) is not None

    async def _group(
        self, component: Any, arguments: dict[str, Any], scope: TaskPath, parent: io.IOStore | None
    ) -> Outputs | None:
        """The outputs of the pipeline, loop's iteration or condition; None if something failed."""
        store = io.IOStore(parent)
        values = OrchestratorUtils.join_user_inputs_and_defaults(
            arguments, component.input_definitions
        )
        for name, value in values.items():
            store.put_parent_input(name, value)
        states: dict[str, asyncio.Task[str]] = {}
        for name in reversed(graph_utils.topological_sort_tasks(component.dag.tasks)):
            task = component.dag.tasks[name]
            states[name] = asyncio.create_task(self._state((*scope, name), task, store, states))
        if "FAILED" in await asyncio.gather(*states.values()):
            return None
        outputs: Outputs = OrchestratorUtils.get_dag_outputs(component.dag.outputs, store)
        return outputs

    async def _state(
        self, path: TaskPath, task: Any, store: io.IOStore, states: dict[str, asyncio.Task[str]]
    ) -> str:
        """The state that the task ends in, when its turn has come and it has ended."""
        before = {name: await states[name] for name in task.dependent_tasks if name in states}
        failed = {name for name, state in before.items() if state == "FAILED"}
        state = "FAILED"
        if not failed or task.trigger_policy.strategy == _EVEN_AFTER_FAILURE:
            try:
                state = await self._run(path, _without_outputs_of(failed, task), store)
            except Exception as error:  # kfp's have no common base; the rest may go on.
                self._give_up(f"'{path[-1]}' could not be run: {error}")
        store.put_task_status(path[-1], state)
        return state

    async def _run(self, path: TaskPath, task: Any, store: io.IOStore) -> str:
        component = self._components[task.component_ref.name]
        outputs: Outputs | None
        if condition := task.trigger_policy.condition:
            if not holds(condition, _inputs(task, store)):
                return "SKIPPED"
        if task.WhichOneof("iterator"):
            outputs = await self._loop(path, task, component, store)
        elif component.WhichOneof("implementation") == "dag":
            outputs = await self._group(component, _inputs(task, store), path, store)
        else:
            loop = asyncio.get_running_loop()
            outputs = await loop.run_in_executor(self._threads, self._run_task, path, task, store)
        if outputs is None:
            return "FAILED"
        for key, value in outputs.items():
            store.put_task_output(path[-1], key, value)
        return "SUCCEEDED"

    async def _loop(
        self, path: TaskPath, task: Any, component: Any, store: io.IOStore
    ) -> Outputs | None:
        """Lists of what the iterations have put out."""
        if component.WhichOneof("implementation") != "dag":
            raise GroupFailed("a loop needs a group of tasks to repeat")
        arguments = _inputs(task, store)
        items, item_input = _items(task, arguments)
        at_once = asyncio.Semaphore(task.iterator_policy.parallelism_limit or len(items) or 1)

        async def iterate(number: int, item: Any) -> Outputs | None:
            scope = (*path[:-1], f"{path[-1]}-iteration-{number}")
            async with at_once:
                return await self._group(component, {**arguments, item_input: item}, scope, store)

        iterations = await asyncio.gather(*map(iterate, range(len(items)), items))
        outputs = [each for each in iterations if each is not None]
        if len(outputs) < len(items):
            return None
        definitions = component.output_definitions
        return {
            **{key: [each[key] for each in outputs] for key in definitions.parameters},
            **{key: [*_flat(each[key] for each in outputs)] for key in definitions.artifacts},
        }


def _inputs(task: Any, store: io.IOStore) -> dict[str, Any]:
    """The arguments of a group, as far as they are there."""
    values: dict[str, Any] = {}
    for kind in ("parameters", "artifacts"):
        for name, source in getattr(task.inputs, kind).items():
            one = pipeline_spec_pb2.TaskInputsSpec(**{kind: {name: source}})
            try:
                values |= OrchestratorUtils.make_task_arguments(one, store)
            except ValueError:
                # The compiler also lists what only a loop within the group will have.
                if not str(source.WhichOneof("kind")).startswith("component_input"):
                    raise
    return values


def _items(task: Any, arguments: dict[str, Any]) -> tuple[list[Any], str]:
    """What a loop goes over, and the input that gets each item."""
    kind = task.WhichOneof("iterator")
    iterator = getattr(task, kind)
    source = iterator.items
    if kind == "artifact_iterator":
        items = arguments[source.input_artifact]
    elif source.WhichOneof("kind") == "raw":
        items = json.loads(source.raw)
    else:
        items = arguments[source.input_parameter]
    if isinstance(items, str):
        items = json.loads(items)
    if not isinstance(items, list):
        raise GroupFailed(f"a loop needs a list to go over, not {items!r}")
    return items, iterator.item_input


def _flat(values: Iterator[Any]) -> Iterator[Any]:
    """A loop in a loop gives lists of artifacts, of which a component takes one."""
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _without_outputs_of(failed: set[str], task: Any) -> Any:
    """What a failed task did not put out falls back to the default."""
    if not failed:
        return task
    left = pipeline_spec_pb2.PipelineTaskSpec()
    left.CopyFrom(task)
    for name, source in task.inputs.parameters.items():
        if source.task_output_parameter.producer_task in failed:
            del left.inputs.parameters[name]
    for name, source in task.inputs.artifacts.items():
        if source.task_output_artifact.producer_task in failed:
            del left.inputs.artifacts[name]
    return left
