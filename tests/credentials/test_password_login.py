"""Signing in at Dex and oauth2-proxy, as a browser would."""

import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from fakes.guarded_kfp import Dex, GuardedKfp, OAuth2Proxy, Server, page, redirect

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.credentials import Login, renewal
from jupyter_kfp_mt.credentials.password_login import _Browser
from jupyter_kfp_mt.extension.send_to_kfp import KfpRequest
from jupyter_kfp_mt.extension.upstream import Upstream
from jupyter_kfp_mt.settings import Kfp

RUNS = "/apis/v2beta1/runs"


@pytest.fixture
def account(tmp_path):
    file = tmp_path / "account"
    file.write_text("user@example.com\n12341234\n")
    return file


@pytest.fixture
def dex(serve):
    return serve(Dex)


@pytest.fixture
def proxy(serve, dex):
    return serve(OAuth2Proxy, dex.endpoint)


@pytest.fixture
def client(proxy, dex, account):
    client = Client(proxy.endpoint, Login(proxy.endpoint, str(account), [dex.host]), "alice")
    yield client
    client.close()


def test_the_password_opens_the_door_and_only_the_sessions_cookie_is_kept(client, proxy, dex):
    assert client.run_page().items == []
    sent = proxy.asked[-1]
    assert list(sent.cookies) == ["oauth2_proxy_kubeflow"]
    assert "Authorization" not in sent.headers
    assert client.credentials.expires_at is not None
    assert dex.count("/local/login") == 2  # the form, and the form filled in


def test_one_login_serves_many_requests_and_many_threads(client, dex):
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: client.run_page(), range(48)))
    assert dex.count("/dex/auth") == 1


def test_a_session_that_has_ended_is_begun_anew(client, proxy, dex):
    client.run_page()
    proxy.sessions.clear()
    assert client.run_page().items == []
    assert dex.count("/dex/auth") == 2


async def test_through_the_door_too(proxy, dex, account, monkeypatch):
    monkeypatch.setattr(renewal, "PATIENCE", 0)
    settings = Kfp(endpoint=proxy.endpoint, login_file=str(account), login_hosts=dex.host)
    upstream = Upstream(settings)
    for request in (KfpRequest("GET", RUNS), KfpRequest("POST", RUNS, body=b"{}")):
        proxy.sessions.clear()
        with contextlib.closing(await upstream.forward(request)) as answer:
            assert answer.status == 200
    assert dex.count("/dex/auth") == 2
    proxy.sessions.clear()
    dex.passwords.clear()
    with pytest.raises(errors.Unauthenticated, match="user name or password is wrong"):
        await upstream.forward(KfpRequest("GET", RUNS))
    await upstream.close()


def test_a_session_may_last_beyond_the_years_that_there_are(client, proxy):
    proxy.lifetime = "; Max-Age=999999999999"
    assert client.health().multi_user
    assert client.credentials.expires_at is None


def test_a_login_that_does_not_help_is_not_made_again_and_again(client, proxy, dex):
    client.run_page()
    proxy.lets_in = lambda request: False
    for _ in range(5):
        with pytest.raises(errors.Unauthenticated, match="session of a new login is not accepted"):
            client.run_page()
    assert dex.count("/dex/auth") == 2


@pytest.mark.parametrize(
    "connectors, skip_approval, button",
    [
        pytest.param(("local",), False, False, id="Dex asks to grant access"),
        pytest.param(("github", "local"), True, False, id="Dex offers others beside passwords"),
        pytest.param(("local",), True, True, id="oauth2-proxy shows its button"),
    ],
)
def test_the_pages_on_the_way_are_passed(serve, account, connectors, skip_approval, button):
    dex = serve(Dex, connectors, skip_approval)
    proxy = serve(OAuth2Proxy, dex.endpoint, button)
    login = Login(proxy.endpoint, str(account), [dex.host])
    assert login.headers()["Cookie"].startswith("oauth2_proxy_kubeflow=")


def test_a_wrong_password_is_said_and_not_tried_twice(client, dex, account, monkeypatch):
    monkeypatch.setattr(renewal, "PATIENCE", 0)
    account.write_text("user@example.com\nwrong-s3cret\n")
    for _ in range(3):
        with pytest.raises(errors.Unauthenticated, match="user name or password is wrong") as error:
            client.run_page()
        assert "wrong-s3cret" not in repr(error.value.to_dict())
    assert sum(request.method == "POST" for request in dex.asked) == 1
    account.write_text("user@example.com\n12341234\n")
    assert client.run_page().items == []


def test_another_way_to_sign_in_is_named(serve, account):
    dex = serve(Dex, ("github", "ldap"))
    proxy = serve(OAuth2Proxy, dex.endpoint)
    with pytest.raises(errors.Unauthenticated, match="has no password form") as error:
        Login(proxy.endpoint, str(account), [dex.host]).headers()
    assert f"{dex.endpoint}/dex/auth/github" in error.value.cause
    assert "state" not in error.value.cause


def test_the_password_goes_to_no_host_that_was_not_named(proxy, dex, account):
    with pytest.raises(errors.Misconfigured, match=f"another host, {dex.host}") as error:
        Login(proxy.endpoint, str(account)).headers()
    assert "c.Kfp.login_hosts" in error.value.cure
    assert dex.asked == []


@pytest.mark.parametrize(
    "endpoint, target, reason",
    [
        pytest.param("https://kfp", "https://kfp:443/x", "", id="the usual port"),
        pytest.param("http://kfp", "https://kfp/x", "", id="to https"),
        pytest.param("https://kfp", "https://kfp:8443/x", "another host", id="another port"),
        pytest.param("https://kfp", "http://kfp/x", "which is not https", id="to http"),
        pytest.param("https://kfp", "https://kfp:s3cret@evil/x", "host, evil", id="user info"),
        pytest.param(
            "https://kfp", "http://a:s3cret@dex/x", "to http://dex/x", id="the same to http"
        ),
        pytest.param("https://kfp", "https://kfp.evil/x", "another host", id="its beginning"),
        pytest.param("https://kfp", "https://evil\\@dex/x", "another host, evil", id="backslash"),
    ],
)
def test_where_a_password_may_go(endpoint, target, reason):
    browser = _Browser(endpoint, frozenset({"dex"}))
    if not reason:
        return browser._check(target)
    with pytest.raises(errors.Misconfigured, match=reason) as error:
        browser._check(target)
    assert "s3cret" not in str(error.value)


class Circle(Server):
    def answer(self, request):
        return redirect("/round?and=round")


class HttpOnlyForm(Server):
    def answer(self, request):
        return page(200, '<form method="post" action="ftp://x"><input type="password" name="p">')


class BadAddress(Server):
    def answer(self, request):
        return page(200, '<form method="post" action="https://["><input type="password" name="p">')


class NoCookie(Server):
    def answer(self, request):
        form = '<form method="post"><input name="login"><input type="password" name="password">'
        healthy = request.method == "POST" or request.query
        return redirect("/?in=1") if request.method == "POST" else self._page(form, healthy)

    def _page(self, form, healthy):
        return GuardedKfp.answer(self, Healthz()) if healthy else page(200, form)

    multi_user = True


class Healthz:
    path = "/apis/v2beta1/healthz"


@pytest.mark.parametrize(
    "kind, error, sentence",
    [
        pytest.param(
            Circle, errors.Unreachable, "20 redirects and pages did not lead", id="circle"
        ),
        pytest.param(HttpOnlyForm, errors.Misconfigured, "another host", id="form to elsewhere"),
        pytest.param(BadAddress, errors.Unreachable, "Cannot sign in", id="no address"),
        pytest.param(
            NoCookie, errors.Unauthenticated, "there is no session cookie", id="no cookie"
        ),
        pytest.param(GuardedKfp, errors.Misconfigured, "there is no login page", id="no login"),
    ],
)
def test_a_login_that_cannot_work_ends_with_a_sentence(serve, account, kind, error, sentence):
    server = serve(kind)
    with pytest.raises(error, match=sentence):
        Login(server.endpoint, str(account)).headers()


@pytest.mark.parametrize(
    "content, sentence",
    [
        pytest.param(None, "is not possible: No such file", id="missing"),
        pytest.param("user@example.com\n", "lacks a user name or a password", id="one line"),
        pytest.param("", "lacks a user name or a password", id="empty"),
    ],
)
def test_a_file_without_an_account_is_named(proxy, tmp_path, content, sentence):
    file = tmp_path / "account"
    if content is not None:
        file.write_text(content)
    with pytest.raises(errors.Misconfigured, match=sentence):
        Login(proxy.endpoint, str(file)).headers()


def test_the_account_may_be_in_the_environment(proxy, dex, monkeypatch):
    monkeypatch.setenv("KFP_MT_USERNAME", "user@example.com")
    monkeypatch.setenv("KFP_MT_PASSWORD", "12341234")
    assert Login(proxy.endpoint, hosts=[dex.host]).headers()


def test_neither_password_nor_cookie_is_shown_or_logged(client, caplog):
    caplog.set_level(logging.DEBUG)
    client.run_page()
    cookie = client.credentials.headers()["Cookie"].partition("=")[2]
    said = caplog.text + repr(client) + repr(client.credentials) + repr(vars(client.credentials))
    assert "12341234" not in said
    assert cookie not in said
