"""The links that the kfp SDK shows: to KFP's pages if their address is known, else none.

The SDK assumes that the pages are at the API's address. There are none behind a Jupyter server's
door, nor at the API's own port.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any
from urllib.parse import quote, urlsplit

from ..other_servers import PREFIX

# The placeholder that the SDK's links begin with until they are resolved.
UNRESOLVED = "kfp-mt-pages:"
# The methods of the SDK's client that show a link.
SHOWING = ("create_experiment", "run_pipeline", "upload_pipeline", "upload_pipeline_version")
# Of Kubeflow's dashboard, whose notebooks are on the same host.
IN_KUBEFLOW = "/_/pipeline/?ns={namespace}"


def pages_of(endpoint: str, configured: str, local: bool) -> str:
    """The address of KFP's pages for a browser, with {namespace} in it; empty if it is not known.

    `configured` is a setting; without it the SDK's own variable is used.
    """
    told = configured or os.environ.get("KF_PIPELINES_UI_ENDPOINT", "")
    if told or local:
        return told.partition("#")[0]
    if os.environ.get("NB_PREFIX"):  # set in the notebooks of Kubeflow
        return IN_KUBEFLOW
    behind_gateway = urlsplit(endpoint).path.endswith(PREFIX)
    return f"{endpoint}/?ns={{namespace}}" if behind_gateway else ""


class Links:
    """The links of one client of the SDK's, whose own namespace is `namespace`."""

    def __init__(self, pages: str, namespace: str) -> None:
        self._pages = pages
        self._namespace = namespace
        self._experiments: dict[str, str] = {}  # the namespaces of experiments that were requested

    def leading(self, show: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a method of the SDK, so that its links lead to the pages or are left out."""

        @wraps(show)
        def called(*arguments: Any, **options: Any) -> Any:
            experiment = options.get("experiment_id") or next(iter(arguments), "")
            where = options.get("namespace") or self._experiments.get(experiment, self._namespace)
            with _links_to(self._pages.replace("{namespace}", quote(where, safe=""))):
                made = show(*arguments, **options)
            self._experiments[getattr(made, "experiment_id", None) or ""] = where
            return made

        return called


@contextlib.contextmanager
def _links_to(pages: str) -> Iterator[None]:
    """Resolve the links that are displayed in this block; leave out those that lead nowhere."""
    printed, shown = io.StringIO(), _Shown()
    try:
        with contextlib.redirect_stdout(printed), shown:
            yield
    finally:
        for line in printed.getvalue().splitlines(keepends=True):
            if (found := _resolved(line, pages)) is not None:
                sys.stdout.write(found)
        shown.show_again(pages)


def _resolved(text: str, pages: str) -> str | None:
    if UNRESOLVED not in text:
        return text
    return text.replace(f"{UNRESOLVED}/#", f"{pages.rstrip('#')}#") if pages else None


class _Shown:
    """Capture what IPython displays in this block; without IPython do nothing."""

    def __enter__(self) -> None:
        ipython = sys.modules.get("IPython")
        self._capture: Any = None
        if ipython and ipython.get_ipython():
            from IPython.utils.capture import capture_output

            self._capture = capture_output(stdout=False, stderr=False, display=True)
            self._captured = self._capture.__enter__()

    def __exit__(self, *error: Any) -> None:
        if self._capture:
            self._capture.__exit__(*error)

    def show_again(self, pages: str) -> None:
        for output in self._captured.outputs if self._capture else ():
            data = {kind: _resolved(str(text), pages) for kind, text in output.data.items()}
            if None not in data.values():
                from IPython.display import display

                display(data, raw=True, metadata=output.metadata)
