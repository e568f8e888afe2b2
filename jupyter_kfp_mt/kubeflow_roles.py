"""The rights in Kubeflow's roles for KFP, and which role somebody lacks who was refused.

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
# Where a KFP asks for a resource that the table does not have yet.
_READING = ("get", "list", "watch", "readArtifact")


class Goal(NamedTuple):
    """The right that something takes in the end, which may begin with a look at something else.

    `deed` says the same without names, such as "start a run".
    """

    deed: str
    verb: str
    resource: str


class Denial(NamedTuple):
    """A statement of who may not do what, in KFP's own words; `local`: of a local KFP."""

    user: str
    namespace: str
    verb: str
    resource: str
    local: bool = False


def role_for(verb: str, resource: str, goal: Goal | None = None) -> str:
    """The least role, view or edit, with which a verb is allowed, and `goal` after it."""
    rights = [(verb, resource), *([(goal.verb, goal.resource)] if goal else [])]
    return "view" if all(_is_to_view(*right) for right in rights) else "edit"


def _is_to_view(verb: str, resource: str) -> bool:
    return verb in VIEW.get(resource, _READING)
