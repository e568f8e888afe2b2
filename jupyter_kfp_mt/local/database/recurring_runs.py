"""The recurring runs in the database; also the store of the controller that fires them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ...models import PipelineVersionReference, RecurringRun, RuntimeConfig, Status, Trigger
from ..pipelines.pipeline_files import Specification
from ..schedules.start_due_runs import Schedule
from ..wire.api_errors import INTERNAL
from ..wire.list_options import ListOptions, Position
from .column_values import from_json, from_seconds, to_json, to_seconds
from .list_queries import PAGE_LIMIT, PageLimit, page, shortened
from .pipeline_specs import SpecificationTable
from .row_types import Origin, PlacedRun
from .runs import RunTable, reference

_SCHEDULES = """
    SELECT *, (
        SELECT count(*) FROM runs
        WHERE runs.recurring_run_id = recurring_runs.recurring_run_id
        AND runs.recurring_run_id <> '' AND finished_at = 0
    ) AS active
    FROM recurring_runs"""


class RecurringRunTable:
    """All recurring runs, enabled or not."""

    def __init__(self, db: sqlite3.Connection, specifications: SpecificationTable, runs: RunTable):
        self._db = db
        self._specifications = specifications
        self._runs = runs

    def add(self, recurring: RecurringRun, origin: Origin) -> None:
        version = recurring.pipeline_version_reference or PipelineVersionReference()
        with self._db:
            self._db.execute(
                "INSERT INTO recurring_runs (recurring_run_id, experiment_id, namespace, "
                "display_name, description, service_account, created_at, updated_at, enabled, "
                "max_concurrency, no_catchup, trigger, pipeline_id, pipeline_version_id, digest, "
                "pipeline_name, texts, runtime_config) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    recurring.recurring_run_id,
                    recurring.experiment_id,
                    recurring.namespace,
                    recurring.display_name,
                    recurring.description,
                    recurring.service_account,
                    to_seconds(recurring.created_at),
                    to_seconds(recurring.updated_at),
                    recurring.enabled,
                    int(recurring.max_concurrency),
                    recurring.no_catchup,
                    to_json(recurring.trigger or Trigger()),
                    version.pipeline_id,
                    version.pipeline_version_id,
                    self._specifications.keep(origin.specification),
                    origin.pipeline_name,
                    origin.texts,
                    to_json(recurring.runtime_config or RuntimeConfig()),
                ),
            )

    def one(self, recurring_run_id: str) -> RecurringRun | None:
        row = self._row(recurring_run_id)
        return self._recurring_runs([row])[0] if row else None

    def place(self, recurring_run_id: str) -> tuple[str, str] | None:
        """Its namespace and its name there."""
        row = self._row(recurring_run_id)
        return (row["namespace"], row["display_name"]) if row else None

    def digest(self, recurring_run_id: str) -> str:
        """The digest of its specification; empty if it has none."""
        row = self._row(recurring_run_id)
        return (row["digest"] or "") if row else ""

    def origin(self, recurring_run_id: str) -> Origin:
        row = self._row(recurring_run_id)
        return self._specifications.origin(row) if row else Origin()

    def page(
        self,
        scope: Mapping[str, str],
        options: ListOptions,
        limit: PageLimit = PAGE_LIMIT,
        *,
        manifests: bool = False,
    ) -> tuple[list[RecurringRun], int, Position | None]:
        """The page of rows with the values in `scope`. `manifests`: the response has manifests."""
        found = page(self._db, scope, options, limit)
        digests = [
            row["digest"] if manifests or not row["pipeline_id"] else None for row in found.rows
        ]
        lengths = self._specifications.lengths(digests, manifests=manifests)
        found = shortened(found, options.noun, limit, lengths)
        return self._recurring_runs(found.rows), found.total_size, found.next

    def enable(self, recurring_run_id: str, enabled: bool) -> None:
        with self._db:
            self._db.execute(
                "UPDATE recurring_runs SET enabled = ?, updated_at = ? WHERE recurring_run_id = ?",
                (enabled, to_seconds(datetime.now(timezone.utc)), recurring_run_id),
            )

    def delete(self, recurring_run_id: str) -> None:
        """Delete only the recurring run: its runs stay."""
        with self._db:
            query = "DELETE FROM recurring_runs WHERE recurring_run_id = ?"
            self._db.execute(query, (recurring_run_id,))

    def fired(self, recurring_run_id: str) -> int:
        """Return how often it has fired."""
        (times,) = self._db.execute(
            "SELECT fired FROM recurring_runs WHERE recurring_run_id = ?", (recurring_run_id,)
        ).fetchone()
        return int(times)

    def fire(self, placed: PlacedRun, origin: Origin, scheduled_at: datetime) -> None:
        """Add the run and record the time, in one transaction."""
        with self._db:
            self._runs.insert(placed, origin)
            self._db.execute(
                "UPDATE recurring_runs SET last_triggered = ?, fired = fired + 1, error = '' "
                "WHERE recurring_run_id = ?",
                (to_seconds(scheduled_at), placed.run.recurring_run_id),
            )

    def set_error(self, recurring_run_id: str, text: str) -> None:
        """Record the reason why it could not fire."""
        status = to_json(Status(code=INTERNAL, message=text)) if text else ""
        with self._db:
            query = "UPDATE recurring_runs SET error = ? WHERE recurring_run_id = ?"
            self._db.execute(query, (status, recurring_run_id))

    # For the controller

    def enabled_schedules(self) -> list[Schedule]:
        rows = self._db.execute(f"{_SCHEDULES} WHERE enabled")
        return [_schedule(row) for row in rows]

    def schedule(self, recurring_run_id: str) -> Schedule | None:
        """The current state; None if it is disabled or deleted."""
        row = self._db.execute(
            f"{_SCHEDULES} WHERE enabled AND recurring_run_id = ?", (recurring_run_id,)
        ).fetchone()
        return _schedule(row) if row else None

    def _row(self, recurring_run_id: str) -> Any:
        query = "SELECT * FROM recurring_runs WHERE recurring_run_id = ?"
        return self._db.execute(query, (recurring_run_id,)).fetchone()

    def _recurring_runs(self, rows: list[sqlite3.Row]) -> list[RecurringRun]:
        inline = {row["digest"] for row in rows if row["digest"] and not row["pipeline_id"]}
        specifications = self._specifications.by_digest(inline) if inline else {}
        return [_recurring_run(row, specifications.get(row["digest"])) for row in rows]


def _schedule(row: sqlite3.Row) -> Schedule:
    last = row["last_triggered"]
    return Schedule(
        recurring_run_id=row["recurring_run_id"],
        trigger=from_json(row["trigger"], Trigger),
        created_at=from_seconds(row["created_at"]),
        last_triggered=None if last is None else from_seconds(last),
        no_catchup=bool(row["no_catchup"]),
        max_concurrency=row["max_concurrency"],
        active=row["active"],
    )


def _recurring_run(row: sqlite3.Row, inline: Specification | None) -> RecurringRun:
    config = from_json(row["runtime_config"], RuntimeConfig)
    trigger = from_json(row["trigger"], Trigger)
    return RecurringRun(
        recurring_run_id=row["recurring_run_id"],
        display_name=row["display_name"],
        description=row["description"],
        pipeline_spec=inline.to_wire() if inline and not row["pipeline_id"] else None,
        pipeline_version_reference=reference(row),
        runtime_config=config if config.parameters or config.pipeline_root else None,
        service_account=row["service_account"],
        max_concurrency=str(row["max_concurrency"]),
        trigger=trigger if trigger != Trigger() else None,
        mode="ENABLE" if row["enabled"] else "DISABLE",
        created_at=from_seconds(row["created_at"]),
        updated_at=from_seconds(row["updated_at"]),
        status="ENABLED" if row["enabled"] else "DISABLED",
        error=from_json(row["error"], Status) if row["error"] else None,
        no_catchup=bool(row["no_catchup"]),
        namespace=row["namespace"],
        experiment_id=row["experiment_id"],
    )
