"""The namespace that a request to KFP concerns: as named in it, or as looked up by an id."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from .. import intervals
from ..client.client import Client
from ..errors import KfpError
from .live_runs import Ask
from .send_to_kfp import Query

_NAMED = re.compile(
    r"/apis/v[12]beta1/(experiments|runs|recurringruns|jobs|pipelines)/"
    r"(?!(?:upload|upload_version|create)$)([^/:]+)(?:[/:].*)?"
)
_LIST = re.compile(r"/apis/v[12]beta1/(experiments|runs|recurringruns|jobs|pipelines)")
LOOK_SECONDS = intervals.TRY_SECONDS
MOST_KNOWN = 10_000


class NamespaceOfRequest:
    """The namespaces of objects by id: fetched once, as no object of KFP's ever changes its own.

    `listed` knows the namespaces of objects that are currently watched.
    """

    def __init__(self, ask: Ask, listed: Callable[[str, str], str] = lambda *_: "") -> None:
        self._ask = ask
        self._listed = listed
        self._known: dict[tuple[str, str], str] = {}

    async def of_change(self, path: str, query: Query, body: bytes) -> str:
        """The namespace of a change; empty if it is unknown.

        The query comes last: KFP ignores it if the path or the body names the namespace. `body`
        is empty if it was too long to be kept.
        """
        given = dict(query)
        if named := _in_path(path):
            return await self.of(*named)
        if experiment_id := _in_body(body, "EXPERIMENT"):
            return await self.of("experiments", experiment_id)
        if namespace := _in_body(body, "NAMESPACE"):
            return namespace
        if pipeline_id := given.get("pipelineid"):
            return await self.of("pipelines", pipeline_id)
        return given.get("namespace", "")

    async def of(self, noun: str, identifier: str) -> str:
        """The namespace of an object; empty if it is unknown."""
        if namespace := self._listed(noun, identifier):
            return namespace
        try:
            return await asyncio.wait_for(self._found(noun, identifier), LOOK_SECONDS)
        except (KfpError, asyncio.TimeoutError):
            return ""

    async def _found(self, noun: str, identifier: str) -> str:
        what = noun, identifier
        if what not in self._known:
            found = await self._look(noun, identifier)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[what] = found
        return self._known[what]

    async def _look(self, noun: str, identifier: str) -> str:
        found = await self._ask(lambda client: _LOOKS[noun](client, identifier))
        if noun != "runs":
            return str(found.namespace)
        return await self._found("experiments", found.experiment_id) if found.experiment_id else ""


def of_list(path: str, query: Mapping[str, str]) -> tuple[str, str] | None:
    """The namespace and the resource that a GET lists without filters."""
    listed = _LIST.fullmatch(path)
    if not listed or query.get("experiment_id"):
        return None
    kind, key = query.get("resource_reference_key.type"), query.get("resource_reference_key.id")
    namespace = query.get("namespace") or (key if kind == "NAMESPACE" else "")
    return (namespace, {"recurringruns": "jobs"}.get(listed[1], listed[1])) if namespace else None


def names_one(query: Query) -> bool:
    """Return True if a query names one namespace; to KFP, "-" means none."""
    named = [value for name, value in query if name == "namespace"]
    return len(named) == 1 and named[0] not in ("", "-")


def _in_path(path: str) -> tuple[str, str] | None:
    """The resource and the id in a path of the API, if any."""
    found = _NAMED.fullmatch(path)
    return (found[1], unquote(found[2])) if found else None


def _in_body(body: bytes, kind: str) -> str:
    """The NAMESPACE or the EXPERIMENT that a body names, if any."""
    try:
        return msgspec.json.decode(body, type=_Naming).name(kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


class _Key(msgspec.Struct):
    type: str = ""
    id: str = ""


class _Reference(msgspec.Struct):
    key: _Key = msgspec.field(default_factory=_Key)


class _Naming(msgspec.Struct):
    """The fields of both versions of the API that hold a namespace or an experiment."""

    namespace: str = ""
    experiment_id: str = ""
    pipeline: _Naming | None = None
    resource_references: list[_Reference] = []

    def name(self, kind: str) -> str:
        keys = (reference.key for reference in self.resource_references)
        named = next((key.id for key in keys if key.type == kind), "")
        own = self.namespace if kind == "NAMESPACE" else self.experiment_id
        return own or named or (self.pipeline.name(kind) if self.pipeline else "")


_LOOKS: dict[str, Callable[[Client, str], Any]] = {
    "experiments": Client.experiment,
    "runs": Client.run,
    "recurringruns": Client.recurring_run,
    "jobs": Client.recurring_run,
    "pipelines": Client.pipeline,
}
