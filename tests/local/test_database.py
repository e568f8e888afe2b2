"""The database of the local KFP."""

import asyncio
import contextlib
import sqlite3
from datetime import datetime, timezone

import pytest

from jupyter_kfp_mt.errors import Misconfigured
from jupyter_kfp_mt.local.database import Database, new_id
from jupyter_kfp_mt.local.database.collation import register
from jupyter_kfp_mt.local.database.pipeline_specs import HEAD, LENGTH
from jupyter_kfp_mt.local.database.row_types import Origin, PlacedRun
from jupyter_kfp_mt.local.database.schema import MIGRATIONS
from jupyter_kfp_mt.local.machine.disk_faults import fault
from jupyter_kfp_mt.local.pipelines.pipeline_files import Specification
from jupyter_kfp_mt.local.wire.list_options import RUNS, ListOptions, Order, Predicate
from jupyter_kfp_mt.models import Experiment, Run, StateChange, Task

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
SPECIFICATION = Specification.of(
    {"pipelineInfo": {"name": "p"}, "defaultPipelineRoot": "s3://p"},
    {"platforms": {"kubernetes": {}}},
)


@pytest.fixture
def database(tmp_path):
    with contextlib.closing(Database(tmp_path / "kfp.db")) as database:
        database.experiments.add(
            Experiment(experiment_id="e", display_name="e", namespace="alice", created_at=NOW)
        )
        yield database


def placed(run_id):
    pending = StateChange(update_time=NOW, state="PENDING")
    run = Run(
        run_id=run_id,
        experiment_id="e",
        created_at=NOW,
        scheduled_at=NOW,
        state="PENDING",
        state_history=[pending],
    )
    return PlacedRun(run, "alice", "p-12345")


@pytest.fixture
def add_run(database):
    def add_run(run_id):
        database.runs.add(placed(run_id), Origin(SPECIFICATION))

    return add_run


def states(run):
    return [change.state for change in run.state_history]


def read_only(path):
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)


@pytest.mark.parametrize(
    ("connect", "why"),
    [
        pytest.param(lambda path: sqlite3.connect(path, timeout=0), "locked", id="locked"),
        pytest.param(read_only, "read-only", id="read-only"),
    ],
)
def test_what_keeps_the_database_from_being_written_is_known_from_the_error(
    database, tmp_path, connect, why
):
    path = tmp_path / "kfp.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with contextlib.closing(connect(path)) as db, pytest.raises(sqlite3.Error) as raised:
            db.execute("DELETE FROM experiments")
    assert why in fault(raised.value).why


def test_ids_sort_by_the_time_of_their_making():
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    # Only what is made within a quarter of a microsecond may come in any order.
    assert sorted(ids) == ids


def test_a_state_enters_the_history_once(database, add_run):
    add_run("r")
    for state in ("RUNNING", "RUNNING", "SUCCEEDED"):
        database.runs.set_run_state("r", state)
    run = database.runs.one("r").run
    assert states(run) == ["PENDING", "RUNNING", "SUCCEEDED"]
    assert run.finished
    assert run.finished_at == run.state_history[-1].update_time


def test_an_error_is_kept_with_the_state_it_led_to(database, add_run):
    add_run("r")
    database.runs.set_run_state("r", "FAILED", "no disk")
    run = database.runs.one("r").run
    assert run.error.message == run.state_history[-1].error.message == "no disk"


def test_canceling_is_a_state_without_history(database, add_run):
    add_run("r")
    assert database.runs.cancel("r")
    assert (database.runs.one("r").run.state, states(database.runs.one("r").run)) == (
        "CANCELING",
        ["PENDING"],
    )
    assert not database.runs.cancel("r")


def test_unfinished_runs_come_in_the_order_of_their_making(database, add_run):
    for run_id in ("r1", "r2", "r3"):
        add_run(run_id)
    database.runs.set_run_state("r1", "RUNNING")
    database.runs.set_run_state("r2", "FAILED")
    assert database.runs.unfinished_runs() == [("r1", "RUNNING"), ("r3", "PENDING")]


def test_a_task_is_replaced_where_it_stands(database, add_run):
    add_run("r")
    for task_id, state in [("b", "PENDING"), ("a", "PENDING"), ("b", "RUNNING")]:
        database.runs.put_task(Task(run_id="r", task_id=task_id, state=state))
    tasks = [(task.task_id, task.state) for task in database.runs.tasks("r")]
    assert tasks == [("b", "RUNNING"), ("a", "PENDING")]
    assert database.runs.one("r").run.tasks == database.runs.tasks("r")


def test_a_job_has_both_parts_of_the_specification(database, add_run):
    add_run("r")
    job = database.runs.job("r")
    assert (bytes(job.pipeline_spec), bytes(job.platform_spec)) == (
        SPECIFICATION.pipeline,
        SPECIFICATION.platform,
    )
    assert (job.namespace, job.parameters) == ("alice", {})


def test_a_kept_specification_is_not_unfolded_to_know_its_head(database, add_run, tmp_path):
    add_run("r")
    with contextlib.closing(sqlite3.connect(tmp_path / "kfp.db")) as db, db:
        db.execute("UPDATE specifications SET pipeline_spec = 'no JSON'")
    kept = database.specifications.one(SPECIFICATION.digest)
    assert kept.head == SPECIFICATION.head
    assert database.specifications.default_root(SPECIFICATION.digest) == "s3://p"


def test_one_specification_is_kept_once(database, add_run, tmp_path):
    for number in range(3):
        add_run(f"r{number}")
    with contextlib.closing(sqlite3.connect(tmp_path / "kfp.db")) as db:
        assert db.execute("SELECT COUNT(*) FROM specifications").fetchone() == (1,)


def test_a_run_is_there_with_its_experiments_last_run_or_not_at_all(database, add_run):
    add_run("r")
    assert database.experiments.one("e").last_run_created_at == NOW
    with pytest.raises(sqlite3.IntegrityError):
        add_run("r")
    assert database.runs.unfinished_runs() == [("r", "PENDING")]


def counted(database, state="", **scope):
    predicates = [Predicate("state", "EQUALS", state)] if state else []
    _, total, _ = database.runs.page(scope, ListOptions(RUNS, 1, Order(), predicates))
    return total


def test_the_number_of_runs_follows_all_that_happens_to_them(database, add_run):
    for number in range(4):
        add_run(f"r{number}")
    database.runs.set_run_state("r0", "RUNNING")
    database.runs.set_run_state("r1", "FAILED")
    database.runs.retry("r1")
    database.runs.cancel("r2")
    database.runs.set_storage_state("r2", "ARCHIVED")
    database.runs.delete("r3")
    states = ("PENDING", "RUNNING", "FAILED", "CANCELING")
    assert [counted(database, state, namespace="alice") for state in states] == [1, 1, 0, 1]
    assert counted(database, experiment_id="e") == counted(database, namespace="alice") == 3
    assert counted(database, "running", experiment_id="e") == 1  # in either case
    database.experiments.archive("e")
    assert counted(database, namespace="alice") == 3


# A run and its task, as the first release wrote them.
OLDEST = """
    INSERT INTO specifications VALUES ('d', '{"pipelineInfo": {"name": "p"}}', '{}');
    INSERT INTO experiments VALUES ('e', 'alice', 'old', '', 1700000000, 1700000001, 'AVAILABLE');
    INSERT INTO pipelines VALUES ('p', 'alice', 'p', 'p', '', 1700000000);
    INSERT INTO pipeline_versions
        VALUES ('v', 'p', 'v', 'v', '', '', 1700000000, 'READY', 'd');
    INSERT INTO runs VALUES ('r', 'e', 'alice', 'p-12345', 'old', '', 'default-editor', 'ARCHIVED',
        1700000001, 1700000001, 1700000009, 'SUCCEEDED', '[]', '', '', 'p', 'v', 'd', '{}');
    INSERT INTO tasks VALUES ('r', 't', '{"run_id": "r", "task_id": "t", "state": "SUCCEEDED"}');
"""


def test_what_the_oldest_release_kept_is_there(tmp_path):
    path = tmp_path / "old.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(f"{MIGRATIONS[0]}; {OLDEST} PRAGMA user_version = 1;")
    with contextlib.closing(Database(path)) as database:
        run = database.runs.one("r").run
        assert (run.display_name, run.storage_state, run.state) == ("old", "ARCHIVED", "SUCCEEDED")
        assert [task.task_id for task in run.tasks] == ["t"]
        assert counted(database, "SUCCEEDED", namespace="alice") == 1
        origin = database.runs.origin("r")
        assert (origin.specification.name, origin.pipeline_name) == ("p", "v")
        assert database.pipelines.version("v").tags == database.pipelines.one("p").tags == {}
        assert database.experiments.one("e").display_name == "old"


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_a_database_of_every_older_version_is_taken_further(tmp_path, version):
    path = tmp_path / "old.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        register(db)
        for number, statements in enumerate(MIGRATIONS[:version], start=1):
            db.executescript(f"{statements}; PRAGMA user_version = {number};")
    with contextlib.closing(Database(path)) as database:
        assert database.runs.unfinished_runs() == []


def test_a_migration_that_fails_leaves_the_version_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "kfp.db"
    Database(path).close()
    broken = "CREATE TABLE extra (x); CREATE TABLE extra (x)"
    monkeypatch.setattr("jupyter_kfp_mt.local.database.schema.MIGRATIONS", [*MIGRATIONS, broken])
    with pytest.raises(Misconfigured, match="extra already exists"):
        Database(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
    assert "extra" not in tables


@pytest.mark.parametrize("query", [LENGTH, HEAD], ids=["length", "head"])
def test_what_is_kept_beside_a_specification_is_read_without_it(database, tmp_path, query):
    with contextlib.closing(read_only(tmp_path / "kfp.db")) as db:
        (plan,) = db.execute(f"EXPLAIN QUERY PLAN {query}", ("digest",))
    assert "USING COVERING INDEX" in plan[3]


def test_whether_a_run_can_be_stopped_is_known_without_its_specification(database, add_run):
    add_run("r1")
    database._db.set_authorizer(without_specifications)
    try:
        with pytest.raises(sqlite3.DatabaseError, match="prohibited"):
            database.runs.job("r1")
        found = database.runs.experiment_and_state("r1")
        assert found and found[1] == "PENDING" and database.runs.cancel("r1")
    finally:
        database._db.set_authorizer(None)


def without_specifications(action, table, column, *_):
    refused = action == sqlite3.SQLITE_READ and table == "specifications"
    return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK


def test_a_small_change_does_not_have_to_bring_in_a_large_one(database, add_run, tmp_path):
    path, text = tmp_path / "kfp.db", "x" * (4 << 20)
    large = Specification.of({"pipelineInfo": {"name": "p"}, "deploymentSpec": {"text": text}})
    with contextlib.closing(read_only(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM runs").fetchone()
        new = placed("large"), Origin(large)
        asyncio.run(database.change(large, lambda tables: tables.runs.add(*new)))
    for number in range(10):
        add_run(f"r{number}")
    assert path.stat().st_size < len(text)
    asyncio.run(asyncio.wait_for(brought_in(database, path, len(text)), 60))


async def brought_in(database, path, length):
    """Return when the file has become so long."""
    chore = asyncio.create_task(database.keep_log_short())
    await asyncio.sleep(0)  # It has begun, and does not know of this change:
    add = database.experiments.add
    add(Experiment(experiment_id="f", display_name="f", namespace="alice", created_at=NOW))
    while path.stat().st_size < length:
        await asyncio.sleep(0.05)
    chore.cancel()
