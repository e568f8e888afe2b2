"""What the local KFP keeps, and how."""

import contextlib
import sqlite3
from datetime import datetime, timezone

import pytest

from jupyter_kfp_mt.errors import Misconfigured
from jupyter_kfp_mt.local.database import MIGRATIONS, Database, new_id
from jupyter_kfp_mt.local.pipeline_files import Specification
from jupyter_kfp_mt.models import Experiment, Run, StateChange, Task

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
SPECIFICATION = Specification({"pipelineInfo": {"name": "p"}}, {"platforms": {"kubernetes": {}}})


@pytest.fixture
def database(tmp_path):
    with contextlib.closing(Database(tmp_path / "kfp.db")) as database:
        database.add_experiment(
            Experiment(experiment_id="e", display_name="e", namespace="alice", created_at=NOW)
        )
        yield database


@pytest.fixture
def add_run(database):
    def add_run(run_id):
        pending = StateChange(update_time=NOW, state="PENDING")
        run = Run(
            run_id=run_id,
            experiment_id="e",
            created_at=NOW,
            scheduled_at=NOW,
            state="PENDING",
            state_history=[pending],
        )
        database.add_run(run, "alice", "p-12345", SPECIFICATION)

    return add_run


def states(run):
    return [change.state for change in run.state_history]


def test_ids_sort_by_the_time_of_their_making():
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    # Only what is made within a quarter of a microsecond may come in any order.
    assert sorted(ids) == ids


def test_a_state_enters_the_history_once(database, add_run):
    add_run("r")
    for state in ("RUNNING", "RUNNING", "SUCCEEDED"):
        database.set_run_state("r", state)
    run = database.run("r")
    assert states(run) == ["PENDING", "RUNNING", "SUCCEEDED"]
    assert run.finished
    assert run.finished_at == run.state_history[-1].update_time


def test_an_error_is_kept_with_the_state_it_led_to(database, add_run):
    add_run("r")
    database.set_run_state("r", "FAILED", "no disk")
    run = database.run("r")
    assert run.error.message == run.state_history[-1].error.message == "no disk"


def test_canceling_is_a_state_without_history(database, add_run):
    add_run("r")
    assert database.cancel_run("r")
    assert (database.run("r").state, states(database.run("r"))) == ("CANCELING", ["PENDING"])
    assert not database.cancel_run("r")


def test_unfinished_runs_come_in_the_order_of_their_making(database, add_run):
    for run_id in ("r1", "r2", "r3"):
        add_run(run_id)
    database.set_run_state("r1", "RUNNING")
    database.set_run_state("r2", "FAILED")
    assert database.unfinished_runs() == [("r1", "RUNNING"), ("r3", "PENDING")]


def test_a_task_is_replaced_where_it_stands(database, add_run):
    add_run("r")
    for task_id, state in [("b", "PENDING"), ("a", "PENDING"), ("b", "RUNNING")]:
        database.put_task(Task(run_id="r", task_id=task_id, state=state))
    tasks = [(task.task_id, task.state) for task in database.tasks("r")]
    assert tasks == [("b", "RUNNING"), ("a", "PENDING")]
    assert database.run("r").tasks == database.tasks("r")


def test_a_job_has_both_parts_of_the_specification(database, add_run):
    add_run("r")
    job = database.job("r")
    assert (job.pipeline_spec, job.platform_spec) == (
        SPECIFICATION.pipeline,
        SPECIFICATION.platform,
    )
    assert (job.namespace, job.parameters) == ("alice", {})


def test_one_specification_is_kept_once(database, add_run, tmp_path):
    for number in range(3):
        add_run(f"r{number}")
    with contextlib.closing(sqlite3.connect(tmp_path / "kfp.db")) as db:
        assert db.execute("SELECT COUNT(*) FROM specifications").fetchone() == (1,)


def test_a_run_is_there_with_its_experiments_last_run_or_not_at_all(database, add_run):
    add_run("r")
    assert database.experiment("e").last_run_created_at == NOW
    with pytest.raises(sqlite3.IntegrityError):
        add_run("r")
    assert database.unfinished_runs() == [("r", "PENDING")]


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_a_database_of_every_older_version_is_taken_further(tmp_path, version):
    path = tmp_path / "old.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        for number, statements in enumerate(MIGRATIONS[:version], start=1):
            db.executescript(f"{statements}; PRAGMA user_version = {number};")
    with contextlib.closing(Database(path)) as database:
        assert database.unfinished_runs() == []


def test_a_migration_that_fails_leaves_the_version_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "kfp.db"
    Database(path).close()
    broken = "CREATE TABLE extra (x); CREATE TABLE extra (x)"
    monkeypatch.setattr("jupyter_kfp_mt.local.database.MIGRATIONS", [*MIGRATIONS, broken])
    with pytest.raises(Misconfigured, match="extra already exists"):
        Database(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
    assert "extra" not in tables
