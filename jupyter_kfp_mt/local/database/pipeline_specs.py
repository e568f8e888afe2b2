"""Compiled pipelines, each kept once however many versions and runs have it."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from ..pipelines.pipeline_files import Specification
from .column_values import from_json, to_json
from .row_types import Origin


class SpecificationTable:
    """Found by their digests."""

    def __init__(self, db: sqlite3.Connection):
        self._db = db

    def keep(self, specification: Specification | None) -> str | None:
        """The digest under which it is kept from now on. Part of the caller's transaction."""
        if specification is None:
            return None
        pipeline, platform = to_json(specification.pipeline), to_json(specification.platform)
        digest = hashlib.sha256(f"{pipeline}\n{platform}".encode()).hexdigest()
        self._db.execute(
            "INSERT INTO specifications (digest, pipeline_spec, platform_spec) VALUES (?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            (digest, pipeline, platform),
        )
        return digest

    def by_digest(self, digests: Iterable[str]) -> dict[str, Specification]:
        rows = self._db.execute(
            "SELECT * FROM specifications WHERE digest IN (SELECT value FROM json_each(?))",
            (to_json([*digests]),),
        )
        return {row["digest"]: specification(row) for row in rows}

    def lengths(self, digests: Iterable[str | None], *, manifests: bool) -> Iterator[int]:
        """The length of each in an answer, nothing being 0; asked for one by one. A manifest takes
        some ten times as long to write as JSON of its length.
        """
        known: dict[str, int] = {}
        for digest in digests:
            if digest and digest not in known:
                (known[digest],) = self._db.execute(
                    "SELECT length(pipeline_spec) + length(platform_spec) FROM specifications "
                    "WHERE digest = ?",
                    (digest,),
                ).fetchone()
            yield known[digest] * (10 if manifests else 1) if digest else 0

    def origin(self, row: sqlite3.Row) -> Origin:
        """That in a row which has the digest of its specification, if it has one."""
        kept = self.by_digest([row["digest"]]) if row["digest"] else {}
        return Origin(kept.get(row["digest"]), row["pipeline_name"], bool(row["texts"]))


def specification(row: sqlite3.Row) -> Specification:
    """That in a row which was joined with its specification."""
    return Specification(
        from_json(row["pipeline_spec"], dict[str, Any]),
        from_json(row["platform_spec"], dict[str, Any]),
    )
