"""Faults of a machine: processes killed, disks full, folders read-only."""

import random
import resource
import subprocess
import sys
import uuid

import pytest
import yaml
from harness.killing import kill_under_load
from harness.local_kfp import API, text
from harness.pipelines import compiled
from harness.small_disk import SmallDisk
from harness.waiting import wait_until

from jupyter_kfp_mt.local.data.data_folder_mark import MARK


@pytest.fixture(scope="session")
def waiter_spec(tmp_path_factory):
    """A pipeline whose one task takes a moment."""
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def wait():
        import time

        time.sleep(0.3)

    @dsl.pipeline(name="waiter")
    def pipeline():
        wait().set_caching_options(False)

    return yaml.safe_load(compiled(tmp_path_factory.mktemp("waiter"), pipeline).read_text())


@pytest.mark.parametrize("number", range(10))
def test_nothing_acknowledged_is_lost_and_nothing_left_when_the_server_is_killed(
    tmp_path, profiles, waiter_spec, number
):
    seconds = random.uniform(0.05, 1.0)
    checked = kill_under_load(tmp_path / "data", profiles, waiter_spec, seconds)
    assert checked.creates > 0, seconds


@pytest.fixture(scope="session")
def gate(tmp_path_factory):
    """A pipeline whose one task waits for a file and ends without a byte in the data folder."""
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def wait_for(path: str):
        import os
        import time

        open(f"{path}.waiting", "w").close()
        while not os.path.exists(path):
            time.sleep(0.02)
        os._exit(0)

    @dsl.pipeline(name="gate")
    def pipeline(path: str):
        wait_for(path=path).set_caching_options(False)

    return yaml.safe_load(compiled(tmp_path_factory.mktemp("gate"), pipeline).read_text())


@pytest.fixture
def disk(tmp_path, profiles):
    disk = SmallDisk(tmp_path / "disk", profiles)
    yield disk
    disk.close()


def experiment_in(server):
    body = {"display_name": "e", "namespace": "alice"}
    return server.post(f"{API}/experiments", body).json()["experiment_id"]


def state(server, run):
    return server.get(f"{API}/runs/{run}").json()["state"]


def said(server, text):
    wait_until(lambda: text in server.log.read_text(), what=text)


@pytest.fixture
def start_gate(disk, gate, tmp_path):
    """Starts a run and waits until its task waits; the run, and the file that it waits for."""

    def start(server, experiment):
        opened = tmp_path / f"gate-{uuid.uuid4()}"
        run = create_run(server, experiment, gate, path=str(opened))
        wait_until((tmp_path / f"{opened.name}.waiting").exists, what="the start of the task")
        return run, opened

    return start


def create_run(server, experiment, spec, **parameters):
    body = {"display_name": "r", "experiment_id": experiment, "pipeline_spec": spec}
    body["runtime_config"] = {"parameters": parameters}
    return server.post(f"{API}/runs", body).json()["run_id"]


def tasks_of(server, run):
    details = server.get(f"{API}/runs/{run}").json().get("run_details", {})
    return [task["state"] for task in details.get("task_details", [])]


def written_by(server, experiment, adder):
    """The answers to a request of each kind that writes."""
    v1 = "/apis/v1beta1"
    key = {"type": "NAMESPACE", "id": "alice"}
    yield server.post(
        f"{API}/experiments", {"display_name": f"e{uuid.uuid4()}", "namespace": "alice"}
    )
    yield server.post(
        f"{v1}/experiments",
        {"name": f"{uuid.uuid4()}", "resource_references": [{"key": key, "relationship": "OWNER"}]},
    )
    yield server.post(f"{API}/experiments/{experiment}:archive")
    for version in ("v1beta1", "v2beta1"):
        path = f"/apis/{version}/pipelines/upload"
        params = {"name": f"{uuid.uuid4()}", "namespace": "alice"}
        yield server.call(
            "POST", path, params=params, files={"uploadfile": ("a.yaml", adder.read_bytes())}
        )


@pytest.fixture
def full(disk):
    return disk.fill, disk.empty, "the disk is full"


@pytest.fixture
def failing(disk):
    """Limit the size of files, which the system answers as a failing disk."""

    def limit(size):
        resource.prlimit(disk.servers[-1].process.pid, resource.RLIMIT_FSIZE, (size, -1))

    return lambda: limit(0), lambda: limit(-1), "the disk reports an error"


@pytest.mark.parametrize("fault", ["full", "failing"])
def test_what_cannot_be_written_gets_a_sentence_and_what_was_there_is_read(
    disk, adder, fault, request
):
    begin, end, why = request.getfixturevalue(fault)
    server = disk.start()
    experiment = experiment_in(server)
    begin()
    for answer in written_by(server, experiment, adder):
        assert answer.status_code == 503
        body = answer.json()
        sentence = body["error_message"] if "error_message" in body else text(answer)
        assert body.get("code", 14) == 14
        assert "data folder of the local KFP: " + why in sentence
        assert "Nothing was changed. " in sentence
        assert str(disk.folder) not in answer.text
        assert len(server.get(f"{API}/experiments", namespace="alice").json()["experiments"]) == 1
    end()
    assert [answer.status_code for answer in written_by(server, experiment, adder)] == [200] * 5
    log = server.log.read_text()
    assert "Traceback" not in log
    said_so = log.count(f"The data folder {disk.folder} cannot be used")
    assert said_so == 1 or fault == "failing"  # whose limit is one for the log too


def test_nothing_is_acknowledged_by_a_database_that_was_moved_away(
    start_local_kfp, adder, tmp_path
):
    server = start_local_kfp()
    experiment = experiment_in(server)
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.rename(elsewhere)
    tokens, server.tokens = server.tokens, elsewhere / "tokens"
    for answer in written_by(server, experiment, adder):
        assert answer.status_code == 503
        assert "the database was moved or deleted while it was in use" in answer.text
    assert len(server.get(f"{API}/experiments", namespace="alice").json()["experiments"]) == 1
    elsewhere.rename(data)
    server.tokens = tokens
    assert [answer.status_code for answer in written_by(server, experiment, adder)] == [200] * 5
    (data / "kfp.db").unlink()
    assert [answer.status_code for answer in written_by(server, experiment, adder)] == [503] * 5
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


def test_the_end_of_a_run_is_written_when_there_is_room_again_and_what_waits_goes_on(
    disk, start_gate, gate
):
    server = disk.start("--max-runs", "1")
    experiment = experiment_in(server)
    run, opened = start_gate(server, experiment)
    waiting = create_run(server, experiment, gate, path=str(opened))
    disk.fill()
    opened.touch()
    said(server, "Reports of runs cannot be recorded: the disk is full")
    assert (state(server, run), state(server, waiting)) == ("RUNNING", "PENDING")
    assert not list(disk.inside.glob(f"namespaces/*/runs/{waiting}"))
    disk.empty()
    for each in (run, waiting):
        wait_until(lambda id=each: state(server, id) == "SUCCEEDED", what="the end")
        assert tasks_of(server, each) == ["SUCCEEDED"]
    assert server.log.read_text().count("cannot be recorded") == 1
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_server_ends_with_ends_of_runs_unwritten_and_the_next_one_settles_them(
    disk, start_gate, end
):
    server = disk.start()
    run, opened = start_gate(server, experiment_in(server))
    disk.fill()
    opened.touch()
    said(server, "Reports of runs cannot be recorded")
    assert getattr(server, end)() in (0, None)
    disk.empty()
    server = disk.start()
    assert state(server, run) == "FAILED"
    assert tasks_of(server, run)[0] in ("SUCCEEDED", "FAILED")


def test_a_task_that_fills_the_disk_fails_with_what_it_said(disk, tmp_path):
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def fill():
        with open("filling", "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    @dsl.pipeline(name="filler")
    def pipeline():
        fill()

    server = disk.start()
    spec = yaml.safe_load(compiled(tmp_path, pipeline).read_text())
    run = create_run(server, experiment_in(server), spec)
    wait_until(
        lambda: "FAILED" in tasks_of(server, run) or "cannot be recorded" in server.log.read_text(),
        what="the failure",
    )
    for file in disk.inside.glob("namespaces/*/runs/*/**/filling"):
        file.unlink()
    wait_until(lambda: state(server, run) == "FAILED", what="the end")
    error = server.get(f"{API}/runs/{run}").json()["error"]["message"]
    assert error == "Task 'fill' failed: OSError: [Errno 28] No space left on device"


def test_a_run_without_a_place_for_its_folder_says_why(disk, gate, tmp_path):
    server = disk.start()
    experiment = experiment_in(server)
    namespaces = disk.folder / "namespaces"
    disk.mount("--bind", namespaces, namespaces)
    disk.mount("-o", "remount,bind,ro", namespaces)
    run = create_run(server, experiment, gate, path=str(tmp_path))
    wait_until(lambda: state(server, run) == "FAILED", what="the end")
    error = server.get(f"{API}/runs/{run}").json()["error"]["message"]
    assert error == "the run could not be executed: the disk is read-only"
    assert "Traceback" not in server.log.read_text()


def test_a_recurring_run_that_finds_no_room_can_fire_when_there_is(disk, gate, tmp_path):
    server = disk.start()
    body = {
        "display_name": "often",
        "experiment_id": experiment_in(server),
        "pipeline_spec": gate,
        "runtime_config": {"parameters": {"path": str(tmp_path)}},
        "max_concurrency": "1",
        "mode": "ENABLE",
        "no_catchup": True,
        "trigger": {"periodic_schedule": {"interval_second": "2"}},
    }
    recurring = server.post(f"{API}/recurringruns", body).json()["recurring_run_id"]
    disk.fill()
    said(server, "could not start a run: the disk is full")
    disk.empty()
    # It would be tried again after a while, or now when something about it changes.
    assert server.post(f"{API}/recurringruns/{recurring}:enable").status_code == 200
    wait_until(lambda: server.get(f"{API}/runs", namespace="alice").json(), what="the run")
    assert "Traceback" not in server.log.read_text()


def test_tokens_that_cannot_be_renewed_are_renewed_when_there_is_room(disk):
    server = disk.start("--token-lifetime", "2")
    disk.fill()
    said(server, f"The data folder {disk.folder} cannot be used: the disk is full (renewal of the")
    wait_until(
        lambda: server.get(f"{API}/experiments", namespace="alice").status_code == 401,
        what="the expiry",
    )
    disk.empty()
    wait_until(
        lambda: server.get(f"{API}/experiments", namespace="alice").status_code == 200,
        what="the renewal",
    )
    assert "Traceback" not in server.log.read_text()


# Starts that cannot be


@pytest.fixture
def kept(disk):
    """A disk with the data folder of a server that was killed, with something in its database."""
    server = disk.start()
    experiment_in(server)
    server.kill()
    return disk


def refused(disk):
    """Return the words of a start that must fail."""
    command = [*disk.within, sys.executable, "-m", "jupyter_kfp_mt.local", "--data", disk.folder]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (result.returncode, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr
    return result.stderr


def database_of(disk):
    """Every byte of it, and of the log that belongs to it."""
    return [(disk.inside / f"kfp.db{part}").read_bytes() for part in ("", "-wal")]


def test_a_server_does_not_start_on_a_full_disk_and_does_when_there_is_room(kept):
    kept.fill()
    assert "the disk is full" in (error := refused(kept))
    assert str(kept.folder) in error and "Make room on it" in error
    kept.empty()
    server = kept.start()
    assert len(server.get(f"{API}/experiments", namespace="alice").json()["experiments"]) == 1


def test_a_server_does_not_start_on_a_new_disk_that_is_full(disk):
    (disk.inside / MARK).touch()  # for what fills it is not the local KFP's
    disk.fill()
    error = refused(disk)
    assert str(disk.folder) in error
    assert "the disk is full" in error or "No space left on device" in error
    disk.empty()
    disk.start()


def test_a_server_does_not_start_on_a_read_only_disk_and_does_when_it_can_be_written(kept):
    before = database_of(kept)
    kept.mount("-o", "remount,bind,ro", kept.folder)
    assert "Read-only file system" in (error := refused(kept))
    assert str(kept.folder) in error and "--data" in error
    assert database_of(kept) == before
    kept.mount("-o", "remount,bind,rw", kept.folder)
    server = kept.start()
    assert len(server.get(f"{API}/experiments", namespace="alice").json()["experiments"]) == 1
