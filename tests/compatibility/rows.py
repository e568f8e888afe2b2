"""The rows of the table: what is installed, and what has to work there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import browser, programs
from .environments import Environment

WORK = Path(__file__).with_name("work.py")
PYTHON = "3.11"
RUNNERS = ["2.14", "2.15", "2.16", "2.17"]
KUBERNETES = ["28", "31", "34", "37"]
CLIENTS = ["2.7", "2.8", "2.9", "2.10", "2.11", "2.12", "2.13"]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    `extra` are those of this package, `shown` the packages whose versions the table tells.
    """

    name: str
    check: Callable[[Environment, Path, str], None]
    requirements: tuple[str, ...] = ()
    extra: str = ""
    python: str = PYTHON
    lowest: bool = False
    shown: tuple[str, ...] = ()


def own_kfp(environment: Environment, folder: Path, _endpoint: str) -> None:
    """Work on a local KFP of the environment's own."""
    environment.run(WORK, folder)


def other_kfp(environment: Environment, folder: Path, endpoint: str) -> None:
    """Work on a local KFP of other packages, as a client alone."""
    environment.run(WORK, folder, endpoint)


def through_kubeflow(environment: Environment, folder: Path, endpoint: str) -> None:
    """Work on a local KFP of other packages through `kubeflow.pipelines`."""
    environment.run(WORK.with_name("pipelines_client.py"), folder, endpoint)


def without_kfp(environment: Environment, folder: Path, _endpoint: str) -> None:
    """Read a kubeconfig where the kfp SDK is not installed."""
    environment.run(WORK.with_name("kubeconfig.py"), folder)


def _kfp(version: str) -> str:
    return f"kfp=={version}.*"


def _pythons() -> list[Row]:
    versions = ["3.10", "3.11", "3.12", "3.13"]
    return [
        Row(f"Python {each}", own_kfp, ("ipykernel",), "local", python=each, shown=("kfp",))
        for each in versions
    ]


def _runners() -> list[Row]:
    return [
        Row(
            f"kfp {each} as runner and client",
            own_kfp,
            (f"kfp[kubernetes]=={each}.*", "ipykernel"),
            "local",
            shown=("kfp",),
        )
        for each in RUNNERS
    ]


def _clients() -> list[Row]:
    return [
        Row(f"kfp {each} as client", other_kfp, (_kfp(each), "ipykernel"), shown=("kfp",))
        for each in CLIENTS
    ]


def _kubernetes() -> list[Row]:
    return [
        Row(
            f"kubernetes {each} without kfp",
            without_kfp,
            (f"kubernetes=={each}.*",),
            shown=("kubernetes",),
        )
        for each in KUBERNETES
    ]


def _front_ends() -> list[Row]:
    labs = [
        Row(
            f"JupyterLab {each}",
            browser.lab,
            (f"jupyterlab=={each}.*", _kfp("2.17")),
            shown=("jupyterlab", "jupyter-server"),
        )
        for each in ("4.2", "4.4", "4.5", "4.6")
    ]
    notebooks = [
        Row(
            f"Notebook {each}",
            browser.notebook,
            (f"notebook=={each}.*", _kfp("2.17")),
            shown=("notebook", "jupyterlab"),
        )
        for each in ("7.4", "7.5", "7.6")
    ]
    return labs + notebooks


def _programs() -> list[Row]:
    checks = {
        "jupyter-server-proxy": programs.server_proxy,
        "jupyter-console": programs.console,
        "nbconvert": programs.nbconvert,
    }
    return [
        Row(name, check, (name, "ipykernel", _kfp("2.17")), shown=(name,))
        for name, check in checks.items()
    ]


def all_rows() -> list[Row]:
    """The whole table."""
    lowest = Row(
        "the lowest versions that are allowed",
        own_kfp,
        ("ipykernel",),
        "local",
        lowest=True,
        shown=("kfp", "aiohttp", "msgspec", "kubernetes", "jupyter-server"),
    )
    kubeflow = Row(
        "kubeflow's PipelinesClient",
        through_kubeflow,
        ("kubeflow==0.5.*", _kfp("2.17")),
        shown=("kubeflow", "kfp"),
    )
    clients = [*_clients(), kubeflow, *_kubernetes()]
    return [*_pythons(), lowest, *_runners(), *clients, *_front_ends(), *_programs()]
