"""The mark of a data folder: a file by which the local KFP recognises the folder as its own.

Nothing is replaced or removed in a folder without the mark. A new or empty folder is marked; one
from an older release is recognised by its key or its database, and then marked.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ...errors import Misconfigured
from ..database.schema import is_database

MARK = ".jupyter-kfp-mt"
_TEXT = "The data folder of a local KFP (jupyter-kfp-mt), which looks after what is in it.\n"
# The content of a folder that is considered empty.
_OF_THE_SYSTEM = {"lost+found", ".DS_Store"}
# Left by a failed start of an older release.
_LOGS = {"server.log", "server.log.1"}
_BEGUN = {"lock", "tokens", "namespaces", "in-use", "profiles.yaml", *_LOGS}
_KEY_LENGTH = 64
CURE = (
    "Name an empty folder, or one that does not exist yet, with --data (c.Kfp.data, KFP_MT_DATA)."
)


def claim(folder: Path) -> None:
    """Mark a folder as the local KFP's. Raises `Misconfigured` if it is somebody else's."""
    if not folder.is_dir():
        raise Misconfigured(f"The data folder {folder} cannot be used: it is a file.", cure=CURE)
    _check_owner(folder)
    if (folder / MARK).is_file():
        return
    ours = _is_empty(folder) or _was_ours(folder)
    # Another server may just have started in it; each writes its mark first.
    if not ours and not (folder / MARK).is_file():
        raise Misconfigured(
            f"The data folder {folder} cannot be used: it is not empty, and not from a local KFP.",
            cure=CURE,
        )
    descriptor = os.open(folder / MARK, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(_TEXT)


def _check_owner(folder: Path) -> None:
    """Deny access to others. Another user could replace the content of a folder of theirs."""
    found = folder.stat()
    if found.st_uid == os.geteuid():
        if found.st_mode & 0o077:
            folder.chmod(stat.S_IMODE(found.st_mode) & ~0o077)
    elif os.geteuid() and found.st_uid:
        raise Misconfigured(
            f"The data folder {folder} cannot be used: it belongs to another user.", cure=CURE
        )


def _is_empty(folder: Path) -> bool:
    return {path.name for path in folder.iterdir()} <= _OF_THE_SYSTEM


def _was_ours(folder: Path) -> bool:
    key = folder / "keys" / "signing-key"
    return _is_key(key) or is_database(folder / "kfp.db") or _was_begun(folder)


def _is_key(path: Path) -> bool:
    try:
        return len(bytes.fromhex(path.read_text())) * 2 == _KEY_LENGTH
    except (OSError, ValueError):
        return False


def _was_begun(folder: Path) -> bool:
    names = {path.name for path in folder.iterdir()} - _OF_THE_SYSTEM
    if names <= _LOGS:
        return True
    empty = [path for path in (folder / "tokens", folder / "namespaces") if path.exists()]
    return (
        names <= _BEGUN
        and {"lock", "tokens", "namespaces"} <= names
        and not (folder / "lock").stat().st_size
        and not any(any(path.iterdir()) for path in empty)
    )
