"""The experiments in the database."""

from __future__ import annotations

import sqlite3

from ...models import Experiment
from ..wire.list_options import ListOptions, Position
from .collation import refuse_taken
from .column_values import from_seconds, to_seconds
from .list_queries import PAGE_LIMIT, PageLimit, page


class ExperimentTable:
    """All experiments; names are unique in a namespace, ignoring case."""

    def __init__(self, db: sqlite3.Connection):
        self._db = db

    def add(self, experiment: Experiment) -> None:
        """Insert one. Raises sqlite3.IntegrityError if its namespace has one of this name."""
        owner = ("namespace", experiment.namespace)
        with self._db:
            refuse_taken(self._db, "experiments", owner, experiment.display_name)
            self._db.execute(
                "INSERT INTO experiments "
                "(experiment_id, namespace, display_name, description, created_at) "
                "VALUES (?, ?, ?, ?, ?)",
                (
                    experiment.experiment_id,
                    experiment.namespace,
                    experiment.display_name,
                    experiment.description,
                    to_seconds(experiment.created_at),
                ),
            )

    def one(self, experiment_id: str) -> Experiment | None:
        query = "SELECT * FROM experiments WHERE experiment_id = ?"
        row = self._db.execute(query, (experiment_id,)).fetchone()
        return _experiment(row) if row else None

    def page(
        self, namespace: str, options: ListOptions, limit: PageLimit = PAGE_LIMIT
    ) -> tuple[list[Experiment], int, Position | None]:
        found = page(self._db, {"namespace": namespace}, options, limit)
        return [_experiment(row) for row in found.rows], found.total_size, found.next

    def archive(self, experiment_id: str) -> list[str]:
        """Archive one with its runs. Return the ids of its recurring runs, which are disabled."""
        with self._db:
            self._set_storage_state(experiment_id, "ARCHIVED")
            self._db.execute(
                "UPDATE runs SET storage_state = 'ARCHIVED' WHERE experiment_id = ?",
                (experiment_id,),
            )
            rows = self._db.execute(
                "UPDATE recurring_runs SET enabled = 0 WHERE experiment_id = ? AND enabled "
                "RETURNING recurring_run_id",
                (experiment_id,),
            ).fetchall()
        return [row["recurring_run_id"] for row in rows]

    def unarchive(self, experiment_id: str) -> None:
        """Restore only the experiment."""
        with self._db:
            self._set_storage_state(experiment_id, "AVAILABLE")

    def delete(self, experiment_id: str) -> None:
        """Delete only the experiment: its runs and recurring runs stay."""
        with self._db:
            query = "DELETE FROM experiments WHERE experiment_id = ?"
            self._db.execute(query, (experiment_id,))

    def _set_storage_state(self, experiment_id: str, state: str) -> None:
        query = "UPDATE experiments SET storage_state = ? WHERE experiment_id = ?"
        self._db.execute(query, (state, experiment_id))


def _experiment(row: sqlite3.Row) -> Experiment:
    return Experiment(
        experiment_id=row["experiment_id"],
        display_name=row["display_name"],
        description=row["description"],
        created_at=from_seconds(row["created_at"]),
        namespace=row["namespace"],
        storage_state=row["storage_state"],
        last_run_created_at=from_seconds(row["last_run_created_at"]),
    )
