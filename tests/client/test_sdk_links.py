"""The links that the kfp SDK's client shows: they lead to KFP's pages, or there are none."""

import asyncio
import re

import pytest
from fakes.guarded_kfp import Answer, GuardedKfp
from harness.jupyter_server import server_config
from IPython.utils.capture import capture_output

import jupyter_kfp_mt
from jupyter_kfp_mt.client.client import Client

PAGES = "https://kubeflow.example.com/_/pipeline/?ns={namespace}"


class Starting(GuardedKfp):
    def found(self, request, path):
        return Answer(200, {"experiment_id": "e", "run_id": "r", "display_name": "a", "id": "e"})


@pytest.fixture(autouse=True)
def nowhere_known(monkeypatch):
    for name in ("KFP_MT_UI_URL", "KF_PIPELINES_UI_ENDPOINT", "NB_PREFIX", "KFP_MT_DOOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def start(serve, adder):
    """Starts a run with the SDK, and gives the links that were shown."""
    kfp = serve(Starting)

    def start(**options):
        client = Client(kfp.endpoint, namespace="alice")
        sdk = jupyter_kfp_mt.kfp_client(client)
        with capture_output() as shown:
            sdk.create_run_from_pipeline_package(str(adder), {"x": 1}, **options)
        client.close()
        html = [output.data.get("text/html", "") for output in shown.outputs]
        return re.findall(r"\S*#/[\w/]+", shown.stdout + " ".join(html).replace('"', " "))

    return start


def led_to(pages):
    return [f"{pages}#/experiments/details/e", f"{pages}#/runs/details/r"]


@pytest.mark.parametrize("in_ipython", [False, True], ids=["in Python", "in IPython"])
def test_where_no_pages_are_known_no_link_is_shown(start, in_ipython, request):
    if in_ipython:
        request.getfixturevalue("shell")
    assert start() == []


@pytest.mark.parametrize("in_ipython", [False, True], ids=["in Python", "in IPython"])
@pytest.mark.parametrize("variable", ["KFP_MT_UI_URL", "KF_PIPELINES_UI_ENDPOINT"])
@pytest.mark.parametrize("after", ["", "#/runs/details/{run_id}"], ids=["pages", "a run's"])
def test_links_lead_to_the_pages_that_are_named(
    start, monkeypatch, variable, after, in_ipython, request
):
    if in_ipython:
        request.getfixturevalue("shell")
    monkeypatch.setenv(variable, PAGES + after)
    assert start() == led_to("https://kubeflow.example.com/_/pipeline/?ns=alice")


def test_links_name_the_namespace_of_the_call(start, monkeypatch):
    monkeypatch.setenv("KFP_MT_UI_URL", PAGES)
    found = start(namespace="team b")
    assert all("?ns=team%20b#/" in link for link in found) and len(found) == 2


def test_in_kubeflow_they_lead_to_its_dashboard(start, monkeypatch):
    monkeypatch.setenv("NB_PREFIX", "/notebook/alice/n")
    assert start() == led_to("/_/pipeline/?ns=alice")


def test_what_else_is_printed_meanwhile_stays(serve, adder, capsys):
    sdk = jupyter_kfp_mt.kfp_client(Client(serve(Starting).endpoint, namespace="alice"))
    send = sdk._experiment_api.experiment_service_list_experiments

    def talking(*arguments, **options):
        print("asked")
        return send(*arguments, **options)

    sdk._experiment_api.experiment_service_list_experiments = talking
    sdk.create_experiment("a")
    assert capsys.readouterr().out == "asked\n"


@pytest.fixture
def jp_server_config(local_kfp):
    token = local_kfp.token_file("alice/default-editor")
    return server_config(endpoint=local_kfp.endpoint, token_file=str(token), namespace="alice")


async def test_behind_the_door_to_a_local_kfp_no_link_is_shown(door, capsys, unique):
    def in_a_kernel():
        jupyter_kfp_mt.kfp_client().create_experiment(unique)

    await asyncio.to_thread(in_a_kernel)
    assert "#/" not in capsys.readouterr().out
