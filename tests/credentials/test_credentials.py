"""Where tokens and cookies come from, when they are renewed, and that nobody sees them."""

import contextlib
import json
import os
import re
import shlex
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import jwt
import psutil
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fakes.guarded_kfp import Answer, GuardedKfp, Server, page, redirect
from google.auth import exceptions as google_errors
from google.oauth2 import id_token
from harness.waiting import wait_until
from IPython.core.ultratb import VerboseTB

import jupyter_kfp_mt
from jupyter_kfp_mt import errors
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.credentials import (
    GoogleIap,
    Kubeconfig,
    Login,
    SessionCookie,
    TokenCommand,
    TokenFile,
    google_iap,
    renewal,
)
from jupyter_kfp_mt.credentials.renewal import Renewed, Secret
from jupyter_kfp_mt.models import Health

KEY = "k" * 32


def token(seconds=3600.0, **claims):
    expires_at = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    fixed = {"sub": "alice", "aud": "pipelines.kubeflow.org", "exp": expires_at.timestamp()}
    return jwt.encode({**fixed, **claims}, KEY)


@pytest.fixture
def ask(guarded_kfp):
    """Lists runs with some credentials."""
    clients = []

    def ask(credentials):
        clients.append(Client(guarded_kfp.endpoint, credentials, "alice"))
        return clients[-1].run_page()

    yield ask
    for client in clients:
        client.close()


def accepting(*values, header="Authorization"):
    return lambda request: request.headers.get(header) in values


# --- a token file ---------------------------------------------------------------------------


class Rotating:
    """A token file that is replaced every 50 ms, as a kubelet does; only the last token is valid.

    No call sees two rotations: each of its callers has finished one in between.
    """

    def __init__(self, file, callers):
        self.file, self.callers = file, callers
        self.count, self.valid, self.finished = 0, set(), set()
        self.stopped = threading.Event()
        self.rotate()

    def rotate(self):
        self.count += 1
        token = f"Bearer token-{self.count}"
        self.valid = {*self.valid, token}
        new = self.file.with_suffix(".new")
        new.write_text(token.removeprefix("Bearer "))
        new.replace(self.file)
        self.valid = {token}
        self.finished.clear()

    def lets_in(self, request):
        return request.headers["Authorization"] in self.valid

    def go_on(self, times):
        while self.count < times and not self.stopped.wait(0.05):
            wait_until(lambda: self.stopped.is_set() or len(self.finished) == self.callers)
            self.rotate()
        self.stopped.set()


def test_a_token_file_that_rotates_under_load_costs_no_call(guarded_kfp, tmp_path):
    rotating = Rotating(tmp_path / "token", callers=32)
    guarded_kfp.lets_in = rotating.lets_in
    known = Health(multi_user=True)
    client = Client(guarded_kfp.endpoint, TokenFile(rotating.file), "alice", known)

    def call(number):
        try:
            while not rotating.stopped.is_set():
                client.run_page()
                rotating.finished.add(number)
        finally:
            rotating.stopped.set()

    with ThreadPoolExecutor(33) as threads:
        turning = threads.submit(rotating.go_on, 10)
        list(threads.map(call, range(32)))
        turning.result()
    assert rotating.count == 10
    client.close()


def test_a_file_that_is_being_written_anew_has_its_last_token(tmp_path):
    file = tmp_path / "token"
    file.write_text("first")
    credentials = TokenFile(file)
    credentials.headers()
    file.write_text("")
    assert credentials.headers() == {"Authorization": "Bearer first"}
    file.write_text("second")
    assert credentials.headers() == {"Authorization": "Bearer second"}


# --- renewal --------------------------------------------------------------------------------


class Numbered(Renewed):
    """Tokens with numbers; `life` is how long each lasts, `failing` whether there is none."""

    def __init__(self, life=3600.0):
        super().__init__("numbers")
        self.life, self.count, self.failing = life, 0, False
        self.gate = threading.Event()
        self.gate.set()

    def renew(self):
        self.gate.wait(60)
        self.count += 1
        if self.failing:
            raise errors.Misconfigured(f"No number {self.count}.")
        expires_at = datetime.now(timezone.utc) + timedelta(seconds=self.life)
        return Secret.token(str(self.count), expires_at)

    def age(self, seconds):
        """As if the token had been had so much earlier."""
        secret, passed = self._secret, timedelta(seconds=seconds)
        self._secret = Secret(secret.headers, secret.expires_at - passed, secret.renew_at - passed)

    @property
    def number(self):
        return int(self.headers()["Authorization"].removeprefix("Bearer "))


def test_a_token_is_renewed_at_four_fifths_of_its_life():
    numbered = Numbered(1000)
    assert numbered.number == 1
    numbered.age(790)
    assert numbered.number == 1
    numbered.age(20)
    assert numbered.number == 2


def test_a_valid_token_is_used_while_its_renewal_fails(monkeypatch):
    numbered = Numbered(1000)
    assert numbered.number == 1
    numbered.failing = True
    numbered.age(900)
    assert (numbered.number, numbered.number, numbered.count) == (1, 1, 2)  # not asked each time
    numbered.age(200)
    with pytest.raises(errors.Misconfigured, match="No number 2"):
        numbered.headers()
    monkeypatch.setattr(renewal, "PATIENCE", 0)
    numbered.failing = False
    assert numbered.number == 3


def test_one_thread_renews_and_the_others_go_on_with_the_valid_token():
    numbered = Numbered(1000)
    assert numbered.number == 1
    numbered.age(900)
    numbered.gate.clear()
    with ThreadPoolExecutor(1) as thread:
        renewing = thread.submit(lambda: numbered.number)
        wait_until(numbered._lock.locked)
        assert numbered.number == 1
        numbered.gate.set()
        assert renewing.result() == 2


def test_a_token_that_has_run_out_by_our_clock_is_not_asked_for_each_time():
    numbered = Numbered(-60)
    assert (numbered.number, numbered.number, numbered.count) == (1, 1, 1)


def test_the_first_token_is_asked_for_once_by_many_threads():
    numbered = Numbered()
    with ThreadPoolExecutor(32) as threads:
        assert set(threads.map(lambda _: numbered.number, range(64))) == {1}
    assert numbered.count == 1


def test_a_refused_token_is_renewed_once_by_many_threads():
    numbered = Numbered()
    refused = numbered.headers()
    with ThreadPoolExecutor(32) as threads:
        assert all(threads.map(lambda _: numbered.renewed(refused), range(64)))
    assert (numbered.count, numbered.number) == (2, 2)


# --- a command ------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path):
    """The words of a command that runs this Python code."""

    def command(code):
        script = tmp_path / "command.py"
        script.write_text(code)
        return shlex.join([sys.executable, str(script)])

    return command


def test_a_command_is_run_once_and_again_after_a_refusal(command, tmp_path, guarded_kfp, ask):
    current = tmp_path / "current"
    current.write_text("first")
    ran = f"open({str(tmp_path / 'ran')!r}, 'a').write('x')\n"
    credentials = TokenCommand(command(f"{ran}print(open({str(current)!r}).read())"))
    guarded_kfp.lets_in = accepting("Bearer first")
    ask(credentials), ask(credentials)
    assert (tmp_path / "ran").read_text() == "x"
    current.write_text("second")
    guarded_kfp.lets_in = accepting("Bearer second")
    ask(credentials)
    assert (tmp_path / "ran").read_text() == "xx"


def test_a_refused_token_is_cured_where_it_came_from(command, guarded_kfp, ask):
    guarded_kfp.lets_in = lambda request: False
    with pytest.raises(errors.Unauthenticated, match="does not know who is asking") as error:
        ask(TokenCommand(command("print('one')")))
    assert "came from the token command" in error.value.cure
    assert "pipelines.kubeflow.org" in error.value.cure


def test_a_command_is_run_again_before_its_token_expires(command, tmp_path):
    current = tmp_path / "current"
    current.write_text(token(0.5, jti="first"))
    credentials = TokenCommand(command(f"print(open({str(current)!r}).read())"))
    first = credentials.headers()
    current.write_text(second := token(jti="second"))
    wait_until(lambda: credentials.headers() != first)
    assert credentials.headers() == {"Authorization": f"Bearer {second}"}
    assert credentials.expires_at > datetime.now(timezone.utc) + timedelta(minutes=50)


@pytest.mark.parametrize(
    "code, sentence",
    [
        pytest.param(
            "import sys; print('s3cret'); print('no\\ns3cret', file=sys.stderr); sys.exit(3)",
            "ended with status 3",
            id="fails",
        ),
        pytest.param("pass", "is empty", id="prints nothing"),
        pytest.param("print('s3cret\\nand more')", "is not a single token", id="two lines"),
        pytest.param("input()", "ended with status 1", id="asks"),
        pytest.param("open('/dev/tty').read()", "ended with status 1", id="asks a terminal"),
        pytest.param("import time; time.sleep(60)", "did not end within 1 s", id="hangs"),
        pytest.param("while True: print('s3cret')", "printed more than 64 kB", id="goes on"),
        pytest.param("print('s3cret' * 3000)", "is not a single token", id="no token so long"),
    ],
)
def test_a_command_that_gives_no_token_is_named_without_what_it_prints(command, code, sentence):
    credentials = TokenCommand(command(code), seconds=1)
    with pytest.raises(errors.Misconfigured, match=sentence) as error:
        credentials.headers()
    assert "s3cret" not in repr(error.value.to_dict())
    assert "Try it in a terminal" in error.value.cure
    assert "c.Kfp.token_command" in error.value.cure


def test_a_command_that_hangs_leaves_nothing_behind(tmp_path):
    noted = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {noted}.new; mv {noted}.new {noted}; wait"
    with pytest.raises(errors.Misconfigured, match="did not end"):
        TokenCommand(shlex.join(["sh", "-c", script]), seconds=1).headers()
    started = int(noted.read_text())
    wait_until(lambda: _is_dead(started))


def _is_dead(pid):
    """A process whose end nobody has taken note of is there still."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


@pytest.mark.parametrize(
    "words, sentence",
    [
        pytest.param("/no/such --token s3cret", "cannot be run: No such file", id="missing"),
        pytest.param("'s3cret", "cannot be read: No closing quotation", id="quotation"),
        pytest.param("  ", "is empty", id="empty"),
    ],
)
def test_a_command_that_is_none_is_said(words, sentence):
    with pytest.raises(errors.Misconfigured, match=sentence) as error:
        TokenCommand(words).headers()
    assert "s3cret" not in str(error.value)


def test_no_shell_sees_a_command(tmp_path):
    with pytest.raises(errors.Misconfigured, match="is not a single token"):
        TokenCommand(f"echo $HOME ; touch {tmp_path / 'made'}").headers()
    assert not (tmp_path / "made").exists()


# --- a session cookie -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, name",
    [
        pytest.param("authservice_session=MTY3==\n", "", id="with its name"),
        pytest.param("MTY3==", "authservice_session", id="its value alone"),
        pytest.param("authservice_session=MTY3==", "authservice_session", id="named twice"),
    ],
)
def test_a_cookie_is_sent_and_nothing_else(ask, guarded_kfp, tmp_path, content, name):
    file = tmp_path / "cookie"
    file.write_text(content)
    guarded_kfp.lets_in = accepting("authservice_session=MTY3==", header="Cookie")
    assert ask(SessionCookie(str(file), name)).items == []
    assert "Authorization" not in guarded_kfp.asked[-1].headers


def test_a_cookie_may_be_in_the_environment(ask, guarded_kfp, monkeypatch):
    monkeypatch.setenv("KFP_MT_COOKIE", "session=v")
    guarded_kfp.lets_in = accepting("session=v", header="Cookie")
    assert ask(SessionCookie()).items == []


class LoginPage(Server):
    """A login page before a KFP, for requests without a session."""

    reply = None

    def answer(self, request):
        if request.cookies.get("session") == "good":
            return Answer(200, {"multi_user": True})
        return self.reply


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(redirect("/dex/auth?state=x"), id="redirect"),
        pytest.param(page(403, "<form>Sign in</form>"), id="page"),
        pytest.param(Answer(401, b"Unauthorized", "text/plain"), id="401"),
    ],
)
def test_an_ended_session_is_told_with_its_cure_and_a_new_cookie_counts(serve, tmp_path, reply):
    server = serve(LoginPage)
    server.reply = reply
    file = tmp_path / "cookie"
    file.write_text("session=0ld")
    client = Client(server.endpoint, SessionCookie(str(file)), "alice")
    with pytest.raises(errors.Unauthenticated, match="cookie in file .* is not accepted") as error:
        client.run_page()
    assert "Sign in to Kubeflow in a browser" in error.value.cure
    assert "0ld" not in repr(error.value.to_dict())
    file.write_text("session=good")
    assert client.health().multi_user
    client.close()


@pytest.mark.parametrize(
    "content, sentence",
    [
        pytest.param(None, "cannot be read: No such file", id="missing"),
        pytest.param("", "There is no session cookie", id="empty"),
        pytest.param("s3cret", "has no name", id="no name"),
        pytest.param("s3cret==", "has no name", id="no name but padding"),
        pytest.param("a=s3cret; b=c", "is not a single cookie", id="two"),
        pytest.param("a=s3cret\nX-Header: y", "is not a single cookie", id="header"),
    ],
)
def test_a_cookie_file_that_cannot_work_is_named(tmp_path, content, sentence):
    file = tmp_path / "cookie"
    if content is not None:
        file.write_text(content)
    with pytest.raises(errors.Misconfigured, match=sentence) as error:
        SessionCookie(str(file)).headers()
    assert "s3cret" not in repr(error.value.to_dict())


def test_a_cookie_that_was_copied_cut_is_named(monkeypatch):
    monkeypatch.setenv("KFP_MT_COOKIE", "session=s3cret\N{HORIZONTAL ELLIPSIS}")
    with pytest.raises(errors.Misconfigured, match="is not a single cookie") as error:
        SessionCookie().headers()
    assert "s3cret" not in repr(error.value.to_dict())


# --- Google's IAP ---------------------------------------------------------------------------


class Google(Server):
    """Where a service account gets its identity tokens."""

    refusing = False

    def answer(self, request):
        if self.refusing:
            return Answer(400, {"error": "invalid_grant", "error_description": "Invalid JWT"})
        asked = jwt.decode(request.form["assertion"], options={"verify_signature": False})
        audience = asked["target_audience"]
        return Answer(200, {"id_token": token(aud=audience, sub="1", email="sa@example.com")})


@pytest.fixture
def google(serve, tmp_path, monkeypatch):
    server = serve(Google)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {
        "type": "service_account",
        "client_email": "sa@example.com",
        "private_key": key.decode(),
        "private_key_id": "1",
        "token_uri": f"{server.endpoint}/token",
    }
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    return server


def test_a_failure_of_google_without_words_is_one_as_well(google, monkeypatch):
    def fail(*_):
        raise google_errors.TransportError(OSError())

    monkeypatch.setattr(id_token, "fetch_id_token", fail)
    with pytest.raises(errors.Unauthenticated, match="Google issued no identity token"):
        GoogleIap("client.apps.googleusercontent.com").headers()


def test_an_identity_token_for_the_iap_is_asked_of_google_once(google, ask):
    credentials = GoogleIap("client.apps.googleusercontent.com")
    ask(credentials), ask(credentials)
    assert credentials.claims().audiences == ["client.apps.googleusercontent.com"]
    assert credentials.audience == "client.apps.googleusercontent.com"
    assert len(google.asked) == 1


def test_a_google_that_hangs_is_given_up(google, monkeypatch):
    done = threading.Event()
    google.answer = lambda request: done.wait(30) and Answer(200)
    monkeypatch.setattr(google_iap, "SECONDS", 0.2)
    with pytest.raises(errors.Unauthenticated, match="issued no identity token") as error:
        GoogleIap("client").headers()
    assert "timed out" in error.value.cause
    done.set()


def test_googles_refusal_is_told(google):
    google.refusing = True
    with pytest.raises(errors.Unauthenticated, match="issued no identity token") as error:
        GoogleIap("client").headers()
    assert "invalid_grant" in error.value.cause
    assert "GOOGLE_APPLICATION_CREDENTIALS" in error.value.cure


def test_without_google_auth_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.oauth2", None)
    with pytest.raises(errors.Misconfigured) as error:
        GoogleIap("client").headers()
    assert error.value.cure == "pip install 'jupyter-kfp-mt[iap]'"


# --- the kfp SDK ----------------------------------------------------------------------------


# kfp.Client says so of servers before 2.0.
@pytest.mark.filterwarnings("ignore:This client only works:FutureWarning")
def test_the_sdk_asks_the_credentials_before_each_request(guarded_kfp, command, tmp_path):
    import kfp

    file = tmp_path / "token"
    file.write_text("first")
    credentials = jupyter_kfp_mt.Credentials(endpoint=guarded_kfp.endpoint, token_file=file)
    assert isinstance(credentials, TokenFile)
    client = kfp.Client(guarded_kfp.endpoint, credentials=credentials)
    guarded_kfp.lets_in = accepting("Bearer first")
    client.list_experiments(namespace="alice")
    file.write_text("second")
    guarded_kfp.lets_in = accepting("Bearer second")
    client.list_experiments(namespace="alice")


def test_the_sdk_sends_a_cookie_where_it_is_given_one(guarded_kfp, tmp_path):
    file = tmp_path / "cookie"
    file.write_text("session=v")
    guarded_kfp.lets_in = accepting("session=v", header="Cookie")
    client = Client(guarded_kfp.endpoint, SessionCookie(str(file)), "alice")
    assert jupyter_kfp_mt.kfp_client(client).list_experiments(namespace="alice").total_size is None
    client.close()


def test_a_hook_that_cannot_send_a_cookie_says_what_can(monkeypatch):
    import kfp_server_api

    monkeypatch.setenv("KFP_MT_COOKIE", "session=v")
    with pytest.raises(errors.Misconfigured, match="can only send tokens") as error:
        SessionCookie().refresh_api_key_hook(kfp_server_api.Configuration())
    assert "jupyter_kfp_mt.kfp_client()" in error.value.cure


@pytest.mark.filterwarnings("ignore:This client only works:FutureWarning")
def test_the_sdk_says_nothing_of_who_asks_where_nothing_is_to_be_said(guarded_kfp):
    import kfp

    guarded_kfp.lets_in = lambda request: not request.headers.get("Authorization", "").strip()
    credentials = jupyter_kfp_mt.Credentials(endpoint=guarded_kfp.endpoint, auth="none")
    client = kfp.Client(guarded_kfp.endpoint, credentials=credentials)
    assert client.list_experiments(namespace="alice").total_size is None
    assert client.list_experiments(namespace="alice").total_size is None


def with_all_values(error):
    """As IPython's `%xmode Verbose` shows it, from the test on downwards."""
    assert error.tb.tb_next
    shown = VerboseTB(include_vars=True).text(error.type, error.value, error.tb.tb_next)
    return re.sub(r"\x1b\[[\d;]*m", "", shown)


@pytest.mark.filterwarnings("ignore:This client only works:FutureWarning")
def test_a_traceback_of_the_sdk_with_all_values_shows_no_token(guarded_kfp, tmp_path):
    import kfp
    import kfp_server_api

    file = tmp_path / "token"
    file.write_text("s3cret")
    credentials = jupyter_kfp_mt.Credentials(endpoint=guarded_kfp.endpoint, token_file=file)
    client = kfp.Client(guarded_kfp.endpoint, credentials=credentials)
    guarded_kfp.lets_in = lambda _: False
    with pytest.raises(kfp_server_api.ApiException) as error:
        client.list_experiments(namespace="alice")
    shown = with_all_values(error)
    assert "'authorization': '***'" in shown and "s3cret" not in shown


def test_the_sdks_client_without_an_answer_fails_as_ours_and_shows_no_token(tmp_path, serve):
    file = tmp_path / "token"
    file.write_text("s3cret")
    kfp = serve(GuardedKfp)
    client = Client(kfp.endpoint, TokenFile(file), "alice")
    sdk = jupyter_kfp_mt.kfp_client(client)
    kfp.close()
    with pytest.raises(errors.Unreachable, match="Cannot GET /apis/v2beta1/experiments") as error:
        sdk.list_experiments(namespace="alice")
    assert "connection refused" in error.value.message
    assert "s3cret" not in with_all_values(error)
    client.close()


def test_no_secret_is_in_a_repr(tmp_path, command, monkeypatch):
    monkeypatch.setenv("KFP_MT_COOKIE", "session=s3cret")
    (tmp_path / "token").write_text("s3cret")
    kinds = [
        TokenFile(tmp_path / "token"),
        TokenCommand(command("print('s3cret')") + " s3cret"),
        SessionCookie(),
    ]
    for credentials in kinds:
        assert "s3cret" in "".join(credentials.headers().values())
        assert "s3cret" not in repr(credentials) + credentials.source
    assert "s3cret" not in repr(kinds[1]._secret)
    assert os.environ["KFP_MT_COOKIE"] not in repr(kinds[2])


@pytest.mark.parametrize(
    "credentials",
    [SessionCookie("cookie"), Login("http://kfp:80", "account"), Kubeconfig("config")],
    ids=repr,
)
def test_what_was_asked_is_told_whole_where_it_names_an_address(credentials):
    refused = errors.Unauthenticated(reason="it refused.").with_(attempt="reach http://kfp:80")
    said = credentials.explained(refused, refused=True).message
    assert said.startswith("Cannot reach http://kfp:80: ")
