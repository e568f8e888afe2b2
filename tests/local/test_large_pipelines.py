"""Pipelines near the limits: taken, run and told as any other, while others are answered."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
import yaml
from harness.local_kfp import API, LocalKfp, text
from harness.watching import Watch

from jupyter_kfp_mt.local.api.v2beta1_messages import RunMessage
from jupyter_kfp_mt.local.pipelines.pipeline_reader import _QUICKLY_BUILT, is_quickly_read
from jupyter_kfp_mt.local.wire.protojson import in_parts
from jupyter_kfp_mt.models import Run

# What a server that stops for a file takes to answer is a multiple of this.
SECONDS = 4.0
# How much larger the server may become meanwhile. Each pipeline has 7.7.
MEGABYTES = 150
AT_ONCE = 4


@pytest.fixture(scope="module")
def kfp(tmp_path_factory, profiles):
    """A server that executes one run at a time, for it is not the runs that are looked at."""
    data = tmp_path_factory.mktemp("large") / "data"
    server = LocalKfp(data, "--profiles", str(profiles), "--max-runs", "1")
    yield server
    server.stop()


def padded(adder, entries, length):
    """The JSON of a pipeline with so many entries more, whose texts are so long."""
    spec = yaml.safe_load(adder.read_text())
    spec["deploymentSpec"] |= {f"more-{n}": {"text": "x" * length} for n in range(entries)}
    return json.dumps(spec)


@pytest.fixture
def large(adder):
    """The JSON of a pipeline with as many values and bytes as are allowed, or nearly so."""
    return padded(adder, 35_000, 190)


@pytest.fixture
def apart(adder):
    """The JSON of a pipeline that is just so large that it is read in a process of its own."""
    spec = padded(adder, _QUICKLY_BUILT // 2 + 1, 1)
    assert not is_quickly_read(spec.encode(), RunMessage)
    return spec


def upload(server, name, content):
    answer = server.call(
        "POST",
        f"{API}/pipelines/upload",
        params={"namespace": "alice", "name": name},
        files={"uploadfile": ("pipeline.yaml", content)},
    )
    assert answer.status_code == 200, text(answer)
    return answer.json()["pipeline_id"]


def experiment(server):
    body = {"display_name": uuid.uuid4().hex, "namespace": "alice"}
    return server.post(f"{API}/experiments", body).json()["experiment_id"]


def created(server, experiment_id, **source):
    body = {"display_name": "large", "experiment_id": experiment_id, **source}
    body["runtime_config"] = {"parameters": {"x": 1}}
    answer = server.post(f"{API}/runs", body)
    assert answer.status_code == 200, text(answer)
    return answer.json()


def at_once(work, items):
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return [*threads.map(work, items)]


def test_large_pipelines_in_runs_hold_up_nobody_and_come_back_as_they_were(kfp, large):
    experiment_id, spec = experiment(kfp), json.loads(large)
    with Watch(kfp) as watch:
        runs = at_once(
            lambda _: created(kfp, experiment_id, pipeline_spec=spec)["run_id"], range(AT_ONCE)
        )
        read = at_once(lambda run_id: kfp.get(f"{API}/runs/{run_id}").json(), runs)
    assert max(watch.seconds) < SECONDS and watch.megabytes <= MEGABYTES
    assert all(run["pipeline_spec"] == spec for run in read)


def test_large_pipelines_that_are_uploaded_hold_up_nobody_and_run(kfp, large, unique):
    experiment_id, spec = experiment(kfp), json.loads(large)
    with Watch(kfp) as watch:
        made = at_once(lambda number: upload(kfp, f"{unique}-{number}", large), range(2))
        read = at_once(lambda id: kfp.get(f"{API}/pipelines/{id}/versions").json(), made * 4)
        references = [{"pipeline_id": id} for id in made]
        runs = [created(kfp, experiment_id, pipeline_version_reference=each) for each in references]
    assert max(watch.seconds) < SECONDS and watch.megabytes <= MEGABYTES
    versions = [version for page in read for version in page["pipeline_versions"]]
    assert [version["pipeline_spec"] for version in versions] == [spec] * 8
    assert [run["pipeline_version_reference"]["pipeline_id"] for run in runs] == made
    path = f"{API}/pipelines/{made[0]}/versions/{versions[0]['pipeline_version_id']}"
    assert kfp.get(path).json() == versions[0]


def test_a_long_specification_is_sent_as_it_is_and_nobody_copies_it():
    long, short = msgspec.Raw(b'{"text":"' + b"x" * 100 + b'"}'), msgspec.Raw(b"{}")
    runs = [Run(run_id="a", pipeline_spec=long), Run(run_id="b", pipeline_spec=short)]
    for answer in (runs[0], {"runs": runs, "total_size": 2}, {"runs": runs[1:]}, {}):
        parts = in_parts(answer, 100)
        assert b"".join(parts) == msgspec.json.encode(answer)
        assert sum(part.obj is long for part in parts) == b"".join(parts).count(b"x" * 100)


def test_what_is_wrong_with_a_large_message_is_told_as_of_a_small_one(kfp, apart, adder):
    experiment_id, spec = experiment(kfp), json.loads(apart)
    small = yaml.safe_load(adder.read_text())
    for change in ({"schemaVersion": "2.0.0"}, {"root": None}, {"comingField": 1}):
        refusals = []
        for each in (small, spec):
            body = {"display_name": "r", "experiment_id": experiment_id}
            answer = kfp.post(f"{API}/runs", {**body, "pipeline_spec": each | change})
            refusals.append((answer.status_code, text(answer)))
        assert refusals[0][0] == 400
        assert refusals[0] == refusals[1]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param({"nonsense": 1}, 'unknown field "nonsense"', id="unknown"),
        pytest.param({"display_name": 1}, "invalid value for string field displayName", id="type"),
        pytest.param({"experiment_id": "x"}, "Experiment x not found", id="experiment"),
    ],
)
def test_a_large_message_is_checked_as_any_other(kfp, apart, body, message):
    known = {"display_name": "r", "experiment_id": experiment(kfp)}
    sent = {**known, **body, "pipeline_spec": json.loads(apart)}
    answer = kfp.post(f"{API}/runs", sent)
    assert answer.status_code in (400, 404)
    assert message in text(answer)


def test_a_large_pipeline_of_an_older_client_runs_and_comes_back(kfp, apart):
    spec = json.loads(apart)
    key = {"type": "EXPERIMENT", "id": experiment(kfp)}
    run = {
        "name": "r",
        "pipeline_spec": {
            "pipeline_manifest": apart,
            "runtime_config": {"parameters": {"x": 1}},
        },
        "resource_references": [{"key": key, "relationship": "OWNER"}],
    }
    answer = kfp.post("/apis/v1beta1/runs", run)
    assert answer.status_code == 200, text(answer)
    run_id = answer.json()["run"]["id"]
    assert kfp.get(f"{API}/runs/{run_id}").json()["pipeline_spec"] == spec


@pytest.mark.parametrize(
    ("written", "warns"),
    [
        pytest.param("\N{GRINNING FACE}", True, id="emoji"),
        pytest.param("\\ud83d\\ude00", True, id="escape"),
        pytest.param("\\\\\\ud83d\\ude00", True, id="backslash and escape"),
        pytest.param("\\\\ud83d", False, id="backslash and text"),
        pytest.param("é\N{EURO SIGN}", False, id="basic plane"),
    ],
)
def test_a_cluster_would_take_no_emoji_and_that_is_said_of_large_messages_too(
    kfp, written, warns, unique
):
    padding = " " * (4 << 20)
    body = f'{{"display_name":"{written} {unique}","namespace":"alice"{padding}}}'
    answer = kfp.call("POST", f"{API}/experiments", data=body.encode())
    assert answer.status_code == 200, text(answer)
    assert ("Warning" in answer.headers) is warns
