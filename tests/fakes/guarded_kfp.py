"""Small servers for tests: a KFP that says who may in, and the login pages that stand before one.

They answer as KFP's API server, Dex and oauth2-proxy do.
"""

import json
import secrets
import threading
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from fakes import kubernetes_api
from harness import secrecy


class Answer(Exception):
    """The answer to a request, from wherever it is decided."""

    def __init__(self, status, body=b"", kind="application/json", **headers):
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {"Content-Type": kind, **headers}


def page(status, body):
    return Answer(
        status, f"<!DOCTYPE html><html>{body}</html>".encode(), "text/html; charset=utf-8"
    )


def redirect(location, status=302, **headers):
    return Answer(status, b"", "text/html", Location=location, **headers)


class Request:
    """One that was received."""

    def __init__(self, handler):
        url = urlsplit(handler.path)
        self.method, self.path = handler.command, url.path
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.headers = handler.headers
        self.body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.cookies = {
            name: morsel.value for name, morsel in SimpleCookie(handler.headers["Cookie"]).items()
        }

    @property
    def form(self):
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


class Server:
    """On loopback; `answer(request)` returns or raises an `Answer`."""

    def __init__(self):
        self.asked = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self):
                request = Request(self)
                server.asked.append(request)
                try:
                    answer = server.answer(request)
                except Answer as raised:
                    answer = raised
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    for one in value if isinstance(value, list) else [value]:
                        self.send_header(name.replace("_", "-"), one)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_POST = do_PATCH = do_DELETE = do_GET

            def log_message(self, *_):
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.endpoint = f"http://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def count(self, path):
        return sum(request.path.endswith(path) for request in self.asked)


def refusal(status, code, text):
    details = [{"@type": "type.googleapis.com/google.rpc.Status", "code": code, "message": text}]
    return Answer(status, {"code": code, "message": f"wrapped: {text}", "details": details})


class GuardedKfp(Server):
    """A KFP; `lets_in(request)` decides about all but its health."""

    def __init__(self, multi_user=True):
        self.multi_user = multi_user
        self.lets_in = lambda request: True
        super().__init__()

    def answer(self, request):
        path = request.path.removeprefix("/apis/v2beta1/")
        if path == "healthz":
            return Answer(200, {"multi_user": self.multi_user, "tag_name": "2.17.0"})
        if not self.lets_in(request):
            return refusal(
                401,
                16,
                "Failed to check authorization. User identity is empty in the request header",
            )
        if not self.multi_user:
            self.check_namespace(request, path)
        return self.found(request, path)

    def check_namespace(self, request, path):
        body = request.body.startswith(b"{") and "namespace" in json.loads(request.body)
        if request.query.get("namespace") or body:
            noun = path.partition("/")[0].removesuffix("s").capitalize()
            raise refusal(400, 3, f"In single-user mode, List{noun} cannot filter by namespace.")

    def found(self, request, path):
        version = {"pipeline_id": "p", "pipeline_version_id": "v", "display_name": "adder"}
        if path.endswith("/versions"):
            return Answer(200, {"pipeline_versions": [version], "total_size": 1})
        if request.method == "GET":
            return Answer(200, {})
        made = {"pipelines/upload": {"pipeline_id": "p", "display_name": "adder"}}
        posted = {"run_id": "r", "experiment_id": "e", "display_name": "made"}
        return Answer(200, made.get(path, posted))


FORM = """<form method="post" action="{action}">
<input required type="text" id="login" name="login"/>
<input required type="password" id="password" name="password"/>
<button id="submit-login" type="submit">Login</button></form>"""


class Dex(Server):
    """Dex with its local passwords, alone or among other `connectors`."""

    def __init__(self, connectors=("local",), skip_approval=True):
        self.connectors = connectors
        self.skip_approval = skip_approval
        self.passwords = {"user@example.com": "12341234"}
        self._requests = {}
        super().__init__()

    def answer(self, request):
        path = request.path
        if path == "/dex/auth":
            return self._start(request)
        if path == "/dex/auth/local":
            return redirect("/dex/auth/local/login?" + urlencode({"back": "", **request.query}))
        if path == "/dex/auth/local/login":
            return self._login(request)
        if path == "/dex/approval":
            return self._approval(request)
        return page(404, "not found")

    def _start(self, request):
        state = secrets.token_hex(8)
        self._requests[state] = request.query
        if self.connectors == ("local",):
            return redirect(f"/dex/auth/local?state={state}")
        links = [f'<a href="/dex/auth/{one}?state={state}">{one}</a>' for one in self.connectors]
        return page(200, "".join(links))

    def _login(self, request):
        if request.method == "POST":
            form = request.form
            if self.passwords.get(form.get("login")) == form.get("password"):
                return redirect(f"/dex/approval?req={request.query['state']}", 303)
        action = f"/dex/auth/local/login?state={request.query['state']}"
        return page(401 if request.method == "POST" else 200, FORM.format(action=action))

    def _approval(self, request):
        if self.skip_approval or request.form.get("approval") == "approve":
            asked = self._requests[request.query.get("req") or request.form["req"]]
            query = urlencode({"code": "c0de", "state": asked["state"]})
            return redirect(f"{asked['redirect_uri']}?{query}", 303)
        form = (
            '<form method="post"><input type="hidden" name="req" value="{req}"/>'
            '<input type="hidden" name="approval" value="approve"><button>Grant</button></form>'
            '<form method="post"><input type="hidden" name="req" value="{req}"/>'
            '<input type="hidden" name="approval" value="rejected"><button>No</button></form>'
        )
        return page(200, form.format(req=request.query["req"]))


class OAuth2Proxy(GuardedKfp):
    """oauth2-proxy before a KFP, which sends people to Dex at `provider`."""

    COOKIE = "oauth2_proxy_kubeflow"

    def __init__(self, provider, button=False):
        self.provider = provider
        self.button = button
        self.sessions = set()
        self.lifetime = "; Max-Age=604800"
        super().__init__()

    def answer(self, request):
        if request.path == "/oauth2/start":
            return self._start(request)
        if request.path == "/oauth2/callback":
            return self._callback(request)
        if request.cookies.get(self.COOKIE) in self.sessions:
            return super().answer(request)
        if self.button:
            form = '<form method="GET" action="/oauth2/start"><input type="hidden" name="rd" '
            return page(403, form + f'value="{request.path}"><button>Sign in</button></form>')
        return redirect("/oauth2/start?" + urlencode({"rd": request.path}))

    def _start(self, request):
        state = secrets.token_hex(8) + ":" + request.query["rd"]
        back = f"{self.endpoint}/oauth2/callback"
        query = urlencode({"client_id": "kubeflow", "redirect_uri": back, "state": state})
        csrf = f"{self.COOKIE}_csrf={state.partition(':')[0]}; Path=/; HttpOnly"
        return redirect(f"{self.provider}/dex/auth?{query}", Set_Cookie=csrf)

    def _callback(self, request):
        csrf, _, back = request.query["state"].partition(":")
        if request.cookies.get(f"{self.COOKIE}_csrf") != csrf:
            return page(403, "Unable to find a valid CSRF token. Please try again.")
        session = secrets.token_hex(16)
        self.sessions.add(session)
        secrecy.SECRETS.add(session)
        cookies = [
            f"{self.COOKIE}_csrf=; Path=/; Max-Age=0",
            f"{self.COOKIE}={session}; Path=/; HttpOnly{self.lifetime}",
        ]
        return redirect(back, Set_Cookie=cookies)


@pytest.fixture
def serve():
    """Starts servers, and stops them after the test."""
    started = []

    def serve(kind, *arguments, **options):
        started.append(kind(*arguments, **options))
        return started[-1]

    yield serve
    for server in started:
        server.close()


@pytest.fixture
def guarded_kfp(serve):
    return serve(GuardedKfp)


class ClusterKfp(BaseHTTPRequestHandler):
    """The local KFP as one that does not say it is local."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        sent = {"Authorization": self.headers.get("Authorization", "")}
        answer = requests.get(self.server.api + self.path, headers=sent, timeout=30)
        body = answer.json()
        if self.path.endswith("/healthz"):
            body |= {"tag_name": "2.17.0", "multi_user": not self.server.single_user}
        written = json.dumps(body).encode()
        self.send_response(answer.status_code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)


@pytest.fixture
def cluster_kfp(local_kfp):
    with kubernetes_api.Server(ClusterKfp, local_kfp.endpoint) as server:
        server.asked, server.single_user = [], False
        server.endpoint = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        yield server
        server.shutdown()
