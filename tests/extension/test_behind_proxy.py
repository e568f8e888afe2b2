"""The door behind JupyterHub's proxy, which keeps its connections to the Jupyter server."""

import asyncio
import collections
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from fakes.odd_kfp import OddKfp
from harness import hub_proxy
from harness.jupyter_server import call, jupyter_server, server_config
from harness.waiting import wait_until

from jupyter_kfp_mt.extension import unread_body

RUNS = "/kfp-mt/api/apis/v2beta1/runs?namespace=alice"
OURS = {"Authorization": "token test"}
LONG, LONGEST = b"x" * 3_000_000, 4_000_000


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    """The address of a Jupyter server through the proxy."""
    folder = tmp_path_factory.mktemp("jupyter")
    (folder / "token").write_text("first")
    kfp = OddKfp()
    with (
        jupyter_server(folder, kfp.endpoint, folder / "token") as (_, port),
        hub_proxy.before(port) as address,
    ):
        wait_until(lambda: asked(address, "GET").ok, 300)
        page = asked(address, "GET", "/tree?token=test", {}, allow_redirects=False)
        SIGNED_IN.update(page.cookies.get_dict())
        yield address
    kfp.close()


def asked(address, method, path=RUNS, headers=OURS, **options):
    return requests.request(method, address + path, headers=headers, timeout=60, **options)


SIGNED_IN: dict[str, str] = {}  # the cookies of a browser that is
REFUSED = {
    "nobody": {"headers": {}, "data": b"{}"},
    "nobody, without a body": {"headers": {}},
    "a wrong key": {"headers": {"Authorization": "Bearer wrong"}, "data": b"{}"},
    "another site, in a signed-in browser": {"headers": {}, "data": b"{}", "cookies": SIGNED_IN},
    "no way": {"path": "/kfp-mt/api/apis/v2beta1/workflows", "data": b"{}"},
    "another method": {"method": "PUT", "data": b"{}"},
    "an odd method": {"method": "PROPFIND", "data": b"{}"},
    "a long body": {"headers": {}, "data": LONG},
    "a long body of unknown length": {"headers": {}, "data": [LONG] * 3},
    "a long body, no way": {"path": "/kfp-mt/api/apis/v2beta1/workflows", "data": LONG},
}


@pytest.mark.parametrize("refused", REFUSED)
def test_who_is_refused_takes_no_connection_from_others(proxied, refused):
    def ask(number):
        wrong = {"method": "POST", **REFUSED[refused]}
        if isinstance(wrong.get("data"), list):
            wrong["data"] = iter(wrong["data"])
        if number % 2:
            return "ours", asked(proxied, "POST", data=b"{}").status_code
        return "refused", asked(proxied, **wrong).status_code

    with ThreadPoolExecutor(4) as threads:
        statuses = collections.Counter(threads.map(ask, range(60)))
    assert {kind for kind, _ in statuses} == {"ours", "refused"}
    assert {status for kind, status in statuses if kind == "ours"} == {200}, statuses
    assert {status for kind, status in statuses if kind == "refused"} <= {403, 404, 405}, statuses


# --- without one ----------------------------------------------------------------------------


@pytest.fixture
def jp_server_config(token_file):
    config = server_config(endpoint="http://127.0.0.1:1", token_file=str(token_file))
    config["ServerApp"]["max_body_size"] = LONGEST
    return config


def sent(url, length, body):
    """A POST by nobody, on a connection of its own that is left open."""
    host, _, path = url.removeprefix("http://").partition("/")
    raw = socket.create_connection(host.split(":"), timeout=30)
    raw.sendall(
        f"POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n".encode()
    )
    raw.sendall(body)
    return raw


async def test_who_is_refused_is_told_so_before_the_end_of_a_long_body(door):
    def told():
        with sent(f"{door[0]}/api/apis/v2beta1/runs", len(LONG), LONG[:1000]) as raw:
            said = raw.recv(1 << 16)
            raw.sendall(LONG[1000:])
            return said, raw.recv(1)

    said, rest = await asyncio.to_thread(told)
    assert said.startswith(b"HTTP/1.1 403 ") and b"\r\nConnection: close\r\n" in said
    assert rest == b""


@pytest.mark.parametrize("limit", ["MOST_BYTES", "MOST_SECONDS"])
async def test_what_still_comes_of_it_is_read_within_limits(door, monkeypatch, limit):
    monkeypatch.setattr(unread_body, limit, 0.1)

    def cut_off():
        with sent(f"{door[0]}/api/apis/v2beta1/runs", len(LONG), b"x") as raw:
            raw.recv(1 << 16)
            return raw.recv(1)

    assert await asyncio.to_thread(cut_off) == b""


async def test_a_body_longer_than_the_server_takes_is_refused_with_a_sentence(door):
    headers = {"Authorization": f"Bearer {door[1]}"}
    url = f"{door[0]}/api/apis/v2beta1/pipelines/upload"
    refused = await call("POST", url, headers=headers, data=b"x" * (LONGEST + 1))
    assert (refused.status_code, refused.json()["kind"]) == (413, "TooLong")
    assert "c.ServerApp.max_body_size" in refused.json()["cure"]
