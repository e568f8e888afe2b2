"""The pods of a run: which one executed a task, and why one has not started or has failed.

KFP identifies the parts of a task by Argo's node ids, `WORKFLOW-HASH`: the hash is that of the
node's name, such as `training-x7k2p.root.train.executor(0)`. A pod has this name, which contains
the names of all its parents, in an annotation.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import datetime

from ..argo_nodes import fnv, number_of
from ..errors import BadRequest, Forbidden, KfpError, NotFound
from ..models import Task
from ..network.line_stream import LineStream
from ..resource_names import as_name, kubectl_option
from .kubernetes_api import Cluster
from .kubernetes_objects import ContainerStatus, Pod

_RUN, _NODE_NAME = "pipeline/runid", "workflows.argoproj.io/node-name"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ATTEMPT = re.compile(r"\((\d+)\)$")
_USER = re.compile(r'User "([^"]*)"')
_MAIN = "main"
# The reasons of a container that is starting normally.
_USUAL = {"", "ContainerCreating", "PodInitializing"}


class TaskPods:
    """The pods of one run, in the run's own namespace, as this process's identity sees them.

    With `keeps` they are listed only once.
    """

    def __init__(self, cluster: Cluster, namespace: str, run_id: str, keeps: bool = False) -> None:
        if not _RUN_ID.fullmatch(run_id):  # it is part of a selector
            raise BadRequest(f"{run_id!r} is not the id of a run.")
        self.namespace = namespace
        self._cluster = cluster
        self._run_id = run_id
        self._keeps = keeps
        self._kept: list[Pod] | None = None

    def find(self, task: Task, alike: int = 1) -> Pod | None:
        """The pod that executes a task, or was the last to do so: its executor, not its driver.

        `alike` is the number of the run's tasks with its name. Raises `NotFound` for a task that
        consists of others, and `BadRequest` if it could be one of several pods.
        """
        pods = self._all()
        if task.pod_name:  # its part of the workflow is known
            exact = [pod for pod in pods if number_of(task.pod_name) in _numbers(pod)]
            return max(exact, key=_attempt, default=None)
        own = [pod for pod in pods if _part(pod) == task.display_name]
        wanted = {number_of(child.pod_name) for child in task.child_tasks} - {-1}
        if task.display_name.endswith("-driver"):
            # A driver's children are the nodes that it drives: none of their pods is the task's.
            own, below = [pod for pod in own if not wanted or _driven(pod) in wanted], []
        else:
            below = [] if own and task.auxiliary else [p for p in pods if wanted & _numbers(p)]
        if len(own) == 1 and (wanted or alike == 1):
            return own[0]
        executors = [pod for pod in below if not _is_driver(pod)]
        if executors:
            return max(executors, key=_attempt)
        if own:
            raise BadRequest(
                f"KFP does not say which of {max(len(own), alike)} pods is that of task "
                f"{task.display_name}.",
                cure="Name the task that it is a part of, or read the log of one of them:\n"
                + "\n".join(self._command(pod) for pod in own[:10]),
            )
        if below:
            raise NotFound(
                f"Task {task.display_name} has no log of its own, as it consists of other tasks.",
                cure="Read the logs of its tasks.",
            )
        return None

    def log(
        self,
        pod: Pod,
        container: str,
        follow: bool = False,
        tail: int | None = None,
        since: datetime | None = None,
    ) -> LineStream:
        """The log of a pod's container: the task's own, unless another is named. In a followed log
        each line begins with its time.
        """
        name = container_of(pod, container)
        try:
            return self._cluster.pod_log(
                namespace=self.namespace,
                pod=pod.name,
                container=name,
                follow=follow,
                tail_lines=tail,
                since=since,
                timestamps=follow,
            )
        except Forbidden as error:
            raise self._curable(error) from None
        except NotFound:
            raise
        except KfpError as error:
            raise (self.broken(pod) or error) from None

    def waiting(self, pod: Pod) -> str:
        """Say why a pod has not started; empty if that is not known."""
        reasons = [
            f"{condition.reason}: {condition.message}"
            for condition in pod.status.conditions
            if condition.type == "PodScheduled" and condition.status == "False"
        ]
        for status in [*pod.status.init_container_statuses, *pod.status.container_statuses]:
            waiting = status.state.get("waiting", {})
            if (reason := str(waiting.get("reason", ""))) not in _USUAL:
                reasons.append(f"{reason}: {waiting.get('message', '')}")
        return " ".join(text.rstrip(": ") for text in reasons or self._events(pod))

    def broken(self, pod: Pod) -> NotFound | None:
        """Return the error for a pod that has lost its log; None if Kubernetes gives no reason."""
        if pod.phase != "Failed" or not pod.status.reason:
            return None
        return NotFound(
            f"Pod {pod.name} in {self.namespace} has no log: {pod.status.reason}.",
            cause=pod.status.message,
        )

    def _all(self) -> list[Pod]:
        if self._kept is not None:
            return self._kept
        try:
            pods = self._cluster.pods(self.namespace, f"{_RUN}={self._run_id}")
        except Forbidden as error:
            raise self._curable(error) from None
        self._kept = pods if self._keeps else None
        return pods

    def _events(self, pod: Pod) -> Iterator[str]:
        """Yield the last warning about a pod, if reading events is allowed."""
        try:
            events = self._cluster.pod_events(self.namespace, pod.name)
        except KfpError:
            return
        warnings = [event for event in events if event.type == "Warning"]
        yield from (f"{event.reason}: {event.message}" for event in warnings[-1:])

    def _curable(self, error: Forbidden) -> Forbidden:
        """Return the error with a cure that allows everything that reading a log needs."""
        user = _USER.search(error.server_text)
        if not user:
            return error
        return Forbidden(
            error.message,
            cause=error.cause,
            cure=f"An administrator of {self.namespace} can allow it:\n"
            + allow_reading(user[1], self.namespace),
            server_text=error.server_text,
        )

    def _command(self, pod: Pod) -> str:
        command = ["kubectl", "logs", "-n", self.namespace, pod.name, "-c", container_of(pod, "")]
        return shlex.join(command)


def allow_reading(user: str, namespace: str) -> str:
    """The commands that let a user read the logs of a namespace's pods."""
    role = ["kubectl", "create", "role", "kfp-mt-logs", "-n", namespace]
    role += ["--verb=get,list", "--resource=pods,pods/log,events"]
    bind = ["kubectl", "create", "rolebinding", f"kfp-mt-logs-{as_name(user)}", "-n", namespace]
    bind += ["--role=kfp-mt-logs", kubectl_option(user)]
    return "\n".join(map(shlex.join, [role, bind]))


def container_of(pod: Pod, wanted: str) -> str:
    """The container named `wanted`, by default the task's own. Raises `BadRequest`."""
    names = [each.name for each in [*pod.spec.containers, *pod.spec.init_containers]]
    if wanted and wanted not in names:
        raise BadRequest(
            f"Pod {pod.name} has no container {wanted}.", cure=f"It has {', '.join(names)}."
        )
    return wanted or (_MAIN if _MAIN in names else next(iter(names), ""))


def has_begun(pod: Pod, container: str) -> bool:
    """Tell whether a container has started; it may have ended since."""
    status = _status(pod, container)
    return not status.state.get("waiting") if status else pod.phase not in ("", "Pending")


def exit_code(pod: Pod, container: str) -> int | None:
    """Return the exit code of a container; None while it has not ended."""
    status = _status(pod, container)
    ended = status.state.get("terminated") if status else None
    if ended is not None:
        return int(ended.get("exitCode", 0))
    return {"Succeeded": 0, "Failed": 1}.get(pod.phase)


def _status(pod: Pod, container: str) -> ContainerStatus | None:
    name = container_of(pod, container)
    statuses = [*pod.status.container_statuses, *pod.status.init_container_statuses]
    return next((status for status in statuses if status.name == name), None)


def _node_name(pod: Pod) -> str:
    return pod.metadata.annotations.get(_NODE_NAME, "")


def _part(pod: Pod) -> str:
    """The last part of the name of a pod's node."""
    return _node_name(pod).rpartition(".")[2]


def _is_driver(pod: Pod) -> bool:
    return _part(pod).endswith("-driver")


def _attempt(pod: Pod) -> int:
    found = _ATTEMPT.search(_node_name(pod))
    return int(found[1]) if found else 0


def _driven(pod: Pod) -> int:
    """The hash of the node that the pod of a driver is for."""
    return fnv(_node_name(pod).removesuffix("-driver"))


def _numbers(pod: Pod) -> set[int]:
    """Return the hashes of a pod's node and of all its parents."""
    name = _node_name(pod)
    ends = [match.start() for match in re.finditer(r"[.(]", name)]
    parts = {fnv(name[:end]) for end in [*ends, len(name)] if end}
    return (parts | {number_of(pod.name)}) - {-1}
