"""The checks that tenants are kept apart: the requests that are tried, and the findings."""

import re

import pytest
import yaml
from fakes.guarded_kfp import Answer, GuardedKfp, redirect, refusal
from fakes.kubernetes_api import ALICE
from harness.local_kfp import denied

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.doctor import isolation_checks, run_checks
from jupyter_kfp_mt.doctor.check_results import FAILED, PASSED, UNKNOWN
from jupyter_kfp_mt.settings import Kfp

LOG = "/apis/v1alpha1/runs/"


def apart(endpoint, token_file, *others, namespace="alice"):
    settings = Kfp(endpoint=endpoint, token_file=str(token_file), namespace=namespace)
    report = run_checks.examine(settings, apart=True, others=others)
    return report, {finding.check: finding for finding in report.findings}


@pytest.fixture(autouse=True)
def no_door(monkeypatch, tmp_path):
    monkeypatch.delenv("KFP_MT_DOOR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_the_local_kfp_keeps_its_tenants_apart(local_kfp, upload, create_run, unique):
    assert upload(unique).status_code == 200 and create_run().status_code == 200
    token = local_kfp.token_file("alice/default-editor")
    report, found = apart(local_kfp.endpoint, token, "bob")
    assert {finding.result for finding in report.findings} == {PASSED}
    assert list(found) == [
        *("users", "own namespace", "anonymous lists", "in bob", "in kubeflow"),
        *("in no.such.namespace", "forged header", "pipeline names", "anonymous logs"),
    ]
    assert report.conclusion == (
        "This deployment keeps its tenants apart, as far as one identity can tell by reading."
    )


def test_a_local_kfp_that_believes_a_header_is_found_out(start_local_kfp):
    server = start_local_kfp("--trust-userid-header")
    report, found = apart(server.endpoint, server.token_file("alice/default-editor"))
    told = found["forged header"]
    assert told.found.startswith("KFP trusts the user's name in header kubeflow-userid")
    assert pasted(told)["metadata"]["name"] == "ml-pipeline"
    assert report.conclusion.startswith("This deployment does not keep its tenants apart")


def pasted(finding):
    manifest = re.search(r"<<'END'\n(.*)\nEND", finding.cure, re.DOTALL)
    return yaml.safe_load(manifest[1])


class Leaky(GuardedKfp):
    """A KFP that knows alice by her token, and is closed but for what a test opens."""

    def __init__(self):
        self.opens = lambda request: None
        super().__init__()

    def answer(self, request):
        path = request.path.removeprefix("/apis/v2beta1/")
        own = request.query.get("namespace") == "alice"
        known = "Authorization" in request.headers
        if path == "healthz":
            return super().answer(request)
        if answer := self.opens(request):
            return answer
        if not known:
            return refusal(401, 16, "User identity is empty in the request header")
        if not own:
            where = request.query.get("namespace", "")
            return refusal(403, 7, denied(ALICE, "list", path, where))
        return Answer(200, {path: [{"name": "a/b", "run_id": "r", "pipeline_id": "p"}]})


@pytest.fixture
def leaky(serve):
    return serve(Leaky)


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.write_text("s3cret")
    return path


def test_a_closed_kfp_passes(leaky, token):
    report, _ = apart(leaky.endpoint, token)
    assert {finding.result for finding in report.findings} == {PASSED}


def test_only_the_forged_header_was_ever_sent_but_the_token_and_nothing_changed(leaky, token):
    apart(leaky.endpoint, token)
    assert {request.method for request in leaky.asked} == {"GET"}
    forged = [request for request in leaky.asked if "kubeflow-userid" in request.headers]
    assert {request.headers["kubeflow-userid"] for request in forged} == {isolation_checks.NOBODY}


def anonymous(request):
    return "Authorization" not in request.headers


def foreign(name):
    return lambda request: request.query.get("namespace") == name


def named(request):
    return request.path.endswith("/pipelines/names/a%2Fb")


def logs(request):
    return request.path.startswith(LOG)


@pytest.mark.parametrize(
    "opens, check, sentence, cure",
    [
        pytest.param(
            lambda request: anonymous(request) and "experiments" in request.path,
            "anonymous lists",
            "Anybody can list experiments in alice",
            "MULTIUSER_SHARED_READ=false",
            id="anonymous list",
        ),
        pytest.param(
            lambda request: anonymous(request) and "recurringruns" in request.path,
            "anonymous lists",
            "Anybody can list recurringruns in alice",
            "MULTIUSER_SHARED_READ=false",
            id="anonymous list of one kind",
        ),
        pytest.param(
            foreign("bob"),
            "in bob",
            "This identity can list experiments in bob.",
            "kubectl get rolebindings -n bob",
            id="foreign namespace",
        ),
        pytest.param(
            foreign(isolation_checks.IMPOSSIBLE),
            "in no.such.namespace",
            "can list experiments in any namespace",
            "kubectl get clusterrolebindings",
            id="impossible namespace",
        ),
        pytest.param(
            named,
            "pipeline names",
            "Anybody who knows a pipeline's name can read it",
            "/apis/v2beta1/pipelines/names/*",
            id="pipeline by name",
        ),
        pytest.param(
            logs,
            "anonymous logs",
            "Anybody who knows a run's id can read the logs",
            "/apis/v1alpha1/*",
            id="anonymous logs",
        ),
    ],
)
def test_what_is_open_is_told_with_what_closes_it(leaky, token, opens, check, sentence, cure):
    leaky.opens = lambda request: Answer(200, {}) if opens(request) else None
    report, found = apart(leaky.endpoint, token, "bob")
    assert sentence in found[check].found and cure in found[check].cure and found[check].cause
    assert [failure.check for failure in report.failed] == [check]
    assert "1 ways" not in report.conclusion and "1 way is open" in report.conclusion


@pytest.mark.parametrize(
    "header", ["kubeflow-userid", "x-goog-authenticated-user-email"], ids=["kubeflow", "google"]
)
@pytest.mark.parametrize("with_token", [False, True], ids=["alone", "beside a token"])
def test_a_header_that_is_believed_is_told(leaky, token, header, with_token):
    said = refusal(403, 7, denied(isolation_checks.NOBODY, "list", "runs"))
    leaky.opens = lambda request: (
        said if header in request.headers and anonymous(request) != with_token else None
    )
    report, found = apart(leaky.endpoint, token)
    assert f"in header {header}: everybody can act as any user" in found["forged header"].found
    assert [failure.check for failure in report.failed] == ["forged header"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(403, b"RBAC: access denied", "text/plain"), id="Istio"),
        pytest.param(redirect("/dex/auth"), id="login"),
    ],
)
def test_to_be_sent_away_by_a_gateway_is_to_be_kept_apart(leaky, token, answer):
    leaky.opens = lambda request: answer if anonymous(request) else None
    report, _ = apart(leaky.endpoint, token)
    assert {finding.result for finding in report.findings} == {PASSED}


def test_logs_of_a_run_of_ones_own_are_tried_where_only_those_tell(leaky, token):
    unguarded = {
        f"{LOG}{isolation_checks._NO_RUN}/nodes/kfp-mt-doctor/log": Answer(404, b""),
        f"{LOG}r/nodes/kfp-mt-doctor/log": Answer(200, b"a log"),
    }
    leaky.opens = lambda request: unguarded.get(request.path)
    report, found = apart(leaky.endpoint, token)
    assert found["anonymous logs"].result == FAILED
    assert "a log" not in str(report)


def test_an_identity_that_sees_nothing_proves_nothing(leaky, token):
    report, found = apart(leaky.endpoint, token, namespace="bob")
    assert "prove nothing: User" in found["own namespace"].found
    results = [finding.result for finding in report.findings]
    assert results == [PASSED, *[UNKNOWN] * 6, PASSED]
    assert report.conclusion.startswith(
        "No way to other tenants was open, among those that could be tried. Not known: own name"
    )


def test_an_answer_that_says_nothing_is_not_known(leaky, token):
    leaky.opens = lambda request: Answer(500, b"{}") if anonymous(request) else None
    report, found = apart(leaky.endpoint, token)
    for check in ("anonymous lists", "forged header", "pipeline names", "anonymous logs"):
        assert found[check].result == UNKNOWN and "HTTP 500" in found[check].found
    assert report.failed == []


def test_no_answer_from_a_foreign_namespace_is_no_refusal(leaky, token):
    leaky.opens = lambda request: Answer(500, b"{}") if foreign("bob")(request) else None
    _, found = apart(leaky.endpoint, token, "bob")
    assert (found["in bob"].result, "HTTP 500" in found["in bob"].found) == (UNKNOWN, True)


def test_without_a_pipeline_names_cannot_be_tried(leaky, token):
    leaky.opens = lambda request: (
        Answer(200, {}) if not anonymous(request) and "pipelines" in request.path else None
    )
    _, found = apart(leaky.endpoint, token)
    assert "%kfp upload adds one" in found["pipeline names"].found


def test_a_kfp_for_a_single_user_keeps_nobody_apart(serve):
    single = serve(GuardedKfp, multi_user=False)
    report, found = apart(single.endpoint, "")
    assert found["users"].result == FAILED and "shares everything" in found["users"].found
    assert [failure.check for failure in report.failed] == ["users"]


def test_ones_own_namespace_is_not_foreign(leaky, token):
    _, found = apart(leaky.endpoint, token, "alice")
    assert found["in alice"].result == UNKNOWN


def test_each_namespace_of_others_is_told_however_alike_they_begin(leaky, token):
    alike = [f"a-team-of-data-scientists-{number}" for number in (1, 2)]
    leaky.opens = lambda request: foreign(alike[1])(request) and Answer(200, {})
    _, found = apart(leaky.endpoint, token, *alike, alike[0])
    told = [finding for check, finding in found.items() if "a-team" in check]
    assert [finding.result for finding in told] == [PASSED, FAILED]


@pytest.mark.parametrize(
    "others, sentence",
    [
        pytest.param(["x; touch evil"], "not the name of a namespace", id="no name"),
        pytest.param([f"n{number}" for number in range(21)], "more than 20", id="too many"),
    ],
)
def test_what_are_no_namespaces_of_others_is_said(leaky, token, others, sentence):
    with pytest.raises(errors.BadRequest, match=sentence):
        apart(leaky.endpoint, token, *others)
    assert leaky.asked == []


def test_a_kfp_for_a_single_user_is_not_cured_by_a_setting(serve):
    _, found = apart(serve(GuardedKfp, multi_user=False).endpoint, "")
    assert "kubectl" not in found["users"].cure
