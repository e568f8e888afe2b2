"""The command that starts the local KFP: `python -m jupyter_kfp_mt.local`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import sqlite3
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Misconfigured
from .machine.logs import LogFile, log_to_stderr, open_standard_streams, say
from .machine.tried_kfp import check, warning

if TYPE_CHECKING:
    from .data.data_folder import DataFolder
    from .tenants.profiles import Profiles

CANNOT_START = 2
ALREADY_SERVED = 3
# How long a thread that computes may keep the event loop waiting, each time. Python has 0.005.
_SWITCH_SECONDS = 0.001


def main(argv: Sequence[str] | None = None) -> int:
    open_standard_streams()
    chosen = options(argv)
    try:
        _check_installed()
        return _run(chosen)
    except Misconfigured as error:
        print(error, file=sys.stderr)
        return CANNOT_START


def options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; exit with a message if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="jupyter kfp-mt local",
        description="Kubeflow Pipelines on this machine. Prints one line of JSON when it is "
        "ready: its endpoint and the folder with the tokens. It is meant for one machine.",
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="the data folder")
    add("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    add("--port", type=_port, default=0, help="the port to listen on (default: 0, a free one)")
    add("--profiles", type=Path, metavar="FILE", help="the namespaces, as YAML")
    add("--while-used", action="store_true", help="stop when no process holds DIR/in-use open")
    add("--log-file", action="store_true", help="log to DIR/server.log, which is rotated")
    add("--max-runs", type=_count, metavar="N", help="concurrent runs (default: one per processor)")
    add(
        "--time-zone",
        default=os.environ.get("CRON_SCHEDULE_TIMEZONE", "UTC"),
        metavar="NAME",
        help="time zone of cron schedules (default: CRON_SCHEDULE_TIMEZONE, or UTC)",
    )
    add(
        "--argo-tasks",
        action="store_true",
        help="list tasks as a cluster does: every node of an Argo workflow",
    )
    _add_what_a_cluster_allows(parser)
    _add_what_proxies_need(parser)
    _add_times(parser)
    return parser.parse_args(argv)


def _add_what_a_cluster_allows(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--reviews-per-second",
        type=_rate,
        metavar="N",
        help="be as slow as on a cluster, where KFP is limited in its reviews of callers and "
        "permissions per second, for all callers together: CLIENTQPS, 5 by default "
        "(default: no limit)",
    )
    add(
        "--review-burst",
        type=_count,
        default=10,
        metavar="N",
        help="reviews that may come in a burst: CLIENTBURST (default: %(default)s)",
    )
    add(
        "--reviews-per-request",
        type=_count,
        default=1,
        metavar="N",
        help="reviews per request (default: %(default)s)",
    )


def _add_what_proxies_need(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--trust-userid-header",
        nargs="?",
        const="kubeflow-userid",
        default="",
        metavar="NAME",
        help="trust this header to name the caller, as set by a proxy in front "
        "(default: no header; without NAME: %(const)s)",
    )
    add("--userid-prefix", default="", metavar="TEXT", help="the prefix of the name in it")
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another host name to accept, such as a proxy's; may be repeated",
    )


def _add_times(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--token-lifetime", type=float, default=3600.0, help=argparse.SUPPRESS)
    # The time limit for sending a request: for its headers and its body each.
    add("--request-timeout", type=float, default=300.0, help=argparse.SUPPRESS)
    # The time limit for reading a response, and again for each few megabytes of it.
    add("--write-timeout", type=float, default=60.0, help=argparse.SUPPRESS)


def _port(text: str) -> int:
    if text.isdecimal() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if 0 < rate < float("inf"):
        return rate
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


def _count(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")


def _check_installed() -> None:
    packages = {"kfp": "kfp", "jwt": "PyJWT", "yaml": "PyYAML"}  # their names on PyPI
    missing = [packages[name] for name in packages if find_spec(name) is None]
    if missing:
        raise Misconfigured(
            f"The local KFP needs packages that are not installed: {', '.join(missing)}.",
            cure="Install them, and restart the Jupyter server:\n"
            "pip install 'jupyter-kfp-mt[local]'",
        )
    check(version("kfp"))


def _run(options: argparse.Namespace) -> int:
    from .data.data_folder import DataFolder, Occupied
    from .machine.disk_faults import fault
    from .machine.memory import give_back_large_blocks
    from .tenants.profiles import read_profiles, single_profile

    log_to_stderr()
    if untried := warning(version("kfp")):
        logging.getLogger(__name__).warning(untried)
    give_back_large_blocks()
    sys.setswitchinterval(_SWITCH_SECONDS)
    os.umask(0o077)  # the data are private to this user
    # Before the folder is touched: faults of the profiles are not the folder's.
    given = read_profiles(options.profiles) if options.profiles else None
    data = options.data or _default_data()
    try:
        with DataFolder(data) as folder:
            if given:
                folder.keep_profiles(options.profiles)
            kept = read_profiles(folder.profiles) if folder.profiles.exists() else None
            asyncio.run(_serve(options, folder, given or kept or single_profile()))
    except Occupied as error:
        print(error, file=sys.stderr)
        return ALREADY_SERVED
    except (OSError, sqlite3.Error) as error:
        if found := fault(error):
            raise Misconfigured(
                f"The local KFP cannot use the data folder {data}: {found.why} ({error}).",
                cure=f"{found.cure}, or choose another folder with --data.",
            ) from error
        raise Misconfigured(f"The local KFP had to stop: {error}.") from error
    return 0


def _default_data() -> Path:
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir()) / "kfp-mt"


async def _serve(options: argparse.Namespace, folder: DataFolder, profiles: Profiles) -> None:
    from .server import Server, Stop

    log = LogFile(folder.log) if options.log_file else None
    stop = Stop(folder.open_in_use(), while_used=options.while_used)
    async with Server(options, folder, profiles) as server:
        ready = {"endpoint": server.endpoint, "tokens": str(folder.tokens)}
        folder.announce(ready, options.while_used)
        say(json.dumps(ready))
        if log:
            log.take_stderr()
        gc.freeze()  # permanent objects, which the garbage collector need not scan again and again
        server.stopped_because = await stop.wait()
        folder.withdraw()  # before stopping the runs, which takes a while


if __name__ == "__main__":
    sys.exit(main())
