"""The commands that kfp's compiler has given to Python components since 2.0.

Each is a shell script that writes the component's source to a file and has kfp's executor run it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

EXECUTOR = "kfp.dsl.executor_main"
# Its name up to 2.0.1.
OLD_EXECUTOR = "kfp.components.executor_main"

_SCRIPT = re.compile(
    r"\s*program_path=\$\(mktemp -d\)\s*\n"
    r'printf "%s" "\$0" > "\$program_path/ephemeral_component\.py"\n'
    rf"(_KFP_RUNTIME=true )?python3 -m ({re.escape(EXECUTOR)}|{re.escape(OLD_EXECUTOR)}) +"
    r'--component_module_path +"\$program_path/ephemeral_component\.py" +"\$@"\s*'
)
# kfp's client or compiler, which are not imported while a component runs since 2.1.
_MORE_OF_KFP = re.compile(r"\bkfp\.(?!dsl\b)|\bfrom kfp import (?!dsl$)", re.MULTILINE)


class Component(NamedTuple):
    """A Python component's own source, and the arguments for kfp's executor."""

    source: str
    arguments: list[str]


def component(command: list[str]) -> Component | None:
    """Return the component that a command runs, or None if it does anything else."""
    if command[:2] != ["sh", "-ec"] or len(command) < 4:
        return None
    script, source, *arguments = command[2:]
    if not (found := _SCRIPT.fullmatch(script)) or found[2] != EXECUTOR:
        return None
    return Component(source, arguments) if found[1] or not _MORE_OF_KFP.search(source) else None


def runs_python(part: str) -> bool:
    """Return True if this part of a command makes kfp's executor run a Python component."""
    return EXECUTOR in part or OLD_EXECUTOR in part


def with_todays_executor(command: list[str]) -> list[str]:
    """Translate a command to the executor's name since kfp 2.1."""
    return [
        part.replace(OLD_EXECUTOR, EXECUTOR) if _SCRIPT.fullmatch(part) else part
        for part in command
    ]
