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
from . import run_process


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    sys.path.pop(0)  # the folder from which it was started
    _preload()
    # A run's process adopts the orphans of its tasks; this one does so once that has been killed.
    assignment, reports = forking.serve(control, kill_orphans)
    # Only a forked process gets here: it is now a run's process.
    os.setsid()
    os.dup2(assignment, 0)
    os.close(assignment)
    run_process.main(reports)


def _preload() -> None:
    warnings.simplefilter("ignore")
    with contextlib.suppress(Exception):  # Each run reports a faulty kfp itself.
        run_process.import_kfp()
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    main()
