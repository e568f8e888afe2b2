"""The intervals of requests and streams, in seconds: of door, kernels, and servers behind them.

They only work together, as `tests/ground/test_intervals.py` holds them; the browser's are in
`labextension/src/wire/intervals.ts`.
"""

from __future__ import annotations

import random
import time

# --- a request to KFP ---------------------------------------------------------------------------

CONNECT_SECONDS = 2.5
READ_SECONDS = 30.0  # without a byte, and for a whole answer
# The door waits as long for KFP, maybe twice, and is to say itself what came of it.
DOOR_SECONDS = 2 * READ_SECONDS + 10

# KFP's `healthz` needs neither database nor Kubernetes: what takes longer does not work.
HEALTH_SECONDS = 5.0
# An upload is read, in a process of its own, before it is sent on.
UPLOAD_READ_SECONDS = 60

# --- credentials --------------------------------------------------------------------------------

# For a program that prints a secret; it may ask a server of its own, but nobody can answer it.
PROGRAM_SECONDS = 30.0
GOOGLE_SECONDS = 10.0
# For each step of a login: until it takes a connection, and until it answers.
LOGIN_SECONDS = (2.5, 15)
# How long a failed renewal, or a new secret that was refused as well, is left alone.
RENEWAL_PAUSE_SECONDS = 5.0

# --- namespaces and Kubernetes --------------------------------------------------------------------

# A person waits for these, and each source is done without if it takes longer.
SOURCE_SECONDS = 2.5
KFAM_SECONDS = 2.5
# A list that tells whether it may be read, where Kubernetes does not.
TRY_SECONDS = 2.5
KUBERNETES_CONNECT_SECONDS = 2.0
KUBERNETES_READ_SECONDS = 5.0

# --- status and doctor ----------------------------------------------------------------------------

# A status is "not ready" while the connection takes longer to be decided on.
STATUS_SECONDS = 2.5
# For KFP to say what it is; longer than it is given to answer, as a token may have to come first.
LOOK_SECONDS = 8.0
# A kernel asks so long for a status, and again while it is not ready.
ASK_STATUS_SECONDS = 15.0
READY_SECONDS = 30.0
# One probe of the doctor, one decision that it waits for, and everything that it looks at.
PROBE_CONNECT_SECONDS = 2.0
PROBE_ANSWER_SECONDS = 3.0
DECIDE_SECONDS = 4.0
EXAMINE_SECONDS = 10.0

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


# --- a local KFP --------------------------------------------------------------------------------

# For one that is started to answer; and how long another that starts or stops in the same folder
# may take, before it is tried again.
LOCAL_START_SECONDS = 30.0
LOCAL_OCCUPIED_SECONDS = 5.0
# For one on this machine to say that it is there.
LOCAL_ANSWER_SECONDS = 2.0

# --- what is remembered, and looked at again ------------------------------------------------------

# What is allowed in a namespace.
PERMISSIONS_SECONDS = 60.0
# The key of a Jupyter server's kernels.
KEY_SECONDS = 3600.0
# Who we are, to the door: to look for a new token before each request costs a hop to a thread.
TOKEN_SECONDS = 1.0
# Names of experiments, pipelines and versions, for all who ask the door; and those of completion.
NAMES_SECONDS = 30.0
COMPLETION_SECONDS = 10.0
# What is known of a run, where the logs of many of its tasks are read.
RECENT_RUN_SECONDS = 5.0
# The end of a container is known a little later than the end of its log.
SETTLE_SECONDS = 15.0
# The browser through runs; and whether there is work that keeps a Jupyter server from being culled.
BROWSER_SECONDS = 5.0
ACTIVITY_SECONDS = 20.0
# For git to say where a notebook is from.
GIT_SECONDS = 2.0
# For a decision on a connection that is still being made when the Jupyter server stops.
CLOSE_SECONDS = 5.0


def end_of_life() -> float:
    """The time (`time.monotonic`) at which a stream that begins now is to end."""
    return time.monotonic() + random.uniform(LIFE_SECONDS, 2 * LIFE_SECONDS)
