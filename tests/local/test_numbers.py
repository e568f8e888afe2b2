"""Numbers in what the local KFP answers: digit for digit those that a server in Go writes."""

import json
import re

import pytest
import yaml
from harness.local_kfp import API

from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.credentials import TokenFile

# What is sent, and how it comes back.
NUMBERS = [
    pytest.param("20971520", "20971520", id="whole"),
    pytest.param("1.0", "1", id="with a fraction of zero"),
    pytest.param("-0.0", "-0", id="minus zero"),
    pytest.param("0.5", "0.5", id="fraction"),
    pytest.param("9007199254740991", "9007199254740991", id="the last exact one"),
    pytest.param("9007199254740993", "9007199254740992", id="2**53 + 1"),
    pytest.param("-9007199254740993", "-9007199254740992", id="-2**53 - 1"),
    pytest.param("1795901800123456789", "1795901800123456800", id="nanoseconds"),
    pytest.param("18446744073709551617", "18446744073709552000", id="2**64 + 1"),
    pytest.param("1e20", "100000000000000000000", id="1e20"),
    pytest.param("999999999999999900000", "999999999999999900000", id="below 1e21"),
    pytest.param("1e-7", "1e-7", id="small"),
]


@pytest.fixture(scope="module")
def experiment_id(local_kfp):
    body = {"display_name": "numbers", "namespace": "alice"}
    return local_kfp.post(f"{API}/experiments", body).json()["experiment_id"]


def spec_with(adder, number):
    """The adder, with a list and a struct of the number as defaults."""
    spec = yaml.safe_load(adder.read_text())
    spec["root"]["inputDefinitions"]["parameters"] = {
        "n": {"parameterType": "NUMBER_DOUBLE"},
        "l": {"parameterType": "LIST", "defaultValue": ["<number>"]},
        "s": {"parameterType": "STRUCT", "defaultValue": {"a": {"b": "<number>"}}},
    }
    del spec["root"]["dag"]["tasks"]
    return json.dumps(spec).replace('"<number>"', number)


def body_with(adder, experiment_id, number, **more):
    parameters = '{"n": <n>, "l": [<n>, {"a": <n>}], "s": {"a": [<n>]}}'.replace("<n>", number)
    return (
        json.dumps({"display_name": "n", "experiment_id": experiment_id, **more})[:-1]
        + f', "runtime_config": {{"parameters": {parameters}}}'
        + f', "pipeline_spec": {spec_with(adder, number)}}}'
    )


def written(answer):
    """All numbers in what an answer says of parameters, as they are written."""
    assert answer.status_code == 200, answer.text
    said = re.findall(r'(?:"[nab]":|"(?:l|defaultValue)":\[)\[?(-?[0-9.e+-]+)', answer.text)
    return set(said)


@pytest.mark.parametrize(("sent", "comes_back"), NUMBERS)
def test_numbers_of_a_run_come_back_as_go_writes_them(
    local_kfp, adder, experiment_id, sent, comes_back
):
    made = local_kfp.call("POST", f"{API}/runs", data=body_with(adder, experiment_id, sent))
    assert written(made) == {comes_back}
    run_id = made.json()["run_id"]
    assert written(local_kfp.get(f"{API}/runs/{run_id}")) == {comes_back}
    newest = {"experiment_id": experiment_id, "sort_by": "created_at desc", "page_size": 1}
    assert written(local_kfp.get(f"{API}/runs", **newest)) == {comes_back}


@pytest.mark.parametrize(("sent", "comes_back"), NUMBERS)
def test_numbers_of_a_recurring_run_come_back_as_go_writes_them(
    local_kfp, adder, experiment_id, sent, comes_back
):
    body = body_with(adder, experiment_id, sent, max_concurrency="1", mode="DISABLE")
    made = local_kfp.call("POST", f"{API}/recurringruns", data=body)
    assert written(made) == {comes_back}
    path = f"{API}/recurringruns/{made.json()['recurring_run_id']}"
    assert written(local_kfp.get(path)) == {comes_back}


@pytest.mark.parametrize(("sent", "comes_back"), NUMBERS)
def test_numbers_of_an_uploaded_pipeline_come_back_as_go_writes_them(
    local_kfp, adder, unique, sent, comes_back
):
    made = local_kfp.call(
        "POST",
        f"{API}/pipelines/upload",
        params={"namespace": "alice", "name": unique},
        files={"uploadfile": ("pipeline.yaml", spec_with(adder, sent))},
    )
    path = f"{API}/pipelines/{made.json()['pipeline_id']}/versions"
    assert written(local_kfp.get(path)) == {comes_back}


def test_what_looks_like_minus_zero_in_a_text_is_left_alone(local_kfp, unique):
    said = '-0.0 "-0.0" \\ [-0.0, 1-0.0]'
    body = {"display_name": unique, "namespace": "alice", "description": said}
    made = local_kfp.post(f"{API}/experiments", body).json()
    assert made["description"] == said


def test_numbers_of_v1beta1_come_back_as_go_writes_them(local_kfp, adder, experiment_id):
    made = local_kfp.call(
        "POST", f"{API}/runs", data=body_with(adder, experiment_id, "1795901800123456789")
    )
    run = local_kfp.get(f"/apis/v1beta1/runs/{made.json()['run_id']}")
    assert written(run) == {"1795901800123456800"}
    assert "1795901800123456789" not in run.text


def test_the_client_tells_the_same_digits(local_kfp, adder, experiment_id):
    made = local_kfp.call(
        "POST", f"{API}/runs", data=body_with(adder, experiment_id, "1795901800123456789")
    )
    credentials = TokenFile(local_kfp.token_file("alice/default-editor"))
    run = Client(local_kfp.endpoint, credentials, "alice").run(made.json()["run_id"])
    assert json.dumps(run.runtime_config.parameters["n"]) == "1795901800123456800"
