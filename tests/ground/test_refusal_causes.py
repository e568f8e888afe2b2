"""The causes of refusals, and what mends them."""

import json
import time

import pytest

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.refusal_causes import explained, refusal

DENIED = (
    "User '{user}' is not authorized with reason:  (request: &ResourceAttributes{{Namespace:team-a,"
    "Verb:{verb},Group:pipelines.kubeflow.org,Version:v1beta1,Resource:runs,Subresource:,Name:,"
    "FieldSelector:nil,LabelSelector:nil,}})"
)


def answer(text, code=7):
    details = [{"@type": "type.googleapis.com/google.rpc.Status", "code": code, "message": text}]
    return json.dumps({"code": code, "message": f"Failed: {text}", "details": details}).encode()


@pytest.mark.parametrize(
    "user, verb, command",
    [
        pytest.param(
            "system:serviceaccount:team-b:default-editor",
            "list",
            "kubectl create rolebinding kfp-system-serviceaccount-team-b-default-editor-view "
            "-n team-a --clusterrole=kubeflow-pipelines-view "
            "--serviceaccount=team-b:default-editor",
            id="a service account that wants to read",
        ),
        pytest.param(
            "x; rm -rf ~",
            "create",
            "kubectl create rolebinding kfp-x-rm-rf-edit -n team-a "
            "--clusterrole=kubeflow-pipelines-edit '--user=x; rm -rf ~'",
            id="a hostile user that wants to write",
        ),
    ],
)
def test_a_refusal_names_who_what_where_and_the_command_that_allows_it(user, verb, command):
    asked = {"list": "list runs in team-a", "create": "start p in team-a"}[verb]
    error = refusal(403, answer(DENIED.format(user=user, verb=verb)))
    error = error.with_(attempt=asked)
    assert isinstance(error, errors.Forbidden)
    assert error.message == f"Cannot {asked}: {user} may not {verb} runs in namespace team-a."
    assert command in error.cure


def test_the_local_kfp_is_told_in_its_profiles_file():
    error = refusal(403, answer(DENIED.format(user="bob", verb="list")), local=True)
    assert 'contributors: {"bob": view}' in error.cure


@pytest.mark.parametrize(
    "status, body, kind, said",
    [
        pytest.param(403, b"RBAC: access denied", errors.Forbidden, "Istio", id="Istio"),
        pytest.param(302, b"", errors.Unreachable, "login page", id="a redirect to a login page"),
        pytest.param(500, b"<!DOCTYPE html>", errors.Unreachable, "web page", id="HTML"),
        pytest.param(502, b"<html>", errors.Unreachable, "a gateway", id="HTML of a gateway"),
        pytest.param(404, answer("Run x not found", 5), errors.NotFound, "Run x", id="404"),
        pytest.param(409, answer("exists", 6), errors.Conflict, "exists", id="409"),
        pytest.param(400, answer("bad", 3), errors.BadRequest, "bad", id="400"),
        pytest.param(500, answer("Internal Server Error", 13), errors.Refused, "Failed", id="500"),
        pytest.param(500, b"\xff\xfe", errors.Refused, "Cannot", id="not text"),
        pytest.param(500, b"[1]", errors.Refused, "HTTP 500", id="not an object"),
        pytest.param(500, b'{"details": 7}', errors.Refused, "HTTP 500", id="odd details"),
    ],
)
def test_every_answer_becomes_an_error_of_its_kind(status, body, kind, said):
    error = refusal(status, body).with_(attempt="list runs in team-a")
    assert type(error) is kind
    assert said in str(error)


@pytest.mark.parametrize(
    "text, cause",
    [
        pytest.param("token has expired", "has expired", id="expired"),
        pytest.param("Failed to find all of '[a]' in audience: [b]", "audience", id="audience"),
        pytest.param("Review.Status.Authenticated is false", "not accept", id="not accepted"),
        pytest.param("there is no user identity header.", "No token", id="none"),
    ],
)
def test_a_401_says_what_is_the_matter_with_the_token(text, cause):
    error = refusal(401, answer(text, 16))
    assert isinstance(error, errors.Unauthenticated)
    assert cause in error.cause
    assert "access-ml-pipeline" in error.cure


def test_what_the_door_explained_keeps_its_cause_and_cure_and_gets_the_callers_words():
    denied = answer(DENIED.format(user="bob", verb="list"))
    at_the_door = explained(denied, refusal(403, denied, local=True))
    error = refusal(403, json.dumps(at_the_door).encode()).with_(attempt="list runs in team-a")
    assert error.message.startswith("Cannot list runs in team-a: bob may not list runs")
    assert "profiles file" in error.cure


def test_what_the_door_could_not_ask_is_told_in_the_callers_words():
    at_the_door = errors.Unreachable(
        "Cannot GET /apis/v2beta1/runs: no answer from http://kfp."
    ).to_dict()
    error = refusal(502, json.dumps(at_the_door).encode()).with_(attempt=r"find run \1")
    assert str(error) == r"Cannot find run \1: no answer from http://kfp."


PARTS = ["x", " ", "/", "User 'x' is not authorized with reason: ", "Namespace:a,Verb:", "1."]
PARTS += [
    "Failed to terminate a run ",
    "Invalid input error: ",
    'serviceaccounts "',
    "\nreason\n\t",
]


@pytest.mark.parametrize("part", PARTS)
def test_the_longest_answer_is_explained_in_a_moment(part):
    body = json.dumps({"code": 3, "message": part * (200_000 // len(part)), "details": []})
    begin = time.monotonic()
    assert refusal(400, body.encode()).status == 400
    assert time.monotonic() - begin < 15, "its time must not grow with the square of the length"


def test_of_many_steps_the_innermost_reason_is_told():
    message = "Failed to list: Invalid input error: Bad: InvalidInputError: Invalid page token"
    assert refusal(400, json.dumps({"message": message}).encode()).reason == "Invalid page token"
