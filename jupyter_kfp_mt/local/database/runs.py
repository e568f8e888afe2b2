"""The runs in the database; also the store of the run queue."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import msgspec

from ...models import (
    FINISHED,
    PipelineVersionReference,
    Run,
    RunDetails,
    RuntimeConfig,
    StateChange,
    Status,
    Task,
    TaskIO,
    TaskValues,
)
from ..execution.run_request import RunRequest
from ..pipelines.macros import expanded
from ..pipelines.pipeline_files import Specification
from ..wire.api_errors import INTERNAL
from ..wire.list_options import ListOptions, Position
from .column_values import from_json, from_seconds, to_json, to_seconds
from .list_queries import PAGE_LIMIT, PageLimit, page, shortened
from .pipeline_specs import SpecificationTable
from .row_types import Metric, Origin, PlacedRun
from .tasks import TaskTable

_STOPPABLE = "('PENDING', 'RUNNING', 'PAUSED', 'RUNTIME_STATE_UNSPECIFIED')"


class RunTable:
    """All runs, with their tasks and metrics."""

    def __init__(self, db: sqlite3.Connection, specifications: SpecificationTable):
        self._db = db
        self._specifications = specifications
        self._tasks = TaskTable(db)

    def add(self, placed: PlacedRun, origin: Origin) -> None:
        """Insert one. Raises sqlite3.IntegrityError if its id is taken."""
        with self._db:
            self.insert(placed, origin)

    def insert(self, placed: PlacedRun, origin: Origin) -> None:
        """Insert one in the caller's transaction."""
        run = placed.run
        reference = run.pipeline_version_reference or PipelineVersionReference()
        self._db.execute(
            "INSERT INTO runs (run_id, experiment_id, namespace, workflow_name, display_name, "
            "description, service_account, created_at, scheduled_at, state, state_history, "
            "recurring_run_id, pipeline_id, pipeline_version_id, digest, pipeline_name, texts, "
            "runtime_config) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                run.run_id,
                run.experiment_id,
                placed.namespace,
                placed.workflow_name,
                run.display_name,
                run.description,
                run.service_account,
                to_seconds(run.created_at),
                to_seconds(run.scheduled_at),
                run.state,
                to_json(run.state_history),
                run.recurring_run_id,
                reference.pipeline_id,
                reference.pipeline_version_id,
                self._specifications.keep(origin.specification),
                origin.pipeline_name,
                origin.texts,
                to_json(run.runtime_config or RuntimeConfig()),
            ),
        )
        self._db.execute(
            "UPDATE experiments SET last_run_created_at = ? WHERE experiment_id = ?",
            (to_seconds(run.created_at), run.experiment_id),
        )

    def place(self, run_id: str) -> tuple[str, str] | None:
        """The namespace of a run and the name of its workflow there."""
        row = self._one("SELECT namespace, workflow_name FROM runs WHERE run_id = ?", run_id)
        return (row["namespace"], row["workflow_name"]) if row else None

    def experiment_and_state(self, run_id: str) -> tuple[str, str] | None:
        """The id of a run's experiment, and its state, without what may be megabytes long."""
        row = self._one("SELECT experiment_id, state FROM runs WHERE run_id = ?", run_id)
        return (row["experiment_id"], row["state"]) if row else None

    def recurring_run_id(self, run_id: str) -> str:
        """The id of its recurring run, if any."""
        row = self._one("SELECT recurring_run_id FROM runs WHERE run_id = ?", run_id)
        return str(row["recurring_run_id"]) if row else ""

    def one(self, run_id: str) -> PlacedRun | None:
        row = self._one("SELECT * FROM runs WHERE run_id = ?", run_id)
        return self._placed([row])[0] if row else None

    def digest(self, run_id: str) -> str:
        """The digest of its specification; empty if there is no such run."""
        row = self._one("SELECT digest FROM runs WHERE run_id = ?", run_id)
        return str(row["digest"]) if row else ""

    def origin(self, run_id: str) -> Origin:
        row = self._one("SELECT * FROM runs WHERE run_id = ?", run_id)
        return self._specifications.origin(row) if row else Origin()

    def of_recurring_run(self, recurring_run_id: str, display_name: str) -> PlacedRun | None:
        """A recurring run's newest run of this name."""
        row = self._one(
            "SELECT * FROM runs WHERE recurring_run_id = ? AND recurring_run_id <> '' "
            "AND display_name = ? ORDER BY created_at DESC, run_id DESC LIMIT 1",
            recurring_run_id,
            display_name,
        )
        return self._placed([row])[0] if row else None

    def page(
        self,
        scope: Mapping[str, str],
        options: ListOptions,
        limit: PageLimit = PAGE_LIMIT,
        *,
        manifests: bool = False,
    ) -> tuple[list[PlacedRun], int, Position | None]:
        """The page of runs with the values in `scope`. `manifests`: the response has manifests."""
        found = page(self._db, scope, options, limit)
        digests = [
            row["digest"] if manifests or not row["pipeline_version_id"] else None
            for row in found.rows
        ]
        tasks = self._tasks.lengths(row["run_id"] for row in found.rows)
        lengths = self._specifications.lengths(digests, manifests=manifests)
        found = shortened(found, options.noun, limit, map(sum, zip(tasks, lengths, strict=True)))
        return self._placed(found.rows), found.total_size, found.next

    def set_storage_state(self, run_id: str, state: str) -> None:
        with self._db:
            query = "UPDATE runs SET storage_state = ? WHERE run_id = ?"
            self._db.execute(query, (state, run_id))

    def cancel(self, run_id: str) -> bool:
        """Change the state; return whether the old one allowed that."""
        with self._db:
            changed = self._db.execute(
                f"UPDATE runs SET state = 'CANCELING' WHERE run_id = ? AND state IN {_STOPPABLE}",
                (run_id,),
            )
        return changed.rowcount == 1

    def retry(self, run_id: str) -> None:
        """Set a run, and its tasks that did not succeed, back to PENDING."""
        with self._db:
            self._db.execute(
                "UPDATE runs SET state = 'PENDING', finished_at = 0, error = '' WHERE run_id = ?",
                (run_id,),
            )
            self._note_state(run_id, "PENDING", None)
            self._tasks.retry(run_id)

    def delete(self, run_id: str) -> None:
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO deleted_runs "
                "SELECT run_id, namespace FROM runs WHERE run_id = ?",
                (run_id,),
            )
            for table in ("run_metrics", "artifacts", "tasks", "runs"):
                self._db.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))

    def add_metrics(self, run_id: str, metrics: Iterable[Metric]) -> list[bool]:
        """Add all in one transaction; return for each whether its node had none of its name."""
        with self._db:
            return [self._add_metric(run_id, metric) for metric in metrics]

    # For the run queue

    def unfinished_runs(self) -> list[tuple[str, str]]:
        """The run id and state of each unfinished run, oldest first."""
        rows = self._db.execute(
            "SELECT run_id, state FROM runs WHERE finished_at = 0 ORDER BY created_at, run_id"
        )
        return [(row["run_id"], row["state"]) for row in rows]

    def deleted_runs(self) -> list[tuple[str, str]]:
        """The run id and namespace of each deleted run whose folder still exists."""
        rows = self._db.execute("SELECT run_id, namespace FROM deleted_runs")
        return [(row["run_id"], row["namespace"]) for row in rows]

    def folder_removed(self, run_id: str) -> None:
        with self._db:
            self._db.execute("DELETE FROM deleted_runs WHERE run_id = ?", (run_id,))

    def namespace(self, run_id: str) -> str:
        namespace, _ = self.place(run_id) or ("", "")
        return namespace

    def job(self, run_id: str) -> RunRequest:
        """Return the request to execute a run."""
        row = self._one("SELECT * FROM runs WHERE run_id = ?", run_id)
        if row is None:
            raise KeyError(run_id)
        compiled = self._specifications.one(row["digest"])
        return RunRequest(
            run_id=run_id,
            namespace=row["namespace"],
            service_account=row["service_account"],
            pipeline_spec=msgspec.Raw(compiled.pipeline),
            platform_spec=msgspec.Raw(compiled.platform),
            parameters=expanded(
                from_json(row["runtime_config"], RuntimeConfig).parameters,
                run_id,
                from_seconds(row["scheduled_at"]) if row["recurring_run_id"] else None,
                from_seconds(row["created_at"]),
            ),
            name=row["workflow_name"],
            display_name=row["display_name"],
            created_at=from_seconds(row["created_at"]),
            scheduled_at=from_seconds(row["scheduled_at"]),
        )

    def set_run_state(self, run_id: str, state: str, error: str = "") -> None:
        status = Status(code=INTERNAL, message=error) if error else None
        with self._db:
            now = self._note_state(run_id, state, status)
            self._db.execute(
                "UPDATE runs SET state = ?, error = ?, finished_at = ? WHERE run_id = ?",
                (
                    state,
                    to_json(status) if status else "",
                    to_seconds(now) if state in FINISHED else 0,
                    run_id,
                ),
            )

    def put_task(
        self, task: Task, inputs: TaskValues | None = None, outputs: TaskValues | None = None
    ) -> None:
        """Insert or update a task; values that are None stay unchanged."""
        if self.place(task.run_id) is None:
            return  # it was deleted during its execution
        with self._db:
            self._tasks.put(task, inputs, outputs)

    def tasks(self, run_id: str) -> list[Task]:
        """The tasks of a run, in the order of insertion."""
        return self._tasks.of([run_id]).get(run_id, [])

    def succeeded(self, run_id: str) -> dict[str, TaskValues]:
        """Return the outputs of the succeeded tasks, by task id."""
        return self._tasks.outputs_of_succeeded(run_id)

    def values(self, run_id: str, task_id: str) -> tuple[TaskValues, TaskValues] | None:
        """Return the inputs and outputs of a task."""
        return self._tasks.values(run_id, task_id)

    def all_values(self, run_id: str) -> dict[str, TaskIO]:
        """Return the inputs and outputs of all tasks of a run."""
        return self._tasks.all_values(run_id)

    # Implementation

    def _one(self, query: str, *values: object) -> Any:
        return self._db.execute(query, values).fetchone()

    def _note_state(self, run_id: str, state: str, error: Status | None) -> datetime:
        """Add a new state to the run's history. Returns the time."""
        now = datetime.now(timezone.utc).replace(microsecond=0)
        row = self._one("SELECT state_history FROM runs WHERE run_id = ?", run_id)
        # Without a row: it was deleted during its execution.
        history = from_json(row["state_history"], list[StateChange]) if row else []
        if not history or history[-1].state != state:
            history.append(StateChange(update_time=now, state=state, error=error))
            self._db.execute(
                "UPDATE runs SET state_history = ? WHERE run_id = ?", (to_json(history), run_id)
            )
        return now

    def _add_metric(self, run_id: str, metric: Metric) -> bool:
        added = self._db.execute(
            "INSERT INTO run_metrics (run_id, node_id, name, number_value, format) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (run_id, metric.node_id, metric.name, metric.number_value, metric.format),
        )
        return added.rowcount == 1

    def _placed(self, rows: Sequence[sqlite3.Row]) -> list[PlacedRun]:
        ids = [row["run_id"] for row in rows]
        tasks, metrics = self._tasks.of(ids), self._metrics(ids)
        inline = {row["digest"] for row in rows if not row["pipeline_version_id"]}
        specifications = self._specifications.by_digest(inline) if inline else {}
        return [
            PlacedRun(
                _run(row, tasks.get(row["run_id"], []), specifications.get(row["digest"])),
                row["namespace"],
                row["workflow_name"],
                metrics.get(row["run_id"], []),
            )
            for row in rows
        ]

    def _metrics(self, run_ids: Iterable[str]) -> dict[str, list[Metric]]:
        metrics: dict[str, list[Metric]] = {}
        rows = self._db.execute(
            "SELECT * FROM run_metrics WHERE run_id IN (SELECT value FROM json_each(?)) "
            "ORDER BY node_id COLLATE NOCASE, name COLLATE NOCASE",
            (to_json([*run_ids]),),
        )
        for row in rows:
            metric = Metric(row["name"], row["node_id"], row["number_value"], row["format"])
            metrics.setdefault(row["run_id"], []).append(metric)
        return metrics


def _run(row: sqlite3.Row, tasks: list[Task], inline: Specification | None) -> Run:
    config = from_json(row["runtime_config"], RuntimeConfig)
    return Run(
        experiment_id=row["experiment_id"],
        run_id=row["run_id"],
        display_name=row["display_name"],
        storage_state=row["storage_state"],
        description=row["description"],
        pipeline_version_reference=reference(row),
        pipeline_spec=inline.to_wire() if inline and not row["pipeline_version_id"] else None,
        runtime_config=config if config.parameters or config.pipeline_root else None,
        service_account=row["service_account"],
        created_at=from_seconds(row["created_at"]),
        scheduled_at=from_seconds(row["scheduled_at"]),
        finished_at=from_seconds(row["finished_at"]),
        state=row["state"],
        error=from_json(row["error"], Status) if row["error"] else None,
        run_details=RunDetails(task_details=tasks) if tasks else None,
        recurring_run_id=row["recurring_run_id"],
        state_history=from_json(row["state_history"], list[StateChange]),
    )


def reference(row: sqlite3.Row) -> PipelineVersionReference | None:
    if not (row["pipeline_id"] or row["pipeline_version_id"]):
        return None
    return PipelineVersionReference(
        pipeline_id=row["pipeline_id"], pipeline_version_id=row["pipeline_version_id"]
    )
