"""Uploads that KFP refuses, always with the same text: "Failed to create a pipeline".

The answer is HTTP 400 and plain text for a missing identity, a bad token and a missing right
(`pipeline_upload_server.go`); only a name that is taken gets 409. To find the reason, a list is
requested, which is refused with a reason if the identity is at fault, and Kubernetes is asked for
the right.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import refusal_causes
from ..errors import BadRequest, Conflict, Forbidden, KfpError

if TYPE_CHECKING:
    from ..cluster.kubernetes_api import Cluster

_SILENT = re.compile(r"Failed to create a pipeline( version| and a pipeline version)?")
_PATH = re.compile(r"/apis/v(1|2)beta1/pipelines/upload(_version)?")


def may_be_of_identity(path: str, status: int, content_type: str) -> bool:
    """Tell whether an answer may mean that KFP rejects the identity, so that nothing was done."""
    return (
        status == 400
        and content_type.startswith("text/plain")
        and bool(_PATH.search(path.partition("?")[0]))
    )


def is_silent(error: KfpError) -> bool:
    """Tell whether KFP has refused an upload without a reason."""
    silent = _SILENT.fullmatch(error.server_text.strip())
    return isinstance(error, (BadRequest, Conflict)) and bool(silent)


def told(
    error: KfpError, namespace: str, user: str, allowed: Callable[[], bool | None]
) -> KfpError:
    """Return the error with the likely reason for such a refusal.

    `allowed`: whether `user` may create pipelines there; None if Kubernetes does not say.
    """
    if isinstance(error, Conflict):
        return Conflict(
            reason="there is already one with that name.",
            cure="Give it another name.",
            server_text=error.server_text,
        )
    who, may = user or "this identity", allowed()
    cure = refusal_causes.grant_role(user, namespace, "edit") if user and namespace else ""
    cure = f"An administrator of {namespace} can allow it:\n{cure}" if cure else ""
    if may is False:
        where = f" in namespace {namespace}" if namespace else ""
        return Forbidden(
            reason=f"{who} may not create pipelines{where}.",
            cause="It has no role there that allows it; role edit is needed.",
            cure=cure,
            server_text=error.server_text,
        )
    maybe = "the file does not arrive completely, or its pipeline was deleted"
    likely = (
        maybe if may else f"{who} may not create pipelines there (role edit is needed), or {maybe}"
    )
    return BadRequest(
        reason="KFP refused it without a reason.",
        cause=f"It recognizes this identity. Possible reasons: {likely}.",
        cure="" if may else cure,
        server_text=error.server_text,
    )


def may_create(cluster: Cluster | None, subject: str, namespace: str) -> bool | None:
    """Ask Kubernetes whether `subject` may create pipelines; None if it does not say."""
    from ..kubeflow_roles import GROUP

    try:
        if cluster is None or not subject or cluster.who() != subject:
            return None
        return cluster.may(namespace, "create", "pipelines", GROUP)
    except KfpError:
        return None
