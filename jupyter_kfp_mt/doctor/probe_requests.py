"""A connection that is examined: its probes have short time limits, and their answers are kept."""

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
    """An answer, whatever it is, and when it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    came_at: datetime
    seconds: float
    url: str = ""

    @property
    def by_istio(self) -> bool:
        """Tell whether Istio refused it in KFP's place: its access rules, or its look at tokens."""
        said = self.body[:200].decode("utf-8", "replace")
        by_rules = said.startswith("RBAC: access denied")
        return self.status in (401, 403) and (by_rules or refuses_tokens(said))

    @property
    def by_login(self) -> bool:
        """Tell whether it is a web page or a redirect, as of a login."""
        return 300 <= self.status < 400 or is_html(self.body)


class Known(msgspec.Struct):
    """The facts that have been asked for by now, as far as there was an answer."""

    greeting: ProbeAnswer | None = None
    health: Health | None = None
    listed: ProbeAnswer | None = None
    claims: Claims | None = None


class ProbedConnection:
    """Facts about a connection. Each fact is asked for once, by the check it is of.

    `decide` makes the connection, `find_cluster` the Kubernetes API that may be asked of it;
    `namespace` is another one than the connection's. `known` is what others have asked for.
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
        """Raises the `KfpError` for which there is none."""
        with attempting("decide which KFP to use"):
            return within(DECIDE_SECONDS, self._decide)

    @property
    def namespace(self) -> str:
        return self._namespace or self.connection.namespace

    def chosen(self, step: str) -> Step:
        """Return what was decided for an endpoint, credentials or a namespace."""
        if step == "namespace" and self._namespace not in ("", self.connection.namespace):
            return Step(step, "this session", self._namespace, True)
        nothing = Step(step, "nothing names one", "")
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
        """The host of the proxy that requests go through, if they do."""
        found = proxy_to(self.connection.endpoint, self.connection.credentials.tls)
        return urlsplit(found).hostname or ""

    # --- who --------------------------------------------------------------------------------

    @cached_property
    def sent(self) -> dict[str, str] | KfpError:
        """The headers that say who we are, or why they cannot be had."""
        try:
            headers = self.connection.credentials.headers
            with attempting("say who we are"):
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
        """Return what `healthz` answers."""
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
        """Return what KFP answers to this identity about the experiments of its namespace."""
        credentials = self.connection.credentials
        answer = self.list("experiments", self.namespace, self.headers)
        refused = credentials.refused_by(answer.status, answer.headers.get("Content-Type", ""))
        if refused and credentials.renewed(self.headers):
            answer = self.list("experiments", self.namespace, credentials.headers())
        self.known.listed = answer
        return answer

    @property
    def recognized(self) -> bool | None:
        """Tell whether KFP knows who is asking, as far as it has said so."""
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
            said = parsedate_to_datetime(answer.headers["Date"]) if answer else None
        except (KeyError, ValueError, TypeError):
            return None
        if answer is None or said is None or said.tzinfo is None:
            return None
        return said - answer.came_at

    @property
    def now(self) -> datetime:
        """The time by the server's clock, or by ours if that is not known."""
        return datetime.now(timezone.utc) + (self.ahead or timedelta())

    @cached_property
    def permitted(self) -> Permitted:
        """Return what Kubernetes, or a local KFP itself, says this identity may do in its
        namespace.
        """
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
        """Return what is answered to a list of one."""
        where = {"namespace": namespace} if namespace and self.health.multi_user else {}
        return self.ask(nouns, {**where, "page_size": "1"}, headers)

    def ask(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ProbeAnswer:
        """One GET with these headers and no others that say who we are. Raises `Unreachable`."""
        path = path if path.startswith("/") else API + path
        answer = partial(self._answer, path, query, headers)
        with attempting(f"ask for {path}"):
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
                # Without it a .netrc might add credentials.
                auth=_as_it_is,
                timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = beginning(response.raw, ANSWER_SECONDS, LONGEST_ANSWER)
                body = Scrubber.of(headers or {}).body(body)
        except (OSError, ValueError, HTTPError) as error:  # also for certificates that are none
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


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
