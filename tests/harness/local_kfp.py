"""A real local KFP on a real port, with the tenants alice and bob."""

import contextlib
import glob
import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import msgspec
import pytest
import requests
import yaml
from harness import secrecy
from harness.paths import ROOT
from harness.waiting import PATIENCE

from jupyter_kfp_mt.models import Experiment

PROFILES = """\
profiles:
- namespace: alice
  owner: alice@example.com
  contributors: {bob@example.com: view, "system:serviceaccount:bob:default-editor": view}
  secrets: {warehouse: {password: s3cret}}
  configMaps: {settings: {mode: fast}}
- namespace: bob
  owner: bob@example.com
- namespace: kubeflow
  owner: admin@example.com
"""


API = "/apis/v2beta1"


class LocalKfp:
    """A local KFP in a process of its own, and how to call it."""

    def __init__(self, data, *arguments, within=()):
        self.data = data
        command = [*within, sys.executable, "-m", "jupyter_kfp_mt.local"]
        command += ["--data", str(data), *arguments]
        self.log = data.parent / f"{data.name}.log"
        secrecy.LOGS.add(self.log)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True
            )
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        ready = json.loads(line)
        self.endpoint = ready["endpoint"]
        self.tokens = Path(ready["tokens"])

    def token(self, name):
        """The token of a service account, as `alice/default-editor`, or of `users/NAME`."""
        return self.token_file(name).read_text()

    def token_file(self, name):
        return self.tokens / name / "token"

    def call(self, method, path, who="alice/default-editor", **kwargs):
        """The answer to one request; `who` is nobody, a token's name, or headers."""
        headers = {}
        if isinstance(who, dict):
            headers = who
        elif who:
            headers = {"Authorization": f"Bearer {self.token(who)}"}
        headers |= kwargs.pop("headers", {})
        url = self.endpoint + path
        return requests.request(method, url, headers=headers, timeout=PATIENCE, **kwargs)

    def get(self, path, who="alice/default-editor", **params):
        return self.call("GET", path, who, params=params)

    def post(self, path, body=None, who="alice/default-editor"):
        return self.call("POST", path, who, json=body)

    def written(self, name):
        """Paths of all files and folders with this in their names."""
        # Unlike pathlib's, this glob bears that runs remove their folders meanwhile.
        return glob.glob(f"{self.data}/**/*{name}*", recursive=True)

    def kill(self):
        """As by `kill -9`."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        """The exit code, after being asked to stop."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGTERM)
        code = self.process.wait(timeout=PATIENCE)
        self.process.stdout.close()
        return code


@pytest.fixture(scope="session")
def profiles(tmp_path_factory):
    path = tmp_path_factory.mktemp("profiles") / "profiles.yaml"
    path.write_text(PROFILES)
    return path


@pytest.fixture(scope="session")
def local_kfp(tmp_path_factory, profiles):
    """One server for all tests; what a test needs for itself it makes in it."""
    data = tmp_path_factory.mktemp("local-kfp") / "data"
    server = LocalKfp(data, "--profiles", str(profiles))
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="session")
def argo_tasks_kfp(tmp_path_factory, profiles):
    """Another for all tests, which tells of a run's tasks as a cluster does."""
    data = tmp_path_factory.mktemp("argo-tasks") / "data"
    server = LocalKfp(data, "--profiles", str(profiles), "--argo-tasks")
    yield server
    assert server.stop() == 0


@pytest.fixture
def start_local_kfp(tmp_path, profiles):
    """Starts servers of a test's own: on `tmp_path / "data"` unless told otherwise."""
    started = []

    def start(*arguments, data=None):
        server = LocalKfp(data or tmp_path / "data", "--profiles", str(profiles), *arguments)
        started.append(server)
        return server

    yield start
    for server in started:
        if server.process.poll() is None:
            server.stop()
        server.process.stdout.close()


@pytest.fixture
def unique():
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def as_alice(local_kfp, monkeypatch):
    """Let this process find the local KFP as alice, without a Jupyter server or a pod."""
    for name in ("KFP_MT_DOOR", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KFP_MT_DATA", str(local_kfp.data))
    monkeypatch.setenv("KFP_MT_ENDPOINT", "local")
    monkeypatch.setenv("KFP_MT_NAMESPACE", "alice")


@pytest.fixture
def upload(local_kfp, adder):
    """Uploads a pipeline, or with a path of upload_version a version of one."""

    def upload(name, namespace="alice", who="alice/default-editor", path="upload", **params):
        with adder.open("rb") as file:
            return local_kfp.call(
                "POST",
                f"/apis/v2beta1/pipelines/{path}",
                who,
                params={"name": name, "namespace": namespace, **params},
                files={"uploadfile": ("adder.yaml", file)},
            )

    return upload


def text(answer):
    body = answer.json()
    return body.get("details", [body])[0]["message"]


def denied(
    user, verb, resource, namespace="alice", name="", group="pipelines.kubeflow.org", reason=""
):
    return (
        f"User '{user}' is not authorized with reason: {reason} (request: &ResourceAttributes{{"
        f"Namespace:{namespace},Verb:{verb},Group:{group},Version:v1beta1,"
        f"Resource:{resource},Subresource:,Name:{name},FieldSelector:nil,LabelSelector:nil,}})"
    )


@pytest.fixture(scope="session")
def spec(adder):
    return yaml.safe_load(adder.read_text())


@pytest.fixture
def experiment(local_kfp, unique):
    answer = local_kfp.post(f"{API}/experiments", {"display_name": unique, "namespace": "alice"})
    return msgspec.json.decode(answer.content, type=Experiment)


@pytest.fixture
def create_run(local_kfp, experiment, spec):
    def create_run(who="alice/default-editor", **fields):
        body = {
            "display_name": "a run",
            "experiment_id": experiment.experiment_id,
            "pipeline_spec": spec,
            "runtime_config": {"parameters": {"x": 3}},
        }
        body |= fields
        return local_kfp.post(f"{API}/runs", body, who)

    return create_run
