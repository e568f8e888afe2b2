"""Checks a connection to KFP, from the client's side to KFP's, and says how to fix its problems.

A check is a small function that takes the connection and returns a finding. The table of checks at
the end has the order of the report.
"""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
from urllib3.exceptions import HTTPError

from .. import intervals, refusal_causes
from ..attempts import attempting
from ..client import releases
from ..cluster import access_manifests, kubernetes_api, own_pod
from ..connection import choose_connection
from ..connection.choose_connection import CONTEXT_FILE
from ..connection.connections import Connection
from ..connection.door_client import Door
from ..credentials.kubeconfig import anonymous
from ..errors import KfpError, Unreachable
from ..models import Health
from ..namespaces.permissions import VERBS, VIEW
from ..network.bodies import whole
from ..network.no_answer_errors import no_answer
from ..other_servers import istio_tokens, refuses_tokens
from ..scrubbing import scrubbed
from ..settings import Kfp
from . import isolation_checks
from .check_results import (
    FAILED,
    PASSED,
    Check,
    CheckReport,
    Finding,
    examined,
    failed,
    not_known,
    passed,
    within,
)
from .probe_requests import CONNECT_SECONDS, DECIDE_SECONDS, ProbedConnection

SECONDS = intervals.EXAMINE_SECONDS
SKEW = timedelta(seconds=60)
PACKAGES = ("jupyter-kfp-mt", "kfp", "kfp-server-api", "jupyter-server", "kubernetes")
_KFP_RUNS = "Does KFP run there? Whoever administers the cluster can check with\n"
_KFP_PODS = "kubectl get service,pods -n kubeflow -l app=ml-pipeline"
_STOPPED = "It has stopped, or was restarted at another port."
_NEW_KERNEL = "Restart this kernel; if that does not help, the Jupyter server."


# --- where it is ----------------------------------------------------------------------------


def endpoint(probed: ProbedConnection) -> Finding:
    return passed(f"{probed.connection.endpoint} ({probed.chosen('endpoint').looked_at})")


def name_resolution(probed: ProbedConnection) -> Finding:
    host = probed.host
    if probed.proxy:
        return passed(f"The proxy {probed.proxy} resolves {host}")
    look_up = partial(socket.getaddrinfo, host, probed.port, type=socket.SOCK_STREAM)
    try:
        with attempting(f"resolve {host}"):
            addresses = within(CONNECT_SECONDS, look_up)
    except (OSError, UnicodeError):
        return failed(f"{host} cannot be resolved.", *_why_unknown(host))
    return passed(f"{host} is {addresses[0][4][0]}")


def _why_unknown(host: str) -> tuple[str, str]:
    if host.endswith(".svc.cluster.local") and not own_pod.is_here():
        cause = (
            "The name exists only inside the cluster, and this process is not in one of its pods."
        )
        cure = "Forward a port, and set it as the endpoint:\n" + refusal_causes.FORWARDED
        return cause, cure
    cause = "There is no such host or service, or the name is misspelt."
    return cause, f"Correct it in jupyter_server_config.py:\nc.Kfp.endpoint = '{_USUAL}'"


_USUAL = choose_connection.IN_CLUSTER_ENDPOINT


def connected(probed: ProbedConnection) -> Finding:
    where = f"{probed.host}:{probed.port}"
    if probed.proxy:
        return passed(f"The proxy {probed.proxy} connects to {where}")
    try:
        socket.create_connection((probed.host, probed.port), CONNECT_SECONDS).close()
    except TimeoutError:
        cause = "A firewall or a NetworkPolicy drops it, or the host is down."
        return failed(f"{where} does not answer.", cause, _KFP_RUNS + _KFP_PODS)
    except OSError as error:
        cause = f"Nothing listens there: {(error.strerror or str(error)).lower()}."
        return failed(f"{where} does not accept connections.", cause, _KFP_RUNS + _KFP_PODS)
    return passed(f"{where} accepts connections")


def istio(probed: ProbedConnection) -> Finding:
    answers = [probed.known.greeting, probed.known.listed]
    refusals = [answer for answer in answers if answer and answer.by_istio]
    if not refusals:
        return (
            passed("It has not refused these requests")
            if any(answers)
            else not_known("There was no answer.")
        )
    text = refusals[0].body.decode("utf-8", "replace")[:100]
    if refuses_tokens(text):
        return failed(text, *istio_tokens(text))
    cause = "No AuthorizationPolicy allows this pod's requests, or the pod has no sidecar."
    cure = "Whoever administers the cluster can allow tokens, as Kubeflow 1.9 does:\n"
    return failed(text, cause, cure + access_manifests.applied(access_manifests.token_policy()))


# --- what KFP says of itself ------------------------------------------------------------------


def healthz(probed: ProbedConnection) -> Finding:
    answer = probed.greeting
    if answer.by_istio:
        return not_known("Istio answered in KFP's place.")
    try:
        if answer.status != 200:
            raise probed.refusal(answer)
        _ = probed.health  # raises for an answer that is something else
    except KfpError:
        if answer.status < 500 and isinstance(probed.sent, KfpError):
            return not_known("The request had no credentials: see token below.")
        raise
    return passed(f"KFP answered in {answer.seconds * 1000:.0f} ms")


def server_version(probed: ProbedConnection) -> Finding:
    found = probed.health.tag_name
    return passed(found) if found else not_known("KFP does not say which version it is.")


def tenants(probed: ProbedConnection) -> Finding:
    if probed.health.multi_user:
        return passed("for several users, in namespaces")
    return passed("for a single user: no namespaces, everybody here shares everything")


def clock(probed: ProbedConnection) -> Finding:
    ahead = probed.ahead
    issued = probed.known.claims.iat if probed.known.claims else 0
    if ahead is None and issued:
        early = issued - probed.now.timestamp()
        ahead = timedelta(seconds=early) if early > 0 else None
    if ahead is None:
        return not_known("No answer had the server's time.")
    if abs(ahead) <= SKEW:
        return passed("the same as the server's")
    seconds, side = abs(ahead).total_seconds(), "behind" if ahead > timedelta() else "ahead of"
    return failed(
        f"This machine is {seconds:,.0f} s {side} the server.",
        "One of the two clocks is wrong; tokens may seem expired, or not valid yet.",
        "Set this machine's clock, or have an administrator set that of the pod's node:\n"
        "sudo timedatectl set-ntp true",
    )


# --- who we are -------------------------------------------------------------------------------


def token(probed: ProbedConnection) -> Finding:
    if not isinstance(probed.sent, dict):
        raise probed.sent
    credentials = probed.connection.credentials
    health = probed.known.health
    if health and health.multi_user and not credentials.identifies:
        raise anonymous().with_(attempt=f"use {probed.connection.endpoint}")
    if probed.sent:
        return passed(credentials.source)
    if health is None:
        return not_known("None was found, and it is not known whether KFP needs one.")
    if not health.multi_user:
        return passed("None is sent, and this KFP needs none.")
    steps = [step for step in probed.connection.trace if step.step == "credentials"]
    trace = "; ".join(f"{step.looked_at}: {step.found}" for step in steps)
    return failed("Requests carry no identity.", trace, _token_cure(probed))


def audience(probed: ProbedConnection) -> Finding:
    accepted, found = probed.connection.credentials.audience, probed.claims.audiences
    if not found:
        return not_known("These credentials name no audience.")
    if accepted in found:
        return passed(accepted)
    words = f"The token is for {', '.join(found)}"
    if probed.recognized:
        return passed(f"{words}; this KFP accepts it.")
    return failed(f"{words}.", f"KFP accepts tokens for {accepted}.", _token_cure(probed))


def expiry(probed: ProbedConnection) -> Finding:
    ends = probed.claims.expires_at
    if ends is None:
        return not_known("These credentials name no expiry.")
    left = int((ends - probed.now).total_seconds())
    if left > 0:
        return passed(f"in {_lasting(left)}, at {ends:%Y-%m-%d %H:%M:%S} UTC")
    cause = "It is no longer renewed; a kubelet renews the tokens of its pods while they run."
    return failed(
        f"The token expired {_lasting(-left)} ago, at {ends:%Y-%m-%d %H:%M:%S} UTC.",
        cause,
        _token_cure(probed),
    )


def subject(probed: ProbedConnection) -> Finding:
    found = probed.claims.sub or probed.claims.email
    return passed(found) if found else not_known("These credentials name no user.")


def _token_cure(probed: ProbedConnection) -> str:
    namespace = probed.namespace or "NAMESPACE"
    health = probed.known.health
    if health and health.local:
        return refusal_causes.LOCAL_TOKEN
    if own_pod.is_here():
        return (
            "Tick 'Allow access to Kubeflow Pipelines' for this notebook and restart it. If there "
            "is no such option, this adds it:\n"
            + access_manifests.applied(
                access_manifests.pod_default(own_pod.namespace() or namespace)
            )
        )
    return (
        "Request a token from Kubernetes, and set its file:\n"
        f"(umask 077; kubectl create token default-editor -n {shlex.quote(namespace)} "
        f"--audience {shlex.quote(probed.connection.credentials.audience)} > ~/kfp-token)\n"
        "export KFP_MT_TOKEN_FILE=~/kfp-token"
    )


def _lasting(seconds: int) -> str:
    minutes, hours = seconds // 60, seconds // 3600
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


# --- what we may do ---------------------------------------------------------------------------


def namespace(probed: ProbedConnection) -> Finding:
    health, chosen = probed.known.health, probed.chosen("namespace")
    if health and not health.multi_user:
        return passed("not used: this KFP is for a single user")
    if probed.namespace:
        return passed(f"{probed.namespace} ({chosen.looked_at})")
    if health is None:
        return not_known("None is chosen, and it is not known whether KFP needs one.")
    return failed(
        "None is chosen.",
        "This KFP keeps its users apart by namespaces, and none is configured here.",
        "Set yours in jupyter_server_config.py, or in this session with %kfp ns NAME:\n"
        "c.Kfp.namespace = 'NAME'",
    )


def answered(probed: ProbedConnection) -> Finding:
    where = f" in {probed.namespace}" if probed.health.multi_user else ""
    answer = probed.listed
    if answer.by_istio:
        return not_known("Istio answered in KFP's place.")
    if answer.status == 200:
        return passed(f"It lists experiments{where}: {_total(answer.body):,} in all.")
    error = probed.refusal(answer).with_(attempt=f"list experiments{where}")
    denied = refusal_causes.denial(answer.body)
    if denied and not probed.health.local:
        raise error.with_(cure=_role_cure(denied.user, denied.namespace))
    if answer.status == 401 and error.cure == refusal_causes.GET_TOKEN:
        raise error.with_(cure=_token_cure(probed))
    raise error


def _total(body: bytes) -> int:
    return int(msgspec.json.decode(body, type=dict[str, Any]).get("total_size", 0))


def reviews(probed: ProbedConnection) -> Finding:
    if not probed.health.multi_user:
        return not_known("A KFP for a single user has no roles.")
    reason = probed.permitted.reason
    who = "The local KFP" if probed.health.local else "Kubernetes"
    return not_known(reason) if reason else passed(f"{who} lists this identity's permissions.")


def allowed(resource: str, probed: ProbedConnection) -> Finding:
    verbs = probed.permitted.tables[probed.namespace][resource]
    may, unknown = ([verb for verb in verbs if verbs[verb] is known] for known in (True, None))
    refused = [verb for verb in verbs if verbs[verb] is False]
    groups = {"may": may, "may not": refused, "not known:": unknown}
    found = "; ".join(f"{words} {', '.join(group)}" for words, group in groups.items() if group)
    missing = [verb for verb in VIEW[resource] if verb in refused]
    if not missing:
        return passed(found)
    cause = f"No role in {probed.namespace} includes {' or '.join(missing)} for {resource}."
    user, where = probed.claims.sub, probed.namespace
    if probed.health.local:
        return failed(found, cause, refusal_causes.grant_locally(user, where, "view"))
    return failed(found, cause, _role_cure(user, where))


def _role_cure(user: str, where: str) -> str:
    words = f"Whoever administers {where} can allow it (role view is enough for reading):\n"
    return words + access_manifests.applied(access_manifests.role_binding(user, where, "edit"))


# --- what is around it ------------------------------------------------------------------------


def context_file(probed: ProbedConnection) -> Finding:
    path = CONTEXT_FILE.expanduser()
    remove = f"\nrm {CONTEXT_FILE}"
    try:
        content = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return passed(f"There is no {CONTEXT_FILE}.")
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        cause = "kfp.Client() reads it, and fails."
        return failed(f"{CONTEXT_FILE} is not what the SDK wrote.", cause, f"Remove it:{remove}")
    if header := content.get("client_authentication_header_name"):
        cause = (
            f"kfp.Client() sends header {header} with each request, which Istio refuses if it "
            "names a user."
        )
        return failed(f"{CONTEXT_FILE} adds a header.", cause, f"Remove it:{remove}")
    if not isinstance(content.get("namespace"), str):
        cause = "kfp.Client() fails without it."
        return failed(f"{CONTEXT_FILE} names no namespace.", cause, f"Remove it:{remove}")
    return _context(probed, content["namespace"], remove)


def _context(probed: ProbedConnection, named: str, remove: str) -> Finding:
    chosen = probed.chosen("namespace")
    if chosen.looked_at != str(CONTEXT_FILE):
        if named == probed.namespace:
            return passed(f"It names {named} as well.")
        return passed(f"It names {named or 'none'}, which only kfp.Client() uses.")
    if probed.recognized and probed.listed.status == 403:
        cause = "The SDK's set_user_namespace wrote it; it overrides the pod's own namespace."
        return failed(f"It names {named}, where KFP refuses us.", cause, f"Remove it:{remove}")
    return passed(f"It names {named}, which overrides the pod's own.")


def versions(probed: ProbedConnection) -> Finding:
    health = probed.known.health
    return _versions(health.tag_name if health else "")


def _versions(server: str = "") -> Finding:
    found = {name: _version(name) for name in PACKAGES}
    python = ".".join(map(str, sys.version_info[:3]))
    words = ", ".join(f"{name} {number or 'none'}" for name, number in found.items())
    words += f", Python {python}"
    if server[:1] == "2" and found["kfp"][:2] in ("0.", "1."):
        cause = f"kfp {found['kfp']} compiles pipelines for KFP 1, and this is {server}."
        return failed(words, cause, "Install the SDK of KFP 2:\npip install 'kfp>=2,<3'")
    if pair := releases.older(Health(tag_name=server), found["kfp"]):
        words += f"; KFP is {server}, and may refuse or ignore newer features of this kfp: "
        words += f"pip install 'kfp=={pair[0]}.*' fits it"
    return passed(words)


def userid(settings: Kfp) -> Finding:
    """Check whether the header with the signed-in user, who changes contributors, is trusted."""
    names = "c.Kfp.behind_kubeflow_gateway or KFP_MT_BEHIND_KUBEFLOW_GATEWAY"
    if settings.believes_userid():
        return passed(f"Trusted: {names} says that Kubeflow's gateway sets it in every request")
    if settings.is_behind_gateway():
        cause = "JupyterHub's proxy passes on any header that a browser sends."
        return failed("Not trusted under JupyterHub", cause, f"Leave out {names}.")
    return passed("Not trusted: contributors can be changed in Kubeflow's dashboard")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


CHECKS: tuple[Check[ProbedConnection], ...] = (
    Check("endpoint", endpoint),
    Check("name resolution", name_resolution, ("endpoint",)),
    Check("connection", connected, ("name resolution",)),
    Check("Istio", istio, ("connection",), ("healthz", "KFP's answer")),
    Check("healthz", healthz, ("connection",)),
    Check("version", server_version, ("healthz",)),
    Check("users", tenants, ("healthz",)),
    Check("clock", clock, ("connection",), ("healthz", "subject")),
    Check("token", token, ("endpoint",), ("healthz",)),
    Check("subject", subject, ("token",)),
    Check("audience", audience, ("subject",), ("KFP's answer",)),
    Check("expiry", expiry, ("token",), ("subject", "clock")),
    Check("namespace", namespace, ("endpoint",), ("healthz",)),
    Check("KFP's answer", answered, ("healthz", "token", "namespace")),
    Check("access reviews", reviews, ("healthz", "token", "namespace"), ("subject",)),
    *(
        Check(
            {"jobs": "recurring runs"}.get(name, name), partial(allowed, name), ("access reviews",)
        )
        for name in VERBS
    ),
    Check("context file", context_file, ("endpoint",), ("KFP's answer",)),
    Check("versions", versions, after=("healthz",)),
)


# --- who looks --------------------------------------------------------------------------------


def look(
    decide: Callable[[], Connection],
    settings: Kfp,
    namespace: str = "",
    apart: bool = False,
    others: tuple[str, ...] = (),
) -> CheckReport:
    """Check the connection that `decide` makes, or, with `apart`, whether it keeps tenants apart.

    `others` are namespaces of other tenants.
    """
    probed = ProbedConnection(decide, lambda: kubernetes_api.of_settings(settings), namespace)
    if apart:
        return isolation_checks.report(examined(isolation_checks.checks(others), probed, SECONDS))
    header = _named("kubeflow-userid", userid(settings))
    return _report([*examined(CHECKS, probed, SECONDS), header])


def examine(
    settings: Kfp,
    namespace: str = "",
    apart: bool = False,
    others: tuple[str, ...] = (),
    made: Connection | None = None,
    decide: Callable[[], Connection] | None = None,
) -> CheckReport:
    """Check the connection of this process; if it goes through a door, the Jupyter server checks.

    `made` is an existing connection; otherwise `decide` makes one.
    """
    door = choose_connection.door_of(settings, made)
    if door:
        return _behind(door, namespace, apart, others)
    decide = decide or (lambda: choose_connection.decide(settings))
    return look(decide, settings, namespace, apart, others)


def _behind(door: Door, namespace: str, apart: bool, others: tuple[str, ...]) -> CheckReport:
    """Return the Jupyter server's report, or one that says that the server does not answer."""
    query = [("namespace", namespace), ("isolation", "1" if apart else "")]
    try:
        report = _ask(door, [*query, *(("of", other) for other in others)])
    except _DoorIsShut as shut:
        every: tuple[Check[ProbedConnection], ...] = (
            isolation_checks.checks(others) if apart else CHECKS
        )
        return _report([shut.finding, *(_unseen(check.name) for check in every)])
    here = passed(f"The Jupyter server accepts this kernel's key at {door.address}")
    found = [_named("kernel key", here), *report.findings]
    if apart:
        return msgspec.structs.replace(report, findings=found)
    return _report([*found, _named("in this kernel", _versions())])


class _DoorIsShut(Exception):
    def __init__(self, found: str, cause: str) -> None:
        self.finding = _named("kernel key", failed(found, cause, _NEW_KERNEL))


def _ask(door: Door, query: list[tuple[str, str]]) -> CheckReport:
    waited = (CONNECT_SECONDS, SECONDS + DECIDE_SECONDS)
    try:
        with door.session() as session:
            answer = door.get(
                session,
                "doctor",
                params=[(name, value) for name, value in query if value],
                timeout=waited,
                stream=True,
            )
            body = whole(answer.raw, waited[1])
    except Unreachable as error:
        raise _DoorIsShut(error.message, _STOPPED) from None
    except (OSError, HTTPError) as error:
        found = no_answer(door.address, error, waited=waited)
        message = found.with_(attempt="ask the Jupyter server").message
        raise _DoorIsShut(message, _STOPPED) from None
    if answer.status_code == 200:
        return msgspec.json.decode(body, type=CheckReport)
    if answer.status_code == 400:
        refused = refusal_causes.refusal(400, scrubbed(answer, body))
        raise refused.with_(attempt="check the connection")
    if answer.status_code in (401, 403):
        message = "The Jupyter server does not accept this kernel's key."
        raise _DoorIsShut(message, "It was restarted after this kernel, and has another key.")
    message = f"The Jupyter server cannot check the connection (HTTP {answer.status_code})."
    raise _DoorIsShut(message, "Its jupyter-kfp-mt has another version than the kernel's.")


def _report(findings: list[Finding]) -> CheckReport:
    counts = [sum(each.result == result for each in findings) for result in (PASSED, FAILED)]
    unknown = len(findings) - sum(counts)
    beside = f", {unknown} not known" if unknown else ""
    conclusion = (
        f"{counts[1]} failed, {counts[0]} passed{beside}. Fix the first failure first."
        if counts[1]
        else f"Nothing failed: {counts[0]} passed{beside}."
    )
    return CheckReport("The connection to Kubeflow Pipelines", findings, conclusion)


def _unseen(name: str) -> Finding:
    return _named(name, not_known("Only the Jupyter server can check this."))


def _named(name: str, finding: Finding) -> Finding:
    return msgspec.structs.replace(finding, check=name)
