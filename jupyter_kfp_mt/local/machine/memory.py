"""The memory of this process, of which large blocks go back to the system at once."""

from __future__ import annotations

import contextlib
import ctypes

# glibc's name for the size from which a block is mapped for itself, and given back when it is free.
_M_MMAP_THRESHOLD = -3
_LARGE = 256 << 10


def give_back_large_blocks() -> None:
    """Return large blocks to the system when they are freed; glibc would keep them after the first.

    Specifications are such blocks: eight at once would leave the process larger by as much. With
    another C library nothing is changed.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
