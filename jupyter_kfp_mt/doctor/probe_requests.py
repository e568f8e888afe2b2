"""Probes of a connection: requests with short timeouts, whose answers are kept for all checks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from urllib.parse import SplitResult, urlsplit

import msgspec
import requests
from urllib3.exceptions import HTTPError

from .. import intervals, refusal_causes
from ..attempts import attempting
from ..client.transport import API
from ..cluster.kubernetes_api import Cluster
from ..connection.connections import Connection
from ..connection.local_cluster import LocalCluster
from ..connection.status import Step
from ..credentials import Claims
from ..errors import KfpError
from ..models import Health
from ..namespaces.permissions import Permissions, Permitted
from ..network.bodies import beginning
from ..network.no_answer_errors import no_answer
from ..network.sessions import is_own, new_session, proxy_to
from ..other_servers import AskedAddress, is_html, page, refuses_tokens
from ..scrubbing import Scrubber
from .check_results import within

CONNECT_SECONDS = intervals.PROBE_CONNECT_SECONDS
ANSWER_SECONDS = intervals.PROBE_ANSWER_SECONDS
DECIDE_SECONDS = intervals.DECIDE_SECONDS
LONGEST_ANSWER = 1 << 18
_PORTS = {"http": 80, "https": 443}


class ProbeAnswer(msgspec.Struct, frozen=True):
    """An answer with any status, and when it arrived."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    came_at: datetime
    seconds: float
    url: str = ""

    @property
    def by_istio(self) -> bool:
        """Tell whether Istio refused the request: by an AuthorizationPolicy, or for its token."""
        text = self.body[:200].decode("utf-8", "replace")
        by_policy = text.startswith("RBAC: access denied")
        return self.status in (401, 403) and (by_policy or refuses_tokens(text))

    @property
    def by_login(self) -> bool:
        """Tell whether it is a web page or a redirect, as a login page sends it."""
        return 300 <= self.status < 400 or is_html(self.body)


class Known(msgspec.Struct):
    """The facts that are known by now."""

    greeting: ProbeAnswer | None = None
    health: Health | None = None
    listed: ProbeAnswer | None = None
    claims: Claims | None = None


class ProbedConnection:
    """Facts about a connection. Each is requested once, by the check that needs it first.

    `decide` makes the connection, `find_cluster` the client of its Kubernetes API; `namespace`
    replaces the connection's. `known` has the facts that checks have requested so far.
    """

    def __init__(
        self,
        decide: Callable[[], Connection],
        find_cluster: Callable[[], Cluster | None],
        namespace: str = "",
    ) -> None:
        self._decide = decide
        self._find_cluster = find_cluster
        self._namespace = namespace
        self.known = Known()

    @cached_property
    def connection(self) -> Connection:
        """The connection. Raises a `KfpError` if there is none."""
        with attempting("decide which KFP to use"):
            return within(DECIDE_SECONDS, self._decide)

    @property
    def namespace(self) -> str:
        return self._namespace or self.connection.namespace

    def chosen(self, step: str) -> Step:
        """Return the choice of an endpoint, credentials or a namespace."""
        if step == "namespace" and self._namespace not in ("", self.connection.namespace):
            return Step(step, "this session", self._namespace, True)
        nothing = Step(step, "none is configured", "")
        found = (each for each in self.connection.trace if each.step == step and each.chosen)
        return next(found, nothing)

    # --- where ------------------------------------------------------------------------------

    @property
    def address(self) -> SplitResult:
        return urlsplit(self.connection.endpoint)

    @property
    def host(self) -> str:
        return self.address.hostname or ""

    @property
    def port(self) -> int:
        return self.address.port or _PORTS[self.address.scheme]

    @property
    def proxy(self) -> str:
        """The host of the proxy for requests; empty for none."""
        found = proxy_to(self.connection.endpoint, self.connection.credentials.tls)
        return urlsplit(found).hostname or ""

    # --- who --------------------------------------------------------------------------------

    @cached_property
    def sent(self) -> dict[str, str] | KfpError:
        """The headers with the credentials, or the error if there are none."""
        try:
            headers = self.connection.credentials.headers
            with attempting("get credentials"):
                return within(DECIDE_SECONDS, headers)
        except KfpError as error:
            return error

    @property
    def headers(self) -> dict[str, str]:
        return {} if isinstance(self.sent, KfpError) else self.sent

    @cached_property
    def claims(self) -> Claims:
        with attempting("read the token"):
            claims = within(DECIDE_SECONDS, self.connection.credentials.claims)
        self.known.claims = claims
        return claims

    # --- what is answered ---------------------------------------------------------------------

    @cached_property
    def greeting(self) -> ProbeAnswer:
        """Return the answer of `healthz`."""
        self.known.greeting = answer = self.ask("healthz", headers=self.headers)
        return answer

    @cached_property
    def health(self) -> Health:
        try:
            self.known.health = health = msgspec.json.decode(self.greeting.body, type=Health)
            return health
        except (msgspec.DecodeError, UnicodeDecodeError):
            found = page(self.greeting.status, "", self._at(self.greeting))
            raise found.with_(attempt=f"reach {self.connection.endpoint}") from None

    @cached_property
    def listed(self) -> ProbeAnswer:
        """Return KFP's answer to a list of the namespace's experiments as this identity."""
        credentials = self.connection.credentials
        answer = self.list("experiments", self.namespace, self.headers)
        refused = credentials.refused_by(answer.status, answer.headers.get("Content-Type", ""))
        if refused and credentials.renewed(self.headers):
            answer = self.list("experiments", self.namespace, credentials.headers())
        self.known.listed = answer
        return answer

    @property
    def recognized(self) -> bool | None:
        """Tell whether KFP recognizes this identity; None if no answer has shown it yet."""
        answer = self.known.listed
        if answer is None or answer.by_istio or answer.by_login:
            return None
        known = answer.status == 200 or refusal_causes.denial(answer.body) is not None
        return True if known else False if answer.status == 401 else None

    @cached_property
    def ahead(self) -> timedelta | None:
        """The lead of the server's clock over ours, if it sent the time."""
        answer = self.known.greeting
        try:
            date = parsedate_to_datetime(answer.headers["Date"]) if answer else None
        except (KeyError, ValueError, TypeError):
            return None
        if answer is None or date is None or date.tzinfo is None:
            return None
        return date - answer.came_at

    @property
    def now(self) -> datetime:
        """The time by the server's clock, or by ours if that is not known."""
        return datetime.now(timezone.utc) + (self.ahead or timedelta())

    @cached_property
    def permitted(self) -> Permitted:
        """Return this identity's permissions in its namespace, from Kubernetes or a local KFP."""
        client = self.connection.client() if self.health.local else None
        cluster = LocalCluster(client) if client else self._find_cluster()
        permissions = Permissions(lambda: cluster, lambda: self.claims.sub)
        try:
            return permissions.of([self.namespace])
        finally:
            permissions.close()
            for each in (cluster, client):
                if each:
                    each.close()

    # --- asking -------------------------------------------------------------------------------

    def list(self, nouns: str, namespace: str, headers: dict[str, str]) -> ProbeAnswer:
        """Return the answer to a list with a page size of one."""
        where = {"namespace": namespace} if namespace and self.health.multi_user else {}
        return self.ask(nouns, {**where, "page_size": "1"}, headers)

    def ask(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ProbeAnswer:
        """Send one GET with these headers and no other credentials. Raises `Unreachable`."""
        path = path if path.startswith("/") else API + path
        answer = partial(self._answer, path, query, headers)
        with attempting(f"get {path}"):
            return within(CONNECT_SECONDS + ANSWER_SECONDS, answer)

    def _answer(
        self, path: str, query: Mapping[str, str] | None, headers: Mapping[str, str] | None
    ) -> ProbeAnswer:
        begin = time.monotonic()
        try:
            with self._session.get(
                self.connection.endpoint + path,
                params=query,
                headers=headers,
                # Otherwise a .netrc might add credentials.
                auth=_unchanged,
                timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = beginning(response.raw, ANSWER_SECONDS, LONGEST_ANSWER)
                body = Scrubber.of(headers or {}).body(body)
        except (OSError, ValueError, HTTPError) as error:  # the second for an invalid certificate
            waited = (CONNECT_SECONDS, ANSWER_SECONDS)
            found = no_answer(self.connection.endpoint, error, waited=waited)
            raise self.connection.credentials.explained(found, False) from None
        now = datetime.now(timezone.utc)
        took = time.monotonic() - begin
        url = self.connection.endpoint + path
        return ProbeAnswer(response.status_code, response.headers, body, now, took, url)

    def refusal(self, answer: ProbeAnswer) -> KfpError:
        """Return the error for an answer that is not a success."""
        local = self.known.health is not None and self.known.health.local
        error = refusal_causes.refusal(answer.status, answer.body, local, self._at(answer))
        error = error.with_(attempt=f"reach {self.connection.endpoint}")
        credentials = self.connection.credentials
        kind = answer.headers.get("Content-Type", "")
        return credentials.explained(error, credentials.refused_by(answer.status, kind))

    def _at(self, answer: ProbeAnswer) -> AskedAddress:
        return AskedAddress(
            self.connection.endpoint, answer.url, answer.headers.get("Location", "")
        )

    @cached_property
    def _session(self) -> requests.Session:
        endpoint, tls = self.connection.endpoint, self.connection.credentials.tls
        return new_session(trust_environment=not is_own(endpoint), tls=tls)


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
