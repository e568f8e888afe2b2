"""The namespace that a kernel uses: its own, else that of the Jupyter server.

The server stores both: the panel can show them, and a restarted kernel finds its own again. Without
a server they are stored in this session.
"""

from __future__ import annotations

import contextlib

from ..errors import KfpError
from .door_client import Door
from .status import NamespaceInUse


class KernelNamespace:
    """`own` is the namespace chosen for this kernel, empty for none; `usual` the default.

    `kernel` is its id in the Jupyter server. It is empty for a process that is not the server's
    kernel, such as IPython in a terminal, whose choice stays there.
    """

    def __init__(self, door: Door | None, kernel: str, usual: str, own: str = "") -> None:
        self._door, self._kernel = door, kernel
        self.usual, self.own = usual, own
        with contextlib.suppress(KfpError):  # an older server does not store it
            if own:
                self.choose(own)
            else:
                self.look()

    @property
    def name(self) -> str:
        return self.own or self.usual

    @property
    def is_shared(self) -> bool:
        """Tell whether the panel and other notebooks use the same default."""
        return self._door is not None

    def look(self) -> None:
        """Update both namespaces from the server. Raises a `KfpError`."""
        if self._door:
            self._adopt(self._door.namespace())

    def choose(self, namespace: str) -> None:
        """Use another namespace in this kernel, or the default if empty. Raises a `KfpError`."""
        self.own = namespace
        if self._door and self._kernel:
            self._adopt(self._door.choose_namespace(namespace, self._kernel))

    def share(self, namespace: str) -> None:
        """Use another namespace also in the panel and in all notebooks. Raises a `KfpError`."""
        if self._door:
            self._adopt(self._door.choose_namespace(namespace))
        self.usual = namespace
        self.choose("")

    def _adopt(self, found: NamespaceInUse) -> None:
        self.usual = found.namespace
        if self._kernel:
            self.own = found.kernels.get(self._kernel, "")
