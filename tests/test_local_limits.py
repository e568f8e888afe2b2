"""What one request to the local KFP may cost: memory, the others' time, and for whom at all."""

import asyncio
import contextlib
import io
import json
import threading
import time
import zipfile
from pathlib import Path

import pytest
import requests
import yaml
from conftest import API, text

from jupyter_kfp_mt.local.api_errors import ApiError
from jupyter_kfp_mt.local.pipeline_reader import PipelineReader

MEGABYTE = 1 << 20
# What a server that stops for a file or a search takes to answer is a multiple of this.
SECONDS = 2.0


class Watch:
    """What a server takes while something happens: megabytes at its peak, seconds for healthz."""

    def __init__(self, server):
        self._server = server
        self._before = self._peak()
        self._over = threading.Event()
        self.seconds = []
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._over.set()
        self._thread.join()
        self.megabytes = self._peak() - self._before
        print(f"{self.megabytes} MB, healthz after {max(self.seconds):.3f} s at most")

    def _ask(self):
        with requests.Session() as session:
            while not (self.seconds and self._over.wait(0.01)):
                started = time.monotonic()
                session.get(f"{self._server.endpoint}{API}/healthz", timeout=60)
                self.seconds.append(time.monotonic() - started)

    def _peak(self):
        status = Path(f"/proc/{self._server.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) >> 10


@pytest.fixture
def watched(start_local_kfp):
    """A server of its own, and what it takes to do something."""
    server = start_local_kfp()

    @contextlib.contextmanager
    def watched(megabytes=150):
        with Watch(server) as watch:
            yield server
        assert watch.megabytes < megabytes
        assert max(watch.seconds) < SECONDS

    # What the first of all requests takes is no matter here.
    server.get(f"{API}/runs", namespace="alice")
    return watched


def send(server, content, path="upload", **params):
    return server.call(
        "POST",
        f"{API}/pipelines/{path}",
        params={"namespace": "alice", **params},
        files={"uploadfile": ("pipeline.yaml", content)},
    )


def unfolding(length, times):
    """A text, and aliases of it."""
    return f"a: &a {'x' * length}\nb: [{', '.join(['*a'] * times)}]\n"


def nested(levels, times):
    lines = ["a0: &a0 [1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * times)}]" for n in range(1, levels)]
    return "\n".join(lines)


def zipped(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pipeline.yaml", content)
    return buffer.getvalue()


TOO_MANY = "The pipeline unfolds to more than 150000 values. Move large constants into a file"
TOO_LONG = "The pipeline unfolds to more than 8388608 bytes. Consider moving large embedded"


# Files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(unfolding(5_000, 4_000), TOO_LONG, id="aliases of a text"),
        pytest.param(unfolding(5_000, 2_000).replace("*a", "{*a : 1}"), TOO_LONG, id="of a key"),
        pytest.param(nested(6, 12), TOO_MANY, id="aliases of aliases"),
        pytest.param("[" + "{}," * 700_000 + "{}]", TOO_MANY, id="empty objects"),
        pytest.param("a:\n" + "- \n" * 300_000, TOO_MANY, id="nothings"),
        pytest.param("a: '" + "x" * (9 << 20) + "'", TOO_LONG, id="text"),
        pytest.param(zipped("a: '" + "x" * (9 << 20) + "'"), TOO_LONG, id="archive"),
        pytest.param(zipped("[" + "{}," * 700_000 + "{}]"), TOO_MANY, id="objects in an archive"),
        pytest.param('a: "' + "\\x01" * (2 << 20) + '"', TOO_LONG, id="control characters"),
    ],
)
def test_a_file_that_unfolds_to_too_much_is_refused_and_holds_up_nobody(watched, content, message):
    with watched() as server:
        answer = send(server, content)
    assert answer.status_code == 400
    assert message in answer.json()["error_message"]


def test_a_manifest_that_unfolds_to_too_much_is_refused_and_holds_up_nobody(watched, unique):
    with watched() as server:
        body = {"display_name": unique, "namespace": "alice"}
        experiment = server.post(f"{API}/experiments", body).json()
        key = {"type": "EXPERIMENT", "id": experiment["experiment_id"]}
        manifest = unfolding(5_000, 4_000)
        run = {
            "name": unique,
            "pipeline_spec": {"pipeline_manifest": manifest},
            "resource_references": [{"key": key, "relationship": "OWNER"}],
        }
        answer = server.post("/apis/v1beta1/runs", run)
    assert answer.status_code == 400
    assert TOO_LONG in text(answer)


def with_texts(adder, length, times):
    """The adder with so many texts beside what it does, as compiled pipelines have code."""
    spec = yaml.safe_load(adder.read_text())
    spec["components"] |= {f"more-{n}": {"text": "é" * length} for n in range(times)}
    return spec


def test_a_pipeline_of_megabytes_is_taken_and_holds_up_nobody(watched, adder, unique):
    spec = with_texts(adder, 35_000, 100)
    content = json.dumps(spec, ensure_ascii=False)
    with watched() as server:
        answer = send(server, content, name=unique)
    assert answer.status_code == 200
    path = f"{API}/pipelines/{answer.json()['pipeline_id']}/versions"
    (version,) = server.get(path).json()["pipeline_versions"]
    assert version["pipeline_spec"] == spec


def test_several_large_files_at_once_are_read_one_after_the_other(watched, adder, unique):
    content = json.dumps(with_texts(adder, 500, 200))
    answers = []
    with watched() as server:
        uploads = [
            threading.Thread(
                target=lambda n=n: answers.append(send(server, content, name=f"{unique}-{n}"))
            )
            for n in range(4)
        ]
        for upload in uploads:
            upload.start()
        for upload in uploads:
            upload.join()
    assert [answer.status_code for answer in answers] == [200] * 4


def test_a_small_file_does_not_wait_for_large_ones(start_local_kfp, adder, unique):
    server = start_local_kfp()
    slow = json.dumps({"a": [{"b": n} for n in range(30_000)]})
    ended = []

    def upload(what, content):
        send(server, content, name=f"{unique}-{what}")
        ended.append(what)

    large = [threading.Thread(target=upload, args=("large", slow)) for _ in range(3)]
    for thread in large:
        thread.start()
    upload("small", adder.read_bytes())
    for thread in large:
        thread.join()
    assert ended.index("small") < 3


@pytest.fixture
def read():
    """Reads a file within limits of the test's own."""
    content = "a:\n" + "".join(f"- {{name: a{n}}}\n" for n in range(40_000))

    def read(**limits):
        with contextlib.closing(PipelineReader(**limits)) as reader:
            return asyncio.run(reader.read("pipeline.yaml", content.encode()))

    return read


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        pytest.param({"most_memory": 40 * MEGABYTE}, "within 60 s and 40 MB", id="memory"),
        pytest.param({"most_seconds": 0}, "within 0 s and 256 MB", id="time"),
    ],
)
def test_what_reading_a_file_may_take_is_limited(read, limits, said):
    with pytest.raises(ApiError) as refusal:
        read(**limits)
    assert f"The file cannot be read {said} of memory. Compile" in refusal.value.text
    with pytest.raises(ApiError, match="not a compiled pipeline"):
        read()


def test_a_file_that_is_being_read_does_not_keep_the_server_from_stopping(start_local_kfp, unique):
    server = start_local_kfp()
    content = json.dumps({"a": [{"b": n} for n in range(30_000)]})

    def upload():
        with contextlib.suppress(requests.RequestException):
            send(server, content)

    threads = [threading.Thread(target=upload) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert server.stop() == 0
    for thread in threads:
        thread.join()


# Messages


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            b'{"pipeline_spec":{"a":[' + b"{}," * 500_000 + b"{}]}}",
            "it has more than 150000 values",
            id="objects",
        ),
        pytest.param(
            b'{"pipeline_spec":{"a":"' + b'\\",' * 700_000, "data was truncated", id="open text"
        ),
        pytest.param(
            b'{"pipeline_spec":{"a":' + b"[" * 400 + b"]" * 400 + b"}}",
            "nested too deeply",
            id="depth",
        ),
    ],
)
def test_a_message_that_is_too_much_is_refused_and_holds_up_nobody(watched, body, message):
    with watched() as server:
        made = server.post(f"{API}/experiments", {"display_name": "e", "namespace": "alice"})
        experiment_id = made.json()["experiment_id"].encode()
        run = b'{"display_name":"r","experiment_id":"' + experiment_id + b'",' + body[1:]
        answer = server.call("POST", f"{API}/runs", data=run)
    assert answer.status_code == 400
    assert message in text(answer)


def test_commas_in_the_texts_of_a_message_are_no_values(local_kfp, adder, unique):
    made = local_kfp.post(f"{API}/experiments", {"display_name": unique, "namespace": "alice"})
    run = {
        "display_name": unique,
        "experiment_id": made.json()["experiment_id"],
        "pipeline_spec": yaml.safe_load(adder.read_text()),
        "runtime_config": {"parameters": {"x": 1, "label": '",\\' * 200_000}},
    }
    answer = local_kfp.post(f"{API}/runs", run)
    assert answer.status_code == 200
    assert answer.json()["runtime_config"]["parameters"] == run["runtime_config"]["parameters"]


@pytest.mark.parametrize("path", ["/runs", "/pipelines/upload", "/pipelines/create", "/nothing"])
def test_of_strangers_no_long_body_is_read(watched, path):
    with watched(megabytes=20) as server:
        body = (bytes(MEGABYTE) for _ in range(30))
        answer = server.call("POST", API + path, who="", data=body)
    assert answer.status_code == (404 if path == "/nothing" else 401)


def test_what_a_stranger_sends_is_looked_at_if_it_is_short(local_kfp):
    answer = local_kfp.post(f"{API}/runs", {}, who="")
    assert (answer.status_code, "Run name cannot be empty" in text(answer)) == (400, True)
