"""Changes through the door are told from their own answers, without asking KFP again."""

import json

import pytest
from fakes.guarded_kfp import Answer
from fakes.listed_kfp import ListedKfp
from harness.jupyter_server import call
from harness.live_events import states, until, watcher

from jupyter_kfp_mt.extension.own_changes import OwnChange, OwnChanges
from jupyter_kfp_mt.extension.watched_namespace import NamespaceState
from jupyter_kfp_mt.models import Run

API = "/apis/v2beta1"
RUNS = f"{API}/runs"


class ChangingKfp(ListedKfp):
    """A KFP that makes runs, and does not say in its lists what became of them."""

    refuses = False

    def found(self, request, path):
        if self.refuses and request.method != "GET":
            return Answer(403, {"code": 7, "message": "User 'a' is not authorized"})
        if request.method == "POST" and path == "runs":
            made = {"run_id": "made", "experiment_id": "e", "created_at": "2026-02-01T00:00:00Z"}
            return Answer(200, made | json.loads(request.body) | {"state": "PENDING"})
        if path.startswith("experiments/"):
            return Answer(200, {"experiment_id": "e", "namespace": path.partition("/")[2]})
        if request.method == "POST":
            return Answer(200, {})
        return super().found(request, path)


@pytest.fixture
def behind(serve, multi_user):
    return serve(ChangingKfp, multi_user=multi_user)


@pytest.fixture
def ask(door):
    address, key = door
    headers = {"Authorization": f"Bearer {key}"}

    def ask(method, path, **body):
        return call(method, f"{address}/api{path}", headers=headers, json=body)

    return ask


async def told_all(listen, behind):
    """A listener, once all that is asked at first has been asked."""
    listener = await listen()
    await listener.event("snapshot")
    await until(lambda: len(behind.costs()) == 3)
    return listener


async def test_a_run_that_is_started_is_told_from_the_answer(listen, behind, patient, ask):
    listener = await told_all(listen, behind)
    assert (await ask("POST", RUNS, display_name="new", experiment_id="alice")).ok
    changes = (await listener.event("changed")).changes()
    assert [(run.display_name, run.state) for run in changes.runs] == [("new", "PENDING")]
    assert changes.total_runs == 1
    assert behind.costs()["runs"] == 2  # the list, and that which made it
    assert states(await (await listen()).event("snapshot")) == {"made": "PENDING"}


async def test_a_run_of_another_namespace_is_told_to_nobody_and_asks_nothing(
    listen, behind, patient, ask
):
    listener = await told_all(listen, behind)
    await ask("POST", RUNS, display_name="elsewhere", experiment_id="bob")
    await ask("POST", RUNS, display_name="here", experiment_id="alice")
    changes = (await listener.event("changed")).changes()
    assert [run.display_name for run in changes.runs] == ["here"]
    assert behind.costs()["runs"] == 3


async def test_a_run_that_is_stopped_or_deleted_is_told_so_at_once(listen, behind, patient, ask):
    run = behind.add(1)
    listener = await told_all(listen, behind)
    await ask("POST", f"{RUNS}/{run}:terminate")
    assert states(await listener.event("changed")) == {run: "CANCELING"}
    await ask("DELETE", f"{RUNS}/{run}")
    assert (await listener.event("removed")).removed().runs == [run]
    assert states(await (await listen()).event("snapshot")) == {}


async def test_what_is_refused_changes_nothing_and_asks_nothing(listen, behind, patient, ask):
    run = behind.add(1)
    listener = await told_all(listen, behind)
    behind.refuses = True
    assert (await ask("DELETE", f"{RUNS}/{run}")).status_code == 403
    behind.refuses = False
    asked = behind.costs()["runs"]
    await ask("POST", f"{RUNS}/{run}:terminate")
    assert states(await listener.event("changed")) == {run: "CANCELING"}
    assert behind.costs()["runs"] == asked + 1  # the change: where it is was known


async def test_a_list_that_was_asked_for_before_the_change_does_not_undo_it():
    own, state = OwnChanges(), NamespaceState(runs={"a": Run(run_id="a", state="RUNNING")})
    own.add(OwnChange("a", state="CANCELING"), now=10)
    own.settle(9)
    assert own.over(state).runs["a"].state == "CANCELING"
    own.settle(11)
    assert own.over(state) == state


@pytest.mark.parametrize(
    "method, path, told",
    [
        ("POST", RUNS, OwnChange("r", made=Run(run_id="r", display_name="n"))),
        ("POST", f"{RUNS}/r:terminate", OwnChange("r", state="CANCELING")),
        ("POST", f"{RUNS}/r:archive", OwnChange("r", storage_state="ARCHIVED")),
        ("POST", f"{RUNS}/r:unarchive", OwnChange("r", storage_state="AVAILABLE")),
        ("DELETE", f"{RUNS}/r", OwnChange("r", gone=True)),
        ("POST", f"{RUNS}/r:retry", None),
        ("POST", f"{RUNS}/r", None),
        ("DELETE", f"{RUNS}/r:terminate", None),
        ("POST", "/apis/v1beta1/runs", None),
        ("DELETE", f"{API}/experiments/r", None),
    ],
)
def test_what_an_answer_tells_all_of_needs_no_look(method, path, told):
    body = json.dumps({"run_id": "r", "display_name": "n", "pipeline_spec": {"a": 1}}).encode()
    assert OwnChange.of(method, path, body) == told


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b'{"run_id": 1}', b"\xff"])
def test_an_answer_that_names_no_run_tells_nothing(body):
    assert OwnChange.of("POST", RUNS, body) is None


def test_a_finished_run_is_not_canceling_for_having_been_stopped_too_late():
    state = NamespaceState(runs={"a": Run(run_id="a", state="SUCCEEDED")})
    own = OwnChanges()
    own.add(OwnChange("a", state="CANCELING"), now=10)
    assert own.over(state) == state


async def test_a_snapshot_is_made_once_for_all_who_come_at_once(listen, behind, patient):
    for number in range(40):
        behind.add(number)
    await told_all(listen, behind)
    shared = watcher()._snapshot(())
    assert watcher()._snapshot(()) is shared
    behind.add(40)
    watcher().wake()
    await until(lambda: watcher()._snapshot(()) != shared)
