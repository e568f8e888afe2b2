"""Names of experiments and pipelines: many in one answer, each asked of KFP once."""

import json
from contextlib import closing

import pytest
from harness.jupyter_server import server_config
from tornado.httpclient import HTTPClientError

from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.client.transport import Transport
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


@pytest.fixture
def requests_to_kfp(monkeypatch):
    """Which lists and which single things KFP is asked for."""
    asked = []
    page, get = Transport.page, Transport.get

    def paged(self, noun, *arguments, **options):
        asked.append(noun)
        return page(self, noun, *arguments, **options)

    def got(self, path, *arguments, **options):
        asked.append(path)
        return get(self, path, *arguments, **options)

    monkeypatch.setattr(Transport, "page", paged)
    monkeypatch.setattr(Transport, "get", got)
    return asked


async def test_many_names_of_a_namespace_are_one_list(jp_fetch, alice, adder, requests_to_kfp):
    experiments = [alice.create_experiment(f"listed {number}") for number in range(12)]
    alice.archive_experiment(experiments[0].experiment_id)
    pipelines = [alice.upload_pipeline(adder, f"listed {number}") for number in range(5)]
    shared = alice.upload_pipeline(adder, "listed, shared", shared=True)
    wanted = {
        "experiment": [each.experiment_id for each in experiments],
        "pipeline": [each.pipeline_id for each in [*pipelines, shared]],
    }
    requests_to_kfp.clear()
    found = await names(jp_fetch, **wanted, namespace=["alice"])
    assert requests_to_kfp == ["experiments", "pipelines", "pipelines"]
    assert sorted(found["experiments"].values()) == sorted(f"listed {n}" for n in range(12))
    assert found["pipelines"][shared.pipeline_id] == "listed, shared"
    assert len(found["pipelines"]) == 6


async def test_a_name_in_no_namespace_that_is_told_is_asked_for_alone(jp_fetch, alice):
    ids = [alice.create_experiment(f"elsewhere {number}").experiment_id for number in range(3)]
    found = await names(jp_fetch, experiment=[*ids, "gone"], namespace=["bob"])
    assert sorted(found["experiments"].values()) == [f"elsewhere {n}" for n in range(3)]


async def test_names_of_another_tenant_are_not_told(jp_fetch, local_kfp):
    with client_of(local_kfp, "bob") as bob:
        secret = bob.create_experiment("of bob alone").experiment_id
    assert await names(jp_fetch, experiment=[secret]) == {"experiments": {}, "pipelines": {}}


@pytest.mark.parametrize("ids", [["a/b"], [f"{number}" for number in range(101)]])
async def test_what_is_no_id_and_too_many_of_them_are_refused(jp_fetch, ids):
    with pytest.raises(HTTPClientError) as error:
        await names(jp_fetch, pipeline=ids)
    assert error.value.code == 400
    assert "at most 100" in json.loads(error.value.response.body)["message"]
