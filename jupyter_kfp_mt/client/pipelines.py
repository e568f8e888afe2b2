"""Pipelines and their versions: a namespace's own, and those shared with everyone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ..attempts import attempting
from ..errors import BadRequest, Conflict, KfpError, NotFound
from ..kubeflow_roles import Goal
from ..models import Page, Pipeline, PipelineVersion
from ..near_names import did_you_mean
from . import pipeline_files, records, refused_uploads
from .api import Api, Where
from .listings import Feed, Listing, Order
from .pipeline_source import PipelineSource, expanded
from .queries import (
    equals,
    filter_words,
    having,
    is_id,
    list_query,
    one_of,
    part,
    sorted_query,
    within,
)
from .run_filters import Predicate, order


class Pipelines(Api):
    """Pipelines, by the words of `%kfp`."""

    def pipeline(self, pipeline_id: str) -> Pipeline:
        return self._get("pipelines", pipeline_id, Pipeline)

    def pipelines(
        self,
        namespace: Where = "",
        name: str = "",
        sort: str = "",
        limit: int = 0,
        shared: bool | None = None,
    ) -> Listing[Pipeline]:
        """The pipelines of a namespace or of several and those shared with everyone, newest first.

        `shared`: True for shared ones only, False for none of them. `name`: a part of their names.
        """
        predicates = [having("display_name", name)] if name else []
        by = order(sort, {"created": "created_at", "name": "display_name"})
        several = self.health().multi_user
        mine = self._feeds("pipelines", Pipeline, namespace, predicates, by) if not shared else []
        others = (
            [Feed("", self._shared_pages(predicates, by))]
            if several and shared is not False
            else []
        )
        return Listing(
            *(Pipeline, [*mine, *others]),
            order=by,
            limit=limit,
            filters=filter_words(name=name, shared=shared, private=shared is False),
            record=records.pipeline,
        )

    def pipeline_page(
        self, namespace: str = "", page_size: int = 20, page_token: str = ""
    ) -> Page[Pipeline]:
        """One page of the pipelines of a namespace, newest first."""
        query = list_query(page_size, page_token)
        return self._page("pipelines", Pipeline, namespace, query)

    def pipelines_of(self, ids: Sequence[str], namespace: str = "") -> list[Pipeline]:
        """The pipelines of a namespace, and the shared ones, that have one of these ids."""
        query = list_query(len(ids), "", one_of("pipeline_id", [*ids]))
        found = self._page("pipelines", Pipeline, namespace, query).items
        is_whole = len(found) == len(ids) or not self._namespace(namespace)
        return found if is_whole else [*found, *self._shared_page(query)]

    def pipeline_named(self, name: str, namespace: str = "") -> Pipeline:
        """A namespace's pipeline by its name, else the shared one. Raises `NotFound`."""
        where = self._namespace(namespace)
        with attempting(f"find pipeline {name}"):
            found = self._pipelines_named(name, where) or self._shared_named(name)
        if not found:
            known = [each.name for each in self.pipelines(namespace).shown()]
            raise NotFound(
                f"No pipeline {name}{within(where, 'in namespace')}.{did_you_mean(name, known)}",
                cause="No shared pipeline has that name either."
                if self.health().multi_user
                else "",
                cure="%kfp pipelines lists them; %kfp pipeline upload FILE adds one.",
            )
        return found[0]

    def find_pipeline(self, text: str, namespace: str = "") -> Pipeline:
        """Return the pipeline with this id or name; see `pipeline_named`."""
        if is_id(text):
            return self._get("pipelines", text, Pipeline)
        return self.pipeline_named(text, namespace)

    def _pipelines_named(self, name: str, namespace: str) -> list[Pipeline]:
        query = list_query(1, "", filter=equals("name", name))
        return self._page("pipelines", Pipeline, namespace, query).items

    def _shared_named(self, name: str) -> list[Pipeline]:
        query = list_query(1, "", filter=equals("name", name))
        return self._shared_page(query).items if self.health().multi_user else []

    def _shared_pages(
        self, predicates: list[Predicate], by: Order
    ) -> Callable[[str, int], Page[Pipeline]]:
        return lambda token, size: self._shared_page(sorted_query(size, token, predicates, by))

    def _shared_page(self, query: dict[str, str]) -> Page[Pipeline]:
        """Return a page of the shared pipelines; an empty one if KFP demands a namespace."""
        try:
            with attempting("list shared pipelines"):
                return self.transport.page("pipelines", Pipeline, query)
        except BadRequest as error:
            if "Namespace is required" not in f"{error.message} {error.server_text}":
                raise
            return Page(kind=Pipeline)

    def delete_pipeline(self, pipeline_id: str) -> None:
        """Delete a pipeline and all its versions."""
        self._delete("pipelines", pipeline_id, cascade="true")

    def versions(self, pipeline_id: str, limit: int = 0) -> Listing[PipelineVersion]:
        """The versions of a pipeline, newest first."""
        feed = Feed("", lambda token, size: self._version_page(pipeline_id, size, token))
        return Listing(PipelineVersion, [feed], limit=limit, record=records.version)

    def latest_version(self, pipeline_id: str) -> PipelineVersion:
        """The newest version of a pipeline. Raises `NotFound` if it has none."""
        page = self._version_page(pipeline_id, 1, "")
        if not len(page):
            raise NotFound(f"Pipeline {pipeline_id} has no version that could run.")
        return page[0]

    def version_named(self, pipeline: Pipeline, text: str) -> PipelineVersion:
        """A version of a pipeline by its name or id. Raises `NotFound`."""
        known = self.versions(pipeline.pipeline_id)
        for each in known:
            if text in (each.name, each.display_name, each.pipeline_version_id):
                return each
        names = [each.display_name or each.name for each in known]
        raise NotFound(
            f"Pipeline {pipeline.name} has no version {text}.{did_you_mean(text, names)}",
            cure=f"%kfp versions {pipeline.name} lists them.",
        )

    def _version_page(
        self, pipeline_id: str, page_size: int, page_token: str
    ) -> Page[PipelineVersion]:
        path = f"pipelines/{part(pipeline_id)}/versions"
        query = list_query(page_size, page_token)
        with attempting(f"list {path}"):
            return self.transport.page(path, PipelineVersion, query)

    def upload_pipeline(
        self,
        file: str | Path | Any,
        name: str = "",
        namespace: str = "",
        description: str = "",
        again: bool = False,
        shared: bool = False,
    ) -> PipelineVersion:
        """Upload a compiled pipeline: a new one, or the next version of the pipeline of that name.

        `file` may also be a `@dsl.pipeline` or `@dsl.component` of the kfp SDK. If the newest
        version is identical, it is returned with a warning and nothing uploaded, unless `again` is
        set. A `shared` pipeline belongs to everyone. Raises `NotAPipeline` for other files.
        """
        if PipelineSource.can_be(file):
            with tempfile.TemporaryDirectory() as folder:
                path = PipelineSource.from_component(file).written(Path(folder))
                return self.upload_pipeline(path, name, namespace, description, again, shared)
        path = expanded(file)
        compiled = pipeline_files.read(path)
        name = name or compiled.name
        where = "" if shared else self._namespace(namespace)
        uploading = f"upload {path.name}{within(where, 'to')}"
        goal = Goal("upload a pipeline", "create", "pipelines")
        with attempting(uploading, goal):
            found = self._shared_named(name) if shared else self._pipelines_named(name, where)
        same = self._same_version(found[0], compiled) if found and not again else None
        if same:
            self.transport.warnings.append(
                f"Nothing was uploaded: {path.name} is identical to the newest version of {name}. "
                "%kfp upload --again (again=True) uploads it anyway."
            )
            return same
        if found:
            return self._upload_version(compiled, path, found[0], where, description)
        query = {"name": name, "namespace": where, "description": description}
        with attempting(uploading, goal), self._explained(compiled.to_wire()):
            answer = self._upload("pipelines/upload", path, where, query)
        return self.latest_version(self.transport.decode(answer, Pipeline).pipeline_id)

    def _same_version(
        self, pipeline: Pipeline, compiled: pipeline_files.PipelineFile
    ) -> PipelineVersion | None:
        """Return the newest version of a pipeline if it is identical to the compiled one."""
        newest = next(iter(self.versions(pipeline.pipeline_id, limit=1)), None)
        same = newest and newest.pipeline_spec == PipelineSource.from_file(compiled).specification
        return newest if same else None

    def _upload_version(
        self,
        compiled: pipeline_files.PipelineFile,
        path: Path,
        pipeline: Pipeline,
        namespace: str,
        description: str,
    ) -> PipelineVersion:
        query = {
            "name": f"{pipeline.name}-{datetime.now():%Y%m%d-%H%M%S-%f}",
            "pipelineid": pipeline.pipeline_id,
            "description": description,
        }
        uploading = attempting(f"upload {path.name} as a version of {pipeline.name}")
        with uploading, self._explained(compiled.to_wire()):
            answer = self._upload("pipelines/upload_version", path, namespace, query)
        version: PipelineVersion = self.transport.decode(answer, PipelineVersion)
        return version

    def _upload(self, path: str, file: Path, namespace: str, query: dict[str, str]) -> bytes:
        query = {key: value for key, value in query.items() if value}
        with file.open("rb") as content:
            files = {"uploadfile": (pipeline_files.upload_name(file), content.read())}
        try:
            return self.transport.request("POST", path, params=query, files=files)
        except KfpError as error:
            if (
                not refused_uploads.is_silent(error) or self.transport.behind_door
            ):  # a door has found the reason itself
                raise
            refused = error
        if not isinstance(refused, Conflict):  # a list is refused with the reason
            self._page("pipelines", Pipeline, namespace, list_query(1, ""))
        user = self.credentials.claims().sub
        raise refused_uploads.told(
            *(refused, namespace, user),
            lambda: refused_uploads.may_create(self._cluster(), user, namespace),
        )
