"""In which namespace a change is made, where the request names only what is changed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from .. import intervals
from ..client.client import Client
from ..errors import KfpError
from .live_runs import Ask

_NAMED = re.compile(
    r"/apis/v[12]beta1/(experiments|runs|recurringruns|jobs|pipelines)/"
    r"(?!(?:upload|upload_version|create)$)([^/:]+)(?:[/:].*)?"
)
LOOK_SECONDS = intervals.TRY_SECONDS
MOST_KNOWN = 10_000


class NamespaceOfRequest:
    """The namespaces of what has an id: asked for once each, for nothing of KFP's ever moves."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[tuple[str, str], str] = {}

    async def of(self, noun: str, identifier: str) -> str:
        """Its namespace; empty where that cannot be told."""
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


def named(path: str) -> tuple[str, str] | None:
    """The noun and the id in a path of the API, if there is one."""
    found = _NAMED.fullmatch(path)
    return (found[1], unquote(found[2])) if found else None


_LOOKS: dict[str, Callable[[Client, str], Any]] = {
    "experiments": Client.experiment,
    "runs": Client.run,
    "recurringruns": Client.recurring_run,
    "jobs": Client.recurring_run,
    "pipelines": Client.pipeline,
}
