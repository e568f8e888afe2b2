"""Names of experiments and pipelines: many in one answer, each asked of KFP once."""

import json
from contextlib import closing

import pytest
from harness.jupyter_server import server_config
from tornado.httpclient import HTTPClientError

from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.credentials import TokenFile


@pytest.fixture
def jp_server_config(local_kfp):
    token_file = local_kfp.token_file("alice/default-editor")
    return server_config(endpoint=local_kfp.endpoint, token_file=str(token_file), namespace="alice")


def client_of(local_kfp, namespace):
    credentials = TokenFile(local_kfp.token_file(f"{namespace}/default-editor"))
    return closing(Client(local_kfp.endpoint, credentials, namespace))


@pytest.fixture
def alice(local_kfp):
    with client_of(local_kfp, "alice") as client:
        yield client


async def names(jp_fetch, **asked):
    pairs = [(noun, id) for noun, ids in asked.items() for id in ids]
    return json.loads((await jp_fetch("kfp-mt", "names", params=pairs)).body)


async def test_many_names_are_in_one_answer(jp_fetch, alice, adder):
    experiment = alice.create_experiment("by name")
    pipeline = alice.pipeline(alice.upload_pipeline(adder, "adder by name").pipeline_id)
    ids = [experiment.experiment_id, "gone"]
    found = await names(jp_fetch, experiment=ids, pipeline=[pipeline.pipeline_id])
    assert found == {
        "experiments": {experiment.experiment_id: "by name"},
        "pipelines": {pipeline.pipeline_id: "adder by name"},
    }


async def test_a_name_that_is_known_is_not_asked_for_again(jp_fetch, alice, monkeypatch):
    asked = []
    ask = Client.experiment
    monkeypatch.setattr(Client, "experiment", lambda self, id: asked.append(id) or ask(self, id))
    ids = [alice.create_experiment(f"kept {number}").experiment_id for number in range(12)]
    first = await names(jp_fetch, experiment=ids)
    assert await names(jp_fetch, experiment=ids[::-1]) == first
    assert sorted(asked) == sorted(ids)


async def test_names_of_another_tenant_are_not_told(jp_fetch, local_kfp):
    with client_of(local_kfp, "bob") as bob:
        secret = bob.create_experiment("of bob alone").experiment_id
    assert await names(jp_fetch, experiment=[secret]) == {"experiments": {}, "pipelines": {}}


@pytest.mark.parametrize("ids", [["a/b"], [f"{number}" for number in range(101)]])
async def test_what_is_no_id_and_too_many_of_them_are_refused(jp_fetch, ids):
    with pytest.raises(HTTPClientError) as error:
        await names(jp_fetch, pipeline=ids)
    assert error.value.code == 400
    assert "100 at most" in json.loads(error.value.response.body)["message"]
