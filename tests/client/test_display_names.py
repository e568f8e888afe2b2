"""Tasks under the names of `set_display_name`, which KFP does not tell, wherever they are shown.

By the local KFP as it is, and as it tells of tasks like a cluster does.
"""

import pytest
from harness.jupyter_server import call, server_config
from harness.pipelines import compiled
from harness.waiting import wait_until
from kfp import dsl

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.client.display_names import labelled
from jupyter_kfp_mt.credentials import TokenFile
from jupyter_kfp_mt.errors import KfpError
from jupyter_kfp_mt.extension.watched_namespace import Look, NamespaceState
from jupyter_kfp_mt.models import Task
from jupyter_kfp_mt.notebook import render
from jupyter_kfp_mt.notebook.run_card import Cards

STATES = {
    "Get the data": "SUCCEEDED",
    "In it/Clean": "SUCCEEDED",
    "Train it[0]": "SUCCEEDED",
    "Train it[1]": "SUCCEEDED",
    "plain-3": "SUCCEEDED",
    "Say no": "FAILED",
}


@pytest.fixture(scope="session")
def named(tmp_path_factory):
    @dsl.component(base_image="python:3.12")
    def plain(text: str = "x"):
        print(text)

    @dsl.component(base_image="python:3.12")
    def fail():
        raise ValueError("no more")

    @dsl.pipeline
    def inner():
        plain().set_display_name("Clean")

    @dsl.pipeline(name="named")
    def pipeline():
        first = plain().set_display_name("Get the data")
        inner().set_display_name("In it")
        with dsl.ParallelFor(["a", "b"]) as item:
            plain(text=item).set_display_name("Train it")
        last = plain(text="after").after(first)
        fail().after(last).set_display_name("Say no")

    return compiled(tmp_path_factory.mktemp("named"), pipeline)


@pytest.fixture(
    scope="module", params=["local_kfp", "argo_tasks_kfp"], ids=["local", "as on a cluster"]
)
def kfp(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def alice(kfp):
    token = TokenFile(kfp.token_file("alice/default-editor"))
    client = Client(kfp.endpoint, token, "alice")
    yield client
    client.close()


@pytest.fixture(scope="module")
def failed(alice, named):
    """A run of it that has ended, as it is listed."""
    run = alice.start_run(named)
    wait_until(lambda: alice.run(run.run_id).finished)
    return next(each for each in alice.run_page() if each.run_id == run.run_id)


def told(tasks):
    return {task.display_name: task.state for task in tasks}


def test_a_run_is_told_waited_for_and_drawn_with_them(alice, failed):
    run = alice.run(failed.run_id)
    assert told(run.tasks) == STATES
    assert told(alice.tasks(run)) == told(alice.tasks(failed)) == STATES
    with pytest.raises(errors.RunFailed, match="[Tt]ask '?Say no'? failed") as caught:
        alice.wait(run.run_id)
    assert "The last lines of task Say no:" in caught.value.cause
    assert all(name in render.text(run) for name in STATES)
    card = render.text(Cards(alice).of(run))
    assert all(name in card for name in ("Get the data", "In it", "Clean", "Train it", "Say no"))
    assert card.count("Succeeded") == len(STATES) - 1


def test_events_tell_of_them(alice, failed):
    state, _ = Look(alice, "alice", NamespaceState()).runs([failed.run_id])
    again, _ = Look(alice, "alice", state).runs([failed.run_id], again=True)
    tasks = again.everything([failed.run_id]).tasks
    assert {"Get the data", "Train it[0]", "In it/Clean", "Say no"} < {*told(tasks)}
    assert again == state


def test_a_log_is_asked_for_by_the_name_or_by_the_one_in_the_code(
    alice, failed, kfp, shell, monkeypatch
):
    monkeypatch.setenv("KFP_MT_ENDPOINT", kfp.endpoint)
    monkeypatch.setenv("KFP_MT_TOKEN_FILE", str(kfp.token_file("alice/default-editor")))
    monkeypatch.delenv("KFP_MT_DOOR", raising=False)
    shell.run_line_magic("kfp", "ns alice")
    for name in ("'Say no'", "fail"):
        log = shell.run_line_magic("kfp", f"logs {failed.run_id} {name}")
        assert "ValueError: no more" in str(log)
    with pytest.raises(KfpError, match="It has .*Say no"):
        shell.run_line_magic("kfp", f"logs {failed.run_id} nothing")


class TestThroughTheDoor:
    @pytest.fixture
    def jp_server_config(self, kfp):
        file = kfp.token_file("alice/default-editor")
        return server_config(endpoint=kfp.endpoint, token_file=str(file), namespace="alice")

    async def test_the_sidebar_shows_them(self, door, failed):
        address, key = door
        headers = {"Authorization": f"Bearer {key}"}
        answer = await call("GET", f"{address}/tasks/{failed.run_id}", headers=headers)
        shown = {task["display_name"]: task["state"] for task in answer.json()["tasks"]}
        assert shown["Say no"] == "FAILED" and "fail" not in shown and len(shown) == len(STATES)


def spec(**labels):
    tasks = {key: {"taskInfo": {"name": label}} for key, label in labels.items()}
    return {"root": {"dag": {"tasks": tasks}}}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["a", "b[0][1]"], ["b", "c[0][1]"], id="by their keys"),
        pytest.param(["b", "c[0][1]"], ["b", "c[0][1]"], id="by their labels already"),
        pytest.param(["a", "other"], ["a", "other"], id="of another pipeline"),
        pytest.param([], [], id="none"),
    ],
)
def test_a_name_is_given_once(names, expected):
    found = labelled([Task(display_name=name) for name in names], spec(a="b", b="c"))
    assert [task.display_name for task in found] == expected


def test_a_group_that_is_in_itself_has_an_end():
    group = {"dag": {"tasks": {"a": {"componentRef": {"name": "c"}}}}}
    assert labelled([Task(display_name="x")], {"root": group, "components": {"c": group}})
