"""The doctor: what it finds, at a KFP that works and at servers that misbehave on purpose."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import jwt
import pytest
import yaml
from fakes.guarded_kfp import Answer, GuardedKfp, page, redirect, refusal
from fakes.kubernetes_api import ALICE, VIEW, Certificates
from fakes.odd_kfp import OddKfp
from harness.local_kfp import denied
from harness.paths import ROOT
from IPython.core.interactiveshell import InteractiveShell

from jupyter_kfp_mt import errors, refusal_causes
from jupyter_kfp_mt.cluster import own_pod
from jupyter_kfp_mt.connection.choose_connection import resolve
from jupyter_kfp_mt.doctor import probe_requests, run_checks
from jupyter_kfp_mt.doctor.check_results import FAILED, PASSED, UNKNOWN
from jupyter_kfp_mt.notebook import render
from jupyter_kfp_mt.settings import CREDENTIALS, Kfp, variable

AUDIENCE = "pipelines.kubeflow.org"


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """Neither a pod nor a door, nor anything configured."""
    names = [variable(name) for name in ("endpoint", "namespace", *CREDENTIALS)]
    names += ["KF_PIPELINES_ENDPOINT", "KF_PIPELINES_SA_TOKEN_PATH", "KUBERNETES_SERVICE_HOST"]
    for name in [*names, "KFP_MT_DOOR", "KFP_MT_DOOR_KEY_FILE"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KFP_MT_DATA", str(tmp_path / "no-local-kfp"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(own_pod, "SECRETS", tmp_path / "secrets")


def token(seconds=3600.0, **claims):
    now = datetime.now(timezone.utc)
    fixed = {"sub": ALICE, "aud": AUDIENCE, "exp": (now + timedelta(seconds=seconds)).timestamp()}
    return jwt.encode({**fixed, "iat": now.timestamp(), **claims}, "k" * 32)


@pytest.fixture
def settings(tmp_path):
    """Settings of alice at an endpoint, with a token of these claims."""

    def settings(endpoint, seconds=3600.0, **claims):
        file = tmp_path / "token"
        file.write_text(token(seconds, **claims))
        return Kfp(endpoint=endpoint, token_file=str(file), namespace="alice")

    return settings


def found(report):
    return {finding.check: finding for finding in report.findings}


def results(report):
    return {name: finding.result for name, finding in found(report).items()}


def pasted(finding):
    """Return the part of a cure to paste: the manifests of its command, else its lines."""
    _, _, paste = finding.cure.partition("\n")
    manifest = re.fullmatch(r"kubectl apply -f - <<'END'\n(.*)\nEND", paste, re.DOTALL)
    return yaml.safe_load(manifest[1]) if manifest else paste


class Odd(GuardedKfp):
    """A KFP that says what it is told to."""

    def __init__(self, says):
        self.says = says
        super().__init__()

    def answer(self, request):
        return self.says(request) or super().answer(request)


# --- where all is well ----------------------------------------------------------------------


def test_at_the_local_kfp_nothing_fails(local_kfp):
    editor = local_kfp.token_file("alice/default-editor")
    settings = Kfp(endpoint=local_kfp.endpoint, token_file=str(editor), namespace="alice")
    report = run_checks.examine(settings)
    told = found(report)
    assert report.failed == []
    assert told["subject"].found == ALICE
    assert told["audience"].found == AUDIENCE
    assert told["KFP's answer"].found.startswith("It lists experiments in alice")
    assert told["access reviews"].found == "The local KFP lists this identity's permissions."
    assert told["pipelines"].found == "may get, list, create, update, delete"
    assert report.conclusion == "Nothing failed: 22 passed."


@pytest.fixture
def notebook(in_pod, guarded_kfp, monkeypatch):
    """This process as a notebook of alice with everything that it takes."""
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", guarded_kfp.endpoint)
    projected = in_pod().parent.parent / "kubeflow" / "pipelines" / "token"
    projected.parent.mkdir(parents=True)
    projected.write_text(token())
    return projected


def test_in_a_pod_with_everything_all_is_passed(notebook):
    report = run_checks.examine(Kfp())
    assert set(results(report).values()) == {PASSED}
    told = found(report)
    assert "(KF_PIPELINES_ENDPOINT)" in told["endpoint"].found
    assert "kubernetes.io/serviceaccount/namespace" in told["namespace"].found
    assert told["runs"].found.startswith("may get, list, readArtifact, create, terminate")


def test_a_kfp_for_a_single_user_takes_neither_token_nor_namespace(serve):
    single = serve(GuardedKfp, multi_user=False)
    report = run_checks.examine(Kfp(endpoint=single.endpoint))
    assert report.failed == []
    told = found(report)
    assert "everybody here shares everything" in told["users"].found
    assert told["token"].found == "None is sent, and this KFP needs none."
    assert told["access reviews"].found == "A KFP for a single user has no roles."
    assert not any("namespace" in request.query for request in single.asked)


# --- from outside in ------------------------------------------------------------------------


def test_settings_that_cannot_work_are_told_with_their_cure():
    report = run_checks.examine(Kfp(endpoint="kfp:8888"))
    told = found(report)["endpoint"]
    assert "'kfp:8888' is not an address of KFP" in told.found
    assert "Write it with its scheme" in told.cure
    assert set(results(report).values()) == {FAILED, UNKNOWN, PASSED}
    assert results(report)["versions"] == PASSED
    assert sum(result == FAILED for result in results(report).values()) == 1


def test_without_a_kfp_the_cure_is_to_start_the_local_one():
    told = found(run_checks.examine(Kfp()))["endpoint"]
    assert told.result == FAILED and pasted(told) == "jupyter kfp-mt local"


def test_a_name_that_is_not_known_is_told_before_anything_else(settings):
    report = run_checks.examine(settings("http://kfp.invalid:8888"))
    told = found(report)["name resolution"]
    assert (told.result, told.found) == (FAILED, "kfp.invalid cannot be resolved.")
    assert pasted(told).startswith("c.Kfp.endpoint = 'http://ml-pipeline.kubeflow.svc")
    assert [each.check for each in report.failed] == ["name resolution"]
    assert "'name resolution' has not passed" in found(report)["connection"].found


def test_a_name_of_the_cluster_outside_of_it_is_cured_by_a_forwarded_port(settings):
    told = found(run_checks.examine(settings("http://ml-pipeline.kubeflow.svc.cluster.local:8888")))
    assert "exists only inside the cluster" in told["name resolution"].cause
    assert "kubectl port-forward -n kubeflow" in pasted(told["name resolution"])


def test_a_refused_connection_is_told(settings):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    report = run_checks.examine(settings(f"http://127.0.0.1:{port}"))
    told = found(report)["connection"]
    assert told.found == f"127.0.0.1:{port} does not accept connections."
    assert told.cause == "Nothing listens there: connection refused."
    assert pasted(told) == "kubectl get service,pods -n kubeflow -l app=ml-pipeline"
    assert [each.check for each in report.failed] == ["connection"]


@pytest.fixture
def full():
    """The address of a server that takes no connection any more."""
    waiting = []
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        for each in waiting:
            each.close()


def test_a_connection_that_is_not_answered_is_given_up(settings, full):
    told = found(run_checks.examine(settings(full)))["connection"]
    assert told.found.endswith("does not answer.")
    assert "NetworkPolicy" in told.cause


@pytest.fixture
def silent():
    """The address of a server that takes every connection and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_when_everything_hangs_it_takes_a_few_seconds(
    in_pod, kubernetes_api, silent, settings, tmp_path
):
    in_pod()
    kubernetes_api.hanging.add("/apis")
    begin = time.monotonic()
    report = run_checks.examine(settings(silent))
    assert time.monotonic() - begin < run_checks.SECONDS
    told = found(report)["healthz"]
    assert told.result == FAILED and "it did not answer in 3 s" in told.found
    assert [each.check for each in report.failed] == ["healthz"]
    assert "'healthz' has not passed" in found(report)["KFP's answer"].found


@pytest.fixture
def dripping(monkeypatch):
    """An answer that never ends, a byte at a time."""
    monkeypatch.setattr(probe_requests, "CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(probe_requests, "ANSWER_SECONDS", 0.5)
    stopped = threading.Event()

    def drip(connection, asked):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not stopped.wait(0.1):
            connection.sendall(b" ")

    yield drip
    stopped.set()


def test_an_answer_that_never_ends_is_given_up(settings, dripping):
    server = OddKfp()
    server.answer = dripping
    told = found(run_checks.examine(settings(server.endpoint)))["KFP's answer"]
    server.close()
    reason = f"no answer from {server.endpoint} (it did not answer in 0.5 s)."
    assert (told.result, told.found.partition(": ")[2]) == (FAILED, reason)


def test_a_kubernetes_that_hangs_costs_only_its_own_lines(notebook, kubernetes_api):
    kubernetes_api.hanging.add("selfsubject")
    report = run_checks.examine(Kfp())
    assert report.failed == []
    told = found(report)["access reviews"]
    assert (told.result, told.found) == (UNKNOWN, "Kubernetes did not answer in 2.5 s.")


def test_a_proxy_is_told(guarded_kfp, settings, monkeypatch):
    monkeypatch.setenv("http_proxy", guarded_kfp.endpoint.replace("//", "//user:s3cret@"))
    monkeypatch.setenv("no_proxy", "")
    report = run_checks.examine(settings("http://kfp.invalid"))
    told = found(report)["connection"]
    assert told.found == "The proxy 127.0.0.1 connects to kfp.invalid:80"
    assert "s3cret" not in str(report)


def test_a_password_in_a_kubeconfigs_address_is_not_told(kubernetes_api):
    file = kubernetes_api.kubeconfig(ALICE)
    file.write_text(file.read_text().replace("https://", "https://alice:s3cret@"))
    report = run_checks.examine(Kfp(auth="kubeconfig", kubeconfig=str(file), namespace="alice"))
    assert "has a user name or a password in the address" in found(report)["endpoint"].found
    assert "s3cret" not in repr(report)


def test_a_certificate_that_is_not_trusted_is_told(kubernetes_api, settings):
    told = found(run_checks.examine(settings(kubernetes_api.endpoint)))["healthz"]
    assert "its certificate is not trusted" in told.found
    assert pasted(told) == "export REQUESTS_CA_BUNDLE=/path/to/ca.crt"


def test_a_kubeconfig_of_another_cluster_is_told(kubernetes_api, tmp_path):
    file = kubernetes_api.kubeconfig(ALICE)
    (tmp_path / "other").mkdir()
    stranger = Certificates(tmp_path / "other").authority
    written = yaml.safe_load(file.read_text())
    written["clusters"][0]["cluster"] = {
        "server": kubernetes_api.endpoint,
        "certificate-authority": str(stranger),
    }
    file.write_text(yaml.safe_dump(written))
    told = found(
        run_checks.examine(Kfp(auth="kubeconfig", kubeconfig=str(file), namespace="alice"))
    )
    assert "its certificate is not trusted" in told["healthz"].found
    assert "get a new kubeconfig" in told["healthz"].cure


def test_an_anonymous_request_is_anonymous_whatever_a_netrc_says(
    guarded_kfp, settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(probe_requests, "is_own", lambda endpoint: False)  # else no .netrc is read
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login alice password s3cret")
    run_checks.examine(settings(guarded_kfp.endpoint), apart=True)
    sent = {request.headers.get("Authorization", "") for request in guarded_kfp.asked}
    assert not any(each.startswith("Basic") for each in sent)


def test_credentials_that_hang_are_given_up(in_pod, kubernetes_api, guarded_kfp):
    in_pod()
    kubernetes_api.hanging.add("/token")
    told = found(run_checks.examine(Kfp(endpoint=guarded_kfp.endpoint)))["endpoint"]
    assert "Cannot decide which KFP to use: it took longer than 4 s." in told.found


@pytest.mark.parametrize(
    "answer, sentence, cure",
    [
        pytest.param(
            page(200, "<form>Log in"), "a web page or a redirect", "KFP's own address", id="HTML"
        ),
        pytest.param(redirect("/dex/auth"), "a redirect", "KFP's own address", id="login"),
        pytest.param(Answer(502, b""), "a gateway answered", "kubectl get pods -n", id="502"),
        pytest.param(Answer(200, b"[]"), "what answered is not KFP", "KFP's own", id="other JSON"),
    ],
)
def test_what_answers_and_is_not_kfp_is_told(serve, settings, answer, sentence, cure):
    report = run_checks.examine(settings(serve(Odd, lambda request: answer).endpoint))
    told = found(report)["healthz"]
    assert told.result == FAILED and sentence in told.found and cure in told.cure
    assert [each.check for each in report.failed] == ["healthz"]


@pytest.mark.parametrize("where", ["", "/experiments"])
def test_a_refusal_of_istios_is_cured_by_a_policy_that_lets_tokens_in(serve, settings, where):
    denied = Answer(403, b"RBAC: access denied", "text/plain")
    server = serve(Odd, lambda request: denied if request.path.endswith(where) else None)
    report = run_checks.examine(settings(server.endpoint))
    told = found(report)["Istio"]
    assert (told.result, told.found) == (FAILED, "RBAC: access denied")
    policy = pasted(told)
    assert (policy["kind"], policy["metadata"]["namespace"]) == ("AuthorizationPolicy", "kubeflow")
    condition = {"key": "request.headers[kubeflow-userid]", "notValues": ["*"]}
    assert policy["spec"]["rules"] == [{"when": [condition]}]
    assert [each.check for each in report.failed] == ["Istio"]


def test_a_token_that_istio_itself_refuses_is_told(serve, settings):
    said = Answer(401, b"Jwt issuer is not configured", "text/plain")
    told = found(run_checks.examine(settings(serve(Odd, lambda request: said).endpoint)))["Istio"]
    assert (told.result, told.found) == (FAILED, "Jwt issuer is not configured")
    assert "RequestAuthentication" in told.cause and "c.Kfp.endpoint = " in pasted(told)


@pytest.mark.parametrize("minutes, side", [(10, "behind"), (-10, "ahead of")])
def test_a_clock_that_is_wrong_is_told(guarded_kfp, settings, minutes, side):
    moment = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    told = format_datetime(moment, usegmt=True)
    guarded_kfp._server.RequestHandlerClass.date_time_string = lambda *_: told
    found_clock = found(run_checks.examine(settings(guarded_kfp.endpoint)))["clock"]
    assert found_clock.result == FAILED
    assert pasted(found_clock) == "sudo timedatectl set-ntp true"
    assert re.search(rf"(598|599|600|601|602) s {side} the server", found_clock.found)


def test_an_expiry_is_told_by_the_servers_clock(guarded_kfp, settings):
    moment = datetime.now(timezone.utc) + timedelta(minutes=10)
    told = format_datetime(moment, usegmt=True)
    guarded_kfp._server.RequestHandlerClass.date_time_string = lambda *_: told
    report = run_checks.examine(settings(guarded_kfp.endpoint, seconds=270))
    assert "The token expired 5 min ago" in found(report)["expiry"].found


def test_without_a_date_a_token_from_the_future_tells_that_the_clock_is_behind(
    guarded_kfp, settings
):
    guarded_kfp._server.RequestHandlerClass.date_time_string = lambda *_: "never"
    given = settings(guarded_kfp.endpoint, iat=time.time() + 600)
    assert "s behind the server" in found(run_checks.examine(given))["clock"].found


# --- who we are -----------------------------------------------------------------------------


def test_without_a_token_the_pod_default_is_the_cure(in_pod, kubernetes_api, guarded_kfp):
    in_pod("system:serviceaccount:alice:default-viewer")
    report = run_checks.examine(Kfp(endpoint=guarded_kfp.endpoint, namespace="elsewhere"))
    told = found(report)["token"]
    assert told.found == "Requests carry no identity."
    assert "token: no such file" in told.cause
    assert "may not create serviceaccounts/token" in told.cause
    manifest = pasted(told)
    assert manifest["kind"] == "PodDefault"
    assert manifest["metadata"] == {"name": "access-ml-pipeline", "namespace": "alice"}
    assert [each.check for each in report.failed] == ["token"]
    assert "'token' has not passed" in found(report)["KFP's answer"].found


def test_a_token_file_that_cannot_be_read_is_told(guarded_kfp):
    settings = Kfp(endpoint=guarded_kfp.endpoint, token_file="/no/such", namespace="alice")
    told = found(run_checks.examine(settings))["token"]
    assert told.found == "The token file /no/such cannot be read: No such file or directory."
    assert "KF_PIPELINES_SA_TOKEN_PATH" in told.cure


def test_a_cookie_file_that_cannot_be_read_is_told_before_the_login_page(serve, tmp_path):
    kfp = serve(Odd, lambda request: redirect("/dex/auth"))
    file = tmp_path / "none"
    report = run_checks.examine(
        Kfp(endpoint=kfp.endpoint, cookie_file=str(file), namespace="alice")
    )
    assert [each.check for each in report.failed] == ["token"]
    assert "none cannot be read: No such file" in report.failed[0].found
    assert "had no credentials" in found(report)["healthz"].found


UNKNOWN_USER = refusal(401, 16, "Failed to check authorization. User identity is empty")


def test_a_token_for_somebody_else_is_told(guarded_kfp, settings):
    guarded_kfp.lets_in = lambda request: False
    report = run_checks.examine(
        settings(guarded_kfp.endpoint, aud="https://kubernetes.default.svc")
    )
    told = found(report)["audience"]
    assert told.found == "The token is for https://kubernetes.default.svc."
    assert told.cause == f"KFP accepts tokens for {AUDIENCE}."
    assert f"--audience {AUDIENCE}" in pasted(told)
    assert "KFP does not know who is asking" in found(report)["KFP's answer"].found
    assert "kubectl create token" in pasted(found(report)["KFP's answer"])


def test_a_kfp_that_takes_another_audience_is_believed(guarded_kfp, settings):
    told = found(run_checks.examine(settings(guarded_kfp.endpoint, aud="others")))["audience"]
    assert (told.result, told.found) == (PASSED, "The token is for others; this KFP accepts it.")


def test_a_token_that_has_ended_is_told(guarded_kfp, settings):
    guarded_kfp.lets_in = lambda request: False
    report = run_checks.examine(settings(guarded_kfp.endpoint, seconds=-7300))
    told = found(report)["expiry"]
    assert told.result == FAILED and told.found.startswith("The token expired 2 h 1 min ago")
    assert "export KFP_MT_TOKEN_FILE=" in pasted(told)


def test_a_cookie_tells_nothing_of_itself(guarded_kfp, monkeypatch):
    monkeypatch.setenv("KFP_MT_COOKIE", "session=s3cret")
    report = run_checks.examine(
        Kfp(endpoint=guarded_kfp.endpoint, auth="cookie", namespace="alice")
    )
    told = results(report)
    assert [told[name] for name in ("subject", "audience", "expiry")] == [UNKNOWN] * 3
    assert report.failed == []


def test_a_kubeconfig_before_several_users_is_told(kubernetes_api, guarded_kfp):
    kubernetes_api.services["kubeflow/http:ml-pipeline:8888"] = guarded_kfp.endpoint
    kubernetes_api.allow(ALICE, "get", "services/proxy", "kubeflow")
    file = kubernetes_api.kubeconfig(ALICE)
    report = run_checks.examine(Kfp(auth="kubeconfig", kubeconfig=str(file), namespace="alice"))
    told = found(report)["token"]
    assert "no identity reaches KFP" in told.found
    assert "kubectl port-forward" in told.cure


# --- what we may do -------------------------------------------------------------------------


def test_no_namespace_is_told_where_kfp_has_several_users(guarded_kfp, settings):
    given = settings(guarded_kfp.endpoint, sub="alice@example.com")
    given.namespace = ""
    report = run_checks.examine(given)
    told = found(report)["namespace"]
    assert told.found == "None is chosen." and pasted(told) == "c.Kfp.namespace = 'NAME'"
    assert [each.check for each in report.failed] == ["namespace"]


def test_what_kfp_refuses_is_cured_by_a_role_binding(serve, settings):
    said = refusal(403, 7, denied(ALICE, "list", "experiments", "alice"))
    server = serve(Odd, lambda request: said if request.path.endswith("experiments") else None)
    report = run_checks.examine(settings(server.endpoint))
    told = found(report)["KFP's answer"]
    assert f"{ALICE} may not list experiments in namespace alice" in told.found
    manifest = pasted(told)
    assert (manifest["kind"], manifest["metadata"]["namespace"]) == ("RoleBinding", "alice")
    assert manifest["subjects"] == [
        {"kind": "ServiceAccount", "name": "default-editor", "namespace": "alice"}
    ]
    assert results(report)["audience"] == PASSED


def test_at_the_local_kfp_a_line_of_its_profiles_is_the_cure(local_kfp):
    editor = local_kfp.token_file("alice/default-editor")
    given = Kfp(endpoint=local_kfp.endpoint, token_file=str(editor), namespace="bob")
    told = found(run_checks.examine(given))["KFP's answer"]
    assert "may not list experiments in namespace bob" in told.found
    assert "contributors: {" in told.cure
    told = found(run_checks.examine(given))["runs"]
    assert told.cause == "No role in bob includes get or list or readArtifact for runs."
    assert told.cure == refusal_causes.grant_locally(ALICE, "bob", "view")


def test_where_the_local_kfp_refuses_a_token_those_that_it_accepts_are_named(local_kfp, settings):
    told = found(run_checks.examine(settings(local_kfp.endpoint)))["KFP's answer"]
    assert told.result == FAILED and "tokens/NAMESPACE/default-editor/token" in told.cure


def test_a_role_that_may_not_even_look_is_told(notebook, kubernetes_api):
    kubernetes_api.forbid(ALICE)
    told = found(run_checks.examine(Kfp()))["recurring runs"]
    assert told.found == "may not get, list, create, enable, disable, delete"
    assert told.cause == "No role in alice includes get or list for jobs."
    assert pasted(told)["roleRef"]["name"] == "kubeflow-edit"


def test_a_viewer_fails_nothing(notebook, kubernetes_api):
    kubernetes_api.forbid(ALICE)
    kubernetes_api.allow_role(ALICE, VIEW, "alice")
    report = run_checks.examine(Kfp())
    assert report.failed == []
    assert found(report)["pipelines"].found == "may get, list; may not create, update, delete"


def test_reviews_that_are_of_somebody_else_are_not_known(notebook):
    notebook.write_text(token(sub="system:serviceaccount:bob:default-editor"))
    told = found(run_checks.examine(Kfp()))
    assert "Kubernetes only answers about" in told["access reviews"].found
    assert told["runs"].result == UNKNOWN


# --- around it ------------------------------------------------------------------------------


@pytest.fixture
def context(tmp_path):
    path = tmp_path / ".config/kfp/context.json"
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    "content, sentence",
    [
        pytest.param("{", "is not what the SDK wrote", id="no JSON"),
        pytest.param('{"namespace": "\xff"}', "is not what the SDK wrote", id="no text"),
        pytest.param("{}", "names no namespace", id="no namespace"),
        pytest.param(
            '{"namespace": "a", "client_authentication_header_name": "kubeflow-userid", '
            '"client_authentication_header_value": "s3cret"}',
            "adds a header",
            id="header",
        ),
    ],
)
def test_a_context_file_that_breaks_the_sdk_is_told(
    context, guarded_kfp, settings, content, sentence
):
    context.write_text(content, "latin-1")
    report = run_checks.examine(settings(guarded_kfp.endpoint))
    told = found(report)["context file"]
    assert told.result == FAILED and sentence in told.found
    assert pasted(told) == "rm ~/.config/kfp/context.json"
    assert "s3cret" not in str(report)


def test_a_context_file_that_leads_astray_is_told(context, serve, notebook, monkeypatch):
    context.write_text('{"namespace": "bob"}')
    said = refusal(403, 7, denied(ALICE, "list", "experiments", "bob"))
    server = serve(Odd, lambda request: said if request.path.endswith("experiments") else None)
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", server.endpoint)
    report = run_checks.examine(Kfp())
    told = found(report)["context file"]
    assert (told.result, told.found) == (FAILED, "It names bob, where KFP refuses us.")
    assert "overrides the pod's own" in told.cause


def test_a_context_file_that_works_is_no_failure(context, notebook):
    context.write_text('{"namespace": "alice"}')
    told = found(run_checks.examine(Kfp()))["context file"]
    assert (told.result, told.found) == (
        PASSED,
        "It names alice, which overrides the pod's own.",
    )
    told = found(run_checks.examine(Kfp(namespace="bob")))["context file"]
    assert told.found == "It names alice, which only kfp.Client() uses."


def test_an_sdk_for_another_kfp_is_told(guarded_kfp, settings, monkeypatch):
    monkeypatch.setattr(run_checks, "_version", lambda package: "1.8.22")
    told = found(run_checks.examine(settings(guarded_kfp.endpoint)))["versions"]
    assert "kfp 1.8.22 compiles pipelines for KFP 1, and this is 2.17.0" in told.cause
    assert pasted(told) == "pip install 'kfp>=2,<3'"


# --- how it is told -------------------------------------------------------------------------


@pytest.fixture
def poor(guarded_kfp, settings):
    """A report of all kinds of lines, and the token it was made with."""
    guarded_kfp.lets_in = lambda request: False
    given = settings(guarded_kfp.endpoint, aud="x" * 90)
    return run_checks.examine(given), Path(given.token_file).read_text()


def test_as_text_its_lines_fit_and_every_failure_has_its_remedy(poor):
    report, _ = poor
    lines = str(report).splitlines()
    assert max(map(len, lines[: len(report.findings)])) <= 80
    for failure in report.failed:
        assert f"✗ failed: {failure.check}" in lines
    assert lines[-1].startswith("2 failed, ")


def test_what_is_to_be_pasted_does_nothing_but_what_it_says(settings):
    looked_at = probe_requests.ProbedConnection(
        lambda: resolve(settings("http://kfp")), lambda: None, "x; evil"
    )
    assert " -n 'x; evil' " in run_checks._token_cure(looked_at)


def test_checks_that_wait_for_the_same_one_are_one_row(settings):
    report = run_checks.examine(settings("http://no-such-host.invalid"))
    row = next(row for row in report.rows if row.check.endswith(" checks"))
    assert row.found.startswith("Not checked: 'connection' has not passed. These are Istio, ")
    assert len(report.rows) < len(report.findings) and "healthz" in str(report)
    shown = {row.check for row in report.rows}
    assert all(each.check in shown or each.check in str(report.rows) for each in report.findings)


def test_a_cure_of_several_failures_is_told_once(poor):
    report, _ = poor
    assert str(report).count("kubectl create token") == 1
    assert ("✗ failed: KFP's answer", "The cure for audience fixes it, too.") in [
        (title, text.splitlines()[-1]) for title, text in report.remedies
    ]


def test_as_html_it_is_words_and_signs_and_escaped(poor):
    report, _ = poor
    html = render.html(report)
    for word in ("✓ passed", "✗ failed", "? not known", "var(--jp-error-color1"):
        assert word in html
    assert "&gt; ~/kfp-token" in html


def test_no_secret_is_told(poor):
    report, secret = poor
    told = str(report) + render.html(report) + repr(report)
    assert not any(part in told for part in secret.split("."))


def cli(*arguments, **environment):
    command = [sys.executable, "-m", "jupyter_kfp_mt.cli", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )


@pytest.fixture
def as_alice(local_kfp):
    return {
        "KFP_MT_ENDPOINT": local_kfp.endpoint,
        "KFP_MT_TOKEN_FILE": str(local_kfp.token_file("alice/default-editor")),
        "KFP_MT_NAMESPACE": "alice",
    }


def test_the_command_ends_with_what_it_found(as_alice):
    well = cli("doctor", **as_alice)
    assert (well.returncode, well.stderr) == (0, "")
    assert well.stdout.splitlines()[-1].startswith("Nothing failed")
    ill = cli("doctor", "--json", **{**as_alice, "KFP_MT_NAMESPACE": "bob"})
    assert ill.returncode == 1
    told = json.loads(ill.stdout)["findings"]
    failure, *_ = [finding for finding in told if finding["result"] == "failed"]
    assert failure["check"] == "KFP's answer" and failure["cause"] and failure["cure"]


def test_the_command_takes_the_namespace_as_an_option(as_alice):
    assert cli("doctor", "-n", "bob", **as_alice).returncode == 1


def test_the_command_reads_the_jupyter_servers_configuration(tmp_path, as_alice):
    lines = {"endpoint": "KFP_MT_ENDPOINT", "namespace": "KFP_MT_NAMESPACE"}
    lines = [f"c.Kfp.{name} = {as_alice.pop(each)!r}" for name, each in lines.items()]
    (tmp_path / "jupyter_server_config.py").write_text("\n".join(lines))
    told = cli("doctor", **as_alice, JUPYTER_CONFIG_DIR=str(tmp_path))
    assert "(given, or c.Kfp.endpoint)" in " ".join(told.stdout.split())
    assert told.returncode == 0


@pytest.mark.parametrize(
    "options, status, last",
    [
        pytest.param(
            [], 0, "No way to other tenants was open, among those that could be tried.", id="closed"
        ),
        pytest.param(
            ["--trust-userid-header"], 1, "This deployment does not keep its tenants", id="open"
        ),
    ],
)
def test_the_command_ends_with_whether_tenants_are_kept_apart(
    start_local_kfp, options, status, last
):
    server = start_local_kfp(*options)
    editor = str(server.token_file("alice/default-editor"))
    as_alice = {"KFP_MT_ENDPOINT": server.endpoint, "KFP_MT_TOKEN_FILE": editor}
    told = cli("doctor", "--isolation", **as_alice, KFP_MT_NAMESPACE="alice")
    assert told.stdout.rpartition("\n\n")[2].startswith(last)
    assert (told.returncode, told.stderr) == (status, "")


def test_the_command_says_what_is_no_namespace_of_others(as_alice):
    told = cli("doctor", "--namespace-of-others", "x; touch evil", **as_alice)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith("'x; touch evil' is not the name of a namespace.\n")


def test_the_command_says_what_it_does_not_understand():
    told = cli("doctor", "--nonsense")
    assert told.returncode == 2 and "unrecognized arguments: --nonsense" in told.stderr


# --- manifests ------------------------------------------------------------------------------


def kinds(text):
    return [(each["kind"], each["metadata"]["namespace"]) for each in yaml.safe_load_all(text)]


def test_the_manifests_of_a_namespace_are_one_stream():
    told = cli("manifests", "alice")
    assert kinds(told.stdout) == [
        ("PodDefault", "alice"),
        ("RoleBinding", "alice"),
        ("AuthorizationPolicy", "kubeflow"),
    ]
    assert told.returncode == 0


def test_the_manifests_of_a_person_let_them_in_through_the_gateway():
    told = cli("manifests", "alice", "--user", "bob@example.com", "--role", "view")
    _, binding, policy = yaml.safe_load_all(told.stdout)
    assert binding["subjects"][0]["name"] == "bob@example.com"
    assert binding["roleRef"]["name"] == "kubeflow-view"
    assert policy["metadata"]["namespace"] == "alice"


@pytest.mark.parametrize(
    "arguments", [["Alice"], ["alice", "--user", "b c"], ["alice", "--role", "admin"], []]
)
def test_manifests_of_what_cannot_be_are_refused_with_a_sentence(arguments):
    told = cli("manifests", *arguments)
    assert (told.returncode, told.stdout) == (2, "")
    assert "Traceback" not in told.stderr and told.stderr


# --- in a kernel ----------------------------------------------------------------------------


@pytest.fixture
def jp_server_config(local_kfp):
    return {
        "ServerApp": {"jpserver_extensions": {"jupyter_kfp_mt": True}},
        "Kfp": {
            "endpoint": local_kfp.endpoint,
            "token_file": str(local_kfp.token_file("alice/default-editor")),
            "namespace": "alice",
        },
    }


async def test_in_a_kernel_the_jupyter_server_looks(door):
    report = await asyncio.to_thread(run_checks.examine, Kfp())
    told = found(report)
    assert report.failed == []
    assert f"accepts this kernel's key at {door[0]}" in told["kernel key"].found
    assert told["subject"].found == ALICE
    assert "(given, or c.Kfp.endpoint)" in told["endpoint"].found
    assert told["in this kernel"].found.startswith("jupyter-kfp-mt ")
    assert door[1] not in str(report)
    passed = sum(finding.result == "passed" for finding in report.findings)
    assert f"{passed} passed" in report.conclusion


async def test_the_namespace_of_the_kernel_counts(door):
    told = found(await asyncio.to_thread(run_checks.examine, Kfp(), "bob"))
    assert told["namespace"].found == "bob (this session)"
    assert told["KFP's answer"].result == FAILED


async def test_through_the_door_tenants_are_tried_too(door):
    report = await asyncio.to_thread(run_checks.examine, Kfp(), "", True, ("bob",))
    assert report.failed == [] and found(report)["in bob"].result == PASSED


async def test_what_the_jupyter_server_cannot_look_at_is_said(door):
    with pytest.raises(errors.BadRequest, match="not the name of a namespace"):
        await asyncio.to_thread(run_checks.examine, Kfp(), "", True, ("x; touch evil",))


async def test_a_kernel_with_an_old_key_is_told(door, key_file, monkeypatch):
    monkeypatch.setenv("KFP_MT_DOOR_KEY_FILE", key_file)
    report = await asyncio.to_thread(run_checks.examine, Kfp())
    told = found(report)["kernel key"]
    assert told.found == "The Jupyter server does not accept this kernel's key."
    assert "Restart this kernel" in told.cure
    assert set(results(report).values()) == {FAILED, UNKNOWN}


def test_a_jupyter_server_that_is_gone_is_told(key_file, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("KFP_MT_DOOR", f"http://127.0.0.1:{port}/kfp-mt")
    monkeypatch.setenv("KFP_MT_DOOR_KEY_FILE", key_file)
    report = run_checks.examine(Kfp())
    assert "connection refused" in found(report)["kernel key"].found
    assert [each.check for each in report.failed] == ["kernel key"]


def test_a_key_that_went_with_its_jupyter_server_is_told(key_file, monkeypatch):
    monkeypatch.setenv("KFP_MT_DOOR", "http://127.0.0.1:9/kfp-mt")
    monkeypatch.setenv("KFP_MT_DOOR_KEY_FILE", f"{key_file}.gone")
    told = found(run_checks.examine(Kfp()))["kernel key"]
    assert told.found.endswith("cannot be read: No such file or directory.")
    assert "Restart this kernel" in told.cure


def test_an_older_jupyter_server_is_told(serve, key_file, monkeypatch):
    server = serve(Odd, lambda request: Answer(404, b""))
    monkeypatch.setenv("KFP_MT_DOOR", f"{server.endpoint}/kfp-mt")
    monkeypatch.setenv("KFP_MT_DOOR_KEY_FILE", key_file)
    told = found(run_checks.examine(Kfp()))["kernel key"]
    assert (
        "cannot check the connection (HTTP 404)" in told.found and "another version" in told.cause
    )


@pytest.fixture
def shell(monkeypatch, as_alice):
    for name, text in as_alice.items():
        monkeypatch.setenv(name, text)
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "jupyter_kfp_mt")
    yield shell
    shell.run_line_magic("unload_ext", "jupyter_kfp_mt")
    InteractiveShell.clear_instance()


def test_the_magic_looks_at_the_connection_of_its_session(shell, local_kfp):
    report = shell.run_line_magic("kfp", "doctor")
    assert report.failed == []
    formats, _ = shell.display_formatter.format(report)
    assert formats["text/plain"] == str(report)
    assert "✓ passed" in formats["text/html"]
    apart = shell.run_line_magic("kfp", "doctor --isolation --namespace-of-others bob")
    assert found(apart)["in bob"].result == PASSED


def test_a_proxy_without_a_scheme_is_one_as_well(settings, monkeypatch):
    monkeypatch.setenv("http_proxy", "proxy.invalid:3128")
    monkeypatch.setenv("no_proxy", "")
    looked_at = probe_requests.ProbedConnection(
        lambda: resolve(settings("http://kfp.invalid")), lambda: None
    )
    assert looked_at.proxy == "proxy.invalid"


@pytest.mark.parametrize(
    "told, hub, result, said",
    [
        pytest.param("", "", PASSED, "Not trusted: contributors can be changed", id="by default"),
        pytest.param("1", "", PASSED, "Trusted: c.Kfp.behind_kubeflow_gateway", id="told to"),
        pytest.param("1", "http://hub", FAILED, "Not trusted under JupyterHub", id="under a hub"),
    ],
)
def test_whether_a_header_says_who_is_signed_in_is_told(monkeypatch, told, hub, result, said):
    monkeypatch.setenv("KFP_MT_BEHIND_KUBEFLOW_GATEWAY", told)
    monkeypatch.setenv("JUPYTERHUB_API_URL", hub)
    shown = found(run_checks.examine(Kfp()))["kubeflow-userid"]
    assert shown.result == result and shown.found.startswith(said)
    assert ("Leave out" in shown.cure) == (result == FAILED)
