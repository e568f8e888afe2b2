"""The parts of the reference that are generated from the code when the documentation is built.

A line `<!-- generated: NAME -->` of a page is replaced by what the function of that name returns.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path

import yaml

from jupyter_kfp_mt import errors as errors_module
from jupyter_kfp_mt.local.api import app as local_api
from jupyter_kfp_mt.notebook import help as kfp_help
from jupyter_kfp_mt.settings import CREDENTIALS, Kfp, variable

OPENAPI = Path(__file__).with_name("openapi.yaml")
_MARK = re.compile(r"<!-- generated: (\w+) -->")
# Variables that other tools know too, beside each setting's own.
ALSO = {
    "endpoint": ["KF_PIPELINES_ENDPOINT"],
    "token_file": ["KF_PIPELINES_SA_TOKEN_PATH"],
    "ui_url": ["KF_PIPELINES_UI_ENDPOINT"],
}


def filled(page: str) -> str:
    return _MARK.sub(lambda mark: PARTS[mark[1]](), page)


def verbs() -> str:
    """Every verb of `%kfp`: its help, as a cell shows it, under the titles of `%kfp help`."""
    blocks = []
    for title, group in kfp_help.GROUPS:
        blocks.append(f"## {title}\n")
        for verb in group:
            blocks.append(f"### {verb.name}\n\n```text\n{kfp_help.of_verb(verb)}\n```\n")
    return "\n".join(blocks)


def settings() -> str:
    """Every setting of `c.Kfp`."""
    names = [name for name in Kfp.class_own_traits(config=True) if name not in CREDENTIALS]
    return "\n".join(map(_setting, names))


def credentials() -> str:
    """Every setting that has to do with credentials."""
    return "\n".join(map(_setting, CREDENTIALS))


def differences() -> str:
    """The table of where the local KFP differs."""
    return "|" + inspect.getdoc(local_api).partition("|")[2]


def errors() -> str:
    """The tree of errors."""
    return f"```text\n{inspect.getdoc(errors_module)}\n```"


def commands() -> str:
    """The help of `jupyter kfp-mt` and its commands."""
    return "\n".join(
        f"## {' '.join(['jupyter kfp-mt', *words])}\n\n```text\n{_help(*words)}\n```\n"
        for words in ([], ["doctor"], ["manifests"], ["settings"], ["local"])
    )


def routes() -> str:
    """Every route of the Jupyter server extension, out of the OpenAPI file."""
    blocks = []
    for path, methods in yaml.safe_load(OPENAPI.read_text())["paths"].items():
        for method, operation in methods.items():
            blocks.append(f"## {method.upper()} {path}\n\n{operation['summary']}\n")
            blocks.append(operation.get("description", ""))
            blocks.append(_parameters(operation.get("parameters", [])))
    return "\n".join(blocks)


def _setting(name: str) -> str:
    trait = Kfp.class_own_traits(config=True)[name]
    default = f" Default: `{trait.default_value}`." if trait.default_value else ""
    names = ", ".join(f"`{each}`" for each in [variable(name), *ALSO.get(name, [])])
    text = " ".join(trait.help.split())
    return f"### c.Kfp.{name}\n\n{type(trait).__name__}, or variable {names}.{default}\n\n{text}\n"


def _parameters(parameters: list[dict]) -> str:
    if not parameters:
        return ""
    rows = [f"| `{each['name']}` | {each['in']} | {each['description']} |" for each in parameters]
    return "\n".join(["| name | in | |", "|---|---|---|", *rows, ""])


def _help(*words: str) -> str:
    import subprocess
    import sys

    command = [sys.executable, "-m", "jupyter_kfp_mt.cli", *words, "--help"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return textwrap.dedent(output).strip()


PARTS = {
    function.__name__: function
    for function in (verbs, settings, credentials, differences, errors, commands, routes)
}
