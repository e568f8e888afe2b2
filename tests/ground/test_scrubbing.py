"""Secrets that were sent are in nothing that is shown, whatever sends them back."""

import base64
import contextlib
import html
import json
import logging
import re
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import jwt
import pytest
from fakes.odd_kfp import OddKfp, ok, refusal, reply
from harness.jupyter_server import call, server_config

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.credentials import SessionCookie, TokenFile
from jupyter_kfp_mt.doctor import run_checks
from jupyter_kfp_mt.extension import kfp_response as answer_module
from jupyter_kfp_mt.extension.send_to_kfp import Destination, KfpRequest, Sender
from jupyter_kfp_mt.log_lines import LineLogger
from jupyter_kfp_mt.scrubbing import FRAGMENT, MASK, Scrubber
from jupyter_kfp_mt.settings import Kfp

TOKEN = jwt.encode({"sub": "alice", "aud": "x" * 40, "jti": secrets.token_hex(60)}, "k" * 32)
COOKIE = base64.b64encode(secrets.token_bytes(90)).decode() + "|1700|" + secrets.token_urlsafe(30)

WRITTEN = {
    "as it is": str,
    "with what is before it": lambda text: f"Authorization: Bearer {text}",
    "escaped for an address": quote,
    "escaped twice": lambda text: quote(quote(text, safe="")),
    "every character escaped": lambda text: "".join(f"%{ord(char):02x}" for char in text),
    "as JSON": json.dumps,
    "as JSON in JSON": lambda text: json.dumps(json.dumps({"Authorization": text})),
    "as numbers of JSON": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "as HTML": html.escape,
    "as numbers of HTML": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "as hexadecimal HTML": lambda text: "".join(f"&#x{ord(char):X};" for char in text),
    "in base64": lambda text: base64.b64encode(text.encode()).decode(),
    "one byte into base64": lambda text: base64.b64encode(b"x" + text.encode()).decode(),
    "two bytes into base64": lambda text: base64.b64encode(b"xy" + text.encode() + b"z").decode(),
    "in base64 for an address": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "in hexadecimal": lambda text: text.encode().hex(),
    "as bytes of Python": lambda text: repr(text.encode()),
    "in lines": lambda text: "\r\n ".join(re.findall(".{1,60}", text)),
    "in lines of a string": lambda text: '"\n"'.join(re.findall(".{1,76}", text)),
    "in a list": lambda text: json.dumps(re.findall(".{1,7}", text)),
    "in pieces between words": lambda text: " and ".join(re.findall(".{1,40}", text)),
    "cut at its end": lambda text: text[: len(text) // 2] + "...",
    "cut at its beginning": lambda text: "..." + text[len(text) // 3 :],
    "with its middle left out": lambda text: f"{text[:30]}...{text[-30:]}",
}


def tells(text, secret):
    """Tell whether so much of a secret is in a text that it could be told from others."""
    parts = (secret[at : at + FRAGMENT] for at in range(len(secret) - FRAGMENT + 1))
    return any(part in text for part in parts)


@pytest.mark.parametrize("secret", [TOKEN, COOKIE], ids=["token", "cookie"])
@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN)
def test_a_secret_is_found_however_it_is_written(secret, write):
    written = write(secret)
    shown = Scrubber([secret]).text(f"before {written} after")
    assert shown.startswith("before ") and shown.endswith(" after")
    assert MASK in shown
    left = shown.removeprefix("before ").removesuffix(" after")
    assert len(re.sub(r"[^\w]", "", left)) < len(re.sub(r"[^\w]", "", written)) / 2
    assert not tells(shown, secret)


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ({"Authorization": f"Bearer {TOKEN}"}, TOKEN),
        ({"authorization": TOKEN}, TOKEN),
        ({"Authorization": b"Bearer " + TOKEN.encode()}, TOKEN),
        ({"Authorization": "Basic " + base64.b64encode(b"ann:pass-word").decode()}, "pass-word"),
        ({"Cookie": f"a=1; authservice_session={COOKIE}; b=2"}, COOKIE),
        ({"Cookie": f'_oauth2_proxy_0="{COOKIE}"'}, COOKIE),
        ({"Proxy-Authorization": f"Bearer {TOKEN}"}, TOKEN),
    ],
)
def test_the_secrets_of_a_request_are_those_in_its_headers(headers, secret):
    said = f"You, {secret}, may not list runs in alice."
    assert Scrubber.of(headers).text(said) == f"You, {MASK}, may not list runs in alice."


def test_what_holds_no_secret_is_left_as_it_is():
    scrubber = Scrubber.of({"Authorization": f"Bearer {TOKEN}", "Cookie": f"s={COOKIE}", "A": "b"})
    for text in ("", "100% of \\u00e9, &amp; <br> 'x'", f"{TOKEN[:8]} or so", "Läuße" * 50):
        assert scrubber.text(text) == text


def test_a_short_secret_is_found_whole_and_one_of_a_few_letters_not():
    assert Scrubber(["s3cret"]).text("it is s3cret%21") == f"it is {MASK}%21"
    assert Scrubber(["abc"]).text("the abc") == "the abc"


def test_a_long_text_is_scrubbed_in_time():
    text = (TOKEN[:15] + " ") * 20_000 + "a" * 500_000 + TOKEN
    assert not tells(Scrubber([TOKEN]).text(text), TOKEN)


# What a server sends back


def echo_in_json(asked, said):
    return reply("403 Forbidden", refusal(7, f"{said} {dict(asked.headers)}"))


def echo_in_text(asked, said):
    return reply("500 Internal Server Error", f"{said}\n{asked.headers}".encode())


def echo_cut_by_us(asked, said):
    secret = asked.headers.get("Authorization") or asked.headers.get("Cookie", "")
    return reply("500 Oh", ("x" * 900 + secret).encode())


def echo_cut_by_them(asked, said):
    return reply("400 Bad Request", json.dumps({"error": f"{said} {asked.headers}"[:300]}).encode())


def echo_in_page(asked, said):
    page = f"<html><body>{html.escape(str(asked.headers))}</body></html>".encode()
    return ok(page, "text/html")


def echo_in_reason(asked, said):
    return reply(f"502 {' '.join(asked.headers.values())}", b"")


def echo_in_redirect(asked, said):
    where = "&".join(f"{quote(n)}={quote(v)}" for n, v in asked.headers.items())
    return reply("302 Found", b"moved", f"Location: http://elsewhere.example/?{where}")


def echo_in_401(asked, said):
    body = refusal(16, f"Unauthenticated: the token {asked.headers} has expired")
    return reply("401 Unauthorized", body, "Content-Type: application/json")


def echo_as_kubernetes(asked, said):
    body = {"kind": "Status", "message": f"no route for {asked.headers}"}
    return reply("404 Not Found", json.dumps(body).encode(), "Content-Type: application/json")


def echo_as_a_door(asked, said):
    body = {"kind": "Refused", "message": f"{asked.headers}", "cause": f"{asked.headers}"}
    return reply("418 Teapot", json.dumps(body).encode(), "Content-Type: application/json")


ECHOES = [
    *(echo_in_json, echo_in_text, echo_cut_by_us, echo_cut_by_them, echo_in_page, echo_in_reason),
    *(echo_in_redirect, echo_in_401, echo_as_kubernetes, echo_as_a_door),
]


@pytest.fixture(params=ECHOES, ids=[echo.__name__ for echo in ECHOES])
def echoing(request):
    kfp = OddKfp()
    kfp.answer = lambda connection, asked: connection.sendall(request.param(asked, "No:"))
    yield kfp
    kfp.close()


@pytest.fixture(params=["token", "cookie"])
def sent(request, tmp_path):
    """Credentials, the secret in them, and the settings that ask for them."""
    file = tmp_path / "secret"
    if request.param == "token":
        file.write_text(TOKEN)
        return TokenFile(file), TOKEN, {"token_file": str(file)}
    file.write_text(f"authservice_session={COOKIE}")
    return SessionCookie(str(file)), COOKIE, {"cookie_file": str(file), "auth": "cookie"}


def test_no_error_of_the_client_shows_what_was_sent(echoing, sent):
    credentials, secret, _ = sent
    with contextlib.closing(Client(echoing.endpoint, credentials, "alice")) as client:
        with pytest.raises(errors.KfpError) as error:
            client.run_page()
        said = f"{error.value} {error.value.to_dict()} {error.value!r}"
    assert echoing.seen and not tells(said, secret)


def test_no_finding_of_the_doctor_shows_what_was_sent(echoing, sent):
    _, secret, settings = sent
    given = Kfp(endpoint=echoing.endpoint, namespace="alice", **settings)
    report = run_checks.examine(given)
    assert echoing.seen and not tells(str(report), secret)


class TestTheDoor:
    @pytest.fixture
    def jp_server_config(self, echoing, sent):
        return server_config(endpoint=echoing.endpoint, namespace="alice", **sent[2])

    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_no_answer_of_the_door_shows_what_was_sent(
        self, door, echoing, sent, method, caplog
    ):
        address, key = door
        with caplog.at_level(logging.DEBUG):
            answer = await call(
                *(method, f"{address}/api/apis/v2beta1/runs?namespace=alice"),
                headers={"Authorization": f"Bearer {key}"},
            )
        assert echoing.seen
        for shown in (answer.text, str(answer.headers), answer.reason, caplog.text):
            assert not tells(shown, sent[1])


async def test_a_good_answer_that_holds_what_was_sent_is_whole_without_it(tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    kfp, sender = OddKfp(), Sender()
    kfp.answer = lambda connection, asked: connection.sendall(
        ok(json.dumps({"runs": [dict(asked.headers)]}).encode())
    )
    with ThreadPoolExecutor(1) as threads:
        to = Destination(kfp.endpoint, TokenFile(tmp_path / "token"), threads)
        answer = await sender.send(to, KfpRequest("GET", "/apis/v2beta1/runs"))
        body, more = await answer.start()
    assert json.loads(body)["runs"][0]["Authorization"] == f"Bearer {MASK}"
    assert (more, answer.headers()["Content-Length"]) == (False, str(len(body)))
    await sender.close()
    kfp.close()


@pytest.mark.parametrize("announced", [True, False])
async def test_a_long_answer_that_holds_what_was_sent_is_passed_on_without_it(tmp_path, announced):
    (tmp_path / "token").write_text(TOKEN)
    kfp, sender = OddKfp(), Sender()
    # Wherever the answer is cut while it is passed on, it is cut in the middle of a token.
    long = json.dumps({"runs": [TOKEN] * (3 * answer_module.LONGEST_WHOLE // len(TOKEN))}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    whole = b"Content-Length: %d\r\n\r\n%b" % (len(long), long)
    chunked = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(long), long)
    sent = head + (whole if announced else chunked)
    kfp.answer = lambda connection, asked: connection.sendall(sent)
    with ThreadPoolExecutor(1) as threads:
        to = Destination(kfp.endpoint, TokenFile(tmp_path / "token"), threads)
        answer = await sender.send(to, KfpRequest("GET", "/apis/v2beta1/runs"))
        body, more = await answer.start()
        assert more
        body += b"".join([piece async for piece in answer.rest()])
    assert TOKEN.encode()[: len(TOKEN) // 2] not in body
    assert set(json.loads(body)["runs"]) <= {"*" * len(TOKEN), MASK}
    assert not announced or len(body) == len(long)
    await sender.close()
    kfp.close()


def test_a_secret_is_masked_wherever_what_holds_it_is_cut():
    scrubber = Scrubber(["secret-of-alice", "secret"])
    text = b"a secret, secret-of-alice, secrsecret-of-alice secret-of-al"
    masked = b"a ******, ***************, secr*************** ******-of-al"
    for cut in range(len(text) + 1):
        first, held = scrubber.part(text[:cut])
        second, end = scrubber.part(held + text[cut:])
        assert first + second + scrubber.masked(end) == masked


async def test_a_long_error_is_scrubbed_apart_from_the_event_loop(tmp_path, monkeypatch):
    (tmp_path / "token").write_text(TOKEN)
    kfp, sender, where = OddKfp(), Sender(), []
    long = json.dumps({"message": f"{TOKEN} {'x' * answer_module.AT_ONCE}"}).encode()
    kfp.answer = lambda connection, asked: connection.sendall(
        reply("500 Internal Server Error", long, "Content-Type: application/json")
    )
    scrub = Scrubber.body
    monkeypatch.setattr(
        Scrubber, "body", lambda *given: (where.append(threading.get_ident()), scrub(*given))[1]
    )
    with ThreadPoolExecutor(1) as threads:
        to = Destination(kfp.endpoint, TokenFile(tmp_path / "token"), threads)
        answer = await sender.send(to, KfpRequest("GET", "/apis/v2beta1/runs"))
        body, _ = await answer.start()
    assert answer.status == 500 and MASK.encode() in body and TOKEN.encode() not in body
    assert len(where) == 1 and where[0] != threading.get_ident()
    await sender.close()
    kfp.close()


def test_a_line_of_jupyters_log_holds_neither_line_breaks_nor_the_key(caplog):
    log = LineLogger(logging.getLogger("a server"), Scrubber([TOKEN]).text)
    with caplog.at_level(logging.INFO):
        log.info("asked: %s", f"x\n[I 2026 ServerApp] forged\u2028{TOKEN}\x1b[1A")
        log.debug("not %s", "shown")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "a server"]
    assert line == f"asked: x\\n[I 2026 ServerApp] forged\\u2028{MASK}\\x1b[1A"
