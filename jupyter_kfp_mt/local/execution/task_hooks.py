"""Where we take part in kfp.local: each task reported, in a folder and a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from google.protobuf import json_format, struct_pb2  # type: ignore[import-untyped]
from kfp import dsl, local
from kfp.compiler import pipeline_spec_builder
from kfp.local import (
    cache,
    config,
    executor_input_utils,
    executor_output_utils,
    graph_utils,
    importer_handler,
    logging_utils,
    placeholder_utils,
    subprocess_task_handler,
    utils,
)
from kfp.local.orchestrator import task_executor
from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils
from kfp.local.status import Status
from kfp.pipeline_spec import pipeline_spec_pb2

from ...models import TaskValues
from ..disk import why
from . import persistent_volumes, values
from .containers import MARK, Container, Engines, why_needed
from .graph import Graph, Outputs
from .imports import elsewhere, importable
from .input_folders import input_folders
from .job import INTERNAL, Assignment
from .platform_spec import PlatformSpec, Secrets, TaskRefused
from .progress import Progress, TaskPath
from .reuse import Reuse, TaskCache
from .task_process import LOG_NAME, run_command, run_container
from .task_server import TaskServer
from .volumes import misplaced, why_not

# The groups that the compiler makes of `with dsl.If`, `dsl.ParallelFor` and so on. Their names say
# nothing to the person who wrote that.
_COMPILERS_GROUP = re.compile(r"(condition|condition-branches|for-loop|exit-handler)-\d+")
_ITERATION = re.compile(r"(.+)-iteration-(\d+)")
# What a task's command and parameters may name of its own inputs and outputs.
_OWN_VALUE = re.compile(r"\{\{\$\.(in|out)puts\.(parameters\[|artifacts\[[^{}]*\]\.)[^{}]*\}\}")

# Tasks also wait, for files and for other machines.
TASKS_PER_PROCESSOR = 2

Replacement = Callable[..., Any]

_Kind = pipeline_spec_pb2.ParameterType.ParameterTypeEnum


class _Attempt(threading.local):
    """What this thread's task is; kfp's functions, which we are called by, do not tell."""

    path: TaskPath = ()
    folder: Path
    component: Any
    # Where its parameters come from.
    sources: Any
    secrets: Secrets
    # As kfp makes it: the message, and the same as a dictionary.
    executor_input: Any
    inputs: dict[str, Any]
    failure: str


class PipelineRun:
    """One pipeline in a process that is there for it alone: kfp.local is changed to suit it."""

    def __init__(self, assignment: Assignment, folder: Path, progress: Progress) -> None:
        self._assignment = assignment
        self._folder = folder
        self._progress = progress
        self._spec = json_format.ParseDict(
            assignment.job.pipeline_spec, pipeline_spec_pb2.PipelineSpec()
        )
        self._executors = {
            label: utils.struct_to_executor_spec(executor)
            for label, executor in self._spec.deployment_spec["executors"].items()
        }
        # Of each executor, why its tasks can only run in containers, or nothing.
        self._container_needed = {
            label: why_needed(executor)
            for label, executor in json_format.MessageToDict(self._spec.deployment_spec)
            .get("executors", {})
            .items()
        }
        in_containers = all(self._container_needed.values())
        self._task_server = None if in_containers else TaskServer()
        self._engines = Engines(assignment.engine_environment)
        self._token_folder = Path(assignment.environment["KF_PIPELINES_SA_TOKEN_PATH"]).parent
        self._platform_spec = PlatformSpec(assignment)
        self._name = executor_input_utils.get_local_pipeline_resource_name(
            self._spec.pipeline_info.name
        )
        namespace = folder.parent.parent
        self._reuse = Reuse(namespace / "cache", namespace / "runs", assignment.job.run_id)
        self._attempt = _Attempt()
        self._placeholders = {
            dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER: assignment.job.name,
            dsl.PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER: _utc(assignment.job.created_at),
            dsl.PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER: _utc(assignment.job.scheduled_at),
        }
        self._hook()

    def run(self) -> None:
        """Runs it to the end. What failed is in the progress, or raised if it is no task's."""
        self._refuse_what_cannot_run()
        for path, _ in self._leaves(self._spec.root.dag, into_loops=False):
            self._progress.plan(path, display_name(path))
        workspace = self._folder / "workspace"
        if self._platform_spec.has_workspace:
            workspace.mkdir(exist_ok=True)
        local.init(
            local.SubprocessRunner(use_venv=False),
            pipeline_root=str(self._folder / "tasks"),
            workspace_root=str(workspace),
        )
        graph = Graph(self._spec, self._run_task, tasks_at_once(), self._progress.give_up)
        if graph.walk(dict(self._assignment.job.parameters)):
            shutil.rmtree(workspace, ignore_errors=True)  # else it is there for another attempt

    def _leaves(
        self, dag: Any, into_loops: bool, scope: TaskPath = ()
    ) -> Iterator[tuple[TaskPath, Any]]:
        """Path and component of each task that is no group, in the order in which they run."""
        for name in reversed(graph_utils.topological_sort_tasks(dag.tasks)):
            task = dag.tasks[name]
            component = self._spec.components[task.component_ref.name]
            if task.WhichOneof("iterator") and not into_loops:
                continue
            if component.WhichOneof("implementation") == "dag":
                yield from self._leaves(component.dag, into_loops, (*scope, name))
            else:
                yield (*scope, name), component

    def _refuse_what_cannot_run(self) -> None:
        for path, component in self._leaves(self._spec.root.dag, into_loops=True):
            if reason := self._why_not(component.executor_label):
                raise TaskRefused(f"Task '{display_name(path)}' cannot run here: {reason}")

    def _why_not(self, label: str) -> str:
        """Why this machine cannot run the tasks of an executor, or nothing."""
        paths = self._platform_spec.mount_paths(label)
        own_folders = [str(self._folder.parents[1]), str(self._token_folder)]
        if needed := self._container_needed.get(label):
            no_engine = self._engines.why_none()
            return f"{needed}, and {no_engine}" if no_engine else misplaced(paths, own_folders)
        return why_not(paths, own_folders) if paths else ""

    def _hook(self) -> None:
        handler = subprocess_task_handler.SubprocessTaskHandler
        _replace(handler, "validate_not_container_component", _accepting)
        _replace(handler, "validate_not_containerized_python_component", _accepting)
        _replace(handler, "run", self._in_own_process)
        _replace(cache, "get_local_cache", lambda _: self._cache)
        _replace(pipeline_spec_builder, "to_protobuf_value", _with_null)
        _replace(executor_output_utils, "pb2_value_to_python", _with_none_for_unset)
        _replace(executor_output_utils, "add_type_to_executor_output", _with_all_artifacts)
        _replace(executor_input_utils, "construct_executor_input", _without_absent)
        _replace(executor_input_utils, "executor_input_to_dict", _with_values_of_their_types)
        _replace(executor_output_utils, "cast_protobuf_numbers", _with_integers_as_declared)
        _replace(OrchestratorUtils, "make_task_arguments", self._with_final_status)
        _replace(importer_handler, "get_importer_uri", self._with_local_path)
        _replace(placeholder_utils, "resolve_individual_placeholder", self._with_placeholders)
        _replace(placeholder_utils, "resolve_io_placeholders", _of_own_values_only)
        # They change `print` and the handlers of the log while a task runs; tasks run at once.
        _replace(logging_utils, "indented_print", lambda _: contextlib.nullcontext)
        _replace(logging_utils, "local_logger_context", lambda _: contextlib.nullcontext)
        _replace(logging_utils, "color_text", lambda _: lambda text, color: text)

    def _run_task(self, path: TaskPath, spec: Any, store: Any) -> Outputs | None:
        """A task that is no group: reported from start to end, in a folder of its own."""
        if self._progress.stopping:
            return None
        task = self._progress.plan(path, display_name(path))
        component = self._spec.components[spec.component_ref.name]
        if (earlier := self._assignment.succeeded.get(task.task_id)) is not None:
            if (outputs := values.restored(earlier, component)) is not None:
                return outputs
        attempt = self._attempt
        attempt.path, attempt.component, attempt.sources = path, component, spec.inputs.parameters
        attempt.folder = self._folder / "tasks" / task.task_id
        attempt.executor_input, attempt.inputs, attempt.failure = None, {}, ""
        self._start(attempt)
        outputs = self._outputs(attempt, spec, store)
        if outputs is None:
            self._progress.finish(path, self._left_behind(attempt), attempt.failure)
        else:
            self._progress.finish(path, values.put_out(outputs))
        return outputs

    def _start(self, attempt: _Attempt) -> None:
        # What the disk does not take now it does not take from the task either, and that says why.
        with contextlib.suppress(OSError):
            attempt.folder.mkdir(parents=True, exist_ok=True)
            with (attempt.folder / LOG_NAME).open("a", encoding="utf-8") as log:
                if log.tell():
                    log.write("\n[The run was started again, and so is this task.]\n")
        self._progress.start(attempt.path)

    def _outputs(self, attempt: _Attempt, spec: Any, store: Any) -> Outputs | None:
        """None if it failed, for the reason that the attempt has then."""
        try:
            self._note_inputs(attempt, spec, store)
            label = attempt.component.executor_label
            attempt.secrets = self._platform_spec.secrets(label, store, attempt.folder.name)
            outputs, status = task_executor.execute_single_task(
                task_name=attempt.path[-1],
                task_spec=spec,
                pipeline_resource_name=self._name,
                components=self._spec.components,
                executors=self._executors,
                io_store=store,
                pipeline_root=str(attempt.folder),
                runner=config.LocalExecutionConfig.instance.runner,
                unique_pipeline_id=self._assignment.job.run_id,
                fail_stack=[],
            )
            return outputs if status == Status.SUCCESS else None
        except Exception as error:  # kfp's have no common base; the exit handler still has to run.
            attempt.failure = why(error) or str(error) or type(error).__name__
            log = attempt.folder / LOG_NAME
            with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:
                file.write(f"{attempt.failure}\n")
            return None

    def _left_behind(self, attempt: _Attempt) -> TaskValues:
        """What a failed task has written so far."""
        if attempt.executor_input is None:
            return TaskValues()
        try:
            written = executor_output_utils.get_outputs_for_task(
                attempt.executor_input, attempt.component
            )
        except Exception:  # It has failed, and this may be why.
            written = {}
        parameters = attempt.component.output_definitions.parameters
        return values.left_behind(
            attempt.inputs, {name: written[name] for name in written if name in parameters}
        )

    def _note_inputs(self, attempt: _Attempt, spec: Any, store: Any) -> None:
        """What kfp will give to the task."""
        name = executor_input_utils.get_local_task_resource_name(spec.component_ref.name)
        attempt.executor_input = executor_input_utils.construct_executor_input(
            component_spec=attempt.component,
            arguments=OrchestratorUtils.make_task_arguments(spec.inputs, store),
            task_root=executor_input_utils.construct_local_task_root(
                str(attempt.folder), self._name, name
            ),
            block_input_artifact=False,
        )
        attempt.inputs = placeholder_utils.resolve_self_references_in_executor_input(
            executor_input_utils.executor_input_to_dict(attempt.executor_input, attempt.component),
            pipeline_resource_name=self._name,
            task_resource_name=name,
            pipeline_root=str(attempt.folder),
            pipeline_job_id=self._assignment.job.run_id,
            pipeline_task_id=placeholder_utils.make_random_id(),
        )
        inputs = values.given(attempt.inputs, attempt.component)
        self._progress.note_inputs(attempt.path, inputs)

    def _cache(self) -> TaskCache | None:
        """kfp's cache, for the task of this thread."""
        attempt = self._attempt
        if any(source.HasField("task_final_status") for source in attempt.sources.values()):
            return None  # The end that it is told of was another one.
        platform = self._platform_spec.asked(attempt.component.executor_label)
        kind = TaskCache if self._is_reusable(attempt) else _Unread
        return kind(self._reuse, attempt.folder, attempt.folder / LOG_NAME, platform)

    def _is_reusable(self, attempt: _Attempt) -> bool:
        """Tell if what an earlier task has put out can still be there; a claim can be deleted."""
        image, parameters = self._image(attempt), attempt.inputs["inputs"].get("parameterValues")
        return not persistent_volumes.changes_claims(image) or persistent_volumes.is_reusable(
            image, self._platform_spec.claims, parameters or {}
        )

    def _with_placeholders(self, resolve: Replacement) -> Replacement:
        """What a cluster fills in of the run and of this thread's task."""

        def resolve_individual_placeholder(element: str, **call: Any) -> Any:
            call["pipeline_resource_name"] = self._assignment.job.display_name
            call["task_resource_name"] = self._attempt.path[-1]
            call["pipeline_task_id"] = self._attempt.folder.name
            element = resolve(element, **call)
            for placeholder, value in self._placeholders.items():
                element = element.replace(placeholder, value)
            return element

        return resolve_individual_placeholder

    def _with_final_status(self, make: Replacement) -> Replacement:
        """An exit handler learns of which run the end is, and why it failed."""

        def make_task_arguments(task_inputs_spec: Any, io_store: Any) -> dict[str, Any]:
            arguments: dict[str, Any] = make(task_inputs_spec, io_store)
            for name, source in task_inputs_spec.parameters.items():
                if source.HasField("task_final_status"):
                    arguments[name] |= self._final_status(arguments[name])
            return arguments

        return make_task_arguments

    def _final_status(self, status: dict[str, Any]) -> dict[str, Any]:
        told = {"pipeline_job_resource_name": self._assignment.job.name}
        if status["state"] != "FAILED":
            return told
        group = (*self._attempt.path[:-1], status["pipeline_task_name"])
        return {**told, "error": {"code": INTERNAL, "message": self._progress.failure_in(group)}}

    def _with_local_path(self, uri_of: Replacement) -> Replacement:
        def importer_uri(importer_spec: Any, executor_input: Any) -> str:
            uri = uri_of(importer_spec, executor_input)
            # There the placeholders are filled in.
            return importable(self._attempt.inputs["inputs"]["parameterValues"].get("uri", uri))

        return importer_uri

    def _in_own_process(self, _run: Replacement) -> Replacement:
        """One attempt at a task's command."""

        def run(handler: Any) -> Any:
            attempt = self._attempt
            if self._progress.stopping:
                attempt.failure = attempt.failure or "stopped"
                return Status.FAILURE
            self._progress.note_inputs(
                attempt.path, values.given(attempt.inputs, attempt.component)
            )
            self._note_what_is_elsewhere(attempt)
            attempt.failure = self._execute(attempt, handler)
            return Status.FAILURE if attempt.failure else Status.SUCCESS

        return run

    def _note_what_is_elsewhere(self, attempt: _Attempt) -> None:
        log = attempt.folder / LOG_NAME
        with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:
            for name, uri in elsewhere(attempt.inputs):
                file.write(
                    f"[The input '{name}' is {uri}. Nothing is downloaded here: there is no file "
                    f"at {name}.path, but the task can fetch {name}.uri itself.]\n"
                )

    def _execute(self, attempt: _Attempt, handler: Any) -> str:
        """Why the command failed, or nothing."""
        image = self._image(attempt)
        if persistent_volumes.changes_claims(image):
            return self._change_claims(image, attempt)
        secrets = attempt.secrets
        environment = {**self._assignment.environment, **handler.env_vars, **secrets.variables}
        label = attempt.component.executor_label
        timeout = self._platform_spec.timeout(label)
        if not self._container_needed.get(label):
            return run_command(
                handler.full_command,
                environment,
                attempt.folder,
                self._task_server,
                secrets.volumes,
                timeout,
            )
        # As on a cluster, there is a folder for what the command puts out.
        Path(attempt.executor_input.outputs.output_file).parent.mkdir(parents=True, exist_ok=True)
        (self._folder / MARK).touch()
        container = self._container(attempt, handler, environment)
        return run_container(self._engines.engine(), container, attempt.folder, timeout)

    def _image(self, attempt: _Attempt) -> str:
        return str(self._executors[attempt.component.executor_label].container.image)

    def _change_claims(self, image: str, attempt: _Attempt) -> str:
        """Creates or deletes a claim. Why that failed, or nothing."""
        outputs = attempt.inputs["outputs"].get("parameters", {})
        done = persistent_volumes.execute(
            image,
            self._platform_spec.claims,
            attempt.inputs["inputs"].get("parameterValues", {}),
            outputs.get("name", {}).get("outputFile", ""),
        )
        log = attempt.folder / LOG_NAME
        with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:
            file.write(f"{done}\n")
        return ""

    def _container(self, attempt: _Attempt, handler: Any, environment: dict[str, str]) -> Container:
        has_command = bool(self._executors[attempt.component.executor_label].container.command)
        folders = [attempt.folder, self._folder / "workspace"]
        read_only = [*input_folders(attempt.inputs, self._folder), str(self._token_folder)]
        return Container(
            namespace=self._assignment.job.namespace,
            run_id=self._assignment.job.run_id,
            task_id=attempt.folder.name,
            image=handler.image,
            command=handler.full_command if has_command else [],
            args=[] if has_command else handler.full_command,
            environment=environment,
            folders=[str(folder) for folder in folders if folder.is_dir()],
            read_only=[path for path in read_only if os.path.exists(path)],
            volumes=attempt.secrets.volumes,
        )


class _Unread(TaskCache):
    """Takes what the task puts out, but gives nothing."""

    def get(self, key: str) -> None:
        pass


def tasks_at_once() -> int:
    """How many of a run's tasks may be executing."""
    return TASKS_PER_PROCESSOR * (os.cpu_count() or 1)


def display_name(path: TaskPath) -> str:
    """What a person calls the task: `train`, `train[0]` in a loop, `inner/train` in a pipeline."""
    *scope, name = path
    iterations = ""
    pipelines = ""
    for group in scope:
        if iteration := _ITERATION.fullmatch(group):
            group, number = iteration.groups()
            iterations += f"[{number}]"
        if not _COMPILERS_GROUP.fullmatch(group):
            pipelines += f"{group}/"
    return f"{pipelines}{name}{iterations}"


def _utc(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _replace(owner: Any, name: str, replacement: Callable[[Any], Any]) -> None:
    """Puts in something made from what was there, which another version of kfp may not have."""
    if not hasattr(owner, name):
        raise ImportError(f"{owner.__name__} has no {name}")
    setattr(owner, name, replacement(getattr(owner, name)))


def _accepting(_validate: Replacement) -> Replacement:
    """What kfp would refuse here runs in a container."""
    return lambda _handler, _command: None


def _of_own_values_only(resolve: Replacement) -> Replacement:
    """What else looks like a placeholder is a text, and stays as it is."""

    def resolve_io_placeholders(executor_input: Any, command: str) -> str:
        return _OWN_VALUE.sub(lambda found: resolve(executor_input, found[0]), command)

    return resolve_io_placeholders


def _with_null(write: Replacement) -> Replacement:
    """JSON's null, which a list or a dictionary can hold, is a value too."""

    def to_protobuf_value(value: Any) -> Any:
        return struct_pb2.Value(null_value=0) if value is None else write(value)

    return to_protobuf_value


def _with_none_for_unset(read: Replacement) -> Replacement:
    """An optional input without a default; kfp knows no value for it."""

    def pb2_value_to_python(value: Any) -> Any:
        kind = value.WhichOneof("kind")
        if kind in ("struct_value", "list_value"):
            return values.whole(read(value))
        return None if kind is None else read(value)

    return pb2_value_to_python


def _with_all_artifacts(complete: Replacement) -> Replacement:
    """Only Python components say what they have put out. What others were to write is theirs."""

    def add_type_to_executor_output(executor_input: Any, executor_output: Any) -> Any:
        for name, artifacts in executor_input.outputs.artifacts.items():
            if name not in executor_output.artifacts:
                executor_output.artifacts[name].CopyFrom(artifacts)
        return complete(executor_input=executor_input, executor_output=executor_output)

    return add_type_to_executor_output


def _with_values_of_their_types(_as_dict: Replacement) -> Replacement:
    """As a cluster's driver gives them, which refuses what is of another type than declared."""

    def executor_input_to_dict(executor_input: Any, component_spec: Any) -> Any:
        as_dict = json_format.MessageToDict(executor_input)
        inputs = as_dict.get("inputs", {})
        parameters = inputs.get("parameterValues", {})
        declared = component_spec.input_definitions.parameters
        for name, value in parameters.items():
            kind = _Kind.Name(declared[name].parameter_type) if name in declared else ""
            parameters[name] = values.of_type(kind, name, value)
        for listed in inputs.get("artifacts", {}).values():
            for artifact in listed.get("artifacts", []):
                artifact["metadata"] = values.whole(artifact.get("metadata", {}))
        return as_dict

    return executor_input_to_dict


def _with_integers_as_declared(_cast: Replacement) -> Replacement:
    """What a task has put out as an integer is none if it has a fraction."""

    def cast_protobuf_numbers(outputs: dict[str, Any], declared: Any) -> dict[str, Any]:
        for name in [name for name in outputs if name in declared]:
            if declared[name].parameter_type == _Kind.NUMBER_INTEGER:
                outputs[name] = values.integer_put_out(name, outputs[name])
        return outputs

    return cast_protobuf_numbers


def _without_absent(construct: Replacement) -> Replacement:
    """An optional input that was given no value is left out, as on a cluster."""

    def construct_executor_input(*, arguments: dict[str, Any], **call: Any) -> Any:
        given = {name: value for name, value in arguments.items() if value is not None}
        executor_input = construct(arguments=given, **call)
        values = executor_input.inputs.parameter_values
        for name in [name for name in values if values[name].WhichOneof("kind") is None]:
            del values[name]
        return executor_input

    return construct_executor_input
