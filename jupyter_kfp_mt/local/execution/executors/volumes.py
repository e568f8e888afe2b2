"""Volumes that a task mounts: files of secrets and config maps, claims, and scratch folders."""

from __future__ import annotations

import contextlib
import json
import os
import posixpath
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path, PurePath
from typing import Any

import msgspec

from ....errors import KfpError
from ..task import private_mounts

INSTEAD = (
    "use kubernetes.use_secret_as_env or use_config_map_as_env, or run the task in a container"
)
ONLY_ON_LINUX = f"a process can have a volume mounted only on Linux; {INSTEAD}"

# The kernel's own folders: nothing is mounted over or in them.
_KERNELS = ("/dev", "/proc", "/sys")
# Folders that every program needs: nothing is mounted over them.
_SYSTEMS = ("/bin", "/etc", "/lib", "/lib64", "/sbin", "/usr", "/var")
_FILE_NAME = re.compile(r"(?!\.\.)[-._a-zA-Z0-9]+")


class VolumeRefused(KfpError):
    """A volume that cannot be mounted as the task asks; the message says why."""


class Volume(msgspec.Struct, frozen=True):
    """A read-only folder with these files, an existing folder of this machine, or a new one.

    Its repr omits the files, which can be secrets.
    """

    mount_path: str
    files: dict[str, str] = {}
    # An existing folder, writable for the task.
    folder: str = ""
    # An empty writable folder, removed with the task.
    scratch: bool = False

    def __repr__(self) -> str:
        return f"Volume({self.mount_path})"


def with_files(path: str, files: Mapping[str, str], source: str) -> Volume:
    """A volume with a file for each key of a secret or config map of this name."""
    for key in files:
        if not _FILE_NAME.fullmatch(key) or key == ".":
            raise VolumeRefused(f"'{key}' in '{source}' cannot be the name of a file")
    return Volume(path, dict(files))


def mount_path(entry: Mapping[str, Any]) -> str:
    path = str(entry.get("mountPath", ""))
    return path.rstrip("/") or path


def misplaced(paths: Sequence[str], own_folders: Iterable[str]) -> str:
    """Return why these are not valid mount paths on any machine; empty if they are."""
    for path in paths:
        if not posixpath.isabs(path) or path != posixpath.normpath(path) or path[:2] == "//":
            return f"'{path}' is not a plain absolute path to mount a volume at, such as /data/x"
        for folder in (*_KERNELS, *own_folders):
            if _nested(path, folder):
                return f"a volume cannot be mounted at {path}: {folder} must not be changed"
    for one, other in combinations(paths, 2):
        if _nested(one, other):
            return f"volumes cannot be mounted both at {one} and at {other}: one would hide another"
    return ""


def why_not(paths: Sequence[str], own_folders: Iterable[str]) -> str:
    """Return why a process on this machine cannot mount volumes there; empty if it can.

    In addition to `misplaced` it tries the mounts, so the result is also right where the system
    restricts mounts or user namespaces in ways unknown here.
    """
    if sys.platform != "linux":
        return ONLY_ON_LINUX
    if reason := misplaced(paths, own_folders):
        return reason
    for path in paths:
        for folder in _needed():
            if _over(path, folder):
                return f"a volume mounted at {path} would hide {folder}; choose another mount path"
    volumes = [Volume(path) for path in paths]
    with launch([], volumes, Path(tempfile.gettempdir())) as (command, descriptors):
        trial = subprocess.run(command, pass_fds=descriptors, capture_output=True, text=True)
    return f"it {trial.stderr.strip()}; {INSTEAD}" if trial.returncode else ""


@contextlib.contextmanager
def launch(
    command: list[str], volumes: Sequence[Volume], scratch: Path
) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """Return a command that runs this one with the volumes, and the descriptors to inherit.

    No other task sees the files, and they disappear with the last process of this one. A process
    of the same user can still reach them through /proc, as it can every environment.
    """
    if not volumes:
        yield command, ()
        return
    if sys.platform != "linux":
        raise VolumeRefused(ONLY_ON_LINUX)
    with open(os.memfd_create("volumes"), "w+", encoding="utf-8") as plan:
        json.dump(folders(volumes, scratch), plan)
        plan.seek(0)
        launcher = [sys.executable, "-I", "-S", private_mounts.__file__, str(plan.fileno())]
        yield [*launcher, *command], (plan.fileno(),)


def folders(volumes: Iterable[Volume], scratch: Path) -> dict[str, dict[str, str] | str]:
    """Return volumes in the form of `private_mounts.mount`, which needs a single-threaded child.

    Empty folders are made in the scratch folder.
    """
    return {
        volume.mount_path: on_this_machine(volume, scratch) or volume.files for volume in volumes
    }


def on_this_machine(volume: Volume, scratch: Path) -> str:
    """The folder behind the volume, unless it consists of files."""
    return tempfile.mkdtemp(prefix="volume-", dir=scratch) if volume.scratch else volume.folder


def write(volume: Volume, folder: Path) -> None:
    """Write the files into a new folder that is private to this user."""
    folder.mkdir(mode=0o700)
    for name, content in volume.files.items():
        with open(
            os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o400), "w", encoding="utf-8"
        ) as file:
            file.write(content)


def _needed() -> Iterator[str]:
    """Return the folders that must stay visible to a task's Python and its programs."""
    yield from _SYSTEMS
    yield from (sys.prefix, sys.base_prefix, *filter(os.path.isabs, sys.path))
    yield from (str(Path.home()), tempfile.gettempdir())


def _over(path: str, folder: str) -> bool:
    return PurePath(os.path.realpath(folder)).is_relative_to(os.path.realpath(path))


def _nested(one: str, other: str) -> bool:
    return _over(one, other) or _over(other, one)
