"""What must stay fast, measured as ratios in one run: `make bench`."""

from __future__ import annotations

import itertools
import platform
import sys
import warnings

from . import api, imports


def main() -> int:
    """Prints each figure beside its limit; the status tells whether all are kept."""
    warnings.simplefilter("ignore")
    print(f"{platform.node()}: {platform.machine()}, Python {platform.python_version()}")
    kept = True
    for figure in itertools.chain(imports.figures(), api.figures()):
        print(figure, flush=True)
        kept = kept and figure.kept
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
