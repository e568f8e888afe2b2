"""Runs a folder's compiled pipelines on a local KFP: `make conformance PIPELINES=/path/to/folder`.

Meant for test_data/sdk_compiled_pipelines/valid of kubeflow/pipelines.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from . import pipelines
from .runs import WRONG, LocalKfp, Row

COLUMNS = "{:<9} {:>5} s  {:<10} {:<10} {}"


def main() -> int:
    """Prints a line for each pipeline; the status is 1 if one does not end as it is meant to."""
    options = _options()
    files = [file for file in pipelines.files(options.folder) if options.only in str(file)]
    if not files:
        print(f"There is no compiled pipeline in {options.folder}.", file=sys.stderr)
        return 2
    rows = []
    print(COLUMNS.format("verdict", "", "meant", "ended", "pipeline (what it needs)"), flush=True)
    started = time.monotonic()
    with TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as data:
        with LocalKfp(Path(data), options.at_once) as kfp:
            with ThreadPoolExecutor(options.at_once) as pool:
                for row in pool.map(lambda file: kfp.row(file, options.seconds), files):
                    _show(row, options.folder)
                    rows.append(row)
    counts = Counter(row.verdict for row in rows)
    told = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
    print(f"{len(rows)} pipelines in {time.monotonic() - started:.0f} s: {told}")
    return int(counts[WRONG] > 0)


def _show(row: Row, folder: Path) -> None:
    needs = f" ({'; '.join(row.needs)})" if row.needs else ""
    name = row.file.relative_to(folder)
    print(
        COLUMNS.format(row.verdict, round(row.seconds), row.meant, row.ended, f"{name}{needs}"),
        flush=True,
    )
    if row.verdict == WRONG:
        print(f"{'':>19}{row.reason or 'It gives no reason.'}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__)
    parser.add_argument("folder", type=Path, help="with compiled pipelines, in folders of it too")
    parser.add_argument("--only", default="", metavar="TEXT", help="those with this in their path")
    parser.add_argument(
        "--at-once",
        type=int,
        default=2 * (os.cpu_count() or 1),
        metavar="N",
        help="how many run at a time (default: twice the processors)",
    )
    parser.add_argument(
        "--seconds", type=float, default=900, metavar="N", help="after which a run is stopped (900)"
    )
    options = parser.parse_args()
    if not options.folder.is_dir():
        parser.error(f"there is no folder {options.folder}")
    options.folder = options.folder.resolve()
    return options


if __name__ == "__main__":
    sys.exit(main())
