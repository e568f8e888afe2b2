"""Requests to KFP: on kept-alive connections, streamed both ways, as this server's identity."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from importlib.metadata import version
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import aiohttp
import certifi
import msgspec
import requests
from requests.utils import get_environ_proxies, select_proxy
from yarl import URL

from ..client import CONNECT_SECONDS, READ_SECONDS, is_loopback, unreachable
from ..credentials import Credentials
from ..errors import Unreachable

# A token is looked for again after this time, in a thread: a hop for each request costs too much.
FRESH_SECONDS = 1.0
CONNECTIONS = 64
USER_AGENT = f"jupyter-kfp-mt/{version('jupyter-kfp-mt')}"

# What a request, or the reading of its answer, fails with.
FAULTS = (aiohttp.ClientError, TimeoutError, asyncio.TimeoutError, OSError)

T = TypeVar("T")
Query = list[tuple[str, str]]


class Request(msgspec.Struct, frozen=True):
    """What is asked of KFP; a `body` that arrives while it is sent cannot be sent again."""

    method: str
    path: str
    query: Query = []
    body: bytes | AsyncIterator[bytes] = b""
    content_type: str = ""
    length: str = ""  # of such a body, where it is known

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def repeatable(self) -> bool:
        return isinstance(self.body, bytes)

    def headers(self) -> dict[str, str]:
        """All that are sent but those that say who we are: nothing of the browser's otherwise."""
        given = {"Content-Type": self.content_type, "Content-Length": self.length}
        return {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
            **{name: value for name, value in given.items() if value},
        }


class Destination:
    """KFP at an endpoint: how to connect to it, and what to send along, looked up in `threads`."""

    def __init__(self, endpoint: str, credentials: Credentials, threads: Executor) -> None:
        self.endpoint = endpoint
        self._credentials = credentials
        self._threads = threads
        self._headers: asyncio.Future[dict[str, str]] | None = None
        self._asked_at = 0.0
        # The same that `requests` would do for the endpoint.
        own = is_loopback(urlsplit(endpoint).hostname or "")
        self.proxy = None if own else select_proxy(endpoint, get_environ_proxies(endpoint))
        self.ssl = _trust(own) if endpoint.startswith("https:") else True

    async def headers(self, anew: bool = False) -> dict[str, str]:
        """What says who we are. Raises the `KfpError` for which it cannot be had."""
        before, age = self._headers, time.monotonic() - self._asked_at
        if before is None or anew or _failed(before) or age > FRESH_SECONDS:
            self._asked_at = time.monotonic()
            self._headers = before = self._in_thread(lambda: _headers(self._credentials))
        return await asyncio.shield(before)

    async def renewed(self, refused: Mapping[str, str]) -> bool:
        """Whether there is something else to send than was refused."""
        return await self._in_thread(lambda: _renewed(self._credentials, refused))

    def _in_thread(self, call: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, call)


class Sender:
    """Sends requests; an answer keeps its connection until it is read to its end or closed.

    A GET is sent once more on a lost connection. Anything else is sent once, on a connection of
    its own: a kept one might be closed by the other side just then.
    """

    def __init__(self) -> None:
        self._kept: aiohttp.ClientSession | None = None
        self._own: aiohttp.ClientSession | None = None

    async def send(self, to: Destination, request: Request) -> aiohttp.ClientResponse:
        """The answer, whatever its status. Raises a `KfpError` where there is none.

        A 401 is asked again with renewed credentials, for nothing was done for the old ones.
        """
        headers = await to.headers(anew=not request.repeatable)
        answer = await self._send_once(to, request, headers)
        if answer.status == 401 and await to.renewed(headers) and request.repeatable:
            answer.close()
            answer = await self._send_once(to, request, await to.headers(anew=True))
        return answer

    async def close(self) -> None:
        for session in filter(None, (self._kept, self._own)):
            await session.close()

    async def _send_once(
        self, to: Destination, request: Request, identity: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
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
        except FAULTS as error:
            raise no_answer(to.endpoint, str(request), error) from None

    def _session(self, kept: bool) -> aiohttp.ClientSession:
        if kept:
            self._kept = self._kept or _new_session()
            return self._kept
        self._own = self._own or _new_session(force_close=True)
        return self._own


class _Once:
    """Sends a request once: aiohttp itself would send a DELETE again."""

    sent = False

    async def __call__(
        self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self.sent:
            raise aiohttp.ServerDisconnectedError
        self.sent = True
        return await send(request)


def no_answer(endpoint: str, asked: str, error: Exception) -> Unreachable:
    """Why there was no answer, or no whole one."""
    return unreachable(endpoint, asked, _reason(error))


def _reason(error: Exception) -> str:
    reasons = (
        (aiohttp.ClientSSLError, "its certificate is not trusted"),
        ((TimeoutError, asyncio.TimeoutError), "it did not answer in time"),
        (aiohttp.ClientConnectorDNSError, "no such host"),
        (aiohttp.ClientPayloadError, "its answer broke off"),
        (aiohttp.ClientResponseError, "its answer is not HTTP"),
        (aiohttp.ServerDisconnectedError, "connection closed"),
    )
    for kind, reason in reasons:
        if isinstance(error, kind):
            return reason
    code = getattr(error, "errno", None)
    return os.strerror(code).lower() if code else type(error).__name__


def _new_session(force_close: bool = False) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS, force_close=force_close),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS
        ),
    )


def _headers(credentials: Credentials) -> dict[str, str]:
    token = credentials.token()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _renewed(credentials: Credentials, refused: Mapping[str, str]) -> bool:
    request = requests.PreparedRequest()
    request.headers = requests.structures.CaseInsensitiveDict(refused)
    return credentials.renewed(request)


def _failed(future: asyncio.Future[Any]) -> bool:
    return future.done() and (future.cancelled() or future.exception() is not None)


def _trust(own: bool) -> ssl.SSLContext:
    names = () if own else ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    path = next(filter(None, map(os.environ.get, names)), certifi.where())
    folder = os.path.isdir(path)
    return ssl.create_default_context(
        cafile=None if folder else path, capath=path if folder else None
    )
