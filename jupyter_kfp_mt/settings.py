"""The settings: one class of traits for the Jupyter server and for the kernel.

Light to import: it is what `%load_ext jupyter_kfp_mt` loads.
"""

from __future__ import annotations

import os
from pathlib import Path

from traitlets import Bool, Unicode
from traitlets.config import Configurable

LOCAL = "local"


class Kfp(Configurable):
    """How to reach Kubeflow Pipelines. Each setting has a variable too, `KFP_MT_<NAME>`."""

    endpoint = Unicode(
        help="""Address of the KFP API server, such as
        http://ml-pipeline.kubeflow.svc.cluster.local:8888, or 'local' for the local KFP. Without
        one: KFP_MT_ENDPOINT, KF_PIPELINES_ENDPOINT, in a Kubernetes pod the address above, else
        the local KFP."""
    ).tag(config=True)
    token_file = Unicode(
        help="""File with the bearer token to send, read again whenever it changes. Without one:
        KFP_MT_TOKEN_FILE, KF_PIPELINES_SA_TOKEN_PATH, else the token that Kubeflow's PodDefault
        access-ml-pipeline projects into the pod."""
    ).tag(config=True)
    namespace = Unicode(
        help="""Namespace to work in. Without one: KFP_MT_NAMESPACE, the kfp SDK's context file,
        the pod's own, else the only one that the local KFP has."""
    ).tag(config=True)
    data = Unicode(
        help="""Folder in which the local KFP keeps its data. Without one: KFP_MT_DATA, else
        kfp-mt in Jupyter's data folder."""
    ).tag(config=True)
    profiles = Unicode(
        help="""File that lists the namespaces of the local KFP and who may use them. Without one:
        KFP_MT_PROFILES, those it was last started with, else a namespace named after you."""
    ).tag(config=True)
    start_local = Bool(
        True,
        help="""Whether a Jupyter server starts the local KFP where nothing else is configured;
        KFP_MT_START_LOCAL=0 is the same as False.""",
    ).tag(config=True)

    read_only = Bool(
        help="""Whether everything that would change something is refused;
        KFP_MT_READ_ONLY=1 is the same as True.""",
    ).tag(config=True)

    def data_folder(self) -> Path:
        chosen = self.data or os.environ.get("KFP_MT_DATA")
        if chosen:
            return Path(chosen).expanduser().absolute()
        from jupyter_core.paths import jupyter_data_dir

        return Path(jupyter_data_dir()) / "kfp-mt"

    def profiles_file(self) -> str:
        chosen = self.profiles or os.environ.get("KFP_MT_PROFILES", "")
        return str(Path(chosen).expanduser().absolute()) if chosen else ""

    def is_read_only(self) -> bool:
        said = os.environ.get("KFP_MT_READ_ONLY", "").lower()
        return self.read_only or said not in ("", "0", "false", "no")

    def may_start_local(self) -> bool:
        said = os.environ.get("KFP_MT_START_LOCAL", "").lower()
        return self.start_local and said not in ("0", "false", "no")
