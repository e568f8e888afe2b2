"""The server extension: a real Jupyter server before a real local KFP."""

import asyncio
import contextlib
import http.server
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading

import psutil
import pytest
from fakes import guarded_kfp
from harness.jupyter_server import call, server_config
from harness.paths import ROOT
from tornado.httpclient import HTTPClientError

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.connection import local_kfp as lease
from jupyter_kfp_mt.connection.choose_connection import decide
from jupyter_kfp_mt.extension.allowed_requests import checked
from jupyter_kfp_mt.extension.send_to_kfp import KfpRequest
from jupyter_kfp_mt.settings import Kfp


@pytest.fixture
def token_file(local_kfp):
    return local_kfp.token_file("alice/default-editor")


@pytest.fixture
def jp_server_config(local_kfp, token_file):
    return server_config(endpoint=local_kfp.endpoint, token_file=str(token_file), namespace="alice")


async def answer(fetching):
    response = await fetching
    return json.loads(response.body)


async def refused(fetching):
    with pytest.raises(HTTPClientError) as error:
        await fetching
    return error.value.code, json.loads(error.value.response.body)


async def test_status_says_who_where_and_why(jp_fetch, local_kfp):
    status = await answer(jp_fetch("kfp-mt", "status"))
    assert status["endpoint"] == local_kfp.endpoint
    assert status["namespace"] == "alice"
    assert status["identity"]["subject"] == "system:serviceaccount:alice:default-editor"
    assert (status["local"], status["ready"], status["error"]) == (True, True, None)
    assert {step["step"] for step in status["trace"]} == {"endpoint", "namespace", "credentials"}


async def test_the_api_is_forwarded_with_this_servers_identity(jp_fetch, local_kfp):
    body = json.dumps({"display_name": "through the door", "namespace": "alice"})
    made = await answer(jp_fetch("kfp-mt/api/apis/v2beta1/experiments", method="POST", body=body))
    path = f"kfp-mt/api/apis/v2beta1/experiments/{made['experiment_id']}"
    assert await answer(jp_fetch(path)) == made
    assert local_kfp.get(f"/apis/v2beta1/experiments/{made['experiment_id']}").json() == made


async def test_a_refusal_keeps_kfps_words_and_adds_cause_and_cure(jp_fetch):
    params = {"namespace": "bob"}
    code, body = await refused(jp_fetch("kfp-mt/api/apis/v2beta1/runs", params=params))
    assert (code, body["code"]) == (403, 7)
    assert "is not authorized with reason" in body["details"][0]["message"]
    assert "It has no role there" in body["cause"]
    assert '{"system:serviceaccount:alice:default-editor": view}' in body["cure"]


@pytest.mark.parametrize("path", ["status", "doctor", "api/apis/v2beta1/runs?namespace=alice"])
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nobody"),
        pytest.param({"Authorization": "Bearer wrong"}, id="a wrong key"),
        pytest.param({"Authorization": "Bearer "}, id="an empty key"),
        pytest.param({"Authorization": "Bearer \xfc"}, id="an odd key"),
    ],
)
async def test_who_is_not_signed_in_is_refused(door, path, headers):
    answered = await call("GET", f"{door[0]}/{path}", headers=headers)
    assert answered.status_code == 403


async def test_a_kernel_comes_in_with_its_key(door):
    address, key = door
    headers = {"Authorization": f"Bearer {key}"}
    assert (await call("GET", f"{address}/status", headers=headers)).status_code == 200
    body = {"display_name": "a kernel's", "namespace": "alice"}
    made = await call("POST", f"{address}/api/apis/v2beta1/experiments", headers=headers, json=body)
    assert made.json()["display_name"] == "a kernel's"


async def test_the_kernels_key_opens_nothing_else(door, home):
    address, key = door
    headers = {"Authorization": f"Bearer {key}"}
    other = address.removesuffix("kfp-mt") + "api/contents"
    assert (await call("GET", other, headers=headers)).status_code == 404
    for path in ("api/contents", "kfp-mt/status"):
        assert (await call("GET", f"{home}/{path}", headers=headers)).status_code == 403


async def test_a_change_from_a_browser_takes_an_xsrf_token(home, jp_serverapp):
    # What another site could make a signed-in browser send: its cookie, but no XSRF token.
    page = f"{home}/tree?token={jp_serverapp.identity_provider.token}"
    cookies = (await call("GET", page)).cookies
    url = f"{home}/kfp-mt/api/apis/v2beta1/experiments"
    body = {"display_name": "from a browser", "namespace": "alice"}
    refused = await call("POST", url, cookies=cookies, json=body)
    assert refused.status_code == 403 and "_xsrf" in refused.text
    headers = {"X-XSRFToken": cookies["_xsrf"]}
    assert (await call("POST", url, cookies=cookies, headers=headers, json=body)).ok


async def test_a_kernel_finds_the_door_and_works_through_it(door):
    def in_a_kernel():
        found = decide(Kfp())
        client = found.client()
        try:
            return found.status(), client.ensure_experiment("from a kernel")
        finally:
            client.close()

    status, experiment = await asyncio.to_thread(in_a_kernel)
    assert status.identity.subject == "system:serviceaccount:alice:default-editor"
    assert experiment.namespace == "alice"


async def test_a_kernel_with_a_token_of_its_own_goes_to_the_same_kfp(door, local_kfp):
    def in_a_kernel():
        found = decide(Kfp(token_file=str(local_kfp.token_file("bob/default-viewer"))))
        return found.status()

    status = await asyncio.to_thread(in_a_kernel)
    assert status.endpoint == local_kfp.endpoint
    assert status.identity.subject == "system:serviceaccount:bob:default-viewer"


async def test_the_sdk_works_through_the_door(door):
    def in_a_kernel():
        import jupyter_kfp_mt

        return jupyter_kfp_mt.kfp_client().create_experiment("the SDK's")

    experiment = await asyncio.to_thread(in_a_kernel)
    assert (experiment.display_name, experiment.namespace) == ("the SDK's", "alice")


async def test_a_change_is_logged_with_who_and_what_and_no_secret(
    door, caplog, jp_serverapp, local_kfp
):
    address, key = door
    jp_serverapp.log.propagate = True
    with caplog.at_level(logging.INFO):
        await call(
            "POST",
            f"{address}/api/apis/v2beta1/experiments",
            headers={"Authorization": f"Bearer {key}"},
            json={"display_name": "logged", "namespace": "alice"},
        )
    assert "kernel: POST /apis/v2beta1/experiments in alice: 200, " in caplog.text
    assert key not in caplog.text
    assert local_kfp.token("alice/default-editor") not in caplog.text


@pytest.mark.parametrize(
    "path",
    [
        "/apis/v2beta1/workflows",
        "/apis/v1beta1/scheduledworkflows",
        "/apis/v1beta1/visualizations/alice",
        "/apis/v1alpha1/tasks",
        "/metrics",
        "/apis/v2beta1/../../metrics",
        "/apis/v2beta1/runs/%2e%2e/%2e%2e/metrics",
        "/apis/v2beta1/runs//x",
        "/apis/v2beta1/runs/a%2fb",
        "/apis/v2beta1/runs/a%5cb",
        "/apis/v2beta1/runs/a%0d%0ab",
        "/apis/v2beta1/runs/a%zz",
        "/http://evil/apis/v2beta1/runs",
    ],
)
def test_what_is_not_of_the_api_is_not_forwarded(path):
    with pytest.raises(errors.NotFound):
        checked(path, [], local=True)


@pytest.mark.parametrize(
    "path",
    [
        "/apis/v1beta1/runs/x:reportMetrics",
        "/apis/v1beta1/runs/x%3AreportMetrics",
        "/apis/v1beta1/runs/x:report%4Detrics",
        "/apis/v2beta1/pipelines/n%61mes/training",
        "/apis/v2beta1/p%69pelines/names/training",
        "/apis/v2beta1/pipelines/names/training",
        "/apis/v1alpha1/runs/x/nodes/y/log",
    ],
)
def test_what_kfp_does_not_guard_is_not_forwarded(path):
    with pytest.raises(errors.Forbidden):
        checked(path, [], local=False)


@pytest.mark.parametrize(
    "path, query",
    [
        ("/apis/v2beta1/healthz", []),
        ("/apis/v2beta1/runs/7c7e:terminate", []),
        ("/apis/v2beta1/pipelines/names/train%20it", [("namespace", "alice")]),
        ("/apis/v1beta1/namespaces/alice/pipelines/x", []),
        ("/apis/v2beta1/recurringruns", []),
    ],
)
def test_the_api_itself_goes_through(path, query):
    assert checked(path, query, local=False) == path


def test_what_is_asked_of_kfp_is_what_was_checked():
    assert checked("/apis/v2beta1/r%75ns/a%20b", [], local=False) == "/apis/v2beta1/runs/a%20b"


async def test_a_way_out_is_refused_over_http_too(door):
    address, key = door
    with socket.create_connection(tuple(address.split("/")[2].split(":"))) as raw:
        host, _, target = address.partition("//")[2].partition("/")
        raw.settimeout(10)
        request = f"GET /{target}/api/apis/v2beta1/..%2f..%2fmetrics HTTP/1.1\r\nHost: {host}\r\n"
        raw.sendall(f"{request}Authorization: Bearer {key}\r\nConnection: close\r\n\r\n".encode())
        first = await asyncio.to_thread(raw.recv, 4096)
    assert first.startswith(b"HTTP/1.1 404")


class TestWithoutKfp:
    """Return the door's refusal when nothing answers behind it."""

    @pytest.fixture
    def jp_server_config(self, jp_server_config):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            port = server.getsockname()[1]
        jp_server_config["Kfp"]["endpoint"] = f"http://127.0.0.1:{port}"
        return jp_server_config

    async def test_the_status_tells_why(self, jp_fetch):
        status = await answer(jp_fetch("kfp-mt", "status"))
        assert "connection refused" in status["error"]["message"]
        assert "KF_PIPELINES_ENDPOINT" in status["error"]["cure"]

    async def test_a_kernel_is_told_the_same_error_as_if_it_had_asked_itself(self, door):
        def in_a_kernel():
            with pytest.raises(errors.Unreachable, match="connection refused") as error:
                decide(Kfp()).client().run_page()
            return error.value

        assert "KF_PIPELINES_ENDPOINT" in (await asyncio.to_thread(in_a_kernel)).cure

    async def test_a_forwarded_request_is_a_502_that_tells_why(self, jp_fetch):
        code, body = await refused(jp_fetch("kfp-mt/api/apis/v2beta1/runs"))
        assert code == 502
        assert "connection refused" in body["message"]


class TestOnALocalKfpOfItsOwn:
    """The door that starts the local KFP itself."""

    @pytest.fixture
    def jp_server_config(self, jp_server_config, tmp_path, profiles):
        jp_server_config["Kfp"] = {
            "endpoint": "local",
            "data": str(tmp_path / "kfp"),
            "profiles": str(profiles),
            "namespace": "alice",
        }
        return jp_server_config

    async def test_it_is_started_once_and_outlives_a_decision(self, door, jp_serverapp, tmp_path):
        upstream = jp_serverapp.web_app.settings["kfp_mt"].upstream
        first = await started(upstream, tmp_path / "kfp")
        await upstream._decision(refresh=True)
        assert (await upstream.health()).local
        assert lease.running(tmp_path / "kfp") == first

    async def test_one_that_died_is_started_again_before_anybody_notices(
        self, door, jp_serverapp, tmp_path
    ):
        upstream = jp_serverapp.web_app.settings["kfp_mt"].upstream
        first = await started(upstream, tmp_path / "kfp")
        os.kill(first.pid, signal.SIGKILL)
        asked = KfpRequest("GET", "/apis/v2beta1/runs", [("namespace", "alice")])
        with contextlib.closing(await upstream.forward(asked)) as listed:
            assert listed.status == 200
        assert lease.running(tmp_path / "kfp").pid != first.pid

    async def test_a_change_that_found_it_dead_waits_for_its_restart_and_goes_through(
        self, door, jp_serverapp, tmp_path
    ):
        address, key = door
        first = await started(jp_serverapp.web_app.settings["kfp_mt"].upstream, tmp_path / "kfp")
        os.kill(first.pid, signal.SIGKILL)
        while psutil.pid_exists(first.pid):  # till then it might take a connection
            await asyncio.sleep(0.01)
        done = await call(
            *("POST", f"{address}/api/apis/v2beta1/experiments"),
            headers={"Authorization": f"Bearer {key}"},
            json={"display_name": "e", "namespace": "alice"},
            timeout=60,
        )
        assert (done.status_code, done.json()["display_name"]) == (200, "e")
        assert lease.running(tmp_path / "kfp").pid != first.pid

    async def test_a_change_that_it_may_have_received_is_not_sent_again(
        self, door, jp_serverapp, tmp_path
    ):
        upstream = jp_serverapp.web_app.settings["kfp_mt"].upstream
        first = await started(upstream, tmp_path / "kfp")
        sent, send = [], upstream._sender.send

        async def die_with_it(to, request):
            sent.append(request)
            before = connections(first)
            os.kill(first.pid, signal.SIGSTOP)
            waiting = asyncio.ensure_future(send(to, request))
            while not connections(first) - before:
                await asyncio.sleep(0.01)
            os.kill(first.pid, signal.SIGKILL)
            return await waiting

        upstream._sender.send = die_with_it
        body = json.dumps({"display_name": "e", "namespace": "alice"}).encode()
        asked = KfpRequest("POST", "/apis/v2beta1/experiments", [], body, "application/json")
        with pytest.raises(errors.Unreachable, match="Cannot POST") as error:
            await upstream.forward(asked)
        assert len(sent) == 1
        assert "has been restarted" in error.value.cause
        assert "Check whether the change was made" in error.value.cure
        assert "endpoint" not in error.value.cure

    async def test_a_namespace_chosen_elsewhere_counts_from_the_next_look(
        self, door, jp_serverapp, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("HOME", str(tmp_path))
        upstream = jp_serverapp.web_app.settings["kfp_mt"].upstream
        upstream._settings.namespace = ""
        (tmp_path / ".config/kfp").mkdir(parents=True)
        (tmp_path / ".config/kfp/context.json").write_text('{"namespace": "bob"}')
        status = await upstream.status()
        assert status.namespace == "bob"
        assert status.identity.subject == "system:serviceaccount:bob:default-editor"


async def started(upstream, folder):
    """The local KFP, however long its start takes."""
    await upstream.health()
    return lease.running(folder)


def connections(local):
    """Return the connections of this process to it, by their own ports."""
    port = int(local.endpoint.rpartition(":")[2])
    mine = psutil.Process().net_connections("tcp")
    to_it = [each for each in mine if each.raddr and each.raddr.port == port]
    return {each.laddr.port for each in to_it if each.status == "ESTABLISHED"}


class TestWithoutAToken:
    """Return the door's refusal when its token file is not there."""

    @pytest.fixture
    def token_file(self, tmp_path):
        return tmp_path / "nope"

    async def test_the_status_tells_which(self, jp_fetch):
        status = await answer(jp_fetch("kfp-mt", "status"))
        assert "nope cannot be read" in status["error"]["message"]


class LoginPage(guarded_kfp.Server):
    """A login page before a KFP, for requests whose session has ended."""

    def answer(self, request):
        return guarded_kfp.redirect("/dex/auth?state=x")


class TestBehindALoginPage:
    """Return the door's refusal when the session of its cookie has ended."""

    @pytest.fixture
    def jp_server_config(self, jp_server_config, serve, tmp_path):
        (tmp_path / "cookie").write_text("session=0ld")
        settings = {"endpoint": serve(LoginPage).endpoint, "auth": "cookie", "namespace": "alice"}
        jp_server_config["Kfp"] = {**settings, "cookie_file": str(tmp_path / "cookie")}
        return jp_server_config

    async def test_a_forwarded_request_tells_how_to_begin_a_new_one(self, jp_fetch):
        code, body = await refused(
            jp_fetch("kfp-mt", "api", "apis", "v2beta1", "runs", params={"namespace": "alice"})
        )
        assert (code, body["kind"]) == (401, "Unauthenticated")
        assert "Sign in to Kubeflow in a browser" in body["cure"]
        assert "0ld" not in str(body)


class Recorder(http.server.BaseHTTPRequestHandler):
    """A KFP that tries to set cookies, and remembers what it was sent."""

    seen: list = []

    def do_GET(self):
        self.seen.append((self.path, dict(self.headers)))
        self.send_response(200)
        self.send_header("Set-Cookie", "tracking=1")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(b'{"multi_user": true}')

    def log_message(self, *_):
        pass


class TestBeforeANosyKfp:
    """A header or parameter, and whether it crosses the door."""

    @pytest.fixture
    def jp_server_config(self, jp_server_config):
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            jp_server_config["Kfp"]["endpoint"] = f"http://127.0.0.1:{server.server_port}"
            yield jp_server_config
            server.shutdown()

    async def test_only_our_own_headers_go_out_and_no_cookie_comes_back(self, door, local_kfp):
        address, key = door
        headers = {
            "Authorization": f"Bearer {key}",
            "Cookie": "session=1",
            "kubeflow-userid": "bob@example.com",
            "X-Goog-Authenticated-User-Email": "bob@example.com",
            "Origin": address.removesuffix("/kfp-mt"),
        }
        query = "namespace=a%20b&token=jupyters&_xsrf=jupyters"
        came = await call("GET", f"{address}/api/apis/v2beta1/runs?{query}", headers=headers)
        path, sent = Recorder.seen[-1]
        assert path == "/apis/v2beta1/runs?namespace=a+b"
        assert sent["Authorization"] == f"Bearer {local_kfp.token('alice/default-editor')}"
        assert set(sent) <= {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"} | {
            "Authorization"
        }
        assert not {"Set-Cookie", "Access-Control-Allow-Origin"} & set(came.headers)


WAITING = """
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "jupyter_kfp_mt")
run = shell.run_line_magic("kfp", "run {file} -p x=3 --wait")
print(run.state, [task.state for task in run.tasks], run.runtime_config.parameters)
"""


async def test_a_kernel_that_waits_for_a_run_is_told_and_does_not_ask(door, adder, jp_serverapp):
    paths = []
    log = jp_serverapp.web_app.settings["log_function"]
    jp_serverapp.web_app.settings["log_function"] = lambda handler: (
        paths.append(f"{handler.request.method} {handler.request.path}"),
        log(handler),
    )
    program = [sys.executable, "-c", WAITING.format(file=adder)]
    done = await asyncio.to_thread(subprocess.run, program, cwd=ROOT, capture_output=True)
    assert done.stdout.decode().endswith("SUCCEEDED ['SUCCEEDED'] {'x': 3}\n"), done
    assert [path for path in paths if path.endswith("/events")]
    assert not [path for path in paths if "/runs/" in path]
