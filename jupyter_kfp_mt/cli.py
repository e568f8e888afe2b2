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
    commands.add_parser("local", help="serve Kubeflow Pipelines on this machine", add_help=False)
    arguments, rest = parser.parse_known_args(argv)
    assert arguments.command == "local"
    from .local.__main__ import main as local

    return local(rest)


if __name__ == "__main__":
    sys.exit(main())
