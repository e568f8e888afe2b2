"""`jupyter kfp-mt`: the commands of this package."""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import version


def main(argv: list[str] | None = None) -> int:
    """Run a command; what follows its name is the command's own."""
    parser = argparse.ArgumentParser("jupyter kfp-mt", description=__doc__)
    parser.add_argument("--version", action="version", version=version("jupyter-kfp-mt"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    local = commands.add_parser("local", help="serve KFP on this machine", add_help=False)
    local.set_defaults(run=_local)
    arguments, rest = parser.parse_known_args(argv)
    status: int = arguments.run(rest)
    return status


def _local(arguments: list[str]) -> int:
    from .local.__main__ import main

    return main(arguments)


if __name__ == "__main__":
    sys.exit(main())
