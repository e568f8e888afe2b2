"""KFP over TLS: whom to believe, certificates that are wrong, proxies, and a kubeconfig's own."""

import asyncio
import base64
import contextlib
import ssl

import pytest
import yaml
from fakes.connect_proxy import ConnectProxy
from fakes.kubernetes_api import ALICE, Certificates
from fakes.odd_kfp import OddKfp
from harness.file_server import serving
from harness.jupyter_server import call, server_config

import jupyter_kfp_mt
from jupyter_kfp_mt import errors
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.connection.door_client import Door
from jupyter_kfp_mt.connection.event_reader import Stream
from jupyter_kfp_mt.credentials import TokenFile
from jupyter_kfp_mt.extension.send_to_kfp import KfpRequest
from jupyter_kfp_mt.extension.upstream import Upstream
from jupyter_kfp_mt.settings import Kfp

RUNS = "/apis/v2beta1/runs"
UPLOAD = "/apis/v2beta1/pipelines/upload"
LONG = 30_000_000
SERVICE = "kubeflow/http:ml-pipeline:8888"
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """Neither proxies nor authorities of this machine's own."""
    names = [*PROXIES, *map(str.lower, PROXIES), "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]
    for name in names:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def authority(tmp_path):
    """Makes authorities, each with a name."""

    def authority(name):
        (tmp_path / name).mkdir()
        return Certificates(tmp_path / name)

    return authority


@pytest.fixture
def trusted(authority, monkeypatch):
    """An authority that the environment names."""
    found = authority("trusted")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(found.authority))
    return found


@pytest.fixture
def kfp_with():
    """Starts a KFP that shows a certificate, and may want one of `wanted` authority."""
    started = []

    def kfp_with(files, wanted=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        if wanted:
            context.load_verify_locations(wanted)
            context.verify_mode = ssl.CERT_REQUIRED
            # With TLS 1.3 a client has sent its request by then, and may not hear of it.
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        started.append(OddKfp(context))
        return started[-1]

    yield kfp_with
    for kfp in started:
        kfp.close()


async def through_the_door(settings):
    upstream = Upstream(settings)
    try:
        (await upstream.forward(KfpRequest("GET", RUNS))).close()
    finally:
        await upstream.close()


async def directly(settings):
    client = Client(settings.endpoint, TokenFile(settings.token_file), "alice")
    try:
        await asyncio.to_thread(client.run_page)
    finally:
        client.close()


@pytest.fixture(params=[through_the_door, directly])
def ask(request, token_file):
    """Lists runs at an endpoint, through the door and directly."""
    return lambda endpoint: request.param(
        Kfp(endpoint=endpoint, token_file=str(token_file), namespace="alice")
    )


# --- certificates ---------------------------------------------------------------------------


async def test_an_authority_that_the_environment_names_is_believed(ask, kfp_with, trusted):
    kfp = kfp_with(trusted.server())
    await ask(kfp.endpoint)
    assert kfp.seen[-1].headers["Authorization"] == "Bearer first"


@pytest.mark.parametrize(
    "hosts, days, reason, cure",
    [
        pytest.param(
            *(
                ["kfp.example.com"],
                (-1, 1),
                "is for another name",
                "an address that the certificate names",
            ),
            id="another host",
        ),
        pytest.param(["127.0.0.1"], (-2, -1), "has expired", "has to renew it", id="expired"),
        pytest.param(["127.0.0.1"], (1, 2), "is not valid yet", "date -u", id="of tomorrow"),
    ],
)
async def test_what_is_wrong_with_a_certificate_is_told(
    ask, kfp_with, trusted, hosts, days, reason, cure
):
    kfp = kfp_with(trusted.server(hosts, days))
    with pytest.raises(errors.Unreachable, match=f"its certificate {reason}") as caught:
        await ask(kfp.endpoint)
    assert cure in caught.value.cure
    assert not kfp.seen


async def test_a_strangers_certificate_gets_no_token(ask, kfp_with, trusted, authority):
    kfp = kfp_with(authority("stranger").server())
    with pytest.raises(errors.Unreachable, match="its certificate is not trusted") as caught:
        await ask(kfp.endpoint)
    assert caught.value.cure.endswith("\nexport REQUESTS_CA_BUNDLE=/path/to/ca.crt")
    assert not kfp.seen


async def test_a_server_that_wants_a_certificate_is_told(ask, kfp_with, trusted):
    kfp = kfp_with(trusted.server(), wanted=trusted.authority)
    with pytest.raises(errors.Unreachable, match="may require a client certificate") as caught:
        await ask(kfp.endpoint)
    assert "client-certificate" in caught.value.cure


async def test_a_server_without_tls_is_told(ask, tmp_path):
    with serving(tmp_path) as plain:
        with pytest.raises(errors.Unreachable, match="does not speak TLS") as caught:
            await ask(plain.replace("http:", "https:"))
    assert "http://" in caught.value.cure


# --- proxies --------------------------------------------------------------------------------


@pytest.fixture
def proxy(monkeypatch):
    """The proxy of this machine for HTTPS, with a password."""
    found = ConnectProxy("me:s3cret")
    monkeypatch.setenv("HTTPS_PROXY", found.address)
    yield found
    found.close()


async def test_a_proxy_leads_to_kfp_and_sees_no_token(ask, kfp_with, trusted, proxy):
    kfp = kfp_with(trusted.server(["kfp.invalid"]))
    proxy.hosts["kfp.invalid"] = kfp.port
    await ask("https://kfp.invalid")
    assert kfp.seen[-1].headers["Authorization"] == "Bearer first"
    assert {line.split()[0] for line in proxy.asked} == {"CONNECT"}
    assert "Proxy-Authorization" not in kfp.seen[-1].headers


async def test_what_needs_no_proxy_goes_without(ask, trusted, proxy, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "kfp.invalid")
    with pytest.raises(errors.Unreachable, match="no such host"):
        await ask("https://kfp.invalid")
    assert not proxy.asked


async def test_what_is_on_this_machine_goes_without(ask, kfp_with, trusted, proxy):
    await ask(kfp_with(trusted.server()).endpoint)
    assert not proxy.asked


@pytest.mark.parametrize(
    "change, reason",
    [
        pytest.param(lambda proxy: None, "HTTP 502", id="knows no such host"),
        pytest.param(
            lambda proxy: setattr(proxy, "account", "you:x"), "HTTP 407", id="knows us not"
        ),
        pytest.param(lambda proxy: proxy.close(), "connection refused", id="is not there"),
    ],
)
async def test_a_proxy_that_does_not_lead_there_is_told_without_its_password(
    ask, proxy, change, reason
):
    change(proxy)
    with pytest.raises(
        errors.Unreachable, match=f"the proxy did not connect to it: {reason}"
    ) as caught:
        await ask("https://kfp.invalid")
    assert "HTTPS_PROXY" in caught.value.cure
    assert "s3cret" not in repr(caught.value.to_dict())


# --- a kubeconfig, whose cluster has an authority of its own ------------------------------------


class TestThroughTheKubernetesApi:
    """The door of a server whose KFP is for a single user, behind the service proxy."""

    @pytest.fixture(params=["a token", "a certificate"])
    def kubeconfig(self, kubernetes_api, request):
        if request.param == "a token":
            return kubernetes_api.kubeconfig(ALICE)
        certificate, key = map(str, kubernetes_api.certificates.client(ALICE))
        names = {"client-certificate": certificate, "client-key": key}
        return kubernetes_api.kubeconfig(ALICE, **names)

    @pytest.fixture
    def behind(self, kubernetes_api):
        kfp = OddKfp(multi_user=False)
        kubernetes_api.services[SERVICE] = kfp.endpoint
        for verb in ("get", "create"):
            kubernetes_api.allow(ALICE, verb, "services/proxy", "kubeflow")
        yield kfp
        kfp.close()

    @pytest.fixture
    def jp_server_config(self, behind, kubeconfig):
        return server_config(auth="kubeconfig", kubeconfig=str(kubeconfig))

    @pytest.fixture
    def ask(self, door):
        headers = {"Authorization": f"Bearer {door[1]}"}

        async def ask(method, path, **kwargs):
            return await call(method, f"{door[0]}/{path}", headers=headers, **kwargs)

        return ask

    async def test_thirty_megabytes_arrive_as_they_were(self, ask, behind):
        assert (await ask("POST", f"api{UPLOAD}", data=b"x" * LONG, timeout=60)).ok
        assert behind.seen[-1].size == LONG
        assert "Authorization" not in behind.seen[-1].headers

    async def test_live_events_come_too(self, door, behind):
        def first():
            with contextlib.closing(iter(Stream(Door.of_this_process(), ""))) as events:
                return next(event.name for event in events if event.name)

        assert await asyncio.to_thread(first) == "snapshot"
        assert behind.seen

    async def test_a_cluster_that_was_made_anew_is_believed_once_its_kubeconfig_is_there(
        self, ask, kubeconfig, authority
    ):
        own = kubeconfig.read_text()
        other = yaml.safe_load(own)
        stranger = base64.b64encode(authority("stranger").authority.read_bytes()).decode()
        other["clusters"][0]["cluster"]["certificate-authority-data"] = stranger
        kubeconfig.write_text(yaml.safe_dump(other))
        assert "is not trusted" in (await ask("GET", "status")).json()["error"]["message"]
        refused = (await ask("GET", f"api{RUNS}")).json()
        assert "is not trusted" in refused["message"]
        assert "get a new kubeconfig" in refused["cure"]
        kubeconfig.write_text(own)
        assert (await ask("GET", "status")).json()["error"] is None
        assert (await ask("GET", f"api{RUNS}")).ok


# --- the kfp SDK ------------------------------------------------------------------------------


def sdk(endpoint, token_file):
    """Return the runs that the SDK lists there."""
    client = Client(endpoint, TokenFile(token_file), "alice")
    try:
        return jupyter_kfp_mt.kfp_client(client).list_runs(namespace="alice").runs
    finally:
        client.close()


def test_the_sdk_believes_the_same_authorities(kfp_with, trusted, token_file):
    kfp = kfp_with(trusted.server())
    assert sdk(kfp.endpoint, token_file) is None
    assert kfp.seen[-1].headers["authorization"] == "Bearer first"


def test_the_sdk_goes_through_the_same_proxy(kfp_with, trusted, proxy, token_file):
    kfp = kfp_with(trusted.server(["kfp.invalid"]))
    proxy.hosts["kfp.invalid"] = kfp.port
    assert sdk("https://kfp.invalid", token_file) is None
    assert len(kfp.seen) == 1
