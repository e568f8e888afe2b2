"""Artifacts that are imported: files of this machine, or what is elsewhere and stays there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ...errors import KfpError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class ImportRefused(KfpError):
    """An address from which nothing can be imported; the message says why."""


def importable(uri: str) -> str:
    """What the artifact's URI is here: the path of a file or folder that is there, if it is one."""
    if _SCHEME.match(uri) and not uri.startswith("file:"):
        return uri
    path = _path(uri) if uri.startswith("file:") else uri
    if not path.startswith("/"):
        raise ImportRefused(
            f"'{uri}' cannot be imported: it is no whole path of a file on this machine, and no "
            "address like gs://bucket/file; begin it with / or with file:///"
        )
    if not Path(path).exists():
        raise ImportRefused(
            f"'{uri}' cannot be imported: there is no such file or folder on the machine of the "
            "local KFP; correct the path, or put the file there"
        )
    return path


def elsewhere(executor_input: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and URIs of the input artifacts that are not on this machine."""
    for name, listed in executor_input.get("inputs", {}).get("artifacts", {}).items():
        for artifact in listed.get("artifacts", []):
            if _SCHEME.match(uri := artifact.get("uri", "")):
                yield name, uri


def _path(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise ImportRefused(
            f"'{uri}' cannot be imported: it names the host '{parts.netloc}', but only files of "
            f"this machine can be read; write file://{parts.path} for one of them"
        )
    return unquote(parts.path)
