"""A cron expression in words, and its next times, as the Jupyter server reckons them."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from harness.jupyter_server import server_config
from tornado.httpclient import HTTPClientError


@pytest.fixture
def jp_server_config(local_kfp):
    token_file = local_kfp.token_file("alice/default-editor")
    return server_config(endpoint=local_kfp.endpoint, token_file=str(token_file), namespace="alice")


async def times(jp_fetch, cron):
    answer = await jp_fetch("kfp-mt", "schedule", params={"cron": cron})
    return [datetime.fromisoformat(text) for text in json.loads(answer.body)["times"]]


async def test_the_next_five_times_are_told_seconds_first(jp_fetch):
    found = await times(jp_fetch, "0 30 6 * * 1")
    assert [(each.isoweekday(), each.hour, each.minute) for each in found] == [(1, 6, 30)] * 5
    assert {later - each for each, later in zip(found, found[1:], strict=False)} == {
        timedelta(days=7)
    }
    assert found[0] > datetime.now(timezone.utc)


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 0 6 * * *", "At 06:00"),
        ("0 */15 * * * *", "Every 15 minutes"),
        ("@every 2h", "Every 2h"),
        ("@daily", "At 00:00"),
        ("0 0 6 15 * 1", "At 06:00, on day 15 of the month, or on Monday"),
    ],
)
async def test_an_expression_is_told_in_words_too(jp_fetch, cron, words):
    answer = await jp_fetch("kfp-mt", "schedule", params={"cron": cron})
    assert json.loads(answer.body)["words"] == words


async def test_an_interval_is_told_too(jp_fetch):
    found = await times(jp_fetch, "@every 2h")
    assert found[4] - found[0] == timedelta(hours=8)


async def test_a_time_that_never_comes_has_no_next_one(jp_fetch):
    assert await times(jp_fetch, "0 0 0 30 2 *") == []


@pytest.mark.parametrize("cron", ["", "every day", "0 0 0 * * 7", "* * * * * * *"])
async def test_what_kfp_cannot_read_is_refused_with_its_reason(jp_fetch, cron):
    with pytest.raises(HTTPClientError) as refused:
        await times(jp_fetch, cron)
    assert refused.value.code == 400
    told = json.loads(refused.value.response.body)
    assert told["message"].startswith("KFP cannot read it: ")
    assert "seconds first" in told["cure"]


async def due(jp_fetch, *crons):
    answer = await jp_fetch("kfp-mt", "due-times", params=[("cron", cron) for cron in crons])
    return json.loads(answer.body)["times"]


async def test_many_expressions_are_told_at_once_without_those_that_kfp_cannot_read(jp_fetch):
    found = await due(jp_fetch, "0 30 6 * * 1", "every day", "0 0 0 30 2 *", "@every 2h")
    assert {cron: len(times) for cron, times in found.items()} == {
        "0 30 6 * * 1": 5,
        "0 0 0 30 2 *": 0,
        "@every 2h": 5,
    }
    assert await due(jp_fetch) == {}


async def test_more_expressions_than_a_list_shows_are_refused(jp_fetch):
    with pytest.raises(HTTPClientError) as refused:
        await due(jp_fetch, *["@every 2h"] * 51)
    assert refused.value.code == 400
    assert "at most 50" in json.loads(refused.value.response.body)["message"]
