"""Packages that a Python component installs before it runs, without those already installed.

The compiler puts a script in front of the component that installs its packages and kfp itself. The
installed kfp is used instead, as a component needs kfp only to be run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from ..compiled_commands import OLD_EXECUTOR, with_todays_executor

_INSTALL = re.compile(r"python3 -m pip install (.*?)(?=&&)", re.DOTALL)
_OPTIONS_WITH_A_VALUE = ("--index-url", "--extra-index-url", "--trusted-host")
_PIP_SAYS = re.compile(r"^ERROR: (.+)$", re.MULTILINE)
# The first line of kfp's executor, after pip has finished.
_COMPONENT_RUNS = "[KFP Executor "
_BRINGS_KFP = re.compile(r"\bkfp\b|kubeflow/pipelines")
# If nothing else is left of a script, it installs nothing.
_AROUND = re.compile(
    r'if ! \[ -x "\$\(command -v pip\)" \]; then\n.*?\nfi\n'
    r"|(?:export )?PIP_DISABLE_PIP_VERSION_CHECK=1"
    r'|tmp=\$\(mktemp -d\)\n|python3 -m venv "\$tmp/venv" --system-site-packages\n'
    r'|\. "\$tmp/venv/bin/activate"\n|"\$0" "\$@"|true |&&|\s',
    re.DOTALL,
)


def as_run_here(command: list[str]) -> list[str]:
    """Return the command without the installation of present packages, which saves 0.6 s each."""
    if command[:2] != ["sh", "-c"] or len(command) < 4:
        return with_todays_executor(command)
    script, inner = command[2], command[3:]
    old = any(OLD_EXECUTOR in part for part in inner)
    script = _INSTALL.sub(lambda step: _still_needed(step, old), script)
    if not any(_BRINGS_KFP.search(step) for step in _INSTALL.findall(script)):
        inner = with_todays_executor(inner)
    return ["sh", "-c", script, *inner] if _AROUND.sub("", script) else inner


def failure(command: list[str], log: str) -> str:
    """Return why packages could not be installed; empty if the command failed otherwise."""
    script = " ".join(command[2:3])
    if command[:2] != ["sh", "-c"] or not _INSTALL.search(script) or _COMPONENT_RUNS in log:
        return ""
    said = _PIP_SAYS.findall(log)
    return f"its packages could not be installed: {said[-1]}" if said else ""


def _still_needed(step: re.Match[str], old: bool) -> str:
    """Return an installation step without present packages; `true` does nothing in a script."""
    words = shlex.split(step[1])
    for_executor = {word for word in words if (old or "--no-deps" in words) and _is_executor(word)}
    if all(word in for_executor or _installed(word) for word in _requirements(words)):
        return "true "
    if not for_executor:
        return step[0]
    return f"python3 -m pip install {shlex.join(w for w in words if w not in for_executor)} "


def _requirements(words: list[str]) -> Iterator[str]:
    value = False
    for word in words:
        if not value and not word.startswith("-"):
            yield word
        value = word in _OPTIONS_WITH_A_VALUE


def _is_executor(text: str) -> bool:
    """Return True for the kfp that compiled the component, if the installed one can replace it."""
    name, equal, wanted = text.partition("==")
    try:
        here = Version(version("kfp"))
        return (name, equal) == ("kfp", "==") and Version("2.0.0a0") <= Version(wanted) <= here
    except (InvalidVersion, PackageNotFoundError):
        return False


def _installed(text: str) -> bool:
    try:
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate():
            return True
        if wanted.url or wanted.extras:
            return False
        return wanted.specifier.contains(version(wanted.name), prereleases=True)
    except (InvalidRequirement, PackageNotFoundError):
        return False
