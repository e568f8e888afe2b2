"""Operations on pipelines and their versions."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping

import msgspec

from ...models import Pipeline, PipelineVersion, Url
from ..database import Database, new_id
from ..pipelines.pipeline_files import Specification
from ..tenants.identity import Caller
from ..tenants.roles import ResourceAttributes, Roles
from ..wire.api_errors import NO_VERSION, ApiError, already_exists, invalid_input, wrapped
from ..wire.list_options import ListOptions
from .request_checks import (
    LONGEST_PIPELINE_DESCRIPTION,
    check_length,
    check_tags,
    check_text,
    found,
    is_empty,
    now,
)
from .values import Listed, Upload, listed

# The API server's own namespace, in which access to shared pipelines is authorized.
SYSTEM_NAMESPACE = "kubeflow"

# The reason and the cure for refused changes of shared pipelines.
_WRITTEN_BY = (
    f"changing shared pipelines needs edit rights in the namespace {SYSTEM_NAMESPACE}: add a "
    "profile of that name to the local KFP, or pass a namespace to keep the pipeline in your own"
)


class Pipelines:
    """Operations on pipelines, shared or of a namespace, and on their versions, which are run."""

    def __init__(self, database: Database, roles: Roles):
        self._database = database
        self._table = database.pipelines
        self._roles = roles

    def create(self, caller: Caller, namespace: str, upload: Upload) -> Pipeline:
        """Create a pipeline without versions."""
        if not upload.name:
            raise invalid_input("name is required")
        with wrapped(
            "Failed to create a pipeline due to authorization error. "
            f"Check if you have write permissions to namespace {namespace}"
        ):
            access = ResourceAttributes(namespace, "create", "pipelines", upload.name)
            self._authorize(caller, "", access)
        pipeline = _pipeline(namespace, upload)
        try:
            self._table.add(pipeline)
        except sqlite3.IntegrityError:
            with wrapped("Failed to create a pipeline in PipelineStore"):
                raise already_exists(
                    f"Failed to create a new pipeline. The name {upload.name} already exist. "
                    "Please specify a new name"
                ) from None
        return pipeline

    def authorize_creation(self, caller: Caller, namespace: str, name: str) -> None:
        """Authorize before the file is fetched."""
        check_length("Pipeline", "Namespace", namespace)
        self._authorize(caller, "", ResourceAttributes(namespace, "create", "pipelines", name))

    def authorize_upload(self, caller: Caller, namespace: str) -> None:
        """Authorize before the file is read."""
        check_length("Pipeline", "Namespace", namespace)
        with wrapped("Authorization Failure"):
            self._authorize_upload(caller, "", namespace)

    async def create_with_version(
        self,
        namespace: str,
        upload: Upload,
        specification: Specification,
        *,
        version_tags: Mapping[str, str],
    ) -> tuple[Pipeline, PipelineVersion]:
        """The caller has been authorized already, before the file was read."""
        pipeline = _pipeline(namespace, upload)
        version = _version(pipeline, msgspec.structs.replace(upload, tags=version_tags))
        try:
            await self._database.change(
                specification,
                lambda tables: tables.pipelines.add_with_version(pipeline, version, specification),
            )
        except sqlite3.IntegrityError:
            raise already_exists(
                f"Failed to create a new pipeline. The name {upload.name} already exists. "
                "Please specify a new name"
            ) from None
        return pipeline, _with(version, specification)

    def get(self, caller: Caller, pipeline_id: str) -> Pipeline:
        with wrapped(
            f"Failed to get a pipeline due authorization error for pipeline id {pipeline_id}"
        ):
            return self._authorized(caller, pipeline_id, "get")

    def authorize(self, caller: Caller, pipeline_id: str, verb: str) -> None:
        """Authorize an action on a pipeline."""
        self._authorized(caller, pipeline_id, verb)

    def named(self, caller: Caller, namespace: str, name: str) -> Pipeline:
        with wrapped(
            "Failed to fetch a pipeline due to authorization error. "
            f"Check if you have read permission to namespace {namespace}"
        ):
            self._authorize(caller, "", ResourceAttributes(namespace, "get", "pipelines", name))
        with wrapped(f"Failed to get a pipeline named {name} in namespace {namespace}"):
            return found(
                self._table.named(namespace, name), "Namespace/Pipeline", f"{namespace}/{name}"
            )

    async def list(self, caller: Caller, namespace: str, options: ListOptions) -> Listed[Pipeline]:
        with wrapped(
            "Failed to list pipelines due to authorization error. "
            f"Check if you have read permission to namespace {namespace}"
        ):
            self._authorize(caller, "", ResourceAttributes(namespace, "list", "pipelines"))
        page = await self._database.page(
            options, lambda tables, limit: tables.pipelines.page(namespace, options, limit)
        )
        return listed(options, *page)

    def update(
        self,
        caller: Caller,
        pipeline_id: str,
        *,
        display_name: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> Pipeline:
        """An empty name or no tags change nothing; empty tags remove all."""
        with wrapped(f"Failed to update pipeline {pipeline_id} due to authorization error"):
            self._authorized(caller, pipeline_id, "update")
        with wrapped(f"Failed to update pipeline {pipeline_id}. Check error stack"):
            check_tags(tags or {})
            check_text("Pipeline.DisplayName", display_name)
        self._table.update(pipeline_id, display_name, tags)
        return self.existing(pipeline_id)

    def delete(self, caller: Caller, pipeline_id: str, *, cascade: bool) -> None:
        """Delete a pipeline, with its versions if `cascade`; else it must not have any."""
        with wrapped(
            f"Failed to delete a pipeline due authorization error for pipeline id {pipeline_id}"
        ):
            self._authorized(caller, pipeline_id, "delete")
        latest = None if cascade else self._table.latest_without_specification(pipeline_id)
        if latest:
            raise invalid_input(
                f"Failed to delete pipeline with id {pipeline_id} as it has existing pipeline "
                f"versions (e.g. {latest.pipeline_version_id}). "
                "Set cascade=true to delete all versions"
            )
        self._table.delete(pipeline_id)

    def existing(self, pipeline_id: str) -> Pipeline:
        """For those who have been authorized, or are to be authorized by what it says."""
        with wrapped(f"Failed to get a pipeline with id {pipeline_id}"):
            return found(self._table.one(pipeline_id), "Pipeline", pipeline_id)

    # Versions

    def authorize_version_creation(self, caller: Caller, pipeline_id: str, name: str) -> Pipeline:
        """Authorize before the file is fetched."""
        with wrapped(
            f"Failed to create a pipeline version due authorization error for pipeline id "
            f"{pipeline_id}"
        ):
            with wrapped(_not_accessible(pipeline_id)):
                pipeline = self.existing(pipeline_id)
            access = ResourceAttributes(pipeline.namespace, "create", "pipelines", name)
            self._authorize(caller, pipeline_id, access)
        return pipeline

    def authorize_version_upload(self, caller: Caller, pipeline_id: str) -> Pipeline:
        """Authorize before the file is read."""
        if not pipeline_id:
            raise invalid_input(
                "The pipeline is missing: its id goes into the parameter pipelineid", NO_VERSION
            )
        pipeline = self.existing(pipeline_id)
        with wrapped("Authorization Failure"):
            self._authorize_upload(caller, pipeline_id, pipeline.namespace)
        return pipeline

    async def create_version(
        self, pipeline: Pipeline, upload: Upload, specification: Specification
    ) -> PipelineVersion:
        """The caller has been authorized already, before the file was read."""
        self.existing(pipeline.pipeline_id)  # It may have been deleted in the meantime.
        version = _version(pipeline, upload)
        try:
            await self._database.change(
                specification, lambda tables: tables.pipelines.add_version(version, specification)
            )
        except sqlite3.IntegrityError:
            self.existing(pipeline.pipeline_id)  # It may have been deleted in the meantime.
            raise already_exists(
                f"Failed to create a new pipeline version. The name {upload.name} already exist. "
                "Specify a new name"
            ) from None
        return _with(version, specification)

    async def version(self, caller: Caller, version_id: str) -> PipelineVersion:
        with wrapped(
            "Failed to get a pipeline version due to authorization error for pipeline version id "
            f"{version_id}"
        ):
            self._authorized_version(caller, version_id, "get")
        return await self._whole_version(version_id)

    def described_version(self, caller: Caller, version_id: str) -> PipelineVersion:
        """Return a version without its specification."""
        with wrapped(
            "Failed to get a pipeline version due to authorization error for pipeline version id "
            f"{version_id}"
        ):
            return self._authorized_version(caller, version_id, "get")

    async def readable_specification(self, caller: Caller, version_id: str) -> Specification:
        """Return the specification of a version, with the message for a refusal as an argument."""
        self._authorized_version(caller, version_id, "get")
        return await self.specification(version_id)

    async def versions(
        self, caller: Caller, pipeline_id: str, options: ListOptions
    ) -> Listed[PipelineVersion]:
        with wrapped(
            "Failed to list pipeline versions due to error fetching the namespace for pipeline "
            f"{pipeline_id}: Failed to get namespace for pipeline id {pipeline_id}"
        ):
            pipeline = self.existing(pipeline_id)
        with wrapped(
            "Failed to list pipeline versions due to authorization error. "
            f"Check if you have read permission to namespace {pipeline.namespace}"
        ):
            self._authorize(caller, "", ResourceAttributes(pipeline.namespace, "list", "pipelines"))
        page = await self._database.page(
            options, lambda tables, limit: tables.pipelines.versions(pipeline_id, options, limit)
        )
        return listed(options, *page)

    async def update_version(
        self,
        caller: Caller,
        version_id: str,
        *,
        display_name: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> PipelineVersion:
        """An empty name or no tags change nothing; empty tags remove all."""
        with wrapped(f"Failed to update pipeline version {version_id} due to authorization error"):
            self._authorized_version(caller, version_id, "update")
        with wrapped(f"Failed to update pipeline version {version_id}. Check error stack"):
            check_tags(tags or {})
            check_text("PipelineVersion.DisplayName", display_name)
        self._table.update_version(version_id, display_name, tags)
        return await self._whole_version(version_id)

    def delete_version(self, caller: Caller, pipeline_id: str, version_id: str) -> None:
        """Delete a version; its runs keep their specification."""
        with wrapped(
            f"Failed to delete a pipeline version id {version_id} due to authorization error for "
            f"pipeline id {pipeline_id}"
        ):
            self._authorized_version(caller, version_id, "delete")
        self._table.delete_version(version_id)

    def latest_version(self, pipeline_id: str) -> PipelineVersion | None:
        """Return the latest version, without its specification, of an authorized pipeline."""
        return self._table.latest_without_specification(pipeline_id)

    def existing_version(self, version_id: str) -> PipelineVersion:
        """For those who have been authorized, or are to be authorized by what it says. Without its
        specification.
        """
        with wrapped(f"Failed to get a pipeline version with id {version_id}"):
            version = self._table.version_without_specification(version_id)
            return found(version, "PipelineVersion", version_id)

    async def specification(self, version_id: str) -> Specification:
        """Return the specification of an authorized version."""
        digest = self._table.digest(version_id)
        return await self._database.read(digest, lambda tables: tables.specifications.one(digest))

    async def runnable(
        self, caller: Caller, pipeline_id: str, version_id: str
    ) -> tuple[PipelineVersion, Specification]:
        """Return the version to run: this one, or else the latest of the pipeline."""
        if version_id:
            version = self._authorized_version(caller, version_id, "get")
            if pipeline_id not in ("", version.pipeline_id):
                raise invalid_input(
                    f"Pipeline version {version_id} belongs to pipeline "
                    f"{version.pipeline_id} (not {pipeline_id})"
                )
        else:
            self._authorized(caller, pipeline_id, "get")
            version = found(self.latest_version(pipeline_id), "PipelineVersion", pipeline_id)
        return version, await self.specification(version.pipeline_version_id)

    def latest(self, pipeline_id: str) -> tuple[PipelineVersion, Specification]:
        """Return the latest version to run; it was authorized when it was requested."""
        version = found(self.latest_version(pipeline_id), "PipelineVersion", pipeline_id)
        return version, self._table.specification(version.pipeline_version_id)

    async def _whole_version(self, version_id: str) -> PipelineVersion:
        version = await self._database.read(
            self._table.digest(version_id), lambda tables: tables.pipelines.version(version_id)
        )
        with wrapped(f"Failed to get a pipeline version with id {version_id}"):
            return found(version, "PipelineVersion", version_id)

    # Authorization

    def _authorize_upload(self, caller: Caller, pipeline_id: str, namespace: str) -> None:
        """Authorize an upload; any known caller may share one, even a viewer, as on a cluster."""
        if not namespace:
            caller.identity()
        else:
            access = ResourceAttributes(namespace, "create", "pipelines")
            self._authorize(caller, pipeline_id, access)

    def _authorized(self, caller: Caller, pipeline_id: str, verb: str) -> Pipeline:
        with wrapped(_not_accessible(pipeline_id)):
            pipeline = self.existing(pipeline_id)
        access = ResourceAttributes(
            pipeline.namespace, verb, "pipelines", pipeline.name, existing=True
        )
        self._authorize(caller, pipeline_id, access)
        return pipeline

    def _authorized_version(self, caller: Caller, version_id: str, verb: str) -> PipelineVersion:
        with wrapped(f"Failed to access pipeline version {version_id}. Check if it exists"):
            version = self.existing_version(version_id)
        pipeline = self.existing(version.pipeline_id)
        access = ResourceAttributes(
            pipeline.namespace, verb, "pipelines", pipeline.name, existing=True
        )
        # A caller with a version's id need not know the pipeline's.
        with contextlib.suppress(ApiError):
            caller.identity()
        may_read = self._roles.allows(caller.name, msgspec.structs.replace(access, verb="get"))
        self._authorize(caller, pipeline.pipeline_id if may_read else "", access)
        return version

    def _authorize(self, caller: Caller, pipeline_id: str, access: ResourceAttributes) -> None:
        """Authorize access to a pipeline; anyone may read shared ones, which have no namespace."""
        if not is_empty(access.namespace):
            with wrapped(
                f"Failed to access pipeline {pipeline_id}. "
                f"Check if you have access to namespace {access.namespace}"
            ):
                self._roles.check(caller.identity(), access)
        elif access.verb not in ("get", "list"):
            # Anyone may read its name.
            shared = msgspec.structs.replace(access, namespace=SYSTEM_NAMESPACE, existing=False)
            with wrapped(
                f"Failed to access shared pipeline {pipeline_id}. "
                f"Check if you have permission to {access.verb} shared pipelines"
            ):
                self._roles.check(caller.identity(), shared, _WRITTEN_BY)


def _not_accessible(pipeline_id: str) -> str:
    return (
        f"Failed to access pipeline {pipeline_id}. Check if it exists and have a namespace assigned"
    )


def _pipeline(namespace: str, upload: Upload) -> Pipeline:
    if not upload.name:  # nor has the URL a file name
        raise invalid_input("pipeline's name cannot be empty")
    check_length("Pipeline", "Name", upload.name)
    check_length("Pipeline", "Namespace", namespace)
    _check_texts("Pipeline", upload)
    check_tags(upload.tags)
    return Pipeline(
        pipeline_id=new_id(),
        name=upload.name,
        display_name=upload.display_name or upload.name,
        description=upload.description,
        namespace=namespace,
        created_at=now(),
        tags=dict(upload.tags),
    )


def _check_texts(kind: str, upload: Upload) -> None:
    check_text(f"{kind}.DisplayName", upload.display_name)
    check_text(f"{kind}.Description", upload.description, LONGEST_PIPELINE_DESCRIPTION)
    check_text(f"{kind}.CodeSourceUrl", upload.code_source_url)


def _version(pipeline: Pipeline, upload: Upload) -> PipelineVersion:
    check_length("PipelineVersion", "Name", upload.name)
    _check_texts("PipelineVersion", upload)
    check_tags(upload.tags)
    return PipelineVersion(
        pipeline_id=pipeline.pipeline_id,
        pipeline_version_id=new_id(),
        name=upload.name,
        display_name=upload.display_name or upload.name,
        description=upload.description,
        code_source_url=upload.code_source_url,
        package_url=Url(pipeline_url=upload.package_url) if upload.package_url else None,
        created_at=now(),
        tags=dict(upload.tags),
    )


def _with(version: PipelineVersion, specification: Specification) -> PipelineVersion:
    return msgspec.structs.replace(version, pipeline_spec=specification.to_wire())
