"""Permissions: asked of Kubernetes, learned from KFP, or not known."""

import threading
import time

import pytest
from fakes.kubernetes_api import ALICE, BOB, EDIT, VIEW
from harness.waiting import wait_until

from jupyter_kfp_mt.cluster.kubernetes_api import Cluster
from jupyter_kfp_mt.namespaces import permissions as permissions_module
from jupyter_kfp_mt.namespaces.permissions import EDIT_ADDS, VERBS, Permissions, role
from jupyter_kfp_mt.namespaces.permissions import VIEW as VIEWED

# So many reviews; the others wait for their turn.
AT_ONCE = 16


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(in_pod, clock):
    made = []

    def make(subject=ALICE, cluster=True, **options):
        found = Cluster.of_pod(in_pod()) if cluster else None
        made.append(Permissions(lambda: found, lambda: subject, clock=clock, **options))
        return made[-1]

    yield make
    for permissions in made:
        permissions.close()


def reviews(api):
    return [asked for asked in api.asked if asked.path.endswith("selfsubjectaccessreviews")]


def allowed(table):
    return {
        (resource, verb)
        for resource, verbs in table.items()
        for verb in verbs
        if verbs[verb] is True
    }


def of_role(role):
    return {(kind, verb) for kind in VERBS for verb in role[kind].split()}


def test_an_editor_may_edit_here_and_nothing_elsewhere(make):
    found = make().of(["alice", "bob"])
    assert allowed(found.tables["alice"]) == of_role(EDIT)
    verbs = [verb for verbs in found.tables["bob"].values() for verb in verbs.values()]
    assert verbs == [False] * sum(map(len, VERBS.values()))
    assert found.reason == ""


def test_a_viewer_may_look(make, kubernetes_api):
    kubernetes_api.allow_role(ALICE, VIEW, "bob")
    assert allowed(make().of(["bob"]).tables["bob"]) == of_role(VIEW)


def test_reviews_are_asked_once_a_minute(make, kubernetes_api, clock):
    permissions = make()
    assert permissions.may("alice", "create", "runs") is True
    kubernetes_api.forbid(ALICE)
    clock.now += 59
    assert permissions.may("alice", "create", "runs") is True
    assert len(reviews(kubernetes_api)) == sum(map(len, VERBS.values()))
    clock.now += 1
    assert permissions.may("alice", "create", "runs") is False


def test_reviews_are_asked_at_the_same_time(make, kubernetes_api):
    permissions = make()
    permissions.of(["alice"])  # it is known who asks
    kubernetes_api.hanging.add("selfsubjectaccessreviews")
    before = len(reviews(kubernetes_api))
    permissions.of(["bob"], patience=0)
    wait_until(lambda: len(reviews(kubernetes_api)) == before + AT_ONCE)


def test_of_hundreds_of_namespaces_most_are_asked_one_question(make, kubernetes_api, monkeypatch):
    monkeypatch.setattr(permissions_module, "FULLY_REVIEWED", 1)
    found = make().of(["alice", "bob", "carol"], patience=20)
    assert len(reviews(kubernetes_api)) == sum(map(len, VERBS.values())) + 2
    assert allowed(found.tables["alice"]) == of_role(EDIT)
    assert found.tables["carol"]["runs"] == dict.fromkeys(VERBS["runs"]) | {"list": False}
    assert found.reason.startswith("for 2 of these namespaces only the right")


def test_where_reviews_are_forbidden_nothing_is_known_yet(make, kubernetes_api):
    kubernetes_api.without_reviews(ALICE)
    found = make().of(["alice"])
    assert {verb for verbs in found.tables["alice"].values() for verb in verbs.values()} == {None}
    assert "did not answer every access review" in found.reason


@pytest.mark.parametrize(
    "options, reason",
    [
        pytest.param({"cluster": False}, "no Kubernetes API to ask from here", id="no cluster"),
        pytest.param({"subject": BOB}, f"about {ALICE}, and KFP is used as {BOB}", id="another"),
        pytest.param(
            {"subject": ""}, "KFP is used as an identity whose name is not", id="nobody knows"
        ),
    ],
)
def test_a_review_of_somebody_else_counts_for_nothing(make, kubernetes_api, options, reason):
    permissions = make(**options)
    found = permissions.of(["alice"])
    assert reason in found.reason
    assert permissions.may("alice", "list", "runs") is None
    assert reviews(kubernetes_api) == []


def test_kfps_answers_are_learned_and_forgotten_after_a_minute(make, clock):
    permissions = make(cluster=False)
    permissions.learn("alice", "list", "runs", True)
    permissions.learn("alice", "create", "runs", False)
    assert permissions.may("alice", "list", "runs") is True
    assert permissions.may("alice", "create", "runs") is False
    assert permissions.may("alice", "delete", "runs") is None
    clock.now += 60
    assert permissions.may("alice", "list", "runs") is None


def test_kfps_answer_counts_for_more_than_a_review(make):
    permissions = make()
    permissions.learn("alice", "create", "runs", False)
    assert permissions.may("alice", "create", "runs") is False
    assert permissions.may("alice", "delete", "runs") is True


def test_a_list_is_tried_where_nothing_else_tells(make):
    tried = []

    def try_list(namespace, resource):
        tried.append((namespace, resource))
        return namespace == "alice"

    permissions = make(cluster=False, try_list=try_list)
    permissions.learn("known", "list", "runs", True)
    tables = permissions.of(["alice", "bob", "known"]).tables
    assert [tables[name]["runs"]["list"] for name in tables] == [True, False, True]
    assert sorted(tried) == [("alice", "runs"), ("bob", "runs")]
    permissions.of(["alice", "bob"])
    assert len(tried) == 2


def test_only_so_many_lists_are_tried_at_once(make):
    tried = []
    permissions = make(cluster=False, try_list=lambda name, _: tried.append(name))
    permissions.of([f"team-{number}" for number in range(50)])
    assert len(tried) == permissions_module.TRIES


def test_no_list_is_tried_where_reviews_tell(make):
    permissions = make(try_list=lambda *_: pytest.fail("it was tried"))
    assert permissions.may("bob", "list", "runs") is False


def test_an_api_that_hangs_costs_the_patience_and_no_more(make, kubernetes_api):
    permissions = make()
    permissions.of(["alice"])  # it is known who asks
    kubernetes_api.hanging.add("selfsubjectaccessreviews")
    before = len(reviews(kubernetes_api))
    begin = time.monotonic()
    found = permissions.of(["bob", "alice"], patience=0.3)
    assert time.monotonic() - begin < 30  # the API hangs for a minute
    assert found.tables["bob"]["runs"]["list"] is None
    assert found.tables["alice"]["runs"]["list"] is True
    wait_until(lambda: len(reviews(kubernetes_api)) == before + AT_ONCE)


def test_what_is_being_asked_is_not_asked_again(make, kubernetes_api, monkeypatch):
    permissions = make()
    permissions.of(["alice"])  # it is known who asks
    asked, may, go_on = [], Cluster.may, threading.Event()

    def slow_may(cluster, namespace, verb, resource, group):
        go_on.wait(60)
        asked.append((namespace, verb, resource))
        return may(cluster, namespace, verb, resource, group)

    monkeypatch.setattr(Cluster, "may", slow_may)
    for _ in range(3):
        assert permissions.of(["bob"], patience=0).tables["bob"]["runs"]["list"] is None
    go_on.set()
    assert permissions.of(["bob"], patience=60).tables["bob"]["runs"]["list"] is False
    assert len(asked) == len(set(asked)) == sum(map(len, VERBS.values()))


def test_an_api_that_is_gone_is_named_and_asked_no_more(in_pod, kubernetes_api, monkeypatch):
    files = in_pod()
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    cluster = Cluster.of_pod(files)
    permissions = Permissions(lambda: cluster, lambda: ALICE)
    found = permissions.of(["alice"])
    assert "no answer from Kubernetes" in found.reason
    assert found.tables["alice"]["runs"]["list"] is None
    permissions.close()


@pytest.mark.parametrize(
    "mistaken, told",
    [
        pytest.param("who", "itself (TypeError)", id="who is asking"),
        pytest.param("may", "did not answer every access review", id="a review"),
    ],
)
def test_a_mistake_is_no_permission_and_spoils_nothing(make, monkeypatch, caplog, mistaken, told):
    monkeypatch.setattr(Cluster, mistaken, lambda: "too few arguments")
    permissions = make(try_list=lambda namespace, resource: True)
    permitted = permissions.of(["alice"])
    assert permitted.tables["alice"]["runs"]["list"] is True
    assert permitted.tables["alice"]["runs"]["create"] is None
    assert told in permitted.reason
    assert caplog.text.count("Traceback") + caplog.text.count("TypeError") == 1


def test_a_list_that_cannot_be_tried_by_a_mistake_is_not_known(make):
    permissions = make(cluster=False, try_list=lambda: True)
    assert permissions.of(["alice"]).tables["alice"]["runs"]["list"] is None


def answers(view, adds, **learned):
    """A table with the same answer to each verb of a role, but for those of runs that are known."""
    table = {
        kind: dict.fromkeys(VIEWED[kind], view) | dict.fromkeys(EDIT_ADDS[kind], adds)
        for kind in VERBS
    }
    return {**table, "runs": table["runs"] | learned}


@pytest.mark.parametrize(
    "table, name",
    [
        pytest.param(answers(True, True), "edit", id="everything"),
        pytest.param(answers(True, False), "view", id="reading"),
        pytest.param(answers(True, False, create=True), "some", id="reading and a little more"),
        pytest.param(answers(True, True, readArtifact=False), "some", id="not quite everything"),
        pytest.param(answers(False, False), "none", id="nothing"),
        pytest.param(answers(None, None), "not known yet", id="not known"),
        pytest.param(
            answers(None, None, list=True), "view, as far as is known", id="a list was answered"
        ),
        pytest.param(
            answers(None, None, list=True, create=True),
            "edit, as far as is known",
            id="and something created",
        ),
        pytest.param(
            answers(None, None, list=False), "none, as far as is known", id="a list was refused"
        ),
    ],
)
def test_what_is_allowed_has_the_name_of_a_role(table, name):
    assert role(table) == name
