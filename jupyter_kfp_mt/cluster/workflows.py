"""Argo's Workflows, for the states and times of runs and of their tasks.

On a cluster a run is a Workflow with the run's id in a label. Argo records each change there; KFP
learns of it some seconds later, from its persistence agent.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from datetime import datetime
from typing import Any

import msgspec

from ..models import EPOCH, UNSPECIFIED, ChildTask, Task

GROUP, VERSION, RESOURCE = "argoproj.io", "v1alpha1", "workflows"
RUN_ID = "pipeline/runid"
RUN_NAME = "pipelines.kubeflow.org/run_name"  # an annotation
PHASE = "workflows.argoproj.io/phase"
COMPLETED = "workflows.argoproj.io/completed"
# Selects unfinished runs: a namespace may hold thousands of other workflows.
GOING_ON = f"{RUN_ID},{COMPLETED}!=true"

# KFP has no state for Argo's other phases, nor for what was skipped. Source:
# `backend/src/apiserver/model/run.go` of KFP.
_STATES = {
    "Pending": "PENDING",
    "Running": "RUNNING",
    "Succeeded": "SUCCEEDED",
    "Failed": "FAILED",
    "Error": "FAILED",
    "Skipped": "SKIPPED",
}
# Argo compresses nodes that are too long for etcd. Longer ones than this are not read.
_LONGEST_UNPACKED = 64 << 20


class WorkflowMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata of a Workflow."""

    name: str = ""
    namespace: str = ""
    resource_version: str = ""
    creation_timestamp: datetime = EPOCH
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Node(msgspec.Struct, frozen=True, rename="camel"):
    """One node of a Workflow."""

    id: str
    display_name: str = ""
    phase: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    children: list[str] = []


class WorkflowStatus(msgspec.Struct, frozen=True, rename="camel"):
    """The status of a Workflow. Many nodes are compressed, or stored elsewhere."""

    phase: str = ""
    finished_at: datetime | None = None
    nodes: dict[str, Node] = {}
    compressed_nodes: str = ""
    offload_node_status_version: str = ""


class Workflow(msgspec.Struct, frozen=True):
    """A Workflow, or only its metadata."""

    metadata: WorkflowMetadata
    status: WorkflowStatus = WorkflowStatus()

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def run_id(self) -> str:
        return self.metadata.labels.get(RUN_ID, "")

    @property
    def run_name(self) -> str:
        """The run's name, or else the Workflow's."""
        return self.metadata.annotations.get(RUN_NAME, "") or self.name

    @property
    def state(self) -> str:
        """The state of the run; unspecified while the Workflow has no phase."""
        phase = self.status.phase or self.metadata.labels.get(PHASE, "")
        return _STATES.get(phase, UNSPECIFIED)

    def tasks(self) -> list[Task] | None:
        """The nodes in the form of KFP's tasks; None if they are stored elsewhere."""
        nodes = self._nodes()
        return None if nodes is None else [self._task(node) for node in nodes.values()]

    def _nodes(self) -> dict[str, Node] | None:
        status = self.status
        if status.compressed_nodes:
            return _unpacked(status.compressed_nodes)
        return None if status.offload_node_status_version else status.nodes

    def _task(self, node: Node) -> Task:
        return Task(
            run_id=self.run_id,
            task_id=node.id,
            display_name=node.display_name,
            create_time=self.metadata.creation_timestamp,
            start_time=node.started_at or EPOCH,
            end_time=node.finished_at or EPOCH,
            state=_STATES.get(node.phase, UNSPECIFIED),
            child_tasks=[ChildTask(pod_name=child) for child in node.children],
        )


class WatchEvent(msgspec.Struct, frozen=True):
    """One line of a watch: `object` is a Workflow's metadata, or an error if the type is ERROR."""

    type: str
    object: msgspec.Raw = msgspec.Raw(b"{}")


def _unpacked(packed: str) -> dict[str, Node] | None:
    """Nodes that Argo has compressed (`util/file/fileutil.go`); None if they cannot be read."""
    try:
        unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
        text: Any = unpacking.decompress(base64.b64decode(packed), _LONGEST_UNPACKED)
        return msgspec.json.decode(text, type=dict[str, Node])
    except (binascii.Error, zlib.error, msgspec.MsgspecError, UnicodeDecodeError):
        return None
