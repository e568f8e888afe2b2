"""Fetch metadata: a browser's purpose for a request (https://www.w3.org/TR/fetch-metadata/)."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import Forbidden

# In any other mode (images, forms, links, typed addresses) no script can read the response.
_READABLE = ("cors", "same-origin")
_OWN = ("same-origin", "none")  # none: the browser's developer tools or one of its extensions


def check(headers: Mapping[str, str]) -> None:
    """Raise `Forbidden` unless the request comes from a script that may read the response.

    Under a hub, other users' servers may be on the same site, so only the origin counts; for a
    foreign origin Jupyter's `allow_origin` decides. Clients without these headers are not
    browsers, or use plain HTTP.
    """
    mode = headers.get("Sec-Fetch-Mode", "cors")
    purpose = headers.get("Sec-Fetch-Dest", "empty")
    own = headers.get("Sec-Fetch-Site", "same-origin") in _OWN or "Origin" in headers
    if mode not in _READABLE or purpose != "empty" or not own:
        raise Forbidden(
            "Cannot show this address of the KFP extension in a page.",
            cause="It is for programs: JupyterLab and kernels. A browser requested it as a page, "
            "an image or the like, or for another site.",
            cure="Open JupyterLab's Kubeflow Pipelines panel instead; scripts fetch() it.",
        )
