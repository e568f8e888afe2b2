"""The API of the local KFP: with the real SDK, and message by message."""

import re
import uuid
from urllib.parse import quote

import msgspec
import pytest
import yaml
from harness.local_kfp import API, denied, text
from harness.waiting import wait_until

from jupyter_kfp_mt.models import EPOCH, FINISHED, Pipeline, Run

NOBODY = "00000000-0000-0000-0000-000000000000"
BOB = "system:serviceaccount:bob:default-editor"

NO_NAMESPACE = "An experiment cannot have an empty namespace in multi-user mode"
NO_SOURCE = "Failed to fetch a template with an empty pipeline spec manifest"
NOT_GIVEN = "parameter x is not optional, yet has neither default value nor user provided value"
NO_NUMBER = (
    "input parameter x requires type double or integer, "
    "but the parameter value is not of number value type"
)
NO_STRING = (
    "input parameter label requires type string, "
    "but the input parameter is not of string value type"
)


@pytest.fixture
def pipeline(upload, unique):
    return msgspec.json.decode(upload(unique).content, type=Pipeline)


def of(**reference):
    return {"pipeline_spec": None, "pipeline_version_reference": reference}


def given(parameters):
    return {"runtime_config": {"parameters": parameters}}


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_sdk_runs_a_pipeline_with_parameters_to_its_end(local_kfp, adder, unique):
    import kfp

    client = kfp.Client(
        host=local_kfp.endpoint,
        existing_token=local_kfp.token("alice/default-editor"),
        namespace="alice",
    )
    experiment = client.create_experiment(unique, namespace="alice")
    pipeline = client.upload_pipeline(str(adder), unique, namespace="alice")
    versions = client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions
    run = client.run_pipeline(
        experiment.experiment_id,
        "three plus two",
        pipeline_id=pipeline.pipeline_id,
        version_id=versions[0].pipeline_version_id,
        params={"x": 3},
    )
    done = client.wait_for_run_completion(run.run_id, timeout=60, sleep_duration=1)
    assert done.state == "SUCCEEDED"
    assert [change.state for change in done.state_history] == ["PENDING", "RUNNING", "SUCCEEDED"]
    (task,) = done.run_details.task_details
    assert (task.display_name, task.state) == ("add", "SUCCEEDED")
    listed = client.list_runs(experiment_id=experiment.experiment_id)
    assert [run.run_id for run in listed.runs] == [done.run_id]
    log = local_kfp.get(f"/apis/v1alpha1/runs/{run.run_id}/nodes/{task.task_id}/log")
    assert "adding 3 and 2" in log.text


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("token", "status", "message"),
    [
        pytest.param("bob", 403, "User 'system:serviceaccount:bob:default-editor'", id="bob"),
        pytest.param("", 401, "User identity is empty in the request header", id="no token"),
    ],
)
def test_the_sdk_is_refused_in_a_namespace_of_someone_else(
    local_kfp, experiment, adder, unique, token, status, message
):
    import kfp
    import kfp_server_api

    existing = token and local_kfp.token(f"{token}/default-editor")
    client = kfp.Client(host=local_kfp.endpoint, existing_token=existing, namespace="alice")
    calls = [
        lambda: client._experiment_api.experiment_service_create_experiment(
            experiment=kfp_server_api.V2beta1Experiment(display_name=unique, namespace="alice")
        ),
        lambda: client.upload_pipeline(str(adder), unique, namespace="alice"),
        lambda: client.run_pipeline(experiment.experiment_id, "no", str(adder), params={"x": 1}),
    ]
    for call, expected in zip(calls, (status, 400, status), strict=True):
        with pytest.raises(kfp_server_api.ApiException) as refusal:
            call()
        assert refusal.value.status == expected  # an upload is refused with 400 for any reason
        assert message in refusal.value.body


def test_healthz_needs_no_identity(local_kfp):
    answer = local_kfp.get(f"{API}/healthz", who="").json()
    assert answer.pop("tag_name").startswith("jupyter-kfp-mt-")
    assert answer == {"commit_sha": "", "multi_user": True, "pipeline_store": "database"}


def test_a_missing_identity_answers_as_the_api_server_does(local_kfp):
    answer = local_kfp.get(f"{API}/experiments", who="", namespace="alice")
    message = (
        "List experiments failed: Failed to authorize with API: Failed to authorize with API: "
        "Unauthenticated: Failed to check authorization. User identity is empty in the request "
        "header: Unauthenticated: Request header error: there is no user identity header.: "
        "Request header error: there is no user identity header."
    )
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["WWW-Authenticate"] == message
    assert answer.json() == {
        "code": 16,
        "message": message,
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.Status",
                "code": 16,
                "message": "Failed to check authorization. "
                "User identity is empty in the request header",
            }
        ],
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "refusal"),
    [
        pytest.param(
            "POST",
            "/experiments",
            {"display_name": "e", "namespace": "alice"},
            denied(BOB, "create", "experiments", name="e"),
            id="create experiment",
        ),
        pytest.param(
            "GET",
            "/experiments?namespace=nowhere",
            None,
            denied(BOB, "list", "experiments", "nowhere"),
            id="list experiments of an unknown namespace",
        ),
        pytest.param(
            "POST",
            "/runs",
            {"display_name": "r", "experiment_id": "EXPERIMENT"},
            denied(BOB, "create", "runs"),
            id="create run",
        ),
        pytest.param(
            "POST",
            "/runs/RUN:terminate",
            None,
            denied(BOB, "terminate", "runs", name=r"adder-[a-z0-9]{5}"),
            id="terminate run",
        ),
    ],
)
def test_a_viewer_is_refused_in_the_words_of_the_api_server(
    local_kfp, experiment, create_run, method, path, body, refusal
):
    if "RUN" in path:
        path = path.replace("RUN", create_run().json()["run_id"])
    if body and "experiment_id" in body:
        body = body | {"experiment_id": experiment.experiment_id}
    answer = local_kfp.call(method, API + path, "bob/default-editor", json=body)
    assert answer.status_code == 403
    assert answer.json()["code"] == 7
    assert text(answer) == refusal or re.fullmatch(
        re.escape(refusal).replace(re.escape(r"[a-z0-9]{5}"), "[a-z0-9]{5}"), text(answer)
    )
    assert answer.json()["message"].endswith(
        f"PermissionDenied: {text(answer)}: Unauthorized access"
    )


def test_a_viewer_reads_what_an_editor_made(local_kfp, experiment, pipeline, create_run):
    run = create_run().json()
    for path in (
        f"experiments/{experiment.experiment_id}",
        "experiments?namespace=alice",
        f"pipelines/{pipeline.pipeline_id}",
        f"pipelines/{pipeline.pipeline_id}/versions",
        f"pipelines/names/{pipeline.name}?namespace=alice",
        f"runs/{run['run_id']}",
        "runs?namespace=alice",
    ):
        for who in ("users/bob@example.com", "bob/default-editor", "alice/default-viewer"):
            assert local_kfp.get(f"{API}/{path}", who).status_code == 200, (path, who)


def test_nobody_of_another_namespace_reads_anything(local_kfp, upload, unique):
    made = upload(unique, "bob", "bob/default-editor").json()
    for path in (
        "experiments?namespace=bob",
        "runs?namespace=bob",
        "pipelines?namespace=bob",
        f"pipelines/{made['pipeline_id']}",
        f"pipelines/{made['pipeline_id']}/versions",
        f"pipelines/names/{unique}?namespace=bob",
    ):
        answer = local_kfp.get(f"{API}/{path}", "alice/default-editor")
        assert answer.status_code == 403, path
        assert local_kfp.get(f"{API}/{path}", "").status_code == 401, path


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "message"),
    [
        pytest.param(
            "GET",
            f"/experiments/{NOBODY}",
            404,
            5,
            f"Experiment {NOBODY} not found",
            id="experiment",
        ),
        pytest.param("GET", f"/runs/{NOBODY}", 404, 5, f"Run {NOBODY} not found", id="run"),
        pytest.param(
            "POST", f"/runs/{NOBODY}:terminate", 404, 5, f"Run {NOBODY} not found", id="terminate"
        ),
        pytest.param(
            "GET",
            f"/runs?experiment_id={NOBODY}",
            404,
            5,
            f"Experiment {NOBODY} not found",
            id="runs",
        ),
        pytest.param(
            "GET", f"/pipelines/{NOBODY}", 404, 5, f"Pipeline {NOBODY} not found", id="pipeline"
        ),
        pytest.param(
            "GET",
            f"/pipelines/{NOBODY}/versions",
            404,
            5,
            f"Pipeline {NOBODY} not found",
            id="versions",
        ),
        pytest.param(
            "GET",
            f"/pipelines/{NOBODY}/versions/x",
            404,
            5,
            "PipelineVersion x not found",
            id="version",
        ),
        pytest.param(
            "GET",
            "/pipelines/names/x?namespace=alice",
            404,
            5,
            "Namespace/Pipeline alice/x not found",
            id="name",
        ),
        pytest.param("GET", "/experiments", 400, 3, NO_NAMESPACE, id="no namespace"),
        pytest.param("GET", "/experiments?namespace=-", 400, 3, NO_NAMESPACE, id="dash"),
        pytest.param(
            "GET",
            "/runs",
            400,
            3,
            "A run cannot have an empty namespace in multi-user mode",
            id="runs of no namespace",
        ),
        pytest.param("GET", "/nothing", 404, 5, "Not Found", id="unknown path"),
        pytest.param("PUT", "/runs", 501, 12, "Method Not Allowed", id="wrong method"),
        pytest.param("HEAD", "/runs", 501, None, None, id="head"),
    ],
)
def test_what_is_not_there_has_the_api_servers_status_and_text(
    local_kfp, method, path, status, code, message
):
    answer = local_kfp.call(method, API + path)
    assert answer.status_code == status
    if code in (5, 3):
        answer = answer.json()
        presentable = answer.get("details", [answer])[0]["message"]
        assert (answer["code"], presentable) == (code, message)


def test_outside_the_api_there_is_plain_text(local_kfp):
    answer = local_kfp.get("/elsewhere")
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")


def test_an_experiments_name_is_unique_in_its_namespace_whatever_its_case(local_kfp, experiment):
    body = {"display_name": experiment.display_name.upper(), "namespace": "alice"}
    answer = local_kfp.post(f"{API}/experiments", body)
    assert answer.status_code == 409
    assert text(answer) == (
        f"Failed to create a new experiment. The name {body['display_name']} already exists. "
        "Please specify a new name"
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param({"namespace": "alice"}, "Experiment must have a non-empty name", id="no name"),
        pytest.param(
            {"namespace": "alice", "display_name": "e" * 129},
            "Experiment.Name length cannot exceed 128",
            id="long name",
        ),
        pytest.param(
            {"display_name": "e"},
            NO_NAMESPACE,
            id="no namespace",
        ),
        pytest.param({"colour": "red"}, "colour", id="unknown field"),
        pytest.param(
            {"display_name": 5}, "invalid value for string field displayName: 5", id="wrong type"
        ),
        pytest.param([], "unexpected token [", id="no object"),
    ],
)
def test_a_bad_experiment_is_refused_with_a_sentence(local_kfp, body, message):
    answer = local_kfp.post(f"{API}/experiments", body)
    assert answer.status_code == 400
    assert message in text(answer)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="cut off"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"pipeline_spec": ' + b'{"a":' * 50_000, id="deep object"),
        pytest.param(b'{"display_name": "\\ud800"}', id="half a character"),
    ],
)
def test_unreadable_json_is_a_bad_request(local_kfp, body):
    answer = local_kfp.call("POST", f"{API}/runs", data=body)
    assert (answer.status_code, answer.json()["code"]) == (400, 3)


def test_a_body_over_the_limit_is_refused_with_a_sentence(local_kfp):
    answer = local_kfp.call("POST", f"{API}/runs", data=b" " * (34 << 20))
    assert answer.status_code == 400
    assert "more than 8388608" in text(answer)


def test_requests_are_read_in_camel_case_too(local_kfp, unique):
    answer = local_kfp.post(f"{API}/experiments", {"displayName": unique, "namespace": "alice"})
    assert answer.json()["display_name"] == unique


def test_a_new_run_is_pending_and_repeats_its_specification(create_run, spec):
    answer = create_run()
    run = msgspec.json.decode(answer.content, type=Run)
    assert (run.state, run.storage_state) == ("PENDING", "AVAILABLE")
    assert run.finished_at == EPOCH
    assert answer.json()["finished_at"] == "1970-01-01T00:00:00Z"
    assert [change.state for change in run.state_history] == ["PENDING"]
    assert run.scheduled_at == run.created_at
    assert run.pipeline_spec == spec
    assert "pipeline_version_reference" not in answer.json()
    assert run.service_account == "default-editor"


def test_a_run_of_a_pipeline_refers_to_its_latest_version(local_kfp, create_run, pipeline, upload):
    second = upload("second", path="upload_version", pipelineid=pipeline.pipeline_id).json()
    reference = {"pipeline_id": pipeline.pipeline_id}
    run = create_run(pipeline_spec=None, pipeline_version_reference=reference).json()
    assert run["pipeline_version_reference"] == {
        "pipeline_id": pipeline.pipeline_id,
        "pipeline_version_id": second["pipeline_version_id"],
    }
    assert "pipeline_spec" not in run


def test_a_platform_specification_comes_back_with_the_pipelines(create_run, spec):
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}}
    both = {"pipeline_spec": spec, "platform_spec": platform}
    assert create_run(pipeline_spec=both).json()["pipeline_spec"] == both


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        pytest.param({"display_name": ""}, 400, "Run name cannot be empty", id="no name"),
        pytest.param(
            {"experiment_id": ""},
            400,
            "Experiment id can not be empty in multi-user mode",
            id="no experiment",
        ),
        pytest.param(
            {"experiment_id": NOBODY},
            404,
            f"Experiment {NOBODY} not found",
            id="unknown experiment",
        ),
        pytest.param({"pipeline_spec": None}, 400, NO_SOURCE, id="no pipeline"),
        pytest.param(
            {"pipeline_spec": {"a": 1}},
            400,
            "not a compiled pipeline but some other YAML",
            id="no pipeline spec",
        ),
        pytest.param(
            of(pipeline_id=NOBODY), 404, f"Pipeline {NOBODY} not found", id="unknown pipeline"
        ),
        pytest.param(
            of(pipeline_version_id=NOBODY),
            404,
            f"PipelineVersion {NOBODY} not found",
            id="unknown version",
        ),
        pytest.param(
            {"pipeline_version_reference": {"pipeline_id": NOBODY}},
            400,
            "Run.pipeline_source is already set",
            id="two sources",
        ),
        pytest.param({"runtime_config": None}, 400, NOT_GIVEN, id="missing parameter"),
        pytest.param(
            given({"x": 1, "y": 1, "z": 1}),
            400,
            "parameter(s) provided are not required by pipeline: y, z",
            id="extra parameters",
        ),
        pytest.param(given({"x": "1"}), 400, NO_NUMBER, id="no number"),
        pytest.param(given({"x": True}), 400, NO_NUMBER, id="bool is no number"),
        pytest.param(given({"x": 1, "label": 1}), 400, NO_STRING, id="no string"),
        pytest.param(
            {"service_account": "root"},
            400,
            "There is no service account 'root'",
            id="service account",
        ),
        pytest.param(
            {"plugins_output": {"a": {}}}, 409, "plugins_output is server-owned", id="plugins"
        ),
        pytest.param(
            {"run_id": "../../etc"}, 400, "The run id '../../etc' is not a UUID", id="run id"
        ),
        pytest.param(
            {"recurring_run_id": NOBODY},
            400,
            f"RecurringRunId doesn't exist: {NOBODY}",
            id="recurring run",
        ),
    ],
)
def test_a_run_that_cannot_be_is_refused_with_a_sentence(create_run, fields, status, message):
    answer = create_run(**fields)
    assert answer.status_code == status
    assert message in text(answer)


def test_a_run_id_is_honoured_once(create_run):
    run_id = str(uuid.uuid4())
    assert create_run(run_id=run_id).json()["run_id"] == run_id
    assert create_run(run_id=run_id).status_code == 409


def test_a_pipeline_of_another_namespace_cannot_be_run(create_run, upload, unique):
    foreign = upload(unique, "bob", "bob/default-editor").json()
    reference = {"pipeline_id": foreign["pipeline_id"]}
    answer = create_run(pipeline_spec=None, pipeline_version_reference=reference)
    assert answer.status_code == 403
    alice = "system:serviceaccount:alice:default-editor"
    assert text(answer) == denied(alice, "get", "pipelines", "bob")


def test_an_experiment_remembers_its_last_run(local_kfp, experiment, create_run):
    created = create_run().json()["created_at"]
    after = local_kfp.get(f"{API}/experiments/{experiment.experiment_id}").json()
    assert after["last_run_created_at"] == created


def test_a_terminated_run_ends_failed_and_cannot_be_terminated_again(local_kfp, create_run):
    path = f"{API}/runs/{create_run().json()['run_id']}"
    assert local_kfp.post(f"{path}:terminate").json() == {}
    run = wait_until(
        lambda: (run := local_kfp.get(path).json())["state"] == "FAILED" and run, what="the end"
    )
    assert "CANCELING" not in [change["state"] for change in run["state_history"]]
    assert run["finished_at"] >= run["created_at"]
    again = local_kfp.post(f"{path}:terminate")
    assert again.status_code == 400
    assert text(again) == f"Failed to terminate a run {run['run_id']}. Row not found"


def test_a_log_is_found_by_its_task_alone(local_kfp, create_run):
    finished, other = create_run().json()["run_id"], create_run().json()["run_id"]
    wait_until(
        lambda: local_kfp.get(f"{API}/runs/{finished}").json()["state"] == "SUCCEEDED",
        what="success",
    )
    (task,) = local_kfp.get(f"{API}/runs/{finished}").json()["run_details"]["task_details"]
    detour = quote(f"../../{finished}/tasks/{task['task_id']}", safe="")
    path = "/apis/v1alpha1/runs/{}/nodes/{}/log"
    assert local_kfp.get(path.format(finished, task["task_id"])).status_code == 200
    for run_id, node in ((other, detour), (other, "nothing"), (finished, detour)):
        answer = local_kfp.get(path.format(run_id, node))
        assert answer.status_code == 404
        assert "not found" in text(answer)


@pytest.mark.parametrize(
    "asked, status",
    [
        pytest.param("bytes=0-", 206, id="from its begin"),
        pytest.param("bytes=2-", 206, id="from a byte on"),
        pytest.param("bytes=100000-", 200, id="from a byte that is not there"),
        pytest.param("bytes=2-4", 200, id="another range"),
        pytest.param("lines=2-", 200, id="another unit"),
    ],
)
def test_the_rest_of_a_log_is_to_be_had(local_kfp, create_run, asked, status):
    run_id = create_run().json()["run_id"]
    run = wait_until(
        lambda: (run := local_kfp.get(f"{API}/runs/{run_id}").json())["state"] in FINISHED and run
    )
    (task,) = run["run_details"]["task_details"]
    path = f"/apis/v1alpha1/runs/{run_id}/nodes/{task['task_id']}/log"
    whole = local_kfp.get(path).content
    answer = local_kfp.call("GET", path, headers={"Range": asked})
    assert answer.status_code == status
    start = int(asked[6:-1]) if status == 206 else 0
    assert answer.content == whole[start:] and b"adding 3 and 2" in whole
    told = f"bytes {start}-{len(whole) - 1}/{len(whole)}" if status == 206 else None
    assert answer.headers.get("Content-Range") == told


def test_a_log_is_for_those_who_may_read_the_run(local_kfp, upload, unique, create_run):
    run_id = create_run().json()["run_id"]
    path = f"/apis/v1alpha1/runs/{run_id}/nodes/x/log"
    assert local_kfp.get(path, "").status_code == 401
    assert local_kfp.get(path, "bob/default-viewer").status_code == 403


def test_names_are_looked_up_among_shared_pipelines_if_no_namespace_is_given(local_kfp, pipeline):
    answer = local_kfp.get(f"{API}/pipelines/names/{pipeline.name}", who="")
    assert answer.status_code == 404


def test_names_may_hold_anything(local_kfp, upload):
    name = f"ü / ?%\r\n\x00 {uuid.uuid4()}"
    assert upload(name).status_code == 200
    path = f"{API}/pipelines/names/{quote(name, safe='')}"
    assert local_kfp.get(path, namespace="alice").json()["name"] == name
    assert local_kfp.get(path, who="", namespace="alice").status_code == 401


ROOTS = [
    pytest.param("runs", {}, id="v2beta1 run"),
    pytest.param("recurringruns", {"max_concurrency": "1", "mode": "DISABLE"}, id="recurring"),
]


@pytest.mark.parametrize("path, more", ROOTS)
def test_a_pipeline_root_is_accepted_with_a_warning(local_kfp, experiment, spec, path, more):
    body = {
        "display_name": "rooted",
        "experiment_id": experiment.experiment_id,
        "pipeline_spec": spec,
        "runtime_config": {"parameters": {"x": 1}, "pipeline_root": "gs://bucket/root"},
        **more,
    }
    answer = local_kfp.post(f"{API}/{path}", body)
    assert answer.headers["Warning"].startswith(
        "299 - \"The pipeline root 'gs://bucket/root' is no"
    )
    body["runtime_config"].pop("pipeline_root")
    assert "Warning" not in local_kfp.post(f"{API}/{path}", body).headers
    body["pipeline_spec"] = spec | {"defaultPipelineRoot": "s3://default"}
    assert "'s3://default' is not used" in local_kfp.post(f"{API}/{path}", body).headers["Warning"]


def test_the_log_of_a_skipped_task_says_why_there_is_none(local_kfp, experiment, skipping):
    body = {
        "display_name": "skipping",
        "experiment_id": experiment.experiment_id,
        "pipeline_spec": yaml.safe_load(skipping.read_text()),
    }
    run_id = local_kfp.post(f"{API}/runs", body).json()["run_id"]
    run = wait_until(
        lambda: (run := local_kfp.get(f"{API}/runs/{run_id}").json())["state"] == "FAILED" and run
    )
    (task,) = [each for each in run["run_details"]["task_details"] if each["state"] == "SKIPPED"]
    answer = local_kfp.get(f"/apis/v1alpha1/runs/{run_id}/nodes/{task['task_id']}/log")
    assert answer.status_code == 404
    assert text(answer) == f"Task 'skipped' of run {run_id} was skipped, so it has no log"
