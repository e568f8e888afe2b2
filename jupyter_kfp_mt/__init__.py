"""Kubeflow Pipelines in Jupyter, for teams that share one cluster.

`connect()` returns a `Client` with this notebook's identity, `kfp_client()` the kfp SDK's client
with the same connection; `%load_ext jupyter_kfp_mt` adds the `%kfp` magic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import kfp
    from IPython.core.interactiveshell import InteractiveShell

    from .client.client import Client
    from .connection.chosen_credentials import Credentials
    from .connection.connections import Connection
    from .errors import KfpError

__all__ = ["connect", "kfp_client", "Client", "Credentials", "KfpError", "__version__"]


def connect(
    endpoint: str = "",
    token_file: str = "",
    namespace: str = "",
    identity: str = "",
    **settings: str,
) -> Client:
    """Return a client that acts with this notebook's identity, as `%kfp` does.

    Without arguments, this is the client of `%kfp` if that is loaded. Otherwise the client connects
    through the Jupyter server; without a server it chooses endpoint and credentials as the server
    would. `identity` selects an identity of the local KFP, such as `bob/default-editor`; `settings`
    are those of `c.Kfp`, such as `auth="kubernetes"`. Raises `KfpError`.
    """
    from .connection.loaded_magic import loaded_magic

    magics = loaded_magic()
    if magics is not None and not (endpoint or token_file or namespace or identity or settings):
        client: Client = magics.client
        return client
    given = {"endpoint": endpoint, "token_file": token_file, "namespace": namespace}
    return _new_connection(identity, {**given, **settings}).client()


def kfp_client(client: Client | None = None) -> kfp.Client:
    """The kfp SDK's client with the endpoint, identity and namespace of `client` or `connect()`.

    Unlike `kfp.Client()` it neither waits for an endpoint that does not answer nor writes a file.
    Its links lead to KFP's own pages, whose address is `Kfp.ui_url`. Raises `KfpError`.
    """
    from .client.sdk import sdk_client
    from .connection.loaded_magic import loaded_magic
    from .settings import Kfp

    return sdk_client(client or connect(), (loaded_magic() or Kfp()).value("ui_url"))


def as_html(value: Any) -> str:
    """A value of this package as a cell shows it."""
    from .notebook.render import html

    return html(value)


def as_text(value: Any) -> str:
    """A value of this package as a terminal shows it."""
    from .notebook.render import text

    return text(value)


def form_of(pipeline: Any) -> Any:
    """A form that starts a pipeline, given as a value of `%kfp pipelines`, a file, or a function
    decorated with `@dsl.pipeline`.
    """
    from .connection.loaded_magic import loaded_magic
    from .models import Pipeline
    from .notebook.form import Form
    from .notebook.run_card import Cards

    magics, client = loaded_magic(), connect()
    known = pipeline.pipeline_id if isinstance(pipeline, Pipeline) else pipeline
    source = client.pipeline_source(known)
    return Form(source, client, lambda: magics.cards if magics else Cards(client))


def browser_of(runs: Any) -> Any:
    """A browser through a list of runs."""
    from .connection.connections import DoorConnection
    from .connection.loaded_magic import loaded_magic
    from .notebook.browser import RunBrowser
    from .notebook.run_card import Cards

    magics, client = loaded_magic(), connect()
    if magics is None:
        return RunBrowser(runs, client, lambda: Cards(client))
    connection = magics.connection
    door = connection.door if isinstance(connection, DoorConnection) else None
    return RunBrowser(runs, client, lambda: magics.cards, door, magics.permissions)


def _new_connection(identity: str, settings: dict[str, str]) -> Connection:
    from .connection.choose_connection import decide
    from .settings import chosen

    return decide(chosen(settings), identity)


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
        from .client.client import Client

        return Client
    if name == "Credentials":
        from .connection.chosen_credentials import Credentials

        return Credentials
    if name == "KfpError":
        from .errors import KfpError

        return KfpError
    if name == "__version__":
        from importlib.metadata import version

        return version("jupyter-kfp-mt")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
