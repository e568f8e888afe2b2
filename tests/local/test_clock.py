"""A clock that is set, or stands while the machine sleeps: what is timed by it goes on."""

import asyncio
import time
from datetime import datetime, timedelta, timezone

import jwt
import msgspec
import pytest
import requests
from tornado.httputil import HTTPHeaders

from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.credentials import TokenFile
from jupyter_kfp_mt.credentials.base import Credentials
from jupyter_kfp_mt.credentials.renewal import Renewed, Secret
from jupyter_kfp_mt.local.__main__ import options
from jupyter_kfp_mt.local.data.data_folder import DataFolder
from jupyter_kfp_mt.local.server import Server
from jupyter_kfp_mt.local.tenants.identity import BearerToken, IssuedTokens
from jupyter_kfp_mt.local.tenants.profiles import Profile, Profiles
from jupyter_kfp_mt.local.wire.api_errors import ApiError

KEY = b"k" * 32
PROFILES = Profiles([Profile("team", "ann@example.com")])
STEPS = [-2 * 3600, -600, -59, 0, 59, 600, 3000, 2 * 3600, 30 * 24 * 3600]


class Clock:
    """One that is set by a test, and goes on from there."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.time() + self.ahead


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tokens(tmp_path, clock):
    tokens = IssuedTokens(tmp_path / "tokens", KEY, PROFILES, clock=clock)
    (tmp_path / "tokens").mkdir()
    tokens.renew()
    return tokens


def read(tokens):
    return tokens.file("team", "default-editor").read_text()


def is_taken(token, tokens, clock):
    def replaced_late(token):
        tokens.renew()
        return tokens.replaced_late(token)

    try:
        bearer = BearerToken(KEY, PROFILES, replaced_late, clock)
        return bool(bearer(HTTPHeaders({"Authorization": f"Bearer {token}"})))
    except ApiError:
        return False


@pytest.mark.parametrize("step", STEPS)
def test_a_token_is_taken_right_after_the_clock_was_set(tokens, clock, step):
    before = read(tokens)
    clock.ahead = step
    assert is_taken(before, tokens, clock)
    assert is_taken(before, tokens, clock)  # and for others who have read it
    assert is_taken(read(tokens), tokens, clock)


@pytest.mark.parametrize("step", STEPS)
def test_tokens_are_renewed_by_what_the_clock_says_now(tokens, clock, step):
    clock.ahead = step
    tokens.renew()
    claims = jwt.decode(read(tokens), options={"verify_signature": False})
    assert claims["iat"] <= clock() + 1
    assert claims["exp"] - clock() > 0.19 * 3600
    clock.ahead = 0  # and when it is put right again
    tokens.renew()
    claims = jwt.decode(read(tokens), options={"verify_signature": False})
    assert claims["iat"] <= time.time() + 1
    assert is_taken(read(tokens), tokens, clock)


def test_what_was_replaced_in_time_or_long_ago_has_run_out(tokens, clock, monkeypatch):
    first = read(tokens)
    clock.ahead = 3000
    tokens.renew()
    second = read(tokens)
    clock.ahead = 4000
    assert second != first
    assert not is_taken(first, tokens, clock)
    clock.ahead = 9000
    assert is_taken(second, tokens, clock)
    monkeypatch.setattr("jupyter_kfp_mt.local.tenants.identity.LATE_SECONDS", 0)
    assert not is_taken(second, tokens, clock)
    assert is_taken(read(tokens), tokens, clock)


OPTIONS = options([])


@pytest.fixture
def serve(tmp_path, clock):
    """Runs a function in a thread while a server with the clock is there to be asked."""

    def serve(work):
        async def main():
            with DataFolder(tmp_path / "data") as folder:
                async with Server(OPTIONS, folder, PROFILES, clock) as server:
                    file = TokenFile(folder.tokens / "team" / "default-editor" / "token")
                    await asyncio.to_thread(work, server.endpoint, file)

        asyncio.run(main())

    return serve


def test_nobody_is_refused_when_the_clock_of_a_server_is_set(serve, clock):
    def work(endpoint, file):
        client = Client(endpoint, file, "team")
        held = file.headers()
        for step in STEPS:
            clock.ahead = step
            url = f"{endpoint}/apis/v2beta1/runs?namespace=team"
            assert requests.get(url, headers=held, timeout=30).status_code == 200, step
            assert len(client.run_page()) == 0
            held = file.headers()
        client.close()

    serve(work)


class Counted(Renewed):
    """Credentials that give a number, and an hour for it."""

    def __init__(self):
        super().__init__("numbers")
        self.count = 0

    def renew(self):
        self.count += 1
        return Secret.token(str(self.count), datetime.now(timezone.utc) + timedelta(hours=1))

    def shift(self, wall, monotonic=0.0):
        """As if the clocks had gone on by so many seconds since the secret was made."""
        by = timedelta(seconds=wall)
        secret = self._secret
        self._secret = msgspec.structs.replace(
            secret,
            expires_at=secret.expires_at - by,
            renew_at=secret.renew_at - by,
            made_at=secret.made_at - by,
            made=secret.made - monotonic,
        )


@pytest.mark.parametrize(
    ("wall", "monotonic", "renewed"),
    [
        pytest.param(1000, 1000, False, id="in time"),
        pytest.param(-30, 10, False, id="put right by a little"),
        pytest.param(-600, 10, True, id="set back"),
        pytest.param(7200, 10, True, id="asleep"),
        pytest.param(1000, 3000, True, id="set back by less than has passed"),
    ],
)
def test_a_secret_is_renewed_by_either_clock(wall, monotonic, renewed):
    counted = Counted()
    assert isinstance(counted, Credentials)
    counted.headers()
    counted.shift(wall, monotonic)
    counted.headers()
    counted.headers()
    assert counted.count == 1 + renewed
