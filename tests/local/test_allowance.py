"""The local KFP as slow as one on a cluster, which asks Kubernetes for each request."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.local_kfp import API
from tornado.httputil import HTTPHeaders

from jupyter_kfp_mt.local.__main__ import options
from jupyter_kfp_mt.local.api.allowance import Allowance


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_what_was_saved_up_is_taken_at_once_and_more_waits_in_one_queue(clock):
    allowance = Allowance(5, 10, clock=clock)
    waits = [allowance.reserve() for _ in range(15)]
    assert waits == pytest.approx([0] * 10 + [0.2, 0.4, 0.6, 0.8, 1.0], abs=1e-9)


def test_no_more_is_saved_up_than_the_burst(clock):
    allowance = Allowance(5, 10, clock=clock)
    for _ in range(20):
        allowance.reserve()
    clock.now += 3600
    waits = [allowance.reserve() for _ in range(11)]
    assert waits == pytest.approx([0] * 10 + [0.2], abs=1e-9)


def test_so_many_are_answered_in_a_second_as_there_are_reviews_for(clock):
    allowance = Allowance(5, 10, 3, clock=clock)
    answered = [clock.now + allowance.reserve() for _ in range(100)]
    assert len([moment for moment in answered if moment < clock.now + 30.001]) == (10 + 30 * 5) // 3


def test_who_asks_slowly_never_waits(clock):
    allowance = Allowance(5, 10, clock=clock)
    for _ in range(100):
        assert allowance.reserve() == 0
        clock.now += 0.25


def test_who_does_not_say_who_they_are_is_not_reviewed():
    allowance = Allowance(names=["Authorization", "kubeflow-userid"])
    assert allowance.concerns(HTTPHeaders({"authorization": "Bearer x"}))
    assert allowance.concerns(HTTPHeaders({"Kubeflow-UserId": "alice"}))
    assert not allowance.concerns(HTTPHeaders({"Accept": "*/*"}))


# Slow enough that a request that waits cannot be taken for one that does not.
SLOW = ("--reviews-per-second", "0.5", "--review-burst", "1")


@pytest.fixture
def slow_kfp(start_local_kfp):
    kfp = start_local_kfp(*SLOW)
    assert kfp.get(f"{API}/runs", namespace="alice").status_code == 200  # what was saved up
    return kfp


def took(ask):
    started = time.monotonic()
    answer = ask()
    return time.monotonic() - started, answer.status_code


def test_whoever_asks_waits_for_what_others_asked(slow_kfp):
    def ask(who):
        return took(lambda: slow_kfp.get(f"{API}/runs", f"{who}/default-editor", namespace=who))

    with ThreadPoolExecutor(3) as threads:
        answered = [*threads.map(ask, ["alice", "bob", "alice"])]
    assert [status for _, status in answered] == [200] * 3
    assert max(seconds for seconds, _ in answered) > 3 * 2 - 1


@pytest.mark.parametrize(
    "path, params, status",
    [
        pytest.param("runs", {"namespace": "alice"}, 200, id="a list"),
        pytest.param("runs", {"namespace": "bob"}, 403, id="a refusal"),
        pytest.param("pipelines", {"namespace": "alice"}, 200, id="a namespace's pipelines"),
    ],
)
def test_what_is_checked_waits(slow_kfp, path, params, status):
    seconds, answered = took(lambda: slow_kfp.get(f"{API}/{path}", **params))
    assert answered == status
    assert seconds > 1


def test_what_nobody_checks_does_not_wait_and_neither_does_kubernetes(slow_kfp):
    review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    asked = [
        lambda: slow_kfp.get(f"{API}/healthz"),
        lambda: slow_kfp.get("/apis/v1beta1/healthz"),
        lambda: slow_kfp.get(f"{API}/pipelines"),
        lambda: slow_kfp.get(f"{API}/runs", who=None, namespace="alice"),
        lambda: slow_kfp.post(review, {}),
    ]
    answered = [took(each) for each in asked * 5]
    assert [status for _, status in answered] == [200, 200, 200, 401, 201] * 5
    # Each that waited would take two seconds longer than the one before.
    assert sum(seconds for seconds, _ in answered) < 2 * sum(range(25)) / 2


def test_an_upload_waits_and_is_then_made(slow_kfp, adder):
    with adder.open("rb") as file:
        seconds, status = took(
            lambda: slow_kfp.call(
                "POST",
                f"{API}/pipelines/upload",
                params={"name": "adder", "namespace": "alice"},
                files={"uploadfile": ("adder.yaml", file)},
            )
        )
    assert status == 200
    assert seconds > 1


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "five"])
def test_a_wrong_rate_is_told(given, capsys):
    with pytest.raises(SystemExit):
        options(["--reviews-per-second", given])
    assert "is not a number above 0" in capsys.readouterr().err
