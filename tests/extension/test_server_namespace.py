"""One namespace for a Jupyter server, and a kernel's own: chosen at the door and in cells."""

import asyncio
import json
import sys

import pytest
from harness.jupyter_server import call, server_config
from harness.real_kernel import shown
from tornado.httpclient import HTTPClientError

from jupyter_kfp_mt.connection.connections import DirectConnection
from jupyter_kfp_mt.credentials import Credentials
from jupyter_kfp_mt.errors import KfpError
from jupyter_kfp_mt.namespaces.chosen_namespaces import CHOSEN, ChosenNamespaces
from jupyter_kfp_mt.notebook import render


@pytest.fixture
def jp_server_config(local_kfp, tmp_path, monkeypatch):
    monkeypatch.setenv("KFP_MT_DATA", str(tmp_path / "data"))
    bob = str(local_kfp.token_file("bob/default-editor"))  # he may view alice's
    return server_config(endpoint=local_kfp.endpoint, token_file=bob, namespace="bob")


@pytest.fixture
def kfp(shell):
    """Return a function that runs `%kfp LINE` while the Jupyter server answers on this loop."""
    return lambda line="": asyncio.to_thread(shell.run_line_magic, "kfp", line)


@pytest.fixture
def fetch(jp_fetch):
    async def fetch(path, method="GET", **params):
        body = "" if method == "PUT" else None
        answer = await jp_fetch("kfp-mt", path, method=method, body=body, params=params)
        return json.loads(answer.body)

    return fetch


async def refused(asking):
    with pytest.raises(HTTPClientError) as error:
        await asking
    return error.value.code, json.loads(error.value.response.body)["message"]


async def test_the_namespace_that_is_chosen_is_that_of_the_connection(fetch):
    usual = {"namespace": "bob", "default_namespace": "bob", "kernels": {}}
    assert await fetch("namespace") == usual
    chosen = {**usual, "namespace": "alice"}
    assert await fetch("namespace", "PUT", namespace="alice") == chosen
    status = await fetch("status")
    assert (status["namespace"], status["default_namespace"]) == ("alice", "bob")
    assert status["identity"]["subject"] == "system:serviceaccount:bob:default-editor"
    (step,) = [each for each in status["trace"] if each["step"] == "namespace" and each["chosen"]]
    assert (step["looked_at"], step["found"]) == (CHOSEN, "alice")
    assert await fetch("namespace", "PUT") == usual
    assert (await fetch("status"))["namespace"] == "bob"


@pytest.mark.parametrize(
    "params, sentence",
    [
        pytest.param({"namespace": "No_Name"}, "'No_Name' is not the name", id="no name"),
        pytest.param({"namespace": "alice", "kernel": "x"}, "has no kernel 'x'", id="no kernel"),
    ],
)
async def test_a_choice_that_makes_no_sense_is_refused(fetch, params, sentence):
    code, message = await refused(fetch("namespace", "PUT", **params))
    assert code == 400 and sentence in message


async def test_cells_follow_what_is_chosen_in_the_panel(door, kfp, fetch):
    assert (await kfp("ns")).namespace == "bob"
    await fetch("namespace", "PUT", namespace="alice")
    found = await kfp("ns")
    assert (found.namespace, found.reason, found.usual) == ("alice", CHOSEN, "")
    runs = await kfp("runs --name nothing")
    assert "namespace alice" in await asyncio.to_thread(render.text, runs)


async def test_a_cell_chooses_for_itself_or_for_all(door, kfp, fetch):
    own = await kfp("ns alice")
    assert (own.namespace, own.usual) == ("alice", "bob")
    told = render.text(own)
    assert "for this kernel alone" in told and "%kfp ns alice --server" in told
    assert "%kfp ns --server uses bob here, too" in render.text(await kfp())
    assert (await fetch("namespace"))["namespace"] == "bob"
    shared = await kfp("ns alice --server")
    assert (shared.namespace, shared.usual) == ("alice", "")
    assert (await fetch("namespace"))["namespace"] == "alice"
    await kfp("ns bob")
    assert (await kfp("ns --server")).namespace == "alice"


async def test_a_namespace_that_is_nearly_called_so_is_suggested(door, kfp):
    with pytest.raises(KfpError) as error:
        await kfp("ns alcie")
    assert error.value.cure == "Did you mean %kfp ns alice?"
    assert "Still in bob" in error.value.message


async def test_a_kernels_own_namespace_is_known_to_its_server_and_outlives_its_restart(
    door, jp_serverapp, fetch
):
    kernels = jp_serverapp.kernel_manager
    own = await kernels.start_kernel()

    async def run(code):
        client, said = kernels.get_kernel(own).client(), []
        client.start_channels(hb=False)
        try:
            await client.wait_for_ready(300)
            code = f"%load_ext jupyter_kfp_mt\n{code}"
            await client.execute_interactive(code, timeout=300, output_hook=said.append)
        finally:
            client.stop_channels()
        return "".join(map(shown, said))

    try:
        assert "alice" in await run("%kfp ns alice")
        assert (await fetch("namespace"))["kernels"] == {own: "alice"}
        await kernels.restart_kernel(own)
        assert "for this kernel alone" in await run("%kfp ns")
        await fetch("namespace", "PUT", kernel=own)  # as the panel's button does
        assert "bob" in await run("%kfp ns")
        assert (await fetch("namespace"))["kernels"] == {}
        await run("%kfp ns alice")
    finally:
        await kernels.shutdown_kernel(own, now=True)
    assert (await fetch("namespace"))["kernels"] == {}


async def test_whoever_listens_is_told_of_a_choice(door, home, fetch):
    address, key = door
    headers = {"Authorization": f"Bearer {key}"}
    events = await call("GET", f"{address}/events?namespace=bob", headers=headers, stream=True)
    lines = events.iter_lines()

    def told(name):
        for line in lines:
            if line == f"event: {name}".encode():
                return json.loads(next(lines).removeprefix(b"data: "))

    with events:
        await asyncio.to_thread(told, "snapshot")
        await fetch("namespace", "PUT", namespace="alice")
        assert (await asyncio.to_thread(told, "namespace"))["namespace"] == "alice"


def connection(endpoint):
    return DirectConnection(endpoint, Credentials(), "team", [])


def test_a_choice_is_kept_for_each_endpoint(tmp_path):
    path = tmp_path / "folder" / "chosen.json"
    ChosenNamespaces(path).choose(connection("http://one"), "other")
    later = ChosenNamespaces(path)
    assert later.over(connection("http://one")).namespace == "other"
    assert later.over(connection("http://two")).namespace == "team"
    later.choose(connection("http://one"), "")
    assert ChosenNamespaces(path).over(connection("http://one")).namespace == "team"


@pytest.mark.skipif(sys.platform == "win32", reason="permissions")
def test_a_choice_that_cannot_be_kept_holds_as_long_as_the_server(tmp_path):
    (tmp_path / "file").write_text("no folder")
    chosen = ChosenNamespaces(tmp_path / "file" / "chosen.json")
    chosen.choose(connection("http://one"), "other")
    assert chosen.over(connection("http://one")).namespace == "other"
