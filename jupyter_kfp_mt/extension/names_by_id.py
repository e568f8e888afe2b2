"""Names of many experiments and pipelines in one answer: each asked of KFP once, and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from ..client.client import Client
from ..errors import Forbidden, NotFound
from .shared_answers import SharedAnswers, Whole
from .upstream import Upstream

# KFP has a route for one name at a time; so many are asked for at once.
AT_ONCE = 8
NOUNS = ("experiment", "pipeline")


class NamesById:
    """Names as this server's identity is told them; those of another identity are asked anew."""

    def __init__(self, upstream: Upstream, kept: SharedAnswers) -> None:
        self._upstream = upstream
        self._kept = kept
        self._few = asyncio.Semaphore(AT_ONCE)

    async def of(self, noun: str, ids: Collection[str]) -> dict[str, str]:
        """Return the names of experiments or of pipelines; of what is gone or refused, none.

        Raises the `KfpError` that keeps us from KFP.
        """
        who = await self._upstream.identity()
        names = await asyncio.gather(*(self._name((who, noun, id)) for id in ids))
        return {id: name for id, name in zip(ids, names, strict=True) if name}

    async def _name(self, key: tuple[object, str, str]) -> str:
        known = await self._kept.answer(key)
        if known is not None:
            return known.body.decode()
        asking, told = self._kept.asking(key), None
        try:
            async with self._few:
                name = await self._ask(key[1], key[2])
            told = Whole({}, name.encode())
            return name
        finally:
            self._kept.tell(key, asking, told, keep=True)

    async def _ask(self, noun: str, id: str) -> str:
        def ask(client: Client) -> str:
            found = client.experiment(id) if noun == "experiment" else client.pipeline(id)
            return found.display_name

        try:
            return await self._upstream.ask(ask)
        except (NotFound, Forbidden):
            return ""
