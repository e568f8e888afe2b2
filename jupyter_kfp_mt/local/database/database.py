"""The database as a whole: opened and closed, with one part for each kind of thing in it."""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from pathlib import Path

from ...errors import Misconfigured
from .experiments import ExperimentTable
from .pipelines import PipelineTable
from .recurring_runs import RecurringRunTable
from .runs import RunTable
from .schema import opened
from .specifications import Specifications


class Database:
    """The experiments, pipelines and runs of all namespaces. For one thread."""

    def __init__(self, path: Path):
        try:
            self._db = opened(path)
        except sqlite3.Error as error:
            raise Misconfigured(
                f"The database {path} cannot be used: {error}.",
                cure="Move it away to start with an empty one, or choose another folder with "
                "--data.",
            ) from error
        specifications = Specifications(self._db)
        self.experiments = ExperimentTable(self._db)
        self.pipelines = PipelineTable(self._db, specifications)
        self.runs = RunTable(self._db, specifications)
        self.recurring_runs = RecurringRunTable(self._db, specifications, self.runs)

    def close(self) -> None:
        self._db.close()


def new_id() -> str:
    """A UUID (version 7) that sorts after those made before it, so that equal times keep order."""
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") >> 2
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random))
