"""A compiled pipeline in a .zip or .tar.gz, of which KFP reads pipeline.yaml or else the first."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib

LONGEST = 32 << 20  # of a file that KFP accepts, and of an archive's content
_ZIP, _GZIP = b"PK", b"\x1f\x8b"
_FAULTS = (
    EOFError,
    NotImplementedError,  # a compression that zipfile does not know
    OSError,
    RuntimeError,  # an encrypted archive
    ValueError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


class UnreadableArchive(Exception):
    """An archive cannot be read; the error's text is the reason, as the end of a sentence."""


def unpacked(content: bytes) -> bytes:
    """Return the file in an archive, or content that is not an archive. Raises `Unreadable`."""
    try:
        if content[:2] == _ZIP:
            content = _from_zip(content)
        elif content[:2] == _GZIP:
            content = _from_tarball(content)
    except _FAULTS as error:
        raise UnreadableArchive(f"it is an archive that cannot be read ({error})") from None
    return _limited(content)


def is_archive(content: bytes) -> bool:
    """Recognize an archive by its first bytes."""
    return content[:2] in (_ZIP, _GZIP)


def _from_zip(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        with archive.open(_member(archive.namelist())) as file:
            return file.read(LONGEST + 1)


def _from_tarball(content: bytes) -> bytes:
    with gzip.open(io.BytesIO(content)) as zipped:
        tarball = _limited(zipped.read(LONGEST + 1))
    with tarfile.open(fileobj=io.BytesIO(tarball), mode="r:") as archive:
        names = [member.name for member in archive.getmembers() if member.isreg()]
        file = archive.extractfile(_member(names))
        return file.read(LONGEST + 1) if file else b""


def _member(names: list[str]) -> str:
    name = "pipeline.yaml" if "pipeline.yaml" in names else next(iter(names), "")
    if name.endswith((".yaml", ".yml")):
        return name
    holds = f"begins with {name!r}" if name else "is empty"
    raise UnreadableArchive(f"it is an archive without a pipeline.yaml, which {holds}")


def _limited(content: bytes) -> bytes:
    if len(content) > LONGEST:
        raise UnreadableArchive(f"it is longer than the {LONGEST >> 20} MiB that KFP accepts")
    return content
