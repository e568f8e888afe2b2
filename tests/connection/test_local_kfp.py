"""Finding, starting and sharing the local KFP of a data folder."""

import fcntl
import os
import stat
from concurrent.futures import ThreadPoolExecutor, wait

import psutil
import pytest
import requests
from harness.waiting import wait_until

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.connection.local_kfp import LocalKfpUse, running
from jupyter_kfp_mt.local.data.data_folder import DataFolder


def alive(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


def test_users_of_one_folder_share_one_server_which_stops_after_the_last(folder, profiles):
    with ThreadPoolExecutor(3) as threads:
        leases = list(threads.map(lambda _: LocalKfpUse(folder, str(profiles)), range(3)))
    servers = {(lease.kfp.endpoint, lease.kfp.pid) for lease in leases}
    assert len(servers) == 1
    for lease in leases[:2]:
        lease.close()
    assert running(folder).namespaces == ["alice", "bob", "kubeflow"]
    leases[2].close()
    wait_until(lambda: running(folder) is None)


def test_a_server_that_died_is_replaced(folder, profiles):
    first = LocalKfpUse(folder, str(profiles))
    os.kill(first.kfp.pid, 9)
    wait_until(lambda: running(folder) is None)
    first.close()
    second = LocalKfpUse(folder, str(profiles))
    assert second.kfp.pid != first.kfp.pid
    second.close()
    wait_until(lambda: running(folder) is None)


def test_a_server_that_was_started_by_hand_is_used_and_left_alone(start_local_kfp):
    server = start_local_kfp()
    lease = LocalKfpUse(server.data)
    assert lease.kfp.endpoint == server.endpoint
    lease.close()
    assert running(server.data).endpoint == server.endpoint


def test_a_server_is_told_which_container_engine_to_use_and_nothing_of_who_we_are(
    folder, profiles, monkeypatch
):
    monkeypatch.setenv("KFP_MT_CONTAINER_ENGINE", "none")
    monkeypatch.setenv("KFP_MT_TOKEN_FILE", "/secrets/token")
    lease = LocalKfpUse(folder, str(profiles))
    environment = psutil.Process(lease.kfp.pid).environ()
    lease.close()
    wait_until(lambda: running(folder) is None)
    assert environment["KFP_MT_CONTAINER_ENGINE"] == "none"
    assert "KFP_MT_TOKEN_FILE" not in environment


def test_a_server_that_cannot_start_says_why_in_its_own_words(folder, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("profiles: [{namespace: NOT A LABEL, owner: x}]")
    with pytest.raises(errors.Misconfigured, match="local KFP cannot start: .*NOT A LABEL"):
        LocalKfpUse(folder, str(wrong))


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.Misconfigured, match="file/data cannot be used") as error:
        LocalKfpUse(tmp_path / "file" / "data")
    assert "KFP_MT_DATA" in str(error.value)


def test_a_server_that_was_leased_keeps_its_log_in_its_folder(folder, profiles):
    lease = LocalKfpUse(folder, str(profiles))
    answer = requests.post(f"{lease.kfp.endpoint}/apis/v2beta1/experiments", json={}, timeout=30)
    assert answer.status_code == 400
    log = folder / "server.log"
    wait_until(lambda: "POST /apis/v2beta1/experiments 400" in log.read_text(), what="the line")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    stderr = f"/proc/{lease.kfp.pid}/fd/2"
    wait_until(lambda: os.readlink(stderr) == str(log), what="what else it says going there")
    lease.close()
    wait_until(lambda: running(folder) is None)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"endpoint": "http://127.0.0.1:1"}'])
def test_a_trace_of_a_server_that_is_gone_is_no_server(folder, content):
    folder.mkdir()
    (folder / "server.json").write_text(content)
    assert running(folder) is None


def test_whoever_has_the_port_of_a_dead_server_is_not_taken_for_it(folder, local_kfp):
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "server.json").write_bytes((local_kfp.data / "server.json").read_bytes())
    assert running(folder) is None
    assert running(local_kfp.data).endpoint == local_kfp.endpoint


def test_packages_that_are_missing_are_named_as_pypi_does_with_a_line_to_paste(
    folder, tmp_path, monkeypatch
):
    bare = tmp_path / "bare"
    bare.mkdir()
    absent = "import sys; sys.modules['kfp'] = sys.modules['jwt'] = None"
    (bare / "sitecustomize.py").write_text(absent)
    monkeypatch.setenv("PYTHONPATH", str(bare))
    with pytest.raises(errors.Misconfigured, match="not installed: kfp, PyJWT") as error:
        LocalKfpUse(folder)
    sentence, _, paste = error.value.cure.partition("\n")
    assert paste == "pip install 'jupyter-kfp-mt[local]'" and "pip" not in error.value.message
    assert "restart the Jupyter server" in sentence


def test_who_looks_whether_a_folder_is_served_stands_in_nobodys_way(folder):
    with DataFolder(folder):
        pass

    def enter():
        with DataFolder(folder), pytest.raises(errors.Misconfigured, match="already serves"):
            DataFolder(folder).__enter__()

    with ThreadPoolExecutor(1) as thread, (folder / "lock").open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        entering = thread.submit(enter)
        wait([entering], timeout=0.2)  # it would be refused by then
        fcntl.flock(looking, fcntl.LOCK_UN)
        entering.result(timeout=60)
