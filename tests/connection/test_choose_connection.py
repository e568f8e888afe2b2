"""Which endpoint, credentials and namespace are chosen, and why."""

import base64
import json

import pytest

import jupyter_kfp_mt
from jupyter_kfp_mt import errors
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.cluster import own_pod
from jupyter_kfp_mt.connection import choose_connection
from jupyter_kfp_mt.connection.choose_connection import decide, resolve
from jupyter_kfp_mt.credentials import Credentials
from jupyter_kfp_mt.settings import Kfp


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """A machine on which nothing is configured."""
    for name in ("KFP_MT_ENDPOINT", "KF_PIPELINES_ENDPOINT", "KFP_MT_NAMESPACE", "KFP_MT_DOOR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("KFP_MT_TOKEN_FILE", "KF_PIPELINES_SA_TOKEN_PATH", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KFP_MT_DATA", str(tmp_path / "nothing"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(own_pod, "SECRETS", tmp_path / "secrets")
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def chosen(found, step):
    return [line.looked_at for line in found.trace if line.step == step and line.chosen]


def test_configuration_beats_the_environment_beats_the_pod(monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert resolve(Kfp()).endpoint == choose_connection.IN_CLUSTER_ENDPOINT
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", "http://standard")
    assert resolve(Kfp()).endpoint == "http://standard"
    monkeypatch.setenv("KFP_MT_ENDPOINT", "http://own")
    assert resolve(Kfp()).endpoint == "http://own"
    found = resolve(Kfp(endpoint="http://configured"))
    assert found.endpoint == "http://configured"
    assert chosen(found, "endpoint") == ["given, or c.Kfp.endpoint"]


def test_the_first_token_file_that_is_configured_is_used(bare, monkeypatch):
    settings = Kfp(endpoint="http://kfp")
    assert resolve(settings).credentials.source == "none"
    write(own_pod.projected_token(), "token")
    projected = "token file ~/secrets/kubeflow/pipelines/token"
    assert resolve(settings).credentials.source == projected
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", "/standard")
    assert resolve(settings).credentials.source == "token file /standard"
    settings.token_file = "/configured"
    assert resolve(settings).credentials.source == "token file /configured"


def test_the_pods_ordinary_token_is_never_sent(bare, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    write(own_pod.namespace_file(), "pods")
    write(own_pod.namespace_file().with_name("token"), "the pod's own, beside its namespace")
    found = resolve(Kfp())
    assert found.namespace == "pods"
    assert found.credentials.headers() == {}


def jwt(**claims):
    coded = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{coded}.x"


@pytest.mark.parametrize(
    ("token", "namespace"),
    [
        (jwt(sub="system:serviceaccount:team-a:default-editor"), "team-a"),
        (jwt(sub="alice@example.com"), ""),
        ("no JWT", ""),
        (None, ""),
    ],
)
def test_the_last_namespace_to_be_looked_at_is_that_of_the_tokens_account(bare, token, namespace):
    file = bare / "token"
    if token:
        write(file, token)
    found = resolve(Kfp(endpoint="http://kfp", token_file=str(file)))
    assert found.namespace == namespace
    assert chosen(found, "namespace") == (["the token's service account"] if namespace else [])
    assert resolve(Kfp(endpoint="http://kfp", token_file=str(file), namespace="own")).namespace == (
        "own"
    )


def test_the_namespace_is_configured_else_the_sdks_else_the_pods(bare, monkeypatch):
    settings = Kfp(endpoint="http://kfp")
    assert resolve(settings).namespace == ""
    write(own_pod.namespace_file(), "pods\n")
    assert resolve(settings).namespace == "pods"
    (bare / ".config/kfp").mkdir(parents=True)
    (bare / ".config/kfp/context.json").write_text(json.dumps({"namespace": "sdks"}))
    assert resolve(settings).namespace == "sdks"
    monkeypatch.setenv("KFP_MT_NAMESPACE", "own")
    assert resolve(settings).namespace == "own"
    settings.namespace = "configured"
    assert resolve(settings).namespace == "configured"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"namespace": 7}', "{}", '{"namespace": "\xff"}']
)
def test_a_context_file_that_says_nothing_is_passed_over(bare, content):
    (bare / ".config/kfp").mkdir(parents=True)
    (bare / ".config/kfp/context.json").write_text(content, "latin-1")
    assert resolve(Kfp(endpoint="http://kfp")).namespace == ""


def test_without_anything_the_way_out_is_said():
    with pytest.raises(errors.Misconfigured, match="No KFP is configured") as error:
        jupyter_kfp_mt.connect()
    assert "jupyter kfp-mt local" in error.value.cure


def test_a_kernel_whose_jupyter_server_is_older_than_the_installation_is_told_to_restart_it(
    monkeypatch,
):
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/ann/churn.ipynb")
    with pytest.raises(errors.Misconfigured, match="No KFP is configured") as error:
        jupyter_kfp_mt.connect()
    assert "started before the installation" in error.value.cause
    assert error.value.cure.startswith("Restart the Jupyter server")


def test_a_local_kfp_that_runs_is_used(local_kfp, monkeypatch):
    monkeypatch.setenv("KFP_MT_DATA", str(local_kfp.data))
    found = resolve(Kfp(namespace="alice"))
    assert found.endpoint == local_kfp.endpoint
    status = found.status()
    assert status.identity.subject == "system:serviceaccount:alice:default-editor"
    assert (status.local, status.multi_user, status.error) == (True, True, None)


def test_without_a_choice_the_first_profile_is_used_and_the_trace_says_so(local_kfp, monkeypatch):
    monkeypatch.setenv("KFP_MT_DATA", str(local_kfp.data))
    found = resolve(Kfp())
    assert found.namespace == "alice"
    assert chosen(found, "namespace") == ["the first of the profiles"]


def test_a_namespace_that_the_local_kfp_lacks_is_said(local_kfp, monkeypatch):
    monkeypatch.setenv("KFP_MT_DATA", str(local_kfp.data))
    with pytest.raises(errors.Misconfigured, match="no namespace carol; it has alice, bob"):
        resolve(Kfp(namespace="carol"))


@pytest.mark.parametrize(
    "identity, namespace",
    [
        pytest.param("bob/default-viewer", "bob", id="short"),
        pytest.param("system:serviceaccount:bob:default-viewer", "bob", id="as Kubernetes says"),
    ],
)
def test_the_local_kfp_lends_its_identities(local_kfp, monkeypatch, identity, namespace):
    monkeypatch.setenv("KFP_MT_DATA", str(local_kfp.data))
    client = jupyter_kfp_mt.connect(identity=identity)
    assert client.namespace == namespace
    assert client.run_page().namespace == namespace
    client.close()


def test_a_namespace_goes_before_the_identitys_own(local_kfp, monkeypatch):
    monkeypatch.setenv("KFP_MT_DATA", str(local_kfp.data))
    client = jupyter_kfp_mt.connect(identity="bob/default-editor", namespace="alice")
    assert client.run_page().namespace == "alice"
    client.close()


def test_the_sdk_needs_no_token_where_none_is_sent(local_kfp):
    client = Client(local_kfp.endpoint, Credentials(), "alice")
    with pytest.raises(Exception, match="401"):
        jupyter_kfp_mt.kfp_client(client).list_experiments()
    client.close()


@pytest.mark.parametrize("identity", ["carol/default-editor", "../../keys/x", "alice@nowhere"])
def test_an_identity_that_is_not_there_is_said(local_kfp, monkeypatch, identity):
    monkeypatch.setenv("KFP_MT_DATA", str(local_kfp.data))
    with pytest.raises(errors.NotFound, match="has no identity") as error:
        jupyter_kfp_mt.connect(identity=identity)
    assert "bob/default-editor" in error.value.cure


def test_a_cluster_lends_no_identities():
    with pytest.raises(errors.Misconfigured, match="only the local KFP offers identities"):
        jupyter_kfp_mt.connect(endpoint="http://cluster", identity="bob/default-editor")


def test_a_status_tells_an_expired_token_and_a_foreign_audience(local_kfp, tmp_path):
    import jwt

    claims = {"sub": "x", "aud": ["https://kubernetes.default.svc"], "exp": 4102444800}
    file = tmp_path / "token"
    file.write_text(jwt.encode(claims, "k" * 32))
    found = resolve(Kfp(endpoint=local_kfp.endpoint, token_file=str(file), namespace="alice"))
    assert "audience https://kubernetes.default.svc" in found.status().warnings[0].message
    assert found.status().error is None  # what KFP thinks of it is another matter
    file.write_text(jwt.encode({**claims, "aud": "pipelines.kubeflow.org", "exp": 1}, "k" * 32))
    assert "expired at 1970-01-01" in found.status().warnings[0].message
    file.write_text(jwt.encode({**claims, "exp": 10**18}, "k" * 32))
    assert found.status().identity.expires_at is None


def test_the_sdk_uses_the_same_door_and_identity(local_kfp, monkeypatch):
    monkeypatch.setenv("KFP_MT_DATA", str(local_kfp.data))
    client = jupyter_kfp_mt.connect(namespace="alice")
    client.ensure_experiment("seen by the SDK")
    found = jupyter_kfp_mt.kfp_client(client).get_experiment(experiment_name="seen by the SDK")
    assert found.namespace == "alice"
    client.close()


@pytest.mark.parametrize(
    "identity, settings",
    [
        pytest.param("", {}, id="alone"),
        pytest.param("bob/default-editor", {}, id="with an identity"),
        pytest.param("", {"auth": "kubeconfig"}, id="with a kubeconfig"),
    ],
)
def test_a_password_in_an_endpoint_is_never_told(identity, settings):
    with pytest.raises(errors.Misconfigured) as error:
        decide(Kfp(endpoint="https://me:s3cret@kfp.example.com", **settings), identity)
    assert "s3cret" not in repr(error.value.to_dict())
