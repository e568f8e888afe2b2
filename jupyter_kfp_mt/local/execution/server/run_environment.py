"""The environment in which runs execute: what of the server's own they may see."""

from __future__ import annotations

import os
import site
from collections.abc import Iterator
from pathlib import Path

# What a run inherits from the server's environment, and nothing else: no secret of the person who
# started the server reaches a tenant's code, but for a password in the address of a proxy or of
# pip's index, without which that code could install nothing.
INHERITED = frozenset(
    "PATH LANG LANGUAGE TZ LD_LIBRARY_PATH USER LOGNAME"
    " HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY"
    " SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE".split()
)
INHERITED_PREFIXES = ("LC_", "PIP_")


def inherited(home: Path, scratch: str) -> dict[str, str]:
    """The whole environment of a process that executes a run."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in INHERITED or name.startswith(INHERITED_PREFIXES)
    }
    return {
        **_pip_configuration(),
        **kept,
        "HOME": str(home),
        # Not in the run's folder: sockets in there would get longer paths than the system allows.
        "TMPDIR": scratch,
        "PYTHONPATH": os.pathsep.join(_search_path()),
        # Packages that the server's user installed for himself, now that HOME is another.
        "PYTHONUSERBASE": site.getuserbase(),
        "PYTHONUTF8": "1",
    }


def _search_path() -> Iterator[str]:
    """Return what Python must be told to find this package and its dependencies."""
    package_folder = str(Path(__file__).parents[4])
    if package_folder not in site.getsitepackages():
        yield package_folder
    if given := os.environ.get("PYTHONPATH"):
        yield given


def _pip_configuration() -> dict[str, str]:
    """Where pip finds its index, now that HOME is another."""
    for path in (Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf"):
        if path.is_file():
            return {"PIP_CONFIG_FILE": str(path)}
    return {}
