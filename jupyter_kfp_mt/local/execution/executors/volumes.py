"""Volumes that a task asks for: files of secrets and config maps, claims, and scratch folders.

Which, where, and how a process or a container of this machine comes to have them.
"""

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

# Neither over these nor in them: the kernel's own.
_KERNELS = ("/dev", "/proc", "/sys")
# Not over these, which every program needs.
_SYSTEMS = ("/bin", "/etc", "/lib", "/lib64", "/sbin", "/usr", "/var")
_FILE_NAME = re.compile(r"(?!\.\.)[-._a-zA-Z0-9]+")


class VolumeRefused(KfpError):
    """A volume that cannot be mounted as the task asks; the message says why."""


class Volume(msgspec.Struct, frozen=True):
    """A folder with these files, which can only be read; or one of this machine, or a new one.

    It does not show the files, which can be secrets.
    """

    mount_path: str
    files: dict[str, str] = {}
    # An existing folder, in which the task can write.
    folder: str = ""
    # An empty folder in which it can write, gone with the task.
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
    """Tell why these cannot be mount paths of a task with such folders, wherever it runs, or
    nothing.
    """
    for path in paths:
        if not posixpath.isabs(path) or path != posixpath.normpath(path) or path[:2] == "//":
            return f"'{path}' is no absolute and plain path to mount a volume at, like /data/x"
        for folder in (*_KERNELS, *own_folders):
            if _nested(path, folder):
                return f"a volume cannot be mounted at {path}: {folder} has to stay as it is"
    for one, other in combinations(paths, 2):
        if _nested(one, other):
            return f"volumes cannot be mounted both at {one} and at {other}: one would hide another"
    return ""


def why_not(paths: Sequence[str], own_folders: Iterable[str]) -> str:
    """Say why a process on this machine cannot have volumes there, and what can, or nothing.

    Beyond what `misplaced` says, it tries: so the answer is also right where the system's rules
    about mounts and user namespaces are not known here.
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
    """The command that runs this one with the volumes, and the descriptors that it must inherit.

    No other task sees the files, and they are gone with the last process of this one. A process
    of the same user that searches /proc can still reach them, as it can every environment.
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
    """Volumes as `private_mounts.mount` takes them, in a forked child without other threads.

    Empty folders are made in the scratch folder.
    """
    return {
        volume.mount_path: on_this_machine(volume, scratch) or volume.files for volume in volumes
    }


def on_this_machine(volume: Volume, scratch: Path) -> str:
    """The folder that is seen in the volume, unless it has but files."""
    return tempfile.mkdtemp(prefix="volume-", dir=scratch) if volume.scratch else volume.folder


def write(volume: Volume, folder: Path) -> None:
    """Writes the files into a new folder, which nobody else may enter."""
    folder.mkdir(mode=0o700)
    for name, content in volume.files.items():
        with open(
            os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o400), "w", encoding="utf-8"
        ) as file:
            file.write(content)


def _needed() -> Iterator[str]:
    """Return what a task's Python and its programs must go on seeing."""
    yield from _SYSTEMS
    yield from (sys.prefix, sys.base_prefix, *filter(os.path.isabs, sys.path))
    yield from (str(Path.home()), tempfile.gettempdir())


def _over(path: str, folder: str) -> bool:
    return PurePath(os.path.realpath(folder)).is_relative_to(os.path.realpath(path))


def _nested(one: str, other: str) -> bool:
    return _over(one, other) or _over(other, one)
