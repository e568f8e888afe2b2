"""Kubeflow Pipelines in Jupyter, for teams that share one cluster.

`connect()` gives the `Client` of this notebook's identity, `kfp_client()` the kfp SDK's client
wired to the same door; `%load_ext jupyter_kfp_mt` brings the `%kfp` magic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import kfp
    from IPython.core.interactiveshell import InteractiveShell

    from .client import Client

__all__ = ["connect", "kfp_client", "Client", "KfpError", "__version__"]


def connect(
    endpoint: str = "", token_file: str = "", namespace: str = "", identity: str = ""
) -> Client:
    """The client of this notebook's identity, as `%kfp` uses it.

    Without arguments it goes through the Jupyter server, or decides as the server would where
    there is none. `identity` names one of the local KFP's, such as `bob/default-editor`. Raises
    `KfpError`.
    """
    from .connection import decide
    from .settings import Kfp

    settings = Kfp(endpoint=endpoint, token_file=token_file, namespace=namespace)
    return decide(settings, identity).client()


def kfp_client(client: Client | None = None) -> kfp.Client:
    """The kfp SDK's client with the endpoint, identity and namespace of `client` or `connect()`.

    Unlike `kfp.Client()` it neither waits for an endpoint that does not answer nor writes a file.
    Raises `KfpError`.
    """
    import warnings

    import kfp

    client = client or connect()
    client.health()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it is said of servers before 2.0
        return kfp.Client(
            host=client.endpoint,
            namespace=client.namespace or "kubeflow",
            credentials=client.credentials,
        )


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """`%load_ext jupyter_kfp_mt`."""
    from .notebook.magics import load

    load(ipython)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """`%unload_ext jupyter_kfp_mt`."""
    from .notebook.magics import unload

    unload(ipython)


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "jupyter-kfp-mt"}]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from .extension.app import KfpExtension

    return [{"module": "jupyter_kfp_mt", "app": KfpExtension}]


def __getattr__(name: str) -> Any:
    if name == "Client":
        from .client import Client

        return Client
    if name == "KfpError":
        from .errors import KfpError

        return KfpError
    if name == "__version__":
        from importlib.metadata import version

        return version("jupyter-kfp-mt")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
