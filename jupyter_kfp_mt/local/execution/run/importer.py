"""Imported artifacts: files on this machine, or remote ones, which are not downloaded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ....errors import KfpError
from .scopes import RuntimeArtifact

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_NO_FILE = re.compile(r"FileNotFoundError|No such file")


class ImportRefused(KfpError):
    """An address from which nothing can be imported; the message says why."""


def importable(uri: str) -> str:
    """Return the artifact's URI; for a local one, the path of an existing file or folder."""
    if _SCHEME.match(uri) and not uri.startswith("file:"):
        return uri
    path = _path(uri) if uri.startswith("file:") else uri
    if not path.startswith("/"):
        raise ImportRefused(
            f"'{uri}' cannot be imported: it is neither an absolute path on this machine nor an "
            "address like gs://bucket/file; begin it with / or with file:///"
        )
    if not Path(path).exists():
        raise ImportRefused(
            f"'{uri}' cannot be imported: there is no such file or folder on the machine of the "
            "local KFP; correct the path, or copy the file there"
        )
    return path


def elsewhere(artifacts: Mapping[str, list[RuntimeArtifact]]) -> Iterator[tuple[str, str]]:
    """Yield names and URIs of the input artifacts that are not on this machine."""
    for name, listed in artifacts.items():
        for artifact in listed:
            if _SCHEME.match(artifact.uri):
                yield name, artifact.uri


def told_of(artifacts: Mapping[str, list[RuntimeArtifact]], failure: str) -> str:
    """Return why a task failed; if it missed a file, name its remote inputs."""
    name, uri = next(elsewhere(artifacts), ("", ""))
    if not uri or not _NO_FILE.search(failure):
        return failure
    return (
        f"its input '{name}' is {uri}, which is not downloaded here: put a copy on the machine "
        f"of the local KFP and import that, or let the task fetch {name}.uri itself ({failure})"
    )


def _path(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise ImportRefused(
            f"'{uri}' cannot be imported: it names the host '{parts.netloc}', but only files of "
            f"this machine can be read; write file://{parts.path} for one of them"
        )
    return unquote(parts.path)
