"""The meaning of refusals by KFP, Istio and Kubernetes, and how to fix them."""

from __future__ import annotations

import re
import shlex
from typing import Any

import msgspec

from . import other_servers
from .errors import (
    BadRequest,
    Conflict,
    Forbidden,
    KfpError,
    NotFound,
    Refused,
    Unauthenticated,
    Unreachable,
    from_dict,
)
from .kubeflow_roles import Denial, Goal, role_for
from .other_servers import NOWHERE, AskedAddress
from .resource_names import as_name, kubectl_option

# The text with which the API server denies a SubjectAccessReview. As with all patterns here, the
# time that it takes must grow with the length of a text and no faster: KFP quotes what it was sent.
_DENIED = re.compile(
    r"User '(?P<user>[^']{0,500})' is not authorized with reason: .{0,2000}?"
    r"Namespace:(?P<namespace>[^,]{0,300}),Verb:(?P<verb>[^,]{0,100}),Group:[^,]{0,300},"
    r"Version:[^,]{0,100},Resource:(?P<resource>[^,]{0,300}),"
)
# The text of KFP's 400 to an upload without an identity; since 2.15 it gives no reason.
_NOBODY = "User identity is empty in the request header"
# Its answer when a run that is to be stopped has finished or is gone.
_NOT_STOPPED = re.compile(r"Failed to terminate a run \S+ Row not found")
# The text of the gateway in front of KFP's API for an unknown path: in JSON since 2.14.
_NO_PATH = "Not Found"
_NO_METHOD = "Method Not Allowed"
# The text with which its database refuses a value whose length KFP does not check.
_TOO_LONG = re.compile(r"Data too long for column '(\w+)'")
# What precedes the reason at the end of an internal error, after the steps that KFP was taking.
_INNERMOST = re.compile(r"\b(?:Invalid input error|InvalidInputError): ")
_NO_ACCOUNT = re.compile(r'serviceaccounts \\?"([^"\\]+)\\?" not found')
# The reason that the local KFP gives for refusing an upload; KFP itself gives none.
_REASON = re.compile(r"\nreason\n\t([^\n]+)")
# The beginning of the door's messages, which know only the request.
_REQUESTED = re.compile(r"Cannot (GET|POST|PATCH|DELETE) /\S*: ")

# The fields of KFP's own error bodies, in all its versions.
_KFP_FIELDS = ("code", "error", "message", "details", "error_message", "error_details")

OTHER_PROXY = (
    "The proxy is set in HTTPS_PROXY or HTTP_PROXY, or in a kubeconfig (proxy-url): correct it, or "
    "add the endpoint's host to NO_PROXY."
)
# Through a forwarded port KFP still asks for a token; Kubernetes issues one.
FORWARDED = """\
kubectl port-forward -n kubeflow svc/ml-pipeline 8888:8888
export KFP_MT_ENDPOINT=http://localhost:8888 KFP_MT_AUTH=kubernetes"""
GET_TOKEN = (
    "In a Kubeflow notebook: tick 'Allow access to Kubeflow Pipelines' (PodDefault "
    "access-ml-pipeline) for this notebook and restart it; elsewhere set "
    "KF_PIPELINES_SA_TOKEN_PATH to a token file for audience pipelines.kubeflow.org."
)
LOCAL_TOKEN = (
    "The tokens that the local KFP accepts are in its data folder, such as "
    "tokens/NAMESPACE/default-editor/token: set c.Kfp.token_file to one of them, or leave it out."
)


def refusal(status: int, body: bytes, local: bool = False, at: AskedAddress = NOWHERE) -> KfpError:
    """Return the error for an answer of `status` >= 300; `attempting` says what was requested.

    `local`: the answer is the local KFP's, where a cure is a line in the profiles file; `at` is the
    address of the request.
    """
    fields = _fields(body)
    if fields.get("kind") == "Status":
        return _kubernetes(status, str(fields.get("message", "")))
    if "kind" not in fields:
        return _refusal(status, body, local, at)
    # A Jupyter server's door has explained it already, for the request that it saw.
    if "code" not in fields:
        message = str(fields.get("message", ""))
        requested = _REQUESTED.match(message)
        reason = message[requested.end() :] if requested else ""
        return from_dict({**fields, "message": "" if reason else message, "reason": reason})
    error = _refusal(status, body, local, at)
    return error.with_(cause=str(fields.get("cause", "")), cure=str(fields.get("cure", "")))


def _refusal(status: int, body: bytes, local: bool, at: AskedAddress) -> KfpError:
    text = server_text(body)
    if status == 407:
        return Unreachable(
            reason="a proxy requires a user name and a password (HTTP 407).",
            cure=OTHER_PROXY,
            server_text=text,
        )
    if status in (502, 503, 504) and not _fields(body):
        return nobody_behind(status, text)
    if other := other_servers.error_of(status, body, text, at):
        return other
    if found := denial(body):
        return denied(found._replace(local=local), text)
    if "RBAC: access denied" in text:
        return _istio(text)
    if status == 401 or (status == 400 and _NOBODY in text):
        return _unauthenticated(body, text, LOCAL_TOKEN if local else GET_TOKEN)
    if _NOT_STOPPED.search(text):
        return BadRequest(
            reason="there is nothing left to stop.",
            cause="The run has finished already, or is being terminated.",
            server_text=text,
        )
    if too_long := _TOO_LONG.search(text):
        return _too_long(too_long[1], text)
    if _is_too_old(status, body, text, at):
        return other_servers.too_old(text)
    if status == 404 and _decoded(body) is None:
        return other_servers.nothing_there(text, at)
    if status == 404 and text == _NO_PATH:
        return other_servers.version_1(text, at)
    classes = {400: BadRequest, 403: Forbidden, 404: NotFound, 409: Conflict}
    why = _INNERMOST.split(text)[-1] or f"HTTP {status}"
    return classes.get(status, Refused)(reason=why, server_text=text)


def _is_too_old(status: int, body: bytes, text: str, at: AskedAddress) -> bool:
    """Tell whether it is a KFP before 2.14 that does not know a path or a method.

    Every KFP has `healthz`: where that is not found, there is no KFP.
    """
    unknown = (status, text) in ((404, _NO_PATH), (405, _NO_METHOD), (501, _NO_METHOD))
    return unknown and _decoded(body) is None and not at.url.endswith("/healthz")


def _too_long(column: str, text: str) -> BadRequest:
    what = "description" if column == "Description" else "name"
    return BadRequest(
        reason=f"the {what} is longer than KFP's database takes.",
        cure=f"Give it a shorter {what}.",
        server_text=text,
    )


def denial(body: bytes) -> Denial | None:
    """Return the right that Kubernetes denied when KFP asked, if that is what the body says."""
    found = _DENIED.search(server_text(body))
    if found is None:
        return None
    user, namespace, verb, resource = found.groups()
    return Denial(user, namespace, verb, resource)


def explained(body: bytes, error: KfpError) -> dict[str, Any]:
    """The one JSON shape of an error; the fields that KFP itself wrote replace ours."""
    fields = _fields(body)
    own = {} if fields.get("kind") == "Status" else fields
    written = {name: own[name] for name in _KFP_FIELDS if name in own}
    if isinstance(trace := written.get("error_details"), str):  # a stack trace of Go
        written["error_details"] = re.split(r"\n|\\n", trace, maxsplit=1)[0]
    return {**error.to_dict(), **written}


def read_only() -> Forbidden:
    """Return the error for a change where `Kfp.read_only` is set."""
    return Forbidden(
        reason="this connection to KFP is for reading only.",
        cause="c.Kfp.read_only or KFP_MT_READ_ONLY is set, so nothing can be changed from here.",
        cure="Whoever configured it can unset it; then restart the Jupyter server and this kernel.",
    )


def server_text(body: bytes) -> str:
    """Return the readable text in an error body (details, else message, else error), or the body.

    For an upload it is the reason that the local KFP adds. The order suits the API server's error
    bodies since 2.0; for an internal error only the message says anything.
    """
    answer = _decoded(body)
    if answer is None:
        return body[:1000].decode("utf-8", "replace").strip()
    if not isinstance(answer, dict):
        return ""
    if reason := _REASON.search(str(answer.get("error_details", ""))):
        return reason[1]
    details = answer.get("details") or [{}]
    text = _message(details[0]) if isinstance(details, list) else ""
    if text in ("", "Internal Server Error"):
        text = _message(answer) or text
    return text


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _fields(body: bytes) -> dict[str, Any]:
    answer = _decoded(body)
    return answer if isinstance(answer, dict) else {}


def _message(answer: Any) -> str:
    if not isinstance(answer, dict):
        return ""
    found = next(
        (answer[key] for key in ("message", "error", "error_message") if answer.get(key)), ""
    )
    return str(found)


def denied(denial: Denial, text: str, goal: Goal | None = None) -> Forbidden:
    """Return the error for a missing right, with a role that includes it and those of `goal`."""
    user, namespace, verb, resource, local = denial
    role = role_for(verb, resource, goal)
    step = f"{verb} {resource}"
    deed, because = step, "It has no role there that allows it"
    if goal and (verb, resource) != (goal.verb, goal.resource):
        deed, because = goal.deed, f"KFP refused its first step, {step}"
    error = Forbidden(
        reason=f"{user} may not {deed} in namespace {namespace}.",
        cause=f"{because}; role {role} is needed.",
        cure=grant_locally(user, namespace, role)
        if local
        else f"An administrator of {namespace} can allow it:\n{grant_role(user, namespace, role)}",
        server_text=text,
    )
    error.denial = denial
    return error


def grant_role(user: str, namespace: str, role: str) -> str:
    """The command that gives a user KFP's role edit or view in a namespace."""
    words = ["kubectl", "create", "rolebinding", f"kfp-{as_name(user)}-{role}", "-n", namespace]
    words += [f"--clusterrole=kubeflow-pipelines-{role}", kubectl_option(user)]
    return shlex.join(words)


def grant_locally(user: str, namespace: str, role: str) -> str:
    return (
        f"Whoever runs this local KFP can allow it, with a line in its profiles file:\n"
        f"- namespace: {namespace}\n"
        f"  contributors: {{{msgspec.json.encode(user).decode()}: {role}}}"
    )


def _istio(text: str) -> Forbidden:
    return Forbidden(
        reason="Istio refused it before KFP saw it (RBAC: access denied).",
        cause="The notebook pod has no sidecar, or an AuthorizationPolicy does not let it in.",
        cure="Ask the cluster's administrator about AuthorizationPolicy ml-pipeline in namespace "
        "kubeflow: since Kubeflow 1.9 it lets in requests without a kubeflow-userid header.",
        server_text=text,
    )


def nobody_behind(status: int, text: str) -> Unreachable:
    """Return the error for the answer of a gateway that finds no KFP behind it."""
    return Unreachable(
        reason=f"a gateway answered in KFP's place (HTTP {status}).",
        cause="No KFP behind it answers: KFP is starting, has stopped, or is overloaded.",
        cure="Try again in a minute; an administrator can see the reason with\n"
        "kubectl get pods -n kubeflow -l app=ml-pipeline",
        server_text=text,
    )


def _kubernetes(
    status: int,
    text: str,
) -> KfpError:
    """The error for a refusal by the Kubernetes API, whose service proxy leads to KFP."""
    if status == 401:
        return Unauthenticated(
            reason="Kubernetes does not know who is asking.",
            cause="It does not accept the credentials of the kubeconfig; they may have expired.",
            cure="Log in to the cluster again, and check the login with\nkubectl auth whoami",
            server_text=text,
        )
    if status == 403:
        return Forbidden(
            reason="Kubernetes refused it before KFP saw it.",
            cause="Reaching KFP through the Kubernetes API needs a right to services/proxy.",
            cure=f"Forward a port instead, and set it as the endpoint:\n{FORWARDED}",
            server_text=text,
        )
    if status >= 500 or status == 404:
        return Unreachable(
            reason="Kubernetes found no KFP to pass the request on to.",
            cause="Service ml-pipeline does not exist, or none of its pods is ready.",
            cure="kubectl get service,pods -n kubeflow -l app=ml-pipeline",
            server_text=text,
        )
    return Refused(reason=f"{text or f'HTTP {status}'}", server_text=text)


def _unauthenticated(body: bytes, text: str, cure: str) -> Unauthenticated:
    whole = body.decode("utf-8", "replace")
    if gone := _NO_ACCOUNT.search(whole):
        cause = f"The token's service account, {gone[1]}, was deleted."
    elif "audience" in whole:
        cause = "The token is for another audience."
    elif "expired" in whole:
        cause = "The token has expired."
    elif "Authenticated is false" in whole:
        cause = "KFP does not accept the token: it has expired, or it is not from this cluster."
    else:
        cause = "No token was sent, or KFP could not read it."
    return Unauthenticated(
        reason="KFP does not know who is asking.",
        cause=cause,
        cure=cure,
        server_text=text,
    )
