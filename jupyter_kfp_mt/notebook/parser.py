"""The line after `%kfp` as a verb and its arguments: the parser, help and completion."""

from __future__ import annotations

import argparse
import difflib
import shlex
from typing import Any, NoReturn

from ..errors import Misunderstood
from .verbs import OVERVIEW, VERBS, Verb

_TERMINATE = "%kfp terminate RUN stops a run."
# Words of other tools, and what says the same here.
_ELSEWHERE = {
    **dict.fromkeys(("list", "ls"), "%kfp runs, pipelines, experiments and namespaces list those."),
    **dict.fromkeys(("stop", "cancel", "kill", "abort"), _TERMINATE),
    **dict.fromkeys(("delete", "rm", "archive"), "jupyter_kfp_mt.kfp_client() has a call for it."),
    **dict.fromkeys(
        ("status", "whoami", "info"), "%kfp alone tells of the connection, %kfp runs of runs."
    ),
    **dict.fromkeys(("start", "submit", "create"), "%kfp run PIPELINE-OR-FILE starts a run."),
    **dict.fromkeys(("watch", "wait"), "%kfp run PIPELINE-OR-FILE --wait watches a run."),
    **dict.fromkeys(("login", "use"), "%kfp connect uses another endpoint, token or identity."),
}


class HelpShown(Exception):
    """The line asked for help and got it."""


def parse(words: list[str]) -> argparse.Namespace:
    """The arguments, with the verb among them as `verb`.

    Raises `Misunderstood` for what is not understood and `HelpShown` where it was help.
    """
    if words[:1] == ["help"]:
        words = [*(word for word in words[1:2] if word != "help"), "-h"]
    if not words:
        return argparse.Namespace(verb=OVERVIEW)
    _check_verb(words[0])
    arguments, rest = _parser().parse_known_args(words)
    if rest:
        arguments.parser.error(_not_understood(arguments.verb, rest))
    return arguments


def _not_understood(verb: Verb, rest: list[str]) -> str:
    """Describe the words of a line that no option takes, and suggest the one that was meant."""
    flags = [flag for option in verb.options for flag in option.flags if flag.startswith("-")]
    word = next((word for word in rest if word.startswith("-")), rest[0])
    name, equals, value = word.partition("=")
    if word.startswith("-"):
        close = difflib.get_close_matches(name, flags, 1, 0.6)
        hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(flags) or 'none'}."
        return f"there is no option {name}; {hint}"
    if equals and f"--{name}" in flags:
        return f"an option is written --{name} {shlex.quote(value)}, and not {word}."
    if equals and "--parameter" in flags:
        return f"a parameter is written -p {shlex.quote(word)}, and not {word} alone."
    return f"what is {' '.join(rest)}? Quote what has spaces in it."


def completions(line: str, symbol: str) -> list[str]:
    """What may come next, from the table alone: it never waits for a server."""
    words = line.split()
    verb = next((verb for verb in VERBS if words[1:2] == [verb.name]), None)
    if verb is None or (len(words) == 2 and not line.endswith(" ")):
        return [*(verb.name for verb in VERBS), "help"]
    # Nothing for a plain word: the completion of file names takes over.
    flags = [flag for option in verb.options for flag in option.flags if flag.startswith("--")]
    return flags if symbol.startswith("-") else []


class _Parser(argparse.ArgumentParser):
    """argparse as a magic needs it: an error is a sentence, and nothing ends the kernel."""

    def error(self, message: str) -> NoReturn:
        raise Misunderstood(f"{self.prog}: {message}\n{self.format_usage().strip()}")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise HelpShown


def _parser() -> _Parser:
    parser = _Parser("%kfp", description="Without a verb: who am I, where, why, and what works.")
    commands = parser.add_subparsers(metavar="VERB", parser_class=_Parser, title="verbs")
    for verb in VERBS:
        _add(commands, verb)
    return parser


def _add(commands: Any, verb: Verb) -> None:
    parser = commands.add_parser(
        verb.name, aliases=list(verb.aliases), help=verb.help, description=verb.help
    )
    parser.set_defaults(verb=verb, parser=parser)
    for option in verb.options:
        parser.add_argument(*option.flags, **option.settings)


def _check_verb(word: str) -> None:
    known = [name for verb in VERBS for name in (verb.name, *verb.aliases)]
    if word in known or word in ("-h", "--help"):
        return
    alike = 0.6 if len(word) < 4 else 0.7
    close = difflib.get_close_matches(word.lower(), known, 1, alike)
    hint = f"Did you mean %kfp {close[0]}?" if close else "%kfp help lists what there is."
    hint = _ELSEWHERE.get(word.lower(), hint)
    raise Misunderstood(f"%kfp has no verb {word}. {hint}")
