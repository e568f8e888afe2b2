"""The logs of tasks: of a real local KFP, and of pods behind a KFP that tells of them as Argo's."""

import asyncio
import gzip
import io
import json
import tarfile
import threading
from datetime import datetime, timezone

import pytest
import requests
from fakes.argo_kfp import RUN_ID, WORKFLOW, ArgoKfp, add_pod, begin, ended, node_id, number
from fakes.guarded_kfp import Answer, Server
from fakes.kubernetes_api import ALICE
from harness.jupyter_server import call, server_config
from harness.waiting import wait_until
from tornado.httpclient import HTTPClientError
from traitlets.config import Config

from jupyter_kfp_mt import errors, intervals
from jupyter_kfp_mt.client import task_logs
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.connection.choose_connection import decide
from jupyter_kfp_mt.connection.event_reader import parsed
from jupyter_kfp_mt.credentials import TokenFile
from jupyter_kfp_mt.errors import KfpError
from jupyter_kfp_mt.extension import task_log_handler as logs_module
from jupyter_kfp_mt.network.line_stream import LONGEST_LINE
from jupyter_kfp_mt.settings import Kfp

TOKENS = {"the-token-of-alice": "alice", "the-token-of-bob": "bob"}


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(task_logs, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(task_logs, "LONGEST_PAUSE", 0.1)


def lines_of(log):
    return [line.decode().rstrip("\n") for line in log]


@pytest.fixture
def following():
    """Reads a log in another thread: what came so far, and whether it has ended."""
    started = []

    def following(log):
        read, over = [], threading.Event()

        def run():
            for line in log:
                read.append(line.decode().rstrip("\n"))
            over.set()

        thread = threading.Thread(target=run)
        thread.start()
        started.append((log, thread))
        return read, over

    yield following
    for log, thread in started:
        log.close()
        thread.join(60)
        assert not thread.is_alive()


# --- the local KFP --------------------------------------------------------------------------------


@pytest.fixture
def alice(local_kfp):
    client = Client(
        local_kfp.endpoint, TokenFile(local_kfp.token_file("alice/default-editor")), "alice"
    )
    yield client
    client.close()


def started(client, run):
    """The one task of a run, once it writes."""
    task = wait_until(lambda: next(iter(client.run(run.run_id).tasks), None))
    wait_until(lambda: client.run(run.run_id).tasks[0].state != "PENDING")
    return task


def test_a_local_task_is_followed_while_it_writes_and_no_line_is_cut(
    alice, talker, tmp_path, following
):
    run = alice.start_run(talker, {"file": str(tmp_path / "go")})
    task = started(alice, run)
    read, over = following(alice.task_log(run.run_id, task.task_id, follow=True))
    wait_until(lambda: "first" in read)
    assert not over.is_set() and "sec" not in read
    (tmp_path / "go").touch()
    assert over.wait(30)
    assert read.count("first") == 1 and read.count("second") == 1


def test_a_local_log_is_followed_no_longer_once_it_is_closed(alice, talker, tmp_path, following):
    run = alice.start_run(talker, {"file": str(tmp_path / "go")})
    log = alice.task_log(run.run_id, started(alice, run).task_id, follow=True)
    read, over = following(log)
    wait_until(lambda: "first" in read)
    log.close()
    assert over.wait(60)
    assert not alice.run(run.run_id).finished
    (tmp_path / "go").touch()
    alice.wait(run.run_id)


def test_the_last_lines_of_a_failed_local_task(alice, failing):
    run = alice.start_run(failing)
    wait_until(lambda: alice.run(run.run_id).finished)
    task = alice.run(run.run_id).tasks[0]
    whole = lines_of(alice.task_log(run.run_id, task.task_id))
    assert "59" in whole and any("ValueError: no more" in line for line in whole)
    for follow in (False, True):
        log = alice.task_log(run.run_id, task.task_id, follow=follow, tail=3)
        assert (lines_of(log), log.source) == (whole[-3:], "the local KFP")


class Writing(Server):
    """A local KFP with one task, which has written more each time that the run was looked at."""

    task = {"run_id": RUN_ID, "task_id": "t", "display_name": "t"}

    def __init__(self, *written):
        self.written, self.read = [*written, written[-1]], []
        super().__init__()

    def answer(self, request):
        if request.path.endswith("/healthz"):
            return Answer(200, {"multi_user": True, "tag_name": "jupyter-kfp-mt-1"})
        if request.path.endswith("/log"):
            written = self.written.pop(0)
            start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            there = start < len(written)
            self.read.append(written[start:] if there else written)
            return Answer(206 if there else 200, self.read[-1], "text/plain")
        state = "RUNNING" if len(self.written) > 1 else "SUCCEEDED"
        tasks = {"task_details": [{**self.task, "state": state}]}
        return Answer(200, {"run_id": RUN_ID, "state": state, "run_details": tasks})


def test_a_line_without_end_is_followed_whole(serve):
    long = b"=" * (LONGEST_LINE + 200_000)
    server = serve(Writing, long, long + b" 50 %\nmo", long + b" 50 %\nmore\n")
    log = Client(server.endpoint, namespace="alice").task_log(RUN_ID, "t", follow=True)
    assert b"".join(log) == long + b" 50 %\nmore\n"


def test_of_a_local_log_that_grows_only_what_is_new_is_read(serve):
    before = b"1\n" * 1000
    server = serve(Writing, before, before + b"2 \xc3", before + b"2 \xc3\xbc\n3\n")
    log = Client(server.endpoint, namespace="alice").task_log(RUN_ID, "t", follow=True)
    assert [line.decode() for line in log] == ["1\n"] * 1000 + ["2 ü\n", "3\n"]
    assert [len(read) for read in server.read] == [2000, 4, 8, 1]


def test_a_local_log_that_has_begun_anew_is_read_anew(serve):
    server = serve(Writing, b"old\nolder\n", b"new\n", b"new\nnewer\n")
    log = Client(server.endpoint, namespace="alice").task_log(RUN_ID, "t", follow=True)
    assert lines_of(log) == ["old", "older", "new", "newer"]


def test_no_character_of_a_line_without_end_is_cut(serve):
    line = b"x" + "ü".encode() * LONGEST_LINE
    server = serve(Writing, line, line)
    log = Client(server.endpoint, namespace="alice").task_log(RUN_ID, "t", follow=True)
    pieces = [piece.decode() for piece in log.pieces()]
    assert "".join(pieces).encode() == line and len(pieces) > 1


@pytest.mark.parametrize("tail", [0, -1])
def test_the_last_no_lines_are_refused(alice, tail):
    with pytest.raises(errors.BadRequest, match="the number must be 1 or more"):
        alice.task_log("x", "y", tail=tail)


# --- pods -----------------------------------------------------------------------------------------


@pytest.fixture
def argo_kfp(serve):
    return serve(ArgoKfp, TOKENS)


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text("the-token-of-alice")
    return path


@pytest.fixture
def settings(argo_kfp, in_pod, token_file, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KFP_MT_DOOR", raising=False)
    in_pod()
    return Kfp(endpoint=argo_kfp.endpoint, token_file=str(token_file))


@pytest.fixture
def client(settings):
    client = decide(settings).client()
    yield client
    client.close()


@pytest.fixture
def read(client, argo_kfp):
    def read(name="train", **options):
        return client.task_log(RUN_ID, argo_kfp.task_id(name), **options)

    return read


@pytest.mark.parametrize(
    "name, recorded",  # of a workflow in the tests of KFP's own UI
    [
        ("retry-random-failures-p9snt.random-failure", 3193641316),
        ("retry-random-failures-p9snt.random-failure(0)", 310421839),
        ("job-xgboosttrainingm7t2r-1-2537408167.exit-handler-1.create-cluster", 294182655),
    ],
)
def test_argo_numbers_the_parts_of_a_workflow_so(name, recorded):
    assert number(name) == recorded


def test_a_task_is_read_from_its_executor_and_not_from_its_driver(read, argo_kfp, kubernetes_api):
    for name in ("train", "evaluate"):
        argo_kfp.add_component(name)
        add_pod(kubernetes_api, f"{name}-driver")[1].write("driver")
        add_pod(kubernetes_api, f"{name}.executor")[1].write(f"{name} 1", f"{name} 2")
    log = read("train")
    assert lines_of(log) == ["train 1", "train 2"]
    pod = f"{WORKFLOW}-system-container-impl-{number(f'{WORKFLOW}.root.train.executor')}"
    assert log.source == f"container main of pod {pod} in alice"
    assert lines_of(read("train", tail=1)) == ["train 2"]
    assert lines_of(read("train-driver")) == ["driver"]


def test_of_several_attempts_the_last_is_read(read, argo_kfp, kubernetes_api):
    argo_kfp.add_component("train", "(0)", "(1)")
    for attempt in ("(1)", "(0)"):
        add_pod(kubernetes_api, f"train.executor{attempt}")[1].write(attempt)
    assert lines_of(read()) == ["(1)"]


def test_another_container_is_read_when_it_is_named(read, argo_kfp, kubernetes_api):
    argo_kfp.add_component("train")
    pod, _ = add_pod(kubernetes_api, "train.executor")
    kubernetes_api.logs["alice", pod["metadata"]["name"], "wait"].write("waited")
    assert lines_of(read(container="wait")) == ["waited"]
    with pytest.raises(errors.BadRequest, match="no container init") as caught:
        read(container="init")
    assert caught.value.cure == "It has wait, main."


def test_a_task_made_of_others_writes_nothing(read, argo_kfp, kubernetes_api):
    argo_kfp.add_component("train")
    add_pod(kubernetes_api, "train-driver")
    argo_kfp.names[f"{WORKFLOW}.root.loop"] = ("RUNNING", [f"{WORKFLOW}.root.train-driver"])
    with pytest.raises(errors.NotFound, match="Task loop has no log of its own"):
        read("loop")


def test_which_of_several_pods_is_meant_is_asked(read, argo_kfp, kubernetes_api):
    for name in ("train", "evaluate"):
        argo_kfp.add_component(name)
        add_pod(kubernetes_api, f"{name}.executor")
    with pytest.raises(
        errors.BadRequest, match="which of 2 pods is that of task executor"
    ) as caught:
        read("train.executor")
    assert f"kubectl logs -n alice {WORKFLOW}-system-container-impl-" in caught.value.cure


def test_a_pod_is_followed_until_its_container_ends(read, argo_kfp, kubernetes_api, following):
    argo_kfp.add_component("train")
    pod, log = add_pod(kubernetes_api, "train.executor")
    log.write("old", "first")
    lines, over = following(read(follow=True, tail=1))
    wait_until(lambda: lines == ["first"])
    log.write("second")
    wait_until(lambda: lines == ["first", "second"])
    assert not over.is_set()
    ended(pod, 0)
    log.end()
    assert over.wait(60) and lines == ["first", "second"]


def test_a_pod_is_waited_for_and_the_next_attempt_as_well(
    read, argo_kfp, kubernetes_api, following
):
    argo_kfp.add_component("train", "(0)", "(1)")
    lines, over = following(read(follow=True, tail=1))
    pod, log = add_pod(kubernetes_api, "train.executor(0)")
    log.write("fails")
    wait_until(lambda: lines == ["fails"])
    ended(pod, 1)
    log.end()
    asked = len(argo_kfp.asked)
    wait_until(lambda: len(argo_kfp.asked) > asked + 3)
    pod, log = add_pod(kubernetes_api, "train.executor(1)", phase="Pending")
    log.write("works", "well")
    begin(pod)
    wait_until(lambda: lines[-2:] == ["works", "well"])
    ended(pod, 0)
    log.end()
    assert over.wait(60)


def test_following_a_failed_task_ends(read, argo_kfp, kubernetes_api):
    argo_kfp.add_component("train", state="FAILED")
    pod, log = add_pod(kubernetes_api, "train.executor")
    log.write("no more")
    ended(pod, 1)
    log.end()
    assert lines_of(read(follow=True)) == ["no more"]


def test_a_log_that_breaks_off_is_not_taken_for_a_whole_one(
    read, argo_kfp, kubernetes_api, monkeypatch
):
    monkeypatch.setattr(task_logs, "SETTLE_SECONDS", 0.1)
    argo_kfp.add_component("train")
    _, log = add_pod(kubernetes_api, "train.executor")
    log.end()
    with pytest.raises(errors.Unreachable, match="broke off"):
        lines_of(read(follow=True))


def cut(log, kubernetes_api):
    """End its streams; return once it is read on."""

    def streams():
        return sum(asked.path.endswith("/log") for asked in kubernetes_api.asked)

    before = streams()
    log.cut()
    wait_until(lambda: streams() > before)


def test_the_last_lines_of_one_moment_come_once_when_their_log_is_read_on(
    read, argo_kfp, kubernetes_api, following
):
    argo_kfp.add_component("train")
    pod, log = add_pod(kubernetes_api, "train.executor")
    log.write("one", "two", "three", "four", at=datetime.now(timezone.utc))
    lines, over = following(read(follow=True, tail=2))
    wait_until(lambda: lines == ["three", "four"])
    cut(log, kubernetes_api)
    log.write("five")
    wait_until(lambda: lines[-1] == "five")
    cut(log, kubernetes_api)
    log.write("six", "seven")
    wait_until(lambda: lines[-1] == "seven")
    ended(pod, 0)
    log.end()
    assert over.wait(60) and lines == ["three", "four", "five", "six", "seven"]


def test_a_log_that_is_cut_while_it_is_quiet_is_read_on_and_no_line_twice(
    read, argo_kfp, kubernetes_api, following
):
    argo_kfp.add_component("train")
    pod, log = add_pod(kubernetes_api, "train.executor")
    moment = datetime.now(timezone.utc)
    log.write("one", "two", at=moment)
    lines, over = following(read(follow=True))
    for cut in range(3):
        wait_until(lambda: lines[-1:] == log_texts(log)[-1:])
        log.cut()
        log.write(f"after cut {cut}", at=moment)
    wait_until(lambda: lines[-1:] == ["after cut 2"])
    ended(pod, 0)
    log.end()
    assert over.wait(60)
    assert lines == log_texts(log)


def log_texts(log):
    return [line.decode().rstrip("\n") for _, line in log.lines]


def test_what_was_written_between_a_cut_and_the_end_is_read(
    read, argo_kfp, kubernetes_api, following
):
    argo_kfp.add_component("train")
    pod, log = add_pod(kubernetes_api, "train.executor")
    log.write("first")
    lines, over = following(read(follow=True))
    wait_until(lambda: lines == ["first"])
    ended(pod, 0)
    log.cut()
    log.write("last")
    log.end()
    assert over.wait(60)
    assert lines == ["first", "last"]


def test_a_log_is_followed_on_where_kfp_is_away_for_a_while(
    read, argo_kfp, kubernetes_api, following
):
    argo_kfp.add_component("train")
    pod, log = add_pod(kubernetes_api, "train.executor")
    log.write("first")
    lines, over = following(read(follow=True))
    wait_until(lambda: lines == ["first"])
    answer = argo_kfp.answer
    argo_kfp.answer = lambda request: Answer(503, {"code": 14, "message": "starting"})
    asked = len(argo_kfp.asked)
    log.cut()
    wait_until(lambda: len(argo_kfp.asked) > asked)
    argo_kfp.answer = answer
    log.write("second")
    ended(pod, 0)
    log.end()
    assert over.wait(60) and lines == ["first", "second"]


UNSCHEDULABLE = {
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        }
    ]
}
NO_IMAGE = {
    "containerStatuses": [
        {
            "name": "main",
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off "trian:1"'}},
        }
    ]
}


@pytest.mark.parametrize(
    "status, why",
    [
        pytest.param(UNSCHEDULABLE, "Unschedulable: 0/3 nodes are available", id="unschedulable"),
        pytest.param(NO_IMAGE, 'ImagePullBackOff: Back-off "trian:1"', id="image"),
        pytest.param({}, "FailedMount: no such secret", id="from its events"),
    ],
)
def test_a_pod_that_has_not_started_says_why(
    read, argo_kfp, kubernetes_api, following, status, why
):
    argo_kfp.add_component("train")
    pod, log = add_pod(kubernetes_api, "train.executor", phase="Pending")
    pod["status"] |= status
    about = {"kind": "Pod", "name": pod["metadata"]["name"]}
    said = {"reason": "FailedMount", "message": "no such secret", "type": "Warning"}
    kubernetes_api.add("events", "e1", "alice", involvedObject=about, **said)
    with pytest.raises(errors.NotFound, match="has not started") as caught:
        read()
    assert why in caught.value.cause
    lines, _ = following(read(follow=True))
    wait_until(lambda: lines and why in lines[0])


def test_an_evicted_pod_says_so(read, argo_kfp, kubernetes_api):
    argo_kfp.add_component("train", state="FAILED")
    pod, _ = add_pod(kubernetes_api, "train.executor", phase="Failed")
    pod["status"] |= {"reason": "Evicted", "message": "The node was low on memory."}
    kubernetes_api.unreadable.add(pod["metadata"]["name"])
    with pytest.raises(errors.NotFound, match="has no log: Evicted") as caught:
        read()
    assert caught.value.cause.startswith(
        "The node was low on memory. The archive: it has no such log"
    )


# --- what is left when the pod is gone ------------------------------------------------------------


def packed(text):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("main.log")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    return archive.getvalue()


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(b"one\ntwo\n", id="as it is"),
        pytest.param(gzip.compress(b"one\ntwo\n"), id="gzip"),
        pytest.param(packed(b"one\ntwo\n"), id="tar"),
    ],
)
def test_the_archive_is_read_where_the_pod_is_gone(read, argo_kfp, file):
    argo_kfp.add_component("train", state="SUCCEEDED")
    argo_kfp.archived[node_id(f"{WORKFLOW}.root.train.executor")] = file
    log = read()
    assert (lines_of(log), log.source) == (["one", "two"], "KFP's archive")
    assert lines_of(read(tail=1)) == ["two"]
    assert lines_of(read(follow=True)) == ["one", "two"]


def test_the_archive_has_the_last_attempt_of_a_task_that_was_retried(read, argo_kfp):
    """Argo keeps the logs of failed attempts with the attempts alone."""
    argo_kfp.add_component("train", "(0)", "(1)", state="FAILED")
    for attempt in range(2):
        executor = f"{WORKFLOW}.root.train.executor({attempt})"
        argo_kfp.archived[node_id(executor)] = b"attempt %d\n" % attempt
    assert lines_of(read()) == ["attempt 1"]


def with_a_hole(length):
    """A sparse file in a tar."""
    header = bytearray(tarfile.TarInfo("main.log").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[386:410] = b"%011o\0%011o\0" % (length, 0)
    header[483:495] = b"%011o\0" % length
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + sum(header[156:512]) + 8 * 32)
    return gzip.compress(bytes(header) + bytes(1024))


def test_what_is_packed_in_the_archive_is_unpacked_no_further_than_is_good(
    read, argo_kfp, monkeypatch
):
    monkeypatch.setattr(task_logs, "LONGEST_ARCHIVED", 1 << 20)
    argo_kfp.add_component("train", state="SUCCEEDED")
    argo_kfp.archived[node_id(f"{WORKFLOW}.root.train.executor")] = with_a_hole(1 << 24)
    with pytest.raises(errors.NotFound) as caught:
        read()
    assert "it is longer than 1 MB" in caught.value.cause


@pytest.mark.parametrize(
    "guards, why",
    [
        pytest.param(False, "it has no such log", id="nothing"),
        pytest.param(True, "since 2.15, a KFP for several users refuses it", id="refused"),
    ],
)
def test_without_pod_and_archive_both_reasons_are_told(read, argo_kfp, guards, why):
    argo_kfp.add_component("train", state="FAILED")
    argo_kfp.guards_artifacts = guards
    with pytest.raises(errors.NotFound, match="it no longer has a pod in alice") as caught:
        read()
    assert why in caught.value.cause


def test_without_a_pod_yet_it_is_said_so(read, argo_kfp):
    argo_kfp.add_component("train")
    with pytest.raises(errors.NotFound, match="no pod in alice yet"):
        read()


# --- who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "verbs, resource",
    [pytest.param("list", "pods", id="no log"), pytest.param("get", "pods/log", id="no pods")],
)
def test_what_is_refused_is_cured_by_one_role(read, argo_kfp, kubernetes_api, verbs, resource):
    argo_kfp.add_component("train")
    add_pod(kubernetes_api, "train.executor")
    kubernetes_api.forbid(ALICE)
    kubernetes_api.allow(ALICE, verbs, resource, "alice")
    with pytest.raises(errors.Forbidden, match=f"{ALICE} may not") as caught:
        read()
    assert caught.value.cure.splitlines()[1:] == [
        "kubectl create role kfp-mt-logs -n alice --verb=get,list --resource=pods,pods/log,events",
        "kubectl create rolebinding kfp-mt-logs-system-serviceaccount-alice-default-editor "
        "-n alice --role=kfp-mt-logs --serviceaccount=alice:default-editor",
    ]


def test_a_run_that_kfp_does_not_show_has_no_log_here(read, argo_kfp, kubernetes_api, token_file):
    argo_kfp.add_component("train")
    add_pod(kubernetes_api, "train.executor")
    token_file.write_text("the-token-of-bob")
    with pytest.raises(errors.Forbidden, match="may not get runs in namespace alice"):
        read()
    assert kubernetes_api.asked == []


def test_the_namespace_is_the_runs_own_whichever_is_chosen(client, read, argo_kfp, kubernetes_api):
    argo_kfp.add_component("train")
    add_pod(kubernetes_api, "train.executor")[1].write("hers")
    add_pod(kubernetes_api, "train.executor", "bob")[1].write("his")
    client.namespace = "bob"
    assert lines_of(read()) == ["hers"]


def test_each_gets_its_own_token_and_kfps_open_log_is_never_asked(read, argo_kfp, kubernetes_api):
    argo_kfp.add_component("train")
    add_pod(kubernetes_api, "train.executor")
    lines_of(read())
    sent = {
        request.headers["Authorization"] for request in argo_kfp.asked if request.path[-1] != "z"
    }
    assert sent - {None} == {"Bearer the-token-of-alice"}
    assert not [request for request in argo_kfp.asked if "v1alpha1" in request.path]
    assert "the-token-of-alice" not in str(kubernetes_api.asked)


def test_without_a_cluster_it_is_said_how_to_name_one(argo_kfp, token_file):
    argo_kfp.add_component("train")
    client = Client(argo_kfp.endpoint, TokenFile(token_file), "alice")
    with pytest.raises(errors.Misconfigured, match="no Kubernetes API is configured") as e:
        client.log(RUN_ID, argo_kfp.task_id("train"))
    assert "namespace alice" in e.value.cause and "KFP_MT_KUBECONFIG" in e.value.cure
    client.close()


def test_a_failed_run_is_told_with_the_last_lines_of_its_task(client, argo_kfp, kubernetes_api):
    argo_kfp.state = "FAILED"
    argo_kfp.add_component("train", state="FAILED")
    add_pod(kubernetes_api, "train-driver")[1].write("driver")
    add_pod(kubernetes_api, "train.executor")[1].write("ValueError: no more")
    with pytest.raises(errors.RunFailed) as caught:
        client.wait(RUN_ID)
    assert caught.value.message == f"Run training ({RUN_ID}) failed: task train failed."
    assert caught.value.cause == "The last lines of task train:\nValueError: no more"


@pytest.fixture
def kfp(settings, argo_kfp, token_file, monkeypatch):
    """`%kfp LINE` without a door, before the KFP of a cluster."""
    from IPython.core.interactiveshell import InteractiveShell

    monkeypatch.setenv("KFP_MT_ENDPOINT", argo_kfp.endpoint)
    monkeypatch.setenv("KFP_MT_TOKEN_FILE", str(token_file))
    # Its history would be kept in a folder that goes before it.
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_line_magic("load_ext", "jupyter_kfp_mt")
    yield lambda line: shell.run_line_magic("kfp", line)
    shell.run_line_magic("unload_ext", "jupyter_kfp_mt")
    InteractiveShell.clear_instance()


def test_a_cell_shows_the_tasks_of_the_pipeline_and_not_their_parts(kfp, argo_kfp, kubernetes_api):
    for name in ("train", "evaluate"):
        argo_kfp.add_component(name)
    add_pod(kubernetes_api, "train-driver")[1].write("driver")
    add_pod(kubernetes_api, "train.executor")[1].write("training")
    log = kfp(f"logs {RUN_ID}")
    assert {task.display_name: text for task, text in log.tasks} == {
        "train": "training",
        "evaluate": "[Task evaluate has no log yet: it has no pod in alice yet.]",
    }
    with pytest.raises(KfpError, match="Cannot follow 2 tasks") as caught:
        kfp(f"logs {RUN_ID} --follow")
    assert node_id(f"{WORKFLOW}.root.evaluate") in str(caught.value)


def test_the_logs_of_many_tasks_take_one_look_at_the_run_and_its_pods(
    kfp, argo_kfp, kubernetes_api
):
    for name in ("prep", "train", "evaluate"):
        argo_kfp.add_component(name)
        add_pod(kubernetes_api, f"{name}.executor")[1].write(f"{name} writes")
    argo_kfp.asked.clear()
    assert [text for _, text in kfp(f"logs {RUN_ID}").tasks] == [
        "evaluate writes",
        "prep writes",
        "train writes",
    ]
    assert argo_kfp.count(f"runs/{RUN_ID}") == 1
    assert argo_kfp.count("experiments/e1") == 1
    assert sum(asked.path.endswith("/pods") for asked in kubernetes_api.asked) == 1


def test_fifteen_logs_take_two_requests_that_kfp_has_to_authorize(
    kfp, argo_kfp, kubernetes_api, monkeypatch
):
    """Each takes as long as a list, of which there are five a second for everybody together."""
    monkeypatch.setattr(task_logs, "RECENT_SECONDS", 600)  # on a machine that is busy, too
    for step in range(15):
        argo_kfp.add_component(f"step-{step:02}")
        add_pod(kubernetes_api, f"step-{step:02}.executor")[1].write(f"{step} writes")
    argo_kfp.asked.clear()
    log = kfp(f"logs {RUN_ID}")
    assert [text for _, text in log.tasks] == [f"{step} writes" for step in range(15)]
    asked = [asked.path for asked in argo_kfp.asked if not asked.path.endswith("/healthz")]
    assert len(asked) <= 2, asked


def test_whose_pods_a_run_has_is_asked_of_kfp_once(client, argo_kfp, kubernetes_api):
    argo_kfp.add_component("train")
    add_pod(kubernetes_api, "train.executor")[1].write("train writes")
    for _ in range(2):
        assert client.log(RUN_ID, argo_kfp.task_id("train")) == "train writes\n"
    assert argo_kfp.count("experiments/e1") == 1
    assert argo_kfp.count(f"runs/{RUN_ID}") == 2  # who may read it is asked each time


def test_the_log_of_a_failed_run_is_that_of_the_task_whose_executor_failed(
    kfp, argo_kfp, kubernetes_api
):
    argo_kfp.state = "FAILED"
    argo_kfp.add_component("prep", state="SUCCEEDED")
    argo_kfp.add_component("train", state="FAILED")
    for name in ("prep", "train"):
        add_pod(kubernetes_api, f"{name}.executor")[1].write(f"{name} writes")
    log = kfp(f"logs {RUN_ID}")
    assert [(task.display_name, text) for task, text in log.tasks] == [("train", "train writes")]


def test_a_driver_whose_pod_is_gone_is_not_answered_with_another(client, argo_kfp, kubernetes_api):
    argo_kfp.add_component("train", state="FAILED")
    add_pod(kubernetes_api, "train.executor")[1].write("training")
    add_pod(kubernetes_api, "inner.train-driver")[1].write("another driver")
    with pytest.raises(errors.NotFound, match="Task train-driver has no log"):
        client.log(RUN_ID, argo_kfp.task_id("train-driver"))


def test_the_log_of_a_task_whose_driver_failed_is_the_drivers(client, argo_kfp, kubernetes_api):
    argo_kfp.add_component("train", state="")
    argo_kfp.names[f"{WORKFLOW}.root.train-driver"] = ("FAILED", [f"{WORKFLOW}.root.train"])
    argo_kfp.names[f"{WORKFLOW}.root.train"] = ("", [])
    del argo_kfp.names[f"{WORKFLOW}.root.train.executor"]
    add_pod(kubernetes_api, "train-driver")[1].write("cannot resolve the inputs")
    (task,) = client.run(RUN_ID).tasks
    assert (task.display_name, task.state) == ("train", "FAILED")
    assert client.log(RUN_ID, task.task_id) == "cannot resolve the inputs\n"


# --- through the door -----------------------------------------------------------------------------


@pytest.fixture
def jp_server_config(settings, argo_kfp, token_file, tmp_path, monkeypatch):
    monkeypatch.setenv("KFP_MT_DATA", str(tmp_path / "data"))
    return server_config(endpoint=argo_kfp.endpoint, token_file=str(token_file))


@pytest.fixture
def path(argo_kfp):
    return f"logs/{RUN_ID}/{argo_kfp.task_id('train')}"


async def refused(fetching):
    with pytest.raises(HTTPClientError) as error:
        await fetching
    return error.value.code, json.loads(error.value.response.body)


async def test_the_door_answers_with_text_that_is_no_page(jp_fetch, path, argo_kfp, kubernetes_api):
    argo_kfp.add_component("train")
    add_pod(kubernetes_api, "train.executor")[1].write("one", "<script>", "three")
    answer = await jp_fetch("kfp-mt", path, params={"tail": 2})
    assert answer.body == b"<script>\nthree\n"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert "container main of pod" in answer.headers["Kfp-Mt-Log-Source"]


async def test_the_door_tells_the_tasks_of_a_run_and_not_the_parts_of_its_workflow(
    jp_fetch, argo_kfp
):
    argo_kfp.add_component("train")
    answer = await jp_fetch("kfp-mt", "tasks", RUN_ID)
    (task,) = json.loads(answer.body)["tasks"]
    assert (task["display_name"], task["state"]) == ("train", "RUNNING")
    code, body = await refused(jp_fetch("kfp-mt", "tasks", "unknown"))
    assert (code, body["kind"]) == (404, "NotFound")


@pytest.mark.parametrize(
    "query", ["tail=x", "tail=-1", "tail=0", "follow=maybe", "container=x", "after=x"]
)
async def test_the_door_refuses_what_it_does_not_understand(
    jp_fetch, path, argo_kfp, kubernetes_api, query
):
    argo_kfp.add_component("train")
    add_pod(kubernetes_api, "train.executor")
    name, value = query.split("=")
    code, body = await refused(jp_fetch("kfp-mt", path, params={name: value}))
    assert (code, body["kind"]) == (400, "BadRequest")


async def test_the_door_tells_why_there_is_no_log(jp_fetch, path, argo_kfp):
    argo_kfp.add_component("train", state="FAILED")
    code, body = await refused(jp_fetch("kfp-mt", path))
    assert code == 404 and "no longer has a pod in alice" in body["message"]
    assert "it has no such log" in body["cause"]


async def test_a_namespace_in_the_request_changes_nothing(jp_fetch, path, argo_kfp, kubernetes_api):
    argo_kfp.add_component("train")
    add_pod(kubernetes_api, "train.executor")[1].write("hers")
    answer = await jp_fetch("kfp-mt", path, params={"namespace": "bob"})
    assert answer.body == b"hers\n"
    assert not [asked for asked in kubernetes_api.asked if "bob" in asked.path]


async def test_nobody_reads_a_log_without_being_signed_in(door, path, argo_kfp):
    address, _ = door
    assert (await call("GET", f"{address}/{path}")).status_code == 403


async def test_the_door_streams_and_stops_when_the_browser_goes_away(
    door, path, argo_kfp, kubernetes_api, jp_serverapp
):
    address, key = door
    argo_kfp.add_component("train")
    _, log = add_pod(kubernetes_api, "train.executor")
    log.write("first")
    logs = jp_serverapp.web_app.settings["kfp_mt"].logs
    headers = {"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"}

    def in_a_browser():
        url = f"{address}/{path}?follow=1"
        with requests.get(url, headers=headers, stream=True, timeout=60) as answer:
            lines = answer.iter_lines(chunk_size=1)
            seen = [next(lines)]
            log.write("second")
            seen.append(next(lines))
            return seen, len(logs.open_logs)

    assert await asyncio.to_thread(in_a_browser) == ([b"first", b"second"], 1)
    await asyncio.to_thread(wait_until, lambda: not logs.open_logs)
    assert logs.count == 0


async def test_a_reader_that_takes_nothing_holds_no_place(
    door, path, argo_kfp, kubernetes_api, jp_web_app, monkeypatch
):
    monkeypatch.setattr(logs_module.LogsHandler, "patience", 0.2)
    address, key = door
    argo_kfp.add_component("train")
    _, log = add_pod(kubernetes_api, "train.executor")
    for _ in range(32):
        log.write("=" * 500_000)
    logs = jp_web_app.settings["kfp_mt"].logs
    headers = {"Authorization": f"Bearer {key}"}

    def in_a_browser():
        url = f"{address}/{path}?follow=1"
        with requests.get(url, headers=headers, stream=True, timeout=60):
            wait_until(lambda: logs.count == 0)

    await asyncio.to_thread(in_a_browser)


async def test_a_log_that_ends_badly_says_so_in_its_last_line(
    jp_fetch, path, argo_kfp, kubernetes_api, monkeypatch
):
    monkeypatch.setattr(task_logs, "SETTLE_SECONDS", 0.1)
    argo_kfp.add_component("train")
    _, log = add_pod(kubernetes_api, "train.executor")
    log.write("first")
    log.end()
    answer = await jp_fetch("kfp-mt", path, params={"follow": "1"})
    first, last = answer.body.decode().splitlines()
    assert first == "first" and last.startswith("[The log ends here. The log of pod")


async def test_a_log_that_ends_badly_goes_on_where_it_was_read_to(
    jp_fetch, path, argo_kfp, kubernetes_api, monkeypatch
):
    monkeypatch.setattr(task_logs, "SETTLE_SECONDS", 0.1)
    argo_kfp.add_component("train")
    _, log = add_pod(kubernetes_api, "train.executor")
    log.write("first")
    log.end()
    headers = {"Accept": "text/event-stream"}
    answer = await jp_fetch("kfp-mt", path, params={"follow": "1"}, headers=headers)
    lines = [event.id for event in parsed([answer.body]) if event.name == "lines"]
    assert len(lines) == 2 and lines[0] and lines[1] == lines[0]


async def test_a_kernel_reads_and_follows_through_the_door(
    door, argo_kfp, kubernetes_api, following
):
    argo_kfp.add_component("train")
    pod, log = add_pod(kubernetes_api, "train.executor")
    log.write("first")

    def in_a_kernel():
        client = decide(Kfp()).client()
        task = argo_kfp.task_id("train")
        assert client.log(RUN_ID, task) == "first\n"
        lines, over = following(client.task_log(RUN_ID, task, follow=True))
        log.write("second")
        wait_until(lambda: lines == ["first", "second"])
        ended(pod, 0)
        log.end()
        assert over.wait(60)
        client.close()

    await asyncio.to_thread(in_a_kernel)


async def test_a_kernel_follows_a_quiet_log_through_one_stream_after_the_other(
    door, argo_kfp, kubernetes_api, following, monkeypatch
):
    monkeypatch.setattr(intervals, "KEEP_ALIVE_SECONDS", 0.05)
    monkeypatch.setattr(intervals, "LIFE_SECONDS", 0.3)
    argo_kfp.add_component("train")
    pod, log = add_pod(kubernetes_api, "train.executor")
    log.write("one", "two")

    def streams():
        return sum(asked.path.endswith("/log") for asked in kubernetes_api.asked)

    def in_a_kernel():
        client = decide(Kfp()).client()
        task = argo_kfp.task_id("train")
        lines, over = following(client.task_log(RUN_ID, task, follow=True, tail=1))
        for cut in range(3):
            before = streams()
            wait_until(lambda before=before: streams() > before)
            log.write(f"line {cut}")
        wait_until(lambda: lines[-1:] == ["line 2"])
        ended(pod, 0)
        log.end()
        assert over.wait(60)
        assert lines == ["two", "line 0", "line 1", "line 2"]
        client.close()

    await asyncio.to_thread(in_a_kernel)


async def test_a_reader_of_text_is_told_that_the_log_goes_on(
    jp_fetch, path, argo_kfp, kubernetes_api, monkeypatch
):
    monkeypatch.setattr(intervals, "LIFE_SECONDS", 0.1)
    argo_kfp.add_component("train")
    add_pod(kubernetes_api, "train.executor")[1].write("first")
    answer = await jp_fetch("kfp-mt", path, params={"follow": "1"})
    first, last = answer.body.decode().splitlines()
    assert first == "first" and last.startswith("[The log continues.")


async def test_a_kernel_is_told_the_reason_through_the_door(door, argo_kfp):
    argo_kfp.add_component("train")

    def in_a_kernel():
        client = decide(Kfp()).client()
        with pytest.raises(errors.NotFound, match="no pod in alice yet"):
            client.log(RUN_ID, argo_kfp.task_id("train"))
        client.close()

    await asyncio.to_thread(in_a_kernel)
