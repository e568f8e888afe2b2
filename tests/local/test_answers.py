"""The local KFP's answers beside those recorded, made to a server of 2.17.0 in the same way."""

import uuid

import pytest
from harness.local_kfp import API

V1 = "/apis/v1beta1"
NOBODY = "00000000-0000-0000-0000-000000000000"
UNREADABLE = "proto: syntax error"


def message(answer):
    return answer.status_code, answer.json()["message"]


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        pytest.param("error", "x", UNREADABLE, id="an error that is a text"),
        pytest.param("error", [], UNREADABLE, id="a list"),
        pytest.param("error", {"code": "x"}, "invalid value for int32 field code", id="a code"),
        pytest.param("error", {"why": "x"}, 'unknown field "why"', id="an unknown field"),
        pytest.param("run_details", 1, UNREADABLE, id="details"),
        pytest.param("run_details", {"x": 1}, 'unknown field "x"', id="unknown details"),
        pytest.param(
            "run_details",
            {"task_details": [{"child_tasks": [{"task_id": "a", "pod_name": "b"}]}]},
            "is already set",
            id="a child with two names",
        ),
        pytest.param("state_history", {}, UNREADABLE, id="history"),
        pytest.param(
            "state_history",
            [{"update_time": "x"}],
            "invalid google.protobuf.Timestamp value",
            id="times of history",
        ),
        pytest.param("plugins_output", "x", UNREADABLE, id="output of plugins"),
        pytest.param("plugins_output", {"a": 1}, UNREADABLE, id="output of a plugin"),
    ],
)
def test_what_only_the_server_decides_is_read_as_what_it_is(local_kfp, field, value, text):
    status, said = message(local_kfp.post(f"{API}/runs", {"display_name": "r", field: value}))
    assert status == 400
    assert text in said.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        pytest.param(
            "POST",
            f"{V1}/runs/x:reportMetrics",
            {"metrics": []},
            (404, "ResourceNotFoundError: Run %s not found x not found"),
            id="metrics of no run",
        ),
        pytest.param(
            "POST",
            f"{API}/pipelines/{NOBODY}/versions",
            {"name": "v"},
            (
                400,
                "Invalid input error: Failed to create a pipeline version. Package URL is nil",
            ),
            id="no URL",
        ),
        pytest.param(
            "POST",
            f"{API}/pipelines/{NOBODY}/versions",
            {"name": "v", "package_url": {}},
            (
                400,
                "Invalid input error: Failed to create a pipeline version. Package URL is empty",
            ),
            id="an empty URL",
        ),
    ],
)
def test_refusals_have_the_servers_words(local_kfp, method, path, body, expected):
    assert message(local_kfp.call(method, path, json=body)) == expected


def test_a_version_from_what_is_no_uri_is_refused_as_such(local_kfp, upload, unique):
    pipeline_id = upload(unique).json()["pipeline_id"]
    body = {"name": "v", "package_url": {"pipeline_url": "x"}}
    assert message(local_kfp.post(f"{API}/pipelines/{pipeline_id}/versions", body)) == (
        400,
        "Failed to create a pipeline version. Check error stack: Invalid input error: Failed to "
        "create a pipeline version due to invalid pipeline spec URI. PipelineSpecURI: x. Please "
        "specify a valid URL",
    )


def test_a_pipelines_name_that_is_taken_is_said_to_be_in_the_store(local_kfp, unique):
    body = {"name": unique, "namespace": "alice"}
    first, second = (local_kfp.post(f"{API}/pipelines", body) for _ in range(2))
    assert first.status_code == 200
    assert message(second) == (
        409,
        "Failed to create a pipeline due to server error: Failed to create a pipeline in "
        f"PipelineStore: Already exist error: Failed to create a new pipeline. The name {unique} "
        "already exist. Please specify a new name",
    )


def test_who_may_read_a_version_is_told_of_its_pipeline(local_kfp, upload, unique):
    pipeline_id = upload(unique).json()["pipeline_id"]
    path = f"{API}/pipelines/{pipeline_id}/versions"
    version = local_kfp.get(path).json()["pipeline_versions"][0]["pipeline_version_id"]
    refused = f"Failed to access pipeline {pipeline_id}. Check if you have access"
    for who, told in (("alice/default-viewer", True), ("bob/default-viewer", False)):
        status, said = message(local_kfp.call("DELETE", f"{path}/{version}", who))
        assert (status, refused in said) == (403, told)


@pytest.mark.parametrize("action", ["terminate", "retry"])
def test_a_run_whose_experiment_was_deleted_does_not_go_on(
    local_kfp, experiment, create_run, action
):
    run_id = create_run().json()["run_id"]
    local_kfp.call("DELETE", f"{API}/experiments/{experiment.experiment_id}")
    status, said = message(local_kfp.post(f"{API}/runs/{run_id}:{action}"))
    assert status == 404
    assert said == (
        f"Failed to {action} a run: Failed to {action} run {run_id} due to error fetching its "
        f"namespace: Failed to fetch namespace from run {run_id}: Failed to fetch namespace from "
        f"experiment {experiment.experiment_id}: ResourceNotFoundError: Experiment "
        f"{experiment.experiment_id} not found"
    )


def test_what_is_for_a_plugin_is_said_not_to_be_used(create_run):
    answer = create_run(plugins_input={"mlflow": {"experiment_name": "x"}})
    assert answer.status_code == 200
    assert answer.headers["Warning"] == (
        '299 - "The local KFP has no plugins: the settings for mlflow are not used."'
    )


def test_a_file_is_named_without_the_folders_it_was_in(local_kfp, adder):
    name = f"{uuid.uuid4()}.yaml"
    files = {"uploadfile": (f"folder/{name}", adder.read_bytes())}
    query = {"namespace": "alice"}
    answer = local_kfp.call("POST", f"{API}/pipelines/upload", params=query, files=files)
    assert answer.json()["name"] == name


def test_a_name_that_is_too_long_is_refused_in_plain_text(local_kfp, adder):
    files = {"uploadfile": ("adder.yaml", adder.read_bytes())}
    query = {"namespace": "alice", "name": "n" * 129}
    answer = local_kfp.call("POST", f"{API}/pipelines/upload", params=query, files=files)
    assert (answer.status_code, answer.headers["Content-Type"], answer.text) == (
        400,
        "text/plain; charset=utf-8",
        "Invalid input error: Pipeline.Name length cannot exceed 128\n",
    )


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param(
            "runs?page_size.x=1", 'invalid path: "page_size" is not a message', id="field"
        ),
        pytest.param(
            "runs?pageSize.x=1", 'invalid path: "page_size" is not a message', id="camel case"
        ),
        pytest.param(
            "runs?page_size[]=1", 'too many values for field "page_size": , 1', id="brackets"
        ),
        pytest.param("runs?sort_by[a]=b", 'too many values for field "sort_by": a, b', id="entry"),
    ],
)
def test_a_query_is_read_as_the_gateway_reads_it(local_kfp, path, text):
    assert message(local_kfp.get(f"{API}/{path}")) == (400, text)


@pytest.mark.parametrize(
    ("path", "name"),
    [("runs", "resource_reference_key"), ("pipeline_versions", "resource_key")],
)
def test_a_key_of_a_resource_is_no_value(local_kfp, path, name):
    expected = f'parsing field "{name}": unsupported message type: "api.ResourceKey"'
    assert message(local_kfp.get(f"{V1}/{path}?{name}=x")) == (400, expected)


def uploaded(local_kfp, adder, query, path="upload"):
    files = {"uploadfile": ("adder.yaml", adder.read_bytes())}
    return local_kfp.call("POST", f"{API}/pipelines/{path}?{query}", files=files)


def test_an_upload_whose_query_cannot_be_read_is_a_form_that_cannot(local_kfp, adder, unique):
    answer = uploaded(local_kfp, adder, f"name={unique};x&namespace=alice")
    said = answer.json()["error_message"]
    assert (answer.status_code, answer.headers["Content-Type"], said) == (
        400,
        "text/plain; charset=utf-8",
        "Failed to read pipeline from file",
    )


def test_a_dash_is_a_namespace_of_an_upload_that_nobody_has(local_kfp, adder, unique):
    answer = uploaded(local_kfp, adder, f"name={unique}&namespace=-")
    assert (answer.status_code, answer.json()["error_message"]) == (
        400,
        "Failed to create a pipeline",
    )


def test_a_tag_may_be_null_which_is_empty(local_kfp, adder, unique):
    answer = uploaded(local_kfp, adder, f'name={unique}&namespace=alice&tags={{"a":null,"b":"c"}}')
    assert answer.status_code == 200
    pipeline = local_kfp.get(f"{API}/pipelines/{answer.json()['pipeline_id']}").json()
    assert pipeline["tags"] == {"a": "", "b": "c"}


def test_emoji_of_an_upload_are_warned_of(local_kfp, adder, unique):
    answer = uploaded(local_kfp, adder, f"name={unique}&namespace=alice&description=%F0%9F%9A%80")
    assert answer.status_code == 200
    assert "Unicode's basic plane" in answer.headers["Warning"]
