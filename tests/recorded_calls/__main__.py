"""Makes the recorded calls at a KFP: `make compare ENDPOINT=https://... TOKENS=/path/to/folder`.

The folder has NAMESPACE/SERVICE-ACCOUNT/token for default-editor and default-viewer of alice, bob
and carol, profiles in which nothing else is. In alice, bob@example.com and bob's default-editor
have the role view, and the KFP believes the header kubeflow-userid. Runs and pipelines that the
calls make stay there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .comparison import outcomes


def main() -> int:
    """Print what differs; the status is 1 if anything does."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("endpoint", metavar="URL")
    parser.add_argument("tokens", metavar="FOLDER", type=Path)
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="scenarios whose names have this"
    )
    parser.add_argument("--hold", action="store_true", help="a KFP that executes one run at a time")
    options = parser.parse_args()
    made = same = 0
    for outcome in outcomes(
        options.endpoint,
        lambda who: (options.tokens / who / "token").read_text().strip(),
        only=options.only,
        hold=options.hold,
    ):
        made, same = made + 1, same + (not outcome.differs)
        if outcome.differs:
            request = outcome.request
            print(f"{outcome.scenario} {outcome.step}: {request['method']} {request['path']}")
            print(*(f"    {each[:400]}" for each in outcome.differs), sep="\n")
    print(f"{same} of {made} calls are answered as recorded.")
    return 0 if made and same == made else 1


if __name__ == "__main__":
    sys.exit(main())
