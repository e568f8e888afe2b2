"""The tenants of a local KFP, of whom a Jupyter server is one: chosen at its door."""

import asyncio
import contextlib
import json

import pytest
from harness.jupyter_server import server_config
from harness.waiting import PATIENCE
from tornado.httpclient import HTTPClientError

from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.credentials import TokenFile
from jupyter_kfp_mt.extension.server_identity import CHOSEN

ALICE, BOB = "alice/default-editor", "bob/default-editor"


@pytest.fixture
def jp_server_config(request, local_kfp, tmp_path, monkeypatch):
    """A server that is bob: at the local KFP, or with the parameter `cluster` at a cluster's."""
    if getattr(request, "param", "") == "cluster":
        monkeypatch.setenv("KFP_MT_DATA", str(tmp_path / "data"))
        token = str(local_kfp.token_file(BOB))
        return server_config(endpoint=local_kfp.endpoint, token_file=token, namespace="bob")
    return server_config(endpoint="local", data=str(local_kfp.data), namespace="bob")


@pytest.fixture
def fetch(jp_fetch):
    async def fetch(*path, method="GET", **params):
        body = "" if method == "PUT" else None
        answer = await jp_fetch("kfp-mt", *path, method=method, body=body, params=params)
        return json.loads(answer.body)

    return fetch


@pytest.fixture
def listen(jp_fetch):
    """Return a context in which a namespace's events are heard, until the stream has ended."""

    @contextlib.asynccontextmanager
    async def listen(namespace):
        told = bytearray()
        events = jp_fetch(
            "kfp-mt",
            "events",
            params={"namespace": namespace},
            streaming_callback=told.extend,
            request_timeout=PATIENCE,
        )

        async def heard(text):
            """Return all that was told once this is among it."""
            while text.encode() not in told and not events.done():
                await asyncio.sleep(0.02)
            return told.decode()

        yield heard
        await events

    return listen


@pytest.fixture
def run_of_bob(local_kfp, adder, unique):
    """A run that alice may not see."""
    client = Client(local_kfp.endpoint, TokenFile(local_kfp.token_file(BOB)), "bob")
    run = client.start_run(adder, {"x": 1}, name=unique)
    yield run
    client.wait(run.run_id)
    client.close()


async def refused(asking):
    with pytest.raises(HTTPClientError) as error:
        await asking
    return error.value.code, json.loads(error.value.response.body)["message"]


async def test_a_server_becomes_another_tenant_in_that_tenants_namespace_and_the_usual_one_again(
    door, fetch
):
    usual = await fetch("status")
    assert {ALICE, BOB, "alice@example.com"} <= {*usual["identities"]}
    in_use = await fetch("identity", method="PUT", identity=ALICE)
    assert (in_use["namespace"], in_use["default_namespace"]) == ("alice", "alice")
    status = await fetch("status")
    assert status["identity"]["subject"] == "system:serviceaccount:alice:default-editor"
    (step,) = [each for each in status["trace"] if each["step"] == "credentials" and each["chosen"]]
    assert step["looked_at"] == CHOSEN and ALICE in step["found"]
    await fetch("identity", method="PUT")
    assert await fetch("status") == usual


async def test_nothing_of_one_tenant_is_told_to_the_next(door, fetch, listen, run_of_bob):
    runs = ("api", "apis", "v2beta1", "runs")
    listed = await fetch(*runs, namespace="bob")
    assert run_of_bob.run_id in {each["run_id"] for each in listed["runs"]}
    async with listen("bob") as heard:
        await heard(run_of_bob.run_id)
        await fetch("identity", method="PUT", identity=ALICE)
        assert "event: reset" in await heard("event: reset")
    assert (await refused(fetch(*runs, namespace="bob")))[0] == 403
    assert (await refused(fetch(*runs, run_of_bob.run_id)))[0] == 403
    async with listen("bob") as heard:
        told = await heard("event: error")
        assert "event: error" in told
        await fetch("identity", method="PUT")  # which ends the stream
    assert run_of_bob.run_id not in told


async def test_an_identity_that_there_is_not_is_refused_with_those_there_are(door, fetch):
    code, message = await refused(fetch("identity", method="PUT", identity="carol/default-editor"))
    assert code == 404 and message == "The local KFP has no identity carol/default-editor."
    assert (await fetch("status"))["namespace"] == "bob"


@pytest.mark.parametrize("jp_server_config", ["cluster"], indirect=True)
async def test_where_credentials_are_configured_nobody_else_can_be_chosen(door, fetch):
    assert (await fetch("status"))["identities"] == []
    code, message = await refused(fetch("identity", method="PUT", identity=ALICE))
    assert code == 400 and "only a local KFP offers identities" in message
