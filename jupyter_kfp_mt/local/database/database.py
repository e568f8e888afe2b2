"""The database as a whole: opening and closing it, with one part for each kind of object."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ...errors import Misconfigured
from ..execution.run_request import RunRequest
from ..machine.disk_faults import fault
from ..pipelines.pipeline_files import Specification
from ..wire.list_options import ListOptions, Position
from .apart import Apart
from .experiments import ExperimentTable
from .list_queries import PageLimit
from .pipeline_specs import SpecificationTable
from .pipelines import PipelineTable
from .recurring_runs import RecurringRunTable
from .runs import RunTable
from .schema import opened
from .searches import Searches

# Up to this size in bytes, reading or writing a specification is faster than using a thread.
LARGE = 256 << 10

_BRING_IN_SECONDS = 1.0

log = logging.getLogger(__name__)

T = TypeVar("T")


class Tables:
    """The parts of a database, one for each kind of object, on one connection, for one thread."""

    def __init__(self, db: sqlite3.Connection):
        self.specifications = specifications = SpecificationTable(db)
        self.experiments = ExperimentTable(db)
        self.pipelines = PipelineTable(db, specifications)
        self.runs = RunTable(db, specifications)
        self.recurring_runs = RecurringRunTable(db, specifications, self.runs)


class Database(Tables):
    """The experiments, pipelines and runs of all namespaces. For one thread."""

    def __init__(self, path: Path):
        try:
            self._db = opened(path)
        except (OSError, sqlite3.Error) as error:
            found = fault(error)
            cure = found.cure if found else "Move it away to start with an empty one"
            raise Misconfigured(
                f"The database {path} cannot be used: {found.why if found else error}.",
                cure=f"{cure}, or choose another folder with --data.",
            ) from error
        super().__init__(self._db)
        self._searches = Searches(self._db, path, Tables)
        self._apart = Apart(path, Tables)

    async def page(
        self,
        options: ListOptions,
        find: Callable[[Tables, PageLimit], tuple[list[T], int, Position | None]],
    ) -> tuple[list[T], int, Position | None]:
        """Return a page of a list, found by `find`, without blocking, however long it takes."""
        return await self._searches.found(find, may_be_long=options.may_be_long)

    async def read(self, digest: str, find: Callable[[Tables], T]) -> T:
        """Return the result of `find`, which reads the specification with this digest."""
        if (self.specifications.length(digest) or 0) < LARGE:
            return find(self)
        return await self._apart.done(find)

    async def run_request(self, run_id: str) -> RunRequest:
        """Return the request to execute a run. Raises KeyError if it no longer exists."""
        digest = self.runs.digest(run_id)
        return await self.read(digest, lambda tables: tables.runs.job(run_id))

    async def default_root(self, digest: str) -> str:
        """The pipeline root of a specification; empty if it has none."""
        return await self.read(digest, lambda tables: tables.specifications.default_root(digest))

    async def change(self, specification: Specification | None, make: Callable[[Tables], T]) -> T:
        """Make a change and store its specification in one transaction."""
        large = specification is not None and specification.length >= LARGE
        if large and specification and self.specifications.length(specification.digest) is None:
            return await self._apart.done(make)
        return make(self)

    async def keep_log_short(self) -> None:
        """Copy the write-ahead log into the database's file regularly, until it is cancelled.

        This happens in a thread: for a large specification it takes as long as writing it, and
        otherwise the next change, however small, would have to wait for it.
        """
        known, whole = self._changes(), True
        while True:
            await asyncio.sleep(_BRING_IN_SECONDS)
            if whole and self._changes() == known:
                continue
            known = self._changes()
            try:
                whole = await self._apart.bring_in()
            except sqlite3.Error as error:  # the disk may be full at the moment
                log.warning(
                    "The database's write-ahead log cannot be copied into its file: %s", error
                )
                whole = False

    def _changes(self) -> int:
        return self._db.total_changes + self._apart.changes

    def close(self) -> None:
        self._searches.close()
        self._apart.close()
        self._db.close()


def new_id() -> str:
    """A UUID (version 7) that sorts after earlier ones, to keep the order of equal times."""
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") >> 2
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random))
