"""JupyterHub's own proxy, configurable-http-proxy: the program as npm has it."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from harness.paths import ROOT
from harness.waiting import wait_until

PROGRAM = Path(
    os.environ.get("CONFIGURABLE_HTTP_PROXY")
    or Path(sys.prefix) / "proxy/node_modules/.bin/configurable-http-proxy"
)


def program():
    """Its path; a test that needs it is skipped where it is not there."""
    if not PROGRAM.exists() or not _path_to_node():
        pytest.skip(
            f"There is no {PROGRAM}, or no node to run it: `.ci/setup proxy` installs JupyterHub's "
            "proxy there, or CONFIGURABLE_HTTP_PROXY names another."
        )
    return str(PROGRAM)


def environment():
    """In which it finds node: there may be one in the virtual environment alone."""
    return {**os.environ, "PATH": _path_to_node()}


def free_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


def listens(port):
    with socket.socket() as knocking:
        return knocking.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def before(port):
    """The address of a proxy whose requests all go to a port of this machine."""
    own, api = free_port(), free_port()
    command = [program(), "--ip=127.0.0.1", f"--port={own}", "--api-ip=127.0.0.1"]
    command += [f"--api-port={api}", f"--default-target=http://127.0.0.1:{port}"]
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment()}
    process = subprocess.Popen(command, **options)
    try:
        wait_until(lambda: listens(own), 300, "JupyterHub's proxy")
        yield f"http://127.0.0.1:{own}"
    finally:
        process.terminate()
        process.wait()


def _path_to_node():
    path = os.pathsep.join([os.environ.get("PATH", ""), str(ROOT / ".venv/bin")])
    return path if shutil.which("node", path=path) else ""
