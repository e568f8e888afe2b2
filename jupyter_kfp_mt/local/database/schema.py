"""The schema of the local KFP's database, and the migrations from older ones."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from ...errors import Misconfigured
from ..machine.disk_faults import GONE
from .collation import register

CACHE_KILOBYTES = 32_000
# The event loop leaves it to a thread to bring what was written into the database's file, unless
# that has not come to it for so long.
_LONGEST_LOG_PAGES = 32_000

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
    """
    ALTER TABLE pipelines ADD COLUMN tags TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE pipeline_versions ADD COLUMN tags TEXT NOT NULL DEFAULT '{}';

    CREATE TABLE recurring_runs (
        recurring_run_id TEXT PRIMARY KEY,
        experiment_id TEXT NOT NULL,
        namespace TEXT NOT NULL,
        display_name TEXT NOT NULL COLLATE NOCASE,
        description TEXT NOT NULL COLLATE NOCASE,
        service_account TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        enabled INTEGER NOT NULL,
        max_concurrency INTEGER NOT NULL,
        no_catchup INTEGER NOT NULL,
        trigger TEXT NOT NULL,
        pipeline_id TEXT NOT NULL,
        pipeline_version_id TEXT NOT NULL,
        -- Null where each run takes the pipeline's latest version.
        digest TEXT REFERENCES specifications,
        runtime_config TEXT NOT NULL,
        error TEXT NOT NULL DEFAULT '',
        -- The moment for which it fired last, and how often it did.
        last_triggered INTEGER,
        fired INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX recurring_runs_by_age
        ON recurring_runs (namespace, created_at, recurring_run_id);
    CREATE INDEX recurring_runs_of_experiment
        ON recurring_runs (experiment_id, created_at, recurring_run_id);
    CREATE INDEX enabled_recurring_runs ON recurring_runs (recurring_run_id) WHERE enabled;
    CREATE INDEX runs_of_recurring_run
        ON runs (recurring_run_id, finished_at) WHERE recurring_run_id <> '';

    -- Names are in the index, so that a search in them reads no table.
    DROP INDEX runs_by_age;
    CREATE INDEX runs_by_age ON runs (namespace, created_at, run_id, display_name);
    CREATE INDEX runs_by_name ON runs (namespace, display_name, created_at, run_id);
    CREATE INDEX runs_by_state ON runs (namespace, state, created_at, run_id);
    CREATE INDEX runs_by_storage_state ON runs (namespace, storage_state, created_at, run_id);

    -- How many runs there are of each kind in a namespace and in an experiment: counting them
    -- anew for every page would take the longer the more there are.
    CREATE TABLE run_counts (
        scope TEXT NOT NULL,
        scope_id TEXT NOT NULL,
        state TEXT NOT NULL COLLATE NOCASE,
        storage_state TEXT NOT NULL COLLATE NOCASE,
        runs INTEGER NOT NULL,
        status TEXT COLLATE NOCASE GENERATED ALWAYS AS (
            CASE state WHEN 'CANCELING' THEN 'Terminating'
            ELSE substr(state, 1, 1) || lower(substr(state, 2)) END
        ) VIRTUAL,
        PRIMARY KEY (scope, scope_id, state, storage_state)
    ) WITHOUT ROWID;
    INSERT INTO run_counts (scope, scope_id, state, storage_state, runs)
        SELECT 'namespace', namespace, state, storage_state, count(*)
        FROM runs GROUP BY namespace, state, storage_state;
    INSERT INTO run_counts (scope, scope_id, state, storage_state, runs)
        SELECT 'experiment_id', experiment_id, state, storage_state, count(*)
        FROM runs GROUP BY experiment_id, state, storage_state;
    CREATE TRIGGER run_added AFTER INSERT ON runs BEGIN
        INSERT INTO run_counts (scope, scope_id, state, storage_state, runs)
            VALUES ('namespace', new.namespace, new.state, new.storage_state, 1),
                   ('experiment_id', new.experiment_id, new.state, new.storage_state, 1)
            ON CONFLICT DO UPDATE SET runs = runs + 1;
    END;
    CREATE TRIGGER run_deleted AFTER DELETE ON runs BEGIN
        UPDATE run_counts SET runs = runs - 1
            WHERE (scope, scope_id, state, storage_state) IN (VALUES
                ('namespace', old.namespace, old.state, old.storage_state),
                ('experiment_id', old.experiment_id, old.state, old.storage_state));
    END;
    CREATE TRIGGER run_moved AFTER UPDATE OF state, storage_state ON runs
    WHEN new.state <> old.state OR new.storage_state <> old.storage_state BEGIN
        UPDATE run_counts SET runs = runs - 1
            WHERE (scope, scope_id, state, storage_state) IN (VALUES
                ('namespace', old.namespace, old.state, old.storage_state),
                ('experiment_id', old.experiment_id, old.state, old.storage_state));
        INSERT INTO run_counts (scope, scope_id, state, storage_state, runs)
            VALUES ('namespace', new.namespace, new.state, new.storage_state, 1),
                   ('experiment_id', new.experiment_id, new.state, new.storage_state, 1)
            ON CONFLICT DO UPDATE SET runs = runs + 1;
    END;

    -- What went into each task, and came out of it.
    ALTER TABLE tasks ADD COLUMN inputs TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE tasks ADD COLUMN outputs TEXT NOT NULL DEFAULT '{}';
    CREATE TABLE artifacts (
        artifact_id INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id TEXT NOT NULL,
        uri TEXT NOT NULL,
        UNIQUE (run_id, uri)
    );
    CREATE TABLE run_metrics (
        run_id TEXT NOT NULL,
        node_id TEXT NOT NULL,
        name TEXT NOT NULL,
        number_value REAL NOT NULL,
        format TEXT NOT NULL,
        PRIMARY KEY (run_id, node_id, name)
    ) WITHOUT ROWID;
    """,
    """
    -- What v1beta1 tells of a run though its version is gone.
    ALTER TABLE runs ADD COLUMN pipeline_name TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN texts INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE recurring_runs ADD COLUMN pipeline_name TEXT NOT NULL DEFAULT '';
    ALTER TABLE recurring_runs ADD COLUMN texts INTEGER NOT NULL DEFAULT 0;
    UPDATE runs SET pipeline_name = name FROM pipeline_versions
        WHERE pipeline_versions.pipeline_version_id = runs.pipeline_version_id;
    UPDATE recurring_runs SET pipeline_name = name FROM pipeline_versions
        WHERE pipeline_versions.pipeline_version_id = recurring_runs.pipeline_version_id;
    """,
    """
    -- Those whose folders are still to be removed.
    CREATE TABLE deleted_runs (
        run_id TEXT PRIMARY KEY,
        namespace TEXT NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    -- Names are compared by collation_key, which is a function of ours. Not unique: an older
    -- database may hold names that are the same by it.
    CREATE INDEX experiments_by_name
        ON experiments (namespace, collation_key(display_name), experiment_id);
    CREATE INDEX pipelines_by_name ON pipelines (namespace, collation_key(name), pipeline_id);
    CREATE INDEX pipeline_versions_by_name
        ON pipeline_versions (pipeline_id, collation_key(name), pipeline_version_id);
    DROP INDEX runs_by_name;
    CREATE INDEX runs_by_name
        ON runs (namespace, collation_key(display_name), created_at, run_id);
    """,
    # The length of a specification is available without reading it.
    """
    ALTER TABLE specifications ADD COLUMN length INTEGER NOT NULL DEFAULT 0;
    UPDATE specifications SET length = length(pipeline_spec) + length(platform_spec);
    CREATE INDEX specification_lengths ON specifications (digest, length);
    """,
    """
    ALTER TABLE pipeline_versions ADD COLUMN package_url TEXT NOT NULL DEFAULT '';
    """,
    # The few fields of a specification that the API uses, as JSON; empty in older rows.
    """
    ALTER TABLE specifications ADD COLUMN head TEXT NOT NULL DEFAULT '';
    """,
    """
    CREATE INDEX specification_heads ON specifications (digest, head);
    """,
]


class _Connection(sqlite3.Connection):
    """A connection whose transactions fail where nobody would find them again.

    SQLite goes on with a file that was moved or deleted, and with it all changes are lost.
    """

    def remember(self, path: Path) -> None:
        self._path = path
        self._identity = _identity(path)

    def __enter__(self) -> _Connection:
        if _identity(self._path) != self._identity:
            raise sqlite3.OperationalError(GONE)
        super().__enter__()
        return self


def _identity(path: Path) -> tuple[int, int] | None:
    """Return which file of this machine it is; None for none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def opened(path: Path) -> sqlite3.Connection:
    """Open the database in this file, migrated to the newest version of the schema."""
    if path.exists():
        _check(path)
    db = sqlite3.connect(path, factory=_Connection)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.remember(path)
        _prepare(db)
        # With a million runs, one page of a list is spread over many pages of the file.
        db.execute(f"PRAGMA cache_size = -{CACHE_KILOBYTES}")
        db.execute(f"PRAGMA wal_autocheckpoint = {_LONGEST_LOG_PAGES}")
        _migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def is_database(path: Path) -> bool:
    """Return True for a database of the local KFP, even a newer one, without changing it."""
    if not path.is_file():
        return False
    try:
        with closing(_seen(path)) as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            (known,) = db.execute(
                "SELECT count(*) FROM sqlite_master WHERE name = 'experiments'"
            ).fetchone()
        return bool(version and known)
    except sqlite3.Error:
        return False


def opened_again(path: Path) -> sqlite3.Connection:
    """Open another connection that may write to a database that is already open."""
    db = sqlite3.connect(path, check_same_thread=False, factory=_Connection)
    db.remember(path)
    _prepare(db)
    return db


def _prepare(db: sqlite3.Connection) -> None:
    register(db)
    db.row_factory = sqlite3.Row
    # In WAL mode this is safe if the process dies, but not if the machine does.
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA foreign_keys = ON")


def opened_for_reading(path: Path) -> sqlite3.Connection:
    """Open another connection to a database that is already open, for another thread."""
    db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, check_same_thread=False)
    register(db)
    db.row_factory = sqlite3.Row
    return db


def _check(path: Path) -> None:
    """Check that it is ours and not newer. Nothing is written, not even next to it."""
    with closing(_seen(path)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and not version:
        raise Misconfigured(
            f"The database {path} cannot be used: it is not one of the local KFP.",
            cure="Move it away to start with an empty one, or choose another folder with --data.",
        )
    if version > len(MIGRATIONS):
        raise Misconfigured(
            f"The database {path} is of version {version}, and this release knows versions up to "
            f"{len(MIGRATIONS)}.",
            cure="Install the newer release of jupyter-kfp-mt that wrote it, or choose another "
            "folder with --data.",
        )


def _seen(path: Path) -> sqlite3.Connection:
    """Open a database read-only."""
    # If the last server was killed, the main file alone is incomplete.
    log = path.with_name(f"{path.name}-wal")
    mode = "mode=ro" if log.exists() else "immutable=1"
    return sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True)


def _migrate(db: sqlite3.Connection) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        db.executescript(f"BEGIN; {statements}; PRAGMA user_version = {number}; COMMIT;")
