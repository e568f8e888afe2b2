"""The help of `%kfp`: all verbs by subject, or one verb with its options and examples."""

from __future__ import annotations

from collections.abc import Sequence

from .parser import as_shown, parser_of, verb_of
from .verbs import (
    VERBS,
    Verb,
    changes,
    clones,
    connection,
    lists,
    logs,
    recurring,
    runs,
    starts,
    tasks,
)

GROUPS = (
    ("Runs", (*starts.VERBS, *tasks.VERBS, *runs.VERBS, *logs.VERBS)),
    ("Existing runs, one or several at once", (*changes.VERBS, *clones.VERBS)),
    ("Recurring runs", recurring.VERBS),
    ("Experiments and pipelines", lists.VERBS),
    ("The connection", connection.VERBS),
)


def text(words: Sequence[str] = ()) -> str:
    """The help for a verb, or the overview. Raises `Misunderstood` for an unknown verb."""
    words = [word for word in words if word not in ("help", "-h", "--help")]
    return of_verb(verb_of([*words])[0]) if words else overview()


def overview() -> str:
    width = max(len(verb.name) for verb in VERBS) + 2
    blocks = ["%kfp alone shows who and where you are, and what is running.\n"]
    for title, verbs in GROUPS:
        rows = [f"  {verb.name:<{width}}{_sentence(verb)}" for verb in verbs]
        blocks.append("\n".join([title, *rows, ""]))
    blocks.append(
        "Every verb takes -n NAMESPACE; lists take -A for every namespace that you may read.\n"
        "%kfp help VERB shows its options and examples. A line may end in a # comment."
    )
    return "\n".join(blocks)


def of_verb(verb: Verb) -> str:
    blocks = [as_shown(parser_of(verb).format_help()).rstrip()]
    if verb.examples:
        lines = [line if line[0] == "%" else f"%kfp {line}" for line, _ in verb.examples]
        width = max(map(len, lines)) + 2
        told = [
            f"  {line:<{width}}{f'# {what}' if what else ''}".rstrip()
            for line, (_, what) in zip(lines, verb.examples, strict=True)
        ]
        blocks.append("\n".join(["examples:", *told]))
    single = [name for name in verb.aliases if not name.startswith(("run ", "runs "))]
    if single:
        blocks.append(f"also: {', '.join(f'%kfp {name}' for name in single)}")
    related = [other.name for other in VERBS if other.name.startswith(f"{verb.name} ")]
    if related:
        blocks.append(f"see also: {', '.join(f'%kfp {name}' for name in related)}")
    return "\n\n".join(blocks)


def _sentence(verb: Verb) -> str:
    return " ".join(verb.help.partition("\n\n")[0].split())
