"""Credentials from Kubernetes: a token asked for a service account, and a kubeconfig's own."""

import base64
import json
import os
import stat
import sys
from contextlib import closing
from datetime import timedelta

import jwt
import pytest
from fakes.kubernetes_api import ALICE
from kubernetes.config.kube_config import KubeConfigLoader

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.cluster import own_pod
from jupyter_kfp_mt.cluster.kubernetes_api import Cluster
from jupyter_kfp_mt.connection.choose_connection import resolve
from jupyter_kfp_mt.connection.status import ConnectionStatus
from jupyter_kfp_mt.credentials import Kubeconfig, KubernetesTokenRequest, renewal
from jupyter_kfp_mt.namespaces.namespace_source import DirectNamespaceSource
from jupyter_kfp_mt.namespaces.recent_namespaces import UsedNamespaces
from jupyter_kfp_mt.settings import CREDENTIALS, Kfp, variable

PROXY = "/api/v1/namespaces/kubeflow/services/http:ml-pipeline:8888/proxy"


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """Neither a pod nor anything configured."""
    names = [variable(name) for name in ("endpoint", "namespace", *CREDENTIALS)]
    names += ["KF_PIPELINES_ENDPOINT", "KF_PIPELINES_SA_TOKEN_PATH", "KUBERNETES_SERVICE_HOST"]
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(own_pod, "SECRETS", tmp_path / "secrets")


@pytest.fixture
def notebook(in_pod):
    """This process as a notebook in a pod of `user`, without a projected token."""
    return in_pod


def lines(found):
    return [(step.looked_at, step.found) for step in found.trace if step.step == "credentials"]


# --- token requests -------------------------------------------------------------------------


def test_a_pod_without_a_projected_token_asks_kubernetes_for_one(notebook):
    notebook()
    found = resolve(Kfp(endpoint="http://kfp"))
    assert found.credentials.source == "token request for alice/default-editor"
    header = found.credentials.headers()["Authorization"]
    claims = jwt.decode(header.split()[1], options={"verify_signature": False})
    assert (claims["sub"], claims["aud"]) == (ALICE, ["pipelines.kubeflow.org"])
    assert found.trace[-1].chosen


def test_deciding_again_asks_for_no_other_token(notebook, kubernetes_api):
    notebook()
    first = resolve(Kfp(endpoint="http://kfp"))
    again = resolve(Kfp(endpoint="http://kfp"))
    assert again.is_same(first)
    assert again.credentials is first.credentials


def test_a_role_that_allows_no_token_request_is_the_reason_in_the_trace(notebook, kubernetes_api):
    notebook("system:serviceaccount:alice:default-viewer")
    found = resolve(Kfp(endpoint="http://kfp"))
    assert found.credentials.headers() == {}
    reasons = dict(lines(found))
    assert "may not create serviceaccounts/token" in reasons["a token request to Kubernetes"]
    assert reasons["KF_PIPELINES_SA_TOKEN_PATH"] == "nothing"
    assert lines(found)[-1] == ("nothing else fits", "none")


def test_a_configured_service_account_is_asked_for_and_a_refusal_told(notebook):
    notebook()
    found = resolve(Kfp(endpoint="http://kfp", service_account="bob/default-editor"))
    with pytest.raises(errors.Forbidden, match="may not create serviceaccounts/token") as error:
        found.credentials.headers()
    assert "kubectl create rolebinding" in error.value.cure
    assert found.status().error.kind == "Forbidden"


def test_outside_a_pod_the_kubeconfig_asks_for_the_token(kubernetes_api, guarded_kfp):
    settings = Kfp(
        endpoint=guarded_kfp.endpoint,
        auth="kubernetes",
        namespace="alice",
        kubeconfig=str(kubernetes_api.kubeconfig(ALICE)),
    )
    found = resolve(settings)
    client = found.client()
    client.run_page()
    client.close()
    sent = guarded_kfp.asked[-1].headers["Authorization"].split()[1]
    assert jwt.decode(sent, options={"verify_signature": False})["sub"] == ALICE
    assert found.status().identity.subject == ALICE
    assert found.status().identity.expires_at is not None


def test_a_token_that_kfp_refused_is_asked_for_anew(in_pod):
    credentials = KubernetesTokenRequest(Cluster.of_pod(in_pod()), "alice", "default-editor")
    first = credentials.headers()
    assert credentials.renewed(first)
    assert credentials.headers() != first


def test_a_service_account_that_is_gone_is_told_with_its_cure(in_pod, kubernetes_api, guarded_kfp):
    credentials = KubernetesTokenRequest(Cluster.of_pod(in_pod()), "alice", "default-editor")
    client = Client(guarded_kfp.endpoint, credentials, "alice")
    client.run_page()
    kubernetes_api.remove("serviceaccounts", "default-editor", "alice")
    client.run_page()  # its token is good until it ends, or is refused
    guarded_kfp.lets_in = lambda request: False
    for kind in (errors.Misconfigured, errors.Unauthenticated):  # the second asks for no other
        with pytest.raises(kind, match="no service account default-editor in namesp") as error:
            client.run_page()
        assert error.value.cure.endswith("\nkubectl get serviceaccounts -n alice")
    client.close()


def test_a_valid_token_is_used_while_kubernetes_is_away(in_pod, kubernetes_api, monkeypatch):
    monkeypatch.setattr(renewal, "LIFE_USED", 0)  # it is to be renewed at once
    monkeypatch.setattr(renewal, "LEAST", timedelta())
    credentials = KubernetesTokenRequest(Cluster.of_pod(in_pod()), "alice", "default-editor")
    first = credentials.headers()
    kubernetes_api.forbid(ALICE)
    assert credentials.headers() == first


# --- a kubeconfig ---------------------------------------------------------------------------


@pytest.fixture
def behind(kubernetes_api, guarded_kfp):
    """A KFP behind the service proxy, and the settings with which alice comes there."""
    kubernetes_api.services["kubeflow/http:ml-pipeline:8888"] = guarded_kfp.endpoint
    for verb in ("get", "create"):
        kubernetes_api.allow(ALICE, verb, "services/proxy", "kubeflow")

    def behind(user=ALICE, **credentials):
        file = kubernetes_api.kubeconfig(user, **credentials)
        return Kfp(auth="kubeconfig", kubeconfig=str(file), namespace="alice")

    return behind


@pytest.fixture
def plugin(tmp_path, kubernetes_api):
    """The entry of a kubeconfig for a plugin that gives alice's token."""
    path = tmp_path / "plugin"
    token = kubernetes_api.token(ALICE)
    answer = (
        '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", '
        f'"status": {{"token": "{token}"}}}}'
    )
    path.write_text(f"#!{sys.executable}\nprint({answer!r})\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    version = "client.authentication.k8s.io/v1"
    return {"command": str(path), "apiVersion": version, "interactiveMode": "Never"}


def certificate(kubernetes_api):
    """Alice's client certificate, as a kubeconfig holds it."""
    certificate, key = kubernetes_api.certificates.client(ALICE)
    encoded = [base64.b64encode(path.read_bytes()).decode() for path in (certificate, key)]
    return dict(zip(("client-certificate-data", "client-key-data"), encoded, strict=True))


@pytest.mark.parametrize("kind", ["token", "certificate", "plugin"])
def test_a_kubeconfig_leads_to_a_kfp_for_a_single_user(
    behind, kubernetes_api, guarded_kfp, plugin, kind
):
    credentials = {
        "token": {},
        "certificate": certificate(kubernetes_api),
        "plugin": {"exec": plugin},
    }[kind]
    guarded_kfp.multi_user = False
    found = resolve(behind(**credentials))
    assert found.endpoint == kubernetes_api.endpoint + PROXY
    assert found.status().error is None
    client = found.client()
    assert client.run_page().items == []
    client.close()
    assert "Authorization" not in guarded_kfp.asked[-1].headers


def test_deciding_again_runs_no_plugin_until_the_file_changes(behind, plugin, tmp_path):
    with open(plugin["command"], "a") as script:
        script.write(f"open({str(tmp_path / 'ran')!r}, 'a').write('x')\n")
    settings = behind(exec=plugin)
    assert resolve(settings).credentials is resolve(settings).credentials
    assert (tmp_path / "ran").read_text() == "x"
    os.utime(settings.kubeconfig, (1, 1))
    resolve(settings)
    assert (tmp_path / "ran").read_text() == "xx"


TALKS = "print('s3cret'); print('s3cret', file=sys.stderr); "
STATUS = "print(json.dumps({'apiVersion': version, 'status': %s}))"


@pytest.mark.parametrize(
    "code, sentence",
    [
        pytest.param(TALKS + "time.sleep(60)", "did not end within 1 s", id="hangs"),
        pytest.param(TALKS + "input()", "ended with status 1", id="asks"),
        pytest.param(TALKS + "open('/dev/tty').read()", "status 1", id="asks a terminal"),
        pytest.param(TALKS + "sys.exit(3)", "ended with status 3", id="fails"),
        pytest.param(TALKS, "did not print an ExecCredential of client.auth", id="garbage"),
        pytest.param("pass", "did not print an ExecCredential", id="nothing"),
        pytest.param(
            "version += 'beta1';" + STATUS % "{}", "not print an Exec", id="another version"
        ),
        pytest.param(STATUS % "{'token': ''}", "neither a token nor a cert", id="no credential"),
        pytest.param(STATUS % "{'token': 's3cret\\n2'}", "is not a single token", id="two lines"),
    ],
)
def test_a_plugin_that_gives_no_credential_is_named_without_what_it_prints(
    kubernetes_api, capfd, caplog, code, sentence
):
    version = "client.authentication.k8s.io/v1"
    code = f"import json, sys, time; version = {version!r}; {code}"
    plugin = {"command": sys.executable, "args": ["-c", code], "apiVersion": version}
    file = str(kubernetes_api.kubeconfig(ALICE, exec=plugin))
    with pytest.raises(errors.Misconfigured, match=sentence) as error:
        Kubeconfig(file, seconds=1).headers()
    assert f"plugin {sys.executable}" in error.value.message
    assert "kubectl get namespaces" in error.value.cure
    shown = repr(error.value.to_dict()) + caplog.text + "".join(capfd.readouterr())
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    "plugin, sentence",
    [
        pytest.param({"command": "/no/such"}, "cannot be run: No such file", id="missing"),
        pytest.param({"command": "x", "interactiveMode": "Always"}, "needs a terminal", id="asks"),
        pytest.param({"args": ["s3cret"]}, "missing required field `command`", id="no command"),
        pytest.param({"command": "x", "args": "s3cret"}, "Expected `array", id="no list"),
    ],
)
def test_a_plugin_that_cannot_be_run_is_a_sentence(kubernetes_api, plugin, sentence):
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", **plugin}
    with pytest.raises(errors.Misconfigured, match=sentence) as error:
        Kubeconfig(str(kubernetes_api.kubeconfig(ALICE, exec=plugin))).headers()
    assert "s3cret" not in str(error.value)


def test_a_plugin_is_told_what_is_wanted_of_it(kubernetes_api, tmp_path):
    version = "client.authentication.k8s.io/v1beta1"
    program = tmp_path / "bin"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "told = f\"{sys.argv[1]}-{os.environ['WHERE']}-{info['spec']['interactive']}\"\n"
        "print(json.dumps({**info, 'status': {'token': told, 'expirationTimestamp': "
        "'2100-01-01T00:00:00Z'}}))\n"
    )
    program.chmod(0o700)
    env = [{"name": "WHERE", "value": "here"}]
    plugin = {"command": "./bin", "args": ["get"], "env": env, "apiVersion": version}
    file = tmp_path / "config"
    file.write_text(kubernetes_api.kubeconfig(ALICE, exec=plugin).read_text())
    credentials = Kubeconfig(str(file))
    assert credentials.headers() == {"Authorization": "Bearer get-here-False"}
    assert credentials.expires_at.year == 2100


def test_a_plugins_certificate_is_shown(kubernetes_api):
    certificate, key = kubernetes_api.certificates.client(ALICE)
    status = {"clientCertificateData": certificate.read_text(), "clientKeyData": key.read_text()}
    version = "client.authentication.k8s.io/v1"
    printed = json.dumps({"apiVersion": version, "status": status})
    plugin = {"command": "echo", "args": [printed], "apiVersion": version}
    cluster = Cluster.of_kubeconfig(str(kubernetes_api.kubeconfig(ALICE, exec=plugin)))
    assert cluster.who() == ALICE
    cluster.close()


def test_a_plugin_whose_token_is_refused_is_run_once_for_many_refusals(plugin, behind, tmp_path):
    with open(plugin["command"], "a") as script:
        script.write(f"open({str(tmp_path / 'ran')!r}, 'a').write('x')\n")
    credentials = resolve(behind(exec=plugin)).credentials
    refused = credentials.headers()
    assert [credentials.renewed(refused) for _ in range(5)] == [False] * 5
    assert (tmp_path / "ran").read_text() == "xx"


def test_a_plugin_is_run_once_for_all_who_ask_the_cluster_of_namespaces(
    plugin, kubernetes_api, tmp_path
):
    with open(plugin["command"], "a") as script:
        script.write(f"open({str(tmp_path / 'ran')!r}, 'a').write('x')\n")
    file = kubernetes_api.kubeconfig(ALICE, exec=plugin)
    settings = Kfp(kubeconfig=str(file), data=str(tmp_path / "data"))
    status = ConnectionStatus("", endpoint="http://kfp", multi_user=True)
    used = UsedNamespaces.of_settings(settings)
    with closing(
        DirectNamespaceSource(settings, status, used, lambda namespace, resource: None)
    ) as known:
        sources = {source.name: source.problem for source in known.found("alice").sources}
    assert {"profiles", "role bindings"} <= set(sources)
    assert (tmp_path / "ran").read_text() == "x"


def test_an_entry_of_a_kubeconfig_that_lacks_something_is_not_shown(kubernetes_api):
    provider = {"name": "oidc", "config": {"client-secret": "s3cret"}}
    file = kubernetes_api.kubeconfig(ALICE, **{"auth-provider": provider})
    with pytest.raises(errors.Misconfigured, match="Expected key id-token") as error:
        Kubeconfig(str(file)).headers()
    assert "s3cret" not in str(error.value)


def test_a_kubeconfigs_token_may_end_with_a_newline_and_is_not_shown(
    behind, kubernetes_api, guarded_kfp
):
    guarded_kfp.multi_user = False
    found = resolve(behind(token=kubernetes_api.token(ALICE) + "\n"))
    assert found.status().error is None
    assert repr(found.credentials.headers()) == "{'Authorization': '***'}"


@pytest.mark.parametrize("name", ["authorization", "BearerToken"])
def test_the_token_is_found_under_either_name_that_the_official_client_has_for_it(
    kubernetes_api, monkeypatch, name
):
    def load_and_set(loader, configuration):
        load(loader, configuration)
        (token,) = configuration.api_key.values()
        configuration.api_key = {name: token}

    load = KubeConfigLoader.load_and_set
    monkeypatch.setattr(KubeConfigLoader, "load_and_set", load_and_set)
    credentials = Kubeconfig(str(kubernetes_api.kubeconfig(ALICE, token="found")))
    assert credentials.headers()["Authorization"] == "Bearer found"


def test_a_kubeconfig_that_holds_no_one_token_is_named(kubernetes_api):
    credentials = Kubeconfig(str(kubernetes_api.kubeconfig(ALICE, token="s3cret\n2")))
    with pytest.raises(errors.Misconfigured, match="is not a single token") as error:
        credentials.headers()
    assert "s3cret" not in repr(error.value.to_dict())


def test_where_kfp_has_several_users_the_other_way_is_told(behind):
    found = resolve(behind())
    error = found.status().error
    assert error.kind == "Unauthenticated"
    assert "removes the identity from every request" in error.cause
    assert "kubectl port-forward -n kubeflow svc/ml-pipeline 8888:8888" in error.cure
    assert "http://localhost:8888" in error.cure


def test_a_call_that_kfp_refuses_tells_the_other_way_too(behind, guarded_kfp):
    guarded_kfp.lets_in = lambda request: "Authorization" in request.headers
    client = resolve(behind()).client()
    with pytest.raises(errors.Unauthenticated, match="no identity reaches KFP") as error:
        client.run_page()
    assert "kubectl port-forward" in error.value.cure
    client.close()


def test_who_may_not_use_the_service_proxy_is_told_so(behind):
    client = resolve(behind("system:serviceaccount:bob:default-editor")).client()
    with pytest.raises(errors.Forbidden, match="Kubernetes refused it before KFP") as error:
        client.health()
    assert "may not use the service proxy" in error.value.cause
    assert "kubectl port-forward" in error.value.cure
    client.close()


def test_a_cluster_without_kfp_is_not_taken_for_a_missing_role(behind, kubernetes_api):
    kubernetes_api.services.clear()
    client = resolve(behind()).client()
    with pytest.raises(errors.Unreachable, match="Kubernetes found no KFP") as error:
        client.health()
    assert error.value.server_text == 'services "ml-pipeline" not found'
    client.close()


@pytest.mark.parametrize(
    "content, sentence",
    [
        pytest.param("users: [s3cret", "cannot be used: ", id="no YAML"),
        pytest.param("{}", "cannot be used: Invalid kube-config file", id="empty"),
        pytest.param(None, "cannot be used: Invalid kube-config file", id="missing"),
    ],
)
def test_a_kubeconfig_that_cannot_work_is_named(tmp_path, content, sentence):
    file = tmp_path / "config"
    if content is not None:
        file.write_text(content)
    with pytest.raises(errors.Misconfigured, match=sentence) as error:
        resolve(Kfp(auth="kubeconfig", kubeconfig=str(file)))
    assert "s3cret" not in str(error.value)


def test_a_kubeconfig_contradicts_an_endpoint(behind):
    settings = behind()
    settings.endpoint = "http://kfp"
    with pytest.raises(errors.Misconfigured, match="and an endpoint is configured"):
        resolve(settings)


def test_the_identity_of_a_kubeconfig_goes_to_kubernetes_alone(behind, kubernetes_api):
    credentials = resolve(behind()).credentials
    assert isinstance(credentials, Kubeconfig)
    token = credentials.headers()["Authorization"].split()[1]
    assert token not in repr(credentials) + credentials.source
    client = Client(kubernetes_api.endpoint + PROXY, credentials, "alice")
    assert client.health().multi_user
    client.close()
