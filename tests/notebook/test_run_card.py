"""A run as a cell shows it: one bundle, complete without any server, with everything escaped."""

import json
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser

import pytest
from harness.pipelines import compiled
from harness.waiting import wait_until

from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.client.tracebacks import found
from jupyter_kfp_mt.credentials import TokenFile
from jupyter_kfp_mt.errors import NotFound
from jupyter_kfp_mt.extension.allowed_requests import checked
from jupyter_kfp_mt.models import Artifact, Run, RunDetails, Status, Task, TaskIO, TaskValues
from jupyter_kfp_mt.notebook.run_card import MIME_TYPE, Card, Cards, bundle
from jupyter_kfp_mt.notebook.run_graph import lines

START = datetime(2026, 11, 29, 5, tzinfo=timezone.utc)


def task(name, state="SUCCEEDED", seconds=2.5, **more):
    end = START + timedelta(seconds=seconds)
    return Task(
        task_id=f"id-{name}",
        display_name=name,
        state=state,
        start_time=START,
        end_time=end,
        **more,
    )


def card(tasks=(), specification=None, **more):
    run = Run(
        run_id="r1",
        display_name=more.pop("name", "training"),
        state=more.pop("state", "SUCCEEDED"),
        created_at=START,
        finished_at=START + timedelta(seconds=9),
        run_details=RunDetails(task_details=[*tasks]),
        error=more.pop("error", None),
    )
    seen_at = START + timedelta(minutes=1)
    return Card(
        run=run, namespace="alice", specification=specification or {}, seen_at=seen_at, **more
    )


SPEC = {
    "root": {
        "dag": {
            "tasks": {
                "for-loop-1": {
                    "componentRef": {"name": "comp-loop"},
                    "dependentTasks": ["load"],
                    "parameterIterator": {"items": {"inputParameter": "pipelinechannel--rates"}},
                },
                "load": {"componentRef": {"name": "comp-load"}},
                "condition-2": {
                    "componentRef": {"name": "comp-condition"},
                    "dependentTasks": ["load"],
                    "triggerPolicy": {
                        "condition": "inputs.parameter_values['pipelinechannel--load-Output'] == 1"
                    },
                },
            }
        }
    },
    "components": {
        "comp-load": {"executorLabel": "exec-load"},
        "comp-loop": {"dag": {"tasks": {"train": {"componentRef": {"name": "comp-load"}}}}},
        "comp-condition": {"dag": {"tasks": {"tell": {"componentRef": {"name": "comp-load"}}}}},
    },
    "deploymentSpec": {"executors": {"exec-load": {"container": {"image": "python:3.12"}}}},
}


def test_the_tasks_of_a_run_stand_under_the_groups_of_its_pipeline():
    told = lines(SPEC, [task("load"), task("train[0]"), task("train[1]", "FAILED")])
    assert [(line.depth, line.name, line.task and line.task.state) for line in told] == [
        (0, "load", "SUCCEEDED"),
        (0, "For each of rates [0]", None),
        (1, "train", "SUCCEEDED"),
        (0, "For each of rates [1]", None),
        (1, "train", "FAILED"),
        (0, "If load == 1", None),
        (1, "tell", None),
    ]


def test_a_pipeline_that_is_not_known_is_its_tasks():
    assert [line.name for line in lines(None, [task("b"), task("a[0]")])] == ["b", "a[0]"]


def test_a_group_that_is_in_itself_has_an_end():
    inner = {"dag": {"tasks": {"a": {"componentRef": {"name": "c"}}}}}
    assert lines({"root": inner, "components": {"c": inner}}, [])


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attributes):
        self.found.add(tag)
        self.found |= {name for name, _ in attributes if name.startswith("on")}


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "\"><img src=x onerror='x'>", "{{ 7 * 7 }}", "</pre><b>x</b>"],
)
def test_hostile_texts_are_texts_in_every_form(text):
    values = TaskIO(
        inputs=TaskValues(parameters={text: text}),
        outputs=TaskValues(
            parameters={text: text},
            artifacts={text: [Artifact(type=text, uri=text, metadata={text: text})]},
            reused_from=text,
        ),
    )
    spec = {"root": {"dag": {"tasks": {text: {"taskInfo": {"name": text}}}}}}
    hostile = card(
        [task(text, "FAILED", error=Status(message=text))],
        spec,
        name=text,
        state="FAILED",
        error=Status(message=text),
        values={f"id-{text}": values},
        logs={f"id-{text}": f"Traceback (most recent call last):\nValueError: {text}"},
    )
    told = bundle(hostile)
    tags = Tags()
    tags.feed(told["text/html"])
    assert not tags.found & {"script", "img", "b", "onerror"}
    assert "49" not in told["text/html"]
    assert json.loads(json.dumps(told[MIME_TYPE]))["run"]["display_name"] == text


LOG = """\
epoch 1
Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
  File "/x/site-packages/kfp/dsl/executor_main.py", line 109, in executor_main
    output_file = executor.execute()
                  ^^^^^^^^^^^^^^^^^^
  File "/tmp/tmp1/ephemeral_component.py", line 5, in fail
    raise ValueError("no more")
ValueError: no more
"""


def test_a_failed_run_shows_the_users_own_frames_and_folds_the_executors():
    failed = card([task("fail", "FAILED")], state="FAILED", logs={"id-fail": LOG})
    html = bundle(failed)["text/html"]
    before, _, folded = html.partition("<details>")
    assert "ephemeral_component.py" in before and "executor_main.py" not in before
    assert "4 lines of the executor" in folded and "executor_main.py" in folded


def test_a_log_without_traceback_has_none():
    assert found("said: Traceback (most recent call last):\n  x") is None
    assert found("") is None


def test_a_saved_card_of_twenty_tasks_is_small_and_has_no_code_of_them_in_it():
    names = [f"train-{number}" for number in range(20)]
    tasks = {
        name: {
            "componentRef": {"name": f"comp-{name}"},
            "taskInfo": {"name": name},
            "cachingOptions": {"enableCache": True},
            "dependentTasks": names[:1] if name != names[0] else [],
            "inputs": {"parameters": {"rate": {"componentInputParameter": "rate"}}},
        }
        for name in names
    }
    outputs = {"parameters": {"Output": {"parameterType": "STRING"}}}
    components = {
        f"comp-{name}": {"executorLabel": name, "outputDefinitions": outputs} for name in names
    }
    code = {"container": {"image": "python:3.12", "args": ["x" * 5000]}}
    spec = {
        "root": {"dag": {"tasks": tasks}},
        "components": components,
        "deploymentSpec": {"executors": dict.fromkeys(names, code)},
    }
    values = TaskIO(
        inputs=TaskValues(parameters={"rate": 0.5}),
        outputs=TaskValues(parameters={"Output": "good " * 10_000}),
    )
    big = card(map(task, names), spec, values={f"id-{name}": values for name in names[:1]})
    told = bundle(big)
    assert len(json.dumps(told)) < 25_000
    assert "xxxxx" not in json.dumps(told)
    assert big.run.tasks[0].task_id in json.dumps(told[MIME_TYPE])


def test_nothing_that_is_saved_is_relative_to_today():
    told = bundle(card([task("a")]))
    assert "2026-11-29 05:00:00 UTC" in told["text/html"]
    assert "ago" not in told["text/plain"] and "just now" not in told["text/plain"]


@pytest.fixture
def client(local_kfp):
    client = Client(
        local_kfp.endpoint, TokenFile(local_kfp.token_file("alice/default-editor")), "alice"
    )
    yield client
    client.close()


@pytest.fixture(scope="module")
def looping(tmp_path_factory):
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def train(rate: float, metrics: dsl.Output[dsl.Metrics]) -> str:
        metrics.log_metric("accuracy", rate)
        return "good"

    @dsl.component(base_image="python:3.12")
    def load(rows: int) -> int:
        return rows

    @dsl.pipeline(name="looping")
    def pipeline():
        load(rows=3)
        with dsl.ParallelFor([0.25, 0.5]) as rate:
            train(rate=rate)

    return compiled(tmp_path_factory.mktemp("looping"), pipeline)


def test_the_card_of_a_real_run_has_its_graph_and_what_its_tasks_put_out(client, looping):
    run = client.wait(client.start_run(looping).run_id)
    told = bundle(Cards(client, "https://kfp.example/?ns={namespace}").of(run))
    data = told[MIME_TYPE]
    assert data["namespace"] == "alice"
    assert data["link"] == f"https://kfp.example/?ns=alice#/runs/details/{run.run_id}"
    assert {*data["spec"]["root"]["dag"]["tasks"]} == {"load", "for-loop-2"}
    outputs = [values["outputs"] for values in data["values"].values()]
    assert {output["parameters"]["Output"] for output in outputs} == {"good", 3}
    assert "accuracy = 0.25" in told["text/plain"]

    again = client.wait(client.start_run(looping).run_id)
    reused = bundle(Cards(client).of(again))
    (load,) = [task for task in again.tasks if task.display_name == "load"]
    assert reused[MIME_TYPE]["values"][load.task_id]["reused_from"] == run.run_id
    assert "(reused)" in reused["text/plain"] and "link" not in reused[MIME_TYPE]


def test_the_values_of_a_run_are_not_told_to_another_tenant(local_kfp, client, looping):
    run = client.wait(client.start_run(looping).run_id)
    path = f"/apis/v1alpha1/runs/{run.run_id}/nodes"
    assert local_kfp.get(path).status_code == 200
    assert local_kfp.get(path, "kubeflow/default-editor").status_code == 403
    assert local_kfp.get(path, None).status_code == 401
    missing = local_kfp.get("/apis/v1alpha1/runs/none/nodes")
    assert missing.status_code == 404


def test_the_ids_of_values_are_those_under_which_a_cluster_tells_of_tasks(argo_tasks_kfp, looping):
    token = TokenFile(argo_tasks_kfp.token_file("alice/default-editor"))
    client = Client(argo_tasks_kfp.endpoint, token, "alice")
    run = client.start_run(looping)
    wait_until(lambda: client.run(run.run_id).finished)
    run = client.run(run.run_id)
    values = client.task_values(run.run_id)
    found = [values[task.task_id] for task in run.tasks if task.display_name.startswith("train")]
    assert [each.outputs.parameters for each in found] == [{"Output": "good"}] * 2
    client.close()


def test_only_the_local_kfp_is_asked_for_the_values_of_a_run():
    path = "/apis/v1alpha1/runs/x/nodes"
    assert checked(path, [], local=True) == path
    with pytest.raises(NotFound):
        checked(path, [], local=False)


def test_a_run_is_tried_again_and_cloned_with_its_parameters(client, adder, failing):
    failed = client.start_run(failing)
    wait_until(lambda: client.run(failed.run_id).finished)
    client.retry(failed.run_id)
    wait_until(lambda: client.run(failed.run_id).finished)
    states = [change.state for change in client.run(failed.run_id).state_history]
    assert states.count("FAILED") == 2

    first = client.wait(client.start_run(adder, {"x": 3}, name="first").run_id)
    again = client.clone(first.run_id)
    assert again.display_name == "Clone of first"
    assert client.wait(again.run_id).runtime_config.parameters == {"x": 3}
    assert again.experiment_id == first.experiment_id
