"""The Kubernetes API: what is asked of it, and what its refusals become."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import jwt
import pytest
import requests
from fakes.kubernetes_api import ALICE
from harness.waiting import wait_until

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.cluster import kubernetes_api as cluster_module
from jupyter_kfp_mt.cluster.kubernetes_api import Cluster
from jupyter_kfp_mt.credentials import renewal

PIPELINES = "pipelines.kubeflow.org"
BOB = "system:serviceaccount:bob:default-editor"


@pytest.fixture
def cluster(in_pod):
    found = Cluster.of_pod(in_pod())
    yield found
    found.close()


def test_a_token_is_asked_for_one_audience_and_comes_with_its_end(cluster):
    token, expires_at = cluster.request_token("alice", "default-editor", PIPELINES, 3600)
    found = jwt.decode(token, options={"verify_signature": False})
    assert (found["sub"], found["aud"]) == (ALICE, [PIPELINES])
    assert abs(expires_at - datetime.now(timezone.utc) - timedelta(hours=1)).total_seconds() < 10


def test_a_token_for_less_than_ten_minutes_is_refused_in_kubernetes_own_words(cluster):
    with pytest.raises(errors.BadRequest, match="may not specify a duration less than 10 minutes"):
        cluster.request_token("alice", "default-editor", PIPELINES, 60)


def test_an_unknown_service_account_is_not_found(cluster):
    with pytest.raises(errors.NotFound, match='serviceaccounts "nobody" not found'):
        cluster.request_token("alice", "nobody", PIPELINES, 3600)


def test_a_refusal_names_verb_resource_and_namespace_and_the_commands_that_cure_it(cluster):
    with pytest.raises(errors.Forbidden) as caught:
        cluster.request_token("bob", "default-editor", PIPELINES, 3600)
    assert f"{ALICE} may not create serviceaccounts/token in namespace bob" in str(caught.value)
    assert 'in the namespace "bob"' in caught.value.server_text
    assert caught.value.cure.splitlines()[1:] == [
        "kubectl create role kfp-mt-create-serviceaccounts-token -n bob --verb=create "
        "--resource=serviceaccounts/token",
        "kubectl create rolebinding kfp-mt-create-serviceaccounts-token-system-serviceaccount-"
        "alice-default-editor -n bob --role=kfp-mt-create-serviceaccounts-token "
        "--serviceaccount=alice:default-editor",
    ]


def test_what_is_refused_in_the_whole_cluster_is_cured_there(cluster):
    with pytest.raises(errors.Forbidden, match="may not list profiles in the whole") as caught:
        cluster.profiles()
    assert "kubectl create clusterrole kfp-mt-list-profiles --verb=list" in caught.value.cure
    assert "--resource=profiles.kubeflow.org" in caught.value.cure
    assert "kubectl create clusterrolebinding" in caught.value.cure


@pytest.mark.parametrize(
    "namespace, verb, resource, group, allowed",
    [
        pytest.param("alice", "terminate", "runs", PIPELINES, True, id="its own"),
        pytest.param("bob", "list", "runs", PIPELINES, False, id="another's"),
        pytest.param("alice", "create", "serviceaccounts/token", "", True, id="a subresource"),
        pytest.param("alice", "create", "serviceaccounts", "", False, id="not the whole"),
        pytest.param("alice", "create", "pods", "", False, id="another verb"),
    ],
)
def test_a_review_says_what_this_identity_may(cluster, namespace, verb, resource, group, allowed):
    assert cluster.may(namespace, verb, resource, group) is allowed


def test_where_reviews_are_forbidden_it_is_not_known_what_one_may(cluster, kubernetes_api):
    kubernetes_api.without_reviews(ALICE)
    assert cluster.may("alice", "list", "runs", PIPELINES) is None


@pytest.mark.parametrize("told", [True, False], ids=["by Kubernetes", "by the token"])
def test_it_knows_who_it_is(cluster, kubernetes_api, told):
    kubernetes_api.reviews_people = told
    assert cluster.who() == ALICE


def test_profiles_come_with_their_owners_over_any_number_of_pages(cluster, kubernetes_api):
    kubernetes_api.allow(ALICE, "list", "profiles", group="kubeflow.org")
    for number in range(cluster_module.LONGEST_PAGE):
        kubernetes_api.add(
            "profiles", f"team-{number}", spec={"owner": {"kind": "User", "name": "x"}}
        )
    owners = {profile.name: profile.owner for profile in cluster.profiles()}
    assert len(owners) == cluster_module.LONGEST_PAGE + 2
    assert owners["bob"] == "bob@example.com"


def test_role_bindings_are_listed_in_one_namespace_or_in_all(cluster, kubernetes_api):
    group = "rbac.authorization.k8s.io"
    kubernetes_api.allow(ALICE, "list", "rolebindings", "alice", group)
    with pytest.raises(errors.Forbidden):
        cluster.role_bindings()
    found = {binding.role: binding.users for binding in cluster.role_bindings("alice")}
    assert found["kubeflow-edit"] == {ALICE}
    assert found["kubeflow-admin"] == {"alice@example.com"}
    kubernetes_api.allow(ALICE, "list", "rolebindings", "", group)
    assert {binding.namespace for binding in cluster.role_bindings()} == {"alice", "bob"}


def test_pods_are_found_by_label_and_by_name(cluster, kubernetes_api):
    kubernetes_api.add_pod("train", "alice", {"run": "7"}, containers=("main", "wait"))
    kubernetes_api.add_pod("other", "alice", {"run": "8"})
    (pod,) = cluster.pods("alice", "run=7")
    assert (pod.name, pod.phase) == ("train", "Running")
    assert [container.name for container in pod.spec.containers] == ["main", "wait"]
    assert cluster.pod("alice", "train") == pod
    with pytest.raises(errors.NotFound, match='pods "gone" not found'):
        cluster.pod("alice", "gone")


@pytest.mark.parametrize("name", ["..", ".", "a/b", "a?b", "%2e%2e", "a\r\nb", "-", " "])
def test_a_name_leads_to_no_other_path(cluster, kubernetes_api, name):
    with pytest.raises(errors.BadRequest, match="is not a valid name in Kubernetes"):
        cluster.pod("alice", name)
    with pytest.raises(errors.BadRequest, match="is not a valid name in Kubernetes"):
        cluster.pods(name)
    assert kubernetes_api.asked == []


def test_events_are_those_of_one_pod(cluster, kubernetes_api):
    about = {"kind": "Pod", "name": "train"}
    said = {"reason": "BackOff", "message": "Back-off pulling image", "type": "Warning"}
    kubernetes_api.add("events", "e1", "alice", involvedObject=about, **said)
    kubernetes_api.add("events", "e2", "alice", involvedObject={"name": "other"}, reason="Started")
    (event,) = cluster.pod_events("alice", "train")
    assert (event.reason, event.type) == ("BackOff", "Warning")


def written(api, *lines, pod="train", container="main", **options):
    log = api.logs["alice", pod, container]
    log.write(*lines, **options)
    return log


def test_a_log_is_read_whole_from_its_tail_or_since_a_moment(cluster, kubernetes_api):
    kubernetes_api.add_pod("train", "alice")
    hour_ago = datetime.now(timezone.utc) - timedelta(hours=1)
    written(kubernetes_api, "one", "two", at=hour_ago)
    written(kubernetes_api, "three", "")
    assert list(cluster.pod_log("alice", "train")) == [b"one\n", b"two\n", b"three\n", b"\n"]
    assert list(cluster.pod_log("alice", "train", tail_lines=1)) == [b"\n"]
    since = hour_ago + timedelta(minutes=1)
    assert list(cluster.pod_log("alice", "train", since=since)) == [b"three\n", b"\n"]


def test_a_log_is_followed_to_its_end(cluster, kubernetes_api):
    kubernetes_api.add_pod("train", "alice")
    log = written(kubernetes_api, "one")
    lines = iter(cluster.pod_log("alice", "train", follow=True))
    assert next(lines) == b"one\n"
    log.write("two")
    assert next(lines) == b"two\n"
    log.end()
    assert list(lines) == []


def test_a_followed_log_ends_when_it_is_closed_elsewhere(cluster, kubernetes_api):
    kubernetes_api.add_pod("train", "alice")
    written(kubernetes_api, "one")
    log = cluster.pod_log("alice", "train", follow=True)
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(log))
    reader.start()
    wait_until(lambda: seen == [b"one\n"] or None, what="the first line")
    log.close()
    reader.join(60)
    assert not reader.is_alive()


@pytest.mark.parametrize(
    "container, phase, text",
    [
        pytest.param("", "Running", r"choose one of: \[main wait\]", id="two and none chosen"),
        pytest.param("x", "Running", "container x is not valid for pod train", id="not there"),
        pytest.param("main", "Pending", "is waiting to start: ContainerCreating", id="too early"),
    ],
)
def test_why_there_is_no_log_is_said(cluster, kubernetes_api, container, phase, text):
    kubernetes_api.add_pod("train", "alice", containers=("main", "wait"), phase=phase)
    with pytest.raises(errors.BadRequest, match=text):
        list(cluster.pod_log("alice", "train", container))


def test_an_expired_token_is_told_and_a_replaced_one_is_used(in_pod, kubernetes_api):
    files = in_pod()
    cluster = Cluster.of_pod(files)
    (files / "token").write_text(kubernetes_api.token(ALICE, seconds=-1))
    with pytest.raises(errors.Unauthenticated, match="does not know who is asking"):
        cluster.who()
    (files / "token").write_text(kubernetes_api.token(ALICE) + "\n")
    assert cluster.who() == ALICE
    cluster.close()


def test_a_cluster_whose_clock_is_ahead_finds_the_token_expired(cluster, kubernetes_api):
    kubernetes_api.clock = 2 * 3600
    with pytest.raises(errors.Unauthenticated, match="does not know who is asking"):
        cluster.pods("alice")


@pytest.mark.parametrize("before", ["https://me:s3cret@", "me:s3cret@", "https:/me:s3cret@"])
def test_a_password_in_a_servers_address_is_refused_and_not_shown(kubernetes_api, before):
    path = kubernetes_api.kubeconfig(ALICE)
    path.write_text(path.read_text().replace("https://", before))
    with pytest.raises(errors.Misconfigured, match="a password in the address") as caught:
        Cluster.of_kubeconfig(str(path))
    assert "s3cret" not in str(caught.value)


def test_a_plugin_of_a_kubeconfig_is_run_again_before_its_token_ends(
    kubernetes_api, tmp_path, monkeypatch
):
    monkeypatch.setattr(renewal, "LIFE_USED", 0)  # it is to be renewed at once
    monkeypatch.setattr(renewal, "LEAST", timedelta())
    current = tmp_path / "current"
    current.write_text(kubernetes_api.token(ALICE))
    code = (
        "import json; print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', "
        f"'status': {{'token': open({str(current)!r}).read()}}}}))"
    )
    version = "client.authentication.k8s.io/v1"
    plugin = {"command": sys.executable, "args": ["-c", code], "apiVersion": version}
    cluster = Cluster.of_kubeconfig(str(kubernetes_api.kubeconfig(ALICE, exec=plugin)))
    assert cluster.who() == ALICE
    current.write_text(kubernetes_api.token(BOB))
    assert cluster.who() == BOB
    cluster.close()


def test_a_token_of_another_audience_is_not_accepted(in_pod, kubernetes_api):
    files = in_pod()
    (files / "token").write_text(kubernetes_api.token(ALICE, audience=PIPELINES))
    with pytest.raises(errors.Unauthenticated):
        Cluster.of_pod(files).pods("alice")


def test_a_token_that_no_header_can_hold_is_not_told(in_pod):
    files = in_pod()
    (files / "token").write_text("first-secret\nsecond-secret")
    with pytest.raises(errors.Misconfigured) as caught:
        Cluster.of_pod(files).who()
    assert "secret" not in str(caught.value).replace("secrets/", "")
    assert caught.value.__cause__ is None


def test_no_token_is_in_a_repr_or_a_log(cluster, in_pod, caplog):
    caplog.set_level("DEBUG")
    token, _ = cluster.request_token("alice", "default-editor", PIPELINES, 3600)
    own = cluster._api.authorization().rpartition(" ")[2]
    assert repr(cluster).startswith("Cluster('https://127.0.0.1:")
    shown = repr(cluster) + repr(cluster.__dict__) + repr(cluster._api.__dict__)
    for secret in (token, own):
        assert secret not in shown + caplog.text


def test_a_kubeconfig_leads_to_its_current_context_or_the_one_that_is_named(kubernetes_api):
    path = str(kubernetes_api.kubeconfig(ALICE))
    assert Cluster.of_kubeconfig(path).who() == ALICE
    with pytest.raises(errors.Forbidden, match="system:anonymous may not list pods"):
        Cluster.of_kubeconfig(path, "nobody").pods("alice")
    with pytest.raises(errors.Misconfigured, match="cannot be used") as caught:
        Cluster.of_kubeconfig(path, "nowhere")
    assert "kubectl config get-contexts" in caught.value.cure


def test_a_client_certificate_is_an_identity_too(kubernetes_api):
    certificate, key = kubernetes_api.certificates.client("carol@example.com")
    files = {"client-certificate": str(certificate), "client-key": str(key)}
    assert (
        Cluster.of_kubeconfig(str(kubernetes_api.kubeconfig("", **files))).who()
        == "carol@example.com"
    )


@pytest.mark.parametrize("content", [None, "", "{", "clusters: 7", "- a", "token: [\x00"])
def test_a_file_that_is_no_kubeconfig_is_a_sentence(tmp_path, content):
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(errors.Misconfigured, match="cannot be used"):
        Cluster.of_kubeconfig(str(path))


def test_outside_a_pod_it_is_said_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(errors.Misconfigured, match="no KUBERNETES_SERVICE_HOST"):
        Cluster.of_pod(tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(errors.Misconfigured, match="there is no .*token"):
        Cluster.of_pod(tmp_path)


def test_a_server_that_hangs_is_given_up(cluster, kubernetes_api):
    cluster.patience = 0.2
    kubernetes_api.hanging.add("/pods")
    with pytest.raises(errors.Unreachable, match="no answer from Kubernetes") as caught:
        cluster.pods("alice")
    assert caught.value.cause == "It did not answer in 0.2 s."
    assert len([asked for asked in kubernetes_api.asked if "/pods" in asked.path]) == 1


def test_a_server_that_is_gone_is_unreachable(in_pod, kubernetes_api, monkeypatch):
    files = in_pod()
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    with pytest.raises(errors.Unreachable) as caught:
        Cluster.of_pod(files).who()
    assert caught.value.cause == "Nothing listens there, or the connection was refused."


def test_another_authoritys_server_is_not_believed(in_pod, tmp_path):
    from fakes.kubernetes_api import Certificates

    files = in_pod()
    other = tmp_path / "other"
    other.mkdir()
    (files / "ca.crt").write_bytes(Certificates(other).authority.read_bytes())
    with pytest.raises(errors.Unreachable, match="its certificate is not trusted") as caught:
        Cluster.of_pod(files).who()
    assert "the cluster has a new authority" in caught.value.cure


def test_many_threads_share_one_cluster(cluster):
    verbs = ["get", "list", "nothing"] * 40
    with ThreadPoolExecutor(16) as threads:
        asked = [threads.submit(cluster.may, "alice", verb, "runs", PIPELINES) for verb in verbs]
        assert [each.result() for each in asked] == [True, True, False] * 40


def test_the_service_proxy_forwards_without_the_identity(kubernetes_api, local_kfp):
    kubernetes_api.services["kubeflow/http:ml-pipeline:8888"] = local_kfp.endpoint
    kubernetes_api.allow(ALICE, "get", "services/proxy", "kubeflow")
    path = "/api/v1/namespaces/kubeflow/services/http:ml-pipeline:8888/proxy/apis/v2beta1/"
    options = {
        "headers": {"Authorization": f"Bearer {kubernetes_api.token(ALICE)}"},
        "verify": str(kubernetes_api.certificates.authority),
    }
    url = kubernetes_api.endpoint + path
    assert requests.get(url + "healthz", **options).json()["multi_user"] is True
    refused = requests.get(url + "experiments?namespace=alice", **options)
    assert refused.status_code == 401
    assert "there is no user identity header" in refused.text
