"""The door in JupyterHub: a real hub and its proxy, and two users who are two tenants."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys

import pytest
import requests
from harness import hub_proxy, secrecy
from harness.paths import ROOT
from harness.real_kernel import in_kernel
from harness.waiting import wait_until

from jupyter_kfp_mt.connection import local_kfp as lease
from jupyter_kfp_mt.connection.event_reader import parsed

# Seconds that a busy machine may take to start a hub, or a server in it.
LONG = 300

CONFIGURATION = """
import json, pathlib, sys

told = json.loads(pathlib.Path("told.json").read_text())
c.JupyterHub.bind_url = told["address"]
c.JupyterHub.hub_port = told["hub_port"]
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.internal_ssl = told["internal_ssl"]
c.JupyterHub.internal_certs_location = str(pathlib.Path("certificates").absolute())
c.JupyterHub.services = [{"name": "tests", "api_token": told["token"]}]
c.JupyterHub.load_roles = [
    {
        "name": "tests",
        "services": ["tests"],
        "scopes": ["admin:users", "admin:servers", "tokens", "access:servers"],
    }
]
c.ConfigurableHTTPProxy.command = told["proxy"]
c.ConfigurableHTTPProxy.api_url = told["proxy_api"]
c.SimpleLocalProcessSpawner.home_dir_template = str(pathlib.Path("{username}").absolute())
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root", "--ServerApp.jpserver_extensions={'jupyter_kfp_mt': True}"]
c.Spawner.start_timeout = c.Spawner.http_timeout = 300


def tell(name):
    return lambda spawner: told["users"][spawner.user.name].get(name, "")


names = {name for settings in told["users"].values() for name in settings}
c.Spawner.environment = {name: tell(name) for name in names}
c.Spawner.environment["PYTHONPATH"] = told["root"]
exec(told["guide"])
"""

PAGE = (ROOT / "docs/admin/jupyterhub.md").read_text()


def guide(endpoint, tokens, guided):
    """The configuration of the guide for administrators, with this endpoint and folder of tokens.

    Only the users `guided` are given what it says.
    """
    [code] = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    places = {"https://kubeflow.example.com/pipeline": endpoint, "/run/kfp-tokens": str(tokens)}
    for place, own in places.items():
        assert place in code
        code = code.replace(place, own)
    return f"""{code}
by_the_guide = c.Spawner.pre_spawn_hook
c.Spawner.pre_spawn_hook = lambda spawner: (
    by_the_guide(spawner) if spawner.user.name in {guided!r} else None
)
"""


class Hub:
    """A JupyterHub under a prefix of its own."""

    def __init__(self, folder, home, users, internal_ssl=False, guide=""):
        self.folder, self.home = folder, home
        self.address = f"http://127.0.0.1:{hub_proxy.free_port()}/team"
        self._token = "of-the-tests"
        self._tokens = {}
        proxy_api = hub_proxy.free_port()
        told = {
            "address": self.address,
            "hub_port": hub_proxy.free_port(),
            "proxy": [hub_proxy.program()],
            "proxy_api": f"{'https' if internal_ssl else 'http'}://127.0.0.1:{proxy_api}",
            "internal_ssl": internal_ssl,
            "token": self._token,
            "users": users,
            "guide": guide,
            "root": str(ROOT),
        }
        (folder / "told.json").write_text(json.dumps(told))
        (folder / "jupyterhub_config.py").write_text(CONFIGURATION)
        log = folder / "log"
        secrecy.LOGS.add(log)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub"],
                cwd=folder,
                env=hub_proxy.environment(),
                stdout=output,
                stderr=output,
            )

    def close(self):
        self._process.terminate()
        self._process.wait()
        # A hub that was still starting leaves its proxy, and this file, behind.
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self.folder / "jupyterhub-proxy.pid").read_text()), signal.SIGTERM)

    @property
    def has_ended(self):
        return self._process.poll() is not None

    def api(self, method, path):
        headers = {"Authorization": f"token {self._token}"}
        url = f"{self.address}/hub/api{path}"
        return requests.request(method, url, headers=headers, timeout=60)

    def is_there(self):
        """Tell if it answers, and knows already what the tests may do: the latter comes later."""
        with contextlib.suppress(requests.ConnectionError):
            return self.api("GET", "/users").status_code == 200

    def start(self, *users):
        """The users' own servers, once they answer."""
        for user in users:
            assert self.api("POST", f"/users/{user}").status_code == 201
            self._tokens[user] = self.api("POST", f"/users/{user}/tokens").json()["token"]
            secrecy.SECRETS.add(self._tokens[user])
            assert self.api("POST", f"/users/{user}/server").status_code in (201, 202)
        for user in users:
            wait_until(lambda: self.is_ready(user), LONG, f"the server of {user}")  # noqa: B023
            secrecy.SECRETS.update(path.read_text() for path in self.keys(user))

    def stop(self, user):
        assert self.api("DELETE", f"/users/{user}/server").status_code in (202, 204)
        wait_until(lambda: not self.api("GET", f"/users/{user}").json()["server"], LONG)

    def is_ready(self, user):
        servers = self.api("GET", f"/users/{user}").json()["servers"]
        return servers and servers[""]["ready"]

    def ask(self, whose, method, path, who=None, headers=(), **options):
        """A request to somebody's server, of whoever it is or of `who`."""
        headers = {"Authorization": f"token {self._tokens[who or whose]}", **dict(headers)}
        url = f"{self.address}/user/{whose}{path}"
        options = {"timeout": 60, "allow_redirects": False, **options}
        return requests.request(method, url, headers=headers, **options)

    def runtime(self, user):
        return self.home / user / "runtime"

    def keys(self, user):
        return list(self.runtime(user).glob("kfp-mt-*.key"))


def folders(folder, user):
    """The environment of a user's server: where its files are."""
    return {
        "JUPYTER_RUNTIME_DIR": str(folder / user / "runtime"),
        "KFP_MT_DATA": str(folder / user / "data"),
    }


def settings(folder, kfp, user):
    """The environment of a user's server: its folders, and who the user is at a KFP."""
    return {
        **folders(folder, user),
        "KFP_MT_ENDPOINT": kfp.endpoint,
        "KFP_MT_TOKEN_FILE": str(kfp.token_file(f"{user}/default-editor")),
        "KFP_MT_NAMESPACE": user,
    }


@contextlib.contextmanager
def running(folder, users, **options):
    """A hub that answers. Where another program has taken a free port before it, it tries again."""
    for number in range(5):
        place = folder / str(number)
        place.mkdir()
        hub = Hub(place, folder, users, **options)
        try:
            with contextlib.suppress(AssertionError):
                wait_until(lambda: hub.is_there() or hub.has_ended, 100, "JupyterHub")  # noqa: B023
            if hub.is_there():
                yield hub
                return
        finally:
            hub.close()
    raise AssertionError((place / "log").read_text(errors="replace")[-4000:])


@pytest.fixture(scope="module")
def hub(local_kfp, tmp_path_factory):
    """A hub as the guide sets it up for alice and bob; carol has a local KFP of her own."""
    folder = tmp_path_factory.mktemp("hub")
    tokens = tmp_path_factory.mktemp("tokens")
    users = {user: folders(folder, user) for user in ("alice", "bob", "carol")}
    users["carol"]["KFP_MT_ENDPOINT"] = "local"
    for user in ("alice", "bob"):
        (tokens / user).symlink_to(local_kfp.token_file(f"{user}/default-editor"))
    guided = guide(local_kfp.endpoint, tokens, ("alice", "bob"))
    with running(folder, users, guide=guided) as hub:
        hub.start("alice", "bob")
        yield hub


@pytest.mark.parametrize("user", ["alice", "bob"])
def test_each_user_is_the_tenant_of_their_own_server(hub, user):
    status = hub.ask(user, "GET", "/kfp-mt/status").json()
    assert status["error"] is None
    assert status["identity"]["subject"] == f"system:serviceaccount:{user}:default-editor"
    listed = hub.ask(user, "GET", f"/kfp-mt/api/apis/v2beta1/runs?namespace={user}")
    assert listed.status_code == 200


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/kfp-mt/status"),
        ("GET", "/kfp-mt/namespaces"),
        ("GET", "/kfp-mt/events?namespace=alice"),
        ("GET", "/kfp-mt/api/apis/v2beta1/runs?namespace=alice"),
        ("POST", "/kfp-mt/api/apis/v2beta1/experiments"),
        ("POST", "/kfp-mt/contributors?namespace=alice&user=bob@example.com"),
    ],
)
def test_nobody_comes_through_somebody_elses_server(hub, method, path):
    assert hub.ask("alice", method, path, who="bob", json={}).status_code == 403
    nobody = hub.ask("alice", method, path, headers={"Authorization": ""}, json={})
    assert nobody.status_code == 403


def test_a_kernel_gets_through_the_door_of_its_own_server(hub, local_kfp, experiment):
    started = hub.ask("alice", "POST", "/api/kernels")
    said = in_kernel(
        hub.runtime("alice") / f"kernel-{started.json()['id']}.json",
        "%load_ext jupyter_kfp_mt\n"
        "runs = %kfp runs\n"
        "experiments = %kfp experiments\n"
        "print(runs.namespace, [each.display_name for each in experiments])\n",
    )
    assert said.startswith("alice [") and experiment.display_name in said


def test_a_kernel_gets_through_where_the_hub_encrypts_what_its_parts_say(
    local_kfp, tmp_path, experiment
):
    users = {"alice": settings(tmp_path, local_kfp, "alice")}
    with running(tmp_path, users, internal_ssl=True) as hub:
        hub.start("alice")
        started = hub.ask("alice", "POST", "/api/kernels")
        said = in_kernel(
            hub.runtime("alice") / f"kernel-{started.json()['id']}.json",
            "%load_ext jupyter_kfp_mt\nexperiments = %kfp experiments\n"
            "print([each.display_name for each in experiments])\n",
        )
    assert experiment.display_name in said


def test_the_kernels_key_is_worth_nothing_through_the_proxy(hub):
    (key,) = hub.keys("alice")
    headers = {"Authorization": f"Bearer {key.read_text()}"}
    assert hub.ask("alice", "GET", "/kfp-mt/status", headers=headers).status_code == 403


def test_live_events_are_not_held_up_by_the_proxy(hub, unique):
    path = "/kfp-mt/events?namespace=alice"
    with contextlib.closing(hub.ask("alice", "GET", path, stream=True)) as stream:
        told = (event for event in parsed(stream.iter_content(None)) if event.name)
        assert next(told).name == "snapshot"
        body = {"display_name": unique, "namespace": "alice"}
        # Through the server, which looks at once then; what others do it may learn minutes later.
        made = hub.ask("alice", "POST", "/kfp-mt/api/apis/v2beta1/experiments", json=body)
        assert made.status_code == 200
        found = (each for event in told for each in event.changes().experiments)
        assert unique in (each.display_name for each in found)


def test_an_upload_of_some_megabytes_passes(hub, adder, unique):
    long = adder.read_bytes() + b"# a comment\n" * 500_000
    answered = hub.ask(
        *("alice", "POST", "/kfp-mt/api/apis/v2beta1/pipelines/upload"),
        params={"name": unique, "namespace": "alice"},
        files={"uploadfile": ("adder.yaml", long)},
    )
    assert (answered.status_code, answered.json()["display_name"]) == (200, unique)


def test_a_server_that_is_stopped_leaves_nothing_running(hub):
    hub.start("carol")
    data = hub.home / "carol" / "data"
    status = wait_until(lambda: _ready(hub.ask("carol", "GET", "/kfp-mt/status").json()), LONG)
    assert status["local"] and lease.running(data) and hub.keys("carol")
    hub.stop("carol")
    wait_until(lambda: not lease.running(data), LONG, "the end of the local KFP")
    assert hub.keys("carol") == []


def _ready(status):
    return status if status["ready"] and not status["error"] else None
