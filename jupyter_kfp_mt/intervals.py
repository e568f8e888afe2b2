"""Timeouts and intervals of requests and streams, in seconds, for the door and for kernels.

Some have to fit others, as `tests/ground/test_intervals.py` checks; the browser's are in
`labextension/src/wire/intervals.ts`.
"""

from __future__ import annotations

import random
import time

# --- a request to KFP ---------------------------------------------------------------------------

CONNECT_SECONDS = 2.5
READ_SECONDS = 30.0  # without a byte, and for a whole answer
# The door waits for KFP for up to twice that time, and must then be able to report the outcome.
DOOR_SECONDS = 2 * READ_SECONDS + 10

# KFP's `healthz` needs neither the database nor Kubernetes: a KFP that takes longer is broken.
HEALTH_SECONDS = 5.0
# An upload is read, in a process of its own, before it is sent on.
UPLOAD_READ_SECONDS = 60

# --- credentials --------------------------------------------------------------------------------

# For a program that prints a secret: it may call a server, but cannot prompt anybody.
PROGRAM_SECONDS = 30.0
GOOGLE_SECONDS = 10.0
# For each step of a login: to connect, and to answer.
LOGIN_SECONDS = (2.5, 15)
# How long to wait after a failed renewal, or after a new secret that was refused as well.
RENEWAL_PAUSE_SECONDS = 5.0

# --- namespaces and Kubernetes --------------------------------------------------------------------

# A person waits for these; a source that takes longer is left out.
SOURCE_SECONDS = 2.5
KFAM_SECONDS = 2.5
# For a list request that only tries what is allowed, if Kubernetes does not say.
TRY_SECONDS = 2.5
KUBERNETES_CONNECT_SECONDS = 2.0
KUBERNETES_READ_SECONDS = 5.0

# --- status and doctor ----------------------------------------------------------------------------

# A status is "not ready" if choosing the connection takes longer.
STATUS_SECONDS = 2.5
# For KFP's `healthz`, including the time it may take to get a token first.
LOOK_SECONDS = 8.0
# How long a kernel waits for one status, and for a status that is ready.
ASK_STATUS_SECONDS = 15.0
READY_SECONDS = 30.0
# For one probe of the doctor, for the choice of a connection, and for all its checks.
PROBE_CONNECT_SECONDS = 2.0
PROBE_ANSWER_SECONDS = 3.0
DECIDE_SECONDS = 4.0
EXAMINE_SECONDS = 10.0

# --- a stream of events -------------------------------------------------------------------------

# nginx (proxy_read_timeout) and many load balancers close connections that are silent this long.
PROXY_SECONDS = 60.0
# A sender writes at least this often, if only a keep-alive.
KEEP_ALIVE_SECONDS = 15.0
# A listener considers a stream dead that is silent this long, and opens another.
SILENCE_SECONDS = 2.5 * KEEP_ALIVE_SECONDS
# How long a listener keeps trying while it gets no answer at all.
PATIENCE_SECONDS = 120.0
# A stream ends after this time, or up to twice as long, so that not all end at once. Listeners who
# still have the right to it reconnect: a right that was revoked ends here.
LIFE_SECONDS = 300.0
# How long the door keeps watching with no listener, so that one who reconnects misses nothing.
LINGER_SECONDS = 10.0
# The first pause before a listener reconnects, and the longest of those that follow.
RECONNECT_SECONDS = (0.2, 5.0)
# A client that reads nothing of an answer for this long is considered gone. And the longest time
# that is spent on reading the rest of a body whose sender was refused.
UNREAD_SECONDS = 60.0
UNREAD_BODY_SECONDS = 30.0

# --- how often KFP is polled ----------------------------------------------------------------------

# The shortest and the longest pause between two polls of a namespace: at a KFP with other users, at
# one whose changes Kubernetes reports, and at a local one.
POLL_SECONDS = (2.0, 240.0)
POLL_REPORTED_SECONDS = (120.0, 240.0)
POLL_LOCAL_SECONDS = (1.0, 5.0)
# The pause after a failed poll, which each further failure doubles; and the longest such pause
# while listeners still wait.
POLL_RETRY_SECONDS = 1.0
POLL_RETRY_SOON_SECONDS = 30.0
# A response that takes longer than the fastest by more than this has waited behind others.
QUEUED_SECONDS = 0.1
# How often to poll what seldom changes, and runs that may have been retried.
POLL_ALL_SECONDS = 900.0
# When to ask KFP for a run reported by Kubernetes: KFP may learn of it later, or never.
REPORTED_RUN_SECONDS = (0.2, 5.0, 60.0)
# How long after its end a run is fetched again from KFP, whose agent reports with some delay.
REPORTED_END_SECONDS = 10.0
# How a kernel polls for the end of a run where there is no stream of events.
WAIT_SECONDS = (0.5, 5.0)

# --- a watch of Kubernetes ------------------------------------------------------------------------

# A watch ends by itself after this time, or up to twice as long, and is then resumed.
WATCH_SECONDS = 240.0
# The first and the longest pause after a failure; and the pause after a refusal, as the role may be
# granted later.
WATCH_RETRY_SECONDS = (0.5, 60.0)
WATCH_REFUSED_SECONDS = 600.0

# --- a local KFP --------------------------------------------------------------------------------

# How long to wait for a new one to answer; and, before the next try, for another one that is
# starting or stopping in the same folder.
LOCAL_START_SECONDS = 30.0
LOCAL_OCCUPIED_SECONDS = 5.0
# How long to wait for one on this machine to answer a health check.
LOCAL_ANSWER_SECONDS = 2.0

# --- what is remembered, and looked at again ------------------------------------------------------

# What is allowed in a namespace.
PERMISSIONS_SECONDS = 60.0
# The key of a Jupyter server's kernels.
KEY_SECONDS = 3600.0
# The door's token: looking for a new one before each request would cost a hop to a thread.
TOKEN_SECONDS = 1.0
# Names of experiments, pipelines and versions at the door; and those that completion offers.
NAMES_SECONDS = 30.0
COMPLETION_SECONDS = 10.0
# A run and its pods, while the logs of many of its tasks are read.
RECENT_RUN_SECONDS = 5.0
# The first and the longest pause while a log has nothing new.
LOG_SECONDS = (0.5, 5.0)
# A container's end becomes known a little later than the end of its log.
SETTLE_SECONDS = 15.0
# How often the browser of runs in a notebook is refreshed; and how often to look for work that
# keeps a Jupyter server from being culled.
BROWSER_SECONDS = 5.0
ACTIVITY_SECONDS = 20.0
# How long git may take to report a notebook's commit.
GIT_SECONDS = 2.0
# How long a Jupyter server that stops waits for a connection that is still being chosen.
CLOSE_SECONDS = 5.0


def end_of_life() -> float:
    """The time (`time.monotonic`) at which a stream that begins now is to end."""
    return time.monotonic() + random.uniform(LIFE_SECONDS, 2 * LIFE_SECONDS)
