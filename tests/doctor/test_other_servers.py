"""Other servers in KFP's place, and addresses as people paste them: each with the way on."""

import json

import pytest
from fakes.guarded_kfp import Answer, Server

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.client.transport import checked_endpoint
from jupyter_kfp_mt.connection.choose_connection import decide
from jupyter_kfp_mt.doctor import run_checks
from jupyter_kfp_mt.doctor.check_results import FAILED, PASSED, UNKNOWN
from jupyter_kfp_mt.errors import KfpError
from jupyter_kfp_mt.settings import Kfp

HEALTHY = Answer(200, {"multi_user": True})
NO_PATH = Answer(404, {"code": 5, "message": "Not Found", "details": []})
PLAIN = "text/plain"


class Other(Server):
    """A server that is not quite KFP."""

    def __init__(self, answers):
        self.answer = answers
        super().__init__()


def always(status, body, kind=PLAIN, **headers):
    return lambda request: Answer(status, body, kind, **headers)


def moved(to, status=301):
    return lambda request: Answer(status, b"", "text/html", Location=to.format(path=request.path))


def below_pipeline(otherwise):
    def answer(request):
        if not request.path.startswith("/pipeline/apis/"):
            return otherwise
        return HEALTHY if request.path.endswith("healthz") else Answer(200, {})

    return answer


def version_1(request):
    return HEALTHY if request.path == "/apis/v1beta1/healthz" else NO_PATH


IAP = "https://accounts.google.com/o/oauth2/v2/auth?client_id=x.apps.googleusercontent.com&state=s"
# What answers; what is said, why, and what mends it. ENDPOINT is the server's address.
KINDS = [
    pytest.param(
        moved("https://kubeflow.example.com{path}"),
        "redirects to https://kubeflow.example.com",
        "only ever sent to the endpoint",
        "c.Kfp.endpoint = 'https://kubeflow.example.com'",
        id="HTTP to HTTPS",
    ),
    pytest.param(
        moved("/pipeline{path}", 308),
        "redirects to ENDPOINT/pipeline",
        "only ever sent to the endpoint",
        "c.Kfp.endpoint = 'ENDPOINT/pipeline'",
        id="to a prefix",
    ),
    pytest.param(
        moved("https://kubeflow.example.com/_/pipeline/?ns=alice#/runs", 302),
        "redirects to https://kubeflow.example.com/pipeline",
        "only ever sent to the endpoint",
        "c.Kfp.endpoint = 'https://kubeflow.example.com/pipeline'",
        id="to KFP's pages",
    ),
    pytest.param(
        below_pipeline(Answer(404, b"404 page not found", PLAIN)),
        "nothing answers at this path",
        "endpoint is not KFP's",
        "c.Kfp.endpoint = 'ENDPOINT/pipeline'",
        id="below a prefix",
    ),
    pytest.param(
        below_pipeline(Answer(200, b"<title>Dashboard</title>", "text/html")),
        "not KFP",
        "dashboard",
        "ENDPOINT/pipeline",
        id="a dashboard",
    ),
    pytest.param(
        always(200, b"<!doctype html><p>Hello", "text/html"),
        "not KFP",
        "login page",
        "ENDPOINT/pipeline",
        id="a web page",
    ),
    pytest.param(
        always(403, b"Audiences in Jwt are not allowed", server="istio-envoy"),
        "Audiences in Jwt are not allowed",
        "does not accept the audience",
        "pipelines.kubeflow.org",
        id="Istio wants another audience",
    ),
    pytest.param(
        always(401, b"Jwt is expired", server="istio-envoy"),
        "Jwt is expired",
        "not valid now",
        "Renew it",
        id="Istio finds the token expired",
    ),
    pytest.param(
        always(401, b"Jwks doesn't have key to match kid or alg from Jwt", server="istio-envoy"),
        "Jwks doesn't have key",
        "those that this cluster issues",
        "issuer",
        id="Istio trusts another issuer",
    ),
    pytest.param(version_1, "API v2beta1", "KFP 1 has", "upgrade it to KFP 2", id="KFP 1"),
    pytest.param(
        moved(IAP, 302),
        "Google's sign-in",
        "Identity-Aware Proxy",
        "c.Kfp.iap_client_id = 'x.apps.googleusercontent.com'",
        id="IAP",
    ),
    pytest.param(
        always(401, b"Invalid IAP credentials: empty token"),
        "Google's sign-in",
        "Identity-Aware Proxy",
        "c.Kfp.iap_client_id = 'CLIENT_ID'",
        id="IAP without a redirect",
    ),
    pytest.param(
        always(400, b"Client sent an HTTP request to an HTTPS server.\n"),
        "speaks HTTPS",
        "only https://",
        "c.Kfp.endpoint = 'https://HOST'",
        id="HTTP at HTTPS",
    ),
    pytest.param(
        always(
            400,
            b"<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>",
            "text/html",
        ),
        "speaks HTTPS",
        "only https://",
        "c.Kfp.endpoint = 'https://HOST'",
        id="HTTP at nginx's HTTPS",
    ),
    pytest.param(
        always(
            403,
            b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
            "application/xml",
        ),
        "an object store",
        "port or the service of the store",
        "port 8888",
        id="an object store",
    ),
    pytest.param(
        always(302, b"", "text/html", Location="/dex/auth?client_id=kubeflow"),
        "not KFP",
        "login page",
        "c.Kfp.login_file",
        id="a login",
    ),
]


@pytest.fixture(autouse=True)
def no_door(monkeypatch, tmp_path):
    monkeypatch.delenv("KFP_MT_DOOR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def filled(text, server):
    return text.replace("ENDPOINT", server.endpoint).replace("HOST", server.host)


@pytest.mark.parametrize("answers, said, cause, cure", KINDS)
def test_whatever_stands_there_a_verb_is_told_why_and_what_mends_it(
    serve, shell, token_file, answers, said, cause, cure
):
    server = serve(Other, answers)
    shell.run_line_magic("config", f"KfpMagics.endpoint = '{server.endpoint}'")
    shell.run_line_magic("config", f"KfpMagics.token_file = '{token_file}'")
    shell.run_line_magic("config", "KfpMagics.namespace = 'alice'")
    with pytest.raises(KfpError) as error:
        shell.run_line_magic("kfp", "runs")
    told = str(error.value)
    for text in (said, cause, cure):
        assert filled(text, server) in told


@pytest.mark.parametrize("answers, said, cause, cure", KINDS)
def test_whatever_stands_there_the_doctor_tells_the_same(
    serve, token_file, answers, said, cause, cure
):
    server = serve(Other, answers)
    settings = Kfp(endpoint=server.endpoint, token_file=str(token_file), namespace="alice")
    report = run_checks.examine(settings)
    found = report.failed[0]
    assert found.check in ("healthz", "Istio")
    for told, text in ((found.found, said), (found.cause, cause), (found.cure, cure)):
        assert filled(text, server) in told


@pytest.mark.parametrize("answers, said, cause, cure", KINDS)
def test_whatever_stands_there_is_no_way_that_is_open(
    serve, token_file, answers, said, cause, cure
):
    server = serve(Other, answers)
    settings = Kfp(endpoint=server.endpoint, token_file=str(token_file), namespace="alice")
    report = run_checks.examine(settings, apart=True)
    assert {finding.result for finding in report.findings} == {UNKNOWN}
    assert "open" not in report.conclusion.replace("No way to other tenants was open", "")


def test_a_kfp_that_does_not_answer_is_no_way_that_is_open(serve, token_file):
    server = serve(Other, version_1)
    server.close()
    settings = Kfp(endpoint=server.endpoint, token_file=str(token_file), namespace="alice")
    report = run_checks.examine(settings, apart=True)
    assert not report.failed and report.conclusion.startswith("No way to other tenants was open,")


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(moved("https://a@evil.example{path}"), id="a user in the address"),
        pytest.param(moved("javascript:alert(1)//{path}"), id="no address of HTTP"),
        pytest.param(moved("{path}"), id="itself"),
        pytest.param(always(302, b""), id="nowhere"),
    ],
)
def test_a_redirect_that_names_no_other_kfp_names_none(serve, token_file, answers):
    server = serve(Other, answers)
    settings = Kfp(endpoint=server.endpoint, token_file=str(token_file), namespace="alice")
    found = run_checks.examine(settings).failed[0]
    assert "redirects to" not in found.found and "not KFP" in found.found and found.cure


def test_a_cookie_is_not_blamed_for_a_kfp_that_is_elsewhere(serve, tmp_path):
    cookie = tmp_path / "cookie"
    cookie.write_text("session=x")
    server = serve(Other, moved("https://kubeflow.example.com{path}"))
    settings = Kfp(endpoint=server.endpoint, cookie_file=str(cookie), namespace="alice")
    client = decide(settings).client()
    with pytest.raises(errors.Unreachable, match="redirects to https://kubeflow.example.com"):
        client.run_page()
    client.close()


def test_a_redirect_to_what_is_no_address_is_told_so(serve, token_file):
    server = serve(Other, moved("http://[{path}"))
    settings = Kfp(endpoint=server.endpoint, token_file=str(token_file), namespace="alice")
    found = run_checks.examine(settings).failed[0]
    assert "invalid address" in found.found and "KFP's own address" in found.cure
    with pytest.raises(errors.Unreachable, match="invalid address"):
        Client(server.endpoint, namespace="alice").run_page()


# --- addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "after",
    ["", "/", "/#/runs", "/#/runs/details/x?y=1", "/apis/v2beta1", "/apis/v2beta1/healthz", "/apis"]
    + ["/?ns=alice", "?ns=alice", "#", "  ", "/apis/v2beta1/runs?page_size=1#x", "/#/compare?a@b"],
)
@pytest.mark.parametrize("before", ["", "  "])
def test_what_a_browser_shows_after_an_endpoint_is_left_off(local_kfp, before, after):
    assert checked_endpoint(f"{before}{local_kfp.endpoint}{after}") == local_kfp.endpoint


@pytest.mark.parametrize(
    "shown",
    ["/_/pipeline/?ns=alice#/runs", "/_/pipeline", "/pipeline/#/experiments", "/pipeline/apis/v1"],
)
def test_the_page_in_kubeflows_dashboard_leads_to_the_kfp_behind_it(shown):
    address = checked_endpoint(f"https://kubeflow.example.com{shown}")
    assert address == "https://kubeflow.example.com/pipeline"


@pytest.mark.parametrize("address", ["", "#/runs", "localhost:8888", "https://", "kubeflow"])
def test_what_is_no_address_is_told_so(address):
    with pytest.raises(errors.Misconfigured, match="is not an address of KFP") as error:
        checked_endpoint(address)
    assert "http://" in error.value.cure


def test_an_address_of_a_browser_is_connected_to(shell, local_kfp):
    token = local_kfp.token_file("alice/default-editor")
    line = f"connect --endpoint '{local_kfp.endpoint}/#/runs' --token-file {token} -n alice"
    found = shell.run_line_magic("kfp", line)
    assert found.status.endpoint == local_kfp.endpoint
    assert all(check.works for check in found.checks)


def test_the_cures_of_two_leaks_are_one_object(serve, token_file):
    def leaks(request):
        if request.path.endswith("healthz"):
            return HEALTHY
        if "/names/" in request.path or "/v1alpha1/" in request.path:
            return Answer(200, {})
        if "Authorization" not in request.headers:
            return Answer(401, {"code": 16, "message": "User identity is empty"})
        noun = request.path.rpartition("/")[2]
        own = request.query.get("namespace") == "alice"
        one = {noun: [{"name": "p", "run_id": "r"}]}
        return Answer(200, one) if own else Answer(403, {"code": 7, "message": "no"})

    server = serve(Other, leaks)
    settings = Kfp(endpoint=server.endpoint, token_file=str(token_file), namespace="alice")
    report = run_checks.examine(settings, apart=True)
    found = {finding.check: finding for finding in report.findings}
    names, logs = found["pipeline names"], found["anonymous logs"]
    assert names.result == logs.result == FAILED and names.cure == logs.cure
    assert "/apis/v1alpha1/*" in names.cure and "/apis/v2beta1/pipelines/names/*" in names.cure
    assert found["users"].result == PASSED and json.dumps(names.cure).count("kind: Auth") == 1
