"""The forwarded KFP API: which requests go through, and how their answers come back."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import msgspec
import requests
from jupyter_server.auth.decorator import authorized
from tornado import web

from .. import explain
from ..errors import Forbidden, KfpError, NotFound
from .handlers import KfpHandler

# The nouns of the API. The report endpoints (workflows, scheduledworkflows) are KFP's own, and
# visualizations run code; neither is for a notebook.
_FORWARDED = re.compile(
    r"/apis/(v1beta1|v2beta1)/"
    r"(healthz|auth|experiments|runs|recurringruns|jobs|pipelines|pipeline_versions|namespaces)"
    r"(/.*)?"
)
_LOG = re.compile(r"/apis/v1alpha1/runs/[^/]+/nodes/[^/]+/log")
_BY_NAME = re.compile(r"/apis/v2beta1/pipelines/names/[^/]+")
_SEGMENT = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+")
# What a browser says to the Jupyter server in the query, and is not for KFP.
_JUPYTERS = {"token", "_xsrf", "no_track_activity"}

Query = list[tuple[str, str]]


def checked(path: str, query: Query, local: bool) -> str:
    """The path to ask KFP for, written anew from its parts as they were checked.

    Raises for a request that is not to go through: `NotFound` or `Forbidden`, with the reason.
    `local`: it is for the local KFP, which asks who is calling where the real one does not.
    """
    segments = [_part(segment) for segment in path.removeprefix("/").split("/")]
    if None in segments:
        raise NotFound(f"{path} is not a path of the KFP API.")
    parts = [segment for segment in segments if segment]
    _check("/" + "/".join(parts), query, local)
    return "".join("/" + quote(part, safe="!$&'()*+,;=:@") for part in parts)


def _check(path: str, query: Query, local: bool) -> None:
    if _LOG.fullmatch(path):
        if not local:
            raise Forbidden(
                "KFP answers with the log of any run without asking who is calling.",
                cure="Read the pod's log with kubectl, in the namespace of the run.",
            )
    elif not _FORWARDED.fullmatch(path):
        raise NotFound(f"{path} is not forwarded.")
    elif path.endswith(":reportMetrics"):
        raise Forbidden("Metrics are reported by KFP itself.")
    elif _BY_NAME.fullmatch(path) and not dict(query).get("namespace"):
        raise Forbidden(
            "Without a namespace KFP answers with anybody's pipeline of that name.",
            cure="Add namespace=... to the query.",
        )


def _part(segment: str) -> str | None:
    """A segment of a path, decoded; None for what is no plain one, or a way out."""
    text = unquote(segment)
    hidden = "/" in text or "\\" in text or any(ord(character) < 32 for character in text)
    if not _SEGMENT.fullmatch(segment) or text in (".", "..") or hidden:
        return None
    return text


class ProxyHandler(KfpHandler):
    """`<base_url>/kfp-mt/api/apis/...`: the KFP API, as this server's identity.

    The request to KFP is built anew, from the method, path, query and body, with no header of the
    browser's but the type of the body.
    """

    async def _forward(self) -> None:
        path = self.request.path.partition("/kfp-mt/api")[2]
        sent = parse_qsl(self.request.query, keep_blank_values=True)
        query = [(name, value) for name, value in sent if name not in _JUPYTERS]
        local = (await self.upstream.health()).local
        path = checked(path, query, local)
        method = str(self.request.method)
        content_type = self.request.headers.get("Content-Type", "")
        answer = await self.upstream.forward(method, path, query, self.request.body, content_type)
        if method != "GET":
            who = self.current_user.username
            self.log.info("kfp-mt: %s: %s %s: %s", who, method, path, answer.status_code)
        self._relay(answer, f"{method} {path}", local)

    def _relay(self, answer: requests.Response, asked: str, local: bool) -> None:
        body = answer.content
        if answer.status_code >= 300:
            error = explain.refusal(answer.status_code, body, asked, local)
            if answer.status_code < 400:
                raise error
            body = explained(body, error)
        self.set_status(answer.status_code)
        self.finish(body, set_content_type=answer.headers.get("Content-Type", "application/json"))

    @web.authenticated
    @authorized
    async def get(self, *_: str) -> None:
        await self._forward()

    @web.authenticated
    @authorized
    async def post(self, *_: str) -> None:
        await self._forward()

    @web.authenticated
    @authorized
    async def patch(self, *_: str) -> None:
        await self._forward()

    @web.authenticated
    @authorized
    async def delete(self, *_: str) -> None:
        await self._forward()


def explained(body: bytes, error: KfpError) -> bytes:
    """KFP's own error body, with our cause and cure beside it."""
    try:
        answer: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        answer = None
    if not isinstance(answer, dict):
        return msgspec.json.encode(error.to_dict())
    return msgspec.json.encode({**answer, "cause": error.cause, "cure": error.cure})
