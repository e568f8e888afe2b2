"""Identities at the local KFP: its tokens, and those it does not take."""

import stat
import time

import jwt
import pytest
from harness.waiting import wait_until
from tornado.httputil import HTTPHeaders

from jupyter_kfp_mt.local.tenants.identity import (
    AUDIENCE,
    BearerToken,
    Caller,
    IssuedTokens,
    TrustedHeader,
)
from jupyter_kfp_mt.local.tenants.profiles import Profile, Profiles
from jupyter_kfp_mt.local.wire.api_errors import ApiError

PATH = "/apis/v2beta1/experiments"
ALICE = "system:serviceaccount:alice:default-editor"
PREFIX = "Failed to check authorization. User identity is empty in the request header"


@pytest.fixture
def signed(local_kfp):
    """A token as this server signs it, but for what is changed."""

    def signed(key=None, algorithm="HS256", **changes):
        own = bytes.fromhex((local_kfp.data / "keys" / "signing-key").read_text())
        key = None if algorithm == "none" else key or own
        now = int(time.time())
        claims = {"iss": "jupyter-kfp-mt", "aud": [AUDIENCE], "sub": ALICE}
        claims |= {"iat": now, "exp": now + 60} | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, key, algorithm)

    return signed


def ask(server, token):
    return server.get(PATH, {"Authorization": f"Bearer {token}"}, namespace="alice")


def test_a_token_of_the_folder_is_taken(local_kfp, signed):
    assert ask(local_kfp, signed()).status_code == 200
    assert ask(local_kfp, local_kfp.token("users/alice@example.com")).status_code == 200


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param(
            {"exp": 1},
            "Error [invalid bearer token, service account token has expired]",
            id="expired",
        ),
        pytest.param(
            {"aud": ["https://kubernetes.default.svc", "vault"]},
            'token audiences ["https://kubernetes.default.svc" "vault"] is invalid for the target '
            'audiences ["pipelines.kubeflow.org"]',
            id="other audiences",
        ),
        pytest.param({"aud": "vault"}, 'token audiences ["vault"]', id="audience that is no list"),
        pytest.param({"sub": "mallory"}, "its subject is in no profile", id="stranger"),
        pytest.param({"iss": "someone"}, "invalid bearer token", id="another issuer"),
        pytest.param({"exp": None}, "invalid bearer token", id="for ever"),
        pytest.param({"sub": None}, "invalid bearer token", id="without subject"),
        pytest.param({"key": b"k" * 32}, "invalid bearer token", id="forged"),
        pytest.param({"algorithm": "none"}, "invalid bearer token", id="unsigned"),
    ],
)
def test_another_token_is_refused_with_the_reason(local_kfp, signed, changes, reason):
    token = signed(**changes)
    answer = ask(local_kfp, token)
    assert answer.status_code == 401
    assert answer.json()["details"][0]["message"] == PREFIX
    assert reason in answer.json()["message"]
    assert token not in answer.text


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        pytest.param("Bearer", "Expected prefix 'Bearer '", id="no token"),
        pytest.param("Basic YTpi", "Header 'Authorization' is incorrectly formatted", id="basic"),
        pytest.param("Bearer a.b.c", "invalid bearer token", id="rubbish"),
        pytest.param("Bearer W1tb.W1tb.W1tb", "invalid bearer token", id="rubbish in base64"),
        pytest.param("Bearer \xff\xfe", "invalid bearer token", id="latin"),
        pytest.param("", "incorrectly formatted", id="empty"),
        pytest.param("Bearer " + "a" * 60_000, "invalid bearer token", id="long"),
    ],
)
def test_an_odd_header_is_refused_with_the_reason(local_kfp, header, reason):
    answer = local_kfp.get(PATH, {"Authorization": header.encode("latin-1")}, namespace="alice")
    assert answer.status_code == 401
    assert reason in answer.json()["message"]


def test_two_tokens_are_refused():
    headers = HTTPHeaders()
    headers.add("Authorization", "Bearer a")
    headers.add("Authorization", "Bearer b")
    caller = Caller(headers, [TrustedHeader(), BearerToken(b"k" * 32, Profiles([]))])
    with pytest.raises(ApiError) as refusal:
        caller.identity()
    assert "unexpected number of 'Authorization' headers. Expect 1 got 2" in refusal.value.message


def test_both_reasons_are_given_as_kubernetes_joins_them(local_kfp):
    message = ask(local_kfp, "x").json()["message"]
    assert message.endswith(
        f"{PREFIX}: [Unauthenticated: Request header error: there is no user identity header.: "
        "Request header error: there is no user identity header., Authentication failure: "
        "Unauthenticated: Review.Status.Authenticated is false. Error invalid bearer token: "
        "Failed to authenticate token review]"
    )


def test_a_user_header_is_not_trusted(local_kfp):
    headers = {"kubeflow-userid": "alice@example.com"}
    assert local_kfp.get(PATH, headers, namespace="alice").status_code == 401


def test_the_header_of_a_proxy_may_have_another_name_and_a_prefix(start_local_kfp):
    server = start_local_kfp("--trust-userid-header", "X-User", "--userid-prefix", "accounts:")

    def asked(value):
        return server.get(PATH, {"X-User": value}, namespace="alice")

    assert asked("accounts:alice@example.com").status_code == 200
    assert asked("accounts:mallory@example.com").status_code == 403
    for value, reason in {
        "alice@example.com": "Header 'X-User' is incorrectly formatted. Expected prefix",
        "accounts:": "there is no user identity header.",
    }.items():
        assert asked(value).status_code == 401
        assert reason in asked(value).json()["message"]
    headers = {"kubeflow-userid": "alice@example.com"}
    assert server.get(PATH, headers, namespace="alice").status_code == 401


def test_every_account_and_user_has_a_token_that_nobody_else_can_read(local_kfp):
    files = local_kfp.tokens.rglob("token")
    assert {str(path.parent.relative_to(local_kfp.tokens)) for path in files} == {
        "alice/default-editor",
        "alice/default-viewer",
        "bob/default-editor",
        "bob/default-viewer",
        "kubeflow/default-editor",
        "kubeflow/default-viewer",
        "users/admin@example.com",
        "users/alice@example.com",
        "users/bob@example.com",
    }
    for path in [local_kfp.data, *local_kfp.data.iterdir(), *local_kfp.tokens.rglob("*")]:
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path


def test_a_token_says_who_for_whom_and_for_how_long(local_kfp):
    claims = jwt.decode(local_kfp.token("bob/default-viewer"), options={"verify_signature": False})
    assert claims["sub"] == "system:serviceaccount:bob:default-viewer"
    assert claims["aud"] == [AUDIENCE]
    assert claims["exp"] - claims["iat"] == 3600


def test_tokens_are_replaced_before_they_expire(start_local_kfp):
    server = start_local_kfp("--token-lifetime", "5")
    first = server.token("alice/default-editor")
    second = wait_until(
        lambda: (token := server.token("alice/default-editor")) != first and token, 10, "renewal"
    )
    assert ask(server, second).status_code == 200
    wait_until(lambda: ask(server, first).status_code == 401, 10, "expiry")


def test_the_token_of_someone_who_is_gone_is_removed_and_refused(tmp_path):
    key, profile = b"k" * 32, Profile("team", "ann@example.com")
    IssuedTokens(tmp_path, key, Profiles([profile])).renew()
    old = (tmp_path / "users" / "ann@example.com" / "token").read_text()
    profiles = Profiles([Profile("team", "bea@example.com")])
    tokens = IssuedTokens(tmp_path, key, profiles)
    tokens.remove_strangers()
    tokens.renew()
    assert [path.name for path in (tmp_path / "users").iterdir()] == ["bea@example.com"]
    with pytest.raises(ApiError, match="in no profile"):
        BearerToken(key, profiles)(HTTPHeaders({"Authorization": f"Bearer {old}"}))


def test_neither_tokens_nor_bodies_are_logged(local_kfp, signed):
    token = signed(exp=1)
    ask(local_kfp, token)
    local_kfp.call("POST", PATH, {"Authorization": f"Bearer {token}"}, data=b"{body-of-a-request")
    log = local_kfp.log.read_text()
    assert "GET /apis/v2beta1/experiments 401 -" in log
    for secret in (token, local_kfp.token("alice/default-editor"), "body-of-a-request", "s3cret"):
        assert secret not in log
