"""Requests that nobody should send to the local KFP: each is answered soon, and does no harm."""

import contextlib
import gzip
import io
import json
import socket
import tarfile
import time
import zipfile

import pytest
from harness.local_kfp import API, text


@pytest.fixture
def send_raw(local_kfp):
    """Return a server's answer to these bytes, and how long it took."""

    def send_raw(*pieces, server=local_kfp, pause=0.0, seconds=20):
        host, port = server.endpoint.removeprefix("http://").split(":")
        started, answer = time.monotonic(), b""
        with socket.create_connection((host, int(port)), timeout=seconds) as connection:
            connection.settimeout(pause or seconds)
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                for piece in pieces:
                    connection.sendall(piece)
                    with contextlib.suppress(TimeoutError):
                        if pause and not connection.recv(1, socket.MSG_PEEK):
                            break
                connection.settimeout(seconds)
                while received := connection.recv(1 << 16):
                    answer += received
        return answer, time.monotonic() - started

    return send_raw


def request(server, method, path, *headers, body=b""):
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {server.token('alice/default-editor')}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def is_alive(server):
    return server.get(f"{API}/healthz").status_code == 200


def post(server, path, body, content_type="application/json"):
    return server.call("POST", API + path, headers={"Content-Type": content_type}, data=body)


# Lengths


@pytest.mark.parametrize(
    ("path", "content_type", "longest"),
    [
        pytest.param("/runs", "application/json", 8 << 20, id="JSON"),
        pytest.param(
            "/pipelines/upload?namespace=alice",
            "multipart/form-data; boundary=b",
            32 << 20,
            id="form",
        ),
    ],
)
def test_a_body_of_any_length_is_answered_with_a_sentence(local_kfp, path, content_type, longest):
    body = (bytes(1 << 20) for _ in range(80))
    answer = post(local_kfp, path, body, content_type)
    assert answer.status_code == 400
    assert f"The request has more than {longest} bytes" in answer.text


def test_a_body_of_8_megabytes_is_taken(local_kfp, unique):
    body = json.dumps({"display_name": unique, "namespace": "alice"})
    assert post(local_kfp, "/experiments", " " * (8 << 20) + body).status_code == 200


def test_a_list_of_millions_of_things_is_answered_soon(local_kfp):
    started = time.monotonic()
    answer = post(local_kfp, "/experiments", b'{"created_at":[' + b"{}," * (3 << 20) + b"{}]}")
    assert answer.status_code == 400
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param(["Content-Length: abc"], b"{}", id="no number"),
        pytest.param(["Content-Length: -1"], b"{}", id="negative"),
        pytest.param(["Content-Length: 2", "Content-Length: 3"], b"{}", id="two"),
        pytest.param(
            ["Content-Length: 2", "Transfer-Encoding: chunked"],
            b"2\r\n{}\r\n0\r\n\r\n",
            id="and chunked",
        ),
        pytest.param(["Transfer-Encoding: chunked"], b"zz\r\n{}\r\n0\r\n\r\n", id="bad chunk"),
    ],
)
def test_a_length_that_is_none_is_a_bad_request(local_kfp, send_raw, headers, body):
    answer, _ = send_raw(request(local_kfp, "POST", f"{API}/runs", *headers, body=body))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_what_follows_the_announced_length_is_no_part_of_the_body(local_kfp, send_raw):
    message = request(local_kfp, "POST", f"{API}/runs", "Content-Length: 2", body=b'{}"evil"')
    answer, _ = send_raw(message)
    assert b"Run name cannot be empty" in answer


def test_a_body_in_chunks_is_read_like_any_other(local_kfp, unique):
    body = json.dumps({"display_name": unique, "namespace": "alice"}).encode()
    answer = post(local_kfp, "/experiments", (body[at : at + 7] for at in range(0, len(body), 7)))
    assert answer.json()["display_name"] == unique


def test_a_body_that_breaks_off_changes_nothing(local_kfp, unique):
    body = json.dumps({"display_name": unique, "namespace": "alice"}).encode()
    message = request(local_kfp, "POST", f"{API}/experiments", "Content-Length: 500", body=body)
    host, port = local_kfp.endpoint.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(message)
    assert is_alive(local_kfp)
    predicate = {"key": "name", "operation": "EQUALS", "string_value": unique}
    params = {"namespace": "alice", "filter": json.dumps({"predicates": [predicate]})}
    assert local_kfp.get(f"{API}/experiments", **params).json() == {}


@pytest.mark.parametrize("length", [60_000, 500_000])
def test_a_long_url_is_read(local_kfp, length):
    answer = local_kfp.get(f"{API}/experiments", namespace="alice", ignored="x" * length)
    assert answer.status_code == 200


def test_thousands_of_headers_are_read(local_kfp, send_raw):
    headers = [f"X-{number}: y" for number in range(20_000)]
    answer, _ = send_raw(request(local_kfp, "GET", f"{API}/healthz", *headers))
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_headers_of_megabytes_are_not(local_kfp, send_raw):
    answer, _ = send_raw(request(local_kfp, "GET", f"{API}/healthz", "X: " + "y" * (4 << 20)))
    assert answer == b""
    assert is_alive(local_kfp)


# Slow clients


@pytest.fixture
def impatient(start_local_kfp):
    return start_local_kfp("--request-timeout", "0.5")


def test_headers_that_come_byte_by_byte_are_waited_for_only_so_long(impatient, send_raw):
    message = request(impatient, "GET", f"{API}/healthz")
    pieces = (bytes([byte]) for byte in message)
    answer, seconds = send_raw(*pieces, server=impatient, pause=0.05)
    assert answer == b""
    assert seconds < 10


@pytest.mark.parametrize("header", ["Content-Length: 50", "Transfer-Encoding: chunked"])
def test_a_body_that_never_comes_is_waited_for_only_so_long(impatient, send_raw, header):
    message = request(impatient, "POST", f"{API}/runs", header)
    answer, seconds = send_raw(message, server=impatient)
    assert answer == b""
    assert seconds < 10
    assert is_alive(impatient)


def test_a_slow_client_holds_up_nobody_else(local_kfp):
    host, port = local_kfp.endpoint.removeprefix("http://").split(":")
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            slow = stack.enter_context(socket.create_connection((host, int(port))))
            slow.sendall(
                b"POST /apis/v2beta1/runs HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
            )
        assert is_alive(local_kfp)


# Text that is none


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\r\n\r\n", id="TLS"),
        pytest.param(b"GET /\r\n\r\n", id="HTTP 0.9"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP 2"),
        pytest.param(b"GET /apis/v2beta1/healthz HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nA\x00: b\r\n\r\n", id="NUL in a header"),
        pytest.param(b"\x00" * 1000 + b"\r\n\r\n", id="zeros"),
    ],
)
def test_what_is_no_request_is_a_bad_request(local_kfp, send_raw, message):
    answer, _ = send_raw(message)
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        pytest.param("/runs/%FF", "The request cannot be read: Invalid unicode", id="id"),
        pytest.param("/runs/%ED%A0%80", "The request cannot be read: Invalid unicode", id="half"),
        pytest.param(
            "/runs?namespace=%FF", "The parameter namespace is not UTF-8 text", id="namespace"
        ),
        pytest.param("/runs?filter=%FF", "The parameter filter is not UTF-8 text", id="filter"),
        pytest.param(
            "/pipelines/x?cascade=maybe",
            'strconv.ParseBool: parsing "maybe": invalid syntax',
            id="no boolean",
        ),
    ],
)
def test_a_url_that_cannot_be_read_is_refused_with_the_part(local_kfp, path, message):
    answer = local_kfp.call("DELETE" if "cascade" in path else "GET", API + path)
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    assert message in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b'{"created_at": NaN}', "invalid character 'N'", id="NaN"),
        pytest.param(b'{"created_at": -Infinity}', "invalid character 'I'", id="infinity"),
        pytest.param(b'{"created_at": 1e999}', "unexpected token 1e999", id="huge number"),
        pytest.param(
            b'{"created_at": ' + b"9" * 5000 + b"}", "unexpected token 9", id="long number"
        ),
        pytest.param(b"\xef\xbb\xbf{}", "invalid character 'ï'", id="byte order mark"),
        pytest.param('{"a": 1}'.encode("utf-16"), "invalid character 'ÿ'", id="UTF-16"),
        pytest.param(b'{"display_name": "\xff"}', "invalid UTF-8 in string", id="no UTF-8"),
        pytest.param(b'{"display_name": "\\udfff"}', "invalid escape code", id="half a character"),
        pytest.param(b"null", "unexpected token null", id="null"),
        pytest.param(
            b'{"display_name": "a", "displayName": "b"}',
            'duplicate field "displayName"',
            id="twice",
        ),
    ],
)
def test_json_that_is_none_is_refused_with_the_reason(local_kfp, body, message):
    answer = post(local_kfp, "/experiments", body)
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    assert message in text(answer)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(2**63, "invalid value for int64 field", id="over the edge"),
        pytest.param(-(2**63) - 1, "invalid value for int64 field", id="below"),
        pytest.param("9" * 5000, "invalid value for int64 field", id="long"),
        pytest.param(1.5, "invalid value for int64 field maxConcurrency: 1.5", id="fraction"),
        pytest.param("1.5", "invalid value for int64 field", id="fraction as text"),
        pytest.param("", "invalid value for int64 field", id="nothing"),
        pytest.param(2**63 - 1, "at most 10. Received 9223372036854775807", id="edge"),
        pytest.param(-(2**63), "at most 10. Received -9223372036854775808", id="lower edge"),
        pytest.param("1e1", "Experiment id can not be empty", id="exponent"),
        pytest.param(True, "invalid value for int64 field maxConcurrency: true", id="bool"),
    ],
)
def test_an_int64_is_one_or_refused(local_kfp, value, message):
    body = {"display_name": "r", "max_concurrency": value}
    answer = post(local_kfp, "/recurringruns", json.dumps(body))
    assert answer.status_code == 400
    assert message in text(answer)


def test_a_name_may_have_a_nul_in_it(local_kfp, unique):
    body = {"display_name": f"a\0{unique}", "namespace": "alice"}
    made = local_kfp.post(f"{API}/experiments", body).json()
    assert local_kfp.get(f"{API}/experiments/{made['experiment_id']}").json() == made
    assert made["display_name"] == body["display_name"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "", "application/json"])
def test_the_content_type_of_json_does_not_matter(local_kfp, unique, content_type):
    body = json.dumps({"display_name": unique, "namespace": "alice"})
    assert post(local_kfp, "/experiments", body, content_type).status_code == 200


# Forms


def form(*parts):
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


def file_part(content=b"a: 1", file_name="x.yaml", name="uploadfile"):
    head = f'Content-Disposition: form-data; name="{name}"; filename="{file_name}"\r\n\r\n'
    return head.encode() + content


FIELD = b'Content-Disposition: form-data; name="uploadfile"\r\n\r\na: 1'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            form(file_part(name="other")), "the form has no file `uploadfile`", id="other"
        ),
        pytest.param(form(FIELD), "the form has no file `uploadfile`", id="no file name"),
        pytest.param(form(), "Failed to read pipeline from file", id="empty form"),
        pytest.param(b"", "The request cannot be read: Invalid body", id="nothing"),
        pytest.param(form(file_part())[:-6], "no final boundary", id="cut off"),
        pytest.param(form(*[file_part()] * 500), "too many parts", id="500 files"),
        pytest.param(form(file_part(file_name="x" * 20_000)), "header too large", id="long name"),
        pytest.param(form(file_part(file_name="x\0")), "Invalid header value", id="NUL in name"),
        pytest.param(form(b"no header"), "missing headers", id="no header"),
    ],
)
def test_a_form_that_is_none_is_refused_with_the_reason(local_kfp, body, message):
    path = "/pipelines/upload?namespace=alice"
    answer = post(local_kfp, path, body, "multipart/form-data; boundary=b")
    assert answer.status_code == 400
    assert set(answer.json()) == {"error_message", "error_details"}
    assert message in answer.json()["error_details"]


def test_of_several_files_the_first_is_taken(local_kfp, adder, unique):
    body = form(file_part(adder.read_bytes()), file_part(b"another"))
    path = f"/pipelines/upload?namespace=alice&name={unique}"
    assert post(local_kfp, path, body, "multipart/form-data; boundary=b").status_code == 200


def test_the_name_of_a_file_is_no_path(local_kfp, adder, unique):
    name = f"../../../../tmp/{unique}.yaml"
    body = form(file_part(adder.read_bytes(), name))
    path = "/pipelines/upload?namespace=alice"
    answer = post(local_kfp, path, body, "multipart/form-data; boundary=b")
    assert answer.json()["name"] == f"{unique}.yaml"  # as Go reads it, without folders
    assert not local_kfp.written(unique)


# Archives


def upload(server, content, file_name="pipeline.zip"):
    return server.call(
        "POST",
        f"{API}/pipelines/upload?namespace=alice",
        files={"uploadfile": (file_name, content)},
    )


def tarball(*members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member in members:
            content = io.BytesIO(bytes(member.size)) if member.isreg() else None
            archive.addfile(member, content)
    return buffer.getvalue()


def member(name="pipeline.yaml", **fields):
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def sparse_tarball(size):
    """A file that has only its first block, and says that it is of this size."""
    header = bytearray(tarfile.TarInfo("pipeline.yaml").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"%011o\0" % 512  # what is stored
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[386:410] = b"%011o\0%011o\0" % (0, 512)  # where it goes
    header[483:495] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    buffer = io.BytesIO()
    with gzip.open(buffer, "wb") as file:
        file.write(bytes(header) + bytes(512) + bytes(1024))
    return buffer.getvalue()


def many_files(count):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(count):
            archive.writestr(f"{number}.txt", b"")
    return buffer.getvalue()


def zip_that_lies():
    """The size in its directory is not that of what is in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("pipeline.yaml", b"a: 1" * 100)
    return buffer.getvalue().replace((400).to_bytes(4, "little"), (7).to_bytes(4, "little"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(sparse_tarball(7 << 30), "unpacks to more than", id="sparse file"),
        pytest.param(
            tarball(member(type=tarfile.SYMTYPE, linkname="/etc/passwd")),
            "Expecting a pipeline.yaml",
            id="symbolic link",
        ),
        pytest.param(
            tarball(member(type=tarfile.LNKTYPE, linkname="/etc/passwd")),
            "Expecting a pipeline.yaml",
            id="hard link",
        ),
        pytest.param(
            tarball(member(type=tarfile.CHRTYPE, devmajor=1, devminor=5)),
            "Expecting a pipeline.yaml",
            id="device",
        ),
        pytest.param(tarball(member(type=tarfile.FIFOTYPE)), "Expecting a pipeline", id="fifo"),
        pytest.param(tarball(), "Expecting a pipeline.yaml", id="empty tarball"),
        pytest.param(many_files(20_000), "Expecting a pipeline.yaml", id="many files"),
        pytest.param(many_files(0), "Expecting a pipeline.yaml", id="empty zip"),
        pytest.param(zip_that_lies(), "not a readable archive", id="wrong size"),
    ],
)
def test_an_archive_without_a_pipeline_is_refused_and_not_unpacked(local_kfp, content, message):
    answer = upload(local_kfp, content)
    assert answer.status_code == 400
    assert message in answer.json()["error_details"]


@pytest.mark.parametrize("name", ["/etc/x.yaml", "../../x.yaml", "C:\\x.yaml", "a/../../x.yaml"])
def test_the_path_of_a_file_in_an_archive_leads_nowhere(local_kfp, adder, tmp_path, name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, adder.read_bytes())
    before = set(local_kfp.data.parent.iterdir())
    answer = upload(local_kfp, buffer.getvalue(), f"{tmp_path.name}-{len(name)}.zip")
    assert answer.status_code == 200
    assert set(local_kfp.data.parent.iterdir()) == before


# YAML


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("!!python/object/apply:os.system [id]", "could not determine", id="object"),
        pytest.param("? [a, b]\n: c", "used as a key", id="list as key"),
        pytest.param("&a [*a]", "The file is not YAML", id="in itself"),
        pytest.param("a: " + "9" * 5000, "some other YAML", id="long number"),
        pytest.param("a: &a\n  b: *a", "The file is not YAML", id="mapping in itself"),
        pytest.param("a: 9999-99-99", "some other YAML", id="no date"),
        pytest.param("a: \x00", "The file is not YAML", id="NUL"),
        pytest.param("? " * 50_000, "nested too deeply", id="keys in keys"),
        pytest.param("pipelineInfo: [", "The file is not YAML", id="cut off"),
        pytest.param("pipelineInfo: 1\nschemaVersion: 2.1.0", "not valid", id="number"),
    ],
)
def test_yaml_that_is_no_pipeline_is_refused_with_a_sentence(local_kfp, content, message):
    answer = upload(local_kfp, content, "pipeline.yaml")
    assert answer.status_code == 400
    assert message in answer.json()["error_details"]


def test_the_server_of_all_these_is_alive_and_has_seen_no_error(local_kfp):
    assert is_alive(local_kfp)
    assert "Traceback" not in local_kfp.log.read_text()
