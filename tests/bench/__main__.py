"""Measure the things that must stay fast, as ratios in one run: `make bench`."""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import warnings

from . import machine

PARTS = {
    "imports": "how long the package and its magics take to load",
    "api": "the local KFP's API with up to a million runs (minutes: it makes them first)",
    "large": "who waits while eight pipelines of 7.7 MB are uploaded, run and read (a minute)",
    "door": "what the Jupyter server's door costs over asking KFP directly",
    "events": "what fifty listeners cost (two minutes; BENCH_MINUTES=10 for ten more)",
    "memory": "of a server with two hundred listeners and two thousand runs that go on",
    "crowd": "a hundred servers on a KFP that answers five requests a second (played in seconds; "
    "then, for five minutes, with five real ones among them)",
    "cells": "what the first %kfp of a kernel costs, and a list of a hundred runs",
    "logs": "the logs of a run of fifteen tasks, from a KFP that answers five requests a second",
    "execution": "pipelines on the local KFP beside the same through kfp.local (two minutes)",
    "views": "the picture of a run with a thousand tasks, and how large what draws it is",
    "panel": "the panel with ten thousand runs, beside JupyterLab's own lists (two minutes)",
    "kills": "a hundred `kill -9` under load, after which nothing may be lost",
}


def main() -> int:
    """Prints each figure beside its limit; the status tells whether all are kept."""
    options = _options()
    warnings.simplefilter("ignore")
    random.seed(options.seed)
    print(f"{machine.description()}, seed {options.seed}", flush=True)
    kept = True
    for part in options.parts or PARTS:
        for line in importlib.import_module(f".{part}", __package__).figures():
            print(line, flush=True)
            kept = kept and getattr(line, "kept", True)
    return int(not kept)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures what must stay fast. The status is 1 if a limit is exceeded.",
        epilog="\n".join(f"{part:12}{what}" for part, what in PARTS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help="what to measure (default: everything)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=random.randrange(2**32),
        metavar="N",
        help="of the moments of the kills (default: a random one)",
    )
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"there is no part {unknown[0]!r}; the parts are {', '.join(PARTS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
