"""The files and variables that Kubernetes gives to a pod."""

from __future__ import annotations

import os
from pathlib import Path

# The folder in which Kubernetes mounts secrets.
SECRETS = Path("/var/run/secrets")


def is_here() -> bool:
    """Tell whether this is a pod."""
    return "KUBERNETES_SERVICE_HOST" in os.environ


def projected_token() -> Path:
    """The file of the token for KFP that Kubeflow's PodDefault `access-ml-pipeline` projects."""
    return SECRETS / "kubeflow" / "pipelines" / "token"


def service_account_folder() -> Path:
    """The folder with the pod's namespace and its ordinary token, which is for Kubernetes only."""
    return SECRETS / "kubernetes.io" / "serviceaccount"


def namespace_file() -> Path:
    return service_account_folder() / "namespace"


def namespace() -> str:
    """The namespace of this pod; empty if this is not a pod, or if the file is missing."""
    try:
        return namespace_file().read_text(encoding="utf-8").strip() if is_here() else ""
    except (OSError, UnicodeDecodeError):
        return ""
