"""A KFP for a single user: it has no namespaces, and refuses those who send one."""

import pytest
from fakes.guarded_kfp import GuardedKfp
from IPython.core.interactiveshell import InteractiveShell

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.connection.choose_connection import resolve
from jupyter_kfp_mt.errors import KfpError
from jupyter_kfp_mt.models import Health
from jupyter_kfp_mt.notebook.render import html, text
from jupyter_kfp_mt.notebook.verbs.values import Overview
from jupyter_kfp_mt.settings import Kfp


@pytest.fixture
def single_user(serve):
    return serve(GuardedKfp, multi_user=False)


@pytest.fixture
def client(single_user):
    client = Client(single_user.endpoint, namespace="alice")
    yield client
    client.close()


@pytest.mark.parametrize("noun", ["experiment", "pipeline", "run"])
def test_the_server_refuses_a_namespace_as_the_real_one_does(single_user, noun):
    client = Client(single_user.endpoint, namespace="alice", health=Health(multi_user=True))
    with pytest.raises(errors.BadRequest, match="In single-user mode, List.* cannot filter by"):
        getattr(client, f"{noun}_page")()
    client.close()


@pytest.mark.parametrize("namespace", ["", "bob"])
def test_lists_are_asked_for_without_a_namespace(client, single_user, namespace):
    pages = [
        client.experiment_page(namespace),
        client.pipeline_page(namespace),
        client.run_page(namespace),
    ]
    assert [page.namespace for page in pages] == ["", "", ""]
    assert not any("namespace" in request.query for request in single_user.asked)


def test_what_is_created_and_uploaded_names_no_namespace(client, single_user, adder):
    client.create_experiment("e")
    client.upload_pipeline(adder)
    client.start_run(adder, {"x": 1})
    posted = [request for request in single_user.asked if request.method == "POST"]
    assert len(posted) == 4  # the experiment of the run as well
    assert not any("namespace" in request.query for request in posted)


def test_what_is_not_found_is_said_without_a_namespace(client):
    with pytest.raises(errors.NotFound, match=r"^No pipeline nope\."):
        client.start_run("nope")
    with pytest.raises(errors.NotFound, match=r"^No run 'nope'\."):
        client.find_run("nope")


def test_health_is_asked_once_and_where_it_is_known_not_at_all(guarded_kfp):
    client = Client(guarded_kfp.endpoint, namespace="alice")
    client.run_page(), client.run_page()
    assert guarded_kfp.count("/healthz") == 1
    knowing = Client(guarded_kfp.endpoint, namespace="alice", health=client.health())
    knowing.run_page()
    assert len(guarded_kfp.asked) == 4
    client.close(), knowing.close()


def test_the_status_says_in_one_line_what_it_means(single_user):
    status = resolve(Kfp(endpoint=single_user.endpoint, namespace="alice")).status()
    assert (status.multi_user, status.error, status.warnings) == (False, None, [])
    said = text(Overview(status, "alice", []))
    (line,) = [line for line in said.splitlines() if line.startswith("Namespace")]
    assert "single user, and everybody here shares everything" in line
    assert "alice" not in line
    assert "shares everything" in html(Overview(status, "alice", []))


def test_the_magic_knows_no_namespaces_to_choose_from(single_user, monkeypatch):
    monkeypatch.setenv("KFP_MT_ENDPOINT", single_user.endpoint)
    monkeypatch.delenv("KFP_MT_DOOR", raising=False)
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "jupyter_kfp_mt")
    try:
        assert shell.run_line_magic("kfp", "runs")[:] == []
        with pytest.raises(KfpError, match="it has no namespaces to choose from"):
            shell.run_line_magic("kfp", "ns bob")
    finally:
        shell.run_line_magic("unload_ext", "jupyter_kfp_mt")
        InteractiveShell.clear_instance()
