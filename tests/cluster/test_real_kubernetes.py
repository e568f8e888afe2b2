"""The product before a real Kubernetes API server, and the stand-in beside that, answer by answer.

`make test-kubernetes` runs them. The others of these folders run with the stand-in, which is worth
as much as it answers as the real one does.
"""

import contextlib
import json
import re
import threading
import uuid

import jwt
import pytest
from fakes.kubernetes_api import ALICE, BOB
from harness.real_kubernetes import RealKubernetes
from harness.waiting import wait_until

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.cluster import access_manifests
from jupyter_kfp_mt.cluster.kubernetes_api import Cluster
from jupyter_kfp_mt.cluster.workflows import PHASE
from jupyter_kfp_mt.extension import workflow_watch
from jupyter_kfp_mt.extension.workflow_watch import WorkflowWatch

PIPELINES = "pipelines.kubeflow.org"
WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/alice/workflows"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
TOKEN = "/api/v1/namespaces/{}/serviceaccounts/{}/token"
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def filled(api):
    """One of both, with alice's rights and Workflows in it."""
    for name in ("alice", "bob"):
        api.add_profile(name, f"{name}@example.com")
    api.allow(ALICE, "get list", "pods", "alice")
    api.allow(ALICE, "create", "serviceaccounts/token", "alice")
    api.allow(ALICE, "get list watch", "workflows", "alice", "argoproj.io")
    api.allow(ALICE, "get list", "runs", "alice", PIPELINES)
    api.allow(ALICE, "list", "nothing", "alice", "argoproj.io")
    api.allow(ALICE, "list", "nothing", "alice")
    for number in range(3):
        api.put_workflow(f"flow-{number}", "alice", str(uuid.UUID(int=number)))
    api.put_workflow("over", "alice", str(uuid.UUID(int=9)), "Succeeded")
    return api


@pytest.fixture(scope="module")
def real(real_kubernetes):
    return filled(real_kubernetes)


@pytest.fixture
def cluster(real):
    found = Cluster.of_kubeconfig(str(real.kubeconfig(ALICE, "alice")))
    yield found
    found.close()


# --- the stand-in beside it -------------------------------------------------------------------


def access(verb, resource, namespace="alice", group="", **more):
    wanted = {"verb": verb, "resource": resource, "namespace": namespace, "group": group, **more}
    kind = {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1"}
    return {**kind, "spec": {"resourceAttributes": wanted}}


def token_of(seconds=3600, audiences=(PIPELINES,)):
    kind = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1"}
    return {**kind, "spec": {"audiences": list(audiences), "expirationSeconds": seconds}}


ASKED = {
    "a list": ("GET", WORKFLOWS, {}),
    "its metadata": ("GET", WORKFLOWS, {"accept": METADATA_LIST}),
    "a page": ("GET", WORKFLOWS + "?limit=2", {}),
    "those that go on": (
        "GET",
        WORKFLOWS + "?labelSelector=pipeline/runid,workflows.argoproj.io/completed!=true",
        {"accept": METADATA_LIST},
    ),
    "an object": ("GET", WORKFLOWS + "/flow-0", {}),
    "no such object": ("GET", WORKFLOWS + "/gone", {}),
    "no such pod": ("GET", "/api/v1/namespaces/alice/pods/gone", {}),
    "no such kind": ("GET", "/apis/argoproj.io/v1alpha1/namespaces/alice/flows", {}),
    "no such kind where it would be allowed": (
        "GET",
        "/apis/argoproj.io/v1alpha1/namespaces/alice/nothing",
        {},
    ),
    "no such kind of Kubernetes' own": ("GET", "/api/v1/namespaces/alice/nothing", {}),
    "no such group": ("GET", "/apis/example.com/v1/namespaces/alice/flows", {}),
    "a version that is too old": ("GET", WORKFLOWS + "?watch=true&resourceVersion=1", {}),
    "another's list": ("GET", WORKFLOWS.replace("alice", "bob"), {}),
    "another's object": ("GET", "/api/v1/namespaces/bob/pods/train", {}),
    "another's watch": (
        "GET",
        WORKFLOWS.replace("alice", "bob") + "?watch=true&resourceVersion=1",
        {},
    ),
    "all namespaces": ("GET", "/api/v1/pods", {}),
    "a list of the cluster's": ("GET", "/apis/kubeflow.org/v1/profiles", {}),
    "nobody": ("GET", WORKFLOWS, {"token": ""}),
    "who is not known": ("GET", WORKFLOWS, {"token": "no-token"}),
    "a token": ("POST", TOKEN.format("alice", "default-editor"), {"body": token_of()}),
    "a token for five minutes": (
        "POST",
        TOKEN.format("alice", "default-editor"),
        {"body": token_of(300)},
    ),
    "a token of nobody": ("POST", TOKEN.format("alice", "nobody"), {"body": token_of()}),
    "another's token": ("POST", TOKEN.format("bob", "default-editor"), {"body": token_of()}),
    "a right": ("POST", REVIEW, {"body": access("watch", "workflows", group="argoproj.io")}),
    "another right": ("POST", REVIEW, {"body": access("delete", "workflows", group="argoproj.io")}),
    "a subresource": (
        "POST",
        REVIEW,
        {"body": access("create", "serviceaccounts", subresource="token")},
    ),
    "another's right": ("POST", REVIEW, {"body": access("list", "runs", "bob", PIPELINES)}),
    "a right of one object": (
        "POST",
        REVIEW,
        {"body": access("get", "workflows", group="argoproj.io", name="flow-0")},
    ),
}
# What is another each time, and what is written there by whoever made it.
OWN = {"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "iat", "nbf"}
OWN |= {"expirationTimestamp", "finishedAt", "spec", "jti", "exp", "remainingItemCount"}


def answered(api, method, path, token=None, accept="application/json", body=None):
    """The status and the body of an answer, without what is another each time."""
    token = api.token(ALICE) if token is None else token
    headers = {"Accept": accept} | ({"Authorization": f"Bearer {token}"} if token else {})
    answer = RealKubernetes.ask(api, method, path, headers, body)
    with contextlib.suppress(ValueError):
        return answer.status_code, reduced(json.loads(answer.text))
    return answer.status_code, answer.text


def reduced(value):
    if isinstance(value, list):
        return [reduced(each) for each in value]
    if not isinstance(value, dict):
        return re.sub(r"\(\d+\)", "(N)", value) if isinstance(value, str) else value
    shown = {name: reduced(each) for name, each in value.items() if name not in OWN and each}
    if "token" in shown:
        claims = jwt.decode(value["token"], options={"verify_signature": False})
        shown["token"] = {"sub": claims["sub"], "aud": claims["aud"]}
    if "continue" in shown:
        shown["continue"] = "..."
    if "allowed" in value:
        shown = {"allowed": value["allowed"]}
    return shown


@pytest.mark.parametrize("name", ASKED)
def test_the_stand_in_answers_as_kubernetes_does(name, real, kubernetes_api):
    method, path, options = ASKED[name]
    played = filled(kubernetes_api)
    played.history.forget()
    expected = answered(real, method, path, **options)
    assert answered(played, method, path, **options) == expected


# --- the product before it --------------------------------------------------------------------


@pytest.fixture
def watch(cluster, monkeypatch):
    """Watches alice's Workflows: waits for news of a kind, and returns them."""
    monkeypatch.setattr(workflow_watch, "FIRST_PAUSE", 0.1)
    news, more = [], threading.Condition()

    def heard(each):
        with more:
            news.append(each)
            more.notify_all()

    def told(is_it):
        with more:
            assert more.wait_for(lambda: any(map(is_it, news)), 120), news
            found = [each for each in news if is_it(each)]
            news.clear()
            return found[-1]

    watching = WorkflowWatch(lambda: cluster, "alice", heard)
    watching.start()
    yield told
    watching.close()


def named(name, phase=""):
    def is_it(news):
        return any(
            each.name == name and phase in ("", each.metadata.labels.get(PHASE))
            for each in news.workflows
        )

    return is_it


def test_a_watch_tells_what_begins_changes_ends_and_is_deleted(real, watch):
    assert {"flow-0", "flow-1"} <= {each.name for each in watch(lambda news: news.whole).workflows}
    run = str(uuid.uuid4())
    real.put_workflow("new", "alice", run, "Pending")
    watch(named("new"))
    real.put_workflow("new", "alice", run, "Running")
    watch(named("new", "Running"))
    real.put_workflow("new", "alice", run, "Succeeded")
    watch(named("new", "Succeeded"))
    real.put_workflow("brief", "alice", str(uuid.uuid4()))
    watch(named("brief"))
    real.remove_workflow("brief", "alice")
    watch(lambda news: "brief" in news.deleted)


def test_a_watch_that_is_over_is_resumed_where_it_ended(real, watch, monkeypatch):
    monkeypatch.setattr(workflow_watch, "WATCH_SECONDS", 1.0)
    watch(lambda news: news.whole)
    for number in range(3):
        real.put_workflow(f"later-{number}", "alice", str(uuid.uuid4()))
        assert not watch(named(f"later-{number}")).whole
    for number in range(3):
        real.remove_workflow(f"later-{number}", "alice")


def test_a_watch_tells_the_newest_version_before_its_end_if_anything_changed_meanwhile(
    real, cluster
):
    """A bookmark comes each minute and two seconds before the end, even with etcd 3.4.

    There is none without a change of any namespace's Workflows since the watch began.
    """
    _, version = cluster.workflows_going_on("alice")
    told = cluster.watch_workflows("alice", version, 15)
    changed = int(real.put_workflow(f"elsewhere-{uuid.uuid4()}", "bob", str(uuid.uuid4())))
    not_told = cluster.watch_workflows("alice", version, 15)
    marks = [json.loads(line) for line in told]
    assert {mark["type"] for mark in marks} == {"BOOKMARK"}
    assert {int(mark["object"]["metadata"]["resourceVersion"]) for mark in marks} == {changed}
    assert list(not_told) == []


def test_a_list_begins_anew_where_a_watch_has_lost_its_place(real, cluster, monkeypatch):
    """Version 1 is older than what the server remembers, as any is after a while: 410 Gone."""
    asked = []
    known = cluster.workflows_going_on

    def old(namespace):
        found, version = known(namespace)
        asked.append(namespace)
        return found, version if len(asked) > 1 else "1"

    monkeypatch.setattr(cluster, "workflows_going_on", old)
    news = []
    watching = WorkflowWatch(lambda: cluster, "alice", news.append)
    watching.start()
    wait_until(lambda: len([each for each in news if each.whole]) > 1)
    watching.close()


def test_a_token_is_for_one_audience_and_kubernetes_itself_takes_it_for_no_other(real, cluster):
    token, _ = cluster.request_token("alice", "default-editor", PIPELINES, 3600)
    review = {"spec": {"token": token, "audiences": [PIPELINES]}}
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    status = real.made(path, review)["status"]
    assert (status["authenticated"], status["user"]["username"]) == (True, ALICE)
    assert answered(real, "GET", WORKFLOWS, token=token)[0] == 401


def test_a_token_that_the_kubelet_replaces_is_used_at_once(real, monkeypatch):
    for name, text in real.pod_environment().items():
        monkeypatch.setenv(name, text)
    files = real.pod_files(ALICE, "alice")
    with contextlib.closing(Cluster.of_pod(files)) as cluster:
        assert cluster.who() == ALICE
        (files / "token").write_text("no-token")
        with pytest.raises(errors.Unauthenticated):
            cluster.who()
        (files / "token").write_text(real.token(BOB))
        assert cluster.who() == BOB


def test_what_is_allowed_is_what_is_then_done(cluster):
    assert cluster.may_watch_workflows("alice") and not cluster.may_watch_workflows("bob")
    with pytest.raises(errors.Forbidden, match="may not list workflows in namespace bob"):
        cluster.workflows_going_on("bob")


@pytest.mark.parametrize("user", [BOB, "carol@example.com"])
def test_kubernetes_takes_every_manifest(user, real):
    real.made("/api/v1/namespaces", {"metadata": {"name": "kubeflow"}})
    made = access_manifests.wanted(user, "alice", "edit")
    made += [access_manifests.kfp_policy(), access_manifests.closed_paths()]
    for manifest in made:
        namespace, kind = manifest["metadata"]["namespace"], manifest["kind"]
        plural = kind.lower().removesuffix("y") + ("ies" if kind.endswith("y") else "s")
        path = f"/apis/{manifest['apiVersion']}/namespaces/{namespace}/{plural}"
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        answer = real.call("POST", path, manifest, **query)
        assert answer.status_code == 201, answer.text
