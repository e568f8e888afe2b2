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
    sys.path.pop(0)  # the folder that this was started in
    _preload()
    # A run's process adopts what its tasks leave; so this one does only when that has been killed.
    assignment, reports = forking.serve(control, kill_orphans)
    # Only what has been forked gets here: it is a run's process from now on.
    os.setsid()
    os.dup2(assignment, 0)
    os.close(assignment)
    run_process.main(reports)


def _preload() -> None:
    warnings.simplefilter("ignore")
    with contextlib.suppress(Exception):  # What is wrong with kfp, each run tells.
        run_process.import_kfp()
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    main()
