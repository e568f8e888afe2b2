"""The forwarded KFP API before servers that misbehave, callers that go away, and hostile ones."""

import asyncio
import contextlib
import gc
import itertools
import json
import logging
import shlex
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests
from fakes import odd_kfp
from fakes.odd_kfp import OddKfp, ok, refusal, reply, trickling
from harness.jupyter_server import call, jupyter_server
from harness.waiting import wait_until

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.credentials import Credentials, TokenFile
from jupyter_kfp_mt.extension import kfp_response as answer_module
from jupyter_kfp_mt.extension import request_body as body_module
from jupyter_kfp_mt.extension import send_to_kfp, upstream
from jupyter_kfp_mt.extension.kfp_response import KfpResponse
from jupyter_kfp_mt.extension.proxy_handler import ProxyHandler
from jupyter_kfp_mt.extension.routes import routes
from jupyter_kfp_mt.extension.upstream import Upstream
from jupyter_kfp_mt.settings import Kfp

RUNS = "/apis/v2beta1/runs?namespace=alice"
UPLOAD = "/apis/v2beta1/pipelines/upload?namespace=alice"
LONG = 30_000_000


@pytest.fixture
def behind():
    kfp = OddKfp()
    yield kfp
    kfp.close()


@pytest.fixture
def ask(door):
    """A kernel's request through the door."""
    address, key = door

    async def ask(method, path, **kwargs):
        headers = {"Authorization": f"Bearer {key}", **kwargs.pop("headers", {})}
        return await call(method, f"{address}/api{path}", headers=headers, **kwargs)

    return ask


@pytest.fixture
def browse(home, jp_serverapp):
    """A signed-in browser's request."""
    token = {"Authorization": f"token {jp_serverapp.identity_provider.token}"}

    async def browse(method, path, headers=None, **kwargs):
        headers = {**token, **(headers or {})}
        return await call(method, f"{home}/kfp-mt/api{path}", headers=headers, **kwargs)

    return browse


def saying(answer):
    """Write these bytes and go."""

    def write(connection, asked):
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)

    return write


def silent(connection, asked):
    with contextlib.suppress(OSError):
        connection.recv(1)


HTML = b"<!DOCTYPE html><title>Sign in</title>"
CUT = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
LOGIN = reply("302 Found", b"", "Location: https://evil.example/login?next=x", "Set-Cookie: a=b")


@pytest.mark.parametrize(
    "answer, status, kind, said",
    [
        pytest.param(saying(b""), 502, "Unreachable", "connection closed", id="drops at once"),
        pytest.param(saying(CUT), 502, "Unreachable", "broke off", id="drops in mid-answer"),
        pytest.param(saying(CHUNK), 502, "Unreachable", "broke off", id="drops between chunks"),
        pytest.param(saying(b"SSH-2.0\r\n\r\n"), 502, "Unreachable", "not HTTP", id="no HTTP"),
        pytest.param(silent, 502, "Unreachable", "did not answer in", id="hangs"),
        pytest.param(trickling, 502, "Unreachable", "did not answer in", id="trickles"),
        pytest.param(
            saying(ok(HTML, "text/html")), 502, "Unreachable", "login page", id="a page with 200"
        ),
        pytest.param(
            saying(ok(HTML)), 502, "Unreachable", "login page", id="a page that claims to be JSON"
        ),
        pytest.param(
            saying(reply("502 Bad Gateway", HTML)), 502, "Unreachable", "gateway", id="502, HTML"
        ),
        pytest.param(
            saying(reply("503 Service Unavailable", b"no healthy upstream")),
            *(503, "Unreachable", "gateway"),
            id="503 of a gateway",
        ),
        pytest.param(
            saying(reply("407 Who?", HTML)),
            502,
            "Unreachable",
            "a proxy requires",
            id="a proxy's 407",
        ),
        pytest.param(saying(LOGIN), 502, "Unreachable", "login page", id="a login redirect"),
        pytest.param(saying(reply("500 Oh")), 500, "Refused", "HTTP 500", id="an empty 500"),
        pytest.param(saying(reply("500 Oh", b"{")), 500, "Refused", "{", id="half of JSON"),
        pytest.param(
            saying(reply("403 No", b"RBAC: access denied")), 403, "Forbidden", "Istio", id="Istio"
        ),
    ],
)
async def test_whatever_is_behind_the_door_the_answer_is_our_one_shape(
    ask, behind, answer, status, kind, said, monkeypatch
):
    monkeypatch.setattr(send_to_kfp, "READ_SECONDS", 0.5)
    monkeypatch.setattr(answer_module, "READ_SECONDS", 0.5)
    behind.answer = answer
    answered = await ask("GET", RUNS)
    error = answered.json()
    assert (answered.status_code, error["kind"]) == (status, kind)
    assert said in error["message"] + error["cause"]
    assert set(error) == {"kind", "message", "cause", "cure", "server_text"}
    assert not {"Location", "Set-Cookie"} & set(answered.headers)


async def test_kfps_own_words_stand_beside_ours(ask, behind):
    behind.answer = saying(reply("404 Not Found", refusal(5, "Run x not found")))
    error = (await ask("GET", "/apis/v2beta1/runs/x")).json()
    assert (error["code"], error["message"]) == (5, "Failed: Run x not found")
    assert error["details"][0]["message"] == error["server_text"] == "Run x not found"
    assert error["kind"] == "NotFound"


async def test_a_refusal_of_kubernetes_is_told_as_one(ask, behind):
    text = 'services "http:ml-pipeline:8888" is forbidden: User "bob" cannot get services/proxy'
    status = {"kind": "Status", "message": text, "reason": "Forbidden", "code": 403}
    behind.answer = saying(reply("403 Forbidden", json.dumps(status).encode()))
    error = (await ask("GET", RUNS)).json()
    assert (error["kind"], error["server_text"]) == ("Forbidden", text)
    assert "kubectl port-forward" in error["cure"]


async def test_an_answer_without_a_body_is_passed_on(ask, behind):
    behind.answer = saying(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (await ask("GET", RUNS)).status_code == 204


async def test_a_long_answer_that_breaks_off_does_not_look_whole(ask, behind):
    begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1E8480\r\n" + b"x" * 2_000_000
    behind.answer = saying(begun)
    with pytest.raises(requests.RequestException):
        await ask("GET", RUNS)


async def test_kept_connections_that_are_closed_cost_no_failed_call(ask, behind):
    # It says nothing of closing, and does so only when the next request is under way.
    answered = set()

    def once(connection, asked):
        if connection in answered:
            connection.shutdown(socket.SHUT_RDWR)
        else:
            answered.add(connection)
            connection.sendall(ok(b"{}"))

    behind.answer = once
    statuses = [(await ask("GET", RUNS)).status_code for _ in range(20)]
    posted = [(await ask("POST", RUNS, json={})).status_code for _ in range(5)]
    assert set(statuses + posted) == {200}
    assert len(behind.seen) == 19 * 2 + 1 + 5


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_a_change_is_never_sent_twice(ask, behind, method):
    behind.answer = saying(b"")
    assert (await ask(method, "/apis/v2beta1/runs/x")).status_code == 502
    assert [asked.method for asked in behind.seen if asked.method != "GET"] == [method]


async def test_a_read_is_sent_once_more(ask, behind):
    behind.answer = saying(b"")
    assert (await ask("GET", RUNS)).status_code == 502
    assert len(behind.seen) == 2


async def test_a_token_that_changes_all_the_time_costs_no_failed_call(ask, behind, token_file):
    accepted, tokens = ["first"], (f"token-{number}" for number in itertools.count())
    number, rotating = itertools.count(), threading.Lock()

    def rotate():
        """After the old one, others are good for a while, however slow this machine is."""
        accepted[:] = [*accepted[-7:], next(tokens)]
        new = token_file.with_suffix(".new")
        new.write_text(accepted[-1])
        new.replace(token_file)

    def guarded(connection, asked):
        with rotating:
            if next(number) % 8 == 0:
                rotate()
            known = asked.headers["Authorization"].removeprefix("Bearer ") in accepted
        connection.sendall(ok(b"{}") if known else reply("401 Unauthorized", refusal(16, "no")))

    async def caller(method):
        return [(await ask(method, RUNS)).status_code for _ in range(15)]

    behind.answer = guarded
    statuses = await asyncio.gather(*(caller(m) for m in ["GET", "POST"] * 16))
    assert set(itertools.chain.from_iterable(statuses)) == {200}
    assert len({asked.headers["Authorization"] for asked in behind.seen}) > 3


@pytest.fixture
def never_content(behind, token_file):
    """A KFP that refuses every token, and by then there is a new one; what it was sent."""

    def answer(connection, asked):
        token_file.write_text(f"token-{len(behind.seen)}")
        connection.sendall(reply("401 Unauthorized", refusal(16, "no")))

    behind.answer = answer
    return lambda: [asked.headers["Authorization"] for asked in behind.seen]


async def test_after_a_refusal_a_token_is_read_again_once(ask, never_content):
    assert (await ask("GET", RUNS, timeout=60)).status_code == 401
    assert never_content() == ["Bearer first", "Bearer token-1"]


def test_directly_it_is_read_again_once_too(behind, never_content, token_file):
    client = Client(behind.endpoint, TokenFile(token_file), "alice")
    with pytest.raises(errors.Unauthenticated):
        client.run_page()
    assert never_content() == ["Bearer first", "Bearer token-1"]
    client.close()


async def test_an_upload_that_cannot_be_sent_again_says_so(ask, behind, token_file):
    behind.answer = saying(reply("401 Unauthorized", refusal(16, "expired")))
    error = (await ask("POST", UPLOAD, data=b"x" * 2_000_000)).json()
    assert "was not sent again" in error["cause"]
    assert [asked.size for asked in behind.seen] == [2_000_000]


class TestBeforeADeafKfp:
    """It listens, and never reads."""

    @pytest.fixture
    def jp_server_config(self, jp_server_config):
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            port = deaf.getsockname()[1]
            jp_server_config["Kfp"]["endpoint"] = f"http://127.0.0.1:{port}"
            yield jp_server_config

    async def test_a_long_body_is_not_waited_for_longer_than_an_answer(self, ask, monkeypatch):
        monkeypatch.setattr(body_module, "READ_SECONDS", 0.5)
        answered = await ask("POST", RUNS, data=b"x" * LONG)
        assert answered.status_code == 502
        assert "did not answer in" in answered.json()["message"]


# --- what crosses the door, and what does not ---


async def test_nothing_of_the_callers_headers_goes_out_but_the_type_of_the_body(browse, behind):
    hostile = {
        "Cookie": "session=1",
        "Kubeflow-Userid": "",
        "X-Goog-Authenticated-User-Email": "bob",
        "X-Clear-Tags": "1",
        "X-Forwarded-For": "6.6.6.6",
        "Forwarded": "for=6.6.6.6",
        "Connection": "keep-alive, Authorization",
        "Impersonate-User": "admin",
        "Content-Type": "application/json",
    }
    assert (await browse("POST", RUNS, data=b"{}", headers=hostile)).ok
    sent = behind.seen[-1].headers
    host = behind.endpoint.removeprefix("http://")
    assert sent.pop("User-Agent").startswith("jupyter-kfp-mt/")
    assert sent == {
        "Host": host,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Authorization": "Bearer first",
        "Content-Type": "application/json",
        "Content-Length": "2",
        **({"Connection": "close"} if "Connection" in sent else {}),
    }


async def test_nothing_of_kfps_headers_comes_back_but_what_is_allowed(ask, behind):
    hostile = ["Set-Cookie: a=b", "Server: x", "Location: //evil", "Refresh: 0; //evil"]
    hostile += ["Link: <//evil>", "Access-Control-Allow-Origin: *", "Clear-Site-Data: *"]
    hostile += ["Content-Disposition: inline", "Service-Worker-Allowed: /", "X-Odd: 1"]
    hostile += ["Content-Security-Policy: default-src *", "Warning: 299 - old"]
    behind.answer = lambda connection, _: connection.sendall(
        ok(b"<script>", "image/svg+xml", *hostile)
    )
    headers = (await ask("GET", RUNS)).headers
    assert headers.pop("Server").startswith("TornadoServer")
    assert headers.pop("Date")
    assert dict(headers) == {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": "attachment",
        "Content-Length": "8",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
        "Warning": "299 - old",
    }


async def test_text_is_never_a_page(ask, behind):
    behind.answer = lambda connection, _: connection.sendall(ok(b"a log <b>", "text/x-odd"))
    headers = (await ask("GET", RUNS)).headers
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "sandbox" in headers["Content-Security-Policy"]


AMBIGUOUS = {
    "two lengths": "Content-Length: 2\r\nTransfer-Encoding: chunked",
    "two different lengths": "Content-Length: 2\r\nContent-Length: 3",
    "an odd length": "Content-Length: +2",
    "an odd encoding": "Transfer-Encoding: xchunked",
    "a type with more in it": "Content-Type: a/b\x0bX: 1\r\nContent-Length: 2",
    "a type that is none": "Content-Type: text\r\nContent-Length: 2",
}


def _answer_to(host, request):
    """The beginning of what is answered to these characters on a connection of their own."""
    with socket.create_connection(host.split(":"), timeout=60) as raw:
        raw.sendall(request.encode())
        return raw.recv(4096)[:12]


async def test_a_request_that_could_be_read_in_two_ways_does_not_reach_kfp(door, behind):
    address, key = door
    host, _, path = address.removeprefix("http://").partition("/")
    request = f"POST /{path}/api{RUNS} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
    for name, head in AMBIGUOUS.items():
        whole = f"{request}{head}\r\nConnection: close\r\n\r\n{{}}"
        answer = await asyncio.to_thread(_answer_to, host, whole)
        assert answer in (b"HTTP/1.1 400", b""), name
        assert not behind.seen, name


WAYS_AROUND = [
    "{api}/apis/v2beta1/../../metrics",
    "{api}/apis/v2beta1/%2e%2e/%2E./metrics",
    "{api}//apis/v2beta1/runs",
    "{api}/apis//v2beta1/runs",
    "{api}/apis/v2beta1/runs/%0d%0aX:1",
    "{api}/apis/v2beta1/runs/%00",
    "{api}/apis/v2beta1/runs/..%5c..",
    "{api}/http://evil.example/apis/v2beta1/runs",
    "{api}/apis/v2beta1/runs#@evil.example/",
    "{api}@evil.example/apis/v2beta1/runs",
    "http://evil.example{api}/../metrics",
    "{api}/apis/v2beta1/workflows",
    "{api}/apis/v2beta1/pipelines/names/x",
    "{api}/apis/v2beta1/pipelines/names/x?namespace=",
    "{api}/apis/v2beta1/pipelines/names/x?namespace=-",
    "{api}/apis/v2beta1/pipelines/names/x?namespace=&namespace=alice",
    "{api}/apis/v1alpha1/runs/x/nodes/y/log",
]


async def test_a_way_around_the_paths_of_the_api_does_not_reach_kfp(door, behind):
    address, key = door
    host, _, path = address.removeprefix("http://").partition("/")
    rest = f"Host: {host}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    refused = [f"HTTP/1.1 {status}".encode() for status in (302, 400, 403, 404)]
    for target in WAYS_AROUND:
        line = f"GET {target.format(api=f'/{path}/api')} HTTP/1.1\r\n"
        assert await asyncio.to_thread(_answer_to, host, line + rest) in refused, target
        assert not behind.seen, target


# --- who may ask ---

PATHS = [
    pattern.replace("(/.*)", RUNS).replace("([^/]+)", "x").removeprefix("/kfp-mt")
    for pattern, _ in routes
]


CHANGES = ["POST", "PUT", "PATCH", "DELETE"]


@pytest.mark.parametrize("key", ["", "Bearer wrong", "Bearer ", "token wrong", "Basic a2V5"])
async def test_no_route_answers_a_stranger(door, home, behind, key):
    headers = {"Authorization": key} if key else {}
    for path, method in itertools.product(PATHS, ["GET", "HEAD", *CHANGES]):
        for address in (door[0], f"{home}/kfp-mt"):
            answered = await call(method, address + path, headers=headers, data=b"x" * 2_000_000)
            assert answered.status_code in (403, 405), (method, address + path)
            assert not behind.seen and not behind.left, (method, address + path)


async def test_no_route_changes_anything_for_a_browser_without_an_xsrf_token(
    home, behind, jp_serverapp
):
    signed_in = await call("GET", f"{home}/tree?token={jp_serverapp.identity_provider.token}")
    for path, method in itertools.product(PATHS, CHANGES):
        address = f"{home}/kfp-mt{path}"
        refused = await call(method, address, cookies=signed_in.cookies, data=b"x" * 2_000_000)
        assert refused.status_code in (403, 405), (method, path)
        assert not behind.seen and not behind.left, (method, path)


async def test_who_is_signed_in_but_not_authorized_sends_nothing_to_kfp(
    door, ask, behind, jp_serverapp
):
    from jupyter_server.auth import Authorizer

    class Readers(Authorizer):
        def is_authorized(self, handler, user, action, resource):
            return (action, resource) == ("read", "kfp_mt")

    jp_serverapp.web_app.settings["authorizer"] = Readers(parent=jp_serverapp)
    assert (await ask("POST", UPLOAD, data=b"x" * 2_000_000)).status_code == 403
    assert not behind.seen and not behind.left
    assert (await ask("GET", RUNS)).ok


# --- callers that go away ---


def _leave(door, method, body=b"", length=0, path=RUNS):
    """Ask through the door, and hang up."""
    host, _, base = door[0].removeprefix("http://").partition("/")
    raw = socket.create_connection(host.split(":"), timeout=60)
    head = f"{method} /{base}/api{path} HTTP/1.1\r\nHost: {host}\r\n"
    head += f"Authorization: Bearer {door[1]}\r\nContent-Length: {length}\r\n\r\n"
    raw.sendall(head.encode() + body)
    return raw


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_caller_that_goes_away_is_not_waited_for_by_kfp(door, behind, method):
    asked, left = threading.Event(), threading.Event()

    def waiting(connection, _):
        asked.set()
        if connection.recv(1) == b"":
            left.set()

    behind.answer = waiting
    raw = _leave(door, method)
    assert await asyncio.to_thread(asked.wait, 60)
    raw.close()
    assert await asyncio.to_thread(left.wait, 60)


async def test_a_caller_that_goes_away_in_mid_answer_gets_no_more_of_it(door, behind):
    left = threading.Event()

    def endless(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        try:
            while True:
                connection.sendall(b"x" * 100_000)
        finally:
            left.set()

    behind.answer = endless
    raw = _leave(door, "GET")
    assert await asyncio.to_thread(raw.recv, 1000)
    assert not left.is_set()
    raw.close()
    assert await asyncio.to_thread(left.wait, 60)


async def test_a_long_body_that_stops_is_stopped_at_kfp_too(door, behind):
    raw = await asyncio.to_thread(_leave, door, "POST", b"x" * 3_000_000, LONG)
    raw.close()
    assert await asyncio.to_thread(wait_until, lambda: behind.left)
    assert not behind.seen


# --- what is said of changes, and what refuses them ---


@pytest.mark.parametrize(
    "method, path, body, line",
    [
        pytest.param("POST", RUNS, {}, "POST /apis/v2beta1/runs in alice: 200, ", id="query"),
        pytest.param(
            "POST",
            "/apis/v2beta1/experiments",
            {"namespace": "alice", "description": "s3cret"},
            "POST /apis/v2beta1/experiments in alice: 200, ",
            id="body",
        ),
        pytest.param(
            "POST",
            "/apis/v1beta1/runs",
            {"resource_references": [{"key": {"type": "NAMESPACE", "id": "alice"}}]},
            "POST /apis/v1beta1/runs in alice: 200, ",
            id="a body of v1beta1",
        ),
        pytest.param(
            "DELETE",
            "/apis/v2beta1/runs/x?a=s3cret",
            None,
            "DELETE /apis/v2beta1/runs/x: 200, ",
            id="nowhere",
        ),
        pytest.param(
            "POST",
            "/apis/v2beta1/experiments",
            {"namespace": "a\nkfp-mt: bob"},
            "POST /apis/v2beta1/experiments: 200, ",
            id="a hostile namespace",
        ),
    ],
)
async def test_a_change_leaves_one_line(ask, caplog, jp_serverapp, method, path, body, line):
    jp_serverapp.log.propagate = True
    with caplog.at_level(logging.INFO):
        await ask(method, path, json=body)
        await ask("GET", RUNS)
    lines = [text for text in caplog.messages if text.startswith("kfp-mt: kernel")]
    assert len(lines) == 1
    assert lines[0].startswith(f"kfp-mt: kernel: {line}") and lines[0].endswith(" ms")
    assert "s3cret" not in caplog.text and "first" not in caplog.text


async def test_where_what_is_changed_by_its_id_belongs_is_asked_once(
    ask, behind, caplog, jp_serverapp
):
    found = {"/apis/v2beta1/runs/x": {"experiment_id": "e"}}
    behind.answer = lambda connection, asked: connection.sendall(
        ok(json.dumps(found.get(asked.path, {"namespace": "alice"})).encode())
    )
    jp_serverapp.log.propagate = True
    with caplog.at_level(logging.INFO):
        await ask("POST", "/apis/v2beta1/runs/x:terminate")
        await ask("DELETE", "/apis/v2beta1/runs/x")
        await ask("POST", "/apis/v2beta1/runs", json={"experiment_id": "e"})
        await ask("POST", "/apis/v2beta1/pipelines/upload_version?pipelineid=p")
        await ask("DELETE", "/apis/v1beta1/jobs/j")
    lines = [text for text in caplog.messages if text.startswith("kfp-mt: kernel")]
    assert [line.split(" ")[4:6] for line in lines] == [["in", "alice:"]] * 5
    looked = [asked.path.removeprefix("/apis/v2beta1/") for asked in behind.seen]
    looked = [
        path for path, asked in zip(looked, behind.seen, strict=True) if asked.method == "GET"
    ]
    assert looked == ["runs/x", "experiments/e", "pipelines/p", "recurringruns/j"]


@pytest.mark.parametrize(
    "method, path, body",
    [
        pytest.param("POST", "/apis/v2beta1/runs/x:terminate?namespace=bob", None, id="an id"),
        pytest.param("POST", "/apis/v2beta1/runs?namespace=bob", {"experiment_id": "e"}, id="body"),
        pytest.param(
            "POST", "/apis/v2beta1/experiments?namespace=bob", {"namespace": "alice"}, id="own"
        ),
    ],
)
async def test_a_query_that_kfp_ignores_names_no_namespace_in_the_log(
    ask, behind, caplog, jp_serverapp, method, path, body
):
    found = ok(b'{"experiment_id": "e", "namespace": "alice"}')
    behind.answer = lambda connection, asked: connection.sendall(found)
    jp_serverapp.log.propagate = True
    with caplog.at_level(logging.INFO):
        await ask(method, path, json=body)
    assert " in alice: 200, " in caplog.text and " in bob" not in caplog.text


async def test_where_a_run_belongs_is_asked_again_after_no_answer(
    ask, behind, caplog, jp_serverapp
):
    answers = iter([reply("500 Oh"), ok(b'{"namespace": "alice"}')])

    def answer(connection, asked):
        looked = asked.method == "GET" and "/experiments/" in asked.path
        connection.sendall(next(answers) if looked else ok(b'{"experiment_id": "e"}'))

    behind.answer = answer
    jp_serverapp.log.propagate = True
    with caplog.at_level(logging.INFO):
        await ask("POST", "/apis/v2beta1/runs/x:terminate")
        await ask("POST", "/apis/v2beta1/runs/x:terminate")
    lines = [text for text in caplog.messages if text.startswith("kfp-mt: kernel")]
    assert [" in alice: " in line for line in lines] == [False, True]


async def test_a_change_is_not_made_for_a_caller_who_left_before_it(door, behind, monkeypatch):
    asked, left, ended = threading.Event(), threading.Event(), threading.Event()
    leave, post = ProxyHandler.on_connection_close, ProxyHandler.delete

    async def delete(handler, *arguments):
        await post(handler, *arguments)
        ended.set()

    def waiting(connection, _):
        asked.set()
        left.wait(60)
        connection.sendall(ok(b'{"namespace": "alice"}'))

    monkeypatch.setattr(ProxyHandler, "delete", delete)
    monkeypatch.setattr(
        ProxyHandler, "on_connection_close", lambda handler: (leave(handler), left.set())
    )
    behind.answer = waiting
    raw = _leave(door, "DELETE", path="/apis/v2beta1/experiments/e")
    assert await asyncio.to_thread(asked.wait, 60)
    raw.close()
    assert await asyncio.to_thread(ended.wait, 10)
    assert [each.method for each in behind.seen] == ["GET"]


class TestForReadingOnly:
    @pytest.fixture(params=["trait", "variable"])
    def jp_server_config(self, jp_server_config, request, monkeypatch):
        if request.param == "trait":
            jp_server_config["Kfp"]["read_only"] = True
        else:
            monkeypatch.setenv("KFP_MT_READ_ONLY", "1")
        return jp_server_config

    @pytest.mark.parametrize("size", [2, 2_000_000])
    async def test_every_change_is_refused_with_a_sentence(self, ask, behind, size):
        for method in ("POST", "PATCH", "DELETE"):
            refused = await ask(method, UPLOAD, data=b"x" * size)
            error = refused.json()
            assert (refused.status_code, error["kind"]) == (403, "Forbidden")
            assert "for reading only" in error["message"] and "KFP_MT_READ_ONLY" in error["cause"]
        assert (await ask("GET", RUNS)).ok
        assert {asked.method for asked in behind.seen} == {"GET"}


# --- thirty megabytes ---


@pytest.fixture
def jupyter(behind, token_file, tmp_path):
    """A Jupyter server in a process of its own: the process, and its door's address."""
    with jupyter_server(tmp_path, behind.endpoint, token_file) as (process, port):
        address = f"http://127.0.0.1:{port}/kfp-mt/api"
        wait_until(lambda: _through(address, "GET", RUNS).ok)
        yield psutil.Process(process.pid), address


def _through(address, method, path, **kwargs):
    headers = {"Authorization": "token test"}
    return requests.request(method, address + path, headers=headers, timeout=60, **kwargs)


@contextlib.contextmanager
def growing_little(process):
    """Return the most memory that the process holds meanwhile, over what it held before."""
    before, highest, over = process.memory_info().rss, [0], threading.Event()

    def watch():
        while not over.wait(0.005):
            highest[0] = max(highest[0], process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    yield
    over.set()
    thread.join()
    assert highest[0] - before < LONG / 3


def test_a_long_upload_does_not_sit_in_memory(jupyter, behind):
    process, address = jupyter
    with growing_little(process):
        answered = _through(address, "POST", UPLOAD, data=b"x" * LONG)
    assert answered.ok
    asked = behind.seen[-1]
    assert (asked.size, asked.headers["Content-Length"]) == (LONG, str(LONG))


def test_nor_does_one_of_unknown_length(jupyter, behind):
    process, address = jupyter
    with growing_little(process):
        pieces = (b"x" * 100_000 for _ in range(LONG // 100_000))
        answered = _through(address, "POST", UPLOAD, data=pieces)
    assert answered.ok
    assert behind.seen[-1].size == LONG


@pytest.mark.parametrize("length", [f"Content-Length: {LONG}", "Connection: close"])
def test_a_long_answer_does_not_sit_in_memory(jupyter, behind, length):
    process, address = jupyter
    behind.answer = saying(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode() + b"x" * LONG)
    with growing_little(process):
        answered = _through(address, "GET", RUNS, stream=True)
        received = sum(map(len, answered.iter_content(100_000)))
    assert received == LONG


@pytest.fixture
def no_proxy(monkeypatch):
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


def bound_for(endpoint):
    return send_to_kfp.Destination(endpoint, Credentials(), ThreadPoolExecutor(1))


async def test_a_proxy_may_be_named_without_its_scheme(behind, no_proxy, monkeypatch):
    monkeypatch.setenv("http_proxy", behind.endpoint.removeprefix("http://"))
    sending = send_to_kfp.Sender()
    to = bound_for("http://kfp.invalid")
    with contextlib.closing(
        await sending.send(to, send_to_kfp.KfpRequest("GET", "/apis"))
    ) as answer:
        assert answer.status == 200
    assert [asked.path for asked in behind.seen] == ["http://kfp.invalid/apis"]
    await sending.close()


def test_a_proxy_of_another_kind_is_told(no_proxy, monkeypatch):
    monkeypatch.setenv("http_proxy", "socks5://me:s3cret@127.0.0.1:9")
    with pytest.raises(errors.Misconfigured, match="a proxy of type socks5 is set") as caught:
        bound_for("http://kfp.invalid")
    assert "s3cret" not in repr(caught.value.to_dict())


@pytest.mark.parametrize(
    "reach, error",
    [
        pytest.param(bound_for, errors.Misconfigured, id="through the door"),
        pytest.param(lambda endpoint: Client(endpoint).health(), errors.Unreachable, id="directly"),
    ],
)
def test_certificates_that_are_not_there_are_named(no_proxy, monkeypatch, reach, error):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such.crt")
    with pytest.raises(error, match="/no/such.crt") as caught:
        reach("https://kfp.invalid")
    assert "REQUESTS_CA_BUNDLE" in caught.value.cure


async def test_a_token_that_takes_long_is_waited_for_by_all_and_asked_for_once(monkeypatch):
    monkeypatch.setattr(send_to_kfp, "FRESH_SECONDS", 0)
    given, asked = threading.Event(), []

    class Slow(Credentials):
        def headers(self):
            asked.append(self)
            given.wait(30)
            return {"Authorization": "Bearer slow"}

    with ThreadPoolExecutor(4) as threads:
        to = send_to_kfp.Destination("http://kfp.invalid", Slow(), threads)
        waiting = [asyncio.ensure_future(to.headers()) for _ in range(8)]
        await asyncio.sleep(0)
        given.set()
        assert {each["Authorization"] for each in await asyncio.gather(*waiting)} == {"Bearer slow"}
    assert len(asked) == 1


async def test_a_token_that_takes_long_does_not_hold_up_the_status(behind, tmp_path, monkeypatch):
    monkeypatch.setattr(upstream, "LOOK_SECONDS", 0.2)
    go = tmp_path / "go"
    waits = f"until [ -e {go} ]; do sleep 0.02; done; echo token"
    asked = Upstream(Kfp(endpoint=behind.endpoint, token_command=shlex.join(["sh", "-c", waits])))
    assert not (await asked.status()).ready
    go.touch()
    while not (status := await asked.status()).ready:
        pass
    assert status.error is None
    await asked.close()


async def test_an_answer_is_given_up_where_no_other_token_can_be_had(behind):
    class Lost(Credentials):
        def renewed(self, refused):
            raise errors.Misconfigured("There is no token any more.")

    gone = threading.Event()

    def answer(connection, _):
        connection.sendall(b"HTTP/1.1 401 No\r\nContent-Length: 99\r\n\r\nthe rest never comes")
        silent(connection, _)
        gone.set()

    behind.answer = answer
    sending = send_to_kfp.Sender()
    to = send_to_kfp.Destination(behind.endpoint, Lost(), ThreadPoolExecutor(1))
    with pytest.raises(errors.Misconfigured):
        await sending.send(to, send_to_kfp.KfpRequest("GET", "/apis"))
    assert await asyncio.to_thread(gone.wait, 5)
    await sending.close()


async def test_a_warning_in_other_letters_does_not_cost_the_answer(ask, behind):
    behind.answer = lambda connection, _: connection.sendall(
        ok(b"{}", "application/json", "Warning: 299 - \u201cold\u201d")
    )
    answered = await ask("GET", RUNS)
    assert (answered.status_code, answered.headers["Warning"]) == (200, "299 - ?old?")


async def test_an_early_answer_to_a_caller_that_went_away_is_given_up(door, behind, monkeypatch):
    monkeypatch.setattr(odd_kfp, "_body", lambda read, headers: 0)
    gone, begun = threading.Event(), []
    monkeypatch.setattr(
        send_to_kfp, "KfpResponse", lambda **given: begun.append(KfpResponse(**given)) or begun[0]
    )

    def answer(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nthe rest never comes")
        with contextlib.suppress(OSError):
            while connection.recv(1 << 16):
                pass
        gone.set()
        raise OSError  # what it has read is no other request

    behind.answer = answer
    leave = _leave(door, "POST", b"x" * 1000, LONG)
    await asyncio.to_thread(wait_until, lambda: begun)
    leave.close()
    assert await asyncio.to_thread(gone.wait, 5)


async def test_a_request_goes_without_the_garbage_collector(browse, behind):
    behind.answer = lambda connection, _: connection.sendall(ok(b"{}"))
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(250):  # so many that the event loop has let go of timers of the first ones
            assert (await browse("GET", RUNS)).status_code == 200
        gc.collect()
        assert not any(isinstance(one, ProxyHandler) for one in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG], ids=["info", "debug"])
async def test_what_went_well_is_logged_where_it_is_debugged(
    ask, behind, caplog, jp_serverapp, monkeypatch, level
):
    behind.answer = lambda connection, _: connection.sendall(ok(b"{}"))
    monkeypatch.setattr(jp_serverapp, "log_level", level)
    jp_serverapp.log.propagate = True
    with caplog.at_level(logging.DEBUG):
        assert (await ask("GET", RUNS)).status_code == 200
    lines = [each.message for each in caplog.records if each.name == "ServerApp"]
    logged = any("/kfp-mt/api/" in line for line in lines)
    assert logged == (level == logging.DEBUG)
