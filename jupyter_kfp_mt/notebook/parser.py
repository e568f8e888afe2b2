"""Parse the words after `%kfp` into a verb and its arguments, and suggest a cure for mistakes."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from typing import Any, NoReturn

from .. import near_names
from ..errors import Misunderstood
from .verbs import OVERVIEW, VERBS, Verb

# A possible second word of a verb, as opposed to an option or a value.
_WORD = re.compile(r"[^-=][^=]*")
_TERMINATE = "%kfp terminate RUN stops a run."
# Words of other tools, and their equivalents here.
_ELSEWHERE = {
    **dict.fromkeys(("list", "ls"), "%kfp runs, pipelines, experiments and namespaces list those."),
    **dict.fromkeys(("stop", "cancel", "kill", "abort"), _TERMINATE),
    **dict.fromkeys(("rm", "remove"), "%kfp delete RUN deletes a run."),
    **dict.fromkeys(
        ("status", "whoami", "info"), "%kfp alone shows the connection, %kfp show a run."
    ),
    **dict.fromkeys(("start", "submit", "create"), "%kfp run PIPELINE-OR-FILE starts a run."),
    "wait": "%kfp show RUN --wait waits for a run.",
    **dict.fromkeys(("get", "describe", "details"), "%kfp show RUN shows a run."),
    **dict.fromkeys(("rerun", "restart"), "%kfp retry RUN runs the failed tasks of a run again."),
    **dict.fromkeys(("schedule", "cron", "job", "jobs"), "%kfp recurring create makes a schedule."),
    **dict.fromkeys(("login", "use"), "%kfp connect uses another endpoint, token or identity."),
    **dict.fromkeys(("unarchive",), "%kfp restore RUN takes a run out of the archive."),
}
# The nouns that have verbs of their own, by all their synonyms.
NOUNS = {
    **dict.fromkeys(("experiment", "experiments", "exp"), "experiment"),
    **dict.fromkeys(("pipeline", "pipelines"), "pipeline"),
    **dict.fromkeys(
        ("recurring", "recurring-run", "recurring-runs", "recurringrun", "recurringruns"),
        "recurring",
    ),
    "runs": "runs",
}
# The list that a noun alone stands for.
_LISTS = {
    "experiment": "experiments",
    "pipeline": "pipelines",
    "recurring": "recurring",
    "runs": "runs",
}
_BY_NAME = {name: verb for verb in VERBS for name in verb.names}


class HelpShown(Exception):
    """The line requested help, which has been printed."""


def parse(words: Sequence[Any], cell: str | None = None) -> argparse.Namespace:
    """Return the arguments, among them the verb as `verb` and the rest of the cell as `cell`.

    A word may be a value of any type. Raises `Misunderstood` for an invalid line and
    `HelpShown` once help has been printed.
    """
    if words[:1] == ["help"] or words[:1] in (["-h"], ["--help"]):
        from .help import text

        print(text(words[1:]))
        raise HelpShown
    if not words:
        return argparse.Namespace(verb=OVERVIEW, cell=cell)
    verb, rest = verb_of(words)
    if cell is not None and not verb.takes_cell:
        raise Misunderstood(
            f"%%kfp {verb.name} takes no cell: write %kfp {verb.name}, on a line of its own."
        )
    arguments = _arguments(verb, rest)
    arguments.verb, arguments.cell = verb, cell
    return arguments


def verb_of(words: Sequence[Any]) -> tuple[Verb, list[Any]]:
    """Return the verb of a line, and the words after it. Raises `Misunderstood`."""
    first, *rest = words
    noun = NOUNS.get(str(first))
    action = rest[0] if rest and isinstance(rest[0], str) and _WORD.fullmatch(rest[0]) else ""
    if noun and action:
        if verb := _BY_NAME.get(f"{noun} {'list' if action == 'ls' else action}"):
            return verb, rest[1:]
        raise Misunderstood(_no_action(noun, action))
    if first == "run" and len(rest) > 1 and not str(rest[1]).startswith("-"):
        if verb := _BY_NAME.get(f"run {action}"):
            return verb, rest[1:]
    name = _LISTS[noun] if noun else str(first)
    if name not in _BY_NAME:
        raise Misunderstood(_no_verb(name))
    return _BY_NAME[name], rest


def actions(noun: str) -> list[str]:
    """The actions of a noun: the second words of its verbs."""
    return [name.split(" ")[1] for name in _BY_NAME if name.startswith(f"{noun} ")]


def _no_action(noun: str, action: str) -> str:
    known = actions(noun)
    close = near_names.meant(action, known, 0.75)
    if close:
        return f"%kfp {noun} has no {action}. Did you mean %kfp {noun} {close}?"
    shows = "%kfp show" if noun == "runs" else f"%kfp {noun} get"
    quoted = shlex.quote(action)
    return (
        f"%kfp {_LISTS[noun]} has no action {action}; {shows} {quoted} shows one of that name."
        + (f" Its actions are {', '.join(known)}." if known else "")
    )


def _no_verb(word: str) -> str:
    known = [name for name in (*_BY_NAME, *NOUNS, "help") if " " not in name]
    alike = 0.6 if len(word) < 4 else 0.7
    close = near_names.meant(word, known, alike)
    hint = f"Did you mean %kfp {close}?" if close else "%kfp help lists the verbs."
    return f"%kfp has no verb {word}. {_ELSEWHERE.get(word.lower(), hint)}"


def _arguments(verb: Verb, words: list[Any]) -> argparse.Namespace:
    """Parse words into arguments; values that are not text are put back in their places."""
    values = {f"\0{place}": word for place, word in enumerate(words) if not isinstance(word, str)}
    texts = [word if isinstance(word, str) else f"\0{place}" for place, word in enumerate(words)]
    parser = parser_of(verb)
    arguments, rest = parser.parse_known_intermixed_args(_columns_joined(verb, texts))
    if rest:
        parser.error(_not_understood(verb, rest))
    for name, value in vars(arguments).items():
        if isinstance(value, str) and value in values:
            setattr(arguments, name, values[value])
    return arguments


def _columns_joined(verb: Verb, texts: list[str]) -> list[str]:
    """Join `--sort -name` to `--sort=-name`, as argparse would take `-name` for an option."""
    columns = [
        flag for option in verb.options if option.completes == "column" for flag in option.flags
    ]
    joined: list[str] = []
    for text in texts:
        if joined and joined[-1] in columns:
            joined[-1] += f"={text}"
        else:
            joined.append(text)
    return joined


def _not_understood(verb: Verb, rest: list[str]) -> str:
    """Describe the words that no option takes, and suggest the option that was meant."""
    flags = [flag for option in verb.options for flag in option.flags if flag.startswith("-")]
    named = {flag.lstrip("-"): flag for flag in flags}
    word = next((word for word in rest if word.startswith("-")), rest[0])
    name, equals, value = word.partition("=")
    if word.startswith("-"):
        close = named.get(near_names.meant(name.lstrip("-"), named), "")
        hint = f"did you mean {close}?" if close else f"it has {', '.join(flags) or 'none'}."
        return f"there is no option {name}; {hint}"
    if "--endpoint" in flags and "://" in word:
        return f"write --endpoint {shlex.quote(word)} instead of {word} alone."
    if equals and f"--{name}" in flags:
        return f"write --{name} {shlex.quote(value)} instead of {word}."
    if equals and "--parameter" in flags:
        return f"write -p {shlex.quote(word)} instead of {word} alone for a parameter."
    return (
        f"cannot interpret {' '.join(rest)}. It is one value too many, or needs quotes for spaces."
    )


def _no_choice(program: str, action: argparse.Action, value: str) -> str:
    """Name the possible values, the likeliest first."""
    known = [str(each).lower() for each in action.choices or ()]
    near = near_names.nearest(value, known)
    others = [each for each in known if each not in near]
    flag, hint = action.option_strings[-1], f" Did you mean {near[0]}?" if near else ""
    return (
        f"%{program}: {flag} takes no {value.lower()}.{hint}\n"
        f"Possible values: {', '.join([*near, *others])}."
    )


# Messages of argparse, and their wording here.
_OF_ARGPARSE = {
    r"^argument ([^:]*/)?([^:/]+): expected (one|at least one) argument$": r"\2 needs a value.",
    r"^argument ([^:]*/)?([^:/]+): invalid int value: (.*)$": r"\2 takes a whole number, not \3.",
    r"^argument ([^:]*/)?([^:/]+): ignored explicit argument (.*)$": r"\2 takes no value: not \3.",
    r"^the following arguments are required: (.*)$": r"\1 is missing.",
}


class _Parser(argparse.ArgumentParser):
    """An argparse parser for a magic: an error is one sentence, and the kernel never exits."""

    def error(self, message: str) -> NoReturn:
        for words, sentence in _OF_ARGPARSE.items():
            message = re.sub(words, sentence, message)
        raise Misunderstood(f"%{self.prog}: {message}\n{as_shown(self.format_usage()).strip()}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise Misunderstood(_no_choice(self.prog, action, str(value)))

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise HelpShown

    def print_help(self, file: Any = None) -> None:
        from .help import text

        print(text(self.prog.split()[1:]))


def as_shown(usage: str) -> str:
    """A usage or help text of argparse's, with the name of the magic."""
    return usage.replace("usage: kfp", "usage: %kfp", 1)


def parser_of(verb: Verb) -> _Parser:
    # argparse formats a usage more than once, which would break a percent sign.
    parser = _Parser(f"kfp {verb.name}", description=verb.help, allow_abbrev=False)
    for option in verb.options:
        parser.add_argument(*option.flags, **option.settings)
    return parser
