"""Names of experiments and pipelines by id: many at once, cached for all callers."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from contextlib import suppress

from ..client.client import Client
from ..errors import Forbidden, NotFound
from ..models import Experiment, Pipeline
from .shared_answers import SharedAnswers, Whole
from .upstream import Upstream

# Up to this many names, single requests cost no more than lists.
FEW = 2


class NamesById:
    """Names visible to this server's identity; a change of identity drops them."""

    def __init__(self, upstream: Upstream, kept: SharedAnswers) -> None:
        self._upstream = upstream
        self._kept = kept

    async def of(
        self, noun: str, ids: Collection[str], namespaces: Sequence[str] = ()
    ) -> dict[str, str]:
        """Return the names of experiments or pipelines, without deleted or forbidden ones.

        Many are looked up in lists of the `namespaces`, and the missing ones one by one.
        Raises a `KfpError` if KFP cannot be reached.
        """
        who = await self._upstream.identity()
        others = [id for id in ids if self._kept.asking((who, noun, id))]
        names = await self._ask_now(who, noun, {*ids} - {*others}, namespaces)
        for id in others:
            names |= await self._ask_now(who, noun, {id}, namespaces)
        return {id: name for id, name in names.items() if name}

    async def _ask_now(
        self, who: Hashable, noun: str, ids: Collection[str], namespaces: Sequence[str]
    ) -> dict[str, str]:
        """Return cached names, await those already requested, and request the rest."""
        answers = {id: await self._kept.answer((who, noun, id)) for id in ids}
        names = {id: answer.body.decode() for id, answer in answers.items() if answer}
        asking = {id: self._kept.asking((who, noun, id)) for id in ids if id not in names}
        told: dict[str, str] = {}
        try:
            if asking:
                told = await self._upstream.ask(
                    lambda client: names_of(client, noun, [*asking], namespaces)
                )
        finally:
            for id, question in asking.items():
                answer = Whole({}, told[id].encode()) if id in told else None
                self._kept.tell((who, noun, id), question, answer, keep=True)
        return names | told


def names_of(
    client: Client, noun: str, ids: Sequence[str], namespaces: Iterable[str]
) -> dict[str, str]:
    """Return a name for each id, empty if it is deleted or forbidden."""
    names: dict[str, str] = {}
    for namespace in namespaces:
        left = [id for id in ids if id not in names]
        if len(left) > FEW:
            with suppress(Forbidden):
                names |= _listed(client, noun, left, namespace)
    return names | {id: _name(client, noun, id) for id in ids if id not in names}


def _listed(client: Client, noun: str, ids: Sequence[str], namespace: str) -> dict[str, str]:
    if noun == "experiment":
        experiments = client.experiments_of(ids, namespace)
        return {each.experiment_id: each.display_name for each in experiments}
    pipelines = client.pipelines_of(ids, namespace)
    return {each.pipeline_id: each.display_name for each in pipelines}


def _name(client: Client, noun: str, id: str) -> str:
    found: Experiment | Pipeline
    try:
        found = client.experiment(id) if noun == "experiment" else client.pipeline(id)
    except (NotFound, Forbidden):
        return ""
    return found.display_name
