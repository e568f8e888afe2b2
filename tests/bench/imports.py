"""What must stay fast, measured as ratios in one run: `make bench`."""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys

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


def main() -> int:
    """Prints each figure beside its limit; the status tells whether all are kept."""
    sdk = seconds("import kfp")
    package = seconds("import jupyter_kfp_mt")
    shell = "from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance()"
    magic = seconds_after(shell, "s.run_line_magic('load_ext', 'jupyter_kfp_mt')")
    figures = [
        ("import jupyter_kfp_mt, ms", package * 1000, 50.0),
        ("%load_ext jupyter_kfp_mt over import kfp", magic / sdk, 0.1),
    ]
    print(f"{platform.machine()}, Python {platform.python_version()}, import kfp {sdk:.2f} s")
    for what, figure, limit in figures:
        print(f"{'ok ' if figure <= limit else 'BAD'} {what}: {figure:.3f} (at most {limit:g})")
    return int(any(figure > limit for _, figure, limit in figures))


if __name__ == "__main__":
    sys.exit(main())
