"""Secrets as files for a task (`kubernetes.use_secret_as_volume`): which, where, and how."""

from __future__ import annotations

import contextlib
import json
import os
import posixpath
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path, PurePath
from typing import Any

import msgspec

from ...errors import KfpError
from . import private_mounts

INSTEAD = "use kubernetes.use_secret_as_env, or run the task in a container"
ONLY_ON_LINUX = f"a process can have a secret mounted only on Linux; {INSTEAD}"

# Neither over these nor in them: the kernel's own.
_KERNELS = ("/dev", "/proc", "/sys")
# Not over these, which every program needs.
_SYSTEMS = ("/bin", "/etc", "/lib", "/lib64", "/sbin", "/usr", "/var")
_FILE_NAME = re.compile(r"(?!\.\.)[-._a-zA-Z0-9]+")


class VolumeRefused(KfpError):
    """A secret that cannot be mounted as the task asks; the message says why."""


class SecretVolume(msgspec.Struct, frozen=True):
    """A folder with a file for each key of a secret. It does not show them."""

    mount_path: str
    files: dict[str, str]

    def __repr__(self) -> str:
        return f"SecretVolume({self.mount_path})"


def wanted(
    entries: Iterable[dict[str, Any]],
    secret_name: Callable[[dict[str, Any]], str | None],
    secrets: Mapping[str, Mapping[str, str]],
    namespace: str,
) -> list[SecretVolume]:
    """What the `secretAsVolume` of a task's platform spec asks for, out of its namespace.

    Without a name an entry is left out.
    """
    volumes = []
    for entry in entries:
        if (name := secret_name(entry)) is None:
            continue
        if name not in secrets and not entry.get("optional"):
            raise VolumeRefused(absent(f"secret '{name}'", namespace))
        files = dict(secrets.get(name, {}))
        for key in files:
            if not _FILE_NAME.fullmatch(key) or key == ".":
                raise VolumeRefused(f"'{key}' in '{name}' cannot be the name of a file")
        volumes.append(SecretVolume(mount_path(entry), files))
    return volumes


def mount_path(entry: Mapping[str, Any]) -> str:
    path = str(entry.get("mountPath", ""))
    return path.rstrip("/") or path


def absent(what: str, namespace: str) -> str:
    """The refusal of a task that asks for what its namespace does not have."""
    return (
        f"no {what} in namespace {namespace}; add it to the `secrets` of that namespace's profile, "
        "or ask for it with optional=True"
    )


def misplaced(paths: Sequence[str], own_folders: Iterable[str]) -> str:
    """Why these cannot be mount paths of a task with such folders, wherever it runs, or nothing."""
    for path in paths:
        if not posixpath.isabs(path) or path != posixpath.normpath(path) or path[:2] == "//":
            return f"'{path}' is no absolute and plain path to mount a secret at, like /secrets/x"
        for folder in (*_KERNELS, *own_folders):
            if _nested(path, folder):
                return f"a secret cannot be mounted at {path}: {folder} has to stay as it is"
    for one, other in combinations(paths, 2):
        if _nested(one, other):
            return f"secrets cannot be mounted both at {one} and at {other}: one would hide another"
    return ""


def why_not(paths: Sequence[str], own_folders: Iterable[str]) -> str:
    """Why a process on this machine cannot have secrets at these paths, and what can; or nothing.

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
                return f"a secret mounted at {path} would hide {folder}; choose another mount path"
    with launch([], [SecretVolume(path, {}) for path in paths]) as (command, descriptors):
        trial = subprocess.run(command, pass_fds=descriptors, capture_output=True, text=True)
    return f"it {trial.stderr.strip()}; {INSTEAD}" if trial.returncode else ""


@contextlib.contextmanager
def launch(
    command: list[str], volumes: Sequence[SecretVolume]
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
    with open(os.memfd_create("secret volumes"), "w+", encoding="utf-8") as plan:
        json.dump(folders(volumes), plan)
        plan.seek(0)
        launcher = [sys.executable, "-I", "-S", private_mounts.__file__, str(plan.fileno())]
        yield [*launcher, *command], (plan.fileno(),)


def folders(volumes: Iterable[SecretVolume]) -> dict[str, dict[str, str]]:
    """What `private_mounts.mount` takes, in a child that was forked and has not started threads."""
    return {volume.mount_path: volume.files for volume in volumes}


def write(volume: SecretVolume, folder: Path) -> None:
    """Writes the files into a new folder, which nobody else may enter."""
    folder.mkdir(mode=0o700)
    for name, content in volume.files.items():
        with open(
            os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o400), "w", encoding="utf-8"
        ) as file:
            file.write(content)


def _needed() -> Iterator[str]:
    """What a task's Python and its programs must go on seeing."""
    yield from _SYSTEMS
    yield from (sys.prefix, sys.base_prefix, *filter(os.path.isabs, sys.path))
    yield from (str(Path.home()), tempfile.gettempdir())


def _over(path: str, folder: str) -> bool:
    return PurePath(os.path.realpath(folder)).is_relative_to(os.path.realpath(path))


def _nested(one: str, other: str) -> bool:
    return _over(one, other) or _over(other, one)
