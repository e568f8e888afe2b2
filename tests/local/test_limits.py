"""Limits of one request to the local KFP: memory, the others' time, and for whom at all."""

import asyncio
import contextlib
import io
import json
import select
import signal
import socket
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillReading
from datetime import datetime, timezone
from pathlib import Path

import msgspec
import pytest
import requests
import yaml
from harness.local_kfp import API, text
from harness.waiting import PATIENCE, wait_until
from harness.watching import Watch

from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.credentials import TokenFile
from jupyter_kfp_mt.local.api.hosts import Hosts
from jupyter_kfp_mt.local.database import Database
from jupyter_kfp_mt.local.database.list_queries import PageLimit, PageTooLong
from jupyter_kfp_mt.local.database.row_types import Origin, PlacedRun
from jupyter_kfp_mt.local.database.schema import opened
from jupyter_kfp_mt.local.database.searches import Searches
from jupyter_kfp_mt.local.pipelines.pipeline_files import Specification
from jupyter_kfp_mt.local.pipelines.pipeline_reader import PipelineReader
from jupyter_kfp_mt.local.wire.api_errors import ApiError
from jupyter_kfp_mt.local.wire.list_options import RUNS, ListOptions, Order
from jupyter_kfp_mt.models import Run, Task, TaskValues

MEGABYTE = 1 << 20
# What a server that stops for a file or a search takes to answer is a multiple of this.
SECONDS = 2.0


@pytest.fixture
def watched(local_kfp):
    """The server, while it is looked at what it takes to do something."""

    @contextlib.contextmanager
    def watched(megabytes=150):
        with Watch(local_kfp) as watch:
            yield local_kfp
        assert watch.megabytes < megabytes
        assert max(watch.seconds) < SECONDS

    return watched


def send(server, content, path="upload", **params):
    return server.call(
        "POST",
        f"{API}/pipelines/{path}",
        params={"namespace": "alice", **params},
        files={"uploadfile": ("pipeline.zip" if content[:2] == b"PK" else "p.yaml", content)},
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


TOO_MANY = "The pipeline expands to more than 150000 values. Move large constants into a file"
TOO_LONG = "The pipeline expands to more than 8388608 bytes. Consider moving large embedded"


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
    assert message in answer.json()["error_details"]


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
    spec["deploymentSpec"] |= {f"more-{n}": {"text": "é" * length} for n in range(times)}
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
    slow = json.dumps({"a": [{"b": n} for n in range(12_000)]})
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
    content = "a:\n" + "".join(f"- {{name: a{n}}}\n" for n in range(12_000))

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


def test_a_file_is_not_refused_because_others_keep_the_processors_busy(adder):
    content = adder.read_bytes() + b"# a comment\n" * 10_000
    with contextlib.closing(PipelineReader(most_seconds=2)) as reader:
        reading = ThreadPoolExecutor(1).submit(
            lambda: asyncio.run(reader.read("pipeline.yaml", content))
        )
        (process,) = wait_until(lambda: [*reader._processes], what="a process that reads")
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(StillReading):
            reading.result(2.1)
        process.send_signal(signal.SIGCONT)
        assert reading.result(PATIENCE).name == "adder"


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
            "The request has more than 150000 values",
            id="objects",
        ),
        pytest.param(
            b'{"pipeline_spec":{"a":"' + b'\\",' * 700_000, "unexpected EOF", id="open text"
        ),
        pytest.param(
            b'{"pipeline_spec":{"a":' + b"[" * 400 + b"]" * 400 + b"}}",
            "nested too deeply",
            id="depth",
        ),
    ],
)
def test_a_message_that_is_too_much_is_refused_and_holds_up_nobody(watched, unique, body, message):
    with watched() as server:
        made = server.post(f"{API}/experiments", {"display_name": unique, "namespace": "alice"})
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
    assert answer.status_code == {"/nothing": 404, "/pipelines/upload": 400}.get(path, 401)


def test_what_a_stranger_sends_is_looked_at_if_it_is_short(local_kfp):
    answer = local_kfp.post(f"{API}/runs", {}, who="")
    assert (answer.status_code, "Run name cannot be empty" in text(answer)) == (400, True)


# Searches


@pytest.mark.parametrize(
    ("predicates", "message"),
    [
        pytest.param(
            [{"key": "name", "operation": "IS_SUBSTRING", "string_value": "a" * 257}],
            "cannot search for more than 256 characters",
            id="long text",
        ),
        pytest.param(
            [{"key": "description", "operation": "IS_SUBSTRING", "string_value": "a" * 81}],
            "cannot search for more than 80 characters",
            id="long text in what may be long",
        ),
        pytest.param(
            [{"key": "name", "operation": "EQUALS", "string_value": "a"}] * 51,
            "the filter has 51 predicates, and there may be 50",
            id="predicates",
        ),
        pytest.param(
            [{"key": "name", "operation": "IN", "string_values": {"values": ["a"] * 20_000}}],
            "it has more than 65536 characters",
            id="length",
        ),
    ],
)
@pytest.mark.parametrize("who", ["alice/default-editor", ""])
def test_a_filter_that_asks_for_too_much_is_refused(local_kfp, predicates, message, who):
    params = {"filter": json.dumps({"predicates": predicates})}
    answer = local_kfp.get(f"{API}/pipelines", who, **params)
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    assert message in text(answer)


COUNTING = """
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT ?)
    SELECT count(*) FROM numbers"""


@pytest.fixture
def searches(tmp_path):
    """Searches that are given up after half a second, whose view is a connection."""
    with contextlib.closing(opened(tmp_path / "kfp.db")) as db:
        with contextlib.closing(
            Searches(db, tmp_path / "kfp.db", lambda db: db, longest=0.5)
        ) as searches:
            yield searches


def longest_wait(searches, search, **options):
    """Return what it finds, and for how long nobody else's turn came meanwhile."""

    async def measure():
        found = asyncio.ensure_future(searches.found(search, **options))
        waits = [0.0]
        while not found.done():
            started = time.monotonic()
            await asyncio.sleep(0.001)
            waits.append(time.monotonic() - started)
        return await found, max(waits)

    return asyncio.run(measure())


@pytest.mark.parametrize("may_be_long", [True, False])
def test_a_search_that_takes_long_is_given_up_with_a_sentence(searches, may_be_long):
    def search(db, limit):
        return db.execute(COUNTING, (10**9,)).fetchone()

    with pytest.raises(ApiError, match=r"The search takes longer than 0\.5 s\. Narrow it"):
        longest_wait(searches, search, may_be_long=may_be_long)


def test_a_search_that_takes_more_than_a_moment_goes_on_in_a_thread(searches):
    def search(db, limit):
        threads.append(threading.current_thread())
        return db.execute(COUNTING, (300_000,)).fetchone()[0]

    threads = []
    found, wait = longest_wait(searches, search, may_be_long=False)
    assert found == 300_000
    assert threads[0] is threading.main_thread()
    assert threads[-1] is not threading.main_thread()
    assert wait < SECONDS


def test_large_pages_are_read_one_at_a_time(searches):
    reading, at_once = [], []

    def search(db, limit):
        if not limit.ends:
            raise PageTooLong
        reading.append(db)
        at_once.append(len(reading))
        db.execute(COUNTING, (100_000,)).fetchone()
        reading.pop()

    async def find():
        await asyncio.gather(*[searches.found(search, may_be_long=False) for _ in range(8)])

    asyncio.run(find())
    assert at_once == [1] * 8


def test_what_was_written_a_moment_ago_is_found_in_a_thread(start_local_kfp, unique):
    server = start_local_kfp()
    predicate = {"key": "name", "operation": "IS_SUBSTRING", "string_value": unique}
    params = {"namespace": "alice", "filter": json.dumps({"predicates": [predicate]})}
    for number in range(20):
        name = f"{unique}-{number}"
        server.post(f"{API}/experiments", {"display_name": name, "namespace": "alice"})
        assert server.get(f"{API}/experiments", **params).json()["total_size"] == number + 1


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        pytest.param(
            "/experiments",
            {"display_name": "e", "namespace": "alice", "description": "d" * 256},
            "Experiment.Description length cannot exceed 255 characters",
            id="experiment",
        ),
        pytest.param(
            "/pipelines",
            {"name": "p", "namespace": "alice", "description": "d" * 100_001},
            "Pipeline.Description length cannot exceed 100000 characters",
            id="pipeline",
        ),
        pytest.param(
            "/pipelines",
            {"name": "p", "namespace": "alice", "display_name": "d" * 256},
            "Pipeline.DisplayName length cannot exceed 255 characters",
            id="display name",
        ),
    ],
)
def test_a_text_that_a_cluster_has_no_room_for_is_refused(local_kfp, path, body, message):
    answer = local_kfp.post(API + path, body)
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    assert message in text(answer)


# Pages


def every_page(page):
    """The pages from the first to the last, each as it was asked for with the last one's token."""
    pages, options = [], ListOptions(RUNS, 10, Order(), [])
    while True:
        items, total, start = page(options)
        pages.append(items)
        assert total == 10
        if start is None:
            return pages
        options = msgspec.structs.replace(options, start=start)


@pytest.fixture
def runs_of_a_kilobyte(tmp_path):
    """Ten runs, each of a pipeline of its own of 2,000 bytes, and with a task of 2,000."""
    moment = datetime(2026, 1, 2, tzinfo=timezone.utc)
    with contextlib.closing(Database(tmp_path / "kfp.db")) as database:
        for number in range(10):
            run = Run(run_id=f"r{number}", experiment_id="e", created_at=moment, state="RUNNING")
            run = msgspec.structs.replace(run, scheduled_at=moment)
            spec = Specification.of({"pipelineInfo": {"name": "p"}, "text": f"{number}" * 2000})
            database.runs.add(PlacedRun(run, "alice", "p-12345"), Origin(spec))
            task = Task(run_id=run.run_id, task_id="t", display_name="x" * 2000)
            database.runs.put_task(task, TaskValues(), TaskValues())
        yield database.runs


@pytest.mark.parametrize(
    ("most_bytes", "lengths"),
    [
        pytest.param(1, [1] * 10, id="one fits always"),
        pytest.param(13_500, [3, 3, 3, 1], id="three"),
        pytest.param(1 << 20, [10], id="all"),
    ],
)
def test_a_page_ends_where_it_is_long_and_the_next_one_goes_on(
    runs_of_a_kilobyte, most_bytes, lengths
):
    limit = PageLimit(most_bytes=most_bytes)
    scope = {"namespace": "alice"}
    pages = every_page(lambda options: runs_of_a_kilobyte.page(scope, options, limit))
    assert [len(page) for page in pages] == lengths
    ids = [placed.run.run_id for page in pages for placed in page]
    assert ids == [f"r{number}" for number in range(10)]


def test_a_page_with_manifests_ends_sooner(runs_of_a_kilobyte):
    limit = PageLimit(most_bytes=50_000)
    scope, options = {"namespace": "alice"}, ListOptions(RUNS, 10, Order(), [])
    plain, _, _ = runs_of_a_kilobyte.page(scope, options, limit)
    with_manifests, _, _ = runs_of_a_kilobyte.page(scope, options, limit, manifests=True)
    assert (len(plain), len(with_manifests)) == (10, 2)


def test_the_sdk_and_the_client_follow_pages_that_end_early(watched, adder, unique):
    from kfp_server_api import ApiClient, Configuration, PipelineServiceApi

    spec = yaml.safe_load(adder.read_text())
    names = [unique, *(f"{unique}-{n}" for n in range(11))]
    with watched() as server:
        made = send(server, json.dumps(spec), name=unique).json()["pipeline_id"]
        for name in names[1:]:
            spec["deploymentSpec"]["more"] = {"text": name * 50_000}
            send(server, json.dumps(spec), "upload_version", name=name, pipelineid=made)
        pages = []
        configuration = Configuration(server.endpoint)
        configuration.api_key["authorization"] = f"Bearer {server.token('alice/default-editor')}"
        with ApiClient(configuration) as api:
            token = ""
            while token is not None:
                page = PipelineServiceApi(api).pipeline_service_list_pipeline_versions(
                    made, page_size=200, page_token=token
                )
                pages.append([version.name for version in page.pipeline_versions])
                token = page.next_page_token
        credentials = TokenFile(server.token_file("alice/default-editor"))
        client = Client(server.endpoint, credentials, "alice")
        listed = [version.name for version in client.versions(made)]
    assert len(pages) > 1
    assert sorted(sum(pages, [])) == sorted(listed) == sorted(names)


# Clients that do not read


def sockets(server):
    found = 0
    for link in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found += link.readlink().name.startswith("socket:")
    return found


@pytest.fixture
def impatient(start_local_kfp, adder, unique):
    """A server that lets its answers be read for half a second, and the path of a long one."""
    server = start_local_kfp("--write-timeout", "0.5")
    spec = with_texts(adder, 30_000, 100)
    made = send(server, json.dumps(spec, ensure_ascii=False), name=unique).json()["pipeline_id"]
    return server, f"{API}/pipelines/{made}/versions"


def test_a_client_that_does_not_read_is_hung_up_on(impatient):
    server, path = impatient
    before = sockets(server)
    host, port = server.endpoint.removeprefix("http://").split(":")
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((host, int(port)))
            head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n"
            head += f"Authorization: Bearer {server.token('alice/default-editor')}\r\n\r\n"
            client.sendall(head.encode())
        wait_until(lambda: sockets(server) > before, what="the connections")
        wait_until(lambda: sockets(server) <= before, what="their end")
    assert "Traceback" not in server.log.read_text()


def test_a_client_that_reads_gets_all_of_it(impatient):
    server, path = impatient
    (version,) = server.get(path).json()["pipeline_versions"]
    assert len(version["pipeline_spec"]["deploymentSpec"]["more-99"]["text"]) == 30_000


# Names of the server


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8080"),
        *("kfp.localhost", "host.docker.internal:5", "host.containers.internal"),
    ],
)
def test_a_server_is_called_by_the_names_of_this_machine(local_kfp, host):
    assert local_kfp.call("GET", f"{API}/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example"),
        *("192.0.2.1", "10.0.0.1:80", "[2001:db8::1]", "evil.example@localhost.evil", "a b", ","),
    ],
)
@pytest.mark.parametrize("path", ["/runs?namespace=alice", "/healthz", "/nothing"])
def test_a_page_of_the_web_cannot_call_it_by_a_name_of_its_own(local_kfp, host, path):
    answer = local_kfp.call("GET", API + path, headers={"Host": host})
    assert answer.status_code in (400, 403)
    if answer.status_code == 403:
        assert "Call it by the address that it printed" in answer.json()["message"]


def test_a_name_that_is_none_is_not_remembered():
    hosts = Hosts("127.0.0.1")
    for number in range(3):
        with pytest.raises(ApiError, match="Call it by the address that it printed"):
            hosts.check(f"{number}.{'a' * 1000}.localhost", "127.0.0.1")
    with pytest.raises(ApiError, match="'evil.example'"):
        hosts.check("evil.example", "127.0.0.1")


def test_a_name_can_be_allowed(start_local_kfp):
    server = start_local_kfp("--allow-host", "kfp.example.org", "--allow-host", "other.example")
    for host, status in [("kfp.example.org:443", 200), ("Other.Example", 200), ("x.example", 403)]:
        answer = server.call("GET", f"{API}/healthz", headers={"Host": host})
        assert answer.status_code == status


# What else a request may hold a lot of


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        pytest.param("0," * 500 + "0 * * * * *", "Expected at most 1000 characters", id="numbers"),
        pytest.param("@every " + "1s" * 500, "Expected at most 1000 characters", id="duration"),
        pytest.param(
            ",".join(map(str, range(60))) + " " + ",".join(map(str, range(60))) + " * * * *",
            "Experiment id can not be empty",
            id="every second and minute written out is short enough",
        ),
    ],
)
def test_a_cron_expression_has_a_length(local_kfp, cron, message):
    body = {"display_name": "r", "max_concurrency": "1", "trigger": {"cron_schedule": {}}}
    body["trigger"]["cron_schedule"]["cron"] = cron
    answer = local_kfp.post(f"{API}/recurringruns", body)
    assert answer.status_code == 400
    assert message in text(answer)


def test_so_many_metrics_are_reported_at_once(local_kfp, adder, unique):
    made = local_kfp.post(f"{API}/experiments", {"display_name": unique, "namespace": "alice"})
    run = {
        "display_name": unique,
        "experiment_id": made.json()["experiment_id"],
        "pipeline_spec": yaml.safe_load(adder.read_text()),
        "runtime_config": {"parameters": {"x": 1}},
    }
    run_id = local_kfp.post(f"{API}/runs", run).json()["run_id"]
    path = f"/apis/v1beta1/runs/{run_id}:reportMetrics"
    metrics = [{"name": f"m{n}", "node_id": "n", "number_value": n} for n in range(1001)]
    refused = local_kfp.post(path, {"metrics": metrics})
    assert (refused.status_code, "at most 1000 metrics" in text(refused)) == (400, True)
    taken = local_kfp.post(path, {"metrics": metrics[1:]})
    assert {each["status"] for each in taken.json()["results"]} == {"OK"}


def test_whoever_may_not_upload_can_send_the_rest_and_is_told_so_then(local_kfp):
    host, port = local_kfp.endpoint.removeprefix("http://").split(":")
    head = f"POST {API}/pipelines/upload HTTP/1.1\r\nHost: {host}\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"{head}Content-Length: {MEGABYTE}\r\n\r\n".encode())
        select.select([connection], [], [], 0.5)  # an answer that would come too early
        for _ in range(16):
            connection.sendall(bytes(MEGABYTE // 16))
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 400")
