"""The v1beta1 form of the API: reads requests, calls the operations, writes answers."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace

from ...models import Pipeline as PipelineValue
from ...models import PipelineVersion
from ..operations import Upload
from ..pipelines.pipeline_urls import check_version_url, file_name
from ..wire.api_errors import invalid_input, not_found, wrapped
from ..wire.list_options import (
    EXPERIMENTS,
    PIPELINE_VERSIONS_V1,
    PIPELINES_V1,
    RECURRING_RUNS,
    RUNS,
    FilterV1,
)
from . import v1beta1_messages as messages
from .file_handlers import ArtifactHandler, PipelineUploadHandler, VersionUploadHandler
from .handlers import Handler, Healthz, PipelineMessageHandler, action
from .v1beta1_messages import (
    RESOURCE_TYPES,
    ExperimentMessage,
    JobMessage,
    MetricsMessage,
    PipelineMessage,
    RunMessage,
    VersionMessage,
    referred,
)

_VIEWERS = {0: "UNASSIGNED_RESOURCES", 1: "VIEWERS"}
_VERBS = {0: "UNASSIGNED_VERB", 1: "CREATE", 2: "GET", 3: "DELETE"}


class V1Handler(Handler):
    """A route of v1beta1, with its enums and keys in queries, and manifests in messages."""

    filter_type = FilterV1

    def scope(self) -> dict[str, str]:
        """The id of the resource by which a list is filtered; empty if it is not."""
        self.query.check_message("resource_reference_key", "api.ResourceKey")
        kind = self.query.enum("resource_reference_key.type", RESOURCE_TYPES)
        id = self.parameter("resource_reference_key.id")
        if kind == RESOURCE_TYPES[0] and self.query.has("resource_reference_key."):
            with wrapped("Unrecognized resource reference type"):
                raise invalid_input(
                    f"Failed to convert unsupported v1beta1 API resource type {kind}"
                )
        return {} if kind == RESOURCE_TYPES[0] else {kind: id}

    def latest_version(self, pipeline_id: str) -> PipelineVersion:
        version = self.operations.pipelines.latest_version(pipeline_id)
        if version is None:
            raise not_found("PipelineVersion", pipeline_id)
        return version


class HealthzV1(Healthz):
    fields = ("commit_sha", "tag_name", "multi_user")


class Auth(V1Handler):
    def get(self) -> None:
        namespace = self.parameter("namespace").lower()
        resources = self.query.enum("resources", _VIEWERS)
        verb = self.query.enum("verb", _VERBS)
        with wrapped("Authorize request is not valid"):
            if not namespace:
                raise invalid_input("Namespace is empty. Please specify a valid namespace")
            if resources == _VIEWERS[0]:
                raise invalid_input("Resources not specified. Please specify a valid resources")
            if verb == _VERBS[0]:
                raise invalid_input("Verb not specified. Please specify a valid verb")
        self.operations.authorize_viewer(self.caller, namespace, verb.lower())
        self.answer({})


class Experiments(V1Handler):
    async def get(self) -> None:
        with wrapped("Validating v1beta1 filter failed"):
            scope = self.scope()
        for kind, id in scope.items():
            if kind != "NAMESPACE":
                raise invalid_input(
                    "Failed to list v1beta1 experiment due to invalid resource reference key. It "
                    "must be of type 'Namespace' and contain an existing or empty namespace, but "
                    f"you provided {id} of type {_spoken(kind)}"
                )
        with wrapped("Failed to create list options"):
            options = self.list_options(EXPERIMENTS)
        with wrapped("List v1beta1 experiments failed"):
            listed = await self.operations.experiments.list(
                self.caller, scope.get("NAMESPACE", ""), options
            )
        items = [messages.experiment_message(each) for each in listed.items]
        await self.answer_list("experiments", replace(listed, items=items))

    async def post(self) -> None:
        new = await self.body(ExperimentMessage)
        with wrapped("Failed to create a v1beta1 experiment"):
            experiment = self.operations.experiments.create(
                self.caller,
                display_name=new.name,
                description=new.description,
                namespace=referred(new.resource_references, "NAMESPACE"),
            )
        self.answer(messages.experiment_message(experiment))


class Experiment(Handler):
    def get(self, experiment_id: str) -> None:
        with wrapped("Failed to fetch v1beta1 experiment"):
            experiment = self.operations.experiments.get(self.caller, experiment_id)
        self.answer(messages.experiment_message(experiment))

    def delete(self, experiment_id: str) -> None:
        with wrapped("Failed to delete v1beta1 experiment"):
            self.operations.experiments.delete(self.caller, experiment_id)
        self.answer({})


class Runs(PipelineMessageHandler, V1Handler):
    async def get(self) -> None:
        with wrapped("Failed to list v1beta1 runs: validating filter failed"):
            scope = self.scope()
        with wrapped("Failed to create list options"):
            options = self.list_options(RUNS)
        with wrapped("Failed to list v1beta1 runs"):
            listed = await self.operations.runs.list(
                self.caller,
                scope.get("NAMESPACE", ""),
                scope.get("EXPERIMENT", ""),
                options,
                manifests=True,
            )
        origins = [await self.operations.runs.origin(each.run.run_id) for each in listed.items]
        items = await asyncio.to_thread(lambda: [*map(messages.run_message, listed.items, origins)])
        await self.answer_list("runs", replace(listed, items=items))

    async def post(self) -> None:
        sent = await self.sent(RunMessage)
        with wrapped("Failed to create a new v1beta1 run"):
            new = await self.aside(messages.new_run, sent.message)
            self.operations.runs.authorize_creation(self.caller, new)
            with wrapped("Failed to create a run due to error fetching manifest"):
                new = replace(new, specification=await sent.specification())
            placed = await self.operations.runs.create(self.caller, new)
        origin = await self.operations.runs.origin(placed.run.run_id)
        default = await self.operations.runs.default_root(placed.run.run_id)
        self.warn_of_root(f"run {placed.run.run_id}", placed.run.runtime_config, default)
        self.warn_of_values(f"run {placed.run.run_id}", placed.run.runtime_config)
        await self.answer_long(await asyncio.to_thread(messages.run_detail_message, placed, origin))


class Run(V1Handler):
    async def get(self, run_id: str) -> None:
        with wrapped("Failed to get a v1beta1 run"):
            placed = await self.operations.runs.get(self.caller, run_id)
        origin = await self.operations.runs.origin(run_id)
        await self.answer_long(await asyncio.to_thread(messages.run_detail_message, placed, origin))

    def delete(self, run_id: str) -> None:
        with wrapped("Failed to delete a v1beta1 run"):
            self.operations.runs.delete(self.caller, run_id)
        self.answer({})


class RunMetrics(Handler):
    async def post(self, run_id: str) -> None:
        new = (await self.body(MetricsMessage)).metrics
        outcomes = self.operations.runs.report_metrics(
            self.caller, run_id, [messages.metric(each) for each in new]
        )
        results = [messages.metric_result(*pair) for pair in zip(new, outcomes, strict=True)]
        self.answer({"results": results} if results else {})


class Jobs(PipelineMessageHandler, V1Handler):
    async def get(self) -> None:
        # The API server's message here is indeed about runs.
        with wrapped("Failed to list v1beta1 runs: validating filter failed"):
            scope = self.scope()
        with wrapped("Failed to list jobs due to error parsing the listing options"):
            options = self.list_options(RECURRING_RUNS)
        with wrapped("Failed to list jobs"):
            listed = await self.operations.recurring_runs.list(
                self.caller,
                scope.get("NAMESPACE", ""),
                scope.get("EXPERIMENT", ""),
                options,
                manifests=True,
            )
        operations = self.operations.recurring_runs
        origins = [await operations.origin(each.recurring_run_id) for each in listed.items]
        items = await asyncio.to_thread(lambda: [*map(messages.job_message, listed.items, origins)])
        await self.answer_list("jobs", replace(listed, items=items))

    async def post(self) -> None:
        sent = await self.sent(JobMessage)
        operations = self.operations.recurring_runs
        with wrapped("Failed to create a recurring run due to conversion error"):
            new = await self.aside(messages.new_recurring_run, sent.message)
            operations.check(new)
        with wrapped("Failed to create a recurring run"):
            operations.authorize_creation(self.caller, new)
            with wrapped("Failed to create a recurring run with an invalid pipeline spec manifest"):
                new = replace(new, specification=await sent.specification())
            recurring = await operations.create(self.caller, new)
        self.warn_of_cron(recurring)
        origin = await operations.origin(recurring.recurring_run_id)
        what = f"recurring run {recurring.recurring_run_id}"
        default = await operations.default_root(recurring.recurring_run_id)
        self.warn_of_root(what, recurring.runtime_config, default)
        self.warn_of_values(what, recurring.runtime_config)
        await self.answer_long(await asyncio.to_thread(messages.job_message, recurring, origin))


class Job(V1Handler):
    async def get(self, job_id: str) -> None:
        with wrapped("Failed to fetch a v1beta1 recurring run"):
            recurring = await self.operations.recurring_runs.get(self.caller, job_id)
        origin = await self.operations.recurring_runs.origin(job_id)
        await self.answer_long(await asyncio.to_thread(messages.job_message, recurring, origin))

    def delete(self, job_id: str) -> None:
        # The API server's wording.
        with wrapped("Failed to disable a recurring run"):
            self.operations.recurring_runs.delete(self.caller, job_id)
        self.answer({})


class Pipelines(V1Handler):
    async def get(self) -> None:
        with wrapped("Failed to list pipelines (v1beta1) due to filter validation error"):
            scope = self.scope()
        for kind, id in scope.items():
            if kind != "NAMESPACE":
                raise invalid_input(
                    "Failed to list pipelines (v1beta1) due to invalid resource references for "
                    f"pipelines: &{{{_spoken(kind)} {id}}}"
                )
        namespace = scope.get("NAMESPACE", "")
        with wrapped(f"Failed to list pipelines due invalid list options: {self.pagination()}"):
            options = self.list_options(PIPELINES_V1)
        with wrapped(
            f"Failed to list pipelines (v1beta1) in namespace {namespace}. Check error stack"
        ):
            listed = await self.operations.pipelines.list(self.caller, namespace, options)
        items = [
            messages.pipeline_message(
                each, self.operations.pipelines.latest_version(each.pipeline_id)
            )
            for each in listed.items
        ]
        await self.answer_list("pipelines", replace(listed, items=items))

    async def post(self) -> None:
        new = await self.body(PipelineMessage)
        namespace = referred(new.resource_references, "NAMESPACE")
        url = new.url.pipeline_url if new.url else ""
        pipelines = self.operations.pipelines
        with wrapped("Failed to create a pipeline (v1beta1)"):
            upload = Upload(
                name=new.name or file_name(url), description=new.description, package_url=url
            )
            pipelines.authorize_creation(self.caller, namespace, upload.name)
            specification = await self.reader.read_url(url)
            created = await pipelines.create_with_version(
                namespace, upload, specification, version_tags={}
            )
        self.answer(messages.pipeline_message(*created))


class Pipeline(V1Handler):
    def get(self, pipeline_id: str) -> None:
        context = f"Failed to get a pipeline (v1beta1) {pipeline_id}"
        with wrapped(f"{context}. Check error stack"):
            pipeline = self.operations.pipelines.get(self.caller, pipeline_id)
        with wrapped(
            f"{context} due to error fetching the latest pipeline version: "
            "Failed to get the latest pipeline version for a pipeline"
        ):
            latest = self.latest_version(pipeline_id)
        self.answer(messages.pipeline_message(pipeline, latest))

    def delete(self, pipeline_id: str) -> None:
        with wrapped(f"Failed to delete pipeline (v1beta1) {pipeline_id}. Check error stack"):
            self.operations.pipelines.delete(self.caller, pipeline_id, cascade=False)
        self.answer({})


class PipelineByName(Handler):
    def get(self, namespace: str, name: str) -> None:
        with wrapped(
            f"Failed to get a pipeline (v1beta1) with name {name} and namespace {namespace}. "
            "Check error stack."
        ):
            pipeline = self.operations.pipelines.named(self.caller, namespace, name)
        latest = self.operations.pipelines.latest_version(pipeline.pipeline_id)
        self.answer(messages.pipeline_message(pipeline, latest))


class PipelineTemplate(V1Handler):
    async def get(self, pipeline_id: str) -> None:
        context = "Failed to get the default template (v1beta1)"
        with wrapped(
            f"{context} due to authorization error. "
            f"Verify that you have access to pipeline id {pipeline_id}"
        ):
            self.operations.pipelines.authorize(self.caller, pipeline_id, "get")
        with wrapped(
            f"{context} for pipeline {pipeline_id}. Check error stack: "
            "Failed to get the latest template for a pipeline"
        ):
            latest = self.latest_version(pipeline_id)
        version_id = latest.pipeline_version_id
        specification = await self.operations.pipelines.specification(version_id)
        template = await asyncio.to_thread(messages.manifest, specification)
        await self.answer_long({"template": template})


class DefaultVersion(Handler):
    def post(self, pipeline_id: str, version_id: str) -> None:
        """Accept any default version; a pipeline's default is always its latest."""
        with wrapped(
            f"Failed to update (v1beta1) default pipeline version to {version_id} for pipeline "
            f"{pipeline_id} due to authorization error"
        ):
            self.operations.pipelines.authorize(self.caller, pipeline_id, "update")
        self.answer({})


class PipelineVersions(V1Handler):
    async def get(self) -> None:
        self.query.check_message("resource_key", "api.ResourceKey")
        pipeline_id = self.parameter("resource_key.id")
        self.query.enum("resource_key.type", RESOURCE_TYPES)
        if not self.query.has("resource_key."):
            raise invalid_input(
                "Failed to list pipeline versions (v1beta1) due to missing pipeline id"
            )
        with wrapped(
            f"Failed to list pipeline versions due invalid list options: {self.pagination()}"
        ):
            options = self.list_options(PIPELINE_VERSIONS_V1)
        with wrapped(
            f"Failed to list pipeline versions (v1beta1) with pipeline id {pipeline_id}. "
            "Check error stack"
        ):
            if not pipeline_id:
                raise invalid_input("Failed to list pipeline versions. Pipeline id cannot be empty")
            listed = await self.operations.pipelines.versions(self.caller, pipeline_id, options)
        items = [messages.version_message(each) for each in listed.items]
        await self.answer_list("versions", replace(listed, items=items))

    async def post(self) -> None:
        new = await self.body(VersionMessage)
        url = new.package_url.pipeline_url if new.package_url else ""
        if not url:
            raise invalid_input(
                "Failed to create a pipeline version (v1beta1). "
                "Pipeline version is nil or pipeline's URL is empty"
            )
        with wrapped("Failed to create a pipeline version (v1beta1) due to internal server error"):
            pipeline = self._pipeline_of(new)
            check_version_url(url)
            specification = await self.reader.read_url(url)
            upload = Upload(
                name=new.name,
                description=new.description,
                code_source_url=new.code_source_url,
                package_url=url,
            )
            operations = self.operations.pipelines
            version = await operations.create_version(pipeline, upload, specification)
        self.answer(messages.version_message(version))

    def _pipeline_of(self, new: VersionMessage) -> PipelineValue:
        pipeline_id = referred(new.resource_references, "PIPELINE", "OWNER")
        if not pipeline_id:
            raise invalid_input("Failed to create a pipeline version due empty parent pipeline id")
        if not new.name:
            raise invalid_input("name is required")
        return self.operations.pipelines.authorize_version_creation(
            self.caller, pipeline_id, new.name
        )


class Version(Handler):
    def get(self, version_id: str) -> None:
        with wrapped(f"Failed to get a pipeline version (v1beta1) {version_id}"):
            version = self.operations.pipelines.described_version(self.caller, version_id)
        self.answer(messages.version_message(version))

    def delete(self, version_id: str) -> None:
        context = f"Failed to delete a pipeline version (v1beta1) {version_id}"
        with wrapped(f"{context} due error fetching a pipeline id"):
            self.operations.pipelines.existing_version(version_id)
        # Even a refusal does not name the pipeline, whose id the caller has not given.
        with wrapped(f"{context}. Check error stack"):
            self.operations.pipelines.delete_version(self.caller, "", version_id)
        self.answer({})


class VersionTemplate(Handler):
    async def get(self, version_id: str) -> None:
        with wrapped(
            "Failed to get a pipeline template due to authorization error. "
            f"Verify that you have access to pipeline version {version_id}"
        ):
            operations = self.operations.pipelines
            specification = await operations.readable_specification(self.caller, version_id)
        template = await asyncio.to_thread(messages.manifest, specification)
        await self.answer_long({"template": template})


class PipelineUpload(PipelineUploadHandler):
    async def post(self) -> None:
        self.answer(messages.pipeline_message(*await self.uploaded_pipeline()))


class PipelineVersionUpload(VersionUploadHandler):
    async def post(self) -> None:
        self.answer(messages.version_message(await self.uploaded_version()))


def _spoken(kind: str) -> str:
    """The type of a resource, as in messages of the API server."""
    return kind.replace("_", " ").title().replace(" ", "")


_ID = r"([^/]+)"
_API = "/apis/v1beta1"

ROUTES: list[Any] = [
    (rf"{_API}/healthz", HealthzV1),
    (rf"{_API}/auth", Auth),
    (rf"{_API}/experiments", Experiments),
    (rf"{_API}/experiments/{_ID}", Experiment),
    (
        rf"{_API}/experiments/{_ID}:archive",
        action(
            lambda operations: operations.experiments.archive,
            "Failed to archive v1beta1 experiment",
        ),
    ),
    (
        rf"{_API}/experiments/{_ID}:unarchive",
        action(
            lambda operations: operations.experiments.unarchive,
            "Failed to unarchive v1beta1 experiment",
        ),
    ),
    (rf"{_API}/runs", Runs),
    (rf"{_API}/runs/{_ID}", Run),
    (
        rf"{_API}/runs/{_ID}:archive",
        action(lambda operations: operations.runs.archive, "Failed to archive a v1beta1 run"),
    ),
    (
        rf"{_API}/runs/{_ID}:unarchive",
        action(lambda operations: operations.runs.unarchive, "Failed to unarchive a v1beta1 run"),
    ),
    (
        rf"{_API}/runs/{_ID}/terminate",
        action(lambda operations: operations.runs.terminate, "Failed to terminate a v1beta1 run"),
    ),
    (
        rf"{_API}/runs/{_ID}/retry",
        action(lambda operations: operations.runs.retry, "Failed to retry a run"),
    ),
    (rf"{_API}/runs/{_ID}:reportMetrics", RunMetrics),
    (rf"{_API}/runs/{_ID}/nodes/{_ID}/artifacts/{_ID}:read", ArtifactHandler),
    (rf"{_API}/jobs", Jobs),
    (rf"{_API}/jobs/{_ID}", Job),
    (
        rf"{_API}/jobs/{_ID}/enable",
        action(
            lambda operations: operations.recurring_runs.enable,
            "Failed to enable a v1beta1 recurring run",
        ),
    ),
    (
        rf"{_API}/jobs/{_ID}/disable",
        action(
            lambda operations: operations.recurring_runs.disable,
            "Failed to disable a v1beta1 recurring run",
        ),
    ),
    (rf"{_API}/pipelines", Pipelines),
    (rf"{_API}/pipelines/upload", PipelineUpload),
    (rf"{_API}/pipelines/upload_version", PipelineVersionUpload),
    (rf"{_API}/pipelines/{_ID}", Pipeline),
    (rf"{_API}/pipelines/{_ID}/templates", PipelineTemplate),
    (rf"{_API}/pipelines/{_ID}/default_version/{_ID}", DefaultVersion),
    (rf"{_API}/namespaces/([^/]+)/pipelines/([^/]+)", PipelineByName),
    (rf"{_API}/pipeline_versions", PipelineVersions),
    (rf"{_API}/pipeline_versions/{_ID}", Version),
    (rf"{_API}/pipeline_versions/{_ID}/templates", VersionTemplate),
]
