"""Waits for conditions, within the time of a slow machine."""

import time

# How many seconds a test waits for what is about to happen, on a machine that has much else to do.
PATIENCE = 120


def wait_until(condition, seconds=PATIENCE, what="it"):
    """The first true value of `condition()`, or a failure when time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen in {seconds} s")
