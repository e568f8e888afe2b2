"""The start of each interpreter of a task, before it runs anything else.

A link to this file is in the task's own environment, without the rest of this package: so it uses
only the standard library, and imports little of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

NAME = "_kfp_mt_task"
# A file in the task's environment with the exception that ended its Python component.
FAILURE = "failure.txt"


def begin(prefix: str, executor: bool) -> None:
    """Set up the interpreter at a prefix; `is_executor`: it runs a Python component."""
    sys.meta_path.insert(0, _VenvFinder(prefix))
    if executor:
        sys.excepthook = _Noting(sys.excepthook, prefix)


def note(error: BaseException, prefix: str) -> None:
    """Record the exception that ends the component."""
    if reason := described(error):
        try:
            with open(os.path.join(prefix, FAILURE), "w", encoding="utf-8", errors="replace") as f:
                f.write(reason)
        except OSError:  # The exit code has to suffice.
            pass


def described(error: BaseException) -> str:
    """The type and first line of an exception; empty for an exit with a number."""
    if isinstance(error, SystemExit):
        code = error.code
        return "" if code is None or isinstance(code, int) else first_line(f"SystemExit: {code}")
    from traceback import format_exception_only

    said = "".join(format_exception_only(type(error), error)).splitlines()
    # A SyntaxError shows the line of code first.
    while len(said) > 1 and (not said[0].strip() or said[0].startswith(" ")):
        said.pop(0)
    return first_line("\n".join(said))


def first_line(text: str) -> str:
    """Shorten a message to its first line, with dots if there are more."""
    first, *rest = [line.rstrip() for line in text.splitlines() if line.strip()] or [""]
    if first.endswith(":") and " " not in first and rest:  # The message begins with a line break.
        first = f"{first} {rest.pop(0).strip()}"
    return f"{first} ..." if rest else first


class _Noting:
    """An excepthook that records the exception ending this process, but not its children's."""

    def __init__(self, show: Any, prefix: str) -> None:
        self._show, self._prefix, self._pid = show, prefix, os.getpid()

    def __call__(self, kind: type[BaseException], error: BaseException, traceback: Any) -> None:
        if os.getpid() == self._pid:
            note(error, self._prefix)
        self._show(kind, error, traceback)


class _VenvFinder:
    """Make `python3 -m venv --system-site-packages` include the task's own packages.

    The task's interpreter is in a virtual environment itself, and from there Python would include
    only the packages of the base interpreter.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> Any:
        if name != "venv":
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                execute(module)
                self._change(module.EnvBuilder)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

    def _change(self, builder: Any) -> None:
        create = builder.create_configuration
        packages = site_packages(self._prefix)

        def create_configuration(self: Any, context: Any) -> None:
            create(self, context)
            if self.system_site_packages and packages != site_packages(context.env_dir):
                path = os.path.join(site_packages(context.env_dir), "task.pth")
                with open(path, "w", encoding="utf-8") as file:
                    file.write(add_site([packages]))

        builder.create_configuration = create_configuration


def add_site(folders: Iterable[str]) -> str:
    """A line for a .pth file that adds these folders, with their own .pth files."""
    return "".join(f"import site; site.addsitedir({folder!r})\n" for folder in folders)


def site_packages(prefix: str) -> str:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return os.path.join(prefix, "lib", version, "site-packages")


if __name__ == NAME:
    begin(
        os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3)),
        sys.orig_argv[1:3] == ["-m", "kfp.dsl.executor_main"],
    )
