"""Folders that only this process and its children can see at their paths (Linux).

They are in memory and gone with the processes, or somewhere else on the machine.

The file is also started by its path, in front of a task's command, by whatever Python is there:
so it uses the standard library alone.
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

# A folder with more entries is not rebuilt to make room for one more.
MAX_ENTRIES = 2000

# The path of each folder, and the content of its files by name; or which folder is to be there.
Folders = Mapping[str, Mapping[str, str] | str]


class Unmountable(Exception):
    """A folder that this machine cannot make; the message says why."""


def mount(folders: Folders) -> None:
    """Makes these folders and files for the calling process, which must have but one thread."""
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
    """The same for a process that has nothing to do without them."""
    try:
        mount(folders)
    except (Unmountable, OSError) as error:
        sys.exit(f"cannot mount {', '.join(folders)}: {error}")


def _nearest(path: str) -> str:
    """The path itself if it is a folder, or the folder in which it has to be made."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        raise Unmountable(f"{path} is there and is no folder")
    return path


def _leave_shared_mounts() -> bool:
    """From here on, what is mounted is this process's own. Whether that took a user namespace."""
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
            f"this machine does not let user {os.geteuid()} have mounts of its own"
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
    """Puts in the folder's place one in memory that has the same entries and can have more.

    So nothing is left on the machine, where another task may use the same path at the same time.
    """
    mode = stat.S_IMODE(os.stat(parent).st_mode)
    old = _open(parent)
    names = os.listdir(old)
    if len(names) > MAX_ENTRIES:
        raise Unmountable(f"{parent} has too many entries ({len(names)}) to add one for the task")
    _mount_memory(parent, mode)
    # A path that begins at the root does not see what is mounted over the root, but `..` does.
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
    with contextlib.suppress(FileNotFoundError):  # gone meanwhile
        _call("mount", os.fsencode(source), os.fsencode(target), None, MS_BIND | MS_REC, None)


def _fill(path: str, files: Mapping[str, str]) -> None:
    _mount_memory(path, 0o700)
    for name, content in files.items():
        _write(os.path.join(path, name), content, os.O_CREAT | os.O_EXCL, 0o400)
    _make_read_only(path)


def _protect(parent: str) -> None:
    """Make the rebuilt folder read-only: what a task wrote into it would be lost.

    But not in a folder for temporary files, where it would be removed anyway.
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
    """Drop those that came with the user namespace: the task is to run as it would without."""
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
    """Reads the folders from a descriptor, makes them, and becomes the command if there is one."""
    descriptor, *command = arguments
    with open(int(descriptor), encoding="utf-8") as plan:
        folders = json.load(plan)
    mount_or_exit(folders)
    if command:
        _become(command)


def _become(command: list[str]) -> None:
    # Python ignores these, and what is ignored stays so in the command.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
