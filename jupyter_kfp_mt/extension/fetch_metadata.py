"""Fetch metadata: for what a browser sends a request (https://www.w3.org/TR/fetch-metadata/)."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import Forbidden

# With any other mode no script may read the answer: images, forms, links and typed addresses.
_READABLE = ("cors", "same-origin")
_OWN = ("same-origin", "none")  # none: an extension of the browser's, or its developer tools


def check(headers: Mapping[str, str]) -> None:
    """Raise `Forbidden` for what no script of an allowed origin asks for to read the answer.

    Other users' servers may be on the same site under a hub, so that only the origin counts; where
    another one is told, Jupyter decides by its `allow_origin`. Who sends no such headers is no
    browser, or asks over plain HTTP.
    """
    mode = headers.get("Sec-Fetch-Mode", "cors")
    purpose = headers.get("Sec-Fetch-Dest", "empty")
    own = headers.get("Sec-Fetch-Site", "same-origin") in _OWN or "Origin" in headers
    if mode not in _READABLE or purpose != "empty" or not own:
        raise Forbidden(
            "Cannot show this address of the KFP extension in a page.",
            cause="It answers programs: JupyterLab and kernels. A browser asked for it as a page, "
            "an image or the like, or on behalf of another site.",
            cure="Open JupyterLab's Kubeflow Pipelines panel instead; scripts fetch() it.",
        )
