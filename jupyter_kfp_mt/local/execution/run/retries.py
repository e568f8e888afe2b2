"""Further attempts at tasks that have failed: which tasks get them, how many, and when."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

# Which attempt it is, in the environment of a task that may be tried again: 0, 1 and so on.
RETRY_INDEX = "KFP_RETRY_INDEX"
_DEFAULT_FACTOR = 2.0
_DEFAULT_MAX_SECONDS = 3600


def hand_down_retry_policies(spec: Any) -> None:
    """Give the tasks of a group the retry policy of the group, where they have none of their own.

    Rule: `dfs` in KFP's backend/src/v2/compiler/visitor.go, which visits each component once, with
    the first task that is of it.
    """
    visited: set[str] = set()

    def visit(component: Any, around: Any) -> None:
        for key in sorted(component.dag.tasks):
            task = component.dag.tasks[key]
            if around is not None and not task.HasField("retry_policy"):
                task.retry_policy.CopyFrom(around)
            if (name := task.component_ref.name) not in visited:
                visited.add(name)
                policy = task.retry_policy if task.HasField("retry_policy") else None
                visit(spec.components[name], policy)

    visit(spec.root, None)


def pauses(policy: Any, clock: Callable[[], float] = time.monotonic) -> Iterator[float]:
    """Return the seconds to wait before each further attempt; the first one begins now.

    Ask for them one by one, when an attempt has failed: they end when there are enough, or too long
    after the beginning. Rule: `backoff.maxDuration` of Argo's retry strategies, which KFP's
    backend/src/v2/compiler/argocompiler/container.go makes of a retry policy.
    """
    return _pauses(policy, clock, clock() + seconds_in_all(policy))


def _pauses(policy: Any, clock: Callable[[], float], end: float) -> Iterator[float]:
    factor = policy.backoff_factor if policy.backoff_factor > 0 else _DEFAULT_FACTOR
    pause: float = policy.backoff_duration.seconds
    for _ in range(policy.max_retry_count):
        if clock() + pause > end:
            return
        yield pause
        pause *= factor


def seconds_in_all(policy: Any) -> int:
    """Return for how long a task is tried again."""
    given = policy.HasField("backoff_max_duration")
    return int(policy.backoff_max_duration.seconds) if given else _DEFAULT_MAX_SECONDS
