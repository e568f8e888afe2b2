"""The intervals of requests and streams, in seconds: of door, kernels, and proxies between them.

They only work together, as `tests/ground/test_intervals.py` holds them; the browser's are in
`labextension/src/intervals.ts`.
"""

from __future__ import annotations

import random
import time

# --- a request to KFP ---------------------------------------------------------------------------

CONNECT_SECONDS = 2.5
READ_SECONDS = 30.0  # without a byte, and for a whole answer
# The door waits as long for KFP, maybe twice, and is to say itself what came of it.
DOOR_SECONDS = 2 * READ_SECONDS + 10

# --- a stream of events -------------------------------------------------------------------------

# nginx (proxy_read_timeout) and many a load balancer end what is silent for so long.
PROXY_SECONDS = 60.0
# Whoever sends says something at least so often, if only that it is there.
KEEP_ALIVE_SECONDS = 15.0
# Whoever listens takes a stream for dead that is silent for so long, and asks for another.
SILENCE_SECONDS = 2.5 * KEEP_ALIVE_SECONDS
# How long a listener goes on asking while it gets no answer at all.
PATIENCE_SECONDS = 120.0
# A stream ends after so long, at most twice as long, so that not all end at once. It is taken up
# again by whoever still may: a right that was taken away ends with it.
LIFE_SECONDS = 300.0
# How long the door goes on looking when nobody listens: whoever comes back missed nothing.
LINGER_SECONDS = 10.0


def end_of_life() -> float:
    """The time (`time.monotonic`) at which a stream that begins now is to end."""
    return time.monotonic() + random.uniform(LIFE_SECONDS, 2 * LIFE_SECONDS)
