"""The pipelines in the database, and their versions."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from ...models import Pipeline, PipelineVersion, Url
from ..pipelines.pipeline_files import Specification
from ..wire.list_options import ListOptions, Position
from .collation import collation_key, refuse_taken
from .column_values import from_json, from_seconds, to_json, to_seconds
from .list_queries import PAGE_LIMIT, PageLimit, page, shortened
from .pipeline_specs import SpecificationTable


class PipelineTable:
    """All pipelines and versions; names are unique in a namespace or a pipeline, ignoring case."""

    def __init__(self, db: sqlite3.Connection, specifications: SpecificationTable):
        self._db = db
        self._specifications = specifications

    def add(self, pipeline: Pipeline) -> None:
        """Insert one. Raises sqlite3.IntegrityError if its namespace has one of this name."""
        with self._db:
            self._insert(pipeline)

    def add_with_version(
        self, pipeline: Pipeline, version: PipelineVersion, specification: Specification
    ) -> None:
        """Insert a pipeline and a version in one transaction. Raises sqlite3.IntegrityError if
        the pipeline's name is taken.
        """
        with self._db:
            self._insert(pipeline)
            self._insert_version(version, specification)

    def one(self, pipeline_id: str) -> Pipeline | None:
        query = "SELECT * FROM pipelines WHERE pipeline_id = ?"
        row = self._db.execute(query, (pipeline_id,)).fetchone()
        return _pipeline(row) if row else None

    def named(self, namespace: str, name: str) -> Pipeline | None:
        query = "SELECT * FROM pipelines WHERE namespace = ? AND collation_key(name) = ?"
        row = self._db.execute(query, (namespace, collation_key(name))).fetchone()
        return _pipeline(row) if row else None

    def page(
        self, namespace: str, options: ListOptions, limit: PageLimit = PAGE_LIMIT
    ) -> tuple[list[Pipeline], int, Position | None]:
        found = page(self._db, {"namespace": namespace}, options, limit)
        return [_pipeline(row) for row in found.rows], found.total_size, found.next

    def update(self, pipeline_id: str, display_name: str, tags: Mapping[str, str] | None) -> None:
        """An empty name and no tags change nothing; empty tags remove all."""
        with self._db:
            self._update("pipelines", "pipeline_id", pipeline_id, display_name, tags)

    def delete(self, pipeline_id: str) -> None:
        """Delete a pipeline with its versions; their runs keep their specifications."""
        with self._db:
            for table in ("pipeline_versions", "pipelines"):
                self._db.execute(f"DELETE FROM {table} WHERE pipeline_id = ?", (pipeline_id,))

    # Versions

    def add_version(self, version: PipelineVersion, specification: Specification) -> None:
        """Insert one. Raises sqlite3.IntegrityError if its pipeline has a version of this name."""
        with self._db:
            self._insert_version(version, specification)

    def version(self, version_id: str) -> PipelineVersion | None:
        row = self._version_row(version_id)
        return _version(row, self._specifications.one(row["digest"])) if row else None

    def version_without_specification(self, version_id: str) -> PipelineVersion | None:
        """A version without its specification, which may be megabytes long."""
        row = self._version_row(version_id)
        return _version(row) if row else None

    def latest_without_specification(self, pipeline_id: str) -> PipelineVersion | None:
        """A pipeline's latest version, without its specification."""
        row = self._db.execute(
            "SELECT * FROM pipeline_versions "
            "WHERE pipeline_id = ? ORDER BY created_at DESC, pipeline_version_id DESC LIMIT 1",
            (pipeline_id,),
        ).fetchone()
        return _version(row) if row else None

    def versions(
        self, pipeline_id: str, options: ListOptions, limit: PageLimit = PAGE_LIMIT
    ) -> tuple[list[PipelineVersion], int, Position | None]:
        found = page(self._db, {"pipeline_id": pipeline_id}, options, limit)
        digests = [row["digest"] for row in found.rows]
        lengths = self._specifications.lengths(digests, manifests=False)
        found = shortened(found, options.noun, limit, lengths)
        kept = self._specifications.by_digest({row["digest"] for row in found.rows})
        items = [_version(row, kept[row["digest"]]) for row in found.rows]
        return items, found.total_size, found.next

    def digest(self, version_id: str) -> str:
        """The digest of its specification; empty if there is no such version."""
        row = self._version_row(version_id)
        return str(row["digest"]) if row else ""

    def specification(self, version_id: str) -> Specification:
        return self._specifications.one(self.digest(version_id))

    def update_version(
        self, version_id: str, display_name: str, tags: Mapping[str, str] | None
    ) -> None:
        """An empty name and no tags change nothing; empty tags remove all."""
        with self._db:
            self._update("pipeline_versions", "pipeline_version_id", version_id, display_name, tags)

    def delete_version(self, version_id: str) -> None:
        with self._db:
            query = "DELETE FROM pipeline_versions WHERE pipeline_version_id = ?"
            self._db.execute(query, (version_id,))

    # Implementation

    def _version_row(self, version_id: str) -> Any:
        query = "SELECT * FROM pipeline_versions WHERE pipeline_version_id = ?"
        return self._db.execute(query, (version_id,)).fetchone()

    def _insert(self, pipeline: Pipeline) -> None:
        refuse_taken(self._db, "pipelines", ("namespace", pipeline.namespace), pipeline.name)
        self._db.execute(
            "INSERT INTO pipelines "
            "(pipeline_id, namespace, name, display_name, description, created_at, tags) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                pipeline.pipeline_id,
                pipeline.namespace,
                pipeline.name,
                pipeline.display_name,
                pipeline.description,
                to_seconds(pipeline.created_at),
                to_json(pipeline.tags),
            ),
        )

    def _insert_version(self, version: PipelineVersion, specification: Specification) -> None:
        owner = ("pipeline_id", version.pipeline_id)
        refuse_taken(self._db, "pipeline_versions", owner, version.name)
        self._db.execute(
            "INSERT INTO pipeline_versions (pipeline_version_id, pipeline_id, name, display_name, "
            "description, code_source_url, package_url, created_at, tags, digest) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                version.pipeline_version_id,
                version.pipeline_id,
                version.name,
                version.display_name,
                version.description,
                version.code_source_url,
                version.package_url.pipeline_url if version.package_url else "",
                to_seconds(version.created_at),
                to_json(version.tags),
                self._specifications.keep(specification),
            ),
        )

    def _update(
        self, table: str, key: str, id_: str, display_name: str, tags: Mapping[str, str] | None
    ) -> None:
        if display_name:
            query = f"UPDATE {table} SET display_name = ? WHERE {key} = ?"
            self._db.execute(query, (display_name, id_))
        if tags is not None:
            query = f"UPDATE {table} SET tags = ? WHERE {key} = ?"
            self._db.execute(query, (to_json(tags), id_))


def _pipeline(row: sqlite3.Row) -> Pipeline:
    return Pipeline(
        pipeline_id=row["pipeline_id"],
        display_name=row["display_name"],
        name=row["name"],
        description=row["description"],
        created_at=from_seconds(row["created_at"]),
        namespace=row["namespace"],
        tags=from_json(row["tags"], dict[str, str]),
    )


def _version(row: sqlite3.Row, kept: Specification | None = None) -> PipelineVersion:
    return PipelineVersion(
        pipeline_id=row["pipeline_id"],
        pipeline_version_id=row["pipeline_version_id"],
        display_name=row["display_name"],
        name=row["name"],
        description=row["description"],
        created_at=from_seconds(row["created_at"]),
        code_source_url=row["code_source_url"],
        package_url=Url(pipeline_url=row["package_url"]) if row["package_url"] else None,
        pipeline_spec=kept.to_wire() if kept else {},
        tags=from_json(row["tags"], dict[str, str]),
    )
