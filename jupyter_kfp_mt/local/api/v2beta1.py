"""The v2beta1 form of the API: reads requests, calls the operations, writes answers."""

from __future__ import annotations

import asyncio
from typing import Any

from ..api_errors import bad_request, invalid_input, wrapped
from ..listing import EXPERIMENTS, PIPELINE_VERSIONS, PIPELINES, RUNS
from ..operations import NewRun, Upload
from ..pipeline_files import from_wire, read_pipeline_file
from ..protojson import Message
from .handlers import Handler, UploadHandler


class ExperimentMessage(Message, frozen=True):
    """An experiment as a request has it. What only the server decides is read and dropped."""

    experiment_id: str = ""
    display_name: str = ""
    description: str = ""
    created_at: Any = None
    namespace: str = ""
    storage_state: str | int = ""
    last_run_created_at: Any = None


class ReferenceMessage(Message, frozen=True):
    pipeline_id: str = ""
    pipeline_version_id: str = ""


class RuntimeConfigMessage(Message, frozen=True):
    parameters: dict[str, Any] = {}
    pipeline_root: str = ""


class RunMessage(Message, frozen=True):
    """A run as a request has it. What only the server decides is read and dropped."""

    experiment_id: str = ""
    run_id: str = ""
    display_name: str = ""
    storage_state: str | int = ""
    description: str = ""
    pipeline_version_id: str = ""
    pipeline_spec: dict[str, Any] | None = None
    pipeline_version_reference: ReferenceMessage | None = None
    runtime_config: RuntimeConfigMessage = RuntimeConfigMessage()
    service_account: str = ""
    created_at: Any = None
    scheduled_at: Any = None
    finished_at: Any = None
    state: str | int = ""
    error: Any = None
    run_details: Any = None
    recurring_run_id: str = ""
    state_history: Any = None
    plugins_input: Any = None
    plugins_output: Any = None


class Healthz(Handler):
    def get(self) -> None:
        self.answer(self.settings["health"])


class Experiments(Handler):
    def get(self) -> None:
        with wrapped("Failed to create list options"):
            options = self.list_options(EXPERIMENTS)
        with wrapped("List experiments failed"):
            listed = self.operations.experiments(self.caller, self.parameter("namespace"), options)
        self.answer_list("experiments", listed)

    def post(self) -> None:
        new = self.body(ExperimentMessage)
        with wrapped("Failed to create a experiment"):
            experiment = self.operations.create_experiment(
                self.caller,
                display_name=new.display_name,
                description=new.description,
                namespace=new.namespace,
            )
        self.answer(experiment)


class Experiment(Handler):
    def get(self, experiment_id: str) -> None:
        with wrapped("Failed to fetch experiment"):
            self.answer(self.operations.experiment(self.caller, experiment_id))


class Pipelines(Handler):
    def get(self) -> None:
        namespace = self.parameter("namespace")
        with wrapped("Failed to list pipelines due invalid list options"):
            options = self.list_options(PIPELINES)
        with wrapped(f"Failed to list pipelines in namespace {namespace}. Check error stack"):
            listed = self.operations.pipelines(self.caller, namespace, options)
        self.answer_list("pipelines", listed)


class Pipeline(Handler):
    def get(self, pipeline_id: str) -> None:
        with wrapped(f"Failed to get a pipeline {pipeline_id}. Check error stack"):
            self.answer(self.operations.pipeline(self.caller, pipeline_id))


class PipelineByName(Handler):
    def get(self, name: str) -> None:
        namespace = self.parameter("namespace")
        with wrapped(
            f"Failed to get a pipeline with name {name} and namespace {namespace}. "
            "Check error stack."
        ):
            self.answer(self.operations.pipeline_named(self.caller, namespace, name))


class PipelineVersions(Handler):
    def get(self, pipeline_id: str) -> None:
        with wrapped("Failed to list pipeline versions due invalid list options"):
            options = self.list_options(PIPELINE_VERSIONS)
        with wrapped(f"Failed to list pipeline versions for pipeline {pipeline_id}"):
            listed = self.operations.versions(self.caller, pipeline_id, options)
        self.answer_list("pipeline_versions", listed)


class PipelineVersion(Handler):
    def get(self, pipeline_id: str, version_id: str) -> None:
        with wrapped(f"Failed to get a pipeline version {version_id}"):
            self.answer(self.operations.version(self.caller, version_id))


class PipelineUpload(UploadHandler):
    async def post(self) -> None:
        file, namespace = self.uploaded_file(), self.parameter("namespace")
        with wrapped("Failed to create a pipeline"):
            self.operations.authorize_upload(self.caller, namespace)
        with wrapped("Failed to read a pipeline spec file"):
            # YAML of some size takes seconds to read.
            specification = await asyncio.to_thread(
                read_pipeline_file, file["filename"], file["body"]
            )
        with wrapped("Failed to create a pipeline and a pipeline version"):
            pipeline = self.operations.create_pipeline_with_version(
                namespace, _upload(self, file["filename"]), specification
            )
        self.answer(pipeline)


class PipelineVersionUpload(UploadHandler):
    async def post(self) -> None:
        with wrapped("Failed to create a pipeline version"):
            file = self.uploaded_file()
            pipeline = self.operations.authorize_version_upload(
                self.caller, self.parameter("pipelineid")
            )
            specification = await asyncio.to_thread(
                read_pipeline_file, file["filename"], file["body"]
            )
            version = self.operations.create_version(
                pipeline, _upload(self, file["filename"]), specification
            )
        self.answer(version)


def _upload(handler: UploadHandler, file_name: str) -> Upload:
    display_name = handler.parameter("display_name")
    return Upload(
        name=handler.parameter("name") or display_name or file_name,
        display_name=display_name,
        description=handler.parameter("description"),
        code_source_url=handler.parameter("code_source_url"),
    )


class Runs(Handler):
    def get(self) -> None:
        with wrapped("Failed to create list options"):
            options = self.list_options(RUNS)
        with wrapped("Failed to list runs"):
            listed = self.operations.runs(
                self.caller,
                self.parameter("namespace"),
                self.parameter("experiment_id"),
                options,
            )
        self.answer_list("runs", listed)

    def post(self) -> None:
        new = self.body(RunMessage)
        with wrapped("Failed to create a new run"):
            self.answer(self.operations.create_run(self.caller, _new_run(new)))


class Run(Handler):
    def get(self, run_id: str) -> None:
        with wrapped("Failed to get a run"):
            self.answer(self.operations.run(self.caller, run_id))


class RunTermination(Handler):
    def post(self, run_id: str) -> None:
        with wrapped("Failed to terminate a run"):
            self.operations.terminate_run(self.caller, run_id)
        self.answer({})


def _new_run(message: RunMessage) -> NewRun:
    if message.plugins_output is not None:
        raise bad_request(
            "plugins_output is server-owned and populated exclusively via plugin lifecycle hooks"
        )
    sources = (
        message.pipeline_version_id,
        message.pipeline_version_reference,
        message.pipeline_spec,
    )
    if len([source for source in sources if source]) > 1:
        raise invalid_input(
            "A run has one source: pipeline_version_reference, pipeline_version_id or pipeline_spec"
        )
    reference = message.pipeline_version_reference or ReferenceMessage()
    return NewRun(
        display_name=message.display_name,
        experiment_id=message.experiment_id,
        description=message.description,
        run_id=message.run_id,
        recurring_run_id=message.recurring_run_id,
        pipeline_id=reference.pipeline_id,
        pipeline_version_id=reference.pipeline_version_id or message.pipeline_version_id,
        specification=from_wire(message.pipeline_spec) if message.pipeline_spec else None,
        parameters=message.runtime_config.parameters,
        pipeline_root=message.runtime_config.pipeline_root,
        service_account=message.service_account,
    )


class TaskLog(Handler):
    """A task's output so far. The API server serves this under v1alpha1, to anyone who asks."""

    async def get(self, run_id: str, task_id: str) -> None:
        path = self.operations.log_file(self.caller, run_id, task_id)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        with path.open("rb") as file:
            while chunk := file.read(1 << 16):
                self.write(chunk)
                await self.flush()


_ID = r"([^/:]+)"

ROUTES = [
    (r"/apis/v2beta1/healthz", Healthz),
    (r"/apis/v2beta1/experiments", Experiments),
    (rf"/apis/v2beta1/experiments/{_ID}", Experiment),
    (r"/apis/v2beta1/pipelines", Pipelines),
    (r"/apis/v2beta1/pipelines/upload", PipelineUpload),
    (r"/apis/v2beta1/pipelines/upload_version", PipelineVersionUpload),
    (r"/apis/v2beta1/pipelines/names/([^/]+)", PipelineByName),
    (rf"/apis/v2beta1/pipelines/{_ID}", Pipeline),
    (rf"/apis/v2beta1/pipelines/{_ID}/versions", PipelineVersions),
    (rf"/apis/v2beta1/pipelines/{_ID}/versions/{_ID}", PipelineVersion),
    (r"/apis/v2beta1/runs", Runs),
    (rf"/apis/v2beta1/runs/{_ID}", Run),
    (rf"/apis/v2beta1/runs/{_ID}:terminate", RunTermination),
    (rf"/apis/v1alpha1/runs/{_ID}/nodes/{_ID}/log", TaskLog),
]
