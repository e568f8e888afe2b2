"""Runs that execute keep the Jupyter server that their local KFP depends on from being culled."""

import asyncio
from datetime import datetime, timedelta, timezone

import pytest
from harness.jupyter_server import server_config
from harness.local_kfp import API
from harness.waiting import wait_until

from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.connection import local_kfp as lease
from jupyter_kfp_mt.connection.local_kfp import LocalKfpUse
from jupyter_kfp_mt.credentials import TokenFile
from jupyter_kfp_mt.extension import activity
from jupyter_kfp_mt.local.server import ABANDONED

LONG_AGO = datetime.now(timezone.utc) - timedelta(days=1)


def client_of(kfp, namespace):
    file = kfp.token_file(f"{namespace}/default-editor")
    return Client(kfp.endpoint, TokenFile(file), namespace)


async def until(condition, seconds=60):
    for _ in range(int(seconds / 0.05)):
        if found := condition():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"it did not happen in {seconds} s")


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(activity.Activity.__init__, "__defaults__", (0.05,))


@pytest.fixture
def culled(jp_serverapp, monkeypatch):
    """Tell whether a Jupyter server that was idle for a second stops by its own timeout."""
    stops = []
    jp_serverapp.shutdown_no_activity_timeout = 1
    monkeypatch.setattr(jp_serverapp, "stop", lambda *_: stops.append(True))
    settings = jp_serverapp.web_app.settings

    def culled():
        settings["started"] = LONG_AGO
        settings["last_activity_times"].clear()
        jp_serverapp.kernel_manager.last_kernel_activity = LONG_AGO
        stops.clear()
        jp_serverapp.shutdown_no_activity()
        return bool(stops)

    return culled


class TestOnALocalKfpOfItsOwn:
    @pytest.fixture
    def jp_server_config(self, tmp_path, profiles, often):
        return server_config(
            endpoint="local", data=str(tmp_path / "kfp"), profiles=str(profiles), namespace="alice"
        )

    @pytest.mark.parametrize("namespace", ["alice", "bob"])
    async def test_an_unfinished_run_of_any_namespace_is_activity_until_it_ends(
        self, door, jp_serverapp, tmp_path, sleeper, culled, namespace
    ):
        settings = jp_serverapp.web_app.settings
        await settings["kfp_mt"].upstream.health()
        client = client_of(lease.running(tmp_path / "kfp"), namespace)
        assert culled()
        assert activity.SETTING not in settings
        run = await asyncio.to_thread(client.start_run, sleeper)
        await until(lambda: activity.SETTING in settings)
        assert jp_serverapp.web_app.last_activity() == settings[activity.SETTING]
        assert not culled()
        await asyncio.to_thread(client.terminate, run.run_id)
        settings[activity.SETTING] = LONG_AGO
        await until(culled)
        client.close()


class TestOnAKfpElsewhere:
    @pytest.fixture
    def jp_server_config(self, local_kfp, often):
        return server_config(
            endpoint=local_kfp.endpoint,
            token_file=str(local_kfp.token_file("alice/default-editor")),
            namespace="alice",
        )

    async def test_runs_are_no_activity(self, door, jp_serverapp, local_kfp, sleeper, culled):
        upstream = jp_serverapp.web_app.settings["kfp_mt"].upstream
        client = await upstream.client()
        run = await asyncio.to_thread(client.start_run, sleeper)
        assert not await upstream.is_executing()
        assert culled()
        await asyncio.to_thread(client.terminate, run.run_id)


def test_runs_on_a_server_that_was_started_by_hand_do_not_keep_anybody(start_local_kfp):
    held = LocalKfpUse(start_local_kfp().data)
    assert not held.kfp.while_used
    held.close()


def test_a_run_that_ends_with_the_jupyter_server_says_so(
    tmp_path, profiles, sleeper, start_local_kfp
):
    held = LocalKfpUse(tmp_path / "data", str(profiles))
    client = client_of(held.kfp, "alice")
    run_id = client.start_run(sleeper).run_id
    wait_until(lambda: client.run(run_id).state == "RUNNING", 60, "the start")
    client.close()
    assert held.kfp.while_used
    held.close()
    wait_until(lambda: not lease._is_locked(tmp_path / "data"), 60, "the end")
    server = start_local_kfp()
    run = server.get(f"{API}/runs/{run_id}").json()
    assert (run["state"], run["error"]["message"]) == ("FAILED", ABANDONED)
