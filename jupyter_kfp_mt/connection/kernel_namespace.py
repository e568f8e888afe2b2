"""The namespace that a kernel uses: its own choice, else that of the Jupyter server.

The server keeps both, so that the panel can show them, and a restarted kernel keeps its own.
Without a server, this session keeps them.
"""

from __future__ import annotations

import contextlib

from ..errors import KfpError
from .door_client import Door
from .status import NamespaceInUse


class KernelNamespace:
    """`own` is this kernel's choice, empty for none; `usual` what is in use without one.

    `kernel` is its id in the Jupyter server; empty for what is no kernel of it, such as IPython in
    a terminal, whose choice nobody else is told of.
    """

    def __init__(self, door: Door | None, kernel: str, usual: str, own: str = "") -> None:
        self._door, self._kernel = door, kernel
        self.usual, self.own = usual, own
        with contextlib.suppress(KfpError):  # an older server keeps none
            if own:
                self.choose(own)
            else:
                self.look()

    @property
    def name(self) -> str:
        return self.own or self.usual

    @property
    def is_shared(self) -> bool:
        """Tell whether others use the usual one, too: the panel, and other notebooks."""
        return self._door is not None

    def look(self) -> None:
        """Take over what was chosen meanwhile. Raises a `KfpError`."""
        if self._door:
            self._adopt(self._door.namespace())

    def choose(self, namespace: str) -> None:
        """Use another one in this kernel; an empty one for the usual. Raises a `KfpError`."""
        self.own = namespace
        if self._door and self._kernel:
            self._adopt(self._door.choose_namespace(namespace, self._kernel))

    def share(self, namespace: str) -> None:
        """Use another one in the panel and all notebooks, too. Raises a `KfpError`."""
        if self._door:
            self._adopt(self._door.choose_namespace(namespace))
        self.usual = namespace
        self.choose("")

    def _adopt(self, found: NamespaceInUse) -> None:
        self.usual = found.namespace
        if self._kernel:
            self.own = found.kernels.get(self._kernel, "")
