"""Runs as Kubernetes tells of them: a real door, and a cluster whose Workflows can be watched."""

import asyncio
import base64
import gzip
import json
import time
from pathlib import Path

import msgspec
import pytest
from fakes.guarded_kfp import refusal
from fakes.kubernetes_api import ALICE
from harness.jupyter_server import call, server_config
from harness.live_events import states, until, watcher

from jupyter_kfp_mt import intervals
from jupyter_kfp_mt.client.written_tasks import written
from jupyter_kfp_mt.cluster.workflows import Workflow
from jupyter_kfp_mt.extension import event_stream, pace, watched_namespace, workflow_watch
from jupyter_kfp_mt.models import Run, RunDetails

API = "/apis/v2beta1"
RECORDED = Path(__file__).parent.parent / "recorded"


@pytest.fixture
def cluster(kubernetes_api, monkeypatch):
    """The Kubernetes API; alice's pod may watch Workflows."""
    kubernetes_api.allow(ALICE, "get list watch", "workflows", "alice", "argoproj.io")
    monkeypatch.setattr(workflow_watch, "FIRST_PAUSE", 0.02)
    return kubernetes_api


@pytest.fixture
def jp_server_config(behind, token_file, cluster, in_pod):
    in_pod()
    return server_config(endpoint=behind.endpoint, token_file=str(token_file), namespace="alice")


@pytest.fixture
def deaf(monkeypatch):
    """KFP is asked only for what nobody else tells, however often."""
    bounds = pace.Bounds(1e-9, saved=1e9, shortest=600, longest=600)
    monkeypatch.setattr(pace, "SHARED", bounds)
    monkeypatch.setattr(pace, "TOLD", bounds)
    monkeypatch.setattr(event_stream, "_SETTLED", 600.0)


@pytest.fixture
def mute(monkeypatch):
    """KFP is asked once, and not again for what Kubernetes tells of."""
    monkeypatch.setattr(pace, "SHARED", pace.Bounds(1e9, saved=3, shortest=600, longest=600))
    monkeypatch.setattr(pace, "TOLD", pace.Bounds(1e9, saved=0, shortest=600, longest=600))


def told(cluster, behind, number, state="RUNNING", phase="Running", **more):
    """A run that KFP and Argo know; its id and its Workflow's name."""
    run = behind.add(number, state)
    cluster.put_workflow(f"flow-{number}", "alice", run, phase, **more)
    return run, f"flow-{number}"


async def watching(listen, cluster, **options):
    """A listener, once Kubernetes is watched."""
    listener = await listen(**options)
    snapshot = await listener.event("snapshot")
    await until(lambda: cluster.history.watching)
    return listener, snapshot


async def test_a_change_is_told_without_asking_kfp(listen, behind, cluster, deaf):
    run, flow = told(cluster, behind, 1, "PENDING", "Pending")
    listener, _ = await watching(listen, cluster)
    await until(lambda: len(behind.costs()) == 3)
    behind.asked.clear()
    cluster.put_workflow(flow, "alice", run, "Running")
    assert states(await listener.event("changed")) == {run: "RUNNING"}
    cluster.put_workflow(flow, "alice", run, "Succeeded")
    event = await listener.event("changed")
    assert states(event) == {run: "SUCCEEDED"}
    assert event.changes().runs[0].finished_at.year > 2000
    assert behind.costs() == {}


async def test_a_change_is_told_within_a_moment(listen, behind, cluster, deaf):
    runs = [told(cluster, behind, number, "PENDING", "Pending") for number in range(20)]
    listener, _ = await watching(listen, cluster)
    delays = []
    for run, flow in runs:
        begun = time.monotonic()
        await asyncio.to_thread(cluster.put_workflow, flow, "alice", run, "Running")
        assert states(await listener.event("changed")) == {run: "RUNNING"}
        delays.append(time.monotonic() - begun)
    assert sorted(delays)[10] < 0.3


async def test_kfp_that_is_behind_does_not_undo_what_was_told(listen, behind, cluster, monkeypatch):
    run, flow = told(cluster, behind, 1)
    listener, _ = await watching(listen, cluster)
    cluster.put_workflow(flow, "alice", run, "Failed")
    assert states(await listener.event("changed")) == {run: "FAILED"}
    other = behind.add(2)  # seen in a look, in which the first still runs
    await call("POST", f"{listener.address}/api{API}/runs", headers=listener.headers, json={})
    event = await listener.event("changed")
    while other not in states(event):
        assert "RUNNING" not in states(event).values()
        event = await listener.event("changed")
    assert states(event)[other] == "RUNNING"
    assert states(await (await listen()).event("snapshot"))[run] == "FAILED"


async def test_what_is_being_stopped_is_still_that_while_argo_stops_it(
    listen, behind, cluster, deaf
):
    run, flow = told(cluster, behind, 1, "CANCELING")
    listener, snapshot = await watching(listen, cluster)
    cluster.put_workflow(flow, "alice", run, "Running")
    cluster.put_workflow(flow, "alice", run, "Failed")
    assert states(snapshot) == {run: "CANCELING"}
    assert states(await listener.event("changed")) == {run: "FAILED"}


async def test_the_tasks_of_a_watched_run_come_from_its_workflow(listen, behind, cluster, deaf):
    run, flow = told(cluster, behind, 1)
    listener, _ = await watching(listen, cluster, runs=[run])
    recorded = json.loads((RECORDED / "workflow-failed.json").read_text())
    nodes = recorded["status"]["nodes"]
    renamed = json.dumps(nodes).replace(recorded["metadata"]["name"], flow)
    cluster.put_workflow(flow, "alice", run, "Running", nodes=json.loads(nodes_of(renamed)))
    seen = {}
    while "evaluate" not in seen:
        changes = (await listener.event("changed")).changes()
        seen |= {task.display_name: task.state for task in changes.tasks}
    assert seen["prep"] == "SUCCEEDED"


def nodes_of(text):
    return json.dumps([*json.loads(text).values()])


def test_a_workflow_tells_of_the_same_tasks_as_kfp_does():
    run = msgspec.json.decode((RECORDED / "run-failed.json").read_bytes(), type=Run)
    workflow = msgspec.json.decode((RECORDED / "workflow-failed.json").read_bytes(), type=Workflow)
    ours = msgspec.structs.replace(run, run_details=RunDetails(task_details=workflow.tasks()))
    assert (workflow.run_id, workflow.state) == (run.run_id, run.state)

    def named(run):
        facts = (("display_name", "state", "start_time", "end_time", "pod_name"), written(run))
        names, tasks = facts
        return sorted([getattr(task, name) for name in names] for task in tasks)

    assert named(ours) == named(run)


@pytest.mark.parametrize("kept", ["packed", "elsewhere", "unreadable"])
def test_nodes_are_read_however_argo_keeps_them(kept):
    whole = json.loads((RECORDED / "workflow-failed.json").read_text())
    nodes = whole["status"].pop("nodes")
    packed = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
    fields = {
        "packed": {"compressedNodes": packed},
        "elsewhere": {"offloadNodeStatusVersion": "fnv:1"},
        "unreadable": {"compressedNodes": packed[:50]},
    }
    whole["status"] |= fields[kept]
    tasks = msgspec.convert(whole, Workflow).tasks()
    assert (len(tasks) if tasks else tasks) == (len(nodes) if kept == "packed" else None)


FOREIGN = "00000000-0000-4000-8000-00000000ffff"


async def test_a_new_run_has_a_row_before_kfp_tells_of_it(listen, behind, cluster, mute):
    listener, _ = await watching(listen, cluster)
    run = "00000000-0000-4000-8000-000000000001"
    cluster.put_workflow("flow-1", "alice", run, phase="", run_name="nightly")
    changes = (await listener.event("changed")).changes()
    (row,) = changes.runs
    assert (row.run_id, row.display_name, row.state) == (run, "nightly", "PENDING")
    assert changes.total_runs == 1
    assert abs(row.created_at.timestamp() - time.time()) < 60
    cluster.put_workflow("flow-1", "alice", run, "Running", run_name="nightly")
    assert states(await listener.event("changed")) == {run: "RUNNING"}
    assert states(await (await listen()).event("snapshot")) == {run: "RUNNING"}
    assert behind.costs()["runs"] == 1


async def test_the_rows_of_new_runs_come_within_a_moment(listen, behind, cluster, mute):
    listener, _ = await watching(listen, cluster)
    delays = []
    for number in range(20):
        begun = time.monotonic()
        await asyncio.to_thread(cluster.put_workflow, f"flow-{number}", "alice", f"run-{number}")
        assert states(await listener.event("changed")) == {f"run-{number}": "RUNNING"}
        delays.append(time.monotonic() - begun)
    assert sorted(delays)[10] < 0.3


async def test_what_only_kfp_knows_of_a_new_run_takes_one_small_question(
    listen, behind, cluster, deaf, monkeypatch
):
    monkeypatch.setattr(event_stream, "_LOOKS_FOR", (0.0, 0.1))
    for number in range(9):
        behind.add(number, "SUCCEEDED")
    listener, _ = await watching(listen, cluster)
    await until(lambda: len(behind.costs()) == 3)
    behind.asked.clear()
    run = behind.add(9)
    behind.runs[run]["description"] = "as KFP tells it"
    cluster.put_workflow("flow", "alice", run, run_name="runs 9")
    told = []
    while not told or told[-1].description != "as KFP tells it":
        told += (await listener.event("changed")).changes().runs
    assert {each.run_id for each in told} == {run}
    assert [each.path for each in behind.asked] == [f"{API}/runs/{run}"]
    snapshot = (await (await listen()).event("snapshot")).changes()
    assert (snapshot.total_runs, len(snapshot.runs)) == (10, 10)


async def test_a_workflow_that_is_no_run_of_this_kfp_is_soon_not_shown_any_more(
    listen, behind, cluster, deaf, monkeypatch
):
    monkeypatch.setattr(event_stream, "_LOOKS_FOR", (0.0, 0.05))
    listener, _ = await watching(listen, cluster)
    cluster.put_workflow("foreign", "alice", FOREIGN)
    assert states(await listener.event("changed")) == {FOREIGN: "RUNNING"}
    assert (await listener.event("removed")).removed().runs == [FOREIGN]
    asked = len(behind.asked)
    for _ in range(20):
        cluster.put_workflow("foreign", "alice", FOREIGN)
    run, _ = told(cluster, behind, 1)
    assert FOREIGN not in states(await listener.event("changed"))
    assert states(await (await listen()).event("snapshot")).keys() == {run}
    assert len(behind.asked) <= asked + 3


async def test_a_run_that_was_deleted_does_not_come_back_while_its_workflow_ends(
    listen, behind, cluster, deaf
):
    run, flow = told(cluster, behind, 1)
    listener, _ = await watching(listen, cluster)
    await call("DELETE", f"{listener.address}/api{API}/runs/{run}", headers=listener.headers)
    assert (await listener.event("removed")).removed().runs == [run]
    cluster.put_workflow(flow, "alice", run, "Failed")
    other, _ = told(cluster, behind, 2)
    while other not in (seen := states(await listener.event("changed"))):
        assert run not in seen
    assert states(await (await listen()).event("snapshot")).keys() == {other}


async def test_of_thousands_of_unknown_workflows_a_page_is_shown(listen, behind, cluster, mute):
    for number in range(200):
        cluster.put_workflow(f"flow-{number}", "alice", f"run-{number:03}")
    listener, _ = await watching(listen, cluster)
    await until(lambda: watcher()._live.unknown(watcher()._asked))
    snapshot = (await (await listen()).event("snapshot")).changes()
    assert len(snapshot.runs) == watched_namespace.NEWEST


async def test_the_end_of_a_run_is_asked_of_kfp_once_it_is_there(
    listen, behind, cluster, deaf, monkeypatch
):
    monkeypatch.setattr(event_stream, "_SETTLED", 0.1)
    run, flow = told(cluster, behind, 1)
    listener, _ = await watching(listen, cluster)
    cluster.put_workflow(flow, "alice", run, "Failed")
    assert states(await listener.event("changed")) == {run: "FAILED"}
    behind.runs[run] |= {"state": "FAILED", "description": "as KFP tells it"}
    event = await listener.event("changed")
    assert event.changes().runs[0].description == "as KFP tells it"


# --- a watch that ends, is cut, or is too old ---------------------------------------------------


async def test_a_watch_that_ends_goes_on_where_it_was(listen, behind, cluster, deaf):
    run, flow = told(cluster, behind, 1, "PENDING", "Pending")
    listener, _ = await watching(listen, cluster)
    lists = listed(cluster)
    for phase, state in (("Running", "RUNNING"), ("Failed", "FAILED")):
        cluster.history.cut()
        cluster.put_workflow(flow, "alice", run, phase)
        assert states(await listener.event("changed")) == {run: state}
    assert listed(cluster) == lists
    versions = [int(each.query["resourceVersion"]) for each in watches(cluster)]
    assert versions == sorted(versions)


async def test_a_bookmark_is_where_the_next_watch_goes_on(listen, behind, cluster, deaf):
    await watching(listen, cluster)
    for number in range(50):  # of another namespace: nothing of it is told
        version = cluster.put_workflow(f"other-{number}", "bob", "x")
    before = len(watches(cluster))
    cluster.history.cut()
    await until(lambda: len(watches(cluster)) > before)
    assert int(watches(cluster)[-1].query["resourceVersion"]) == version
    assert watches(cluster)[-1].query["allowWatchBookmarks"] == "true"


async def test_what_is_too_old_to_go_on_is_listed_anew_and_nothing_is_missed(
    listen, behind, cluster, deaf
):
    ends, flow = told(cluster, behind, 1)
    goes_on, other = told(cluster, behind, 2, "PENDING", "Pending")
    listener, _ = await watching(listen, cluster)
    lists = listed(cluster)
    with cluster.history._changed:
        cluster.put_workflow(flow, "alice", ends, "Succeeded")
        cluster.put_workflow(other, "alice", goes_on, "Running")
        cluster.history.forget()
        cluster.history._changes.clear()
        cluster.history.cut()
    seen = {}
    while len(seen) < 2:
        seen |= states(await listener.event("changed"))
    assert seen == {ends: "SUCCEEDED", goes_on: "RUNNING"}
    assert listed(cluster) == lists + 1


@pytest.mark.parametrize("text", [b"no JSON\n", b'{"type": "ADDED"}\n', b'{"type":"MODIF'])
async def test_what_is_no_event_is_a_reason_to_list_anew(listen, behind, cluster, deaf, text):
    run, flow = told(cluster, behind, 1, "PENDING", "Pending")
    listener, _ = await watching(listen, cluster)
    lists = listed(cluster)
    cluster.history.breaks_with = text
    cluster.put_workflow(flow, "alice", run, "Running")
    assert states(await listener.event("changed")) == {run: "RUNNING"}
    await until(lambda: listed(cluster) > lists)
    cluster.put_workflow(flow, "alice", run, "Failed")
    assert states(await listener.event("changed")) == {run: "FAILED"}


async def test_the_token_that_the_kubelet_has_renewed_is_sent_with_the_next_watch(
    listen, behind, cluster, deaf, in_pod
):
    run, flow = told(cluster, behind, 1, "PENDING", "Pending")
    listener, _ = await watching(listen, cluster)
    token = next(cluster.folder.glob("pod-*/kubernetes.io/serviceaccount/token"))
    token.write_text(cluster.token(ALICE, seconds=7200))
    cluster.clock = 3700.0  # the first one has expired
    cluster.history.cut()
    cluster.put_workflow(flow, "alice", run, "Running")
    assert states(await listener.event("changed")) == {run: "RUNNING"}


async def test_a_workflow_that_is_deleted_leaves_the_run_to_kfp(listen, behind, cluster, deaf):
    run, flow = told(cluster, behind, 1)
    listener, _ = await watching(listen, cluster)
    del behind.runs[run]
    cluster.remove_workflow(flow, "alice")
    assert (await listener.event("removed")).removed().runs == [run]


# --- who may not watch --------------------------------------------------------------------------


async def test_who_may_not_watch_is_told_by_kfp(listen, behind, cluster, quick):
    cluster._rules = {rule for rule in cluster._rules if rule[2] != "workflows"}
    run, _ = told(cluster, behind, 1)
    listener = await listen()
    assert states(await listener.event("snapshot")) == {run: "RUNNING"}
    behind.add(1, "SUCCEEDED")
    assert states(await listener.event("changed")) == {run: "SUCCEEDED"}
    assert not listed(cluster)
    await until(lambda: reviewed(cluster))


async def test_a_right_that_is_taken_away_ends_the_watch_and_kfp_is_asked_again(
    listen, behind, cluster, quick
):
    run, flow = told(cluster, behind, 1, "PENDING", "Pending")
    listener, _ = await watching(listen, cluster)
    cluster._rules = {rule for rule in cluster._rules if rule[2] != "workflows"}
    cluster.history.cut()
    behind.add(1, "RUNNING")
    assert states(await listener.event("changed")) == {run: "RUNNING"}


async def test_a_refusal_of_kfps_is_not_got_around(listen, behind, cluster, deaf):
    behind.listed = lambda noun, query: refusal(403, 7, "User 'a' is not authorized")
    listener = await listen()
    assert (await listener.event()).name == "error"
    cluster.put_workflow("flow", "alice", "r")
    cluster.put_workflow("flow", "alice", "r", "Failed")
    assert not cluster.history.watching
    assert not listed(cluster)


async def test_the_watch_ends_with_the_last_listener(listen, behind, cluster, monkeypatch):
    monkeypatch.setattr(intervals, "LINGER_SECONDS", 0.05)
    listener, _ = await watching(listen, cluster)
    listener.leave()
    await until(lambda: not watch_threads())


def watch_threads():
    import threading

    return [thread for thread in threading.enumerate() if thread.name == "kfp-mt-watch"]


def asked(cluster):
    return [each for each in cluster.asked if each.path.endswith("/workflows")]


def watches(cluster):
    return [each for each in asked(cluster) if each.query.get("watch") == "true"]


def listed(cluster):
    return len(asked(cluster)) - len(watches(cluster))


def reviewed(cluster):
    return [each for each in cluster.asked if each.path.endswith("selfsubjectaccessreviews")]
