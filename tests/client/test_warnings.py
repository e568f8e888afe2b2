"""Warnings of pipelines and values that the local KFP takes and a cluster does not."""

import asyncio

import pytest
from harness.jupyter_server import server_config

from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.client.transport import warnings_in
from jupyter_kfp_mt.connection.choose_connection import decide
from jupyter_kfp_mt.credentials import TokenFile
from jupyter_kfp_mt.settings import Kfp

REFUSES = "KFP on a cluster refuses this run: "
FOR_IPYTHON = "{{{{pod.name}}}}"  # which puts variables in place of single braces
ARGOS = "in a parameter's value is a placeholder of Argo, which runs it there."


@pytest.fixture
def texts(tmp_path):
    """A compiled pipeline that takes a text."""
    from kfp import compiler, dsl

    @dsl.component(base_image="python:3.11")
    def say(text: str):
        print(len(text))

    @dsl.pipeline(name="texts")
    def texts(text: str = ""):
        say(text=text)

    path = tmp_path / "texts.yaml"
    compiler.Compiler().compile(texts, str(path))
    return path


@pytest.fixture
def client(local_kfp):
    credentials = TokenFile(local_kfp.token_file("alice/default-editor"))
    client = Client(local_kfp.endpoint, credentials, "alice")
    yield client
    client.close()


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        pytest.param("a {{inputs.parameters.x}} b", "{{inputs.parameters.x}}", id="inputs"),
        pytest.param("{{tasks.a.outputs.result}}", "{{tasks.a.outputs.result}}", id="tasks"),
        pytest.param("{{pod.name}}", "{{pod.name}}", id="pod"),
        pytest.param("\x7f", "the character DEL (U+007F) is in a parameter's value.", id="DEL"),
        pytest.param("{{workflow.name}}", "", id="of the workflow"),
        pytest.param("{{ name }} {{$.inputs}} {{=1+1}}", "", id="others"),
    ],
)
def test_braces_that_argo_takes_for_its_own_are_warned_of(client, texts, text, warned):
    run = client.start_run(texts, {"text": text})
    assert client.run(run.run_id).runtime_config.parameters == {"text": text}
    expected = f"{REFUSES}{warned} {ARGOS}" if "{" in warned else f"{REFUSES}{warned}"
    assert list(client.warnings) == ([expected] if warned else [])


def test_parameters_that_are_too_large_for_kubernetes_are_warned_of(client, texts):
    client.start_run(texts, {"text": "x" * 1_600_000})
    (warning,) = client.warnings
    assert warning.startswith(
        "KFP on a cluster refuses this run: its parameters have 1600011 bytes"
    )


def test_v1beta1_and_recurring_runs_warn_as_well(local_kfp, client, texts, unique):
    version = client.upload_pipeline(texts)
    experiment = client.create_experiment(unique).experiment_id
    reference = {"pipeline_id": version.pipeline_id}
    values = {"parameters": {"text": "{{pod.name}}"}}
    answers = [
        local_kfp.post(
            "/apis/v2beta1/recurringruns",
            {
                "display_name": "r",
                "experiment_id": experiment,
                "pipeline_version_reference": reference,
                "runtime_config": values,
                "max_concurrency": "1",
                "mode": "DISABLE",
            },
        ),
        local_kfp.post(
            "/apis/v1beta1/runs",
            {
                "name": "r",
                "pipeline_spec": {"pipeline_id": version.pipeline_id, "runtime_config": values},
                "resource_references": [
                    {"key": {"type": "EXPERIMENT", "id": experiment}, "relationship": "OWNER"}
                ],
            },
        ),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert warnings_in(answer.headers["Warning"])[0].startswith(f"{REFUSES}{{{{pod.name}}}}")


def test_quotes_and_several_warnings_in_a_header_are_read():
    assert warnings_in(r'299 - "a \"b\", 299 - c", 299 kfp "d"') == ['a "b", 299 - c', "d"]
    assert warnings_in("") == warnings_in("299 - old") == []


# --- in a cell ------------------------------------------------------------------------------------


@pytest.fixture
def kfp(shell, as_alice):
    return lambda line="": shell.run_line_magic("kfp", line)


def test_a_run_says_once_what_a_cluster_will_not_take(kfp, texts, capsys):
    kfp(f"run {texts} -p text=" + FOR_IPYTHON)
    assert capsys.readouterr().out.count(f"Warning: {REFUSES}{{{{pod.name}}}}") == 1
    kfp(f"run {texts} -p text=harmless")
    assert "Warning" not in capsys.readouterr().out


def test_a_run_that_is_watched_says_it_below_what_it_shows(kfp, texts, capsys):
    kfp(f"run {texts} --wait -p text=" + FOR_IPYTHON)
    shown = capsys.readouterr().out
    assert shown.count(f"Warning: {REFUSES}") == 1
    assert shown.index("Warning: ") > 0


# --- through the door -----------------------------------------------------------------------------


@pytest.fixture
def jp_server_config(local_kfp, tmp_path, monkeypatch):
    monkeypatch.setenv("KFP_MT_DATA", str(local_kfp.data))
    token_file = str(local_kfp.token_file("alice/default-editor"))
    return server_config(endpoint=local_kfp.endpoint, token_file=token_file, namespace="alice")


async def test_the_door_passes_warnings_on_to_the_kernel(door, texts):
    def in_a_kernel():
        client = decide(Kfp(namespace="alice")).client()
        client.start_run(texts, {"text": "{{pod.name}}" + "x" * 1_600_000})
        client.close()
        return list(client.warnings)

    argos, large = await asyncio.to_thread(in_a_kernel)
    assert argos.startswith(REFUSES) and "1600023 bytes" in large
