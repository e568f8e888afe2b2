"""Checks whether a deployment isolates its tenants, with requests of one identity that only read.

Each check tries something that should be refused. None changes anything, and nothing that is read
is reported.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec

from .. import refusal_causes
from ..cluster import access_manifests
from ..errors import BadRequest, KfpError, Unreachable
from ..resource_names import check_namespace
from .check_results import FAILED, PASSED, Check, CheckReport, Finding, failed, not_known, passed
from .probe_requests import ProbeAnswer, ProbedConnection

# No namespace can have this name, which contains a dot.
IMPOSSIBLE = "no.such.namespace"
USUAL_OTHERS = ("kubeflow", IMPOSSIBLE)
NOBODY = "nobody@kfp-mt-doctor.invalid"
# Kubeflow's header, and KFP's default.
FORGED = (
    {access_manifests.USER_HEADER: NOBODY},
    {"x-goog-authenticated-user-email": f"accounts.google.com:{NOBODY}"},
)
MOST_OTHERS = 20
LISTS = ("experiments", "runs", "recurringruns", "pipelines")
_NO_RUN = "00000000-0000-0000-0000-000000000000"
_CLOSE = (
    "This package never uses them. Whoever administers the cluster can close the paths that KFP "
    "does not guard:\n"
)
_SETTINGS = "kubectl set env -n kubeflow deployment/ml-pipeline "


def several_users(probed: ProbedConnection) -> Finding:
    if probed.greeting.status != 200:
        answer = probed.greeting
        raise probed.refusal(answer)
    if probed.health.multi_user:
        return passed("KFP is for several users, in namespaces.")
    return failed(
        "KFP is for a single user: everybody who reaches it shares everything.",
        "It was installed without MULTIUSER.",
        "Do not share it, or install all of Kubeflow (https://github.com/kubeflow/manifests): "
        "setting MULTIUSER is not enough, as profiles, Istio and the roles would be missing.",
    )


def own_namespace(probed: ProbedConnection) -> Finding:
    """Check that KFP accepts this identity: otherwise a refusal elsewhere would prove nothing."""
    if not probed.namespace:
        return not_known("No namespace is chosen: set c.Kfp.namespace, or use %kfp ns NAME.")
    answer = probed.list("runs", probed.namespace, probed.headers)
    if answer.status == 200:
        return passed(f"KFP knows this identity, and lists runs in {probed.namespace}.")
    why = refusal_causes.server_text(answer.body)[:200] or f"HTTP {answer.status}"
    return not_known(f"KFP refuses this identity, so other refusals prove nothing: {why}")


def anonymous_lists(probed: ProbedConnection) -> Finding:
    for nouns in LISTS:
        answer = probed.list(nouns, probed.namespace, {})
        if answer.status == 200:
            return failed(
                f"Anybody can list {nouns} in {probed.namespace}, without credentials.",
                "KFP runs with MULTIUSER_SHARED_READ, or a proxy in front of it adds an identity.",
                "Whoever administers it can switch that off:\n"
                f"{_SETTINGS}MULTIUSER_SHARED_READ=false",
            )
        if not is_closed(answer):
            return not_known(f"KFP answers HTTP {answer.status} to an anonymous list of {nouns}.")
    return passed("Nobody can list anything without credentials.")


def foreign_namespace(name: str, probed: ProbedConnection) -> Finding:
    if name == probed.namespace:
        return not_known(f"{name} is this identity's own namespace: try another one.")
    for nouns in LISTS:
        answer = probed.list(nouns, name, probed.headers)
        if answer.status == 200:
            return _open_namespace(name, nouns)
        if answer.status != 403:
            return not_known(f"KFP answers HTTP {answer.status} to a list of {nouns} in {name}.")
    return passed(f"This identity cannot list anything in {name}.")


def _open_namespace(name: str, nouns: str) -> Finding:
    if name == IMPOSSIBLE:
        cause = "A ClusterRoleBinding gives it a role in all namespaces."
        paste = "kubectl get clusterrolebindings -o wide | grep kubeflow"
        return failed(f"This identity can list {nouns} in any namespace.", cause, _LOOK + paste)
    cause = "It has a role there: the namespace is shared with it, or a role binding is wrong."
    paste = f"kubectl get rolebindings -n {shlex.quote(name)} -o wide"
    return failed(f"This identity can list {nouns} in {name}.", cause, _LOOK + paste)


_LOOK = "Is that intended? Whoever administers the cluster can look at the roles with\n"


def forged_header(probed: ProbedConnection) -> Finding:
    for forged in FORGED:
        for own in ({}, probed.headers):
            answer = probed.list("runs", probed.namespace, {**own, **forged})
            denied = refusal_causes.denial(answer.body)
            if denied and denied.user == NOBODY:
                return _believed(next(iter(forged)))
            if answer.status == 200 and not own:
                return not_known("Anonymous requests are answered, even without a forged header.")
            if not (is_closed(answer) or answer.status == 200):
                return not_known(f"KFP answers HTTP {answer.status} to a forged header.")
    return passed("A header with another user's name changes nothing.")


def _believed(header: str) -> Finding:
    return failed(
        f"KFP trusts the user's name in header {header}: everybody can act as any user.",
        "Only a gateway should be able to send it, but others can reach KFP, too: Istio is not in "
        "front of it, or lets this pod in as if it were the gateway.",
        "Whoever administers the cluster can restrict requests with the header to Kubeflow's own "
        "services:\n" + access_manifests.applied(access_manifests.kfp_policy()),
    )


def pipeline_names(probed: ProbedConnection) -> Finding:
    """Request a pipeline of this namespace anonymously, in place of those of other namespaces."""
    answer = probed.list("pipelines", probed.namespace, probed.headers)
    own = _items(answer, "pipelines")
    if not own:
        where = probed.namespace
        return not_known(f"There is no pipeline in {where} to try it with; %kfp upload adds one.")
    name = str(own[0].get("name") or own[0].get("display_name"))
    found = probed.ask(f"pipelines/names/{quote(name, safe='')}")
    if found.status == 200:
        return failed(
            "Anybody who knows a pipeline's name can read it, in any namespace.",
            "KFP assumes that a request without a namespace is for a shared pipeline, and then "
            "searches all namespaces.",
            _CLOSE + access_manifests.applied(access_manifests.closed_paths()),
        )
    if is_closed(found) or found.status == 404:
        return passed("A namespace's pipeline cannot be read with its name alone.")
    return not_known(f"KFP answers HTTP {found.status} to the name of a pipeline.")


def anonymous_logs(probed: ProbedConnection) -> Finding:
    """Request the log of a run that does not exist: KFP begins to answer before it looks for it."""
    answer = probed.ask(_log_path(_NO_RUN))
    if answer.status == 404:  # this KFP looks for the run first, so try one of our own
        runs = _items(probed.list("runs", probed.namespace, probed.headers), "runs")
        if not runs:
            return not_known(f"There is no run in {probed.namespace} to try it with.")
        answer = probed.ask(_log_path(str(runs[0].get("run_id"))))
    if answer.status == 200:
        return failed(
            "Anybody who knows a run's id can read the logs of its tasks.",
            "KFP does not check who reads logs under /apis/v1alpha1.",
            _CLOSE + access_manifests.applied(access_manifests.closed_paths()),
        )
    if is_closed(answer) or answer.status == 404:
        return passed("Nobody can read a log without credentials.")
    return not_known(f"KFP answers HTTP {answer.status} to an anonymous request for a log.")


def is_closed(answer: ProbeAnswer) -> bool:
    """Tell whether an answer is a refusal."""
    return answer.status in (401, 403) or answer.by_login


def checks(others: tuple[str, ...] = ()) -> tuple[Check[ProbedConnection], ...]:
    """All checks; `others` are namespaces of other tenants. Raises `BadRequest`."""
    if len(others) > MOST_OTHERS:
        raise BadRequest(f"Cannot check more than {MOST_OTHERS} namespaces of other tenants.")
    for name in others:
        check_namespace(name)
    apart, known = ("users",), ("own namespace",)
    foreign = enumerate(dict.fromkeys((*others, *USUAL_OTHERS)), 1)
    return (
        _check("users", several_users),
        _check("own namespace", own_namespace, apart),
        _check("anonymous lists", anonymous_lists, known),
        *(
            _check(f"in {_short(name, number)}", partial(foreign_namespace, name), known)
            for number, name in foreign
        ),
        _check("forged header", forged_header, known),
        _check("pipeline names", pipeline_names, known),
        _check("anonymous logs", anonymous_logs, apart),
    )


def _check(
    name: str, look: Callable[[ProbedConnection], Finding], needs: tuple[str, ...] = ()
) -> Check[ProbedConnection]:
    """Wrap a check so that its errors become a result that is not known."""

    def checked(probed: ProbedConnection) -> Finding:
        try:
            return look(probed)
        except KfpError as error:
            return not_known(f"{error.message} %kfp doctor says how to fix it.")

    return Check(name, checked, needs)


def report(findings: list[Finding]) -> CheckReport:
    """Return a report of the findings, with a conclusion."""
    leaks = [finding for finding in findings if finding.result == FAILED]
    unknown = [finding.check for finding in findings if finding.result not in (FAILED, PASSED)]
    words = "This deployment keeps its tenants apart, as far as one identity can tell by reading."
    if leaks:
        words = f"This deployment does not keep its tenants apart: {_ways(len(leaks))} open."
    elif unknown:
        words = "No way to other tenants was open, among those that could be tried."
    if unknown:
        words += f" Not known: {', '.join(unknown)}."
    return CheckReport("Are tenants kept apart?", findings, words)


def _ways(count: int) -> str:
    return "1 way is" if count == 1 else f"{count} ways are"


def _log_path(run_id: str) -> str:
    return f"/apis/v1alpha1/runs/{quote(run_id, safe='')}/nodes/kfp-mt-doctor/log"


def _items(answer: ProbeAnswer, key: str) -> list[dict[str, Any]]:
    if answer.status != 200:
        return []
    try:
        found = msgspec.json.decode(answer.body, type=dict[str, Any]).get(key, [])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreachable("The answer is not one of KFP's.") from None
    return [item for item in found if isinstance(item, dict)]


def _short(name: str, number: int) -> str:
    """A short and unique name; the number is for long names that begin alike."""
    return name if len(name) <= 24 else f"{name[:20]}…{number}"
