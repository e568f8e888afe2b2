"""`%kfp namespaces` and `%kfp contributors`: through a door, and without one."""

import asyncio

import pytest
import yaml
from fakes.guarded_kfp import Answer, GuardedKfp
from fakes.kubernetes_api import ALICE
from harness.paths import ROOT
from jupyter_client.manager import start_new_async_kernel

from jupyter_kfp_mt.cluster.access_manifests import binding_name
from jupyter_kfp_mt.connection.status import Problem
from jupyter_kfp_mt.errors import KfpError
from jupyter_kfp_mt.namespaces.list_namespaces import SINGLE_USER, Namespace, SourceLookup
from jupyter_kfp_mt.namespaces.permissions import VERBS
from jupyter_kfp_mt.notebook import render, views
from jupyter_kfp_mt.notebook.verbs.values import ContributorList, NamespaceListing
from jupyter_kfp_mt.release import RELEASE


@pytest.fixture
def jp_server_config(server_in_pod):
    return server_in_pod


@pytest.fixture
def kfp(shell):
    """Return a function that runs `%kfp LINE` while the Jupyter server answers on this loop."""
    return lambda line: asyncio.to_thread(shell.run_line_magic, "kfp", line)


async def refused(asking):
    with pytest.raises(KfpError) as error:
        await asking
    return str(error.value)


# --- through the door -----------------------------------------------------------------------------


async def test_every_namespace_is_listed_those_that_may_not_be_used_last(
    door, kfp, shell, kubernetes_api
):
    kubernetes_api.allow(ALICE, "list", "profiles", group="kubeflow.org")
    found = await kfp("namespaces")
    assert [(each.name, each.usable) for each in found] == [("alice", True), ("bob", False)]
    formats, _ = shell.display_formatter.format(found)
    rows = [" ".join(line.split()) for line in formats["text/plain"].splitlines()]
    assert rows[:3] == [
        "Namespace Usable Role Owner Learned from",
        "alice (in use) ✓ yes edit alice@example.com configuration, pod, profiles, kfam",
        "bob ✗ no none bob@example.com profiles",
    ]
    assert f"{ALICE} may not list runs in bob; role view is needed." in rows
    assert "kubectl create rolebinding" in formats["text/plain"]
    assert "<details><summary>Why, and how to fix it</summary>" in formats["text/html"]


async def test_a_source_that_does_not_answer_has_a_line_with_its_reason(
    door, kfp, kfam, kubernetes_api
):
    kubernetes_api.without_reviews(ALICE)
    kfam.istio_allows = False
    told = render.text(await kfp("namespaces"))
    (line,) = [line for line in told.splitlines() if line.startswith("kfam ")]
    assert "Istio lets only the Kubeflow dashboard reach" in line
    assert "kubectl create clusterrolebinding" in told
    assert "Not all permissions are known: Kubernetes did not answer every" in told
    assert "alice (in use)  ✓ yes   view, as far as is known" in told


async def test_one_namespace_is_shown_whole(door, kfp, kubernetes_api):
    kubernetes_api.allow(ALICE, "create", "runs", "bob", "pipelines.kubeflow.org")
    told = render.text(await kfp("namespaces bob"))
    rows = {line.split("  ")[0]: line.split()[1:] for line in told.splitlines()}
    assert rows["Role"] == ["some"]
    assert rows["create"] == ["✗", "no", "✓", "yes", "✗", "no", "✗", "no"]
    assert rows["terminate"] == ["✗", "no"]
    assert rows["Learned from"] == ["from", "no", "source"]
    assert "An administrator of bob can allow it:\nkubectl create rolebinding" in told


async def test_the_namespace_of_the_session_is_among_them(door, kfp, shell):
    shell.run_line_magic("config", "KfpMagics.namespace = 'team'")
    assert "team (in use)" in render.text(await kfp("namespaces"))


async def test_contributors_are_listed(door, kfp, kfam):
    kfam.bindings["alice", "carol@example.com", "view"] = {"kind": "User", "name": "carol"}
    found = await kfp("contributors")
    assert found.to_dicts()[0] == {"user": "alice@example.com", "role": "owner"}
    assert "2 in namespace alice" in render.text(found)
    assert [each.user for each in await kfp("contributors -n bob")] == ["bob@example.com"]


async def test_a_cell_changes_no_contributors_and_says_who_can(door, kfp, kfam):
    told = await refused(kfp("contributors --add carol@example.com --role view"))
    assert "it is not known which user is signed in here" in told
    written = told.partition("kubectl apply -f - <<'END'\n")[2].removesuffix("END")
    kinds = [each["kind"] for each in yaml.safe_load_all(written)]
    assert kinds == ["RoleBinding", "AuthorizationPolicy"]
    told = await refused(kfp("contributors --remove carol@example.com"))
    for role in ("edit", "view"):
        assert binding_name("carol@example.com", role) in told
    assert {asked.method for asked in kfam.asked} <= {"GET"}


@pytest.mark.parametrize(
    "line, sentence",
    [
        pytest.param("namespaces No_Name", "'No_Name' is not the name", id="no namespace"),
        pytest.param("namespaces a b", "cannot interpret b.", id="two of them"),
        pytest.param("contributors -n No_Name", "'No_Name' is not the name", id="of no namespace"),
        pytest.param("contributors --add 'a b'", "'a b' is not the name of a user", id="no user"),
        pytest.param("contributors --add ''", "'' is not the name of a user", id="nobody"),
        pytest.param("contributors --remove ''", "'' is not the name of a user", id="nobody else"),
        pytest.param(
            "contributors --add x@y --role admin", "is edit or view, not 'admin'", id="no role"
        ),
        pytest.param("contributors --role view", "--role needs --add", id="a role alone"),
    ],
)
async def test_bad_input_is_answered_with_a_sentence(door, kfp, line, sentence):
    assert sentence in await refused(kfp(line))


async def test_a_kfp_for_a_single_user_says_so(door, kfp, cluster_kfp):
    cluster_kfp.single_user = True
    assert render.text(await kfp("namespaces")) == SINGLE_USER
    assert SINGLE_USER in await refused(kfp("namespaces team"))
    assert SINGLE_USER in await refused(kfp("contributors"))


async def test_in_a_notebook_a_cure_of_many_lines_is_shown_beside_its_error(door):
    shown, told = await _outputs(
        "%load_ext jupyter_kfp_mt\n%kfp contributors --add x@y --role view"
    )
    assert '<pre role="alert"' in shown["text/html"] and "user-select: all" in shown["text/html"]
    assert "kind: RoleBinding" in shown["text/html"] and "kind: RoleBinding" in shown["text/plain"]
    assert told.startswith("Forbidden: Cannot add x@y to alice:")
    assert "RoleBinding" not in told


async def _outputs(code):
    """Run a cell in a kernel; return what it shows, and the traceback that it ends with."""
    manager, client = await start_new_async_kernel(cwd=str(ROOT))
    messages = []
    try:
        await client.execute_interactive(code, timeout=60, output_hook=messages.append)
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)
    (shown,) = [each["content"]["data"] for each in messages if each["msg_type"] == "display_data"]
    (error,) = [each["content"] for each in messages if each["msg_type"] == "error"]
    return shown, "\n".join(error["traceback"])


# --- a door of another version --------------------------------------------------------------------


class OtherDoor(GuardedKfp):
    """One that takes a kernel's word for who sits at it."""

    def answer(self, request):
        status = {"version": RELEASE, "namespace": "alice", "multi_user": True}
        told = {
            "status": status,
            "namespaces": {"namespaces": [{"name": "alice", "sources": []}], "sources": []},
            "contributors": {"contributors": [{"user": "carol@example.com", "role": "edit"}]}
            if request.method == "GET"
            else {},
        }
        asked = request.path.rpartition("/")[2]
        return Answer(200, told[asked]) if asked in told else Answer(404, b"{}")


@pytest.fixture
def other_door(serve, key_file, monkeypatch):
    server = serve(OtherDoor)
    monkeypatch.setenv("KFP_MT_DOOR", server.endpoint)
    monkeypatch.setenv("KFP_MT_DOOR_KEY_FILE", key_file)
    return server


def asked(server):
    beside = ("/status", "/namespace")
    seen = [each for each in server.asked if each.path not in beside]
    return [(request.method, request.path, request.query) for request in seen]


async def test_the_door_is_asked_once_for_all_namespaces(other_door, kfp):
    await kfp("namespaces")
    assert asked(other_door) == [("GET", "/namespaces", {"namespace": "alice"})]


async def test_what_the_door_changed_is_listed(other_door, kfp):
    added = await kfp("contributors --add carol@example.com")
    await kfp("contributors --remove carol@example.com")
    assert added.items[0].user == "carol@example.com"
    who = {"namespace": "alice", "user": "carol@example.com"}
    assert asked(other_door)[::2] == [
        ("POST", "/contributors", {**who, "role": "edit"}),
        ("DELETE", "/contributors", who),
    ]


async def test_a_door_that_knows_no_namespaces_is_told(serve, kfp, key_file, monkeypatch):
    class Older(OtherDoor):
        def answer(self, request):
            return super().answer(request) if request.path == "/status" else Answer(404, b"{}")

    monkeypatch.setenv("KFP_MT_DOOR", serve(Older).endpoint)
    monkeypatch.setenv("KFP_MT_DOOR_KEY_FILE", key_file)
    assert "Cannot list namespaces" in await refused(kfp("namespaces"))


# --- without a door -------------------------------------------------------------------------------


async def test_each_identity_of_the_local_kfp_sees_what_it_may_use(as_alice, kfp):
    mine = {each.name: each.usable for each in await kfp("namespaces")}
    assert mine == {"alice": True, "bob": False, "kubeflow": False}
    await kfp("connect --as bob/default-editor")
    bobs = await kfp("namespaces")
    assert {each.name: each.usable for each in bobs} == {
        "bob": True,
        "alice": True,
        "kubeflow": False,
    }
    assert f'contributors: {{"{ALICE.replace("alice", "bob")}": view}}' in render.text(bobs)


async def test_the_local_kfp_has_its_contributors_in_a_file(as_alice, kfp):
    told = await refused(kfp("contributors --add carol@example.com"))
    assert "can only be changed in its profiles file" in told


async def test_without_a_door_the_kernel_finds_out_itself(
    cluster_kfp, local_kfp, kfam, in_pod, kubernetes_api, kfp, monkeypatch, tmp_path
):
    in_pod()
    kubernetes_api.allow(ALICE, "list", "profiles", group="kubeflow.org")
    monkeypatch.delenv("KFP_MT_DOOR", raising=False)
    monkeypatch.setenv("KFP_MT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KFP_MT_ENDPOINT", cluster_kfp.endpoint)
    monkeypatch.setenv("KFP_MT_TOKEN_FILE", str(local_kfp.token_file("alice/default-editor")))
    monkeypatch.setenv("KFP_MT_KFAM_ENDPOINT", kfam.endpoint)
    told = {each.name: each for each in await kfp("namespaces")}
    assert (told["alice"].usable, told["bob"].usable) == (True, False)
    assert told["alice"].sources == ["configuration", "pod", "profiles", "kfam"]
    kubernetes_api.without_reviews(ALICE)  # then KFP itself is tried
    told = {each.name: each.usable for each in await kfp("namespaces")}
    assert told == {"alice": True, "bob": False}
    assert [each.role for each in await kfp("contributors")] == ["owner"]


async def test_a_connection_that_does_not_work_is_told(as_alice, kfp, shell):
    shell.run_line_magic("config", "KfpMagics.endpoint = 'http://127.0.0.1:1'")
    assert "connection refused" in await refused(kfp("namespaces"))


# --- how it looks ---------------------------------------------------------------------------------


HOSTILE = "<img src=x onerror=alert(1)>"


def table(answer):
    return {resource: dict.fromkeys(verbs, answer) for resource, verbs in VERBS.items()}


def refusing(name, owner=""):
    return Namespace(name, [HOSTILE], owner, False, f"No {name}.", f"Ask:\n{name}", table(False))


def test_what_a_source_says_is_escaped():
    source = SourceLookup(HOSTILE, problem=Problem(HOSTILE, HOSTILE, f"{HOSTILE}\n{HOSTILE}"))
    values = [
        NamespaceListing(
            items=[refusing(HOSTILE, HOSTILE)], in_use="", sources=[source], unknown=HOSTILE
        ),
        ContributorList(items=[], namespace=HOSTILE),
    ]
    for value in values:
        assert "<img" not in render.html(value)
        assert "&lt;img src=x" in render.html(value)


def test_of_many_refused_namespaces_the_first_ones_say_why():
    many = [refusing(f"team-{number}") for number in range(300)]
    told = render.text(NamespaceListing(items=many, in_use="", sources=[], unknown=""))
    assert told.count("No team-") == views.MOST_TOLD
    assert "%kfp namespaces NAME says why of each of the other 290." in told


def test_the_rows_that_may_not_be_used_are_faint():
    usable = Namespace("mine", ["pod"], "", True, permissions=table(True))
    shown = render.html(
        NamespaceListing(items=[usable, refusing("bob")], in_use="", sources=[], unknown="")
    )
    assert shown.count("<tr style=") == 1
    assert shown.index("mine") < shown.index("<tr style=") < shown.index(">bob<")


def test_no_namespace_at_all_is_said():
    known = NamespaceListing(
        items=[], in_use="", sources=[SourceLookup("configuration")], unknown=""
    )
    assert render.text(known) == "No source names a namespace."
