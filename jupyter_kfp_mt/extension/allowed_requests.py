"""The requests that are forwarded to KFP; all others are refused."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from ..errors import Forbidden, NotFound
from .namespace_of_request import names_one
from .send_to_kfp import Query

# The resources of the API. The report endpoints (workflows, scheduledworkflows) are internal to
# KFP, and visualizations run code; neither is for a notebook.
_FORWARDED = re.compile(
    r"/apis/(v1beta1|v2beta1)/"
    r"(healthz|auth|experiments|runs|recurringruns|jobs|pipelines|pipeline_versions|namespaces)"
    r"(/.*)?"
)
_UPLOAD = re.compile(r"/+apis/+(v1beta1|v2beta1)/+pipelines/+upload(_version)?/*")
_LOG = re.compile(r"/apis/v1alpha1/runs/[^/]+/nodes/[^/]+/log")
_VALUES = re.compile(r"/apis/v1alpha1/runs/[^/]+/nodes")
_BY_NAME = re.compile(r"/apis/v2beta1/pipelines/names/[^/]+")
_SEGMENT = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+")


def checked(path: str, query: Query, local: bool) -> str:
    """Return the path of the request to KFP, rebuilt from its checked segments.

    Raises `NotFound` or `Forbidden`, with the reason, for a request that must not be forwarded.
    `local`: it goes to the local KFP, which authenticates callers where the real one does not.
    """
    segments = [_part(segment) for segment in path.removeprefix("/").split("/")]
    if None in segments:
        raise NotFound(f"{path} is not a path of the KFP API.")
    parts = [segment for segment in segments if segment]
    _check("/" + "/".join(parts), query, local)
    return "".join("/" + quote(part, safe="!$&'()*+,;=:@") for part in parts)


def is_for_local(path: str) -> bool:
    """Return True for requests that are only allowed at the local KFP: task logs and values."""
    return any(pattern.fullmatch(unquote(path)) for pattern in (_LOG, _VALUES))


def is_upload(path: str) -> bool:
    """Return True for the path at which a pipeline or a version of one is uploaded."""
    return _UPLOAD.fullmatch(unquote(path)) is not None


def _check(path: str, query: Query, local: bool) -> None:
    if _LOG.fullmatch(path):
        if not local:
            raise Forbidden(
                "KFP serves logs of all runs here without authentication.",
                cure="GET <base_url>/kfp-mt/logs/RUN_ID/TASK_ID reads them from the pod; "
                "in a cell, %kfp logs RUN TASK.",
            )
    elif not (_FORWARDED.fullmatch(path) or (local and _VALUES.fullmatch(path))):
        raise NotFound(f"{path} is not forwarded.")
    elif path.endswith(":reportMetrics"):
        raise Forbidden("Metrics are reported by KFP itself.")
    elif _BY_NAME.fullmatch(path) and not names_one(query):
        raise Forbidden(
            "Without a namespace KFP answers with a pipeline of that name from any namespace.",
            cure="Add namespace=... to the query.",
        )


def _part(segment: str) -> str | None:
    """Decode a segment of a path; None if it is malformed or could leave the path."""
    text = unquote(segment)
    hidden = "/" in text or "\\" in text or any(ord(character) < 32 for character in text)
    if not _SEGMENT.fullmatch(segment) or text in (".", "..") or hidden:
        return None
    return text
