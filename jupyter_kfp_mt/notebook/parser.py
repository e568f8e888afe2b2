"""The line after `%kfp` as a verb and its arguments: the parser, help and completion."""

from __future__ import annotations

import argparse
import difflib
from typing import Any, NoReturn

from IPython.core.error import UsageError

from .verbs import OVERVIEW, VERBS, Verb


class HelpShown(Exception):
    """The line asked for help and got it."""


def parse(words: list[str]) -> argparse.Namespace:
    """The arguments, with the verb among them as `verb`.

    Raises `UsageError` for what is not understood and `HelpShown` where it was help.
    """
    if words[:1] == ["help"]:
        words = [*(word for word in words[1:2] if word != "help"), "-h"]
    if not words:
        return argparse.Namespace(verb=OVERVIEW)
    _check_verb(words[0])
    arguments, rest = _parser().parse_known_args(words)
    if rest:
        arguments.parser.error(f"what is {' '.join(rest)}? Quote what has spaces in it.")
    return arguments


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
        raise UsageError(f"{self.prog}: {message}\n{self.format_usage().strip()}")

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
    close = difflib.get_close_matches(word.lower(), known, 1, 0.7)
    hint = f"Did you mean %kfp {close[0]}?" if close else "%kfp help lists what there is."
    raise UsageError(f"%kfp has no verb {word}. {hint}")
