"""Experiments and runs of the local KFP put away, brought back, tried again and deleted."""

import contextlib
import json
import uuid

import pytest
import yaml
from harness.local_kfp import API, text
from harness.own_executor import compiled, component
from harness.running import Runs
from harness.waiting import wait_until
from kfp import dsl

from jupyter_kfp_mt.local.database import Database

NOBODY = "00000000-0000-0000-0000-000000000000"
IN_ALICE = {"namespace": "alice", "page_size": 200}


@pytest.fixture
def do(local_kfp):
    """Does something to one thing, which must work and have no answer."""

    def do(path):
        answer = local_kfp.post(API + path)
        assert (answer.status_code, answer.json()) == (200, {}), answer.text

    return do


@pytest.fixture
def run(create_run):
    return create_run().json()


@pytest.fixture
def recurring(local_kfp, experiment, spec):
    """A recurring run whose time has not come, enabled."""
    body = {
        "display_name": "each new year",
        "experiment_id": experiment.experiment_id,
        "pipeline_spec": spec,
        "runtime_config": {"parameters": {"x": 1}},
        "max_concurrency": "1",
        "mode": "ENABLE",
        "trigger": {"cron_schedule": {"cron": "0 0 0 1 1 *"}},
    }
    return local_kfp.post(f"{API}/recurringruns", body).json()


def one(server, path):
    return server.get(API + path).json()


def state_of(server, run):
    return one(server, f"/runs/{run['run_id']}")["state"]


# Archives


def test_an_archived_experiment_takes_its_runs_with_it_and_disables_what_recurs(
    local_kfp, do, experiment, run, recurring
):
    path = f"/experiments/{experiment.experiment_id}"
    do(f"{path}:archive")
    assert one(local_kfp, path)["storage_state"] == "ARCHIVED"
    assert one(local_kfp, f"/runs/{run['run_id']}")["storage_state"] == "ARCHIVED"
    after = one(local_kfp, f"/recurringruns/{recurring['recurring_run_id']}")
    assert (after["status"], after["mode"]) == ("DISABLED", "DISABLE")


def test_an_unarchived_experiment_comes_back_alone(local_kfp, do, experiment, run, recurring):
    path = f"/experiments/{experiment.experiment_id}"
    do(f"{path}:archive")
    do(f"{path}:unarchive")
    assert one(local_kfp, path)["storage_state"] == "AVAILABLE"
    assert one(local_kfp, f"/runs/{run['run_id']}")["storage_state"] == "ARCHIVED"
    after = one(local_kfp, f"/recurringruns/{recurring['recurring_run_id']}")
    assert after["status"] == "DISABLED"


@pytest.mark.parametrize("verb", ["archive", "unarchive"])
def test_what_is_put_away_or_back_twice_stays_so(do, experiment, run, verb):
    for path in (f"/experiments/{experiment.experiment_id}", f"/runs/{run['run_id']}"):
        do(f"{path}:{verb}")
        do(f"{path}:{verb}")


def test_a_run_is_not_stopped_by_being_archived(local_kfp, do, experiment, create_run, sleeper):
    spec = yaml.safe_load(sleeper.read_text())
    run = create_run(pipeline_spec=spec, runtime_config=None).json()
    wait_until(lambda: state_of(local_kfp, run) == "RUNNING", what="the start")
    do(f"/experiments/{experiment.experiment_id}:archive")
    assert state_of(local_kfp, run) == "RUNNING"
    do(f"/runs/{run['run_id']}:terminate")


def test_a_run_cannot_leave_the_archive_before_its_experiment(local_kfp, do, experiment, run):
    experiment_id = experiment.experiment_id
    do(f"/experiments/{experiment_id}:archive")
    answer = local_kfp.post(f"{API}/runs/{run['run_id']}:unarchive")
    assert (answer.status_code, answer.json()["code"]) == (400, 9)
    assert text(answer) == (
        f"Failed to unarchive run {run['run_id']} as experiment {experiment_id} must be "
        "un-archived first"
    )
    do(f"/experiments/{experiment_id}:unarchive")
    do(f"/runs/{run['run_id']}:unarchive")
    assert one(local_kfp, f"/runs/{run['run_id']}")["storage_state"] == "AVAILABLE"


def test_an_archived_experiment_still_takes_runs(do, experiment, create_run):
    do(f"/experiments/{experiment.experiment_id}:archive")
    assert create_run().json()["storage_state"] == "AVAILABLE"


def test_a_list_has_what_is_archived_unless_a_filter_says_otherwise(
    local_kfp, do, experiment, create_run
):
    here, away = (create_run().json()["run_id"] for _ in range(2))
    do(f"/runs/{away}:archive")
    path = f"/runs?experiment_id={experiment.experiment_id}"
    available = {"key": "storage_state", "operation": "NOT_EQUALS", "string_value": "ARCHIVED"}
    assert [run["run_id"] for run in one(local_kfp, path)["runs"]] == [here, away]
    listed = one(local_kfp, f"{path}&filter={json.dumps({'predicates': [available]})}")
    assert ([run["run_id"] for run in listed["runs"]], listed["total_size"]) == ([here], 1)


# Deletion


def test_a_deleted_experiment_leaves_its_runs(local_kfp, experiment, run, recurring):
    path = f"{API}/experiments/{experiment.experiment_id}"
    assert local_kfp.call("DELETE", path).json() == {}
    assert local_kfp.get(path).status_code == 404
    assert local_kfp.call("DELETE", path).status_code == 404
    assert one(local_kfp, f"/runs/{run['run_id']}")["run_id"] == run["run_id"]
    kept = f"{API}/recurringruns/{recurring['recurring_run_id']}"
    assert local_kfp.get(kept).json()["display_name"] == "each new year"
    assert local_kfp.call("DELETE", kept).json() == {}
    assert local_kfp.call("DELETE", f"{API}/runs/{run['run_id']}").json() == {}


@pytest.mark.parametrize("verb", ["terminate", "retry", "unarchive"])
def test_what_needs_the_experiment_of_a_run_says_that_it_is_gone(local_kfp, experiment, run, verb):
    local_kfp.call("DELETE", f"{API}/experiments/{experiment.experiment_id}")
    answer = local_kfp.post(f"{API}/runs/{run['run_id']}:{verb}")
    assert (answer.status_code, answer.json()["code"]) == (404, 5)
    assert text(answer) == f"Experiment {experiment.experiment_id} not found"


def test_the_name_of_a_deleted_experiment_is_free(local_kfp, experiment):
    body = {"display_name": experiment.display_name, "namespace": "alice"}
    assert local_kfp.post(f"{API}/experiments", body).status_code == 409
    local_kfp.call("DELETE", f"{API}/experiments/{experiment.experiment_id}")
    assert local_kfp.post(f"{API}/experiments", body).status_code == 200


def test_a_deleted_run_is_gone_with_what_it_has_written(local_kfp, experiment, create_run, sleeper):
    spec = yaml.safe_load(sleeper.read_text())
    run = create_run(pipeline_spec=spec, runtime_config=None).json()
    wait_until(lambda: state_of(local_kfp, run) == "RUNNING", what="the start")

    def written():
        return local_kfp.written(run["run_id"])

    wait_until(written, what="the folder")
    path = f"{API}/runs/{run['run_id']}"
    assert local_kfp.call("DELETE", path).json() == {}
    assert local_kfp.get(path).status_code == 404
    assert local_kfp.call("DELETE", path).status_code == 404
    assert one(local_kfp, f"/runs?experiment_id={experiment.experiment_id}") == {}
    wait_until(lambda: not written(), what="the removal")


@component
def ignore_the_end():
    import signal
    import time

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open("deaf", "w").close()
    time.sleep(600)


@dsl.pipeline
def stubborn():
    ignore_the_end()


def test_a_deletion_goes_on_when_the_server_was_killed_meanwhile(start_local_kfp):
    server = start_local_kfp()
    runs = Runs(server)
    run_id = runs.start(stubborn)
    wait_until(lambda: server.written(f"{run_id}/tasks/*/deaf"), what="the task")
    runs.delete(run_id)
    server.kill()
    assert server.written(run_id)
    again = start_local_kfp()
    wait_until(lambda: not again.written(run_id), what="the removal")
    again.stop()
    with contextlib.closing(Database(again.data / "kfp.db")) as database:
        assert database.runs.deleted_runs() == []


def test_the_id_of_a_run_is_free_when_nothing_is_left_of_it(local_kfp, create_run):
    run_id = str(uuid.uuid4())
    spec, _ = compiled(stubborn)
    run = create_run(run_id=run_id, pipeline_spec=spec, runtime_config=None).json()
    wait_until(lambda: local_kfp.written(f"{run_id}/tasks/*/deaf"), what="the task")
    local_kfp.call("DELETE", f"{API}/runs/{run_id}")
    again = create_run(run_id=run_id.upper())
    assert (again.status_code, "is being deleted" in text(again)) == (409, True)
    wait_until(lambda: create_run(run_id=run_id).status_code == 200, what="the removal")
    wait_until(lambda: state_of(local_kfp, run) == "SUCCEEDED", what="the end of the second")


# Retry


def test_a_failed_run_is_tried_again_in_place(local_kfp, do, create_run, failing):
    run = create_run(pipeline_spec=yaml.safe_load(failing.read_text()), runtime_config=None).json()
    path = f"/runs/{run['run_id']}"

    def states():
        return [change["state"] for change in one(local_kfp, path)["state_history"]]

    once = ["PENDING", "RUNNING", "FAILED"]
    wait_until(lambda: states() == once, what="the failure")
    do(f"{path}:retry")
    wait_until(lambda: states() == once * 2, what="the second failure")
    assert "error" in one(local_kfp, path)


def test_a_run_that_goes_on_is_not_tried_again(local_kfp, do, create_run, sleeper):
    spec = yaml.safe_load(sleeper.read_text())
    run_id = create_run(pipeline_spec=spec, runtime_config=None).json()["run_id"]
    answer = local_kfp.post(f"{API}/runs/{run_id}:retry")
    assert (answer.status_code, answer.json()["code"]) == (409, 10)
    assert text(answer) == f"Cannot claim run {run_id} for retry: not in a terminal state"
    do(f"/runs/{run_id}:terminate")


def test_a_run_that_succeeded_is_not_tried_again(local_kfp, run):
    wait_until(lambda: state_of(local_kfp, run) == "SUCCEEDED", what="success")
    answer = local_kfp.post(f"{API}/runs/{run['run_id']}:retry")
    assert (answer.status_code, answer.json()["code"]) == (409, 10)
    assert text(answer) == "Workflow must be Failed/Error to retry"


@pytest.mark.parametrize("verb", ["archive", "unarchive", "terminate", "retry"])
def test_nothing_is_done_to_a_run_that_is_not_there(local_kfp, verb):
    answer = local_kfp.post(f"{API}/runs/{NOBODY}:{verb}")
    assert (answer.status_code, text(answer)) == (404, f"Run {NOBODY} not found")


# Runs of a recurring run that a client creates


def test_a_recurring_run_has_one_run_of_a_name_however_often_it_is_asked_for(create_run, recurring):
    of_recurring = {"recurring_run_id": recurring["recurring_run_id"]}
    first, again, other = (
        create_run(display_name=name, **of_recurring).json() for name in ("one", "one", "two")
    )
    assert first["run_id"] == again["run_id"] != other["run_id"]
    assert first["recurring_run_id"] == recurring["recurring_run_id"]
