"""Attempts: what somebody wants done is said once, and stands in the error that comes of it."""

import copy
import json
import pickle

import pytest
import requests
from harness.local_kfp import denied

from jupyter_kfp_mt.attempts import attempting
from jupyter_kfp_mt.errors import Forbidden, KfpError, NotFound, Unreachable
from jupyter_kfp_mt.kubeflow_roles import Goal
from jupyter_kfp_mt.network.bodies import BodyTooLate
from jupyter_kfp_mt.network.no_answer_errors import no_answer
from jupyter_kfp_mt.refusal_causes import explained, refusal

START = Goal("start a run", "create", "runs")


def raised(error, *attempts):
    """The error that leaves these attempts, the first of which is the outermost."""
    with pytest.raises(KfpError) as found:
        _fail(error, attempts)
    return found.value


def _fail(error, attempts):
    if not attempts:
        raise error
    with attempting(*attempts[0]):
        _fail(error, attempts[1:])


def denial(verb, resource):
    text = denied("bob", verb, resource, "alice")
    return json.dumps({"code": 7, "details": [{"message": text}]}).encode()


def test_an_error_says_what_could_not_be_done():
    error = raised(Unreachable(reason="no answer."), ["list runs in alice"])
    assert error.message == str(error) == "Cannot list runs in alice: no answer."


def test_an_error_outside_of_any_attempt_is_a_whole_sentence():
    assert Unreachable(reason="no answer.").message == "Cannot use KFP: no answer."


def test_what_a_person_wanted_counts_and_not_the_step_to_it():
    error = raised(Unreachable(reason="no answer."), ["start p"], ["find pipeline p"])
    assert error.message == "Cannot start p: no answer."


def test_a_sentence_that_is_whole_stays_as_it_is():
    error = raised(NotFound("No run x in namespace alice."), ["find run x"])
    assert error.message == "No run x in namespace alice."


def test_an_error_that_is_kept_is_not_changed_by_who_meets_it():
    kept = Unreachable(reason="no answer.")
    assert raised(kept, ["list runs"]).message != raised(kept, ["list pipelines"]).message
    assert kept.message == "Cannot use KFP: no answer."


def test_an_error_keeps_its_kind_its_facts_and_where_it_arose():
    error = Unreachable(reason="no answer.", cause="It is away.", cure="Wait.", server_text="gone")
    error.sent = False
    found = raised(error, ["list runs"])
    assert type(found) is Unreachable and found.sent is False
    assert (found.cause, found.cure, found.server_text) == ("It is away.", "Wait.", "gone")
    names = []
    trace = found.__traceback__
    while trace:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert names.count("_fail") >= 2


@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_can_be_copied_and_sent(copied):
    error = copied(Forbidden(reason="it is bob's.", cure="Ask bob.").with_(attempt="list runs"))
    assert str(error) == "Cannot list runs: it is bob's.\nAsk bob."


def test_another_cause_and_cure_leave_the_first_error_as_it_was():
    first = NotFound("No run x.", cause="It was deleted.", cure="Start it.")
    second = first.with_(cause="It never was.", cure="")
    assert str(first) == "No run x.\nIt was deleted.\nStart it."
    assert str(second) == "No run x.\nIt never was."
    assert type(second) is NotFound


def test_a_refusal_offers_the_role_of_the_goal_and_not_of_the_first_step():
    first_step = refusal(403, denial("list", "experiments"))
    assert "role view is needed" in first_step.cause
    error = raised(first_step, ["start p in alice", START], ["list experiments"])
    assert error.message == "Cannot start p in alice: bob may not start a run in namespace alice."
    assert "role edit is needed" in error.cause and "kubeflow-pipelines-edit" in error.cure


def test_a_refusal_of_the_local_kfp_offers_its_own_cure_for_the_goal_too():
    error = raised(refusal(403, denial("list", "runs"), local=True), ["start p", START])
    assert 'contributors: {"bob": edit}' in error.cure


def test_a_refusal_that_a_door_has_explained_offers_the_role_of_the_goal():
    body = denial("list", "experiments")
    at_the_door = refusal(403, body).with_(attempt="GET /apis/v2beta1/experiments")
    through_it = refusal(403, json.dumps(explained(body, at_the_door)).encode())
    error = raised(through_it, ["start p in alice", START])
    assert error.message.startswith("Cannot start p in alice: bob may not start a run")
    assert "role edit is needed" in error.cause


def test_what_a_door_could_not_do_for_a_request_is_said_of_what_was_wanted():
    at_the_door = Unreachable(reason="no answer from KFP.", cure="Wait.")
    body = json.dumps(at_the_door.with_(attempt="GET /apis/v2beta1/runs").to_dict()).encode()
    error = raised(refusal(502, body), ["list runs in alice"])
    assert type(error) is Unreachable
    assert str(error) == "Cannot list runs in alice: no answer from KFP.\nWait."


@pytest.mark.parametrize(
    "error, waited, said",
    [
        pytest.param(requests.ConnectTimeout(), (2.5, 30), "in 2.5 s", id="to connect"),
        pytest.param(requests.ReadTimeout(), (2.5, 30), "in 30 s", id="for an answer"),
        pytest.param(BodyTooLate(0.5), (2.5, 30), "in 0.5 s", id="for its end"),
        pytest.param(requests.ReadTimeout("timeout=7"), (None, None), "in time", id="no limit"),
    ],
)
def test_a_timeout_says_how_long_was_waited(error, waited, said):
    found = no_answer("http://kfp", error, waited=waited)
    assert found.reason == f"no answer from http://kfp (it did not answer {said})."
