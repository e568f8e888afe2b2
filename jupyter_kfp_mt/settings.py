"""The settings: one class of traits for the Jupyter server and for the kernel.

Quick to import, as `%load_ext jupyter_kfp_mt` needs it.
"""

from __future__ import annotations

import os
from pathlib import Path

from traitlets import Bool, TraitType, Unicode
from traitlets.config import Configurable

LOCAL = "local"

# Settings that also choose the Kubernetes API for logs and access reviews, with any credentials.
KUBERNETES = ("kubeconfig", "kube_context")


def variable(setting: str) -> str:
    """The environment variable of a setting."""
    return f"KFP_MT_{setting.upper()}"


class Kfp(Configurable):
    """The connection to Kubeflow Pipelines. Each setting also has a variable, `KFP_MT_<NAME>`."""

    endpoint = Unicode(
        help="""Address of KFP's API, such as
        http://ml-pipeline.kubeflow.svc.cluster.local:8888, or 'local' for the local KFP. Without
        one: KFP_MT_ENDPOINT, KF_PIPELINES_ENDPOINT, in a Kubernetes pod the address above, else
        the local KFP."""
    ).tag(config=True)
    auth = Unicode(
        help="""Kind of credentials: none, token-file, token-command, kubernetes (a token requested
        from Kubernetes for a service account), cookie, google-iap, login (user name and password at
        Dex or oauth2-proxy) or kubeconfig. Without one: KFP_MT_AUTH, else the first that fits."""
    ).tag(config=True, credentials=True)
    token_file = Unicode(
        help="""File with the bearer token to send, read again whenever it changes. Without one:
        KFP_MT_TOKEN_FILE, KF_PIPELINES_SA_TOKEN_PATH, else the token that Kubeflow's PodDefault
        access-ml-pipeline projects into the pod."""
    ).tag(config=True, credentials=True)
    token_command = Unicode(
        help="""Command that prints the bearer token to send, such as 'gcloud auth
        print-identity-token'; run without a shell, and again before the token expires. Without
        one: KFP_MT_TOKEN_COMMAND."""
    ).tag(config=True, credentials=True)
    service_account = Unicode(
        help="""Service account for a token requested from Kubernetes: NAME or NAMESPACE/NAME.
        Without one: KFP_MT_SERVICE_ACCOUNT, in a pod its own, else default-editor."""
    ).tag(config=True, credentials=True)
    cookie_file = Unicode(
        help="""File with the cookie of a browser's session, as NAME=VALUE. Without one:
        KFP_MT_COOKIE_FILE, else the cookie itself is in KFP_MT_COOKIE."""
    ).tag(config=True, credentials=True)
    cookie_name = Unicode(
        help="""Name of that cookie, such as authservice_session or oauth2_proxy_kubeflow, if the
        file has only its value. Without one: KFP_MT_COOKIE_NAME."""
    ).tag(config=True, credentials=True)
    iap_client_id = Unicode(
        help="""Client id of the Google Identity-Aware Proxy in front of KFP. Without one:
        KFP_MT_IAP_CLIENT_ID."""
    ).tag(config=True, credentials=True)
    login_file = Unicode(
        help="""File with the user name and the password, on two lines, for the login page in front
        of KFP. Without one: KFP_MT_LOGIN_FILE, else KFP_MT_USERNAME and KFP_MT_PASSWORD."""
    ).tag(config=True, credentials=True)
    login_hosts = Unicode(
        help="""Other hosts than the endpoint's to which the login may lead, separated by commas.
        Without any: KFP_MT_LOGIN_HOSTS."""
    ).tag(config=True, credentials=True)
    kubeconfig = Unicode(
        help="""Kubeconfig for auth 'kubeconfig', and outside a pod for 'kubernetes'; with other
        credentials it is used for the logs of tasks and for access reviews. Without one:
        KFP_MT_KUBECONFIG, else the one that kubectl would use."""
    ).tag(config=True, credentials=True)
    kube_context = Unicode(
        help="""Context of that kubeconfig. Without one: KFP_MT_KUBE_CONTEXT, else its current
        one."""
    ).tag(config=True, credentials=True)
    kfam_endpoint = Unicode(
        help="""Address of Kubeflow's access management service (kfam), which knows contributors.
        Without one: KFP_MT_KFAM_ENDPOINT, else in a Kubernetes pod
        http://profiles-kfam.kubeflow.svc.cluster.local:8081."""
    ).tag(config=True)
    ui_url = Unicode(
        help="""Address of KFP's own pages, for the links that kfp_client() shows, such as
        https://kubeflow.example.com/_/pipeline/?ns={namespace}. Without one: KFP_MT_UI_URL,
        KF_PIPELINES_UI_ENDPOINT, in a Kubeflow notebook the dashboard's; otherwise no link is
        shown."""
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
        KFP_MT_PROFILES, the file it was last started with, else one namespace named after you."""
    ).tag(config=True)
    start_local = Bool(
        True,
        help="""Whether a Jupyter server starts the local KFP if nothing else is configured;
        KFP_MT_START_LOCAL=0 is the same as False.""",
    ).tag(config=True)

    read_only = Bool(
        help="""Whether to refuse every request that would change something;
        KFP_MT_READ_ONLY=1 is the same as True.""",
    ).tag(config=True)

    behind_kubeflow_gateway = Bool(
        help="""Whether every request to this Jupyter server comes through Kubeflow's gateway, which
        sets the header kubeflow-userid to the user who is signed in. Contributors are changed in
        the name of that user. Without the gateway anybody could write the header, so it is trusted
        only with this setting, and never under JupyterHub.
        KFP_MT_BEHIND_KUBEFLOW_GATEWAY=1 is the same as True.""",
    ).tag(config=True)

    def value(self, name: str) -> str:
        """The configured value of a setting, else that of its variable."""
        return getattr(self, name) or os.environ.get(variable(name), "")

    def names_kfp(self) -> bool:
        """Tell if an address of KFP is configured."""
        return bool(self.value("endpoint") or os.environ.get("KF_PIPELINES_ENDPOINT"))

    def asks_for_credentials(self) -> bool:
        """Tell if these settings, apart from variables, choose a kind of credentials."""
        return any(getattr(self, name) for name in CREDENTIALS if name not in KUBERNETES)

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
        return self.read_only or _is_on("read_only")

    def believes_userid(self) -> bool:
        """Tell whether a request's header `kubeflow-userid` is trusted.

        JupyterHub's proxy passes on any header that a browser sends. A single-user server has the
        address of JupyterHub's API in its environment.
        """
        return self.is_behind_gateway() and not is_under_jupyterhub()

    def is_behind_gateway(self) -> bool:
        return self.behind_kubeflow_gateway or _is_on("behind_kubeflow_gateway")

    def may_start_local(self) -> bool:
        value = os.environ.get("KFP_MT_START_LOCAL", "").lower()
        return self.start_local and value not in ("0", "false", "no")


# The settings of all kinds of credentials; each kind declares which are its own.
CREDENTIALS = tuple(
    name
    for name, trait in vars(Kfp).items()
    if isinstance(trait, TraitType) and trait.metadata.get("credentials")
)


def is_under_jupyterhub() -> bool:
    return bool(os.environ.get("JUPYTERHUB_API_URL") or os.environ.get("JUPYTERHUB_SERVICE_URL"))


def _is_on(setting: str) -> bool:
    value = os.environ.get(variable(setting), "").lower()
    return value not in ("", "0", "false", "no")


def chosen(settings: dict[str, str]) -> Kfp:
    """Return the settings passed by name; an empty one counts as not passed. Raises `TypeError`."""
    known = list(Kfp.class_own_traits(config=True))
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise TypeError(f"There is no setting {unknown[0]}; there are {', '.join(known)}.")
    return Kfp(**{name: _text(value) for name, value in settings.items() if value})


def _text(value: str | Path) -> str:
    return str(value) if isinstance(value, Path) else value
