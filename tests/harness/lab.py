"""A real JupyterLab and a real Chromium."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys

import pytest
import requests
from harness import secrecy
from harness.paths import ROOT
from harness.waiting import PATIENCE, wait_until

from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.connection import local_kfp
from jupyter_kfp_mt.credentials import TokenFile

# Chromium asks for things outside at its start unless it is told not to.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium():
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    found = next(filter(None, map(shutil.which, filter(None, names))), None)
    return found or pytest.fail("Install Chromium, or name one in the variable CHROMIUM.")


# A namespace of others, in which alice may work: the demo's two have nothing in common.
TEAM = """
- namespace: team
  owner: carol@example.com
  contributors: {"system:serviceaccount:alice:default-editor": edit}
"""


class Lab:
    """A JupyterLab of its own, on the demo's configuration and copies of its notebooks."""

    def __init__(self, folder):
        self.root = folder / "notebooks"
        self.data = folder / "data"
        self.root.mkdir()
        for notebook in (ROOT / "binder").glob("*.ipynb"):
            shutil.copy(notebook, self.root)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.token = secrets.token_hex(16)
        self.log = folder / "lab.log"
        secrecy.LOGS.update({self.log, self.data / "server.log"})
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("KFP_MT")},
            "HOME": str(folder),
            "JUPYTER_TOKEN": self.token,
            "IPYTHONDIR": str(folder / "ipython"),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter", "lab", "--allow-root", "--no-browser"]
                + [f"--config={self._config(folder)}"],
                stdout=log,
                stderr=log,
                env=environment,
            )
        try:
            wait_until(self.answers, what="JupyterLab's start")
        except BaseException:
            self.stop()
            raise

    def _config(self, folder):
        config, profiles = folder / "config.py", folder / "profiles.yaml"
        profiles.write_text((ROOT / "binder/profiles.yaml").read_text().rstrip() + TEAM)
        config.write_text(
            f"load_subconfig('jupyter_lab_config.py', {str(ROOT / 'binder')!r})\n"
            "c = get_config()\n"
            f"c.Kfp.data = {str(self.data)!r}\n"
            f"c.Kfp.profiles = {str(profiles)!r}\n"
            f"c.ServerApp.root_dir = {str(self.root)!r}\n"
            f"c.LabApp.workspaces_dir = {str(folder / 'workspaces')!r}\n"
            f"c.ServerApp.port = {self.port}\n"
            "c.ServerApp.port_retries = 0\n"
        )
        return config

    def url(self, path, **parameters):
        query = "&".join(f"{key}={value}" for key, value in parameters.items())
        return f"http://127.0.0.1:{self.port}/{path}?{query}"

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return requests.get(self.url("api"), timeout=1).ok
        except requests.RequestException:
            return False

    def client(self, identity):
        found = wait_until(lambda: local_kfp.running(self.data))
        return Client(found.endpoint, TokenFile(found.token_file(identity)), identity.split("/")[0])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
