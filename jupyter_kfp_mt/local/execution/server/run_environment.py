"""The environment variables of runs, and which of the server's own they inherit."""

from __future__ import annotations

import os
import site
from collections.abc import Iterator
from pathlib import Path

# The only variables that runs inherit from the server: no secret of the person who started the
# server reaches a tenant's code, except a password in the address of a proxy or of pip's index,
# without which that code could not install packages.
INHERITED = frozenset(
    "PATH LANG LANGUAGE TZ LD_LIBRARY_PATH USER LOGNAME"
    " HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY"
    " SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE".split()
)
INHERITED_PREFIXES = ("LC_", "PIP_")


def inherited(home: Path, scratch: str) -> dict[str, str]:
    """Return the complete environment of a run's process."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in INHERITED or name.startswith(INHERITED_PREFIXES)
    }
    return {
        **_pip_configuration(),
        **kept,
        "HOME": str(home),
        # Not in the run's folder, where paths of sockets would exceed the system's limit.
        "TMPDIR": scratch,
        "PYTHONPATH": os.pathsep.join(_search_path()),
        # Packages installed with `pip install --user`, as HOME is a different one here.
        "PYTHONUSERBASE": site.getuserbase(),
        "PYTHONUTF8": "1",
    }


def _search_path() -> Iterator[str]:
    """Return the variables by which Python finds this package and its dependencies."""
    package_folder = str(Path(__file__).parents[4])
    if package_folder not in site.getsitepackages():
        yield package_folder
    if given := os.environ.get("PYTHONPATH"):
        yield given


def _pip_configuration() -> dict[str, str]:
    """Return pip's settings, as HOME is a different one here."""
    for path in (Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf"):
        if path.is_file():
            return {"PIP_CONFIG_FILE": str(path)}
    return {}
