"""The tasks of runs in the database, with their inputs and outputs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from ...models import EPOCH, Artifact, ArtifactList, Task, TaskIO, TaskValues
from ..execution.run_request import moved
from .column_values import from_json, to_json

# The schema title of artifacts whose metadata are metrics of a run.
_METRICS = "system.Metrics"


class TaskTable:
    """All tasks, written in transactions of the caller."""

    def __init__(self, db: sqlite3.Connection):
        self._db = db

    def put(self, task: Task, inputs: TaskValues | None, outputs: TaskValues | None) -> None:
        kept = self.values(task.run_id, task.task_id) or (TaskValues(), TaskValues())
        inputs = kept[0] if inputs is None else self._numbered(task.run_id, inputs)
        if outputs is None:
            outputs = kept[1]
        else:
            outputs = self._numbered(task.run_id, outputs)
            self._put_metrics(task, outputs)
        task = msgspec.structs.replace(task, inputs=_ids(inputs), outputs=_ids(outputs))
        self._db.execute(
            "INSERT INTO tasks (run_id, task_id, task, inputs, outputs) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (run_id, task_id) DO UPDATE "
            "SET task = excluded.task, inputs = excluded.inputs, outputs = excluded.outputs",
            (task.run_id, task.task_id, to_json(task), to_json(inputs), to_json(outputs)),
        )

    def of(self, run_ids: Iterable[str]) -> dict[str, list[Task]]:
        """Tasks by run, in the order of insertion."""
        rows = self._db.execute(
            "SELECT run_id, task FROM tasks "
            "WHERE run_id IN (SELECT value FROM json_each(?)) ORDER BY rowid",
            (to_json([*run_ids]),),
        )
        tasks: dict[str, list[Task]] = {}
        for row in rows:
            tasks.setdefault(row["run_id"], []).append(from_json(row["task"], Task))
        return tasks

    def lengths(self, run_ids: Iterable[str]) -> list[int]:
        """Return the number of characters of the tasks of each run."""
        ids = [*run_ids]
        rows = self._db.execute(
            "SELECT run_id, sum(length(task)) FROM tasks "
            "WHERE run_id IN (SELECT value FROM json_each(?)) GROUP BY run_id",
            (to_json(ids),),
        )
        lengths: dict[str, int] = dict(rows.fetchall())
        return [lengths.get(run_id, 0) for run_id in ids]

    def values(self, run_id: str, task_id: str) -> tuple[TaskValues, TaskValues] | None:
        row = self._db.execute(
            "SELECT inputs, outputs FROM tasks WHERE run_id = ? AND task_id = ?", (run_id, task_id)
        ).fetchone()
        if row is None:
            return None
        return from_json(row["inputs"], TaskValues), from_json(row["outputs"], TaskValues)

    def all_values(self, run_id: str) -> dict[str, TaskIO]:
        rows = self._db.execute(
            "SELECT task_id, inputs, outputs FROM tasks WHERE run_id = ?", (run_id,)
        )
        return {
            row["task_id"]: TaskIO(
                inputs=from_json(row["inputs"], TaskValues),
                outputs=from_json(row["outputs"], TaskValues),
            )
            for row in rows
        }

    def outputs_of_succeeded(self, run_id: str) -> dict[str, TaskValues]:
        rows = self._db.execute(
            "SELECT task_id, outputs FROM tasks WHERE run_id = ? AND task ->> 'state' = ?",
            (run_id, "SUCCEEDED"),
        )
        return {row["task_id"]: from_json(row["outputs"], TaskValues) for row in rows}

    def retry(self, run_id: str) -> None:
        """Set tasks that did not succeed back to PENDING."""
        for task in self.of([run_id]).get(run_id, []):
            if task.state != "SUCCEEDED":
                again = msgspec.structs.replace(
                    moved(task, "PENDING"), start_time=EPOCH, end_time=EPOCH
                )
                self.put(again, TaskValues(), TaskValues())

    def _numbered(self, run_id: str, values: TaskValues) -> TaskValues:
        artifacts = {
            name: [self._with_id(run_id, artifact) for artifact in listed]
            for name, listed in values.artifacts.items()
        }
        return msgspec.structs.replace(values, artifacts=artifacts)

    def _with_id(self, run_id: str, artifact: Artifact) -> Artifact:
        """Return the id of an artifact; in one run, each URI is one artifact."""
        self._db.execute(
            "INSERT INTO artifacts (run_id, uri) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (run_id, artifact.uri),
        )
        (number,) = self._db.execute(
            "SELECT artifact_id FROM artifacts WHERE run_id = ? AND uri = ?",
            (run_id, artifact.uri),
        ).fetchone()
        return msgspec.structs.replace(artifact, artifact_id=str(number))

    def _put_metrics(self, task: Task, outputs: TaskValues) -> None:
        for artifact in (each for listed in outputs.artifacts.values() for each in listed):
            if artifact.type != _METRICS:
                continue
            for name, value in artifact.metadata.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    self._db.execute(
                        "INSERT OR REPLACE INTO run_metrics "
                        "(run_id, node_id, name, number_value, format) VALUES (?, ?, ?, ?, 'RAW')",
                        (task.run_id, task.task_id, name, value),
                    )


def _ids(values: TaskValues) -> dict[str, ArtifactList]:
    return {
        name: ArtifactList(artifact_ids=[artifact.artifact_id for artifact in listed])
        for name, listed in values.artifacts.items()
    }
