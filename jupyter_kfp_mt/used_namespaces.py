"""The namespaces that were used before, in a small file: names by endpoint, and nothing else."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from pathlib import Path

import msgspec

from .settings import Kfp

LONGEST = 20


class UsedNamespaces:
    """Those that KFP has answered for. A file that cannot be read or written is done without."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._added: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    @classmethod
    def of_settings(cls, settings: Kfp) -> UsedNamespaces:
        return cls(settings.data_folder() / "used-namespaces.json")

    def of(self, endpoint: str) -> list[str]:
        """The newest first."""
        return self._read().get(endpoint, [])

    def add(self, endpoint: str, namespace: str) -> None:
        with self._lock:
            if (endpoint, namespace) in self._added:
                return
            self._added.add((endpoint, namespace))
            found = self._read()
            others = [name for name in found.get(endpoint, []) if name != namespace]
            found[endpoint] = [namespace, *others][:LONGEST]
            with contextlib.suppress(OSError):
                self._write(found)

    def _read(self) -> dict[str, list[str]]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, list[str]])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}

    def _write(self, found: dict[str, list[str]]) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=".namespaces-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(found))
            os.replace(temporary, self._path)
        except OSError:
            os.unlink(temporary)
            raise
