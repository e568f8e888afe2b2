"""The namespaces that were chosen in a Jupyter server, kept in a small file.

There is one for each endpoint and identity, as another KFP has other namespaces.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from ..connection.connections import DirectConnection
from ..connection.status import Step, chosen_instead
from .small_files import replace_file

CHOSEN = "chosen in the panel, or with %kfp ns --server"


class ChosenNamespaces:
    """The server's choices, by endpoint and credentials. May be used from any thread.

    If the file cannot be read or written, a choice only lasts until the server stops.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._chosen: dict[str, str] | None = None

    def over(self, found: DirectConnection) -> DirectConnection:
        """Return the connection with the chosen namespace in place of its own."""
        chosen = self._known.get(_place(found), "")
        if not chosen or chosen == found.namespace:
            return found
        trace = chosen_instead(found.trace, Step("namespace", CHOSEN, chosen, True))
        return msgspec.structs.replace(found, namespace=chosen, trace=trace)

    def choose(self, found: DirectConnection, namespace: str) -> None:
        """Remember a choice; an empty one forgets it."""
        self._chosen = {**self._known, _place(found): namespace}
        kept = {place: name for place, name in self._chosen.items() if name}
        with contextlib.suppress(OSError):
            replace_file(self._path, msgspec.json.encode(kept))

    @property
    def _known(self) -> dict[str, str]:
        if self._chosen is None:
            self._chosen = self._read()
        return self._chosen

    def _read(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}


def _place(found: DirectConnection) -> str:
    """The key of a choice: endpoint and credentials; a local KFP's port changes with each start."""
    return f"{'local KFP' if found.local else found.endpoint} {found.credentials.source}"
