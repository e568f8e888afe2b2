"""The process from which runs are forked, with kfp imported; a forked one is a run's."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
import warnings

from .. import forking
from ..leftover_processes import kill_orphans
from ..task import fork_process as of_tasks


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    sys.path.pop(0)  # the folder from which it was started
    modules = _preload()
    # A run's process adopts the orphans of its tasks; this one does so once that has been killed.
    assignment, reports = forking.serve(control, kill_orphans)
    # Only a forked process gets here: it is now a run's process.
    os.setsid()
    ours, theirs = socket.socketpair()
    # Before it reads the assignment, whose secrets tasks must not find in their memory.
    if forking.fork() == 0:
        for descriptor in (ours.detach(), assignment, reports):
            os.close(descriptor)
        of_tasks.serve(theirs, modules)
    else:
        theirs.close()
        _run(assignment, reports, ours)


def _preload() -> set[str]:
    """Import kfp. Returns the names of the modules that tasks have as well."""
    modules = {*sys.modules}
    # Each run reports a faulty kfp itself.
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        modules = of_tasks.preload()
        # Now, for tasks do not have its imports.
        from . import run_process

        run_process.import_kfp()
    gc.collect()
    gc.freeze()
    return modules


def _run(assignment: int, reports: int, tasks: socket.socket) -> None:
    from ..executors.task_server import TaskServer
    from . import run_process

    os.dup2(assignment, 0)
    os.close(assignment)
    run_process.main(reports, TaskServer(tasks))


if __name__ == "__main__":
    main()
