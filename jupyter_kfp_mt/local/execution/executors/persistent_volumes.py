"""Persistent volume claims: each is a folder of its namespace, and is kept until it is deleted.

This performs `kubernetes.CreatePVC` and `kubernetes.DeletePVC`, as the driver does on a cluster
(backend/src/v2/driver/k8s.go). Neither size nor access modes are enforced.
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....errors import KfpError

CREATE, DELETE = "argostub/createpvc", "argostub/deletepvc"
ACCESS_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")

# Kubernetes' forms of names and quantities.
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_QUANTITY = re.compile(r"\+?(\d+\.?\d*|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?\d+)?")
_BEING_DELETED = ".deleted-"


class ClaimRefused(KfpError):
    """A claim that cannot be created, deleted or mounted; the message says why."""


def folder_of(namespace: Path) -> Path:
    """The folder of the claims, in that of their namespace."""
    return namespace / "volumes"


def is_claim_executor(executor: Mapping[str, Any]) -> bool:
    """Return True for an executor that creates or deletes a claim, without a pod on a cluster."""
    return changes_claims(executor.get("container", {}).get("image", ""))


def changes_claims(image: str) -> bool:
    """Return True for the image name of such an executor, which is not a real image."""
    return image in (CREATE, DELETE)


def execute(image: str, claims: Path, parameters: Mapping[str, Any], name_file: str) -> str:
    """Create or delete a claim. Returns a line for the log, with the claim's name."""
    if image == DELETE:
        return f"Deleted the claim '{delete(claims, parameters)}'."
    name = create(claims, parameters)
    Path(name_file).parent.mkdir(parents=True, exist_ok=True)
    Path(name_file).write_text(name, encoding="utf-8")
    return f"Created the claim '{name}', which is the folder {claims / name}."


def is_reusable(image: str, claims: Path, parameters: Mapping[str, Any]) -> bool:
    """Return True if the claim that an earlier task made with these parameters still exists."""
    name = str(parameters.get("pvc_name") or "")
    return image == CREATE and bool(name) and (claims / name).is_dir()


def create(claims: Path, parameters: Mapping[str, Any]) -> str:
    """Create a claim for the inputs of `CreatePVC`. Returns its name."""
    name = _new_name(parameters)
    _check(name, parameters)
    source = _source(claims, parameters.get("data_source"))
    claims.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        (claims / name).mkdir()
    except FileExistsError:
        raise ClaimRefused(
            f"the claim '{name}' exists already; give another pvc_name, or a pvc_name_suffix"
        ) from None
    if source:
        _copy(source, claims / name)
    return name


def delete(claims: Path, parameters: Mapping[str, Any]) -> str:
    """Delete a claim and its content, for the input of `DeletePVC`. Returns its name."""
    name = str(parameters.get("pvc_name") or "")
    path = _path(claims, name)
    gone = claims / f"{_BEING_DELETED}{uuid.uuid4().hex}"
    path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
    return name


def mounted(claims: Path, name: str, sub_path: str = "") -> str:
    """Return the folder behind a mounted claim, or the sub-folder that is mounted."""
    claim = _path(claims, name).resolve()
    path = (claim / sub_path).resolve()
    if sub_path.startswith("/") or not path.is_relative_to(claim):
        raise ClaimRefused(f"the sub_path '{sub_path}' leads out of the claim '{name}'")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ClaimRefused(
            f"the sub_path '{sub_path}' cannot be a folder of the claim '{name}': {error.strerror}"
        ) from error
    return str(path)


def _copy(source: Path, claim: Path) -> None:
    try:
        shutil.copytree(source, claim, symlinks=True, dirs_exist_ok=True)
    except BaseException:  # The disk may be full; half a copy would look like a complete one.
        shutil.rmtree(claim, ignore_errors=True)
        raise


def _path(claims: Path, name: str) -> Path:
    if not _NAME.fullmatch(name) or not (claims / name).is_dir():
        raise ClaimRefused(
            f"there is no claim '{name}' in its namespace; create it with kubernetes.CreatePVC"
        )
    return claims / name


def _new_name(parameters: Mapping[str, Any]) -> str:
    name, suffix = parameters.get("pvc_name") or "", parameters.get("pvc_name_suffix") or ""
    if name and suffix:
        raise ClaimRefused("at most one of pvc_name and pvc_name_suffix can be given")
    return name or f"{uuid.uuid4()}{suffix}"


def _check(name: str, parameters: Mapping[str, Any]) -> None:
    if not _NAME.fullmatch(name):
        raise ClaimRefused(
            f"'{name}' cannot be the name of a claim: it has at most 253 lower-case letters, "
            "digits, dots and inner hyphens"
        )
    modes = parameters.get("access_modes")
    if not isinstance(modes, list) or not modes or any(mode not in ACCESS_MODES for mode in modes):
        raise ClaimRefused(f"access_modes is {modes}; it takes some of {', '.join(ACCESS_MODES)}")
    if not _QUANTITY.fullmatch(size := str(parameters.get("size") or "")):
        raise ClaimRefused(f"size is '{size}'; it takes a quantity like 5Gi")
    if volume := parameters.get("volume_name"):
        raise ClaimRefused(f"there is no persistent volume '{volume}' here; leave out volume_name")


def _source(claims: Path, source: Mapping[str, Any] | None) -> Path | None:
    """The claim that the new one copies, if any."""
    if not source:
        return None
    if source.get("kind") != "PersistentVolumeClaim":
        raise ClaimRefused(
            f"its data_source is a {source.get('kind')}; only claims can be copied here: "
            "give the kind PersistentVolumeClaim"
        )
    return _path(claims, str(source.get("name", "")))
