"""The local KFP tells what a caller may do, who owns a namespace, and who shares it."""

from contextlib import closing

import pytest

from jupyter_kfp_mt import kubeflow_roles
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.connection.local_cluster import LocalCluster
from jupyter_kfp_mt.credentials import TokenFile
from jupyter_kfp_mt.errors import Forbidden, KfpError
from jupyter_kfp_mt.namespaces.contributors import Contributor
from jupyter_kfp_mt.notebook import render

GROUP = "pipelines.kubeflow.org"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
PROFILES = "/apis/kubeflow.org/v1/profiles"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings"


def review(kfp, who, **attributes):
    attributes = {"verb": "list", "resource": "runs", "group": GROUP, **attributes}
    return kfp.post(REVIEWS, {"spec": {"resourceAttributes": attributes}}, who)


@pytest.fixture
def cluster_of(local_kfp):
    """The local KFP as it is asked in the place of Kubernetes."""
    clients = []

    def asked(who):
        clients.append(Client(local_kfp.endpoint, TokenFile(local_kfp.token_file(who))))
        return LocalCluster(clients[-1])

    yield asked
    for client in clients:
        client.close()


def table(verbs_of):
    return [(verb, resource) for resource, verbs in verbs_of.items() for verb in verbs]


@pytest.mark.parametrize("role, edits", [("editor", True), ("viewer", False)])
def test_every_right_of_kubeflows_roles_is_told_as_it_is(cluster_of, role, edits):
    cluster = cluster_of(f"alice/default-{role}")
    told = table(kubeflow_roles.VIEW)
    group = {"viewers": "kubeflow.org"}
    assert all(cluster.may("alice", verb, of, group.get(of, GROUP)) for verb, of in told)
    added = table(kubeflow_roles.EDIT_ADDS)
    assert {cluster.may("alice", verb, of, GROUP) for verb, of in added} == {edits}
    assert not any(cluster.may("kubeflow", *right, GROUP) for right in told + added)
    assert not cluster.may("alice", "list", "pods", "")


def test_an_answer_is_as_kubernetes_gives_it(local_kfp):
    answer = review(local_kfp, "alice/default-editor", namespace="alice")
    assert (answer.status_code, answer.json()) == (
        201,
        {
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": {
                "resourceAttributes": {
                    "namespace": "alice",
                    "verb": "list",
                    "group": GROUP,
                    "resource": "runs",
                }
            },
            "status": {"allowed": True},
        },
    )
    refused = review(local_kfp, "alice/default-editor", namespace="kubeflow")
    assert refused.json()["status"] == {"allowed": False}


@pytest.mark.parametrize("body", [None, [], {}, {"spec": {}}, {"spec": {"resourceAttributes": 1}}])
def test_a_question_that_is_none_is_refused(local_kfp, body):
    answer = local_kfp.post(REVIEWS, body)
    assert answer.status_code == 400 and "is no object of its kind" in answer.json()["message"]


@pytest.mark.parametrize("path", [PROFILES, BINDINGS.format("alice")])
def test_nobody_learns_of_roles_without_an_identity(local_kfp, path):
    assert local_kfp.get(path, "").status_code == 401
    assert review(local_kfp, "", namespace="alice").status_code == 401


@pytest.mark.parametrize(
    "who, known",
    [
        ("alice/default-editor", {"alice": "alice@example.com"}),
        ("users/bob@example.com", {"alice": "alice@example.com", "bob": "bob@example.com"}),
        ("users/admin@example.com", {"kubeflow": "admin@example.com"}),
    ],
)
def test_owners_are_told_to_those_who_have_a_role_there(cluster_of, who, known):
    assert {each.name: each.owner for each in cluster_of(who).profiles()} == known


@pytest.mark.parametrize("namespace", ["alice", "nowhere"])
def test_whoever_has_no_role_hears_the_same_of_a_namespace_of_others_and_of_none(
    local_kfp, cluster_of, namespace
):
    with pytest.raises(Forbidden, match=f"may not list rolebindings in namespace {namespace}"):
        cluster_of("users/admin@example.com").role_bindings(namespace)
    told = local_kfp.get(BINDINGS.format(namespace), "users/admin@example.com").text
    assert told.replace(namespace, "") == local_kfp.get(
        BINDINGS.format("other"), "users/admin@example.com"
    ).text.replace("other", "")
    answer = review(local_kfp, "users/admin@example.com", namespace=namespace)
    assert answer.json()["status"] == {"allowed": False}


def test_questions_are_not_logged_as_changes_are(local_kfp):
    review(local_kfp, "alice/default-editor", namespace="alice")
    assert f"{REVIEWS} 201" not in local_kfp.log.read_text()


# --- in cells -------------------------------------------------------------------------------------


@pytest.fixture
def kfp(shell, as_alice):
    """Return a function that runs `%kfp LINE` in a kernel without a Jupyter server."""
    return lambda line: shell.run_line_magic("kfp", line)


def test_namespaces_have_their_roles_and_owners(kfp):
    kfp("connect --as bob/default-editor")
    told = render.text(kfp("namespaces"))
    rows = [line.split("  ") for line in told.splitlines()]
    shown = {row[0]: [cell.strip() for cell in row[1:] if cell.strip()][:3] for row in rows}
    assert shown["bob (in use)"] == ["✓ yes", "edit", "bob@example.com"]
    assert shown["alice"] == ["✓ yes", "view", "alice@example.com"]
    assert shown["kubeflow"][:2] == ["✗ no", "none"]
    assert "not known" not in told and "admin@example.com" not in told


def test_contributors_are_listed_and_changed_in_their_file(kfp):
    assert list(kfp("contributors")) == [
        Contributor("alice@example.com", "owner"),
        Contributor("bob@example.com", "view"),
        Contributor("system:serviceaccount:bob:default-editor", "view"),
    ]
    with pytest.raises(KfpError) as refused:
        kfp("contributors --add carol@example.com --role view")
    assert 'contributors: {"carol@example.com": view}' in str(refused.value)
    with pytest.raises(KfpError, match="can remove bob@example.com from the contributors of alice"):
        kfp("contributors --remove bob@example.com")


def test_a_read_only_client_may_ask(local_kfp):
    token = TokenFile(local_kfp.token_file("alice/default-editor"))
    with closing(Client(local_kfp.endpoint, token, read_only=True)) as client:
        assert LocalCluster(client).may("alice", "create", "runs", GROUP)
