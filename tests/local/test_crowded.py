"""The local KFP with more connections than it may have files open."""

import contextlib
import socket

import pytest
import requests
from harness.local_kfp import API, LocalKfp
from harness.waiting import wait_until

MOST = 64
COMPLAINT = "No more connections can be accepted (Too many open files)"


@pytest.fixture
def small(tmp_path, profiles):
    """A server that may have few files open."""
    within = ["sh", "-c", f'ulimit -n {MOST} && exec "$0" "$@"']
    server = LocalKfp(tmp_path / "data", "--profiles", str(profiles), within=within)
    yield server
    assert server.stop() == 0


def test_without_room_for_a_connection_the_server_waits_says_so_once_and_goes_on(small):
    server = small
    address = ("127.0.0.1", int(server.endpoint.rpartition(":")[2]))
    with requests.Session() as early, contextlib.ExitStack() as crowd:
        assert early.get(f"{server.endpoint}{API}/healthz", timeout=30).status_code == 200
        for _ in range(MOST + 20):
            crowd.enter_context(socket.create_connection(address, timeout=30))
        wait_until(lambda: COMPLAINT in server.log.read_text(), what="the complaint")
        for _ in range(300):
            assert early.get(f"{server.endpoint}{API}/healthz", timeout=30).status_code == 200
        assert server.log.read_text().count("\n") == 1
        refused = early.get(
            f"{server.endpoint}{API}/experiments", params={"namespace": "alice"}, timeout=30
        )
        assert refused.status_code == 401
    wait_until(
        lambda: server.get(f"{API}/experiments", namespace="alice").status_code == 200,
        what="an answer when there is room",
    )
    assert "Traceback" not in server.log.read_text()
    assert server.log.read_text().count(COMPLAINT) == 1
