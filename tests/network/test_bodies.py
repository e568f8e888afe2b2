"""Answers without end, from real servers: given up at a length, with a sentence that says whose."""

import asyncio
import gzip
import itertools
from contextlib import closing

import msgspec
import pytest
from fakes.odd_kfp import OddKfp, ok

from jupyter_kfp_mt.client import task_logs
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.cluster.kfam import Kfam
from jupyter_kfp_mt.cluster.kubernetes_api import Cluster
from jupyter_kfp_mt.connection import event_reader
from jupyter_kfp_mt.connection.door_client import Door
from jupyter_kfp_mt.connection.status import ConnectionStatus
from jupyter_kfp_mt.credentials.password_login import Login
from jupyter_kfp_mt.errors import Refused, Unreachable
from jupyter_kfp_mt.extension import kfp_response as answer_module
from jupyter_kfp_mt.models import Health
from jupyter_kfp_mt.network import bodies
from jupyter_kfp_mt.scrubbing import Scrubber

LIMIT = 1 << 18
# What the sockets between hold beside.
ON_THE_WAY = 32 << 20


class EndlessKfp(OddKfp):
    """Goes on answering until nobody takes it; `sent` is how much that was."""

    def __init__(self, status="200 OK", *headers):
        super().__init__()
        self.sent = 0
        self._head = "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()
        self.pieces = itertools.repeat(b"x" * 65536)
        self.answer = self._flood

    def _flood(self, connection, asked):
        connection.sendall(self._head)
        for piece in self.pieces:
            connection.sendall(piece)
            self.sent += len(piece)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    for name in ("LONGEST_ANSWER", "LONGEST_REFUSAL"):
        monkeypatch.setattr(bodies, name, LIMIT)


@pytest.fixture
def endless():
    """Starts servers that answer without end, and stops them after the test."""
    started = []

    def start(*answer):
        started.append(EndlessKfp(*answer))
        return started[-1]

    yield start
    for server in started:
        server.close()
        assert server.sent < LIMIT + ON_THE_WAY


def listed(endpoint):
    with closing(Client(endpoint, health=Health(multi_user=True))) as client:
        client.run_page("alice")


def test_a_kfp_that_answers_without_end_is_named(endless):
    kfp = endless()
    with pytest.raises(Unreachable) as error:
        listed(kfp.endpoint)
    assert error.value.message == (
        f"Cannot list runs in alice: the answer of {kfp.endpoint} is too long "
        "(its answer is longer than 262144 bytes)."
    )


def test_a_refusal_without_end_is_cut(endless):
    with pytest.raises(Refused) as error:
        listed(endless("500 Oh No").endpoint)
    assert len(error.value.server_text) == 1000


def test_what_an_answer_packs_counts_unpacked():
    kfp = OddKfp()
    packed = gzip.compress(b" " * (LIMIT + 1))
    assert len(packed) < LIMIT / 100
    kfp.answer = lambda connection, asked: connection.sendall(
        ok(packed, "application/json", "Content-Encoding: gzip")
    )
    with pytest.raises(Unreachable, match="is too long"):
        listed(kfp.endpoint)
    kfp.close()


def test_an_answer_of_the_longest_length_is_read(monkeypatch):
    kfp = OddKfp()
    body = msgspec.json.encode({"runs": []})
    monkeypatch.setattr(bodies, "LONGEST_ANSWER", len(body))
    kfp.answer = lambda connection, asked: connection.sendall(ok(body))
    listed(kfp.endpoint)
    kfp.close()


def asks_the_door(endpoint, key_file):
    Door(endpoint, key_file).ask(ConnectionStatus, "status")


def asks_kfam(endpoint, key_file):
    Kfam(endpoint).bindings("alice")


def listens_to_events(endpoint, key_file):
    next(iter(event_reader.Stream(Door(endpoint, key_file), "alice")._once()))


@pytest.mark.parametrize("ask", [asks_the_door, asks_kfam, listens_to_events])
def test_whoever_answers_without_end_is_named(endless, ask, key_file):
    endpoint = endless().endpoint
    with pytest.raises(Unreachable, match="longer than 262144 bytes") as error:
        ask(endpoint, key_file)
    assert endpoint in error.value.message


KUBECONFIG = """
clusters: [{{name: c, cluster: {{server: "{server}"}}}}]
users: [{{name: u, user: {{}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
current-context: x
"""


@pytest.mark.parametrize(
    "status, said",
    [
        pytest.param("200 OK", "longer than 262144 bytes", id="an answer"),
        pytest.param("500 Oh No", "is not Kubernetes (HTTP 500)", id="a refusal"),
    ],
)
def test_a_kubernetes_that_answers_without_end_is_named(endless, tmp_path, status, said):
    server = endless(status).endpoint
    (tmp_path / "config").write_text(KUBECONFIG.format(server=server))
    cluster = Cluster.of_kubeconfig(str(tmp_path / "config"))
    with pytest.raises(Unreachable) as error:
        cluster.pods("alice")
    assert said in str(error.value) and server in error.value.message
    cluster.close()


def test_a_login_page_without_end_is_read_as_far_as_a_form_may_be(endless, monkeypatch):
    monkeypatch.setenv("KFP_MT_USERNAME", "user")
    monkeypatch.setenv("KFP_MT_PASSWORD", "12341234")
    kfp = endless("200 OK", "Content-Type: text/html")
    kfp._health = kfp._head + b"x" * (LIMIT * 2)
    with pytest.raises(Exception, match="has no password form"):
        Login(kfp.endpoint).renew()


def test_of_a_log_without_end_the_end_is_kept(monkeypatch):
    monkeypatch.setattr(task_logs, "LONGEST_KEPT", 100)
    lines = [b"%06d\n" % number for number in range(1000)]
    assert b"".join(task_logs.last(iter(lines), 999)) == b"".join(lines[-14:])
    said, *rest = task_logs.ending(iter(lines)).splitlines(keepends=True)
    assert rest == lines[-14:]
    assert said == b"[6,902 bytes before these are left out.]\n"


async def test_the_door_keeps_no_more_of_an_answer_than_it_needs(endless, monkeypatch):
    import aiohttp

    monkeypatch.setattr(answer_module, "LONGEST_WHOLE", LIMIT)
    kfp = endless()
    async with aiohttp.ClientSession() as session, session.get(kfp.endpoint) as response:
        answer = answer_module.KfpResponse(
            response, kfp.endpoint, lambda error: error, Scrubber([])
        )
        start, more = await asyncio.wait_for(answer.start(), 30)
    assert more
    assert len(start) <= LIMIT + answer_module.CHUNK
