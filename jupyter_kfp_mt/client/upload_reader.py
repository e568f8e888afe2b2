"""Reads an upload in a process of its own, with limits of memory and time.

So a harmful file cannot block the server. The form is the process's standard input; its standard
output is the reason why the file is not a pipeline, or empty.
"""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
from pathlib import Path
from typing import IO

import msgspec
from tornado import httputil

from .. import intervals
from ..errors import KfpError, NotAPipeline, from_dict
from . import pipeline_files

MEMORY = 512 << 20  # in bytes
SECONDS = intervals.UPLOAD_READ_SECONDS


def fault(content_type: str, form: IO[bytes], seconds: float = SECONDS) -> KfpError | None:
    """Return the reason why a form has no pipeline, found within `seconds` in another process."""
    form.flush()
    form.seek(0)
    try:
        process = subprocess.run(
            [sys.executable, "-m", __name__, content_type],
            stdin=form.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            cwd=Path(__file__).parents[2],  # where no module of the user's is in the way
            check=True,
        )
    except subprocess.SubprocessError:
        return NotAPipeline(
            f"The file cannot be read in {seconds:g} s and {MEMORY >> 20} MB of memory.",
            cure="Compile the pipeline again with kfp.compiler, or split it into several.",
        )
    return from_dict(msgspec.json.decode(process.stdout)) if process.stdout else None


def _check(content_type: str, body: bytes) -> None:
    """Raises `NotAPipeline` for a file that is not a pipeline; KFP refuses malformed forms."""
    files: dict[str, list[httputil.HTTPFile]] = {}
    with contextlib.suppress(httputil.HTTPInputError):
        httputil.parse_body_arguments(content_type, body, {}, files)
    for file in files.get("uploadfile", [])[:1]:
        pipeline_files.check(file["filename"], file["body"])


def main() -> None:
    """Check the form on standard input; its content type is the only argument."""
    for what, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, SECONDS)):
        with contextlib.suppress(OSError, ValueError):  # not every system has each of them
            resource.setrlimit(what, (most, most))
    try:
        _check(sys.argv[1], sys.stdin.buffer.read())
    except NotAPipeline as error:
        sys.stdout.buffer.write(msgspec.json.encode(error.to_dict()))


if __name__ == "__main__":
    main()
