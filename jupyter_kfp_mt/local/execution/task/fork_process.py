"""The process from which a run's tasks are forked; a forked process executes one task.

It is itself forked, at the start of its run, from the process that has imported kfp.

A compiled Python component has a shell script that writes its source to a file and runs it with
`kfp.dsl.executor_main` in a new interpreter. A forked process is equivalent, but has already made
its imports.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import site
import socket
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from types import ModuleType, TracebackType

from .. import forking
from ..compiled_commands import EXECUTOR, Component
from ..leftover_processes import be_found_by, kill_orphans
from .private_mounts import mount_or_exit
from .task_interpreter import begin, note, site_packages

_STANDARD_LIBRARY = re.compile(r"/(python3\.?\d+(\.zip)?|lib-dynload)$")
# Modules of the standard library that `_enter` and `begin` change, if they are imported afterwards.
_OF_A_PREFIX = ("sysconfig", "venv")
# Removed modules, which would take time to be destroyed.
_FORGOTTEN: list[ModuleType] = []


def serve(control: socket.socket, modules: Collection[str]) -> None:
    """Fork a task on each request, with these modules imported.

    Returns in each task's process once the task has ended; the interpreter decides how it ends.
    """
    _forget_all_but(modules)
    told, output = forking.serve(control, _end_orphans)
    # Only a forked process gets here.
    with os.fdopen(told) as request:
        task, environment, folder, prefix, scratch, mounts = json.load(request)
    _redirect(output)
    os.chdir(folder)
    if mounts:
        mount_or_exit(mounts)
    _adopt({**environment, "_KFP_RUNTIME": "true"})
    be_found_by(scratch)
    _enter(Path(prefix))
    begin(prefix, executor=False)
    pid = os.getpid()
    try:
        _run(Component(*task))
    except BaseException as error:
        if os.getpid() == pid:  # Not in a child, whose end is not the task's.
            note(error, prefix)
        raise


def _end_orphans(running: Collection[int]) -> None:
    """Kill orphans, unless another task is running, to which they may belong."""
    if not running:
        kill_orphans(running)


def preload() -> set[str]:
    """Import what kfp's executor imports. Returns the names of all modules that a task has."""
    import kfp.dsl.executor_main  # noqa: F401

    # It is imported again as the main program; its own imports stay.
    del sys.modules[EXECUTOR]
    return {*sys.modules}


def _forget_all_but(modules: Collection[str]) -> None:
    """Let tasks import packages that only a run's process needs themselves.

    They may install other versions. The standard library stays, except for what depends on the
    prefix.
    """
    for name in sys.modules.keys() - modules:
        parent, _, child = name.rpartition(".")
        if name in _OF_A_PREFIX or name.partition(".")[0] not in sys.stdlib_module_names:
            _FORGOTTEN.append(sys.modules.pop(name))
            if parent in modules:
                vars(sys.modules[parent]).pop(child, None)


def _redirect(output: int) -> None:
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)


def _adopt(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    tempfile.tempdir = None


def _enter(prefix: Path) -> None:
    """Turn this process into the interpreter of the virtual environment."""
    sys.prefix = sys.exec_prefix = str(prefix)
    sys.executable = str(prefix / "bin" / "python3")
    if sys.version_info < (3, 11):  # a later Python reads it from pyvenv.cfg at its start
        vars(sys)["_base_executable"] = sys.executable
    standard = [path for path in sys.path if _STANDARD_LIBRARY.search(path)]
    other = [path for path in sys.path if path not in standard]
    sys.path[:] = [os.getcwd(), *standard, site_packages(str(prefix)), *other]
    site.PREFIXES[:] = [sys.prefix]
    site.ENABLE_USER_SITE = False
    site.USER_BASE = site.USER_SITE = None


def _run(task: Component) -> None:
    """Run `kfp.dsl.executor_main` on a file with the component's source, as `python3 -m` does."""
    file = Path(tempfile.mkdtemp()) / "ephemeral_component.py"
    file.write_text(task.source)
    sys.argv[:] = ["-m", "--component_module_path", str(file), *task.arguments]
    sys.orig_argv[:] = [sys.executable, "-m", EXECUTOR, *sys.argv[1:]]
    sys.modules["__main__"] = ModuleType("__main__")
    sys.excepthook = _show_without_our_frames
    runpy._run_module_as_main(EXECUTOR)  # type: ignore[attr-defined]


def _show_without_our_frames(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    shown = frame = traceback
    while frame:
        if frame.tb_frame.f_code.co_name == "_run_module_as_main":
            shown = frame
        frame = frame.tb_next
    sys.__excepthook__(kind, error.with_traceback(shown), shown)
