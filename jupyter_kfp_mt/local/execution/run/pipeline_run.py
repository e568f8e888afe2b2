"""One pipeline in a process of its own, from its specification to its end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
from google.protobuf import json_format  # type: ignore[import-untyped]
from kfp.pipeline_spec import pipeline_spec_pb2

from ..executors.task_server import TaskServer
from ..executors.volumes import misplaced, why_not
from ..run_request import Assignment
from .dependencies import PipelineRefused, dependencies, shortened
from .graph import Graph
from .launcher import Launcher
from .platform_spec import TaskRefused
from .record_progress import Progress, TaskPath, display_name, task_id, without_iterations
from .retries import hand_down_retry_policies
from .task_config import not_applied

# More than processors: tasks also wait for files and for other machines.
TASKS_PER_PROCESSOR = 2
# Names are part of each report and are shown to people.
LONGEST_NAME = 1000


class PipelineRun:
    """A run's pipeline, whose tasks a launcher executes in the order of the graph."""

    def __init__(
        self,
        assignment: Assignment,
        folder: Path,
        progress: Progress,
        task_server: TaskServer | None = None,
    ) -> None:
        self._assignment = assignment
        self._folder = folder
        self._progress = progress
        pipeline = msgspec.json.decode(assignment.job.pipeline_spec)
        self._spec = _parsed(pipeline, pipeline_spec_pb2.PipelineSpec())
        progress.called = self._called
        self._executors = {
            label: _parsed(
                json_format.MessageToDict(executor),
                pipeline_spec_pb2.PipelineDeploymentConfig.ExecutorSpec(),
            )
            for label, executor in self._spec.deployment_spec.fields[
                "executors"
            ].struct_value.fields.items()
        }
        self._launcher = Launcher(
            assignment,
            folder,
            progress,
            self._executors,
            self._words(),
            self._spec.pipeline_info.name,
            task_server,
        )

    def run(self) -> None:
        """Run to the end. Failures of tasks are in the progress; others are raised."""
        try:
            leaves = list(self._leaves(self._spec.root.dag, into_loops=True))
        except RecursionError:
            raise PipelineRefused("its pipelines are nested too deeply") from None
        hand_down_retry_policies(self._spec)
        for path, _ in self._leaves(self._spec.root.dag, into_loops=False):
            self._progress.plan(path)
        for path, component in leaves:
            if reason := self._why_not(component):
                raise TaskRefused(f"Task '{display_name(path)}' cannot run here: {reason}")
        workspace = self._launcher.workspace
        if self._launcher.platform_spec.has_workspace:
            workspace.mkdir(exist_ok=True)
        graph = Graph(
            self._spec,
            self._launcher.run,
            self._words_of_a_group,
            self._assignment.job.name,
            tasks_at_once(),
            self._progress.give_up,
        )
        if graph.walk(self._assignment.job.parameters):
            shutil.rmtree(workspace, ignore_errors=True)  # otherwise it is kept for another attempt

    def _called(self, path: TaskPath) -> str:
        """Return the name that the pipeline's author gave a task."""
        labels, component = [], self._spec.root
        for key in without_iterations(path)[0]:
            task = component.dag.tasks[key]
            labels.append(task.task_info.name or key)
            component = self._spec.components[task.component_ref.name]
        return display_name(path, labels)

    def _leaves(
        self, dag: Any, into_loops: bool, scope: TaskPath = (), around: tuple[str, ...] = ()
    ) -> Iterator[tuple[TaskPath, Any]]:
        """The path and component of each task that is not a group, in execution order."""
        for name in dependencies(dag):
            task, path = dag.tasks[name], (*scope, name)
            component = self._component(path, task.component_ref.name, around)
            if task.WhichOneof("iterator") and not into_loops:
                continue
            if component.WhichOneof("implementation") == "dag":
                within = (*around, task.component_ref.name)
                yield from self._leaves(component.dag, into_loops, path, within)
            else:
                yield path, component

    def _component(self, path: TaskPath, name: str, around: tuple[str, ...]) -> Any:
        """The component of a task. Raises PipelineRefused if it is not valid."""
        task, component = shortened(display_name(path)), shortened(name)
        if len(path[-1]) > LONGEST_NAME:
            raise PipelineRefused(
                f"the task '{task}' has a name of {len(path[-1])} characters; "
                f"at most {LONGEST_NAME} are allowed"
            )
        if name not in self._spec.components:
            raise PipelineRefused(
                f"the component of the task '{task}' does not exist: '{component}'"
            )
        if name in around:
            raise PipelineRefused(
                f"the task '{task}' makes the pipeline contain itself: '{component}'"
            )
        found = self._spec.components[name]
        if found.WhichOneof("implementation") is None:
            raise PipelineRefused(f"the component '{component}' has no implementation")
        return found

    def _why_not(self, component: Any) -> str:
        """Return why this machine cannot run tasks of a component; empty if it can."""
        label = component.executor_label
        if label not in self._executors:
            return f"there is no executor '{shortened(label)}' in the pipeline's deploymentSpec"
        if self._executors[label].WhichOneof("spec") not in ("container", "importer"):
            return f"its executor '{shortened(label)}' is neither a container nor an importer"
        launcher = self._launcher
        paths = launcher.platform_spec.mount_paths(label, not_applied(component))
        own_folders = [str(self._folder.parents[1]), str(launcher.token_folder)]
        if needed := launcher.container_needed.get(label):
            no_engine = launcher.engines.why_none()
            return f"{needed}, and {no_engine}" if no_engine else misplaced(paths, own_folders)
        return why_not(paths, own_folders) if paths else ""

    def _words(self) -> dict[str, str]:
        """The values of the placeholders for the run."""
        job = self._assignment.job
        return {
            "{{$.pipeline_job_name}}": job.display_name,
            "{{$.pipeline_job_resource_name}}": job.name,
            "{{$.pipeline_job_uuid}}": job.run_id,
            "{{$.pipeline_job_create_time_utc}}": _utc(job.created_at),
            "{{$.pipeline_job_schedule_time_utc}}": _utc(job.scheduled_at),
        }

    def _words_of_a_group(self, path: TaskPath) -> dict[str, str]:
        return self._launcher.words(path, task_id(self._assignment.job.run_id, path))


def tasks_at_once() -> int:
    """Return the limit of concurrent tasks of a run."""
    return TASKS_PER_PROCESSOR * (os.cpu_count() or 1)


def _utc(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _parsed(found: dict[str, Any], message: Any) -> Any:
    try:
        return json_format.ParseDict(found, message)
    except json_format.ParseError as error:
        raise PipelineRefused(f"the pipeline's specification cannot be read: {error}") from None
