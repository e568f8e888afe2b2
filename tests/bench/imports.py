"""The time that it takes to import the package and to load its magics."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator

from .figures import Figure

RUNS = 5


def seconds(code: str) -> float:
    """The median time that a fresh interpreter takes for some code, without its own start."""
    program = (
        f"import time; start = time.perf_counter()\n{code}\nprint(time.perf_counter() - start)"
    )
    return _median(program)


def seconds_after(setup: str, code: str) -> float:
    """The same, for what comes after a preparation that is not measured."""
    return _median(
        f"{setup}\nimport time; start = time.perf_counter()\n{code}\n"
        "print(time.perf_counter() - start)"
    )


def _median(program: str) -> float:
    command = [sys.executable, "-W", "ignore", "-c", program]
    times = [float(subprocess.check_output(command, text=True)) for _ in range(RUNS)]
    return statistics.median(times)


def figures() -> Iterator[Figure]:
    sdk = seconds("import kfp")
    package = seconds("import jupyter_kfp_mt")
    shell = "from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance()"
    magic = seconds_after(shell, "s.run_line_magic('load_ext', 'jupyter_kfp_mt')")
    yield Figure("import jupyter_kfp_mt, ms", package * 1000, 50)
    yield Figure("%load_ext jupyter_kfp_mt over import kfp", magic / sdk, 0.1)
