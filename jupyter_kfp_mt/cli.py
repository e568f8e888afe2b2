"""`jupyter kfp-mt`: the commands of this package."""

from __future__ import annotations

import argparse
import sys
import textwrap
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from .errors import KfpError

if TYPE_CHECKING:
    from .settings import Kfp


def main(argv: list[str] | None = None) -> int:
    """Run a command; the arguments after its name are passed on to it."""
    parser = argparse.ArgumentParser(
        "jupyter kfp-mt", description="Serve, check and configure Kubeflow Pipelines for Jupyter."
    )
    parser.add_argument("--version", action="version", version=version("jupyter-kfp-mt"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    local = commands.add_parser("local", help="serve KFP on this machine", add_help=False)
    local.set_defaults(run=_local)
    _add_doctor(commands)
    _add_manifests(commands)
    _add_settings(commands)
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.command != "local":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    try:
        status: int = arguments.run(arguments)
    except KfpError as error:
        print(error, file=sys.stderr)
        return 2
    return status


def _add_doctor(commands: Any) -> None:
    purpose = "check the connection to KFP step by step, and say how to fix what is wrong"
    parser = commands.add_parser("doctor", help=purpose, description=purpose)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("-n", "--namespace", default="", help="instead of the one in use")
    parser.add_argument(
        "--isolation",
        action="store_true",
        help="check, with requests that only read, whether the deployment keeps tenants apart",
    )
    parser.add_argument(
        "--namespace-of-others",
        action="append",
        default=[],
        metavar="NAME",
        help="for --isolation: a namespace of another tenant; can be given several times",
    )
    parser.set_defaults(run=_doctor)


def _add_manifests(commands: Any) -> None:
    purpose = "print the objects, for kubectl apply -f -, that let a namespace's notebooks use KFP"
    parser = commands.add_parser("manifests", help=purpose, description=purpose)
    parser.add_argument("namespace", metavar="NAMESPACE")
    parser.add_argument(
        "--user", default="", help="who gets the role (default: its default-editor)"
    )
    parser.add_argument("--role", choices=["edit", "view"], default="edit")
    parser.set_defaults(run=_manifests)


def _add_settings(commands: Any) -> None:
    purpose = "list the settings and their environment variables, or those that contain a word"
    parser = commands.add_parser("settings", help=purpose, description=purpose)
    parser.add_argument("word", metavar="WORD", nargs="?", default="", help="such as cookie")
    parser.set_defaults(run=_settings)


def _local(arguments: argparse.Namespace) -> int:
    from .local.__main__ import main

    return main(arguments.rest)


def _doctor(arguments: argparse.Namespace) -> int:
    import msgspec

    from .doctor.run_checks import examine

    others = tuple(arguments.namespace_of_others)
    isolation = arguments.isolation or bool(others)
    report = examine(_configured(), arguments.namespace, isolation, others)
    print(msgspec.json.encode(report).decode() if arguments.json else report)
    return 1 if report.failed else 0


def _manifests(arguments: argparse.Namespace) -> int:
    from . import resource_names
    from .cluster import access_manifests
    from .namespaces import contributors

    namespace = arguments.namespace
    user = arguments.user or f"system:serviceaccount:{namespace}:default-editor"
    resource_names.check_namespace(namespace)
    contributors.check_user(user)
    print(
        access_manifests.to_yaml(*access_manifests.wanted(user, namespace, arguments.role)), end=""
    )
    return 0


def _settings(arguments: argparse.Namespace) -> int:
    from .errors import Misunderstood
    from .settings import Kfp, variable

    word = arguments.word.lower().removeprefix("c.kfp.")
    traits = Kfp.class_own_traits(config=True)
    names = [name for name in traits if word in (name, variable(name).lower())] or [
        name for name, trait in traits.items() if word in f"{name} {trait.help}".lower()
    ]
    if not names:
        raise Misunderstood(
            f"No setting contains {arguments.word!r}.",
            cure="To list all settings: jupyter kfp-mt settings",
        )
    print("Set them in ~/.jupyter/jupyter_server_config.py, or with the variable beside")
    print("each. The Jupyter server reads them when it starts.")
    for name in names:
        print(f"\nc.Kfp.{name}   {variable(name)}\n{_indented(traits[name].help)}")
    return 0


def _indented(text: str) -> str:
    return textwrap.fill(
        " ".join(text.split()),
        width=80,
        initial_indent="    ",
        subsequent_indent="    ",
        break_on_hyphens=False,
    )


def _configured() -> Kfp:
    """The settings of the Jupyter server's configuration files."""
    from jupyter_core.application import JupyterApp

    from .settings import Kfp

    class Files(JupyterApp):
        """Read the configuration files without starting anything."""

    found = Files()
    for name in ("jupyter_server_config", "jupyter_kfp_mt_config"):
        found.config_file_name = name
        found.load_config_file()
    return Kfp(config=found.config)


if __name__ == "__main__":
    sys.exit(main())
