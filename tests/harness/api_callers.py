"""Every kind of caller of the local KFP: known, and known to nobody."""

import time

import jwt

from jupyter_kfp_mt.local.tenants.identity import AUDIENCE

ALICE, BOB = "users/alice@example.com", "users/bob@example.com"
NO_HEADER = (
    "Unauthenticated: Request header error: there is no user identity header.: "
    "Request header error: there is no user identity header."
)


# Every kind of caller: the headers, and for whom the server takes them or why for nobody.


def token(server, name):
    return {"Authorization": f"Bearer {server.token(name)}"}


def signed(server, key=b"", **changes):
    key = key or bytes.fromhex((server.data / "keys" / "signing-key").read_text())
    now = int(time.time())
    claims = {"iss": "jupyter-kfp-mt", "aud": [AUDIENCE], "sub": "alice@example.com"}
    claims |= {"iat": now, "exp": now + 600} | changes
    return {"Authorization": f"Bearer {jwt.encode(claims, key, 'HS256')}"}


def not_authenticated(reason):
    return (
        f"[{NO_HEADER}, Authentication failure: Unauthenticated: Review.Status.Authenticated is "
        f"false. Error {reason}: Failed to authenticate token review]"
    )


def malformed(text):
    return f"BadRequestError: {text}: {text}"


BAD_PREFIX = malformed("Header 'Authorization' is incorrectly formatted. Expected prefix 'Bearer '")
TWO_HEADERS = malformed(
    "Request header error: unexpected number of 'kubeflow-userid' headers. Expect 1 got 2"
)

UNKNOWN = {
    "none": (lambda server: {}, NO_HEADER),
    "malformed header": (
        lambda server: {"Authorization": "Basic YTpi"},
        f"[{NO_HEADER}, {BAD_PREFIX}]",
    ),
    "malformed token": (
        lambda server: {"Authorization": "Bearer a.b.c"},
        not_authenticated("invalid bearer token"),
    ),
    "forged signature": (
        lambda server: signed(server, key=b"k" * 32),
        not_authenticated("invalid bearer token"),
    ),
    "expired": (
        lambda server: signed(server, exp=1),
        not_authenticated("[invalid bearer token, service account token has expired]"),
    ),
    "another audience": (
        lambda server: signed(server, aud=["vault"]),
        not_authenticated(
            '[invalid bearer token, token audiences ["vault"] is invalid for the target audiences '
            f'["{AUDIENCE}"]]'
        ),
    ),
    "token of a stranger": (
        lambda server: signed(server, sub="mallory@example.com"),
        not_authenticated("invalid bearer token, its subject is in no profile"),
    ),
    "empty header": (lambda server: {"kubeflow-userid": ""}, NO_HEADER),
    "two headers": (
        lambda server: [("kubeflow-userid", "alice@example.com")] * 2,
        f"[{TWO_HEADERS}, {NO_HEADER}]",
    ),
}

SERVICE_ACCOUNT = "system:serviceaccount:{}:{}".format

# For each: headers, the name, and the role in alice.
KNOWN = {
    "owner": (lambda server: token(server, ALICE), "alice@example.com", "edit"),
    "editor": (
        lambda server: token(server, "users/editor@example.com"),
        "editor@example.com",
        "edit",
    ),
    "viewer": (
        lambda server: token(server, "users/viewer@example.com"),
        "viewer@example.com",
        "view",
    ),
    "elsewhere": (lambda server: token(server, BOB), "bob@example.com", ""),
    "default-editor": (
        lambda server: token(server, "alice/default-editor"),
        SERVICE_ACCOUNT("alice", "default-editor"),
        "edit",
    ),
    "default-viewer": (
        lambda server: token(server, "alice/default-viewer"),
        SERVICE_ACCOUNT("alice", "default-viewer"),
        "view",
    ),
    "another's default-editor": (
        lambda server: token(server, "bob/default-editor"),
        SERVICE_ACCOUNT("bob", "default-editor"),
        "",
    ),
    "header": (
        lambda server: {"kubeflow-userid": "alice@example.com"},
        "alice@example.com",
        "edit",
    ),
    "header of a stranger": (
        lambda server: {"kubeflow-userid": "mallory@example.com"},
        "mallory@example.com",
        "",
    ),
    "header and another's token": (
        lambda server: {"kubeflow-userid": "alice@example.com"} | token(server, BOB),
        "alice@example.com",
        "edit",
    ),
    "another's header and token": (
        lambda server: {"kubeflow-userid": "bob@example.com"} | token(server, ALICE),
        "bob@example.com",
        "",
    ),
    "empty header and token": (
        lambda server: {"kubeflow-userid": ""} | token(server, ALICE),
        "alice@example.com",
        "edit",
    ),
}

STRANGERS = [name for name, (_, _, role) in KNOWN.items() if not role]
UNREADING = [*UNKNOWN, *STRANGERS]


def headers_of(server, who):
    make, *_ = (UNKNOWN | KNOWN)[who]
    return make(server)
