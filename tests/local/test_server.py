"""The local KFP as a process: starting, refusing to start, stopping, and being killed."""

import asyncio
import contextlib
import json
import os
import socket
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from harness.local_kfp import LocalKfp
from harness.paths import ROOT
from harness.waiting import wait_until

from jupyter_kfp_mt.local.data.data_folder_mark import MARK
from jupyter_kfp_mt.local.database.schema import opened

API = "/apis/v2beta1"


@pytest.fixture
def fails_to_start(tmp_path, profiles):
    """The exit code and the standard error of a server that should not start."""

    def start(*arguments, **environment):
        command = [sys.executable, "-m", "jupyter_kfp_mt.local"]
        if "--data" not in arguments:
            command += ["--data", str(tmp_path / "data")]
        result = subprocess.run(
            [*command, *map(str, arguments)],
            cwd=ROOT,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        return result.returncode, result.stderr

    return start


def test_a_server_says_where_it_is_and_takes_it_back_at_the_end(start_local_kfp):
    server = start_local_kfp()
    path = server.data / "server.json"
    assert json.loads(path.read_text()) == {
        "endpoint": server.endpoint,
        "tokens": str(server.data / "tokens"),
        "pid": server.process.pid,
        "while_used": False,
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert server.stop() == 0
    assert not path.exists()


def test_kfp_is_not_imported_by_the_server():
    script = (
        "import sys; import jupyter_kfp_mt.local.server; "
        "sys.exit('kfp' in sys.modules or 'kubernetes' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0


def test_a_second_server_on_a_folder_names_the_first(start_local_kfp, fails_to_start):
    first = start_local_kfp()
    code, error = fails_to_start("--data", first.data)
    assert code == 3
    assert f"process {first.process.pid} at {first.endpoint}" in error
    assert first.get(f"{API}/healthz").status_code == 200


def test_a_port_in_use_is_named(fails_to_start):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, error = fails_to_start("--port", port)
    assert code == 2
    assert f"Port {port} on 127.0.0.1 is in use" in error
    assert "--port" in error


def test_an_address_of_another_machine_cannot_be_listened_on(fails_to_start):
    code, error = fails_to_start("--host", "192.0.2.1")
    assert code == 2
    assert "Cannot listen on 192.0.2.1" in error


def test_an_address_beyond_loopback_is_warned_of(start_local_kfp):
    server = start_local_kfp("--host", "0.0.0.0")
    assert server.get(f"{API}/healthz").status_code == 200
    assert "meant for one machine" in server.log.read_text()


def test_a_data_folder_that_cannot_be_is_named(fails_to_start, tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", "/proc/nothing"):
        code, error = fails_to_start("--data", folder)
        assert code == 2
        assert f"The data folder {folder} cannot be used" in error
        assert "--data" in error


def database(path, *statements):
    with contextlib.closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def of_a_newer_version(path):
    database(path, "PRAGMA journal_mode = WAL", "CREATE TABLE t (x)", "PRAGMA user_version = 1000")


def of_a_newer_version_whose_server_was_killed(path):
    script = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "db.execute('PRAGMA journal_mode = WAL'); db.execute('PRAGMA user_version = 1000'); "
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, path], check=True)


def of_something_else(path):
    database(path, "CREATE TABLE customers (name TEXT)")


def no_database(path):
    path.write_bytes(b"no database" * 1000)


def damaged(path):
    with contextlib.closing(opened(path)):
        pass
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 1000)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(of_a_newer_version, "is of version 1000", id="newer"),
        pytest.param(
            of_a_newer_version_whose_server_was_killed, "is of version 1000", id="newer and killed"
        ),
        pytest.param(of_something_else, "it is not one of the local KFP", id="another"),
        pytest.param(no_database, "file is not a database", id="none"),
        pytest.param(damaged, "the database is damaged", id="damaged"),
        pytest.param(Path.mkdir, "the database cannot be opened", id="folder"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_and_left_as_it_is(
    fails_to_start, tmp_path, make, why
):
    path = marked(tmp_path / "data") / "kfp.db"
    make(path)
    before = files_of_database(path)
    code, error = fails_to_start()
    assert code == 2
    assert f"The database {path}" in error and why in error
    assert "--data" in error
    assert files_of_database(path) == before


def marked(folder):
    """A data folder that the local KFP knows for its own."""
    folder.mkdir()
    (folder / MARK).touch()
    return folder


def files_of_database(path):
    """The bytes of each, without those of the memory that processes share."""
    files = [file for file in path.parent.glob("kfp.db*") if file.suffix != ".db-shm"]
    return {file.name: file.is_file() and file.read_bytes() for file in files}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a: [", "it is not YAML (line ", id="not YAML"),
        pytest.param("", "Expected `object`, got `null`", id="empty"),
        pytest.param("profiles: []", "it contains no profile", id="none"),
        pytest.param("profiles: 5", "Expected `array`, got `int` - at `$.profiles`", id="shape"),
        pytest.param(
            "profiles: [{namespace: a, owner: o, role: x}]", "unknown field `role`", id="key"
        ),
        pytest.param("profiles: [{namespace: a}]", "required field `owner`", id="no owner"),
        pytest.param(
            "profiles: [{namespace: a, owner: o}, {namespace: A_b, owner: o}]",
            "profile 2 ('A_b'): a namespace has at most 63 lower-case letters",
            id="namespace",
        ),
        pytest.param(
            "profiles: [{namespace: a, owner: o}, {namespace: a, owner: p}]",
            "profile 1 ('a'): another profile has the same namespace",
            id="twice",
        ),
        pytest.param(
            "profiles: [{namespace: a, owner: o, contributors: {p: admin}}]",
            "profile 1 ('a'): unknown role 'admin' of contributor 'p'",
            id="role",
        ),
        pytest.param(
            'profiles: [{namespace: a, owner: "../../x"}]',
            "cannot be the name of a user",
            id="user",
        ),
        pytest.param(
            "profiles: [{namespace: a, owner: o, "
            'contributors: {"system:serviceaccount:b:x": view}}]',
            "there is no service account 'system:serviceaccount:b:x'",
            id="service account",
        ),
        pytest.param(
            "profiles: [{namespace: a, owner: o, secrets: {s: {password: 5}}}]",
            "profile 1 ('a'): secret 's': the value of 'password' is a number instead of a text; "
            "write it in quotes, password: '...'",
            id="secret",
        ),
        pytest.param(
            "profiles: [{namespace: a, owner: o, configMaps: {c: {rate: 0.5}}}]",
            "profile 1 ('a'): config map 'c': the value of 'rate' is a number instead of a text",
            id="config map",
        ),
    ],
)
def test_a_bad_profiles_file_is_refused_with_the_place(fails_to_start, tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    code, error = fails_to_start("--profiles", path)
    assert code == 2
    assert message in error
    assert str(path) in error


def test_what_is_wrong_with_a_secret_is_said_without_it(fails_to_start, tmp_path):
    path = tmp_path / "bad.yaml"
    for value in ("31415", "2026-05-06", "yes", "27182.8"):
        path.write_text(f"profiles: [{{namespace: a, owner: o, secrets: {{s: {{p: {value}}}}}}}]")
        _, error = fails_to_start("--profiles", path)
        assert "the value of 'p' is a " in error
        assert value not in error.replace(str(path), "")


def test_a_missing_profiles_file_is_named(fails_to_start, tmp_path):
    code, error = fails_to_start("--profiles", tmp_path / "none.yaml")
    assert code == 2
    assert "none.yaml cannot be used: No such file or directory" in error


def test_without_kfp_the_cure_is_an_install(fails_to_start, tmp_path):
    (tmp_path / "bare").mkdir()
    script = tmp_path / "bare" / "sitecustomize.py"
    script.write_text("import sys\nsys.modules['kfp'] = None\n")
    code, error = fails_to_start(PYTHONPATH=str(script.parent))
    assert code == 2
    assert "pip install 'jupyter-kfp-mt[local]'" in error


def test_without_profiles_there_is_one_namespace_with_the_users_name(tmp_path, monkeypatch):
    from jupyter_kfp_mt.local.tenants.profiles import single_profile

    for user, namespace in {"Ann.Smith": "ann-smith", "_": "default", "x" * 80: "x" * 63}.items():
        monkeypatch.setenv("LOGNAME", user)
        assert single_profile().users() == {f"{namespace}@localhost"}


def test_a_server_for_its_users_stops_after_the_last_of_them(start_local_kfp):
    server = start_local_kfp("--while-used")
    users = [os.open(server.data / "in-use", os.O_WRONLY | os.O_NONBLOCK) for _ in range(2)]
    os.close(users.pop())
    assert server.get(f"{API}/healthz").status_code == 200
    assert server.process.poll() is None
    os.close(users.pop())
    assert server.process.wait(timeout=60) == 0
    assert not (server.data / "server.json").exists()


def test_a_server_that_is_not_for_its_users_stays(start_local_kfp):
    server = start_local_kfp()
    os.close(os.open(server.data / "in-use", os.O_WRONLY | os.O_NONBLOCK))
    assert server.get(f"{API}/healthz").status_code == 200
    assert server.stop() == 0


def test_what_was_acknowledged_survives_kill_9(start_local_kfp):
    acknowledged = []
    for number in range(3):
        server = start_local_kfp()
        body = {"display_name": f"e{number}", "namespace": "alice"}
        acknowledged.append(server.post(f"{API}/experiments", body).json())
        server.kill()
    server = start_local_kfp()
    listed = server.get(f"{API}/experiments", namespace="alice").json()
    assert listed["experiments"] == acknowledged


def test_a_run_that_was_executing_at_a_kill_9_is_failed_and_one_that_waited_is_executed(
    start_local_kfp, tmp_path, sleeper
):
    server = start_local_kfp("--max-runs", "1")
    body = {"display_name": "e", "namespace": "alice"}
    experiment = server.post(f"{API}/experiments", body).json()
    wish = {"experiment_id": experiment["experiment_id"], "pipeline_spec": sleeper}
    running, waiting = (
        server.post(f"{API}/runs", wish | {"display_name": name}).json()["run_id"]
        for name in ("first", "second")
    )
    wait_until(lambda: "sleeping" in first_log(server, running), what="the start of the task")
    server.kill()

    server = start_local_kfp("--max-runs", "1")
    killed = server.get(f"{API}/runs/{running}").json()
    assert killed["state"] == "FAILED"
    assert killed["error"]["code"] == 13
    assert killed["error"]["message"]
    assert killed["finished_at"] >= killed["created_at"]
    wait_until(
        lambda: server.get(f"{API}/runs/{waiting}").json()["state"] == "RUNNING",
        what="the start of the run that waited",
    )


def first_log(server, run_id):
    tasks = server.get(f"{API}/runs/{run_id}").json().get("run_details", {}).get("task_details", [])
    logs = [f"/apis/v1alpha1/runs/{run_id}/nodes/{task['task_id']}/log" for task in tasks]
    return "".join(server.get(path).text for path in logs)


@pytest.fixture(scope="session")
def sleeper(tmp_path_factory):
    """The specification of a pipeline that sleeps for ten minutes."""
    import warnings

    import yaml

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from kfp import compiler, dsl

        @dsl.component
        def sleep():
            import time

            print("sleeping", flush=True)
            time.sleep(600)

        @dsl.pipeline(name="sleeper")
        def pipeline():
            sleep()

        path = tmp_path_factory.mktemp("sleeper") / "sleeper.yaml"
        compiler.Compiler().compile(pipeline, str(path))
    return yaml.safe_load(path.read_text())


def test_a_server_for_its_users_stops_if_none_comes(tmp_path):
    from jupyter_kfp_mt.local.server import Stop

    async def wait_for_stop():
        stop = Stop(in_use, while_used=True, first_user_within=0.01)
        await asyncio.wait_for(stop.wait(), timeout=60)

    os.mkfifo(tmp_path / "in-use")
    in_use = os.open(tmp_path / "in-use", os.O_RDONLY | os.O_NONBLOCK)
    asyncio.run(wait_for_stop())


def test_a_user_who_comes_in_time_keeps_the_server_running(tmp_path):
    from jupyter_kfp_mt.local.server import Stop

    async def wait_for_stop():
        stop = Stop(in_use, while_used=True, first_user_within=0.01)
        waiting = asyncio.create_task(stop.wait())
        assert not (await asyncio.wait([waiting], timeout=0.2))[0]
        os.close(user)
        await asyncio.wait_for(waiting, timeout=60)
        with pytest.raises(OSError):  # nobody reads it any more
            os.open(tmp_path / "in-use", os.O_WRONLY | os.O_NONBLOCK)

    os.mkfifo(tmp_path / "in-use")
    in_use = os.open(tmp_path / "in-use", os.O_RDONLY | os.O_NONBLOCK)
    user = os.open(tmp_path / "in-use", os.O_WRONLY | os.O_NONBLOCK)
    asyncio.run(wait_for_stop())


@pytest.mark.parametrize("text", ["not a key", "", "00" * 16, "\xff"])
def test_a_damaged_key_is_named_and_left_as_it_is(fails_to_start, tmp_path, text):
    key = marked(tmp_path / "data") / "keys" / "signing-key"
    key.parent.mkdir()
    key.write_text(text, encoding="latin-1")
    code, error = fails_to_start()
    assert code == 2
    assert f"The key that signs tokens, {key}, is damaged" in error
    assert key.read_text(encoding="latin-1") == text


def test_a_key_that_cannot_be_read_is_named(fails_to_start, tmp_path):
    key = marked(tmp_path / "data") / "keys" / "signing-key"
    key.mkdir(parents=True)
    code, error = fails_to_start()
    assert code == 2
    assert f"The key that signs tokens, {key}, cannot be read: Is a directory" in error


def test_a_start_without_profiles_goes_on_with_the_last_ones(start_local_kfp, tmp_path):
    first = start_local_kfp()
    assert first.stop() == 0
    again = LocalKfp(first.data)
    assert again.get("/apis/v2beta1/runs", namespace="alice").status_code == 200
    assert again.stop() == 0
