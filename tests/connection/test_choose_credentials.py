"""Which credentials the settings ask for, and what is said where they contradict each other."""

import stat

import pytest
from fakes.kubernetes_api import ALICE

import jupyter_kfp_mt
from jupyter_kfp_mt import errors
from jupyter_kfp_mt.cluster import own_pod
from jupyter_kfp_mt.connection import chosen_credentials
from jupyter_kfp_mt.connection.choose_connection import decide, resolve
from jupyter_kfp_mt.connection.connections import DoorConnection
from jupyter_kfp_mt.connection.door_client import Door
from jupyter_kfp_mt.credentials import Credentials, Key, TokenFile
from jupyter_kfp_mt.settings import CREDENTIALS, Kfp, variable

VARIABLES = ("KFP_MT_COOKIE", "KFP_MT_USERNAME", "KFP_MT_PASSWORD", "KF_PIPELINES_SA_TOKEN_PATH")


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    names = [variable(name) for name in ("endpoint", "namespace", "door", *CREDENTIALS)]
    for name in [*names, *VARIABLES, "KF_PIPELINES_ENDPOINT", "KUBERNETES_SERVICE_HOST"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KFP_MT_DATA", str(tmp_path / "nothing"))
    monkeypatch.setattr(own_pod, "SECRETS", tmp_path / "secrets")


def source(**settings):
    return resolve(Kfp(endpoint="http://kfp", **settings)).credentials.source


@pytest.mark.parametrize(
    "settings, found",
    [
        pytest.param({"token_file": "/t"}, "token file /t", id="token file"),
        pytest.param({"token_command": "print it"}, "token command print", id="command"),
        pytest.param({"cookie_file": "/c"}, "session cookie in file /c", id="cookie"),
        pytest.param({"iap_client_id": "i"}, "Google identity token for IAP", id="IAP"),
        pytest.param({"login_file": "/l"}, "login with file /l", id="login"),
        pytest.param({"auth": "none"}, "none", id="none"),
    ],
)
def test_each_setting_asks_for_its_kind_and_so_does_its_variable(monkeypatch, settings, found):
    assert source(**settings) == found
    for name, value in settings.items():
        monkeypatch.setenv(variable(name), value)
    assert source() == found


@pytest.mark.parametrize(
    "names, found",
    [
        pytest.param(["KFP_MT_COOKIE"], "session cookie in variable KFP_MT_COOKIE", id="cookie"),
        pytest.param(
            ["KFP_MT_USERNAME", "KFP_MT_PASSWORD"],
            "login with variables KFP_MT_USERNAME, KFP_MT_PASSWORD",
            id="login",
        ),
    ],
)
def test_a_variable_that_holds_what_is_sent_asks_for_its_kind(monkeypatch, names, found):
    for name in names:
        monkeypatch.setenv(name, "s3cret=s3cret")
    assert source() == found
    assert "s3cret" not in repr(resolve(Kfp(endpoint="http://kfp")).trace)


def test_what_is_configured_goes_before_the_variables(monkeypatch):
    monkeypatch.setenv("KFP_MT_TOKEN_COMMAND", "print-token")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", "/standard")
    assert source() == "token command print-token"
    assert source(token_file="/t") == "token file /t"
    assert source(auth="token-file") == "token file /standard"


@pytest.mark.parametrize(
    "settings, sentence",
    [
        pytest.param({"auth": "tokenfile"}, "no credentials of kind 'tokenfile'", id="unknown"),
        pytest.param({"auth": "token-file"}, "token-file need another", id="no file"),
        pytest.param({"auth": "token-command"}, "token-command need another", id="not a command"),
        pytest.param({"auth": "cookie"}, "cookie need another", id="no cookie"),
        pytest.param({"auth": "google-iap"}, "google-iap need another", id="no client id"),
        pytest.param({"auth": "login"}, "login need another", id="no account"),
        pytest.param({"auth": "kubernetes"}, "kubernetes need another", id="no namespace"),
        pytest.param(
            {"token_file": "/t", "token_command": "c"},
            "c.Kfp.token_file selects token-file, c.Kfp.token_command selects token-command",
            id="two kinds",
        ),
        pytest.param(
            {"auth": "none", "login_file": "/l"}, "c.Kfp.auth selects none", id="none and one"
        ),
        pytest.param({"cookie_name": "n"}, "c.Kfp.cookie_name is set, but no kind", id="a name"),
        pytest.param(
            {"auth": "cookie", "cookie_file": "/c", "login_hosts": "h"},
            "c.Kfp.login_hosts is set, but no kind",
            id="beside another kind",
        ),
        pytest.param({"kube_context": "c"}, "c.Kfp.kube_context is set", id="a context"),
    ],
)
def test_settings_that_cannot_work_are_told_with_their_cure(settings, sentence):
    with pytest.raises(errors.Misconfigured, match=sentence) as error:
        source(**settings)
    assert error.value.cure


def test_variables_that_contradict_each_other_are_named(monkeypatch):
    monkeypatch.setenv("KFP_MT_COOKIE", "session=s3cret")
    monkeypatch.setenv("KFP_MT_TOKEN_FILE", "/t")
    with pytest.raises(errors.Misconfigured, match="KFP_MT_COOKIE selects cookie") as error:
        source()
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("kind", ["cookie", "login", "google-iap", "kubernetes"])
def test_credentials_of_a_cluster_need_an_endpoint(kind):
    with pytest.raises(
        errors.Misconfigured, match=f"of kind {kind}, which need a KFP on a cluster"
    ):
        resolve(Kfp(auth=kind))


def test_a_pod_with_a_projected_token_needs_no_configuration(guarded_kfp, monkeypatch):
    token = own_pod.projected_token()
    token.parent.mkdir(parents=True)
    token.write_text("projected")
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", guarded_kfp.endpoint)
    own_pod.namespace_file().parent.mkdir(parents=True)
    own_pod.namespace_file().write_text("alice")
    client = jupyter_kfp_mt.connect()
    assert client.run_page().namespace == "alice"
    assert guarded_kfp.asked[-1].headers["Authorization"] == "Bearer projected"
    client.close()


def test_each_candidate_leaves_a_line_with_the_reason_against_it(monkeypatch, tmp_path):
    found = resolve(Kfp(endpoint="http://kfp"))
    assert [(step.looked_at, step.found) for step in found.trace if step.step == "credentials"] == [
        ("given, c.Kfp.auth, and the settings of each kind", "nothing"),
        ("KFP_MT_AUTH, and the variables of each kind", "nothing"),
        ("KF_PIPELINES_SA_TOKEN_PATH", "nothing"),
        (str(tmp_path / "secrets/kubeflow/pipelines/token"), "no such file"),
        ("a token request to Kubernetes", "not in a pod"),
        ("nothing else fits", "none"),
    ]


def test_a_kfp_for_several_users_to_which_nothing_is_sent_is_a_warning(guarded_kfp):
    (warning,) = resolve(Kfp(endpoint=guarded_kfp.endpoint)).status().warnings
    assert "Requests carry no identity" in warning.message
    assert "a token request to Kubernetes: not in a pod" in warning.cause
    guarded_kfp.multi_user = False
    assert resolve(Kfp(endpoint=guarded_kfp.endpoint)).status().warnings == []


def test_code_chooses_by_the_names_of_the_settings(guarded_kfp, tmp_path):
    script = tmp_path / "print-token"
    script.write_text("#!/bin/sh\necho from-a-command\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    choice = {"endpoint": guarded_kfp.endpoint, "token_command": str(script)}
    client = jupyter_kfp_mt.connect(namespace="alice", **choice)
    client.run_page()
    assert guarded_kfp.asked[-1].headers["Authorization"] == "Bearer from-a-command"
    client.close()
    assert jupyter_kfp_mt.Credentials(**choice).headers() == client.credentials.headers()


def test_a_setting_that_there_is_not_is_refused():
    with pytest.raises(TypeError, match="no setting token; there are .*token_file"):
        jupyter_kfp_mt.connect(token="s3cret")


def test_credentials_are_never_the_key_to_a_jupyter_servers_door(monkeypatch, tmp_path):
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", "http://kfp")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    door = Door("http://127.0.0.1:1/kfp-mt", "the-key")

    class Magics:
        """A loaded %kfp that goes through the door."""

        connection = DoorConnection(
            "http://door/api", Key(lambda: "the-key", "the door"), "", [], door=door
        )

    for magics in (None, Magics):
        monkeypatch.setattr(chosen_credentials, "loaded_magic", lambda magics=magics: magics)
        found = jupyter_kfp_mt.Credentials()
        assert isinstance(found, TokenFile)
        assert found.path == tmp_path / "token"


def test_a_kernels_own_credentials_go_past_the_door_to_the_same_kfp(
    kubernetes_api, guarded_kfp, monkeypatch
):
    class Status(Door):
        """A door whose server is connected to this KFP."""

        def status(self):
            return resolve(Kfp(endpoint=guarded_kfp.endpoint)).status()

    monkeypatch.setattr(Door, "of_this_process", lambda: Status("http://door", "key"))
    found = decide(Kfp(auth="none"))
    assert (found.endpoint, type(found.credentials)) == (guarded_kfp.endpoint, Credentials)
    file = str(kubernetes_api.kubeconfig(ALICE))
    found = decide(Kfp(auth="kubeconfig", kubeconfig=file))
    assert found.endpoint.startswith(kubernetes_api.endpoint)
