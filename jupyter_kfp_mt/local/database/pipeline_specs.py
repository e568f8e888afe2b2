"""Compiled pipelines, each stored only once for all versions and runs that share it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from ..pipelines.pipeline_files import Head, Specification
from .column_values import from_json, to_json
from .row_types import Origin

# Decodes nothing, not even texts.
_COLUMNS = (
    "digest, head, CAST(pipeline_spec AS BLOB) AS pipeline_spec, "
    "CAST(platform_spec AS BLOB) AS platform_spec"
)
# Left to itself, SQLite takes the index of the digests alone, and then reads through the whole of a
# specification to come to what is kept behind it.
LENGTH = "SELECT length FROM specifications INDEXED BY specification_lengths WHERE digest = ?"
HEAD = "SELECT head, digest FROM specifications INDEXED BY specification_heads WHERE digest = ?"


class SpecificationTable:
    """All specifications, by digest."""

    def __init__(self, db: sqlite3.Connection):
        self._db = db

    def keep(self, specification: Specification | None) -> str | None:
        """Store a specification in the caller's transaction; return its digest."""
        if specification is None:
            return None
        if self.length(specification.digest) is None:
            self._db.execute(
                "INSERT INTO specifications (digest, pipeline_spec, platform_spec, length, head) "
                # Texts, as which SQLite takes them without another thread having to wait.
                "VALUES (?, CAST(? AS TEXT), CAST(? AS TEXT), ?, ?)",
                (
                    specification.digest,
                    specification.pipeline,
                    specification.platform,
                    specification.length,
                    to_json(specification.head),
                ),
            )
        return specification.digest

    def length(self, digest: str) -> int | None:
        """Return the length in bytes of a stored specification."""
        row = self._db.execute(LENGTH, (digest,)).fetchone()
        return row["length"] if row else None

    def default_root(self, digest: str) -> str:
        """The pipeline root of a stored specification; empty if it has none."""
        row = self._db.execute(HEAD, (digest,)).fetchone()
        if row is None:
            return ""
        return (_head(row) or self.one(digest).head).defaultPipelineRoot or ""

    def one(self, digest: str) -> Specification:
        return self.by_digest([digest])[digest]

    def by_digest(self, digests: Iterable[str]) -> dict[str, Specification]:
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM specifications "
            "WHERE digest IN (SELECT value FROM json_each(?))",
            (to_json([*digests]),),
        )
        return {
            row["digest"]: Specification.read(
                row["pipeline_spec"], row["platform_spec"], row["digest"], _head(row)
            )
            for row in rows
        }

    def lengths(self, digests: Iterable[str | None], *, manifests: bool) -> Iterator[int]:
        """The length of each in a response, 0 for none. A manifest counts about ten times, for the
        time that it takes to write.
        """
        known: dict[str, int] = {}
        for digest in digests:
            if digest and digest not in known:
                known[digest] = self.length(digest) or 0
            yield known[digest] * (10 if manifests else 1) if digest else 0

    def origin(self, row: sqlite3.Row) -> Origin:
        """The specification of a row with its digest, if it has one."""
        kept = self.one(row["digest"]) if row["digest"] else None
        return Origin(kept, row["pipeline_name"], bool(row["texts"]))


def _head(row: sqlite3.Row) -> Head | None:
    return from_json(row["head"], Head) if row["head"] else None
