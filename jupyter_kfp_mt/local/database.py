"""Every SQL statement of the local KFP is in this file."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..errors import Misconfigured
from ..models import (
    FINISHED,
    Experiment,
    Pipeline,
    PipelineVersion,
    PipelineVersionReference,
    Run,
    RunDetails,
    RuntimeConfig,
    StateChange,
    Status,
    Task,
)
from .api_errors import INTERNAL
from .execution.job import Job
from .listing import (
    EXPERIMENTS,
    PIPELINE_VERSIONS,
    PIPELINES,
    RUNS,
    ListOptions,
    Noun,
    Position,
    Predicate,
)
from .pipeline_files import Specification

# Statement n takes the schema from version n to n + 1. Append; never edit.
MIGRATIONS = [
    """
    -- NOCASE as in the API server's database: names that differ only in case are the same.
    CREATE TABLE experiments (
        experiment_id TEXT PRIMARY KEY,
        namespace TEXT NOT NULL,
        display_name TEXT NOT NULL COLLATE NOCASE,
        description TEXT NOT NULL COLLATE NOCASE,
        created_at INTEGER NOT NULL,
        last_run_created_at INTEGER NOT NULL DEFAULT 0,
        storage_state TEXT NOT NULL COLLATE NOCASE DEFAULT 'AVAILABLE',
        UNIQUE (namespace, display_name)
    );
    CREATE INDEX experiments_by_age ON experiments (namespace, created_at, experiment_id);

    CREATE TABLE pipelines (
        pipeline_id TEXT PRIMARY KEY,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL COLLATE NOCASE,
        display_name TEXT NOT NULL COLLATE NOCASE,
        description TEXT NOT NULL COLLATE NOCASE,
        created_at INTEGER NOT NULL,
        UNIQUE (namespace, name)
    );
    CREATE INDEX pipelines_by_age ON pipelines (namespace, created_at, pipeline_id);

    -- Each specification once, however many versions and runs have it.
    CREATE TABLE specifications (
        digest TEXT PRIMARY KEY,
        pipeline_spec TEXT NOT NULL COLLATE NOCASE,
        platform_spec TEXT NOT NULL
    );

    CREATE TABLE pipeline_versions (
        pipeline_version_id TEXT PRIMARY KEY,
        pipeline_id TEXT NOT NULL REFERENCES pipelines,
        name TEXT NOT NULL COLLATE NOCASE,
        display_name TEXT NOT NULL COLLATE NOCASE,
        description TEXT NOT NULL COLLATE NOCASE,
        code_source_url TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        status TEXT NOT NULL COLLATE NOCASE DEFAULT 'READY',
        digest TEXT NOT NULL REFERENCES specifications,
        UNIQUE (pipeline_id, name)
    );
    CREATE INDEX pipeline_versions_by_age
        ON pipeline_versions (pipeline_id, created_at, pipeline_version_id);

    CREATE TABLE runs (
        run_id TEXT PRIMARY KEY,
        experiment_id TEXT NOT NULL,
        namespace TEXT NOT NULL,
        workflow_name TEXT NOT NULL,
        display_name TEXT NOT NULL COLLATE NOCASE,
        description TEXT NOT NULL COLLATE NOCASE,
        service_account TEXT NOT NULL,
        storage_state TEXT NOT NULL COLLATE NOCASE DEFAULT 'AVAILABLE',
        created_at INTEGER NOT NULL,
        scheduled_at INTEGER NOT NULL,
        finished_at INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL COLLATE NOCASE,
        state_history TEXT NOT NULL COLLATE NOCASE,
        error TEXT NOT NULL DEFAULT '',
        recurring_run_id TEXT NOT NULL,
        pipeline_id TEXT NOT NULL,
        pipeline_version_id TEXT NOT NULL,
        digest TEXT NOT NULL REFERENCES specifications,
        runtime_config TEXT NOT NULL,
        -- What the API can filter by, and keeps elsewhere or not at all.
        runtime_details TEXT GENERATED ALWAYS AS ('') VIRTUAL,
        status TEXT COLLATE NOCASE GENERATED ALWAYS AS (
            CASE state WHEN 'CANCELING' THEN 'Terminating'
            ELSE substr(state, 1, 1) || lower(substr(state, 2)) END
        ) VIRTUAL
    );
    CREATE INDEX runs_by_age ON runs (namespace, created_at, run_id);
    CREATE INDEX runs_of_experiment ON runs (experiment_id, created_at, run_id);
    CREATE INDEX unfinished_runs ON runs (created_at, run_id) WHERE finished_at = 0;

    CREATE TABLE tasks (
        run_id TEXT NOT NULL,
        task_id TEXT NOT NULL,
        task TEXT NOT NULL,
        PRIMARY KEY (run_id, task_id)
    );
    """,
]

_FROM = {
    EXPERIMENTS.name: "experiments",
    PIPELINES.name: "pipelines",
    PIPELINE_VERSIONS.name: "pipeline_versions JOIN specifications USING (digest)",
    RUNS.name: "runs",
}

_CONDITIONS = {
    "EQUALS": "{} = ?",
    "NOT_EQUALS": "{} <> ?",
    "GREATER_THAN": "{} > ?",
    "GREATER_THAN_EQUALS": "{} >= ?",
    "LESS_THAN": "{} < ?",
    "LESS_THAN_EQUALS": "{} <= ?",
    "IN": "{} IN (SELECT value FROM json_each(?))",
    "IS_SUBSTRING": "{} LIKE ?",
}

T = TypeVar("T")


class Page(msgspec.Struct, frozen=True):
    """The rows of one page, how many rows there are on all pages, and where the next one starts."""

    rows: list[sqlite3.Row]
    total_size: int
    next: Position | None


class Database:
    """The experiments, pipelines and runs of all namespaces. For one thread."""

    def __init__(self, path: Path):
        try:
            self._db = _opened(path)
        except sqlite3.Error as error:
            raise Misconfigured(
                f"The database {path} cannot be used: {error}.",
                cure="Move it away to start with an empty one, or choose another folder with "
                "--data.",
            ) from error

    def close(self) -> None:
        self._db.close()

    # Experiments

    def add_experiment(self, experiment: Experiment) -> None:
        """Raises sqlite3.IntegrityError if its namespace has one of this name."""
        with self._db:
            self._db.execute(
                "INSERT INTO experiments "
                "(experiment_id, namespace, display_name, description, created_at) "
                "VALUES (?, ?, ?, ?, ?)",
                (
                    experiment.experiment_id,
                    experiment.namespace,
                    experiment.display_name,
                    experiment.description,
                    _seconds(experiment.created_at),
                ),
            )

    def experiment(self, experiment_id: str) -> Experiment | None:
        row = self._one("SELECT * FROM experiments WHERE experiment_id = ?", experiment_id)
        return _experiment(row) if row else None

    def experiments(
        self, namespace: str, options: ListOptions
    ) -> tuple[list[Experiment], int, Position | None]:
        page = self._page({"namespace": namespace}, options)
        return [_experiment(row) for row in page.rows], page.total_size, page.next

    # Pipelines and their versions

    def add_pipeline(self, pipeline: Pipeline) -> None:
        """Raises sqlite3.IntegrityError if its namespace has one of this name."""
        with self._db:
            self._insert_pipeline(pipeline)

    def add_pipeline_with_version(
        self, pipeline: Pipeline, version: PipelineVersion, specification: Specification
    ) -> None:
        """Both or neither. Raises sqlite3.IntegrityError if the pipeline's name is taken."""
        with self._db:
            self._insert_pipeline(pipeline)
            self._insert_version(version, specification)

    def add_version(self, version: PipelineVersion, specification: Specification) -> None:
        """Raises sqlite3.IntegrityError if its pipeline has a version of this name."""
        with self._db:
            self._insert_version(version, specification)

    def pipeline(self, pipeline_id: str) -> Pipeline | None:
        row = self._one("SELECT * FROM pipelines WHERE pipeline_id = ?", pipeline_id)
        return _pipeline(row) if row else None

    def pipeline_named(self, namespace: str, name: str) -> Pipeline | None:
        row = self._one("SELECT * FROM pipelines WHERE namespace = ? AND name = ?", namespace, name)
        return _pipeline(row) if row else None

    def pipelines(
        self, namespace: str, options: ListOptions
    ) -> tuple[list[Pipeline], int, Position | None]:
        page = self._page({"namespace": namespace}, options)
        return [_pipeline(row) for row in page.rows], page.total_size, page.next

    def version(self, version_id: str) -> PipelineVersion | None:
        row = self._one(
            "SELECT * FROM pipeline_versions JOIN specifications USING (digest) "
            "WHERE pipeline_version_id = ?",
            version_id,
        )
        return _version(row) if row else None

    def latest_version(self, pipeline_id: str) -> PipelineVersion | None:
        row = self._one(
            "SELECT * FROM pipeline_versions JOIN specifications USING (digest) "
            "WHERE pipeline_id = ? ORDER BY created_at DESC, pipeline_version_id DESC LIMIT 1",
            pipeline_id,
        )
        return _version(row) if row else None

    def versions(
        self, pipeline_id: str, options: ListOptions
    ) -> tuple[list[PipelineVersion], int, Position | None]:
        page = self._page({"pipeline_id": pipeline_id}, options)
        return [_version(row) for row in page.rows], page.total_size, page.next

    def specification(self, version_id: str) -> Specification:
        row = self._one(
            "SELECT pipeline_spec, platform_spec FROM pipeline_versions "
            "JOIN specifications USING (digest) WHERE pipeline_version_id = ?",
            version_id,
        )
        return _specification(row)

    # Runs

    def add_run(
        self, run: Run, namespace: str, workflow_name: str, specification: Specification
    ) -> None:
        """Raises sqlite3.IntegrityError if there is one with its id."""
        reference = run.pipeline_version_reference or PipelineVersionReference()
        with self._db:
            self._db.execute(
                "INSERT INTO runs (run_id, experiment_id, namespace, workflow_name, display_name, "
                "description, service_account, created_at, scheduled_at, state, state_history, "
                "recurring_run_id, pipeline_id, pipeline_version_id, digest, runtime_config) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run.run_id,
                    run.experiment_id,
                    namespace,
                    workflow_name,
                    run.display_name,
                    run.description,
                    run.service_account,
                    _seconds(run.created_at),
                    _seconds(run.scheduled_at),
                    run.state,
                    _json(run.state_history),
                    run.recurring_run_id,
                    reference.pipeline_id,
                    reference.pipeline_version_id,
                    self._kept(specification),
                    _json(run.runtime_config or RuntimeConfig()),
                ),
            )
            self._db.execute(
                "UPDATE experiments SET last_run_created_at = ? WHERE experiment_id = ?",
                (_seconds(run.created_at), run.experiment_id),
            )

    def run_place(self, run_id: str) -> tuple[str, str] | None:
        """The namespace of a run and the name of its workflow there."""
        row = self._one("SELECT namespace, workflow_name FROM runs WHERE run_id = ?", run_id)
        return (row["namespace"], row["workflow_name"]) if row else None

    def run(self, run_id: str) -> Run | None:
        row = self._one("SELECT * FROM runs WHERE run_id = ?", run_id)
        return self._runs([row])[0] if row else None

    def runs(
        self, scope: Mapping[str, str], options: ListOptions
    ) -> tuple[list[Run], int, Position | None]:
        """The runs whose columns have the values in `scope`."""
        page = self._page(scope, options)
        return self._runs(page.rows), page.total_size, page.next

    def cancel_run(self, run_id: str) -> bool:
        """Whether it was in a state that can be left so."""
        with self._db:
            changed = self._db.execute(
                "UPDATE runs SET state = 'CANCELING' WHERE run_id = ? AND state IN "
                "('PENDING', 'RUNNING', 'PAUSED', 'RUNTIME_STATE_UNSPECIFIED')",
                (run_id,),
            )
        return changed.rowcount == 1

    # What the executor needs

    def unfinished_runs(self) -> list[tuple[str, str]]:
        """Each (run id, state), oldest first."""
        rows = self._db.execute(
            "SELECT run_id, state FROM runs WHERE finished_at = 0 ORDER BY created_at, run_id"
        )
        return [(row["run_id"], row["state"]) for row in rows]

    def job(self, run_id: str) -> Job:
        """What is to be done for a run."""
        row = self._one(
            "SELECT * FROM runs JOIN specifications USING (digest) WHERE run_id = ?", run_id
        )
        if row is None:
            raise KeyError(run_id)
        specification = _specification(row)
        return Job(
            run_id=run_id,
            namespace=row["namespace"],
            service_account=row["service_account"],
            pipeline_spec=specification.pipeline,
            platform_spec=specification.platform,
            parameters=_decoded(row["runtime_config"], RuntimeConfig).parameters,
        )

    def set_run_state(self, run_id: str, state: str, error: str = "") -> None:
        now = datetime.now(timezone.utc).replace(microsecond=0)
        status = Status(code=INTERNAL, message=error) if error else None
        with self._db:
            row = self._one("SELECT state_history FROM runs WHERE run_id = ?", run_id)
            if row is None:
                raise KeyError(run_id)
            history = _decoded(row["state_history"], list[StateChange])
            if not history or history[-1].state != state:
                history.append(StateChange(update_time=now, state=state, error=status))
            self._db.execute(
                "UPDATE runs SET state = ?, state_history = ?, error = ?, finished_at = ? "
                "WHERE run_id = ?",
                (
                    state,
                    _json(history),
                    _json(status) if status else "",
                    _seconds(now) if state in FINISHED else 0,
                    run_id,
                ),
            )

    def put_task(self, task: Task) -> None:
        with self._db:
            self._db.execute(
                "INSERT INTO tasks (run_id, task_id, task) VALUES (?, ?, ?) "
                "ON CONFLICT (run_id, task_id) DO UPDATE SET task = excluded.task",
                (task.run_id, task.task_id, _json(task)),
            )

    def tasks(self, run_id: str) -> list[Task]:
        """In the order in which they were first put."""
        return self._tasks([run_id]).get(run_id, [])

    def has_task(self, run_id: str, task_id: str) -> bool:
        query = "SELECT 1 FROM tasks WHERE run_id = ? AND task_id = ?"
        return self._one(query, run_id, task_id) is not None

    # How it is done

    def _one(self, query: str, *values: object) -> Any:
        return self._db.execute(query, values).fetchone()

    def _page(self, scope: Mapping[str, str], options: ListOptions) -> Page:
        noun, sort = options.noun, options.sort_column
        where, values = _where(scope, options.noun, options.predicates)
        (total,) = self._one(f"SELECT COUNT(*) FROM {_FROM[noun.name]} WHERE {where}", *values)
        direction, comparison = ("DESC", "<=") if options.order.descending else ("ASC", ">=")
        if options.start:
            where += f" AND ({sort}, {noun.key}) {comparison} (?, ?)"
            values += [options.start.value, options.start.key]
        rows = self._db.execute(
            f"SELECT * FROM {_FROM[noun.name]} WHERE {where} "
            f"ORDER BY {sort} {direction}, {noun.key} {direction} LIMIT ?",
            [*values, options.page_size + 1],
        ).fetchall()
        following = rows[options.page_size :]
        start = Position(following[0][sort], following[0][noun.key]) if following else None
        return Page(rows[: options.page_size], total, start)

    def _insert_pipeline(self, pipeline: Pipeline) -> None:
        self._db.execute(
            "INSERT INTO pipelines "
            "(pipeline_id, namespace, name, display_name, description, created_at) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (
                pipeline.pipeline_id,
                pipeline.namespace,
                pipeline.name,
                pipeline.display_name,
                pipeline.description,
                _seconds(pipeline.created_at),
            ),
        )

    def _insert_version(self, version: PipelineVersion, specification: Specification) -> None:
        self._db.execute(
            "INSERT INTO pipeline_versions (pipeline_version_id, pipeline_id, name, display_name, "
            "description, code_source_url, created_at, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                version.pipeline_version_id,
                version.pipeline_id,
                version.name,
                version.display_name,
                version.description,
                version.code_source_url,
                _seconds(version.created_at),
                self._kept(specification),
            ),
        )

    def _kept(self, specification: Specification) -> str:
        """The digest of a specification, under which it is kept from now on."""
        pipeline, platform = _json(specification.pipeline), _json(specification.platform)
        digest = hashlib.sha256(f"{pipeline}\n{platform}".encode()).hexdigest()
        self._db.execute(
            "INSERT INTO specifications (digest, pipeline_spec, platform_spec) VALUES (?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            (digest, pipeline, platform),
        )
        return digest

    def _runs(self, rows: Sequence[sqlite3.Row]) -> list[Run]:
        tasks = self._tasks([row["run_id"] for row in rows])
        inline = [row["digest"] for row in rows if not row["pipeline_version_id"]]
        specifications = self._specifications(inline)
        return [
            _run(row, tasks.get(row["run_id"], []), specifications.get(row["digest"]))
            for row in rows
        ]

    def _tasks(self, run_ids: list[str]) -> dict[str, list[Task]]:
        rows = self._db.execute(
            "SELECT run_id, task FROM tasks "
            "WHERE run_id IN (SELECT value FROM json_each(?)) ORDER BY rowid",
            (_json(run_ids),),
        )
        tasks: dict[str, list[Task]] = {}
        for row in rows:
            tasks.setdefault(row["run_id"], []).append(_decoded(row["task"], Task))
        return tasks

    def _specifications(self, digests: list[str]) -> dict[str, Specification]:
        rows = self._db.execute(
            "SELECT * FROM specifications WHERE digest IN (SELECT value FROM json_each(?))",
            (_json(digests),),
        )
        return {row["digest"]: _specification(row) for row in rows}


def new_id() -> str:
    """A UUID (version 7) that sorts after those made before it, so that equal times keep order."""
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") >> 2
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random))


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path)
    try:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode = WAL")
        # In WAL mode this is safe against the death of the process, if not of the machine.
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA foreign_keys = ON")
        _migrate(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise Misconfigured(
            f"The database {path} is of version {version}, and this release knows versions up to "
            f"{len(MIGRATIONS)}.",
            cure="Install the newer release of jupyter-kfp-mt that wrote it, or choose another "
            "folder with --data.",
        )
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        db.executescript(f"BEGIN; {statements}; PRAGMA user_version = {number}; COMMIT;")


def _where(
    scope: Mapping[str, str], noun: Noun, predicates: Sequence[Predicate]
) -> tuple[str, list[object]]:
    conditions = [f"{column} = ?" for column in scope]
    values: list[object] = list(scope.values())
    for predicate in predicates:
        column = noun.columns[predicate.key]
        conditions.append(_CONDITIONS[predicate.operation].format(column))
        values.append(_operand(predicate))
    return " AND ".join(conditions), values


def _operand(predicate: Predicate) -> object:
    if predicate.operation == "IN":
        return _json(predicate.value)
    # As in the API server, % and _ in the value are wildcards too.
    return f"%{predicate.value}%" if predicate.operation == "IS_SUBSTRING" else predicate.value


def _experiment(row: sqlite3.Row) -> Experiment:
    return Experiment(
        experiment_id=row["experiment_id"],
        display_name=row["display_name"],
        description=row["description"],
        created_at=_time(row["created_at"]),
        namespace=row["namespace"],
        storage_state=row["storage_state"],
        last_run_created_at=_time(row["last_run_created_at"]),
    )


def _pipeline(row: sqlite3.Row) -> Pipeline:
    return Pipeline(
        pipeline_id=row["pipeline_id"],
        display_name=row["display_name"],
        name=row["name"],
        description=row["description"],
        created_at=_time(row["created_at"]),
        namespace=row["namespace"],
    )


def _version(row: sqlite3.Row) -> PipelineVersion:
    return PipelineVersion(
        pipeline_id=row["pipeline_id"],
        pipeline_version_id=row["pipeline_version_id"],
        display_name=row["display_name"],
        name=row["name"],
        description=row["description"],
        created_at=_time(row["created_at"]),
        code_source_url=row["code_source_url"],
        pipeline_spec=_specification(row).to_wire(),
    )


def _run(row: sqlite3.Row, tasks: list[Task], inline: Specification | None) -> Run:
    config = _decoded(row["runtime_config"], RuntimeConfig)
    return Run(
        experiment_id=row["experiment_id"],
        run_id=row["run_id"],
        display_name=row["display_name"],
        storage_state=row["storage_state"],
        description=row["description"],
        pipeline_version_reference=_reference(row),
        pipeline_spec=inline.to_wire() if inline and not row["pipeline_version_id"] else None,
        runtime_config=config if config.parameters or config.pipeline_root else None,
        service_account=row["service_account"],
        created_at=_time(row["created_at"]),
        scheduled_at=_time(row["scheduled_at"]),
        finished_at=_time(row["finished_at"]),
        state=row["state"],
        error=_decoded(row["error"], Status) if row["error"] else None,
        run_details=RunDetails(task_details=tasks) if tasks else None,
        recurring_run_id=row["recurring_run_id"],
        state_history=_decoded(row["state_history"], list[StateChange]),
    )


def _reference(row: sqlite3.Row) -> PipelineVersionReference | None:
    if not row["pipeline_version_id"]:
        return None
    return PipelineVersionReference(
        pipeline_id=row["pipeline_id"], pipeline_version_id=row["pipeline_version_id"]
    )


def _specification(row: sqlite3.Row) -> Specification:
    return Specification(
        _decoded(row["pipeline_spec"], dict[str, Any]),
        _decoded(row["platform_spec"], dict[str, Any]),
    )


def _decoded(text: str, kind: type[T]) -> T:
    return msgspec.json.decode(text, type=kind)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
