"""The kernels' way in: from wherever the Jupyter server listens, with a key that is renewed."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from fakes.kubernetes_api import Certificates
from fakes.odd_kfp import OddKfp
from harness import secrecy
from harness.jupyter_server import call
from harness.paths import ROOT
from harness.real_kernel import in_kernel
from harness.waiting import wait_until

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.connection import choose_connection, connections
from jupyter_kfp_mt.connection.choose_connection import decide
from jupyter_kfp_mt.connection.door_client import Door
from jupyter_kfp_mt.extension import kernel_door
from jupyter_kfp_mt.settings import Kfp

RUNS = "/apis/v2beta1/runs?namespace=alice"


@pytest.fixture
def behind():
    kfp = OddKfp()
    yield kfp
    kfp.close()


# --- a server that listens elsewhere ----------------------------------------------------------


def on_this_machine(folder):
    return ["--port=0", "--ip=127.0.0.1"]


def on_all_addresses(folder):
    return ["--port=0", "--ip=0.0.0.0", "--ServerApp.trust_xheaders=True"]


def on_ipv6(folder):
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return ["--port=0", "--ip=::1"]
    pytest.skip("This machine has no IPv6.")


def on_a_unix_socket(folder):
    return [f"--sock={folder}/s"]


def with_client_certificates(folder):
    """As JupyterHub's `internal_ssl` has it; its own certificate is for another name."""
    made = Certificates(folder)
    certificate, key = made.server(["jupyter.example.com"])
    shown = [f"--certfile={certificate}", f"--keyfile={key}", f"--client-ca={made.authority}"]
    return ["--port=0", "--ip=", *shown]


@contextlib.contextmanager
def started(folder, endpoint, options):
    """A Jupyter server that starts a kernel: its process, and the folder of its state."""
    runtime, log = folder / "runtime", folder / "log"
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.jpserver_extensions={EXTENSIONS}"]
    command += [f"--Kfp.endpoint={endpoint}", f"--Kfp.token_file={folder}/token", *options]
    (folder / "one_kernel.py").write_text(ONE_KERNEL)
    state = {"JUPYTER_CONFIG_DIR": str(folder), "JUPYTER_RUNTIME_DIR": str(runtime)}
    paths = os.pathsep.join([str(ROOT), str(folder)])
    secrecy.LOGS.add(log)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **state, "PYTHONPATH": paths},
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: (folder / "kernel").exists(), 300, "a kernel")
        secrecy.SECRETS.update(path.read_text() for path in runtime.glob("kfp-mt-*.key"))
        yield process, runtime
    finally:
        process.terminate()
        process.wait()


# It needs no request from outside, which is another one for each way to listen.
ONE_KERNEL = """
import pathlib

def _load_jupyter_server_extension(server):
    pass

async def _start_jupyter_server_extension(server):
    found = await server.kernel_manager.start_kernel(kernel_name="python3")
    pathlib.Path("kernel.new").write_text(found)
    pathlib.Path("kernel.new").rename("kernel")
"""

# Without those that are only slow to start.
EXTENSIONS = {"jupyter_kfp_mt": True, "one_kernel": True, "jupyterlab": False, "jupyter_lsp": False}

WAYS = [
    on_this_machine,
    on_all_addresses,
    on_ipv6,
    on_a_unix_socket,
    with_client_certificates,
]


@pytest.mark.parametrize("way", WAYS)
def test_a_kernel_gets_through_however_its_server_listens(behind, tmp_path, way):
    (tmp_path / "token").write_text("first")
    with started(tmp_path, behind.endpoint, way(tmp_path)) as (_, runtime):
        said = in_kernel(
            runtime / f"kernel-{(tmp_path / 'kernel').read_text()}.json",
            "import jupyter_kfp_mt\n"
            "print(jupyter_kfp_mt.connect(namespace='alice').run_page().items)\n",
        )
    assert said == "[]\n"
    assert [asked.headers["Authorization"] for asked in behind.seen] == ["Bearer first"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_is_stopped_takes_its_key_with_it(behind, tmp_path, how):
    (tmp_path / "token").write_text("first")
    with started(tmp_path, behind.endpoint, on_this_machine(tmp_path)) as (process, runtime):
        assert len([*runtime.glob("kfp-mt-*")]) == 1
        process.send_signal(how)
        process.wait(300)
        assert [*runtime.glob("kfp-mt-*")] == []


# --- the key ----------------------------------------------------------------------------------


@pytest.fixture
def renew(door, jp_serverapp):
    """Has the server renew its kernels' key, as it does now and then."""
    (app,) = jp_serverapp.extension_manager.extension_apps["jupyter_kfp_mt"]
    return app.kernels._renew


def listed(address, key, **headers):
    headers = {"Authorization": f"Bearer {key}", **headers}
    return call("GET", f"{address}/api{RUNS}", headers=headers)


async def test_nobody_else_may_read_the_key(door):
    found = Path(Door.of_this_process().key_file).stat()
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_uid == os.getuid()


async def test_a_key_holds_for_one_period_after_it_was_renewed(door, renew):
    address, key = door
    renew()
    assert (await listed(address, key)).ok
    renew()
    refused = await listed(address, key)
    assert (refused.status_code, refused.json()["kind"]) == (403, "Forbidden")
    assert "is not valid at this Jupyter server" in refused.json()["message"]
    assert (await listed(address, Door.of_this_process().key)).ok


async def test_a_kernel_goes_on_with_the_new_key(door, renew):
    def at_work():
        client = decide(Kfp()).client()
        yield client.run_page().items
        yield client.run_page().items
        client.close()

    working = at_work()
    assert await asyncio.to_thread(next, working) == []
    renew(), renew(), renew()
    assert await asyncio.to_thread(next, working) == []
    await asyncio.to_thread(next, working, None)


async def test_it_is_renewed_by_itself(monkeypatch, jp_serverapp, jp_asyncio_loop, http_server):
    monkeypatch.setattr(kernel_door, "RENEW_SECONDS", 0.05)
    await jp_serverapp.extension_manager.start_all_extensions()
    first = Door.of_this_process().key
    await asyncio.to_thread(wait_until, lambda: Door.of_this_process().key != first)


async def test_a_key_that_cannot_be_renewed_is_kept_and_that_is_said(
    door, renew, jp_serverapp, caplog
):
    address, key = door
    folder = Path(Door.of_this_process().key_file).parent
    folder.rename(folder.with_suffix(".away"))
    jp_serverapp.log.propagate = True
    for _ in range(3):
        renew()
    folder.with_suffix(".away").rename(folder)
    assert (await listed(address, key)).ok
    assert "could not renew" in caplog.text and "the old one stays valid" in caplog.text


async def test_a_server_that_cannot_write_one_says_so_and_starts(
    jp_serverapp, jp_fetch, caplog, monkeypatch, http_server
):
    monkeypatch.delenv("KFP_MT_DOOR", raising=False)
    full = OSError(errno.ENOSPC, "No space left on device", "/full/kfp-mt.new")
    monkeypatch.setattr(kernel_door.Keys, "renew", mock.Mock(side_effect=full))
    jp_serverapp.log.propagate = True
    await jp_serverapp.extension_manager.start_all_extensions()
    assert "kernels cannot use this server" in caplog.text and "/full/kfp-mt.new" in caplog.text
    assert Door.of_this_process() is None
    assert (await jp_fetch("kfp-mt", "status")).code == 200


@pytest.mark.parametrize(
    "header",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Proto": "http"},
        {"x-real-ip": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 hub"},
        {"Host": "hub.example.com"},
        {"Host": "localhost:8888"},
    ],
    ids=str,
)
async def test_a_key_that_came_through_a_proxy_is_refused(door, behind, header):
    refused = await listed(*door, **header)
    assert (refused.status_code, refused.json()["kind"]) == (403, "Forbidden")
    assert "through a proxy are refused" in refused.json()["message"]
    assert not behind.seen


async def test_the_key_is_worth_nothing_at_the_servers_own_address(door, home, behind):
    assert (await listed(f"{home}/kfp-mt", door[1])).status_code == 403
    assert not behind.seen


async def test_a_kernel_of_another_release_is_told_the_cure_once(door, behind, monkeypatch):
    monkeypatch.setattr(connections, "RELEASE", "9.8.7")  # of the server, in this process
    choose_connection._warn_once.cache_clear()
    with pytest.warns(UserWarning, match="runs 9.8.7.* jupyter-kfp-mt==9.8.7") as told:
        for _ in range(2):
            await asyncio.to_thread(decide, Kfp(namespace="alice"))
    assert len(told) == 1


async def test_once_the_server_has_stopped_a_kernel_is_told_to_restart(door, jp_serverapp):
    kernel = Door.of_this_process()
    client = (await asyncio.to_thread(decide, Kfp(namespace="alice"))).client()
    await jp_serverapp.extension_manager.stop_all_extensions()
    assert not Path(kernel.key_file).exists()
    assert Door.of_this_process() is None
    with pytest.raises(errors.Unreachable, match="restart this kernel"):
        await asyncio.to_thread(client.run_page)
    client.close()
