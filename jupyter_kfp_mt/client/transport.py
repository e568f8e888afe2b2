"""The transport of requests to KFP, which turns every failure into a `KfpError`."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3

from .. import intervals, refusal_causes
from ..attempts import attempting
from ..credentials import Credentials
from ..errors import KfpError, Misconfigured, Unreachable
from ..intervals import CONNECT_SECONDS, DOOR_SECONDS, READ_SECONDS
from ..models import Health, Page, Value
from ..network import bodies
from ..network.line_stream import LineStream
from ..network.no_answer_errors import OWN_ADDRESS, no_answer
from ..network.sessions import is_own, new_session
from ..other_servers import IN_CLUSTER, AskedAddress, endpoint_of, is_html, page
from ..scrubbing import scrubbed
from . import refused_uploads

T = TypeVar("T", bound=Value)


API = "/apis/v2beta1/"
HEALTH_SECONDS = intervals.HEALTH_SECONDS
MOST_WARNINGS = 20
# One warning of a Warning header: a code, an agent and a quoted text (RFC 7234, 5.5).
_WARNING = re.compile(r'\b[0-9]{3} \S+ "((?:[^"\\]|\\.)*)"')

# Its data are still there after a restart.
_LOCAL_IS_GONE = (
    "The local KFP has stopped or crashed. Start it again, with all its data: "
    "%kfp connect --endpoint local"
)


class Transport:
    """KFP at `endpoint`, with the identity of `credentials`.

    `behind_door` tells whether a Jupyter server's door is in between, which has its own timeouts.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials,
        session: requests.Session | None = None,
        health: Health | None = None,
        read_only: bool = False,
        behind_door: bool = False,
    ) -> None:
        self.endpoint = checked_endpoint(endpoint)
        self.credentials = credentials
        self.read_only = read_only
        self.behind_door = behind_door
        self.read_seconds = DOOR_SECONDS if behind_door else READ_SECONDS
        # KFP's warnings about changes, until somebody removes them.
        self.warnings: deque[str] = deque(maxlen=MOST_WARNINGS)
        self._health = health
        self.session = session or new_session(
            trust_environment=not is_own(self.endpoint), tls=credentials.tls
        )

    def health(self) -> Health:
        """Return the answer of `healthz`, requested once: it needs no identity, and its timeout is
        5 seconds.
        """
        if self._health is None:
            read = DOOR_SECONDS if self.behind_door else HEALTH_SECONDS
            with attempting("reach KFP"):
                answer = self.request("GET", "healthz", read)
            self._health = self.decode(answer, Health)
        return self._health

    def known_health(self) -> Health:
        """Return the same, or an empty one if KFP does not answer."""
        try:
            return self.health()
        except KfpError:
            return Health()

    def close(self) -> None:
        """Close all connections."""
        self.session.close()

    def decode(self, answer: bytes, kind: Any) -> Any:
        """Decode an answer as values of a kind. Raises `Unreachable` for an answer that is not
        KFP's.
        """
        return _decode(answer, kind, self.endpoint)

    def whole(self, url: str) -> bytes:
        """Return the whole answer of an address outside of the API."""
        response = self._send("GET", url, self.read_seconds, {"stream": True})
        return self._body(response, self.read_seconds, bodies.whole)

    def unread(self, url: str, body: Any = None) -> Any:
        """Return an unread answer; with a body, to a POST that changes nothing."""
        arguments = {"stream": True, **({} if body is None else {"json": body})}
        method = "GET" if body is None else "POST"
        return self._send(method, url, self.read_seconds, arguments).raw

    def page(self, path: str, kind: type[T], query: dict[str, str]) -> Page[T]:
        answer = self.request("GET", path, params=query)
        noun = path.rpartition("/")[2]
        key = {"versions": "pipeline_versions", "recurringruns": "recurringRuns"}.get(noun, noun)
        wire = self.decode(answer, dict[str, msgspec.Raw])
        raw = wire.get(key)
        return Page(
            kind=kind,
            items=self.decode(bytes(raw), list[kind]) if raw else [],  # type: ignore[valid-type]
            total_size=msgspec.json.decode(wire.get("total_size", b"0")),
            next_page_token=msgspec.json.decode(wire.get("next_page_token", b'""')),
        )

    def get(self, path: str, kind: type[T]) -> T:
        found: T = self.decode(self.request("GET", path), kind)
        return found

    def post(self, path: str, kind: type[T], body: dict[str, Any]) -> T:
        headers = {"Content-Type": "application/json"}
        answer = self.request("POST", path, data=msgspec.json.encode(body), headers=headers)
        created: T = self.decode(answer, kind)
        return created

    def request(self, method: str, path: str, read: float = 0, **kwargs: Any) -> bytes:
        """Send a request; every failure is raised as a `KfpError`."""
        if self.read_only and method != "GET":
            raise refusal_causes.read_only()
        seconds = read or self.read_seconds
        arguments = {**kwargs, "stream": True}
        response = self._send(method, self.endpoint + API + path, seconds, arguments)
        if method != "GET":
            self.warnings.extend(warnings_in(response.headers.get("Warning", "")))
        return self._body(response, seconds, bodies.whole)

    def stream(
        self,
        url: str,
        attempt: str,
        query: dict[str, str] | None = None,
        follow: bool = False,
        headers: dict[str, str] | None = None,
    ) -> LineStream:
        """Return the lines of an answer as they arrive; errors meanwhile name the `attempt`."""
        headers = {"Accept-Encoding": "identity", **(headers or {})}
        arguments = {"params": query, "headers": headers, "stream": True}
        # A task may write nothing for hours, but a door sends keep-alives.
        read = intervals.SILENCE_SECONDS if follow else self.read_seconds
        with attempting(attempt):
            response = self._send("GET", url, read, arguments)
        return LineStream(
            response.raw, lambda error: no_answer(self.endpoint, error).with_(attempt=attempt)
        )

    def _may_be_refused(self, response: requests.Response) -> bool:
        path, kind = str(response.url), response.headers.get("Content-Type", "")
        silent = refused_uploads.may_be_of_identity(path, response.status_code, kind)
        return silent or self._is_refused(response)

    def _is_refused(self, response: requests.Response) -> bool:
        content_type = response.headers.get("Content-Type", "")
        return self.credentials.refused_by(response.status_code, content_type)

    def _send(
        self, method: str, url: str, read: float | None, kwargs: dict[str, Any]
    ) -> requests.Response:
        """Return the answer. Raises a `KfpError` for a refusal."""
        response = self._send_once(method, url, read, kwargs)
        if self._may_be_refused(response) and self._renewed(response):
            response.close()
            response = self._send_once(method, url, read, kwargs)
        if response.status_code >= 300:
            local = self._is_local(response)
            body = self._body(response, read or self.read_seconds, bodies.beginning)
            body = scrubbed(response, body)
            location = response.headers.get("Location", "")
            at = AskedAddress(self.endpoint, url, location)
            error = refusal_causes.refusal(response.status_code, body, local, at)
            raise self.credentials.explained(error, self._is_refused(response))
        return response

    def _is_local(self, refused: requests.Response) -> bool:
        """Tell if it was the local KFP that refused; this may take another request."""
        asks = refused.status_code in (400, 403) and not str(refused.url).endswith("/healthz")
        try:
            health = self.health() if asks else self._health
        except KfpError:
            return False
        return health is not None and health.local

    def _renewed(self, response: requests.Response) -> bool:
        """Tell whether to send it again with renewed credentials; close the answer if renewal
        fails.
        """
        try:
            return self.credentials.renewed(response.request.headers)
        except BaseException:
            response.close()
            raise

    def _body(
        self,
        response: requests.Response,
        seconds: float,
        read: Callable[[Any, float], bytes],
    ) -> bytes:
        try:
            with closing(response):
                return read(response.raw, seconds)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise no_answer(self.endpoint, error) from None

    def _send_once(
        self, method: str, url: str, read: float | None, kwargs: dict[str, Any]
    ) -> requests.Response:
        connect = min(CONNECT_SECONDS, read or CONNECT_SECONDS)
        try:
            return self.session.request(
                method,
                url,
                auth=self.credentials,
                timeout=(connect, read),
                allow_redirects=False,
                **kwargs,
            )
        except (OSError, ValueError) as error:  # also for certificates or a Location that is none
            is_local = self._health and self._health.local and not self.behind_door
            cure = _LOCAL_IS_GONE if is_local else ""
            found = no_answer(self.endpoint, error, cure, (connect, read))
            raise self.credentials.explained(found, False) from None


def warnings_in(header: str) -> list[str]:
    """Return the texts of a Warning header, which may hold several."""
    return [re.sub(r"\\(.)", r"\1", text) for text in _WARNING.findall(header)]


def checked_endpoint(endpoint: str) -> str:
    """Return the endpoint in an address, which may be copied from a browser.

    Raises `Misconfigured` if it is not an http address.
    """
    endpoint = endpoint_of(endpoint)
    try:
        parts = urlsplit(endpoint)
        known = "@" in parts.netloc
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        known, wrong = False, True
    if known or (wrong and "@" in endpoint):  # not shown: a password may be before it
        raise Misconfigured(
            "The endpoint contains a user name or password.",
            cure="Remove them; to use a token, set c.Kfp.token_file.",
        )
    if wrong:
        raise Misconfigured(
            f"The endpoint {endpoint!r} is not an address of KFP.",
            cure=f"Write it with its scheme, such as {IN_CLUSTER}.",
        )
    return endpoint


def _decode(answer: bytes, kind: Any, endpoint: str) -> Any:
    try:
        return msgspec.json.decode(answer, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        if is_html(answer):
            raise page(200, "", AskedAddress(endpoint)).with_(attempt=f"use {endpoint}") from None
        raise Unreachable(
            f"the answer of {endpoint} is not one of KFP's.",
            cause="Another server answers there, or a KFP with another API.",
            cure=OWN_ADDRESS,
        ) from None
