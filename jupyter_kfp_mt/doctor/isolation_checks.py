"""Checks whether a deployment isolates its tenants, as far as one identity can find out by reading.

Each check tries something that should be refused. None changes anything, and of an open path only
the fact that it is open is reported.
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
# The header of Kubeflow, and the one that KFP itself begins with.
FORGED = (
    {access_manifests.USER_HEADER: NOBODY},
    {"x-goog-authenticated-user-email": f"accounts.google.com:{NOBODY}"},
)
MOST_OTHERS = 20
LISTS = ("experiments", "runs", "recurringruns", "pipelines")
_NO_RUN = "00000000-0000-0000-0000-000000000000"
_CLOSE = (
    "This package never asks so. Whoever administers the cluster can close the paths that KFP does "
    "not guard:\n"
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
        "Use it alone, or install Kubeflow as a whole (https://github.com/kubeflow/manifests): to "
        "set MULTIUSER here would not do, for profiles, Istio and the roles would be missing.",
    )


def own_namespace(probed: ProbedConnection) -> Finding:
    """Without it a refusal elsewhere would prove nothing."""
    if not probed.namespace:
        return not_known("No namespace is chosen: c.Kfp.namespace or %kfp ns names one.")
    answer = probed.list("runs", probed.namespace, probed.headers)
    if answer.status == 200:
        return passed(f"KFP knows this identity, and lists runs in {probed.namespace}.")
    said = refusal_causes.server_text(answer.body)[:200] or f"HTTP {answer.status}"
    return not_known(f"KFP lets this identity see nothing, so that it proves nothing: {said}")


def anonymous_lists(probed: ProbedConnection) -> Finding:
    for nouns in LISTS:
        answer = probed.list(nouns, probed.namespace, {})
        if answer.status == 200:
            return failed(
                f"Anybody lists {nouns} in {probed.namespace}, without saying who they are.",
                "KFP runs with MULTIUSER_SHARED_READ, or what stands before it adds an identity.",
                "Whoever administers it can switch that off:\n"
                f"{_SETTINGS}MULTIUSER_SHARED_READ=false",
            )
        if not is_closed(answer):
            return not_known(f"KFP answers HTTP {answer.status} to an anonymous list of {nouns}.")
    return passed("Who does not say who they are lists nothing.")


def foreign_namespace(name: str, probed: ProbedConnection) -> Finding:
    if name == probed.namespace:
        return not_known(f"{name} is this identity's own namespace: name another one.")
    for nouns in LISTS:
        answer = probed.list(nouns, name, probed.headers)
        if answer.status == 200:
            return _open_namespace(name, nouns)
        if answer.status != 403:
            return not_known(f"KFP answers HTTP {answer.status} to a list of {nouns} in {name}.")
    return passed(f"This identity lists nothing in {name}.")


def _open_namespace(name: str, nouns: str) -> Finding:
    if name == IMPOSSIBLE:
        cause = "A role reaches beyond its namespace: there is a ClusterRoleBinding for it."
        paste = "kubectl get clusterrolebindings -o wide | grep kubeflow"
        return failed("This identity lists what it likes in any namespace.", cause, _LOOK + paste)
    cause = "A role is bound to it there: somebody shares the namespace, or bound one too many."
    paste = f"kubectl get rolebindings -n {shlex.quote(name)} -o wide"
    return failed(f"This identity lists {nouns} in {name}.", cause, _LOOK + paste)


_LOOK = "Is it meant to? Whoever administers it sees the roles with\n"


def forged_header(probed: ProbedConnection) -> Finding:
    for forged in FORGED:
        for own in ({}, probed.headers):
            answer = probed.list("runs", probed.namespace, {**own, **forged})
            denied = refusal_causes.denial(answer.body)
            if denied and denied.user == NOBODY:
                return _believed(next(iter(forged)))
            if answer.status == 200 and not own:
                return not_known("Anonymous requests are answered: nobody has to forge anything.")
            if not (is_closed(answer) or answer.status == 200):
                return not_known(f"KFP answers HTTP {answer.status} to a forged header.")
    return passed("Nobody becomes another user by a header that says so.")


def _believed(header: str) -> Finding:
    return failed(
        f"KFP believes whoever is named in header {header}: everybody can be anybody.",
        "Only a gateway may name a user, and nothing keeps others from KFP's own address: Istio "
        "is not before it, or this pod is let in as if it were the gateway.",
        "Whoever administers the cluster can let in only what names no user, and Kubeflow's own "
        "services:\n" + access_manifests.applied(access_manifests.kfp_policy()),
    )


def pipeline_names(probed: ProbedConnection) -> Finding:
    """A pipeline of one's own stands for those of others: somebody without identity asks for it."""
    answer = probed.list("pipelines", probed.namespace, probed.headers)
    own = _items(answer, "pipelines")
    if not own:
        where = probed.namespace
        return not_known(f"There is no pipeline in {where} to try it with; %kfp upload adds one.")
    name = str(own[0].get("name") or own[0].get("display_name"))
    found = probed.ask(f"pipelines/names/{quote(name, safe='')}")
    if found.status == 200:
        return failed(
            "Anybody reads a pipeline of any namespace who knows its name.",
            "KFP takes a request without a namespace for one for a shared pipeline, and then looks "
            "in all namespaces.",
            _CLOSE + access_manifests.applied(access_manifests.closed_paths()),
        )
    if is_closed(found) or found.status == 404:
        return passed("A pipeline of a namespace is not found by its name alone.")
    return not_known(f"KFP answers HTTP {found.status} to the name of a pipeline.")


def anonymous_logs(probed: ProbedConnection) -> Finding:
    """KFP begins to answer before it looks for the run, so that one that never was is enough."""
    answer = probed.ask(_log_path(_NO_RUN))
    if answer.status == 404:  # it is looked for first: one of our own tells
        runs = _items(probed.list("runs", probed.namespace, probed.headers), "runs")
        if not runs:
            return not_known(f"There is no run in {probed.namespace} to try it with.")
        answer = probed.ask(_log_path(str(runs[0].get("run_id"))))
    if answer.status == 200:
        return failed(
            "Anybody reads the log of any task who knows the run's id.",
            "KFP does not ask who reads logs under /apis/v1alpha1.",
            _CLOSE + access_manifests.applied(access_manifests.closed_paths()),
        )
    if is_closed(answer) or answer.status == 404:
        return passed("Who does not say who they are reads no log.")
    return not_known(f"KFP answers HTTP {answer.status} to an anonymous request for a log.")


def is_closed(answer: ProbeAnswer) -> bool:
    """Tell whether it is a refusal."""
    return answer.status in (401, 403) or answer.by_login


def checks(others: tuple[str, ...] = ()) -> tuple[Check[ProbedConnection], ...]:
    """All checks; `others` are namespaces that are not this identity's. Raises `BadRequest`."""
    if len(others) > MOST_OTHERS:
        raise BadRequest(f"Cannot look into more than {MOST_OTHERS} namespaces of others.")
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
    """Wrap a check so that no answer counts as passed: what does not answer is not open."""

    def told(probed: ProbedConnection) -> Finding:
        try:
            return look(probed)
        except KfpError as error:
            return not_known(f"{error.message} %kfp doctor says how to fix it.")

    return Check(name, told, needs)


def report(findings: list[Finding]) -> CheckReport:
    """Return what they come to, in words."""
    leaks = [finding for finding in findings if finding.result == FAILED]
    unknown = [finding.check for finding in findings if finding.result not in (FAILED, PASSED)]
    told = "This deployment keeps its tenants apart, as far as one identity can tell by reading."
    if leaks:
        told = f"This deployment does not keep its tenants apart: {_ways(len(leaks))} open."
    elif unknown:
        told = "Nothing that was tried was open."
    if unknown:
        told += f" Not known: {', '.join(unknown)}."
    return CheckReport("Are tenants kept apart?", findings, told)


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
        raise Unreachable("KFP answered, but not as KFP does.") from None
    return [each for each in found if isinstance(each, dict)]


def _short(name: str, number: int) -> str:
    """A name that no other has: long ones may begin alike."""
    return name if len(name) <= 24 else f"{name[:20]}…{number}"
