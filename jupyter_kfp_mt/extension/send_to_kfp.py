"""Send requests to KFP with this server's identity: streamed both ways, with keep-alive."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode, urlsplit

import certifi
import msgspec

from .. import intervals
from ..client import refused_uploads
from ..credentials.base import Credentials
from ..errors import KfpError, Misconfigured
from ..intervals import CONNECT_SECONDS, READ_SECONDS
from ..network.certificates import authorities
from ..network.sessions import proxy_to
from ..network.tls import Tls
from ..release import USER_AGENT
from ..scrubbing import Scrubber
from .kfp_response import KfpResponse, faults, no_answer

if TYPE_CHECKING:
    import aiohttp

FRESH_SECONDS = intervals.TOKEN_SECONDS
CONNECTIONS = 64

T = TypeVar("T")
Query = list[tuple[str, str]]


class KfpRequest(msgspec.Struct, frozen=True):
    """A request to KFP; a streamed `body` cannot be sent again."""

    method: str
    path: str
    query: Query = []
    body: bytes | AsyncIterator[bytes] = b""
    content_type: str = ""
    length: str = ""  # of a streamed body, if known

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def repeatable(self) -> bool:
        return isinstance(self.body, bytes)

    def headers(self) -> dict[str, str]:
        """Return all headers except the credentials; none of the browser's are forwarded."""
        given = {"Content-Type": self.content_type, "Content-Length": self.length}
        return {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
            **{name: value for name, value in given.items() if value},
        }


class Destination:
    """KFP at an endpoint, with the TLS settings and the credentials, looked up in `threads`."""

    def __init__(self, endpoint: str, credentials: Credentials, threads: Executor) -> None:
        self.endpoint = endpoint
        self._credentials = credentials
        self._threads = threads
        self._headers: asyncio.Future[dict[str, str]] | None = None
        self._asked_at = 0.0
        self._identity: tuple[dict[str, str], Hashable] | None = None
        self._scrubber: tuple[dict[str, str], Scrubber] | None = None
        self.proxy = _proxy(endpoint, credentials.tls)
        self.ssl = _trust(endpoint, credentials.tls)

    async def headers(self, refresh: bool = False) -> dict[str, str]:
        """Return the headers with the credentials. Raises `KfpError` if there are none."""
        before, age = self._headers, time.monotonic() - self._asked_at
        # During a slow lookup, other requests wait for the same one, without a thread each.
        old = before is None or _failed(before) or (before.done() and age > FRESH_SECONDS)
        if before is None or old or refresh:
            self._asked_at = time.monotonic()
            self._headers = before = self._in_thread(self._credentials.headers)
        return await asyncio.shield(before)

    async def identity(self) -> Hashable:
        """Where KFP is, and as whom it is asked; worked out once for each lookup of the headers."""
        headers = await self.headers()
        if self._identity is None or self._identity[0] is not headers:
            self._identity = headers, (self.endpoint, hash(frozenset(headers.items())))
        return self._identity[1]

    def scrubber(self, headers: dict[str, str]) -> Scrubber:
        """One for the credentials in the headers, which are the same for many requests."""
        if self._scrubber is None or self._scrubber[0] is not headers:
            self._scrubber = headers, Scrubber.of(headers)
        return self._scrubber[1]

    def may_refuse(self, answer: aiohttp.ClientResponse) -> bool:
        """Return True if a response may reject the credentials: for uploads KFP gives no reason."""
        kind = answer.headers.get("Content-Type", "")
        silent = refused_uploads.may_be_of_identity(answer.url.path, answer.status, kind)
        return silent or self.refuses(answer)

    def refuses(self, answer: aiohttp.ClientResponse) -> bool:
        """Return True if a response rejects the credentials."""
        kind = answer.headers.get("Content-Type", "")
        return self._credentials.refused_by(answer.status, kind)

    def explained(self, error: KfpError, refused: bool) -> KfpError:
        """Return the error with the credentials' knowledge added."""
        return self._credentials.explained(error, refused)

    async def renewed(self, refused: Mapping[str, str]) -> bool:
        """Renew the credentials; return whether they differ from the rejected ones."""
        return await self._in_thread(lambda: self._credentials.renewed(refused))

    def _in_thread(self, call: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, call)


class Sender:
    """Sends requests, and returns each response as soon as it begins.

    A GET is repeated once after a lost connection. Anything else is sent once, on a connection of
    its own: KFP might be closing a kept-alive one at that moment.
    """

    def __init__(self) -> None:
        self._kept: aiohttp.ClientSession | None = None
        self._own: aiohttp.ClientSession | None = None

    async def send(self, to: Destination, request: KfpRequest) -> KfpResponse:
        """Return the response, whatever its status. Raises a `KfpError` if there is none.

        A request whose credentials were rejected had no effect, and is repeated with renewed ones.
        """
        headers = await to.headers(refresh=not request.repeatable)
        response = await self._send_once(to, request, headers)
        if to.may_refuse(response) and await _renewed(to, headers, response) and request.repeatable:
            response.close()
            headers = await to.headers(refresh=True)
            response = await self._send_once(to, request, headers)
        refused = to.refuses(response)
        return KfpResponse(
            response=response,
            endpoint=to.endpoint,
            explained=lambda error: to.explained(error, refused),
            scrubber=to.scrubber(headers),
        )

    async def close(self) -> None:
        for session in filter(None, (self._kept, self._own)):
            await session.close()

    async def _send_once(
        self, to: Destination, request: KfpRequest, identity: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        from yarl import URL

        url = f"{to.endpoint}{request.path}"
        if request.query:
            url += "?" + urlencode(request.query)
        safe = request.method == "GET"
        try:
            return await self._session(kept=safe).request(
                request.method,
                URL(url, encoded=True),
                data=request.body or None,
                headers={**request.headers(), **identity},
                allow_redirects=False,
                proxy=to.proxy,
                ssl=to.ssl,
                middlewares=None if safe else (_Once(),),
            )
        except faults() as error:
            raise to.explained(no_answer(to.endpoint, error), False) from None

    def _session(self, kept: bool) -> aiohttp.ClientSession:
        if kept:
            self._kept = self._kept or _new_session()
            return self._kept
        self._own = self._own or _new_session(force_close=True)
        return self._own


class _Once:
    """Sends a request once: aiohttp itself would repeat a DELETE."""

    sent = False

    async def __call__(
        self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        import aiohttp

        if self.sent:
            raise aiohttp.ServerDisconnectedError
        self.sent = True
        return await send(request)


def _new_session(force_close: bool = False) -> aiohttp.ClientSession:
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS, force_close=force_close),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS
        ),
    )


async def _renewed(
    to: Destination, refused: Mapping[str, str], response: aiohttp.ClientResponse
) -> bool:
    """Return whether to repeat it with renewed credentials; close the response if renewal fails."""
    try:
        return await to.renewed(refused)
    except BaseException:
        response.close()
        raise


def _failed(future: asyncio.Future[Any]) -> bool:
    return future.done() and (future.cancelled() or future.exception() is not None)


def _proxy(endpoint: str, tls: Tls | None) -> str | None:
    """Return the proxy that `requests` would use. Raises `Misconfigured` if it is not an HTTP
    proxy.
    """
    found = urlsplit(proxy_to(endpoint, tls))
    if found.scheme not in ("", "http", "https"):
        raise Misconfigured(
            f"Cannot reach {endpoint}: a proxy of type {found.scheme} is set, and only HTTP "
            "proxies are supported.",
            cure="Set HTTPS_PROXY to an HTTP proxy, or add the endpoint's host to NO_PROXY.",
        )
    return found.geturl() or None


def _trust(endpoint: str, tls: Tls | None) -> ssl.SSLContext | bool:
    """Return the same certificate authorities that `requests` would trust."""
    if not endpoint.startswith("https:"):
        return True
    path = (tls.authorities if tls else authorities()) or certifi.where()
    folder = os.path.isdir(path)
    try:
        context = ssl.create_default_context(
            cafile=None if folder else path, capath=path if folder else None
        )
        if tls and tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key or None)
    except OSError as error:
        raise Misconfigured(
            f"Cannot reach {endpoint}: the certificates for it cannot be read ({error.strerror}).",
            cause=f"The trusted authorities are read from {path}.",
            cure="Correct the path in REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or the kubeconfig.",
        ) from None
    if tls and not tls.verified:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
