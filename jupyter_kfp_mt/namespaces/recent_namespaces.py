"""The namespaces that were used before, kept by endpoint in a small file."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from ..settings import Kfp
from .small_files import replace_file

LONGEST = 20


class UsedNamespaces:
    """The namespaces in which KFP has answered. A file that cannot be read or written is ignored.

    One thread reads and writes the file, so that `add` does not wait for the disk.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._added: set[tuple[str, str]] = set()
        self._thread = ThreadPoolExecutor(1, "kfp-mt-used-namespaces")

    @classmethod
    def of_settings(cls, settings: Kfp) -> UsedNamespaces:
        return cls(settings.data_folder() / "used-namespaces.json")

    def of(self, endpoint: str) -> list[str]:
        """Return the namespaces used at an endpoint, newest first."""
        return self._thread.submit(self._read).result().get(endpoint, [])

    def add(self, endpoint: str, namespace: str) -> None:
        if (endpoint, namespace) not in self._added:
            self._added.add((endpoint, namespace))
            with contextlib.suppress(RuntimeError):  # it has been closed
                self._thread.submit(self._put, endpoint, namespace)

    def close(self) -> None:
        """Close, once everything has been written."""
        self._thread.shutdown()

    def _put(self, endpoint: str, namespace: str) -> None:
        found = self._read()
        others = [name for name in found.get(endpoint, []) if name != namespace]
        found[endpoint] = [namespace, *others][:LONGEST]
        with contextlib.suppress(OSError):
            replace_file(self._path, msgspec.json.encode(found))

    def _read(self) -> dict[str, list[str]]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, list[str]])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}
