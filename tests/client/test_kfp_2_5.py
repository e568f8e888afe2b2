"""The answers of a KFP 2.5.0 for several users, as Kubeflow 1.10 has it, read as they are meant.

`recorded/kfp-2.5.json` has answers of one that was built and run, with MySQL behind it; the states
of its workflows were reported by hand.
"""

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest
from fakes.guarded_kfp import Answer, Server
from harness.jupyter_server import call, server_config

from jupyter_kfp_mt import errors, refusal_causes
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.doctor import run_checks
from jupyter_kfp_mt.other_servers import AskedAddress
from jupyter_kfp_mt.settings import Kfp

ANSWERS = json.loads((Path(__file__).parents[1] / "recorded" / "kfp-2.5.json").read_text())
API = "/apis/v2beta1"


class Kfp25(Server):
    """It gives the recorded answers, those of a path in `says` before any other."""

    def __init__(self):
        self.says = {}
        super().__init__()

    def answer(self, request):
        name = self.says.get((request.method, request.path)) or _named(request)
        recorded = ANSWERS[name]
        body, kind = recorded["body"], recorded["content_type"]
        return Answer(
            recorded["status"], body.encode() if isinstance(body, str) else body, kind=kind
        )

    def tells(self, name, method="GET"):
        self.says[method, ANSWERS[name]["path"]] = name


def _named(request):
    """The first answer that was recorded for it: of one of its kind where there is none."""
    those = [(name, each) for name, each in ANSWERS.items() if each["method"] == request.method]
    same = [name for name, each in those if each["path"] == request.path and each["status"] == 200]
    depth = request.path.count("/")
    alike = [name for name, each in those if each["path"].count("/") == depth]
    return (same or alike)[0]


@pytest.fixture
def kfp25(serve):
    return serve(Kfp25)


@pytest.fixture
def client(kfp25):
    client = Client(kfp25.endpoint, namespace="alice")
    yield client
    client.close()


@pytest.fixture
def start(client, kfp25):
    """The run of that state, as the client reads it."""

    def start(name):
        kfp25.tells(name)
        return client.run(ANSWERS[name]["body"]["run_id"])

    return start


def refused(name, asked="do it"):
    recorded = ANSWERS[name]
    body = recorded["body"]
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    at = AskedAddress("http://kfp", f"http://kfp{API}")
    return refusal_causes.refusal(recorded["status"], raw, at=at).with_(attempt=asked)


def test_what_has_only_a_display_name_is_called_by_it(client, kfp25):
    assert {pipeline.name for pipeline in client.pipelines()} == {"spaced", "adder"}
    pipeline = client.pipeline(ANSWERS["pipeline"]["body"]["pipeline_id"])
    assert (pipeline.name, pipeline.tags) == ("adder", {})
    names = [version.name for version in client.versions(pipeline.pipeline_id)]
    assert names == [
        version["display_name"] for version in ANSWERS["versions"]["body"]["pipeline_versions"]
    ]


def test_the_next_version_of_an_upload_is_called_after_its_pipeline(client, kfp25, adder):
    version = client.upload_pipeline(adder, "spaced")
    sent = next(r for r in kfp25.asked if r.path.endswith("upload_version"))
    assert sent.query["name"].startswith("spaced-20")
    assert (
        version.name
        == version.display_name
        == ANSWERS["upload of a version"]["body"]["display_name"]
    )


def test_lists_are_read_with_their_totals_and_where_there_is_nothing(client, kfp25):
    (run,) = client.run_page(page_size=1)
    assert run.state in ("PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELING")
    page = client.recurring_run_page()
    assert [each.enabled for each in page] == [True] and page.total_size == 1
    kfp25.tells("no experiments")
    assert [*client.experiments()] == []


def test_a_running_task_has_a_beginning_and_no_end(start):
    run = start("running")
    add, show = run.tasks
    assert (run.finished, add.display_name, add.state) == (False, "add", "RUNNING")
    assert add.start_time == datetime(2026, 11, 29, 8, 45, 10, tzinfo=timezone.utc)
    assert add.duration.total_seconds() > 1 and not add.finished
    assert (show.state, show.duration.total_seconds()) == ("PENDING", 0)


@pytest.mark.parametrize(
    ("name", "states"),
    [
        pytest.param("succeeded", {"add": "SUCCEEDED", "show": "SUCCEEDED"}, id="succeeded"),
        pytest.param("failed", {"add": "SUCCEEDED", "show": "FAILED"}, id="failed"),
        pytest.param("terminating", {}, id="before any task"),
        pytest.param("run with a platform", {}, id="without its pipeline"),
    ],
)
def test_of_a_run_the_tasks_of_the_pipeline_are_told(start, name, states):
    assert {task.display_name: task.state for task in start(name).tasks} == states


def test_the_task_that_failed_is_the_reason(client, start):
    run = start("failed")
    with pytest.raises(errors.RunFailed, match="task show failed"):
        client.raise_for_failure(run)


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("nobody", errors.Unauthenticated, "KFP does not know who is asking"),
        ("a token of another cluster", errors.Unauthenticated, "does not know who is asking"),
        ("upload by nobody", errors.Unauthenticated, "does not know who is asking"),
        ("another namespace", errors.Forbidden, "may not list runs in namespace"),
        ("upload elsewhere", errors.Forbidden, "may not create pipelines in namespace"),
        ("no such run", errors.NotFound, "do it: Run nope not found"),
        ("no such pipeline", errors.NotFound, "do it: Pipeline nope not found"),
        ("no such path", errors.NotFound, "does not have that part of the API"),
        ("no such method", errors.NotFound, "does not have that part of the API"),
        ("a name that is taken", errors.Conflict, "Default already exists"),
        ("upload of a name there is", errors.Conflict, "already exists"),
        ("a name that is too long", errors.BadRequest, "the name is longer"),
        ("no name", errors.Refused, "do it: Experiment must have a non-empty name"),
        ("terminated twice", errors.BadRequest, "nothing left to stop"),
    ],
)
def test_a_refusal_is_told_as_it_is_meant(name, kind, said):
    error = refused(name)
    assert type(error) is kind
    assert said in error.message


def test_where_kfp_is_looked_for_in_vain_it_is_not_called_too_old():
    """Of its health every KFP tells, and what answers "Not Found" there is none."""
    at = AskedAddress("http://elsewhere", f"http://elsewhere{API}/healthz")
    error = refusal_causes.refusal(404, b"Not Found\n", at=at)
    assert "nothing answers at this path" in error.message


def test_a_clone_of_what_kfp_keeps_only_a_part_of_is_told_so(client, kfp25, start):
    run = start("run with a platform")
    kfp25.says["POST", f"{API}/runs"] = "run of a newer kfp's"
    with pytest.raises(errors.BadRequest, match="KFP does not return its pipeline") as e:
        client.clone(run.run_id)
    assert e.value.cure.startswith("Run the file itself")


def test_an_older_kfp_serves_what_doctor_looks_at(kfp25, token_file, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KFP_MT_DOOR", raising=False)
    report = run_checks.examine(Kfp(endpoint=kfp25.endpoint, token_file=str(token_file)), "alice")
    found = {each.check: each for each in report.findings}
    assert found["version"].found == "2.5.0"
    assert found["KFP's answer"].result == "passed"
    assert [each for each in report.findings if each.result == "failed"] == []


class TestThroughTheDoor:
    @pytest.fixture
    def jp_server_config(self, kfp25, token_file):
        return server_config(endpoint=kfp25.endpoint, token_file=str(token_file), namespace="alice")

    @pytest.fixture
    def ask(self, door):
        address, key = door

        async def ask(method, path, **options):
            headers = {"Authorization": f"Bearer {key}"}
            return await call(method, f"{address}{path}", headers=headers, **options)

        return ask

    async def test_the_tasks_that_the_sidebar_shows_are_those_of_the_pipeline(self, ask, kfp25):
        kfp25.tells("failed")
        answer = await ask("GET", f"/tasks/{ANSWERS['failed']['body']['run_id']}")
        told = {task["display_name"]: task["state"] for task in answer.json()["tasks"]}
        assert told == {"add": "SUCCEEDED", "show": "FAILED"}

    async def test_an_unknown_path_is_told_as_one_of_a_newer_kfp(self, ask):
        answer = await ask("PATCH", f"/api{API}/pipelines/x", json={})
        assert (answer.status_code, answer.json()["kind"]) == (405, "NotFound")
        assert "too old for this request" in answer.json()["cause"]

    @pytest.mark.parametrize("upload", [True, False], ids=["upload", "run"])
    async def test_what_it_cannot_read_names_both_releases(self, ask, kfp25, adder, upload):
        """As kfp.Client sends it, too, which knows nothing of us."""
        text = adder.read_text()
        if upload:
            kfp25.tells("upload of a newer kfp's", "POST")
            form = {"uploadfile": ("adder.yaml", text)}
            answer = await ask("POST", f"/api{API}/pipelines/upload", files=form)
        else:
            kfp25.tells("run of a newer kfp's", "POST")
            body = {"display_name": "x", "pipeline_spec": {"sdkVersion": "kfp-2.17.3"}}
            answer = await ask("POST", f"/api{API}/runs", json=body)
        told = answer.json()
        assert answer.status_code == 500
        assert told["cause"].startswith("It was compiled by kfp 2.")
        assert "this KFP is 2.5" in told["cause"] and "'kfp==2.5.*'" in told["cure"]
