"""The v2beta1 form of the API: reads requests, calls the operations, writes answers."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from msgspec.structs import replace

from ... import models
from ..operations import Listed, Upload
from ..operations.request_checks import is_empty
from ..pipelines.pipeline_urls import check_version_url, file_name
from ..wire.api_errors import invalid_input, wrapped
from ..wire.list_options import (
    EXPERIMENTS,
    PIPELINE_VERSIONS,
    PIPELINES,
    RECURRING_RUNS,
    RUNS,
    check_tag_filter,
)
from .file_handlers import (
    ArtifactHandler,
    PipelineUploadHandler,
    TaskLogHandler,
    VersionUploadHandler,
)
from .handlers import Handler, Healthz, PipelineMessageHandler, action
from .v2beta1_messages import (
    ExperimentMessage,
    PipelineAndVersionMessage,
    PipelineMessage,
    PipelineVersionMessage,
    RecurringRunMessage,
    RunMessage,
)

# Propagation policies for dependents of a recurring run. Its runs stay in any case.
_PROPAGATION_POLICIES = {
    0: "DELETE_PROPAGATION_POLICY_UNSPECIFIED",
    1: "FOREGROUND",
    2: "BACKGROUND",
    3: "ORPHAN",
}


class HealthzV2(Healthz):
    fields = ("commit_sha", "tag_name", "multi_user", "pipeline_store")


class Experiments(Handler):
    async def get(self) -> None:
        with wrapped("Failed to create list options"):
            options = self.list_options(EXPERIMENTS)
        with wrapped("List experiments failed"):
            listed = await self.operations.experiments.list(
                self.caller, self.parameter("namespace"), options
            )
        await self.answer_list("experiments", listed)

    async def post(self) -> None:
        new = await self.body(ExperimentMessage)
        with wrapped("Failed to create a experiment"):
            experiment = self.operations.experiments.create(
                self.caller,
                display_name=new.display_name,
                description=new.description,
                namespace=new.namespace,
            )
        self.answer(experiment)


class Experiment(Handler):
    def get(self, experiment_id: str) -> None:
        with wrapped("Failed to fetch experiment"):
            self.answer(self.operations.experiments.get(self.caller, experiment_id))

    def delete(self, experiment_id: str) -> None:
        with wrapped("Failed to delete experiment"):
            self.operations.experiments.delete(self.caller, experiment_id)
        self.answer({})


class Pipelines(Handler):
    def prepare(self) -> Awaitable[None] | None:
        # Anybody may list shared ones.
        listed = self.request.method == "GET"
        self.is_reviewed = not (listed and is_empty(self.parameter("namespace")))
        return super().prepare()

    async def get(self) -> None:
        namespace = self.parameter("namespace")
        with wrapped("Failed to list pipelines due to invalid tag filter in filter spec"):
            check_tag_filter(self.parameter("filter"))
        with wrapped(f"Failed to list pipelines due invalid list options: {self.pagination()}"):
            options = self.list_options(PIPELINES)
        with wrapped(f"Failed to list pipelines in namespace {namespace}. Check error stack"):
            listed = await self.operations.pipelines.list(self.caller, namespace, options)
        await self.answer_list("pipelines", listed)

    async def post(self) -> None:
        new = await self.body(PipelineMessage)
        with wrapped("Failed to create a pipeline due to server error"):
            pipeline = self.operations.pipelines.create(
                self.caller, new.namespace, _upload_of(new, "")
            )
        self.answer(pipeline)


class PipelineWithVersion(Handler):
    async def post(self) -> None:
        new = await self.body(PipelineAndVersionMessage)
        with wrapped("Failed to create a pipeline"):
            url = _url(new.pipeline_version)
            upload = _upload_of(new.pipeline, file_name(url), url)
            operations = self.operations.pipelines
            operations.authorize_creation(self.caller, new.pipeline.namespace, upload.name)
            specification = await self.reader.read_url(url)
            pipeline, _version = await operations.create_with_version(
                new.pipeline.namespace,
                upload,
                specification,
                version_tags=new.pipeline_version.tags or {},
            )
        self.answer(pipeline)


class Pipeline(Handler):
    def get(self, pipeline_id: str) -> None:
        with wrapped(f"Failed to get a pipeline {pipeline_id}. Check error stack"):
            self.answer(self.operations.pipelines.get(self.caller, pipeline_id))

    async def patch(self, pipeline_id: str) -> None:
        change = await self.body(PipelineMessage)
        self.answer(
            self.operations.pipelines.update(
                self.caller, pipeline_id, display_name=change.display_name, tags=change.tags
            )
        )

    def delete(self, pipeline_id: str) -> None:
        cascade = self.query.flag("cascade")
        with wrapped(f"Failed to delete pipeline {pipeline_id}. Check error stack"):
            self.operations.pipelines.delete(self.caller, pipeline_id, cascade=cascade)
        self.answer({})


class PipelineByName(Handler):
    def get(self, name: str) -> None:
        namespace = self.parameter("namespace")
        with wrapped(
            f"Failed to get a pipeline with name {name} and namespace {namespace}. "
            "Check error stack."
        ):
            self.answer(self.operations.pipelines.named(self.caller, namespace, name))


class PipelineVersions(Handler):
    async def get(self, pipeline_id: str) -> None:
        with wrapped("Failed to list pipeline versions due to invalid tag filter in filter spec"):
            check_tag_filter(self.parameter("filter"))
        with wrapped(
            f"Failed to list pipeline versions due invalid list options: {self.pagination()}"
        ):
            options = self.list_options(PIPELINE_VERSIONS)
        with wrapped(f"Failed to list pipeline versions for pipeline {pipeline_id}"):
            listed = await self.operations.pipelines.versions(self.caller, pipeline_id, options)
        await self.answer_list("pipeline_versions", listed)

    async def post(self, pipeline_id: str) -> None:
        new = await self.body(PipelineVersionMessage)
        url = _url(new)
        upload = _upload_of(new, "", url)
        if not url:
            lacks = "empty" if new.package_url else "nil"
            raise invalid_input(f"Failed to create a pipeline version. Package URL is {lacks}")
        with wrapped("Failed to create a pipeline version. Check error stack"):
            if not upload.name:
                raise invalid_input("name is required")
            operations = self.operations.pipelines
            pipeline = operations.authorize_version_creation(self.caller, pipeline_id, upload.name)
            check_version_url(url)
            specification = await self.reader.read_url(url)
            version = await operations.create_version(pipeline, upload, specification)
        await self.answer_long(version)


class PipelineVersion(Handler):
    async def get(self, pipeline_id: str, version_id: str) -> None:
        with wrapped(f"Failed to get a pipeline version {version_id}"):
            version = await self.operations.pipelines.version(self.caller, version_id)
        await self.answer_long(version)

    async def patch(self, pipeline_id: str, version_id: str) -> None:
        change = await self.body(PipelineVersionMessage)
        await self.answer_long(
            await self.operations.pipelines.update_version(
                self.caller, version_id, display_name=change.display_name, tags=change.tags
            )
        )

    def delete(self, pipeline_id: str, version_id: str) -> None:
        with wrapped(
            f"Failed to delete a pipeline version id {version_id} under pipeline id "
            f"{pipeline_id}. Check error stack"
        ):
            self.operations.pipelines.delete_version(self.caller, pipeline_id, version_id)
        self.answer({})


class PipelineUpload(PipelineUploadHandler):
    async def post(self) -> None:
        pipeline, _version = await self.uploaded_pipeline()
        self.answer(pipeline)


class PipelineVersionUpload(VersionUploadHandler):
    async def post(self) -> None:
        await self.answer_long(await self.uploaded_version())


class Runs(PipelineMessageHandler):
    async def get(self) -> None:
        with wrapped("Failed to create list options"):
            options = self.list_options(RUNS)
        with wrapped("Failed to list runs"):
            listed = await self.operations.runs.list(
                self.caller,
                self.parameter("namespace"),
                self.parameter("experiment_id"),
                options,
            )
        runs = await self.told(listed.items)
        await self.answer_list("runs", Listed(runs, listed.total_size, listed.next_page_token))

    async def post(self) -> None:
        sent = await self.sent(RunMessage)
        new = await self.aside(sent.message.new)
        with wrapped("Failed to create a new run"):
            self.operations.runs.authorize_creation(self.caller, new)
            with wrapped("Failed to create a run due to error fetching manifest"):
                new = replace(new, specification=await sent.specification())
            run = (await self.operations.runs.create(self.caller, new)).run
        default = await self.operations.runs.default_root(run.run_id)
        self.warn_of_root(f"run {run.run_id}", run.runtime_config, default)
        self.warn_of_values(f"run {run.run_id}", run.runtime_config)
        self.warn_of_plugins(f"run {run.run_id}", sent.message.plugins_input)
        await self.answer_long(run)


class Run(Handler):
    async def get(self, run_id: str) -> None:
        with wrapped("Failed to get a run"):
            (run,) = await self.told([await self.operations.runs.get(self.caller, run_id)])
        await self.answer_long(run)

    def delete(self, run_id: str) -> None:
        with wrapped("Failed to delete a run"):
            self.operations.runs.delete(self.caller, run_id)
        self.answer({})


class TaskValues(Handler):
    """The inputs and outputs of a task, which are in the metadata store on a cluster."""

    async def get(self, run_id: str, task_id: str) -> None:
        task_id = await self.task_id(run_id, task_id)
        self.answer(self.operations.runs.task_values(self.caller, run_id, task_id))


class AllTaskValues(Handler):
    """The inputs and outputs of all tasks of a run, by task id."""

    async def get(self, run_id: str) -> None:
        found = self.operations.runs.all_task_values(self.caller, run_id)
        told = await self.task_ids(run_id, found)
        self.answer({"nodes": {shown: found[own] for shown, own in told.items() if own in found}})


class RecurringRuns(PipelineMessageHandler):
    async def get(self) -> None:
        with wrapped("Failed to list recurring runs due to error parsing the listing options"):
            options = self.list_options(RECURRING_RUNS)
        with wrapped("Failed to list jobs"):
            listed = await self.operations.recurring_runs.list(
                self.caller,
                self.parameter("namespace"),
                self.parameter("experiment_id"),
                options,
            )
        items = [_with_trigger(each) for each in listed.items]
        await self.answer_list("recurringRuns", replace(listed, items=items))

    async def post(self) -> None:
        sent = await self.sent(RecurringRunMessage)
        operations = self.operations.recurring_runs
        with wrapped("Failed to create a recurring run due to conversion error"):
            new = await self.aside(sent.message.new)
            operations.check(new)
        with wrapped("Failed to create a recurring run"):
            operations.authorize_creation(self.caller, new)
            with wrapped("Failed to create a recurring run with an invalid pipeline spec manifest"):
                new = replace(new, specification=await sent.specification())
            recurring = await operations.create(self.caller, new)
        self.warn_of_cron(recurring)
        default = await operations.default_root(recurring.recurring_run_id)
        what = f"recurring run {recurring.recurring_run_id}"
        self.warn_of_root(what, recurring.runtime_config, default)
        self.warn_of_values(what, recurring.runtime_config)
        self.warn_of_plugins(what, sent.message.plugins_input)
        await self.answer_long(_with_trigger(recurring))


class RecurringRun(Handler):
    async def get(self, recurring_run_id: str) -> None:
        with wrapped("Failed to fetch a recurring run"):
            found = await self.operations.recurring_runs.get(self.caller, recurring_run_id)
        await self.answer_long(_with_trigger(found))

    def delete(self, recurring_run_id: str) -> None:
        self.query.enum("propagation_policy", _PROPAGATION_POLICIES)
        with wrapped("Failed to delete a recurring run"):
            self.operations.recurring_runs.delete(self.caller, recurring_run_id)
        self.answer({})


def _url(version: PipelineVersionMessage) -> str:
    return version.package_url.pipeline_url if version.package_url else ""


def _with_trigger(recurring: models.RecurringRun) -> models.RecurringRun:
    """Add the empty trigger that the API server sends if there is none."""
    return replace(recurring, trigger=recurring.trigger or models.Trigger())


def _upload_of(
    message: PipelineMessage | PipelineVersionMessage, file_name: str, url: str = ""
) -> Upload:
    return Upload(
        name=message.name or message.display_name or file_name,
        display_name=message.display_name,
        description=message.description,
        code_source_url=getattr(message, "code_source_url", ""),
        package_url=url,
        tags=message.tags or {},
    )


_ID = r"([^/]+)"
_API = "/apis/v2beta1"

ROUTES: list[Any] = [
    (rf"{_API}/healthz", HealthzV2),
    (rf"{_API}/experiments", Experiments),
    (rf"{_API}/experiments/{_ID}", Experiment),
    (
        rf"{_API}/experiments/{_ID}:archive",
        action(lambda operations: operations.experiments.archive, "Failed to archive experiment"),
    ),
    (
        rf"{_API}/experiments/{_ID}:unarchive",
        action(
            lambda operations: operations.experiments.unarchive, "Failed to unarchive experiment"
        ),
    ),
    (rf"{_API}/pipelines", Pipelines),
    (rf"{_API}/pipelines/create", PipelineWithVersion),
    (rf"{_API}/pipelines/upload", PipelineUpload),
    (rf"{_API}/pipelines/upload_version", PipelineVersionUpload),
    (rf"{_API}/pipelines/names/([^/]+)", PipelineByName),
    (rf"{_API}/pipelines/{_ID}", Pipeline),
    (rf"{_API}/pipelines/{_ID}/versions", PipelineVersions),
    (rf"{_API}/pipelines/{_ID}/versions/{_ID}", PipelineVersion),
    (rf"{_API}/runs", Runs),
    (rf"{_API}/runs/{_ID}", Run),
    (
        rf"{_API}/runs/{_ID}:archive",
        action(lambda operations: operations.runs.archive, "Failed to archive a run"),
    ),
    (
        rf"{_API}/runs/{_ID}:unarchive",
        action(lambda operations: operations.runs.unarchive, "Failed to unarchive a run"),
    ),
    (
        rf"{_API}/runs/{_ID}:terminate",
        action(lambda operations: operations.runs.terminate, "Failed to terminate a run"),
    ),
    (
        rf"{_API}/runs/{_ID}:retry",
        action(lambda operations: operations.runs.retry, "Failed to retry a run"),
    ),
    (rf"{_API}/runs/{_ID}/nodes/{_ID}/artifacts/{_ID}:read", ArtifactHandler),
    (rf"{_API}/recurringruns", RecurringRuns),
    (rf"{_API}/recurringruns/{_ID}", RecurringRun),
    (
        rf"{_API}/recurringruns/{_ID}:enable",
        action(
            lambda operations: operations.recurring_runs.enable, "Failed to enable a recurring run"
        ),
    ),
    (
        rf"{_API}/recurringruns/{_ID}:disable",
        action(
            lambda operations: operations.recurring_runs.disable,
            "Failed to disable a recurring run",
        ),
    ),
    (rf"/apis/v1alpha1/runs/{_ID}/nodes", AllTaskValues),
    (rf"/apis/v1alpha1/runs/{_ID}/nodes/{_ID}", TaskValues),
    (rf"/apis/v1alpha1/runs/{_ID}/nodes/{_ID}/log", TaskLogHandler),
]
