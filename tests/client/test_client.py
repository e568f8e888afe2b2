"""The typed client, against a real local KFP."""

import base64
import contextlib
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fakes.odd_kfp import OddKfp, trickling
from harness.local_kfp import API
from harness.waiting import wait_until

import jupyter_kfp_mt
from jupyter_kfp_mt import errors
from jupyter_kfp_mt.client import runs, transport
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.connection.choose_connection import decide
from jupyter_kfp_mt.credentials import Credentials, TokenFile
from jupyter_kfp_mt.models import Health
from jupyter_kfp_mt.settings import Kfp


def client_of(local_kfp, identity="alice/default-editor"):
    namespace = identity.partition("/")[0]
    return Client(local_kfp.endpoint, TokenFile(local_kfp.token_file(identity)), namespace)


@pytest.fixture
def alice(local_kfp):
    client = client_of(local_kfp)
    yield client
    client.close()


@pytest.fixture
def bob(local_kfp):
    client = client_of(local_kfp, "bob/default-editor")
    yield client
    client.close()


def test_a_file_runs_to_its_end_and_leaves_a_log(alice, adder):
    run = alice.wait(alice.start_run(adder, {"x": 40}, experiment="client").run_id)
    assert run.state == "SUCCEEDED"
    assert [task.display_name for task in run.tasks] == ["add"]
    assert "adding 40 and 2" in alice.log(run.run_id, run.tasks[0].task_id)


def test_a_client_for_reading_only_sends_no_change(local_kfp, adder, monkeypatch):
    monkeypatch.setenv("KFP_MT_READ_ONLY", "1")
    tokens = local_kfp.token_file("alice/default-editor")
    settings = Kfp(endpoint=local_kfp.endpoint, token_file=str(tokens), namespace="alice")
    client = decide(settings).client()
    assert client.run_page() is not None
    with pytest.raises(errors.Forbidden, match="Cannot terminate run x: .* for reading only"):
        client.terminate("x")
    client.close()


def test_the_sdk_for_reading_only_sends_no_change(guarded_kfp, adder):
    client = Client(guarded_kfp.endpoint, namespace="alice", read_only=True)
    sdk = jupyter_kfp_mt.kfp_client(client)
    assert sdk.list_runs().runs is None
    for change in (
        lambda: sdk.create_experiment("new"),
        lambda: sdk.terminate_run("x"),
        lambda: sdk.delete_pipeline("x"),
        lambda: sdk.upload_pipeline(str(adder), "new", namespace="alice"),
    ):
        with pytest.raises(errors.Forbidden, match="for reading only"):
            change()
    assert {request.method for request in guarded_kfp.asked} == {"GET"}
    client.close()


def test_an_uploaded_pipeline_runs_by_its_name_and_gets_versions(alice, adder):
    first = alice.upload_pipeline(adder, name="twice")
    assert alice.upload_pipeline(adder, name="twice") == first
    second = alice.upload_pipeline(adder, name="twice", again=True)
    assert first.pipeline_id == second.pipeline_id
    assert [version.pipeline_version_id for version in alice.versions(first.pipeline_id)] == [
        second.pipeline_version_id,
        first.pipeline_version_id,
    ]
    run = alice.start_run("twice", {"x": 1})
    assert run.pipeline_version_reference.pipeline_version_id == second.pipeline_version_id
    alice.wait(run.run_id)


def test_a_pipeline_may_be_called_like_a_version_and_like_a_folder(
    alice, adder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("v1.2", "folder"):
        (tmp_path / name).mkdir()
        alice.upload_pipeline(adder, name=name)
        assert alice.start_run(name, {"x": 1}).display_name.startswith(name)


def test_lists_follow_their_pages_to_the_end(alice):
    names = [f"page {number:03}" for number in range(205)]
    for name in names:
        alice.create_experiment(name)
    listed = [experiment.display_name for experiment in alice.experiments()]
    assert [name for name in listed if name.startswith("page ")] == names[::-1]


def test_a_page_is_one_request_and_knows_how_many_there_are(alice):
    alice.ensure_experiment("one")
    alice.ensure_experiment("two")
    page = alice.experiment_page(page_size=1)
    assert (len(page), page.total_size > 1, page.namespace) == (1, True, "alice")
    assert page.to_dicts()[0]["namespace"] == "alice"


def test_an_experiment_is_created_once(alice):
    assert alice.ensure_experiment("once") == alice.ensure_experiment("once")
    with pytest.raises(errors.Conflict, match="once already exists"):
        alice.create_experiment("once")


def test_a_hostile_name_comes_back_as_it_was(alice):
    name = """<b>"%2B' + ü; DROP TABLE"""
    assert alice.ensure_experiment(name).display_name == name
    assert alice.ensure_experiment(name) == alice.experiment_named(name)


def test_a_run_is_found_by_id_by_the_start_of_its_id_and_by_its_name(alice, adder):
    run = alice.start_run(adder, {"x": 1}, name="the only one of its name")
    for text in (run.run_id, run.run_id[:-1], "the only one of its name"):
        assert alice.find_run(text).run_id == run.run_id
    alice.start_run(adder, {"x": 1}, name="twins")
    alice.start_run(adder, {"x": 1}, name="twins")
    with pytest.raises(errors.BadRequest, match="twins could be any of 2 runs") as error:
        alice.find_run("twins")
    assert len(error.value.cure.splitlines()) == 3
    for text in ("nope", "", run.run_id[:3]):
        with pytest.raises(errors.NotFound, match=f"No run '{text}' in namespace alice"):
            alice.find_run(text)


def test_the_start_of_an_id_is_looked_for_among_all_runs(alice, adder, monkeypatch):
    monkeypatch.setattr(runs, "LONGEST_PAGE", 2)
    run, *_ = [alice.start_run(adder, {"x": 1}) for _ in range(3)]
    assert alice.find_run(run.run_id[:-1].upper()).run_id == run.run_id
    with pytest.raises(errors.BadRequest, match="could be any of 2 runs or more"):
        alice.find_run(run.run_id[:4])


def test_a_run_that_is_terminated_ends_failed(alice, sleeper):
    run = alice.start_run(sleeper)
    wait_until(lambda: alice.run(run.run_id).state == "RUNNING")
    alice.terminate(run.run_id)
    with pytest.raises(errors.RunFailed, match="terminated"):
        alice.wait(run.run_id)


def test_the_unfinished_runs_are_listed_alone(alice, adder, sleeper):
    finished = alice.wait(alice.start_run(adder, {"x": 1}).run_id)
    going_on = alice.start_run(sleeper)
    ids = [run.run_id for run in alice.unfinished_runs()]
    assert going_on.run_id in ids
    assert finished.run_id not in ids
    alice.terminate(going_on.run_id)


def test_recurring_runs_are_listed(alice, local_kfp, experiment, spec):
    body = {
        "display_name": "nightly",
        "experiment_id": experiment.experiment_id,
        "pipeline_spec": spec,
        "runtime_config": {"parameters": {"x": 1}},
        "max_concurrency": "1",
        "mode": "DISABLE",
        "trigger": {"cron_schedule": {"cron": "0 0 3 * * *"}},
    }
    local_kfp.post(f"{API}/recurringruns", body)
    newest = alice.recurring_run_page(page_size=1)[0]
    assert (newest.display_name, newest.enabled) == ("nightly", False)


def test_a_run_that_fails_shows_the_failing_task_and_its_last_50_lines(alice, failing):
    run = alice.start_run(failing)
    with pytest.raises(errors.RunFailed) as error:
        alice.wait(run.run_id)
    assert "fail" in error.value.message and "ValueError: no more" in error.value.message
    lines = error.value.cause.splitlines()
    assert lines[0] == "The last lines of task fail:"
    assert len(lines) == 51 and any("ValueError: no more" in line for line in lines)


@pytest.mark.parametrize(
    "call, sentence",
    [
        pytest.param(lambda c: c.run("nope"), "Cannot find run nope: Run nope not found", id="run"),
        pytest.param(lambda c: c.experiment("nope"), "experiment nope", id="experiment"),
        pytest.param(lambda c: c.pipeline_named("nope"), "No pipeline nope in", id="pipeline"),
        pytest.param(lambda c: c.start_run("nope"), "No pipeline nope in", id="pipeline to run"),
        pytest.param(lambda c: c.start_run("nope.yaml"), "Cannot read nope.yaml", id="file"),
        pytest.param(
            lambda c: c.start_run("~no-such-user/x"), "Cannot read ~no-such-user/x", id="no home"
        ),
        pytest.param(lambda c: c.start_run("x" * 300), "No pipeline xxx", id="a very long name"),
        pytest.param(lambda c: c.upload_pipeline("nope", "x"), "Cannot read nope", id="upload"),
        pytest.param(lambda c: c.terminate("nope"), "Cannot terminate run nope", id="terminate"),
        pytest.param(lambda c: c.log("nope", "t"), "Cannot read the log of task t", id="log"),
        pytest.param(lambda c: c.run("../../healthz"), "an id has no slash", id="a way out"),
    ],
)
def test_what_is_not_there_is_said(alice, call, sentence):
    with pytest.raises((errors.NotFound, errors.NotAPipeline), match=sentence):
        call(alice)


def test_nothing_is_created_for_parameters_that_do_not_fit(alice, adder):
    with pytest.raises(errors.BadRequest, match="no parameter z"):
        alice.start_run(adder, {"z": 1}, experiment="never made")
    with pytest.raises(errors.NotFound):
        alice.experiment_named("never made")


def test_another_tenant_is_refused_with_who_what_where_and_the_cure(local_kfp, alice, adder):
    with pytest.raises(errors.Forbidden) as error:
        alice.start_run(adder, {"x": 1}, namespace="bob")
    assert error.value.message == (
        "Cannot start adder in bob: system:serviceaccount:alice:default-editor may not "
        "start a run in namespace bob."
    )
    assert "KFP refused its first step, list experiments" in error.value.cause
    assert '{"system:serviceaccount:alice:default-editor": edit}' in error.value.cure
    assert "not authorized with reason" in error.value.server_text


@pytest.mark.parametrize(
    "call, asked",
    [
        pytest.param(lambda c, file: c.start_run("any", namespace="bob"), "start any", id="run"),
        pytest.param(
            lambda c, file: c.upload_pipeline(file, "x", "bob"), "upload adder", id="file"
        ),
    ],
)
def test_what_takes_edit_is_not_cured_with_view(alice, adder, call, asked):
    with pytest.raises(errors.Forbidden, match=f"Cannot {asked}.* in namespace bob") as error:
        call(alice, adder)
    assert "KFP refused its first step, list pipelines" in error.value.cause
    assert '{"system:serviceaccount:alice:default-editor": edit}' in error.value.cure


def test_a_viewer_lists_and_is_refused_to_start(bob, adder):
    assert bob.run_page("alice").namespace == "alice"
    with pytest.raises(errors.Forbidden, match="may not start a run in namespace alice"):
        bob.start_run(adder, {"x": 1}, experiment="bob's", namespace="alice")


@pytest.mark.parametrize(
    "listening, reason",
    [
        pytest.param(False, "connection refused", id="nothing listens"),
        pytest.param(True, "it did not answer in 0.5 s", id="it accepts and is silent"),
    ],
)
def test_an_endpoint_that_does_not_answer_is_told(listening, reason, monkeypatch):
    monkeypatch.setattr(transport, "HEALTH_SECONDS", 0.5)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listening:
            server.listen()
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(errors.Unreachable) as error:
            Client(endpoint, Credentials(), "alice").run_page()
    assert error.value.message == f"Cannot reach KFP: no answer from {endpoint} ({reason})."


def test_an_answer_that_comes_byte_after_byte_is_given_up(monkeypatch):
    monkeypatch.setattr(transport, "READ_SECONDS", 0.5)
    kfp = OddKfp()
    kfp.answer = trickling
    with contextlib.closing(Client(kfp.endpoint, health=Health(multi_user=True))) as client:
        with pytest.raises(errors.Unreachable, match=r"it did not answer in 0\.5 s"):
            client.run_page("alice")
    kfp.close()


def forged(token, **claims):
    """The token with other claims, and a signature that is not theirs."""
    header, payload, signature = token.split(".")
    content = json.loads(base64.urlsafe_b64decode(payload + "==")) | claims
    changed = base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
    return f"{header}.{changed}.{signature}"


class Replaced(TokenFile):
    """A token file that is replaced between two requests' being built and their answers."""

    def __init__(self, path, good):
        super().__init__(path)
        self._good = good
        self._sent = threading.Barrier(2)

    def __call__(self, request):
        request = super().__call__(request)
        if self._good not in request.headers["Authorization"]:
            self._sent.wait(60)
            new = self.path.with_suffix(f".{threading.get_ident()}")
            new.write_text(self._good)
            new.replace(self.path)
        return request


def test_requests_whose_token_was_replaced_meanwhile_are_repeated(local_kfp, tmp_path):
    good = local_kfp.token("alice/default-editor")
    file = tmp_path / "token"
    file.write_text(forged(good, sub="someone"))
    client = Client(local_kfp.endpoint, Replaced(file, good), "alice", Health(multi_user=True))
    with ThreadPoolExecutor(2) as threads:
        pages = list(threads.map(lambda _: client.run_page(), range(2)))
    assert [page.namespace for page in pages] == ["alice", "alice"]
    client.close()


def test_a_token_that_changes_is_used_from_then_on(local_kfp, tmp_path):
    file = tmp_path / "token"
    file.write_text(forged(local_kfp.token("alice/default-editor"), sub="someone"))
    client = Client(local_kfp.endpoint, TokenFile(file), "alice")
    with pytest.raises(errors.Unauthenticated, match="does not know who is asking") as error:
        client.run_page()
    assert "tokens/NAMESPACE/default-editor/token" in error.value.cure
    file.write_text(local_kfp.token("alice/default-editor"))
    assert client.run_page().namespace == "alice"
    client.close()


def test_a_token_is_in_no_repr_and_no_error(local_kfp, tmp_path):
    token = forged(local_kfp.token("alice/default-editor"), sub="someone")
    file = tmp_path / "token"
    file.write_text(token)
    credentials = TokenFile(file)
    client = Client(local_kfp.endpoint, credentials, "alice")
    with pytest.raises(errors.Unauthenticated) as error:
        client.run_page()
    shown = [repr(client), repr(credentials), str(error.value), repr(error.value.to_dict())]
    assert not [text for text in shown if token in text or token.split(".")[2] in text]
    client.close()


@pytest.mark.parametrize(
    "content, sentence",
    [
        pytest.param(None, "cannot be read: No such file", id="missing"),
        pytest.param("", "is empty", id="empty"),
        pytest.param("a\nb", "is not a single token", id="two lines"),
        pytest.param("ü", "it is not text", id="not ASCII"),
    ],
)
def test_a_token_file_that_cannot_work_is_named(local_kfp, tmp_path, content, sentence):
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    with pytest.raises(errors.Misconfigured, match=f"token file .*{sentence}"):
        Client(local_kfp.endpoint, TokenFile(file), "alice").run_page()


@pytest.mark.parametrize(
    "endpoint",
    [
        *("ml-pipeline:8888", "ftp://x", "http://", "http://[::1", "http://x:y", "http://a:b@c"),
        *("a:b@c", "http:/a:b@c", "http://a:b@[c", "http:\\\\a:b@c"),
    ],
)
def test_an_endpoint_that_is_no_address_is_refused(endpoint):
    with pytest.raises(errors.Misconfigured) as error:
        Client(endpoint)
    assert "a:b" not in str(error.value)


def test_without_a_namespace_the_cure_is_said(local_kfp):
    client = Client(local_kfp.endpoint, TokenFile(local_kfp.token_file("alice/default-editor")))
    with pytest.raises(errors.Misconfigured, match="No namespace is chosen") as error:
        client.run_page()
    assert "%kfp ns NAME" in error.value.cure
    client.close()
