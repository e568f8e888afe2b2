"""The surroundings of a pod of Kubernetes."""

from __future__ import annotations

import os
from pathlib import Path

# Where Kubernetes mounts what it gives to pods.
SECRETS = Path("/var/run/secrets")


def is_here() -> bool:
    """Tell whether this is a pod."""
    return "KUBERNETES_SERVICE_HOST" in os.environ


def projected_token() -> Path:
    """Where Kubeflow's PodDefault `access-ml-pipeline` projects a token for KFP."""
    return SECRETS / "kubeflow" / "pipelines" / "token"


def service_account_folder() -> Path:
    """The folder of a pod's namespace and of its ordinary token, for Kubernetes alone."""
    return SECRETS / "kubernetes.io" / "serviceaccount"


def namespace_file() -> Path:
    return service_account_folder() / "namespace"


def namespace() -> str:
    """The namespace of this pod; empty where it is none, or does not tell."""
    try:
        return namespace_file().read_text(encoding="utf-8").strip() if is_here() else ""
    except (OSError, UnicodeDecodeError):
        return ""
