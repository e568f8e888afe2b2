"""Decisions that are made again: credentials that were none, and what may stand beside others."""

import pytest
from fakes.guarded_kfp import GuardedKfp
from fakes.kubernetes_api import ALICE

from jupyter_kfp_mt import errors, refusal_causes
from jupyter_kfp_mt.connection.choose_connection import decide
from jupyter_kfp_mt.settings import CREDENTIALS, Kfp, variable


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch, tmp_path):
    for name in ("endpoint", "namespace", "door", *CREDENTIALS):
        monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.delenv("KF_PIPELINES_SA_TOKEN_PATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def asking(serve):
    """A KFP that lets in who shows the token `first`."""
    kfp = serve(GuardedKfp)
    kfp.lets_in = lambda request: request.headers["Authorization"] == "Bearer first"
    return kfp


def test_credentials_that_were_none_are_decided_anew_after_a_refusal(
    asking, token_file, monkeypatch
):
    client = decide(Kfp(endpoint=asking.endpoint, namespace="alice")).client()
    with pytest.raises(errors.Unauthenticated):
        client.run_page()
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(token_file))
    assert client.run_page() is not None
    assert client.credentials.source != "none"
    client.close()


def test_a_session_that_began_without_a_token_finds_it_and_the_doctor_sees_the_same(
    asking, shell, token_file, monkeypatch
):
    shell.run_line_magic("config", f"KfpMagics.endpoint = '{asking.endpoint}'")
    shell.run_line_magic("config", "KfpMagics.namespace = 'alice'")
    before = shell.run_line_magic("kfp", "doctor")
    assert "KFP's answer" not in [each.check for each in before.findings if each.result == "passed"]
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(token_file))
    assert shell.run_line_magic("kfp", "runs") is not None
    after = shell.run_line_magic("kfp", "doctor")
    assert "KFP's answer" in [each.check for each in after.findings if each.result == "passed"]


def test_none_that_is_asked_for_stays_none(asking, token_file, monkeypatch):
    client = decide(Kfp(endpoint=asking.endpoint, namespace="alice", auth="none")).client()
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(token_file))
    with pytest.raises(errors.Unauthenticated):
        client.run_page()
    client.close()


@pytest.mark.parametrize("by", ["setting", "variable"])
@pytest.mark.parametrize("kind", ["token_file", "auth", "nothing"])
def test_a_kubeconfig_for_logs_stands_beside_any_credentials(
    asking, token_file, kubernetes_api, monkeypatch, kind, by
):
    beside = {"token_file": {"token_file": str(token_file)}, "auth": {"auth": "none"}}.get(kind, {})
    file = str(kubernetes_api.kubeconfig(ALICE))
    if by == "variable":
        monkeypatch.setenv("KFP_MT_KUBECONFIG", file)
    else:
        beside["kubeconfig"] = file
    found = decide(Kfp(endpoint=asking.endpoint, namespace="alice", **beside))
    cluster = found.cluster()
    assert cluster is not None and cluster.who() == ALICE
    cluster.close()


def test_a_kubeconfig_alone_still_asks_what_it_is_for(tmp_path, kubernetes_api):
    file = str(kubernetes_api.kubeconfig(ALICE))
    with pytest.raises(errors.Misconfigured, match="kubeconfig is set, but no kind") as error:
        decide(Kfp(kubeconfig=file, data=str(tmp_path)))
    assert "'kubeconfig' or 'kubernetes'" in error.value.cure


def test_the_cure_for_a_refused_service_proxy_asks_kubernetes_for_a_token():
    body = b'{"kind": "Status", "message": "services is forbidden", "code": 403}'
    assert "KFP_MT_AUTH=kubernetes" in refusal_causes.refusal(403, body).cure
