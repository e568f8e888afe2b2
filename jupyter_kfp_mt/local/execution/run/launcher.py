"""Executes the tasks of one run, each in a folder and a process or container of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import json_format  # type: ignore[import-untyped]

from ....errors import KfpError
from ....models import TaskValues
from ...machine.disk_faults import why
from ..executors import persistent_volumes
from ..executors.containers import MARK, Engines, TaskContainer, why_needed
from ..executors.input_folders import input_folders
from ..executors.task_process import LOG_NAME, open_log, run_command, run_container
from ..executors.task_server import TaskServer
from ..run_request import Assignment
from . import task_values as api
from .artifact_metadata import without_value
from .changed_inputs import changed_since, times_of_files
from .executor_input import executor_input, prepare
from .importer import ImportRefused, elsewhere, importable, told_of
from .placeholders import (
    WORKSPACE_MOUNT,
    NotFilledIn,
    in_command,
    in_constant,
    left_in,
    with_parameters,
)
from .platform_spec import ENV, PlatformSpec, Secrets
from .record_progress import Progress, TaskPath
from .resource_quantities import resources
from .retries import RETRY_INDEX, pauses, seconds_in_all
from .scopes import CACHED, COMPLETE, FAILED, Outcome, RuntimeArtifact, Scope, Values
from .task_cache import TaskCache
from .task_config import Asked, not_applied, parameters_for_it, task_config
from .task_inputs import python_value, task_inputs, with_defaults
from .task_outputs import OutputRefused, collect, in_their_places, left_behind

# How often a task that waits for its next attempt checks if the run is being stopped.
_GLANCE_SECONDS = 0.2
# What Argo's executor in a pod looks for.
_PAUSE = "ARGO_DEBUG_PAUSE_"
_SEEN_BY_ALL = (
    "Here the tasks after it see that; on a cluster each downloads its own: write what is to be "
    "passed on into an output."
)
_ONLY_AS_A_WHOLE = (
    "is filled in only where KFP knows it and it is the whole value of an input: pass it to an "
    "input of its own."
)


class _Failed(KfpError):
    """An attempt at a task that has failed; the message says why."""


class _Execution:
    """A task being executed, with everything known of it so far."""

    def __init__(self, path: TaskPath, task: Any, component: Any, folder: Path) -> None:
        self.path = path
        self.task = task
        self.component = component
        self.label: str = component.executor_label
        self.folder = folder
        self.given = Values()
        self.executor_input: dict[str, Any] = {}
        self.secrets = Secrets()
        self.put_out: Values | None = None
        self.attempt = 0
        self.reused_from = ""  # the run whose outputs it reuses, if it is not executed

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"


class Launcher:
    """Executes the tasks of one run, as KFP's launcher does in pods."""

    def __init__(
        self,
        assignment: Assignment,
        folder: Path,
        progress: Progress,
        executors: Mapping[str, Any],
        words: Mapping[str, str],
        pipeline_name: str,
        task_server: TaskServer | None,
    ) -> None:
        self._assignment = assignment
        self._folder = folder
        self._progress = progress
        self._executors = executors
        self._words = words
        as_json = {name: json_format.MessageToDict(one) for name, one in executors.items()}
        # For each executor, why its tasks need containers; empty if they do not.
        self.container_needed = {label: why_needed(one) for label, one in as_json.items()}
        self._containers = {label: one.get("container") for label, one in as_json.items()}
        self._task_server = task_server
        self.engines = Engines(assignment.engine_environment)
        self.platform_spec = PlatformSpec(assignment)
        self.token_folder = Path(assignment.environment["KF_PIPELINES_SA_TOKEN_PATH"]).parent
        namespace = folder.parent.parent
        job = assignment.job
        self._reuse = TaskCache(namespace / "cache", namespace / "runs", job.run_id, pipeline_name)

    @property
    def workspace(self) -> Path:
        return self._folder / "workspace"

    def run(
        self, path: TaskPath, task: Any, component: Any, scope: Scope, status: Mapping[str, Any]
    ) -> Outcome:
        """Execute a task, report its progress, and return its outcome.

        The status is for parameters of type PipelineTaskFinalStatus.
        """
        if self._progress.stopping:
            return Outcome(FAILED)
        known = self._progress.plan(path)
        execution = _Execution(path, task, component, self._folder / "tasks" / known.task_id)
        if (earlier := self._assignment.succeeded.get(known.task_id)) is not None:
            if (put_out := api.restored(earlier, component)) is not None:
                return Outcome(COMPLETE, put_out)
        self._start(execution)
        try:
            outcome = self._outcome(execution, scope, status)
        except Exception as error:  # Whatever fails, the exit handler still has to run.
            failure = why(error) or str(error) or type(error).__name__
            if not isinstance(error, _Failed):
                _log(execution, failure)
            failure = told_of(execution.given.artifacts, failure)
            self._progress.finish(path, self._left_behind(execution), failure)
            return Outcome(FAILED)
        self._progress.finish(path, api.put_out(outcome.values, execution.reused_from))
        return outcome

    def _start(self, execution: _Execution) -> None:
        # If the disk is full here, it is full for the task, too, which reports it.
        with contextlib.suppress(OSError):
            execution.folder.mkdir(parents=True, exist_ok=True)
            with open_log(execution.folder / LOG_NAME) as log:
                if log.tell():
                    log.write(b"\n[The run was restarted, and this task with it.]\n")
        self._progress.start(execution.path)

    def _outcome(self, execution: _Execution, scope: Scope, status: Mapping[str, Any]) -> Outcome:
        words = self.words(execution.path, execution.folder.name)
        task, component = execution.task, execution.component
        execution.given = task_inputs(task, component, scope, words, status)
        execution.executor_input = executor_input(execution.given, component, execution.outputs)
        parameters = execution.executor_input["inputs"]["parameterValues"]
        inputs = api.given(execution.given, parameters, component)
        self._progress.note_inputs(execution.path, inputs)
        for placeholder in left_in(parameters):
            _log(execution, f"[{placeholder} {_ONLY_AS_A_WHOLE}]")
        execution.secrets = self.platform_spec.secrets(
            execution.label, scope, execution.folder.name, not_applied(component)
        )
        if self._executors[execution.label].WhichOneof("spec") == "importer":
            return Outcome(COMPLETE, self._imported(execution, words))
        key = self._cache_key(execution) if not status else ""
        reusable = key and self._is_reusable(execution)
        if reusable and (found := self._reused(execution, key)) is not None:
            return Outcome(CACHED, found)
        self._give_task_config(execution, scope)
        self._note_that_it_is_not_paused(execution)
        before = times_of_files(execution.given.artifacts)
        put_out = self._tried(execution, words)
        for name in changed_since(before, execution.given.artifacts):
            _log(execution, f"[It has changed its input '{name}' in place. {_SEEN_BY_ALL}]")
        if key:
            self._reuse.put(key, put_out)
        return Outcome(COMPLETE, put_out)

    def _give_task_config(self, execution: _Execution, scope: Scope) -> None:
        """Put it into the inputs for it. Raises the reason if no pod could be configured so."""
        container = self._executors[execution.label].container
        asked = Asked(
            container,
            resources(container, execution.given.parameters),
            self.platform_spec.asked(execution.label),
            f"{self._assignment.job.name}-kfp-workspace" if self._in_use(execution) else "",
        )
        config = task_config(execution.component, asked, scope)
        if names := parameters_for_it(execution.component):
            parameters = execution.executor_input["inputs"]["parameterValues"]
            parameters.update(dict.fromkeys(names, config))
            inputs = api.given(execution.given, parameters, execution.component)
            self._progress.note_inputs(execution.path, inputs)

    def _in_use(self, execution: _Execution) -> bool:
        """Return whether a task is given a path in the workspace, or an artifact there."""
        texts = [one for one in execution.given.parameters.values() if isinstance(one, str)]
        texts += [listed[0].path for listed in execution.given.artifacts.values() if listed]
        return any(str(self.workspace) in text for text in texts)

    def words(self, path: TaskPath, task_id: str) -> dict[str, str]:
        """Return the values of the placeholders for the run and for a task."""
        return {
            **self._words,
            "{{$.pipeline_task_name}}": path[-1],
            "{{$.pipeline_task_uuid}}": task_id,
            WORKSPACE_MOUNT: str(self.workspace),
        }

    def _cache_key(self, execution: _Execution) -> str:
        """The cache key, shared by all tasks whose outputs this one may reuse; empty for none."""
        task, label = execution.task, execution.label
        if not task.caching_options.enable_cache:
            return ""
        name = task.component_ref.name
        if custom := getattr(task.caching_options, "cache_key", ""):
            return self._reuse.custom_key(name, custom)
        platform = self.platform_spec.asked(label)
        return self._reuse.key(name, self._containers[label], execution.given, platform)

    def _is_reusable(self, execution: _Execution) -> bool:
        """Return True if outputs of an earlier task still exist; a claim can be deleted."""
        image = self._image(execution)
        return not persistent_volumes.changes_claims(image) or persistent_volumes.is_reusable(
            image, self.platform_spec.claims, execution.given.parameters
        )

    def _image(self, execution: _Execution) -> str:
        return str(self._executors[execution.label].container.image)

    def _reused(self, execution: _Execution, key: str) -> Values | None:
        found, run_id = self._reuse.found(key, execution.folder, execution.component)
        if found is not None:
            execution.reused_from = run_id
            _log(
                execution,
                f"[Not executed: the outputs of the same task in run {run_id} are reused. "
                "task.set_caching_options(False) makes it execute every time.]",
            )
        return found

    def _tried(self, execution: _Execution, words: Mapping[str, str]) -> Values:
        """Run attempts as the task's retry policy says. Raises the failure of the last one."""
        rest = pauses(execution.task.retry_policy)
        while True:
            try:
                return self._attempt(execution, words)
            except Exception as error:  # It is reported if it stays the last one.
                pause = None if self._progress.stopping else next(rest, None)
                if pause is None:
                    if not self._progress.stopping:
                        _note_lack_of_time(execution)
                    raise
                failure = error
            self._prepare_attempt(execution, failure, pause)

    def _prepare_attempt(self, execution: _Execution, failure: Exception, pause: float) -> None:
        if not isinstance(failure, _Failed):
            _log(execution, str(failure))
        self._wait(pause)
        execution.attempt += 1
        if not self._progress.stopping:
            self._progress.try_again(execution.path, str(failure))

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._progress.stopping:
            time.sleep(min(left, _GLANCE_SECONDS))

    def _attempt(self, execution: _Execution, words: Mapping[str, str]) -> Values:
        if self._progress.stopping:
            raise _Failed("stopped")
        self._note_what_is_elsewhere(execution)
        prepare(execution.outputs)
        execution.put_out = None
        if failure := self._execute(execution, words):
            raise _Failed(failure)
        return execution.put_out or self._collected(execution)

    def _collect(self, execution: _Execution) -> None:
        with contextlib.suppress(OutputRefused, OSError):  # It is raised after the cleanup.
            execution.put_out = self._collected(execution)

    def _collected(self, execution: _Execution) -> Values:
        put_out = collect(execution.executor_input, execution.component)
        return in_their_places(
            put_out, execution.folder, lambda path: self._may_read(execution, path)
        )

    def _may_read(self, execution: _Execution, path: Path) -> bool:
        """True for a process; a container's paths may be its own."""
        if not self.container_needed[execution.label]:
            return True
        real = path.resolve()
        return any(
            real.is_relative_to(folder.resolve()) for folder in (execution.folder, self.workspace)
        )

    def _execute(self, execution: _Execution, words: Mapping[str, str]) -> str:
        """Execute the command. Returns why it failed; empty if it did not."""
        container = self._executors[execution.label].container
        if persistent_volumes.changes_claims(container.image):
            self._change_claims(execution)
            return ""
        environment = self._environment(execution)
        timeout = self.platform_spec.timeout(execution.label)
        command = _filled_in(container.command, execution, words)
        args = _filled_in(container.args, execution, words)
        if self.container_needed[execution.label]:
            image = "".join(_filled_in([container.image], execution, words))
            (self._folder / MARK).touch()
            described = self._container(execution, image, command, args, environment)
            return run_container(self.engines.engine(), described, execution.folder, timeout)
        return run_command(
            [*command, *args],
            environment,
            execution.folder,
            self._task_server,
            execution.secrets.volumes,
            timeout,
            lambda: self._collect(execution),
        )

    def _environment(self, execution: _Execution) -> dict[str, str]:
        again = execution.task.HasField("retry_policy")
        environment = {
            **self._assignment.environment,
            **({RETRY_INDEX: str(execution.attempt)} if again else {}),
            **self._own_variables(execution),
            **execution.secrets.variables,
        }
        for name, value in environment.items():
            if not name or "=" in name or "\0" in name + value:
                raise _Failed(
                    f"its environment variable '{name}' cannot be set: a name is a text without =, "
                    "and neither name nor value has a null character in it"
                )
        return environment

    def _own_variables(self, execution: _Execution) -> dict[str, str]:
        env = self._executors[execution.label].container.env
        unused = ENV in not_applied(execution.component)
        return {} if unused else {one.name: one.value for one in env}

    def _change_claims(self, execution: _Execution) -> None:
        """Create or delete a claim. Raises `ClaimRefused`."""
        outputs = execution.executor_input["outputs"].get("parameters", {})
        done = persistent_volumes.execute(
            self._image(execution),
            self.platform_spec.claims,
            execution.executor_input["inputs"]["parameterValues"],
            outputs.get("name", {}).get("outputFile", ""),
        )
        _log(execution, done)

    def _container(
        self,
        execution: _Execution,
        image: str,
        command: list[str],
        args: list[str],
        environment: dict[str, str],
    ) -> TaskContainer:
        folders = [execution.folder, self.workspace]
        read_only = [
            *input_folders(execution.executor_input, self._folder),
            str(self.token_folder),
        ]
        return TaskContainer(
            namespace=self._assignment.job.namespace,
            run_id=self._assignment.job.run_id,
            task_id=execution.folder.name,
            image=image,
            command=[*command, *args] if command else [],
            args=[] if command else args,
            environment=environment,
            folders=[str(folder) for folder in folders if folder.is_dir()],
            read_only=[path for path in read_only if os.path.exists(path)],
            volumes=execution.secrets.volumes,
        )

    def _imported(self, execution: _Execution, words: Mapping[str, str]) -> Values:
        """The artifact that an importer names.

        Rule: KFP's backend/src/v2/component/importer_launcher.go.
        """
        importer = self._executors[execution.label].importer
        parameters = with_defaults(execution.given.parameters, execution.component)
        if importer.artifact_uri.WhichOneof("value") == "constant":
            source = python_value(importer.artifact_uri.constant)
        else:
            source = parameters.get(importer.artifact_uri.runtime_parameter or "uri")
        uri = importable(str(with_parameters(in_constant(source or "", words), parameters)))
        metadata = with_parameters(in_constant(python_value(importer.metadata), words), parameters)
        for absent in without_value(metadata):
            raise ImportRefused(f"its metadata '{absent}' has no value: leave it out")
        (name,) = execution.component.output_definitions.artifacts
        artifact = RuntimeArtifact(
            name=name,
            type=importer.type_schema.schema_title or "system.Artifact",
            uri=uri,
            metadata=metadata,
            path=self._in_workspace(uri) if _to_workspace(importer) else "",
        )
        return Values(artifacts={name: [artifact]})

    def _in_workspace(self, uri: str) -> str:
        """The path of the copy of an imported file or folder; None if it is remote."""
        if not os.path.exists(uri):
            return ""
        place = self.workspace / ".artifacts" / uuid.uuid4().hex / Path(uri).name
        place.parent.mkdir(parents=True)
        if os.path.isdir(uri):
            shutil.copytree(uri, place)
        else:
            shutil.copy2(uri, place)
        return str(place)

    def _left_behind(self, execution: _Execution) -> TaskValues:
        """The outputs that a failed task has left."""
        try:
            return api.put_out(left_behind(execution.executor_input, execution.component))
        except Exception:  # This may be the reason for the failure.
            return TaskValues()

    def _note_that_it_is_not_paused(self, execution: _Execution) -> None:
        if any(name.startswith(_PAUSE) for name in self._own_variables(execution)):
            _log(execution, "[It is not paused here: task.set_debug_pause() is for a pod.]")

    def _note_what_is_elsewhere(self, execution: _Execution) -> None:
        for name, uri in elsewhere(execution.given.artifacts):
            _log(
                execution,
                f"[The input '{name}' is {uri}, which is not downloaded here: there is no file "
                f"at {name}.path, but the task can fetch {name}.uri itself.]",
            )


def _filled_in(elements: Any, execution: _Execution, words: Mapping[str, str]) -> list[str]:
    try:
        return in_command(list(elements), execution.executor_input, execution.given, words)
    except NotFilledIn as reason:
        raise _Failed(f"its command is incomplete: {reason}") from None


def _note_lack_of_time(execution: _Execution) -> None:
    policy = execution.task.retry_policy
    if execution.attempt < policy.max_retry_count:
        _log(
            execution,
            f"[Not tried again: the next attempt would begin more than {seconds_in_all(policy)} s "
            "after the first one, which is the task's backoff_max_duration.]",
        )


def _to_workspace(importer: Any) -> bool:
    return bool(getattr(importer, "download_to_workspace", False))


def _log(execution: _Execution, line: str) -> None:
    log = execution.folder / LOG_NAME
    with contextlib.suppress(OSError), open_log(log) as file:
        file.write(f"{line}\n".encode(errors="replace"))
