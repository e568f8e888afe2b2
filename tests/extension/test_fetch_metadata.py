"""Fetch metadata of a browser's request: only what a script reads is answered, on every route."""

import pytest
from harness.jupyter_server import call, server_config

from jupyter_kfp_mt.errors import Forbidden
from jupyter_kfp_mt.extension.fetch_metadata import check
from jupyter_kfp_mt.extension.routes import routes

OTHER = "https://bob.hub.example.com"
EXAMPLES = {
    r"/kfp-mt/logs/([^/]+)/([^/]+)": "logs/RUN/TASK",
    r"/kfp-mt/tasks/([^/]+)": "tasks/RUN",
    r"/kfp-mt/api(/.*)": "api/apis/v2beta1/runs?namespace=alice",
}


def sent(site="", mode="", purpose="", origin=""):
    """The headers that a browser adds."""
    names = ("Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Origin")
    pairs = zip(names, (site, mode, purpose, origin), strict=True)
    return {name: text for name, text in pairs if text}


ANSWERED = {
    "no browser": sent(),
    "the sidebar": sent("same-origin", "cors", "empty"),
    "fetch with mode same-origin": sent("same-origin", "same-origin", "empty"),
    "an extension of the browser's": sent("none", "cors", "empty"),
}
REFUSED = {
    "a link from another site": sent("cross-site", "navigate", "document"),
    "a typed address": sent("none", "navigate", "document"),
    "a link in a notebook": sent("same-origin", "navigate", "document"),
    "an image in a notebook": sent("same-origin", "no-cors", "image"),
    "an image on another site": sent("cross-site", "no-cors", "image"),
    "a script of another user's server": sent("same-site", "no-cors", "script"),
    "a frame": sent("same-origin", "navigate", "iframe"),
    "fetch without an answer": sent("cross-site", "no-cors", "empty"),
    "another site that hides its origin": sent("cross-site", "cors", "empty"),
    "a style sheet that may be read": sent("same-origin", "cors", "style"),
}
# Whether these are is Jupyter's decision, by its allow_origin.
BY_ORIGIN = sent("same-site", "cors", "empty", OTHER)


@pytest.mark.parametrize("headers", [*ANSWERED.values(), BY_ORIGIN], ids=[*ANSWERED, "by origin"])
def test_what_a_script_asks_for_to_read_passes(headers):
    check(headers)


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
def test_what_is_not_meant_to_be_read_is_refused(headers):
    with pytest.raises(Forbidden):
        check(headers)


@pytest.fixture
def jp_server_config(guarded_kfp, token_file):
    config = {"endpoint": guarded_kfp.endpoint, "token_file": str(token_file)}
    return server_config(**config, namespace="alice")


@pytest.fixture
def asked(home, jp_serverapp):
    """The answer to a GET of somebody who is signed in as a browser is, by cookie."""

    async def asked(path, headers):
        token = jp_serverapp.identity_provider.token
        cookies = (await call("GET", f"{home}/tree?token={token}")).cookies
        return await call("GET", f"{home}/kfp-mt/{path}", headers=headers, cookies=cookies)

    return asked


@pytest.mark.parametrize("route", [route for route, _ in routes])
async def test_no_route_answers_what_is_not_meant_to_be_read(asked, guarded_kfp, route):
    path = EXAMPLES.get(route, route.removeprefix("/kfp-mt/"))
    guarded_kfp.asked.clear()
    answered = await asked(path, REFUSED["an image on another site"])
    assert answered.status_code == 403
    assert "It is for programs" in answered.json()["cause"]
    assert not guarded_kfp.asked


@pytest.mark.parametrize("headers", ANSWERED.values(), ids=ANSWERED)
async def test_who_reads_the_answer_is_answered(asked, headers):
    assert (await asked("status", headers)).status_code == 200


async def test_another_users_server_on_the_same_site_is_another_origin(asked):
    assert (await asked("status", BY_ORIGIN)).status_code == 404  # Jupyter's own refusal
