"""Waits for conditions, within the time of a slow machine."""

import time

# How many seconds a test waits for what is about to happen, on a machine that has much else to do.
PATIENCE = 120
# How many seconds it waits before it looks again: at first, and at most. A look may be a request,
# and many of them take the processor from what is waited for.
SHORTEST, LONGEST = 0.01, 0.2


def wait_until(condition, seconds=PATIENCE, what="it"):
    """The first true value of `condition()`, or a failure when time is up."""
    deadline, pause = time.monotonic() + seconds, SHORTEST
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST)
    raise AssertionError(f"{what} did not happen in {seconds} s")
