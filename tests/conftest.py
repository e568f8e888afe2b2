"""What the tests share: a real local KFP on a real port, with the tenants alice and bob."""

import asyncio
import contextlib
import functools
import glob
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
import warnings
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
import requests
import secrecy
import yaml
from IPython.core.interactiveshell import InteractiveShell

from jupyter_kfp_mt.models import Experiment

pytest_plugins = ["pytest_jupyter.jupyter_server", "kubernetes_api", "guarded_kfp"]

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

# Beside pytest's own exit statuses, the last of which is 5.
NOT_AGAIN = 6
SHOWN = "A token is in what this test shows"


def pytest_configure():
    secrecy.watch()
    # Who is started in the background, or by nohup, ignores these, and so does what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_xdist_auto_num_workers():
    """Two for each processor: a test waits for half of its time."""
    return 2 * os.cpu_count()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """A test that shows a token has failed, whatever else it is about."""
    report = yield
    said = "".join([text for _, text in report.sections] + [report.longreprtext])
    where = [*secrecy.SHOWN, *(["its log or output"] if secrecy.tells_token(said) else [])]
    secrecy.SHOWN.clear()
    if where:
        report.outcome = "failed"
        report.longrepr = f"{SHOWN}: {', '.join(where)}."
        report.sections = []
    return report


@pytest.fixture(scope="session", autouse=True)
def no_log_tells_a_token():
    yield
    assert secrecy.telling_logs() == []


def pytest_sessionfinish(session):
    """Tests that failed may be run again, by `.ci/pytest_twice.py`; what this names may not."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return  # a worker, whose reports are at the controller
    reports = [*reporter.stats.get("failed", ()), *reporter.stats.get("error", ())]
    if any(getattr(report, "when", "") == "teardown" or _tells(report) for report in reports):
        session.exitstatus = NOT_AGAIN


def _tells(report):
    return report.longreprtext.startswith(SHOWN)


ROOT = Path(__file__).parent.parent
# How many seconds a test waits for what is about to happen, on a machine that has much else to do.
PATIENCE = 120
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


def wait_until(condition, seconds=PATIENCE, what="it"):
    """The first true value of `condition()`, or a failure when time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen in {seconds} s")


@pytest.fixture(scope="session")
def adder(tmp_path_factory):
    """The compiled YAML of a pipeline with a parameter without default and one with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from kfp import compiler, dsl

        @dsl.component
        def add(a: int, b: int) -> int:
            print("adding", a, "and", b)
            return a + b

        @dsl.pipeline(name="adder")
        def pipeline(x: int, label: str = "sum"):
            add(a=x, b=2).set_caching_options(False)

        path = tmp_path_factory.mktemp("adder") / "adder.yaml"
        compiler.Compiler().compile(pipeline, str(path))
    return path


@pytest.fixture(scope="session")
def labelled(adder, tmp_path_factory):
    """The adder, with a default for each of its parameters: old clients send texts alone."""
    spec = yaml.safe_load(adder.read_text())
    spec["root"]["inputDefinitions"]["parameters"]["x"]["defaultValue"] = 1
    path = tmp_path_factory.mktemp("labelled") / "labelled.yaml"
    path.write_text(yaml.dump(spec))
    return path


@pytest.fixture
def unique():
    return f"test-{uuid.uuid4().hex[:12]}"


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


def compiled(folder, pipeline):
    """The YAML file of a pipeline function."""
    from kfp import compiler

    path = folder / f"{pipeline.name}.yaml"
    compiler.Compiler().compile(pipeline, str(path))
    return path


@pytest.fixture(scope="session")
def sleeper(tmp_path_factory):
    """The compiled YAML of a pipeline that goes on until it is stopped."""
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def sleep():
        import time

        time.sleep(600)

    @dsl.pipeline(name="sleeper")
    def pipeline():
        sleep()

    return compiled(tmp_path_factory.mktemp("sleeper"), pipeline)


@pytest.fixture(scope="session")
def failing(tmp_path_factory):
    """The compiled YAML of a pipeline whose one task, `fail`, writes 60 lines and fails."""
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def fail():
        for number in range(60):
            print(number)
        raise ValueError("no more")

    @dsl.pipeline(name="failing")
    def pipeline():
        fail()

    return compiled(tmp_path_factory.mktemp("failing"), pipeline)


@pytest.fixture(scope="session")
def scored(tmp_path_factory):
    """The compiled YAML of a pipeline whose one task, `score`, logs a metric."""
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def score(rate: float, label: str, metrics: dsl.Output[dsl.Metrics]):
        metrics.log_metric("accuracy", 0.75)

    @dsl.pipeline(name="scored")
    def pipeline(rate: float, label: str = "none"):
        score(rate=rate, label=label)

    return compiled(tmp_path_factory.mktemp("scored"), pipeline)


@pytest.fixture(scope="session")
def skipping(tmp_path_factory):
    """The compiled YAML of a pipeline whose task `skipped` comes after one that fails."""
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def fail():
        raise ValueError

    @dsl.component(base_image="python:3.12")
    def skipped():
        pass

    @dsl.pipeline(name="skipping")
    def pipeline():
        skipped().after(fail())

    return compiled(tmp_path_factory.mktemp("skipping"), pipeline)


@pytest.fixture
def talker(tmp_path):
    """A run's pipeline whose one task writes, and goes on when it is told to by a file."""
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def talk(file: str):
        import pathlib
        import time

        print("first", flush=True)
        print("sec", end="", flush=True)
        while not pathlib.Path(file).exists():
            time.sleep(0.02)
        print("ond", flush=True)

    @dsl.pipeline(name="talker")
    def pipeline(file: str):
        talk(file=file).set_caching_options(False)

    return compiled(tmp_path, pipeline)


@pytest.fixture
def kfp(tmp_path, request):
    """An executor of the test's own; the parameter, if any, is how many runs execute at once."""
    from own_executor import Kfp

    kfp = Kfp(tmp_path, *getattr(request, "param", ()))
    yield kfp
    kfp.close()


@pytest.fixture
def lifeline(tmp_path):
    from own_executor import Lifeline

    lifeline = Lifeline(tmp_path)
    yield lifeline
    os.close(lifeline.descriptor)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(folder, kind=QuietHandler):
    """The endpoint of a web server of the files in a folder."""
    handler = functools.partial(kind, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


# The door of a Jupyter server in this process.


@pytest.fixture
def door(jp_serverapp, jp_asyncio_loop, http_server):
    """The server with its extensions started: its kernels' door, and their key."""
    from jupyter_kfp_mt.door import Door

    extensions = jp_serverapp.extension_manager
    jp_asyncio_loop.run_until_complete(extensions.start_all_extensions())
    door = Door.of_this_process()
    return door.address, door.key


@pytest.fixture
def home(door, jp_serverapp, jp_base_url):
    """The address of the same server for browsers."""
    return f"http://127.0.0.1:{jp_serverapp.port}{jp_base_url.rstrip('/')}"


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


@contextlib.contextmanager
def jupyter_server(folder, endpoint, token_file, *options):
    """One in a process of its own, whose token is `test`: the process and the port."""
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"]
    command += ["--port=0", "--IdentityProvider.token=test", *options]
    command += ["--ServerApp.jpserver_extensions={'jupyter_kfp_mt': True}"]
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


# The API of the local KFP, message by message.


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
