"""The namespaces one may use, and who shares them: a real server before KFP, Kubernetes, kfam."""

import json
import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import yaml
from fakes.guarded_kfp import Answer, GuardedKfp
from fakes.kubernetes_api import ALICE, VIEW
from harness.paths import ROOT
from tornado.httpclient import HTTPClientError
from tornado.httputil import HTTPHeaders

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.answer_cache import AnswerCache
from jupyter_kfp_mt.cluster import access_manifests
from jupyter_kfp_mt.cluster import kfam as kfam_module
from jupyter_kfp_mt.cluster.kfam import Kfam
from jupyter_kfp_mt.cluster.kubernetes_api import Cluster
from jupyter_kfp_mt.connection.door_client import Door
from jupyter_kfp_mt.connection.status import ConnectionStatus
from jupyter_kfp_mt.extension.caller_namespaces import CallerNamespaces, told
from jupyter_kfp_mt.extension.upstream import Upstream
from jupyter_kfp_mt.namespaces.contributors import Contributors
from jupyter_kfp_mt.namespaces.list_namespaces import (
    Namespaces,
    named,
    of_kfam,
    of_profiles,
    of_role_bindings,
)
from jupyter_kfp_mt.namespaces.namespace_source import DirectNamespaceSource
from jupyter_kfp_mt.namespaces.permissions import FULLY_REVIEWED, Permissions
from jupyter_kfp_mt.namespaces.permissions import role as role_of
from jupyter_kfp_mt.namespaces.recent_namespaces import LONGEST, UsedNamespaces
from jupyter_kfp_mt.settings import Kfp


@pytest.fixture
def jp_server_config(server_in_pod):
    return server_in_pod


@pytest.fixture
def namespaces_of(jp_fetch):
    async def namespaces_of():
        answer = json.loads((await jp_fetch("kfp-mt", "namespaces")).body)
        by_name = {each["name"]: each for each in answer["namespaces"]}
        return by_name, {each["name"]: each for each in answer["sources"]}, answer

    return namespaces_of


async def refused(fetching):
    with pytest.raises(HTTPClientError) as error:
        await fetching
    return error.value.code, json.loads(error.value.response.body)


# --- which there are ------------------------------------------------------------------------------


async def test_every_source_is_heard_and_named(namespaces_of, kubernetes_api, kfam):
    kubernetes_api.allow(ALICE, "list", "profiles", group="kubeflow.org")
    kubernetes_api.bind(
        "shared",
        "team",
        {"kind": "ServiceAccount", "name": "default-editor", "namespace": "alice"},
        "x",
    )
    kubernetes_api.allow(ALICE, "list", "rolebindings", group="rbac.authorization.k8s.io")
    kfam.bindings["club", "alice@example.com", "edit"] = {
        "kind": "User",
        "name": "alice@example.com",
    }
    found, sources, _ = await namespaces_of()
    learned = {name: each["sources"] for name, each in found.items()}
    assert learned == {
        "alice": ["configuration", "pod", "profiles", "role bindings", "kfam"],
        "bob": ["profiles"],
        "team": ["role bindings"],
        "club": ["kfam"],
    }
    assert {name: each["found"] for name, each in sources.items()} == {
        "configuration": 1,
        "pod": 1,
        "profiles": 2,
        "role bindings": 2,
        "kfam": 2,
        "used before": 0,
    }


async def test_each_comes_with_its_permissions_and_why_it_cannot_be_used(
    namespaces_of, kubernetes_api
):
    kubernetes_api.allow(ALICE, "list", "profiles", group="kubeflow.org")
    found, _, answer = await namespaces_of()
    assert list(found) == ["alice", "bob"]
    assert (found["alice"]["usable"], found["bob"]["usable"]) == (True, False)
    assert found["alice"]["permissions"]["runs"]["terminate"] is True
    assert found["bob"]["permissions"]["runs"]["terminate"] is False
    assert found["bob"]["reason"] == f"{ALICE} may not list runs in bob; role view is needed."
    assert "bob@example.com, its owner, or an administrator" in found["bob"]["cure"]
    assert "--clusterrole=kubeflow-pipelines-view" in found["bob"]["cure"]
    assert answer["unknown"] == ""


async def test_a_source_that_refuses_is_named_with_its_reason_and_cure(namespaces_of, kfam):
    kfam.istio_allows = False
    found, sources, _ = await namespaces_of()
    assert list(found) == ["alice"]
    assert "may not list profiles in the whole cluster" in sources["profiles"]["problem"]["message"]
    assert "kubectl create clusterrolebinding" in sources["profiles"]["problem"]["cure"]
    assert "only the Kubeflow dashboard" in sources["kfam"]["problem"]["cause"]
    assert sources["pod"]["problem"] is None


async def test_where_reviews_are_refused_kfp_itself_is_tried(
    namespaces_of, kubernetes_api, cluster_kfp
):
    kubernetes_api.without_reviews(ALICE)
    kubernetes_api.allow(ALICE, "list", "profiles", group="kubeflow.org")
    found, _, answer = await namespaces_of()
    assert (found["alice"]["usable"], found["bob"]["usable"]) == (True, False)
    assert found["alice"]["permissions"]["runs"]["terminate"] is None
    assert "did not answer every access review" in answer["unknown"]
    tried = [path for path in cluster_kfp.asked if "page_size=1" in path]
    assert len(tried) == 2
    await namespaces_of()
    assert [path for path in cluster_kfp.asked if "page_size=1" in path] == tried


async def test_what_kfp_answered_is_remembered_and_its_namespace_too(
    namespaces_of, jp_serverapp, kubernetes_api
):
    await namespaces_of()
    tenants = jp_serverapp.web_app.settings["kfp_mt"].tenants
    tenants.heard("GET", "/apis/v2beta1/runs", [("namespace", "team")], 200, b"{}")
    found, sources, _ = await namespaces_of()
    assert found["team"]["sources"] == ["used before"]
    assert found["team"]["permissions"]["runs"]["list"] is True


async def test_a_namespace_that_is_asked_for_is_told_of_though_no_source_names_it(
    jp_fetch, kubernetes_api
):
    kubernetes_api.allow_role(ALICE, VIEW, "team")
    found = await jp_fetch("kfp-mt", "namespaces", params={"namespace": "team"})
    told = {each["name"]: each for each in json.loads(found.body)["namespaces"]}
    assert (told["team"]["usable"], told["team"]["sources"]) == (True, [])
    assert told["team"]["permissions"]["runs"]["create"] is False
    code, body = await refused(jp_fetch("kfp-mt", "namespaces", params={"namespace": "No_Name"}))
    assert (code, body["message"]) == (400, "'No_Name' is not the name of a namespace.")


def test_of_many_namespaces_the_one_that_is_asked_for_is_looked_at_whole(in_pod, kubernetes_api):
    cluster = Cluster.of_pod(in_pod())
    permissions = Permissions(lambda: cluster, lambda: ALICE)
    many = [f"team-{number:02}" for number in range(FULLY_REVIEWED + 5)]
    namespaces = Namespaces({"some": lambda: named(many)}, permissions)
    whole = {each.name: each for each in namespaces.found(ALICE, wanted=many[-1]).namespaces}
    assert whole[many[-1]].permissions["runs"]["create"] is False
    assert whole[many[-2]].permissions["runs"]["create"] is None
    namespaces.close()
    permissions.close()


async def test_a_kfp_for_a_single_user_has_no_namespaces(namespaces_of, cluster_kfp):
    cluster_kfp.single_user = True
    found, _, answer = await namespaces_of()
    assert found == {}
    assert "serves a single user" in answer["unknown"]
    # The sidebar says the same.
    assert answer["unknown"] in (ROOT / "labextension/src/panel/sidebar.tsx").read_text()


async def test_a_kfp_that_does_not_answer_is_said(jp_fetch, cluster_kfp):
    cluster_kfp.shutdown()
    cluster_kfp.server_close()
    code, body = await refused(jp_fetch("kfp-mt", "namespaces"))
    assert (code, body["kind"]) == (502, "Unreachable")


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_nobody_changes_contributors_without_being_signed_in(
    jp_base_url, http_server_client, kfam, method
):
    url = f"{jp_base_url}kfp-mt/contributors?namespace=alice&user=carol@example.com&role=edit"
    options = {"method": method, "allow_nonstandard_methods": True, "headers": dict(OWNER)}
    with pytest.raises(HTTPClientError) as error:
        await http_server_client.fetch(url, **options)
    assert error.value.code == 403
    assert kfam.asked == []


async def test_nobody_is_told_without_being_signed_in(jp_fetch, jp_base_url, http_server_client):
    for path in ("kfp-mt/namespaces", "kfp-mt/contributors?namespace=alice"):
        with pytest.raises(HTTPClientError) as error:
            await http_server_client.fetch(f"{jp_base_url}{path}")
        assert error.value.code == 403


async def test_the_local_kfps_own_profiles_are_known_and_tried(local_kfp, monkeypatch):
    for name in ("KUBERNETES_SERVICE_HOST", "KFP_MT_ENDPOINT", "KF_PIPELINES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KFP_MT_DATA", str(local_kfp.data))
    settings = Kfp(namespace="alice")
    upstream = Upstream(settings)
    tenants = CallerNamespaces(settings, upstream)
    found = {each.name: each for each in (await tenants.found()).namespaces}
    assert {name: each.usable for name, each in found.items()} == {
        "alice": True,
        "bob": False,
        "kubeflow": False,
    }
    assert found["alice"].sources == ["configuration", "profiles", "local KFP"]
    assert {name: each.owner for name, each in found.items()} == {
        "alice": "alice@example.com",
        "bob": "",
        "kubeflow": "",
    }
    assert {role_of(each.permissions) for each in found.values()} == {"edit", "none"}
    assert (await tenants.found()).unknown == ""
    assert found["bob"].cure.splitlines()[1:] == [
        "- namespace: bob",
        f'  contributors: {{"{ALICE}": view}}',
    ]
    shared = await tenants.contributors("alice", lambda those: those.all())
    assert [each.role for each in shared] == ["owner", "view", "view"]
    with pytest.raises(errors.BadRequest, match="can only be changed in its profiles file"):
        await tenants.contributors("alice", lambda those: those.add("a@example.com", "edit"))
    with pytest.raises(errors.Forbidden, match="may not list rolebindings in namespace bob"):
        await tenants.contributors("bob", lambda those: those.all())
    tenants.close()
    await upstream.close()


def test_those_that_may_be_used_come_first_and_those_that_may_not_last():
    permissions = Permissions(lambda: None, lambda: "")
    permissions.learn("never", "list", "runs", False)
    permissions.learn("yes", "list", "runs", True)
    namespaces = Namespaces({"some": lambda: named(["never", "maybe", "yes"])}, permissions)
    assert [each.name for each in namespaces.found().namespaces] == ["yes", "maybe", "never"]
    namespaces.close()
    permissions.close()


# --- sources that misbehave -----------------------------------------------------------------------


def test_a_source_that_hangs_delays_no_other_and_is_named(in_pod, kubernetes_api, kfam):
    cluster = Cluster.of_pod(in_pod())
    kubernetes_api.allow(ALICE, "list", "profiles", group="kubeflow.org")
    kfam.hanging = True
    service = Kfam(kfam.endpoint)
    sources = {
        "profiles": lambda: of_profiles(cluster),
        "kfam": lambda: of_kfam(service, "alice", ALICE),
    }
    permissions = Permissions(lambda: cluster, lambda: ALICE)
    namespaces = Namespaces(sources, permissions, patience=1.5)
    begin = time.monotonic()
    found = namespaces.found(ALICE)
    assert time.monotonic() - begin < 30  # kfam hangs for a minute
    assert {each.name for each in found.namespaces} == {"alice", "bob"}
    problems = {source.name: source.problem for source in found.sources}
    assert problems["profiles"] is None
    assert problems["kfam"].message == "No answer in 1.5 s."
    namespaces.close()
    permissions.close()


def test_a_mistake_in_one_source_hides_no_other_and_is_logged_once(caplog):
    token = "s3cret"

    def mistaken():
        raise AttributeError(token)

    permissions = Permissions(lambda: None, lambda: "")
    sources = {"mistaken": mistaken, "some": lambda: named(["alice"])}
    namespaces = Namespaces(sources, permissions)
    found = [namespaces.found() for _ in range(3)][-1]
    assert [each.name for each in found.namespaces] == ["alice"]
    assert "itself (AttributeError)" in found.sources[0].problem.message
    assert caplog.text.count("in mistaken") == 1
    assert "s3cret" not in caplog.text + str(found)
    for each in (namespaces, permissions):
        each.close()


def test_a_source_that_hangs_is_not_asked_again_meanwhile():
    release, asked = threading.Event(), []

    def hang():
        asked.append(1)
        release.wait(30)
        return named(["late"])

    permissions = Permissions(lambda: None, lambda: "")
    namespaces = Namespaces({"slow": hang}, permissions, patience=0.05)
    assert [namespaces.found().namespaces for _ in range(3)] == [[], [], []]
    assert len(asked) == 1
    release.set()
    patient = Namespaces({"slow": hang}, permissions, patience=10)
    assert [each.name for each in patient.found().namespaces] == ["late"]
    for each in (namespaces, patient, permissions):
        each.close()


def test_an_answer_that_is_old_or_an_error_is_asked_for_again():
    now, said = [0.0], iter([errors.NotFound("no"), "one", "two"])

    def ask(_):
        found = next(said)
        if isinstance(found, Exception):
            raise found
        return found

    answers = AnswerCache(ask, seconds=60, clock=lambda: now[0])
    assert isinstance(answers.to(["?"], 10)["?"].exception(), errors.NotFound)
    assert answers.to(["?"], 10)["?"].result() == "one"
    assert answers.to(["?"], 10)["?"].result() == "one"
    now[0] = 60.0
    assert answers.to(["?"], 10)["?"].result() == "two"
    answers.close()


def test_questions_that_wait_when_all_is_closed_are_answered_with_an_error():
    asked, go_on = threading.Event(), threading.Event()

    def ask(question):
        asked.set()
        assert go_on.wait(30)
        return question

    answers = AnswerCache(ask, threads=1)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(answers.to, ["first", "second"], 30)
        assert asked.wait(30)
        answers.close()
        go_on.set()
        found = waiting.result(20)
    assert found["first"].result() == "first"
    for late in (found["second"], answers.to(["third"], 30)["third"]):
        assert isinstance(late.exception(), errors.KfpError)


def test_role_bindings_count_where_this_identity_is_bound(in_pod, kubernetes_api):
    kubernetes_api.allow(ALICE, "list", "rolebindings", group="rbac.authorization.k8s.io")
    kubernetes_api.bind("as-user", "team", {"kind": "User", "name": ALICE}, "kubeflow-view")
    assert set(of_role_bindings(Cluster.of_pod(in_pod()), ALICE)) == {"alice", "team"}


def test_used_namespaces_are_kept_by_endpoint_newest_first_and_not_for_ever(tmp_path):
    used = UsedNamespaces(tmp_path / "deep" / "used.json")
    assert used.of("http://kfp") == []
    for number in range(LONGEST + 5):
        used.add("http://kfp", f"team-{number}")
    used.close()
    again = UsedNamespaces(tmp_path / "deep" / "used.json")
    assert again.of("http://kfp") == [f"team-{number}" for number in range(LONGEST + 4, 4, -1)]
    assert again.of("http://other") == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"http://kfp": 7}', b"\xff"])
def test_a_damaged_file_of_used_namespaces_is_replaced(tmp_path, content):
    path = tmp_path / "used.json"
    path.write_bytes(content)
    used = UsedNamespaces(path)
    used.add("http://kfp", "team")
    assert used.of("http://kfp") == ["team"]


def test_a_slow_disk_holds_nobody_up_and_what_was_used_last_is_kept(tmp_path):
    path = tmp_path / "used.json"
    os.mkfifo(path)  # whoever reads it waits until somebody writes
    used = UsedNamespaces(path)
    adding = threading.Thread(target=used.add, args=("http://kfp", "alice"))
    adding.start()
    adding.join(60)
    held_up = adding.is_alive()
    path.write_bytes(b"{}")
    used.close()
    assert not held_up
    assert UsedNamespaces(path).of("http://kfp") == ["alice"]


def test_a_server_that_stops_keeps_what_was_used_last(tmp_path):
    path = tmp_path / "used-namespaces.json"
    os.mkfifo(path)
    settings = Kfp(data=str(tmp_path))
    tenants = CallerNamespaces(settings, Upstream(settings))
    tenants._known = DirectNamespaceSource(
        settings, ConnectionStatus(""), tenants._used, lambda namespace, resource: None
    )
    tenants.heard("GET", "/apis/v2beta1/runs", [("namespace", "alice")], 200, b"{}")
    closing = threading.Thread(target=tenants.close)
    closing.start()
    closing.join(0.2)
    waits = closing.is_alive()
    path.write_bytes(b"{}")
    closing.join(60)
    assert waits and not closing.is_alive()
    assert UsedNamespaces(path).of("") == ["alice"]


DENIED = (
    "User 'x' is not authorized with reason:  (request: &ResourceAttributes{Namespace:bob,"
    "Verb:create,Group:pipelines.kubeflow.org,Version:v1beta1,Resource:runs,Subresource:,Name:,})"
)


@pytest.mark.parametrize(
    "request_, known",
    [
        pytest.param(
            ("GET", "/apis/v2beta1/runs", {"namespace": "alice"}, 200, b"{}"),
            ("alice", "list", "runs", True),
            id="a list",
        ),
        pytest.param(
            ("GET", "/apis/v2beta1/recurringruns", {"namespace": "alice"}, 200, b"{}"),
            ("alice", "list", "jobs", True),
            id="recurring runs are jobs",
        ),
        pytest.param(
            ("POST", "/apis/v2beta1/runs", {}, 403, json.dumps({"message": DENIED}).encode()),
            ("bob", "create", "runs", False),
            id="a refusal names what it refuses",
        ),
        pytest.param(
            ("GET", "/apis/v2beta1/runs", {"namespace": "alice"}, 403, b"RBAC: access denied"),
            None,
            id="Istio's refusal is no role's",
        ),
        pytest.param(
            ("GET", "/apis/v2beta1/runs", {"namespace": "a", "experiment_id": "7"}, 200, b"{}"),
            None,
            id="the experiment's namespace counts",
        ),
        pytest.param(("GET", "/apis/v2beta1/pipelines", {}, 200, b"{}"), None, id="shared"),
    ],
)
def test_an_answer_tells_what_is_allowed(request_, known):
    assert told(*request_) == known


# --- who shares them ------------------------------------------------------------------------------


OWNER = {access_manifests.USER_HEADER: "alice@example.com"}


async def changed(jp_fetch, method, user, role="edit", headers=OWNER, namespace="alice"):
    params = {"namespace": namespace, "user": user, "role": role}
    options = {"allow_nonstandard_methods": True, "headers": HTTPHeaders(headers), "params": params}
    return await jp_fetch("kfp-mt", "contributors", method=method, **options)


async def contributors(jp_fetch, **params):
    found = await jp_fetch("kfp-mt", "contributors", params=params)
    return [(each["user"], each["role"]) for each in json.loads(found.body)["contributors"]]


async def test_a_change_leaves_a_line_that_says_who_did_what_for_whom(jp_fetch, caplog):
    with caplog.at_level(logging.INFO):
        await changed(jp_fetch, "POST", "carol@example.com", "view", namespace="")
    line = "'alice@example.com': add a contributor, carol@example.com as view in alice"
    assert [text for text in caplog.messages if line in text]


async def test_for_reading_only_no_contributor_is_changed(jp_fetch, kfam, monkeypatch):
    monkeypatch.setenv("KFP_MT_READ_ONLY", "1")
    for method in ("POST", "DELETE"):
        code, body = await refused(changed(jp_fetch, method, "alice@example.com", "edit"))
        assert (code, body["kind"]) == (403, "Forbidden")
        assert "for reading only" in body["message"]
    assert await contributors(jp_fetch) == [("alice@example.com", "owner")]
    assert {asked.method for asked in kfam.asked} == {"GET"}


async def test_the_owner_adds_and_removes_contributors(jp_fetch):
    owner = ("alice@example.com", "owner")
    assert await contributors(jp_fetch) == [owner]
    await changed(jp_fetch, "POST", "carol@example.com", "view")
    found = await contributors(jp_fetch, namespace="alice")
    assert found == [owner, ("carol@example.com", "view")]
    await changed(jp_fetch, "DELETE", "carol@example.com", "view")
    assert await contributors(jp_fetch) == [owner]


@pytest.mark.parametrize(
    "headers, cause",
    [
        pytest.param({}, "Only a namespace's owner can change", id="nobody is signed in"),
        pytest.param(
            {access_manifests.USER_HEADER: "bob@example.com"},
            "bob@example.com is not the owner of that namespace.",
            id="somebody else",
        ),
    ],
)
async def test_nobody_else_changes_them_and_the_manifests_are_given(jp_fetch, kfam, headers, cause):
    before = dict(kfam.bindings)
    code, body = await refused(changed(jp_fetch, "POST", "carol@example.com", headers=headers))
    assert (code, kfam.bindings) == (403, before)
    assert cause in body["cause"]
    command, written = body["cure"].splitlines()[1], body["cure"].partition("'END'\n")[2]
    assert command == "kubectl apply -f - <<'END'"
    written = list(yaml.safe_load_all(written.removesuffix("END")))
    assert [each["kind"] for each in written] == ["RoleBinding", "AuthorizationPolicy"]
    assert {each["metadata"]["name"] for each in written} == {
        "user-carol-example-com-clusterrole-edit"
    }


class TestElsewhereThanBehindKubeflowsGateway:
    """Whoever is signed in can write the header."""

    @pytest.fixture(params=["by default", "JUPYTERHUB_API_URL", "JUPYTERHUB_SERVICE_URL"])
    def jp_server_config(self, server_in_pod, request, monkeypatch):
        if request.param == "by default":
            del server_in_pod["Kfp"]["behind_kubeflow_gateway"]
        else:
            monkeypatch.setenv(request.param, "http://127.0.0.1:8081/hub/api")
        monkeypatch.setenv("NB_PREFIX", "/notebook/alice/mine")
        return server_in_pod

    async def test_a_header_makes_nobody_an_owner(self, jp_fetch, kfam):
        before = dict(kfam.bindings)
        code, body = await refused(changed(jp_fetch, "POST", "carol@example.com"))
        assert (code, kfam.bindings) == (403, before)
        assert "it is not known which user is signed in here" in body["message"]
        assert not any(
            access_manifests.USER_HEADER in map(str.lower, each.headers) for each in kfam.asked
        )


async def test_who_is_named_twice_is_nobody(jp_fetch, kfam):
    headers = HTTPHeaders(OWNER)
    headers.add(access_manifests.USER_HEADER, "bob@example.com")
    code, body = await refused(changed(jp_fetch, "POST", "carol@example.com", headers=headers))
    assert code == 403 and "it is not known which user is signed in here" in body["message"]


def test_a_variable_says_that_kubeflows_gateway_stands_before_the_server(monkeypatch):
    monkeypatch.delenv("JUPYTERHUB_API_URL", raising=False)
    assert not Kfp().believes_userid()
    monkeypatch.setenv("KFP_MT_BEHIND_KUBEFLOW_GATEWAY", "1")
    assert Kfp().believes_userid()


async def test_a_kernel_speaks_for_no_person(jp_serverapp, jp_asyncio_loop, kfam, jp_fetch):
    import asyncio

    await jp_serverapp.extension_manager.start_all_extensions()
    door = Door.of_this_process()
    headers = {"Authorization": f"Bearer {door.key}", **OWNER}
    url = f"{door.address}/contributors?namespace=alice&user=carol@example.com&role=edit"
    answer = await asyncio.to_thread(requests.post, url, headers=headers, timeout=60)
    assert answer.status_code == 403
    assert "it is not known which user is signed in here" in answer.json()["message"]
    assert not any(asked.method == "POST" for asked in kfam.asked)


async def test_the_header_goes_to_kfam_alone_and_only_with_a_change(
    jp_fetch, kfam, kubernetes_api, namespaces_of
):
    await changed(jp_fetch, "POST", "carol@example.com")
    await contributors(jp_fetch)
    await namespaces_of()
    sent = {
        asked.method: access_manifests.USER_HEADER in map(str.lower, asked.headers)
        for asked in kfam.asked
    }
    assert sent == {"POST": True, "GET": False}
    assert not any(
        OWNER.keys() & set(map(str.lower, asked.headers)) for asked in kubernetes_api.asked
    )


@pytest.mark.parametrize(
    "user, role, text",
    [
        pytest.param("carol@example.com", "admin", "edit or view, not 'admin'", id="role"),
        pytest.param("", "edit", "'' is not the name of a user", id="nobody"),
        pytest.param("a b", "edit", "'a b' is not the name of a user", id="two words"),
        pytest.param("x\ny", "edit", "is not the name of a user", id="two lines"),
    ],
)
async def test_who_cannot_be_a_contributor_is_said(jp_fetch, user, role, text):
    code, body = await refused(changed(jp_fetch, "POST", user, role))
    assert code == 400
    assert text in body["message"]


@pytest.mark.parametrize("name", ["..", "Alice", "a/b", "a" * 64])
async def test_what_is_no_namespace_is_said(jp_fetch, name):
    code, body = await refused(jp_fetch("kfp-mt", "contributors", params={"namespace": name}))
    assert (code, body["kind"]) == (400, "BadRequest")
    assert "is not the name of a namespace" in body["message"]


async def test_who_is_removed_without_a_role_loses_every_one_but_the_owners(jp_fetch, kfam):
    for role in access_manifests.ROLES:
        await changed(jp_fetch, "POST", "carol@example.com", role)
    params = {"namespace": "alice", "user": "carol@example.com"}
    await jp_fetch("kfp-mt", "contributors", method="DELETE", headers=dict(OWNER), params=params)
    assert await contributors(jp_fetch) == [("alice@example.com", "owner")]
    for nobody in ("carol@example.com", "alice@example.com"):
        code, body = await refused(changed(jp_fetch, "DELETE", nobody, role=""))
        assert (code, "is not a contributor of it" in body["message"]) == (404, True)


async def test_what_kfam_says_of_a_change_is_told(jp_fetch):
    await changed(jp_fetch, "POST", "carol@example.com")
    code, body = await refused(changed(jp_fetch, "POST", "carol@example.com"))
    assert code == 403
    assert "already exists" in body["cause"]


@pytest.fixture
def out_of_reach(kfam):
    """Contributors of alice where kfam refuses."""
    kfam.istio_allows = False
    return lambda cluster=None: Contributors("alice", Kfam(kfam.endpoint), lambda: cluster)


def test_where_kfam_refuses_the_role_bindings_tell(out_of_reach, in_pod, kubernetes_api):
    cluster = Cluster.of_pod(in_pod())
    with pytest.raises(errors.Forbidden) as caught:
        out_of_reach(cluster).all()
    assert "Istio lets only the Kubeflow dashboard" in caught.value.cause
    assert "Kubernetes does not list them either" in caught.value.cause
    assert "kubectl create rolebinding" in caught.value.cure
    kubernetes_api.allow(ALICE, "list", "rolebindings", "alice", "rbac.authorization.k8s.io")
    found = [(each.user, each.role) for each in out_of_reach(cluster).all()]
    assert found == [("alice@example.com", "owner")]


def test_where_kfam_refuses_the_owner_gets_the_commands(out_of_reach):
    with pytest.raises(errors.Forbidden) as caught:
        out_of_reach().add("carol@example.com", "view", "alice@example.com")
    assert "kind: RoleBinding" in caught.value.cure
    with pytest.raises(errors.Forbidden) as caught:
        out_of_reach().remove("carol@example.com", "view", "alice@example.com")
    assert caught.value.cure.splitlines()[-1] == (
        "kubectl delete rolebinding,authorizationpolicies.security.istio.io "
        "user-carol-example-com-clusterrole-view -n alice --ignore-not-found"
    )
    with pytest.raises(errors.Forbidden) as caught:
        out_of_reach().remove("carol@example.com")
    both = "user-carol-example-com-clusterrole-edit user-carol-example-com-clusterrole-view"
    assert f" {both} -n alice " in caught.value.cure


class Garbled(GuardedKfp):
    def answer(self, request):
        return Answer(200, b'{"bindings": [{"referredNamespace": "\xff"}], "message": "\xff"}')


def test_an_answer_that_is_no_text_is_told_and_spoils_no_other(serve):
    server = serve(Garbled)
    sources = {
        "kfam": lambda: of_kfam(Kfam(server.endpoint), "alice", ALICE),
        "pod": lambda: named(["alice"]),
    }
    found = Namespaces(sources, Permissions(lambda: None, str)).found(ALICE)
    assert [each.name for each in found.namespaces] == ["alice"]
    assert "is not kfam" in found.sources[0].problem.message


def test_a_kfam_that_hangs_or_is_gone_is_given_up(kfam, monkeypatch):
    monkeypatch.setattr(kfam_module, "SECONDS", 0.2)
    kfam.hanging = True
    begin = time.monotonic()
    with pytest.raises(errors.Unreachable, match="none in 0.2 s"):
        Kfam(kfam.endpoint).bindings("alice")
    assert time.monotonic() - begin < 30  # it hangs for a minute
    with pytest.raises(errors.Unreachable, match="it cannot be reached"):
        Kfam("http://127.0.0.1:1").bindings("alice")


@pytest.mark.parametrize(
    "endpoint", ["", "kfam:8081", "ftp://kfam", "http://a:b@kfam", "http:// x"]
)
def test_an_address_that_is_none_is_said_without_its_password(endpoint):
    with pytest.raises(errors.Misconfigured, match="kfam_endpoint is not an address") as caught:
        Kfam(endpoint)
    assert "a:b" not in str(caught.value)


def test_a_service_account_becomes_a_contributor_without_a_policy():
    binding, *others = access_manifests.contributor(ALICE, "bob", "view")
    assert others == []
    assert binding["roleRef"]["name"] == "kubeflow-view"
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "default-editor", "namespace": "alice"}
    ]


def test_hostile_names_stay_text_in_a_manifest():
    hostile = 'x"\n- kind: Evil\n{{ }} !!python/object'
    (written,) = yaml.safe_load_all(
        access_manifests.to_yaml(access_manifests.role_binding(hostile, "a", "edit"))
    )
    assert written["subjects"][0]["name"] == hostile
    assert written["metadata"]["name"] == "user-x-kind-evil-python-object-clusterrole-edit"


def test_the_pod_default_projects_the_token_where_it_is_looked_for():
    spec = access_manifests.pod_default("alice")["spec"]
    (source,) = spec["volumes"][0]["projected"]["sources"]
    assert source["serviceAccountToken"] == {
        "path": "token",
        "expirationSeconds": 7200,
        "audience": "pipelines.kubeflow.org",
    }
    path = f"{spec['volumeMounts'][0]['mountPath']}/token"
    assert spec["env"] == [{"name": "KF_PIPELINES_SA_TOKEN_PATH", "value": path}]


def test_a_viewers_namespace_is_usable(in_pod, kubernetes_api):
    kubernetes_api.allow_role(ALICE, VIEW, "bob")
    cluster = Cluster.of_pod(in_pod())
    permissions = Permissions(lambda: cluster, lambda: ALICE)
    namespaces = Namespaces({"configuration": lambda: named(["bob"])}, permissions)
    (bob,) = namespaces.found(ALICE).namespaces
    assert (bob.usable, bob.permissions["runs"]["create"], bob.reason) == (True, False, "")
    namespaces.close()
    permissions.close()
