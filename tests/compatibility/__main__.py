"""Try it in the environments where it is said to work, and print a table of them.

`make compatibility`, or in tests/: `python -m compatibility [--only TEXT] [--keep FOLDER]`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from . import browser, work
from .environments import NotHere, build, make, wanted
from .rows import Row, all_rows, own_kfp

ROOT = Path(__file__).parents[2]
COLUMNS = "{:<8} {:>4} s  {:<40} {}"
WORKS, FAILS, NOT_HERE = "works", "FAILS", "not here"


def main() -> int:
    """Print a line for each row; the status is 1 if one of them does not work."""
    options = _options()
    rows = [row for row in all_rows() if options.only in row.name]
    if not rows:
        print(f"No row has {options.only!r} in its name.", file=sys.stderr)
        return 2
    verdicts: Counter[str] = Counter()
    with TemporaryDirectory(prefix="compatibility-", ignore_cleanup_errors=True) as own:
        folder = options.keep or Path(own)
        folder.mkdir(exist_ok=True)
        wheel = build(folder, ROOT)
        with work.local_kfp(folder) as (endpoint, tokens):
            _start_a_run(endpoint, tokens)
            for number, row in enumerate(rows):
                verdicts[_try(row, folder / f"row-{number}", wheel, folder, endpoint)] += 1
    print(", ".join(f"{number} {verdict}" for verdict, number in sorted(verdicts.items())))
    return int(verdicts[FAILS] > 0)


def _start_a_run(endpoint: str, tokens: Path) -> None:
    """Let there be a run for the browsers to list."""
    import kfp

    token = (tokens / "alice/default-editor/token").read_text()
    kfp.Client(host=endpoint, existing_token=token).create_run_from_pipeline_func(
        work.smoke, run_name=browser.RUN, experiment_name="browser", namespace="alice"
    )


def _try(row: Row, place: Path, wheel: Path, folder: Path, endpoint: str) -> str:
    """Print a row of the table, and return its verdict."""
    started = time.monotonic()
    verdict, reason, versions = WORKS, "", ""
    try:
        own = [f"{wheel}[{row.extra}]", *(wanted(row.extra) if row.lowest else [])]
        environment = make(place, row.python, *own, *row.requirements, lowest=row.lowest)
        versions = ", ".join(f"{name} {environment.version(name)}" for name in row.shown)
        (place / "work").mkdir()
        row.check(environment, folder if row.check is not own_kfp else place / "work", endpoint)
    except NotHere as error:
        verdict, reason = NOT_HERE, str(error)
    except subprocess.CalledProcessError as error:
        verdict, reason = FAILS, error.output
    except Exception as error:  # a row that fails keeps no other from being tried
        verdict, reason = FAILS, f"{type(error).__name__}: {error}"
    seconds = round(time.monotonic() - started)
    print(COLUMNS.format(verdict, seconds, row.name, versions), flush=True)
    for line in reason.splitlines()[-12:]:
        print(f"         {line}", flush=True)
    return verdict


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m compatibility", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="rows with this in their names")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="where to keep environments and screenshots"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
