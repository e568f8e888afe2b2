"""Results of checks: each passed, failed or not known, and how to fix what failed."""

from __future__ import annotations

import textwrap
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

import msgspec

from ..errors import KfpError, Unreachable

P = TypeVar("P")
T = TypeVar("T")

PASSED, FAILED, UNKNOWN = "passed", "failed", "not known"
SIGNS = {PASSED: "✓", FAILED: "✗", UNKNOWN: "?"}
WIDTH = 80
_SKIPPED = "Not checked"


class Finding(msgspec.Struct, frozen=True):
    """One result. A failed one has `cause` and `cure`; the lines to paste follow the first line of
    a cure.
    """

    result: str
    found: str
    cause: str = ""
    cure: str = ""
    check: str = ""

    @property
    def verdict(self) -> str:
        """The result as a sign and a word."""
        return f"{SIGNS[self.result]} {self.result}"


class Check(msgspec.Struct, Generic[P], frozen=True):
    """One check. It runs only if those that it `needs` have passed, and waits for those it comes
    `after`.
    """

    name: str
    look: Callable[[P], Finding]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


class CheckReport(msgspec.Struct, frozen=True):
    """All findings, from the client's side to KFP's, and the conclusion."""

    title: str
    findings: list[Finding]
    conclusion: str = ""

    @property
    def failed(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.result == FAILED]

    @property
    def rows(self) -> list[Finding]:
        """The findings; those of checks that were skipped for the same reason become one row."""
        groups: dict[str, list[Finding]] = {}
        for finding in self.findings:
            key = finding.found if _is_skipped(finding) else finding.check
            groups.setdefault(key, []).append(finding)
        return [_merged(group) for group in groups.values()]

    @property
    def remedies(self) -> list[tuple[str, str]]:
        """Return title, cause and cure of each failed check; a cure that repeats is shown once."""
        first_check: dict[str, str] = {}
        remedies = []
        for finding in self.failed:
            earlier = first_check.setdefault(finding.cure, finding.check)
            repeated = finding.cure and earlier != finding.check
            reference = f"The cure for {earlier} fixes it, too." if repeated else ""
            title = f"{finding.verdict}: {finding.check}"
            remedies.append((title, _remedy(finding, reference)))
        return remedies

    def __str__(self) -> str:
        """Return it as text of 80 columns; lines to paste are not wrapped."""
        remedies = (f"{title}\n{text}" for title, text in self.remedies)
        return "\n\n".join([f"{self.title}\n\n{_table(self.rows)}", *remedies, self.conclusion])


def passed(found: str) -> Finding:
    return Finding(PASSED, found)


def failed(found: str, cause: str = "", cure: str = "") -> Finding:
    return Finding(FAILED, found, cause, cure)


def not_known(found: str) -> Finding:
    return Finding(UNKNOWN, found)


def examined(checks: Sequence[Check[P]], probed: P, seconds: float) -> list[Finding]:
    """Run all checks concurrently, and return their findings after at most `seconds`.

    Each runs in a daemon thread, for which the process does not wait when it ends.
    """
    answers: dict[str, Future[Finding]] = {check.name: Future() for check in checks}
    for check in checks:
        threading.Thread(target=_examine, args=(check, probed, answers), daemon=True).start()
    wait(answers.values(), seconds)
    late = not_known(f"It took longer than {seconds:g} s.")
    return [_named(name, _result(answer, late)) for name, answer in answers.items()]


def within(seconds: float, call: Callable[[], T]) -> T:
    """Call a function in a thread, and return its result. Raises `Unreachable` after `seconds`."""
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # raised again below
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    wait([answer], seconds)
    if not answer.done():
        raise Unreachable(reason=f"it took longer than {seconds:g} s.")
    return answer.result()


def _examine(check: Check[P], probed: P, answers: dict[str, Future[Finding]]) -> None:
    wait([answers[name] for name in (*check.needs, *check.after)])
    missing = [name for name in check.needs if answers[name].result().result != PASSED]
    answer = answers[check.name]
    if missing:
        answer.set_result(not_known(f"{_SKIPPED}: '{missing[0]}' has not passed."))
        return
    try:
        answer.set_result(check.look(probed))
    except KfpError as error:
        answer.set_result(failed(error.message, error.cause, error.cure))
    except Exception as error:  # a bug in one check must not stop the others
        answer.set_result(not_known(f"This check itself failed: {type(error).__name__}."))


def _remedy(finding: Finding, reference: str = "") -> str:
    """Return cause and cure, or a reference to the same cure, with all lines but those to paste
    wrapped.
    """
    cure, _, paste = (reference or finding.cure).partition("\n")
    folded = [textwrap.fill(text, WIDTH, break_on_hyphens=False) for text in (finding.cause, cure)]
    return "\n".join(filter(None, [*folded, paste.rstrip()]))


def _result(answer: Future[Finding], late: Finding) -> Finding:
    return answer.result() if answer.done() else late


def _is_skipped(finding: Finding) -> bool:
    return finding.result == UNKNOWN and finding.found.startswith(_SKIPPED)


def _merged(group: list[Finding]) -> Finding:
    if len(group) == 1:
        return group[0]
    names = ", ".join(finding.check for finding in group)
    found = f"{group[0].found} These are {names}."
    return msgspec.structs.replace(group[0], check=f"{len(group)} checks", found=found)


def _named(name: str, finding: Finding) -> Finding:
    return msgspec.structs.replace(finding, check=name)


def _table(findings: Iterable[Finding]) -> str:
    rows = [(finding.verdict, finding.check, finding.found) for finding in findings]
    verdicts, names = (max(map(len, column)) + 2 for column in [*zip(*rows, strict=True)][:2])
    return "\n".join(
        textwrap.fill(
            found,
            WIDTH,
            initial_indent=f"{verdict:<{verdicts}}{name:<{names}}",
            subsequent_indent=" " * (verdicts + names),
            break_on_hyphens=False,
        )
        for verdict, name, found in rows
    )
