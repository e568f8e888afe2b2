"""Starting runs: of a file, of a pipeline, or of a copy of another run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec

from .. import models
from ..attempts import attempting
from ..errors import BadRequest, KfpError
from ..kubeflow_roles import Goal
from ..models import Run
from . import pipeline_files, provenance, run_names
from .experiments import Experiments
from .pipeline_source import PipelineSource, expanded, is_file, looks_like_a_file, neither
from .pipelines import Pipelines
from .queries import within


class RunStarts(Experiments, Pipelines):
    """Starting runs."""

    def start_run(
        self,
        pipeline: Any,
        parameters: dict[str, Any] | None = None,
        experiment: str = "Default",
        name: str = "",
        namespace: str = "",
        *,
        version: str = "",
        description: str = "",
        service_account: str = "",
        cache: bool = True,
    ) -> Run:
        """Run a pipeline: a compiled file, an uploaded one by name or id, shared ones too, or a
        `@dsl.pipeline` or `@dsl.component` itself.

        The experiment is created if there is none of that name. `version` is the name or id of one
        of the pipeline's; without `cache` no results of earlier runs are used. Raises `BadRequest`
        for parameters that the pipeline does not have, before anything is created.
        """
        source = (
            pipeline
            if isinstance(pipeline, PipelineSource)
            else self.pipeline_source(pipeline, namespace, version)
        )
        request = source.request(parameters or {}, name, description, service_account, cache)
        return self.start(request, experiment, namespace, source.name)

    def start(
        self,
        request: Mapping[str, Any],
        experiment: str,
        namespace: str = "",
        pipeline: str = "",
    ) -> Run:
        """Send a request of `PipelineSource.request`, with the origin added to its description.

        The experiment is created if there is none of that name.
        """
        where = self._namespace(namespace)
        with starting(pipeline or request["display_name"], where):
            found = self.ensure_experiment(experiment, where)
            body = {**self._with_origin(request), "experiment_id": found.experiment_id}
            with self._explained(request.get("pipeline_spec", {})):
                return self.transport.post("runs", Run, body)

    def _with_origin(self, request: Mapping[str, Any]) -> dict[str, Any]:
        told = self.origin().added_to(str(request.get("description", "")))
        return {**request, "description": told} if told else {**request}

    def pipeline_source(
        self, pipeline: Any, namespace: str = "", version: str = ""
    ) -> PipelineSource:
        """Return the compiled file of that name, else the uploaded pipeline.

        A `@dsl.pipeline` or `@dsl.component` of the kfp SDK is compiled.
        """
        if PipelineSource.can_be(pipeline):
            return PipelineSource.from_component(pipeline)
        path = expanded(pipeline)
        if isinstance(pipeline, Path) or (is_file(path) and not version):
            return PipelineSource.from_file(pipeline_files.read(path))
        try:
            return self._uploaded(str(pipeline), namespace, version)
        except KfpError as error:
            if looks_like_a_file(path):
                raise neither(path, error) from None
            raise

    def _uploaded(self, name: str, namespace: str, version: str) -> PipelineSource:
        where = self._namespace(namespace)
        with starting(name, where):
            found = self.find_pipeline(name, where)
            chosen = (
                self.version_named(found, version)
                if version
                else self.latest_version(found.pipeline_id)
            )
        return PipelineSource.from_version(found, chosen)

    def source_of(self, run: Run) -> PipelineSource:
        """Return the pipeline of a run. Raises `BadRequest` if KFP does not return it."""
        specification = self._specifications.of(run)
        if specification is None:
            raise BadRequest(
                f"The pipeline of run {run.display_name} and its parameters are not known.",
                cause="KFP does not return it: its version was deleted, or you may not read it.",
                cure="Run its file: %kfp run FILE -p name=value",
            )
        accepted = pipeline_files.definitions({**specification})
        own = specification.get("pipeline_spec", specification)
        name = own.get("pipelineInfo", {}).get("name", run.display_name)
        return PipelineSource(name, accepted, _reference(run), {**specification})

    def clone(
        self, run_id: str, name: str = "", parameters: Mapping[str, Any] | None = None
    ) -> Run:
        """Start a copy of a run: the same pipeline, experiment and parameters, but for those given.

        Raises `BadRequest` for parameters that the pipeline does not take, before it is started.
        """
        run = self._get("runs", run_id, Run)
        config = run.runtime_config or models.RuntimeConfig()
        if parameters:
            wanted = self.source_of(run).fitting({**config.parameters, **parameters})
            config = msgspec.structs.replace(config, parameters=wanted)
        body: dict[str, Any] = {
            "display_name": name or run_names.of_clone(run.display_name),
            "experiment_id": run.experiment_id,
            "runtime_config": msgspec.to_builtins(config),
            **_reference(run),
        }
        if told := self.origin().added_to(provenance.without(run.description)):
            body["description"] = told
        if run.service_account:
            body["service_account"] = run.service_account
        cloning = attempting(f"clone run {run.display_name}")
        with cloning, self._explained(body.get("pipeline_spec") or {}):
            return self.transport.post("runs", Run, body)


def _reference(run: Run) -> dict[str, Any]:
    """Return the pipeline of a run as a request has it: its version, or itself."""
    if run.pipeline_version_reference:
        reference = msgspec.to_builtins(run.pipeline_version_reference)
        return {"pipeline_version_reference": reference}
    return {"pipeline_spec": run.pipeline_spec}


def starting(pipeline: str, namespace: str) -> AbstractContextManager[None]:
    """The attempt to start a run, for all requests of it."""
    goal = Goal("start a run", "create", "runs")
    return attempting(f"start {pipeline}{within(namespace)}", goal)
