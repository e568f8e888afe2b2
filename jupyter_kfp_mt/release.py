"""The release of this package that is running, which an upgrade changes only after a restart."""

from __future__ import annotations

from importlib.metadata import version

RELEASE = version("jupyter-kfp-mt")
# The header with which this package identifies itself to KFP and Kubernetes.
USER_AGENT = f"jupyter-kfp-mt/{RELEASE}"


def mismatch(server: str, kernel: str = RELEASE) -> str:
    """Say how to fix that a Jupyter server runs another release than its kernel; empty if not."""
    if server in ("", kernel):
        return ""
    return (
        f"This kernel has jupyter-kfp-mt {kernel}, and its Jupyter server runs {server}. Restart "
        "the Jupyter server if both have the same environment; otherwise install the server's "
        f"release here, and restart this kernel: %pip install jupyter-kfp-mt=={server}"
    )
