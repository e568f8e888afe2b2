"""The rights in Kubeflow's roles for KFP, and the role that a refused request needs.

The table is that of `view-edit-cluster-roles.yaml` in kubeflow/pipelines. Recurring runs are `jobs`
here, in both versions of KFP's API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

GROUP = "pipelines.kubeflow.org"

VIEW: Mapping[str, tuple[str, ...]] = {
    "experiments": ("get", "list"),
    "runs": ("get", "list", "readArtifact"),
    "jobs": ("get", "list"),
    "pipelines": ("get", "list"),
    "pipelineversions": ("get", "list"),
    "viewers": ("create", "get", "delete"),
    "visualizations": ("create",),
}
EDIT_ADDS: Mapping[str, tuple[str, ...]] = {
    "experiments": ("create", "archive", "unarchive", "delete"),
    "runs": ("create", "terminate", "retry", "archive", "unarchive", "delete", "reportMetrics"),
    "jobs": ("create", "enable", "disable", "delete"),
    "pipelines": ("create", "update", "delete"),
    "pipelineversions": ("create", "update", "delete"),
}
# For a resource that is not in the table yet.
_READING = ("get", "list", "watch", "readArtifact")


class Goal(NamedTuple):
    """The right that an attempt needs in the end, though it may begin by reading something else.

    `deed` describes the attempt without names, such as "start a run".
    """

    deed: str
    verb: str
    resource: str


class Denial(NamedTuple):
    """A right that a user lacks, in KFP's own words; `local` if a local KFP denied it."""

    user: str
    namespace: str
    verb: str
    resource: str
    local: bool = False


def role_for(verb: str, resource: str, goal: Goal | None = None) -> str:
    """Return the smaller role, view or edit, that allows a verb, and `goal` with it."""
    rights = [(verb, resource), *([(goal.verb, goal.resource)] if goal else [])]
    return "view" if all(_is_to_view(*right) for right in rights) else "edit"


def _is_to_view(verb: str, resource: str) -> bool:
    return verb in VIEW.get(resource, _READING)
