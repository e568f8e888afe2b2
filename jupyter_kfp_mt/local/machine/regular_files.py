"""Files that a program may have replaced with something else, such as a pipe.

Opening a named pipe waits for its other end, possibly forever, and a device may have no end.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO


def open_to_read(path: Path) -> IO[bytes]:
    """Open a file for reading. Raises OSError, also if it is not a regular file."""
    return open(_opened(path, os.O_RDONLY), "rb")


def open_to_append(path: Path) -> IO[bytes]:
    """Open a file to write at its end, unbuffered. Raises OSError as `open_to_read` does."""
    return open(_opened(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab", buffering=0)


def is_special(path: Path) -> bool:
    """Return whether this is something else than a file, a folder or nothing."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # nothing, or a URI that cannot be a path
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _opened(path: Path, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "Not a file", str(path))
