"""A Jupyter server with our extension: in this process, and in one of its own."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys

import pytest
import requests
from harness import secrecy
from harness.paths import ROOT
from harness.waiting import PATIENCE, wait_until
from IPython.core.interactiveshell import InteractiveShell


@pytest.fixture
def door(jp_serverapp, jp_asyncio_loop, http_server):
    """The server with its extensions started: its kernels' door, and their key."""
    from jupyter_kfp_mt.connection.door_client import Door

    extensions = jp_serverapp.extension_manager
    jp_asyncio_loop.run_until_complete(extensions.start_all_extensions())
    door = Door.of_this_process()
    return door.address, door.key


@pytest.fixture
def key_file(tmp_path):
    """With the key to a door."""
    path = tmp_path / "door.key"
    path.write_text("the-key")
    return str(path)


@pytest.fixture
def token_file(tmp_path):
    """For a KFP that takes anybody's word."""
    path = tmp_path / "token"
    path.write_text("first")
    return path


@pytest.fixture
def server_in_pod(local_kfp, cluster_kfp, kfam, in_pod, tmp_path, monkeypatch):
    """The configuration of a Jupyter server in alice's pod."""
    monkeypatch.setenv("KFP_MT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    in_pod()
    return server_config(
        endpoint=cluster_kfp.endpoint,
        token_file=str(local_kfp.token_file("alice/default-editor")),
        kfam_endpoint=kfam.endpoint,
        behind_kubeflow_gateway=True,
    )


@pytest.fixture
def shell():
    """An IPython that has loaded `%kfp`."""
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "jupyter_kfp_mt")
    yield shell
    shell.run_line_magic("unload_ext", "jupyter_kfp_mt")
    InteractiveShell.clear_instance()


def server_config(**settings):
    """For `jp_server_config`: a Jupyter server with our extension, and these settings of `Kfp`."""
    server = {
        "jpserver_extensions": {"jupyter_kfp_mt": True},
        "allow_unauthenticated_access": False,
        "reraise_server_extension_failures": True,
        "terminals_enabled": False,
    }
    return {"ServerApp": server, "Kfp": settings}


# Without those that are only slow to start.
OURS_ALONE = {"jupyter_kfp_mt": True, "jupyterlab": False, "jupyter_lsp": False}


@contextlib.contextmanager
def jupyter_server(folder, endpoint, token_file, *options):
    """One in a process of its own, whose token is `test`: the process and the port."""
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"]
    command += ["--port=0", "--IdentityProvider.token=test", *options]
    command += [f"--ServerApp.jpserver_extensions={OURS_ALONE}"]
    command += [f"--Kfp.endpoint={endpoint}", f"--Kfp.token_file={token_file}"]
    runtime = folder / "runtime"
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    environment["JUPYTER_RUNTIME_DIR"] = str(runtime)
    secrecy.LOGS.add(folder / "log")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)

    def port():
        """Where it listens, as its file says: that may not be there yet, or not all of it."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((runtime / f"jpserver-{process.pid}.json").read_text())["port"]
            with socket.create_connection(("127.0.0.1", found)):
                return found

    try:
        yield process, wait_until(port, what="a Jupyter server")
    finally:
        process.terminate()
        process.wait()


async def call(method, url, **kwargs):
    """A request from outside, while the server answers on this loop."""
    kwargs = {"timeout": PATIENCE, "allow_redirects": False, **kwargs}
    answer = await asyncio.to_thread(requests.request, method, url, **kwargs)
    assert kwargs.get("stream") or not secrecy.tells_token(answer.text + str(answer.headers))
    return answer
