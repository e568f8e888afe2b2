"""Folders that only this process and its children see at their paths (Linux).

They are in memory, and disappear with the processes; or they are other folders of the machine.

This file is also run by its path, in front of a task's command, by any Python: so it uses only the
standard library.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import stat
import sys
from collections.abc import Iterable, Mapping

# From <sched.h>, <sys/mount.h> and <linux/capability.h>.
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_SLAVE = 1 << 12, 1 << 14, 1 << 19
CAPABILITY_VERSION_3 = 0x20080522

# The most entries of a folder that is rebuilt to add one more.
MAX_ENTRIES = 2000

# For each path, the content of its files by name, or the folder to mount there.
Folders = Mapping[str, Mapping[str, str] | str]


class Unmountable(Exception):
    """A folder that cannot be mounted on this machine; the message says why."""


def mount(folders: Folders) -> None:
    """Mount these folders for the calling process, which must have only one thread."""
    working_folder = os.getcwd()
    parents = sorted({_nearest(path) for path in folders} - folders.keys())
    own_users = _leave_shared_mounts()
    for parent in parents:
        _rebuild(parent)
    for path, content in folders.items():
        os.makedirs(path, exist_ok=True)
        if isinstance(content, str):
            _call("mount", os.fsencode(content), os.fsencode(path), None, MS_BIND | MS_REC, None)
        else:
            _fill(path, content)
    for parent in parents:
        _protect(parent)
    if own_users:
        _drop_capabilities()
    os.chdir(working_folder)


def mount_or_exit(folders: Folders) -> None:
    """Mount the folders, or exit with a message."""
    try:
        mount(folders)
    except (Unmountable, OSError) as error:
        sys.exit(f"cannot mount {', '.join(folders)}: {error}")


def _nearest(path: str) -> str:
    """Return the path if it is a folder, else the nearest existing parent."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        raise Unmountable(f"{path} exists and is not a folder")
    return path


def _leave_shared_mounts() -> bool:
    """Make later mounts private to this process. Returns True if that took a user namespace."""
    try:
        own_users = not _unshare(CLONE_NEWNS)
        if own_users:
            user, group = os.geteuid(), os.getegid()
            _call("unshare", CLONE_NEWNS | CLONE_NEWUSER)
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"{user} {user} 1")
            _write("/proc/self/gid_map", f"{group} {group} 1")
        _call("mount", None, b"/", None, MS_REC | MS_SLAVE, None)
    except OSError as error:
        raise Unmountable(
            f"this machine does not allow private mounts for user {os.geteuid()}"
            f" (user namespaces): {error.strerror}"
        ) from error
    return own_users


def _unshare(flags: int) -> bool:
    try:
        _call("unshare", flags)
    except PermissionError:
        return False
    return True


def _rebuild(parent: str) -> None:
    """Replace a folder by one in memory with the same entries, to which more can be added.

    So nothing is left on the machine, where another task may use the same path concurrently.
    """
    mode = stat.S_IMODE(os.stat(parent).st_mode)
    old = _open(parent)
    names = os.listdir(old)
    if len(names) > MAX_ENTRIES:
        raise Unmountable(f"{parent} has too many entries ({len(names)}) to add one for the task")
    _mount_memory(parent, mode)
    # An absolute path does not see mounts over the root, but `..` does.
    new = _open("/.." if parent == "/" else parent)
    for name in names:
        _bind(f"/proc/self/fd/{old}/{name}", f"/proc/self/fd/{new}/{name}")
    if parent == "/":
        os.fchdir(new)
        os.chroot(".")
    os.close(old)
    os.close(new)


def _bind(source: str, target: str) -> None:
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return
    if os.path.isdir(source):
        os.mkdir(target)
    else:
        _write(target, "", os.O_CREAT)
    with contextlib.suppress(FileNotFoundError):  # removed in the meantime
        _call("mount", os.fsencode(source), os.fsencode(target), None, MS_BIND | MS_REC, None)


def _fill(path: str, files: Mapping[str, str]) -> None:
    _mount_memory(path, 0o700)
    for name, content in files.items():
        _write(os.path.join(path, name), content, os.O_CREAT | os.O_EXCL, 0o400)
    _make_read_only(path)


def _protect(parent: str) -> None:
    """Make the rebuilt folder read-only, as files that a task writes there would be lost.

    Folders for temporary files stay writable, as those are removed anyway.
    """
    if not os.stat(parent).st_mode & stat.S_ISVTX:
        _make_read_only(parent)


def _mount_memory(path: str, mode: int) -> None:
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    _call("mount", b"tmpfs", os.fsencode(path), b"tmpfs", flags, f"mode={mode:o}".encode())


def _make_read_only(path: str) -> None:
    flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
    _call("mount", None, os.fsencode(path), None, flags, None)


def _drop_capabilities() -> None:
    """Drop the capabilities that come with a user namespace, as the task must not have them."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    _call("capset", header, (ctypes.c_uint32 * 6)())


def _open(folder: str) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


def _write(path: str, content: str, flags: int = 0, mode: int = 0o600) -> None:
    with open(os.open(path, os.O_WRONLY | flags, mode), "w", encoding="utf-8") as file:
        file.write(content)


def _call(function: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), function)


def main(arguments: Iterable[str]) -> None:
    """Read the folders from a descriptor, mount them, and execute the command, if any."""
    descriptor, *command = arguments
    with open(int(descriptor), encoding="utf-8") as plan:
        folders = json.load(plan)
    mount_or_exit(folders)
    if command:
        _become(command)


def _become(command: list[str]) -> None:
    # Python ignores these signals, and the command would inherit that.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
