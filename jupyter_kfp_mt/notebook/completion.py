"""Completion of `%kfp` through IPython's matcher API: from the table of verbs, the notebook's
variables and the names known so far. Nothing here waits long for a network or a disk.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion

from ..client.pipeline_source import PipelineSource
from ..errors import Misunderstood
from ..models import STATES
from .parser import NOUNS, actions, verb_of
from .verbs import VERBS, Option, Verb

# A line with the magic, also after an assignment; or the beginning of a cell.
_MAGIC = re.compile(r"^\s*(?:[\w.,\[\]'\" ]+=\s*)?%%?kfp(\s.*)?$")
_FILES = (".yaml", ".yml", ".json", ".zip", ".tar.gz", ".tgz")
MOST_FILES = 200
_COLUMNS = ("created", "finished", "name", "state")

Names = Callable[[str, str], list[str]]


class _Nothing(list[SimpleCompletion]):
    """No completions, and none from other matchers, which IPython asks when a list is empty."""

    def __len__(self) -> int:
        return 1


def matcher(names: Names, variables: Callable[[], Mapping[str, Any]]) -> Callable[..., Any]:
    """Return the matcher; `names` knows the names of each kind, such as the tasks of a run."""

    def kfp_matcher(context: CompletionContext) -> dict[str, Any]:
        found = _MAGIC.match(context.text_until_cursor)
        if not found or found[1] is None:
            return {"completions": []}
        *words, fragment = _words(found[1])
        head = fragment[: len(fragment) - len(context.token)]
        wanted = candidates(words, fragment, names, variables())
        texts = [text[len(head) :] for text in wanted if _begins(text, fragment)]
        fitting = [SimpleCompletion(text=text, type="kfp") for text in dict.fromkeys(texts)]
        return {
            "completions": fitting or _Nothing(),
            "suppress": True,
            "ordered": True,
            "matched_fragment": fragment[len(head) :],
        }

    return kfp_matcher


def _begins(text: str, fragment: str) -> bool:
    return text.lower().startswith(fragment.lower())


def _words(rest: str) -> list[str]:
    """The words up to the cursor; the last is the one being typed, and may be empty."""
    before, fragment = re.fullmatch(r"(?s)(.*?)(\S*)", rest).groups()  # type: ignore[union-attr]
    try:
        return [*shlex.split(before), fragment]
    except ValueError:  # an open quotation
        return [*before.split(), fragment]


def candidates(
    words: list[str], fragment: str, names: Names, variables: Mapping[str, Any]
) -> list[str]:
    """Return every completion of a fragment that follows these words."""
    first = [*dict.fromkeys([each for verb in VERBS for each in _firsts(verb)]), "help"]
    if not words or words == ["help"]:
        return first
    if words[0] == "help":
        words = words[1:]
        return actions(NOUNS.get(words[0], words[0])) if len(words) == 1 else []
    try:
        verb, rest = verb_of(words)
    except Misunderstood:
        return []
    more = actions(NOUNS[words[0]]) if words[0] in NOUNS and len(words) == 1 else []
    return [*more, *_of_verb(verb, rest, fragment, names, variables)]


def _firsts(verb: Verb) -> Iterator[str]:
    yield verb.name.split()[0]


def _of_verb(
    verb: Verb, words: list[str], fragment: str, names: Names, variables: Mapping[str, Any]
) -> list[str]:
    options = {flag: option for option in verb.options for flag in option.flags}
    before = options.get(words[-1]) if words else None
    if before and before.takes_value and before.settings.get("nargs") != "?":
        return _values(before, verb, words, names, variables)
    if fragment.startswith("-"):
        return [flag for flag in options if flag.startswith("--")]
    places = [option for option in verb.options if option.is_positional]
    given = _positionals(words, options)
    several = [option for option in places if option.settings.get("nargs") == "*"]
    option = places[len(given)] if len(given) < len(places) else next(iter(several), None)
    if option and option.completes == "run" and any(each.completes == "task" for each in places):
        names("task", fragment or "latest")  # fetched while the name of the run is being typed
    return _values(option, verb, words, names, variables) if option else []


def _positionals(words: list[str], options: Mapping[str, Option]) -> list[str]:
    found, skip = [], False
    for word in words:
        option = options.get(word)
        if not skip and not word.startswith("-"):
            found.append(word)
        skip = bool(option and option.takes_value and not skip)
    return found


def _values(
    option: Option, verb: Verb, words: list[str], names: Names, variables: Mapping[str, Any]
) -> list[str]:
    """Return the possible values of an option or an argument."""
    flags = {flag: each for each in verb.options for flag in each.flags}
    first = next(iter(_positionals(words, flags)), "")
    if "--params" in option.flags:
        return [f"${name}" for name, value in _public(variables) if isinstance(value, dict)]
    match option.completes:
        case "variable":
            return [name for name, _ in _public(variables)]
        case "state":
            return [state.lower() for state in (*STATES, "ACTIVE")]
        case "column":
            return [*_COLUMNS, *(f"-{column}" for column in _COLUMNS)]
        case "source":
            return _own(variables) + _files()
        case "runnable":
            return _own(variables) + _words_alone(names("pipeline", "")) + _files()
        case "parameter":
            return [f"{name}=" for name in _parameters(first, names, variables)]
        case "run parameter":
            return [f"{name}=" for name in names("run parameter", first or "latest")]
        case "task":
            return _words_alone(names("task", first))
        case "":
            return []
        case kind:
            return _words_alone(names(kind, ""))


def _parameters(pipeline: str, names: Names, variables: Mapping[str, Any]) -> list[str]:
    own = variables.get(pipeline)
    if PipelineSource.can_be(own):
        return [*PipelineSource.from_component(own).accepted]
    return names("parameter", pipeline)


def _own(variables: Mapping[str, Any]) -> list[str]:
    """The notebook's own pipelines and components."""
    return [name for name, value in _public(variables) if PipelineSource.can_be(value)]


def _public(variables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in [*variables.items()] if not name.startswith("_"))


def _words_alone(found: Iterable[str]) -> list[str]:
    """Return the words that can be written without quotes."""
    return [text for text in found if text and shlex.quote(text) == text]


def _files() -> list[str]:
    """The files in the working directory that may be compiled pipelines."""
    try:
        found = sorted(path.name for path in Path.cwd().iterdir() if path.name.endswith(_FILES))
    except OSError:
        return []
    return _words_alone(found[:MOST_FILES])
