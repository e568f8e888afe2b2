"""The limit of a cluster's access reviews, which delays all requests to its API server.

For each request, Kubeflow Pipelines asks Kubernetes who is calling and whether that is allowed.
CLIENTQPS and CLIENTBURST limit these reviews, by default to five a second and ten at once. Further
requests of all callers wait in one queue.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection

from tornado.httputil import HTTPHeaders

PER_SECOND, BURST, PER_REQUEST = 5.0, 10, 1


class Allowance:
    """A bucket of reviews that fills up at `per_second`, as the rate limiter of client-go.

    It holds at most `burst`; a request takes `per_request` and waits until they are available.
    `names` are the headers that identify callers: requests without one are refused unreviewed.
    """

    def __init__(
        self,
        per_second: float = PER_SECOND,
        burst: int = BURST,
        per_request: int = PER_REQUEST,
        names: Collection[str] = ("Authorization",),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._per_request = per_request
        self._names = names
        self._clock = clock
        self._spent_until = float("-inf")

    def reserve(self) -> float:
        """Take the reviews of one request; return the seconds until they are available."""
        now = self._clock()
        full = now - self._burst / self._per_second
        self._spent_until = max(self._spent_until, full) + self._per_request / self._per_second
        return max(0.0, self._spent_until - now)

    def concerns(self, headers: HTTPHeaders) -> bool:
        """Return True if a request with these headers needs reviews."""
        return any(name in headers for name in self._names)

    async def wait(self) -> None:
        """Return the time at which a request that arrives now may proceed."""
        await asyncio.sleep(self.reserve())
