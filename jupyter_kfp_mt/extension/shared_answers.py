"""One response for identical concurrent requests; those with names are kept for a while.

The names of experiments, pipelines and versions rarely change, and each row of a list requests
them.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple

from .. import intervals

# How many seconds names are kept; a change through this door, or of the identity, drops them at
# once.
KEPT_SECONDS = intervals.NAMES_SECONDS
KEPT_ANSWERS, KEPT_BYTES = 256, 16 << 20

_SHARED = re.compile(r"/apis/v[12]beta1/(?!healthz)[^:]*")
_NAMES = re.compile(r"/apis/v2beta1/(experiments/[^/:]+|pipelines/[^/:]+(/versions/[^/:]+)?)")


class Whole(NamedTuple):
    """A short, successful response: its headers and its body."""

    headers: dict[str, str]
    body: bytes


def is_shared(path: str) -> bool:
    """Return True for a path whose response is the same for all concurrent callers."""
    return bool(_SHARED.fullmatch(path))


def is_name(path: str) -> bool:
    """Return True for the path of an object whose name rarely changes."""
    return bool(_NAMES.fullmatch(path))


class SharedAnswers:
    """Requests in progress: the first caller gets None, asks KFP, and calls `tell`.

    Keys include KFP and the identity: no caller gets a response meant for another identity.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked: dict[Hashable, asyncio.Future[Whole | None]] = {}
        self._kept: OrderedDict[Hashable, tuple[float, Whole]] = OrderedDict()
        self._bytes = 0

    async def answer(self, key: Hashable) -> Whole | None:
        """Return a response that another caller got; None if this caller must send the request."""
        while True:
            until, kept = self._kept.get(key, (0.0, None))
            if kept and until > self._clock():
                return kept
            asked = self._asked.get(key)
            if asked is None:
                self._asked[key] = asyncio.get_running_loop().create_future()
                return None
            if told := await asyncio.shield(asked):
                return told

    def asking(self, key: Hashable) -> asyncio.Future[Whole | None] | None:
        """The request in progress, for `tell`."""
        return self._asked.get(key)

    def tell(
        self,
        key: Hashable,
        asking: asyncio.Future[Whole | None] | None,
        told: Whole | None,
        keep: bool = False,
    ) -> None:
        """Give a response to all who wait for it; None: it cannot be shared."""
        if asking is None or asking.done():
            return
        asking.set_result(told)
        if self._asked.get(key) is asking:  # nothing has changed in the meantime
            del self._asked[key]
            if told and keep:
                self._keep(key, told)

    def forget(self) -> None:
        """Drop all responses after a change: new callers must not get earlier ones."""
        self._asked.clear()
        self._kept.clear()
        self._bytes = 0

    def _keep(self, key: Hashable, told: Whole) -> None:
        self._drop(key)
        self._kept[key] = self._clock() + KEPT_SECONDS, told
        self._bytes += len(told.body)
        while len(self._kept) > KEPT_ANSWERS or self._bytes > KEPT_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Hashable) -> None:
        _, told = self._kept.pop(key, (0.0, None))
        self._bytes -= len(told.body) if told else 0
