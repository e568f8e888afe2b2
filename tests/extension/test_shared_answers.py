"""Answers that many ask of the door and KFP is asked for once: at once, and names for a while."""

import asyncio
import base64
import json

import pytest
from fakes.guarded_kfp import Answer, GuardedKfp, refusal
from harness.jupyter_server import call
from harness.live_events import until
from harness.waiting import wait_until

from jupyter_kfp_mt.extension.shared_answers import (
    KEPT_ANSWERS,
    KEPT_BYTES,
    KEPT_SECONDS,
    SharedAnswers,
    Whole,
    is_name,
    is_shared,
)

API = "/apis/v2beta1"


class SlowKfp(GuardedKfp):
    """A KFP that answers once it is let."""

    is_open = True
    refuses = False

    def found(self, request, path):
        wait_until(lambda: self.is_open)
        if self.refuses:
            raise refusal(403, 7, "User 'a' is not authorized")
        return Answer(200, {"display_name": path, "number": len(self.asked)})

    def paths(self):
        asked = [request.path.removeprefix(f"{API}/") for request in self.asked]
        return [path for path in asked if path != "healthz"]


@pytest.fixture
def behind(serve):
    return serve(SlowKfp)


@pytest.fixture
def ask(door):
    address, key = door
    headers = {"Authorization": f"Bearer {key}"}

    def ask(path, method="GET", **options):
        return call(method, f"{address}/api{API}/{path}", headers=headers, **options)

    return ask


async def test_a_question_that_many_ask_at_once_is_asked_once(ask, behind):
    behind.is_open = False
    asking = [asyncio.ensure_future(ask("runs?namespace=alice")) for _ in range(3)]
    await until(lambda: behind.paths())
    await asyncio.sleep(0.5)  # for those who would ask, too
    behind.is_open = True
    answers = await asyncio.gather(*asking)
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.text for answer in answers}) == 1
    assert behind.paths() == ["runs"]


async def test_who_asks_a_list_later_is_told_what_there_is_then(ask, behind):
    first, second = await ask("runs?namespace=alice"), await ask("runs?namespace=alice")
    assert first.text != second.text


@pytest.mark.parametrize(
    "path", ["experiments/e", "pipelines/p", "pipelines/p/versions/v"], ids=str
)
async def test_what_has_a_name_is_asked_once_for_all(ask, behind, path):
    answers = [await ask(path) for _ in range(5)]
    assert {answer.text for answer in answers} == {answers[0].text}
    headers = [dict(answer.headers) for answer in (answers[0], answers[-1])]
    for name in ("Content-Type", "Content-Security-Policy", "Content-Length", "Cache-Control"):
        assert headers[0][name] == headers[1][name]
    assert behind.paths() == [path]


async def test_a_change_through_the_door_drops_what_was_kept(ask, behind):
    before = await ask("experiments/e")
    await ask("experiments/e:archive", "POST", json={})
    assert (await ask("experiments/e")).text != before.text


async def test_another_identity_is_told_nothing_that_the_one_before_was(ask, behind, token_file):
    def token(subject):
        claims = base64.urlsafe_b64encode(json.dumps({"sub": subject}).encode()).decode()
        return f"e30.{claims.rstrip('=')}.x"

    token_file.write_text(token("alice"))
    await ask("experiments/e")
    token_file.write_text(token("bob"))

    async def asked_again():
        while len(behind.paths()) < 2:
            await ask("experiments/e")

    await asyncio.wait_for(asked_again(), 60)


async def test_a_refusal_is_told_to_each_and_kept_for_nobody(ask, behind):
    behind.refuses, behind.is_open = True, False
    asking = [asyncio.ensure_future(ask("experiments/e")) for _ in range(3)]
    await until(lambda: behind.paths())
    behind.is_open = True
    assert [(await each).status_code for each in asking] == [403] * 3
    behind.refuses = False
    assert (await ask("experiments/e")).status_code == 200


@pytest.mark.parametrize(
    "path, shared, name",
    [
        (f"{API}/runs", True, False),
        (f"{API}/runs/r", True, False),
        (f"{API}/experiments", True, False),
        (f"{API}/experiments/e", True, True),
        (f"{API}/pipelines/p/versions/v", True, True),
        (f"{API}/pipelines/p/versions", True, False),
        (f"{API}/healthz", False, False),
        (f"{API}/runs/r/nodes/n/artifacts/a:read", False, False),
        ("/apis/v1alpha1/runs/r/nodes/n/log", False, False),
    ],
)
def test_what_is_shared_is_told_by_the_path(path, shared, name):
    assert (is_shared(path), is_name(path)) == (shared, name)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


async def kept(answers, key, body=b"{}"):
    assert await answers.answer(key) is None
    answers.tell(key, answers.asking(key), Whole({}, body), keep=True)


async def test_what_is_kept_is_asked_again_after_a_while():
    answers = SharedAnswers(clock := Clock())
    await kept(answers, "a")
    clock.now = KEPT_SECONDS - 1
    assert await answers.answer("a") == Whole({}, b"{}")
    clock.now = KEPT_SECONDS + 1
    assert await answers.answer("a") is None


@pytest.mark.parametrize("body", [b"", bytes(KEPT_BYTES // 10)], ids=["many", "long"])
async def test_no_more_is_kept_than_there_is_room_for(body):
    answers = SharedAnswers(Clock())
    for number in range(2 * KEPT_ANSWERS):
        await kept(answers, number, body)
    assert len(answers._kept) <= KEPT_ANSWERS
    assert sum(len(told.body) for _, told in answers._kept.values()) <= KEPT_BYTES
    assert await answers.answer(2 * KEPT_ANSWERS - 1)


async def test_what_was_asked_before_a_change_is_not_told_to_who_asks_after_it():
    answers = SharedAnswers(Clock())
    assert await answers.answer("a") is None
    before = answers.asking("a")
    waiting = asyncio.ensure_future(answers.answer("a"))
    await asyncio.sleep(0)
    answers.forget()
    assert await answers.answer("a") is None  # asks anew
    answers.tell("a", before, Whole({}, b"old"), keep=True)
    assert (await waiting).body == b"old"
    answers.tell("a", answers.asking("a"), Whole({}, b"new"), keep=True)
    assert (await answers.answer("a")).body == b"new"


async def test_who_gives_up_lets_the_next_one_ask():
    answers = SharedAnswers(Clock())
    assert await answers.answer("a") is None
    waiting = [asyncio.ensure_future(answers.answer("a")) for _ in range(3)]
    await asyncio.sleep(0)
    answers.tell("a", answers.asking("a"), None)
    done, others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert [each.result() for each in done] == [None]
    answers.tell("a", answers.asking("a"), Whole({}, b"b"))
    assert {(await each).body for each in others} == {b"b"}
