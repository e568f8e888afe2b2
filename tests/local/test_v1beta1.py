"""The first version of the API: its messages, and each of its endpoints over a socket."""

import base64
import json

import msgspec
import pytest
import yaml
from harness.file_server import serving
from harness.local_kfp import text
from harness.pipelines import compiled
from harness.waiting import wait_until
from kfp import dsl

from jupyter_kfp_mt import models
from jupyter_kfp_mt.local.api import v1beta1_messages as messages
from jupyter_kfp_mt.local.database.row_types import Origin, PlacedRun
from jupyter_kfp_mt.local.pipelines.pipeline_files import Specification
from jupyter_kfp_mt.local.wire.protojson import read

API = "/apis/v1beta1"
NOBODY = "00000000-0000-0000-0000-000000000000"
BOB = "system:serviceaccount:bob:default-editor"
EPOCH = "1970-01-01T00:00:00Z"

ARGO = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "old"}}


def refers(kind, id, relationship="OWNER"):
    return {"key": {"type": kind, "id": id}, "relationship": relationship}


def of(kind, id, **parameters):
    """The query of a list that is narrowed to one thing."""
    key = {"resource_reference_key.type": kind, "resource_reference_key.id": id}
    return key | parameters


# Messages


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("PENDING", "Pending"),
        ("PAUSED", "Pending"),
        ("RUNNING", "Running"),
        ("SUCCEEDED", "Succeeded"),
        ("SKIPPED", "Skipped"),
        ("CANCELING", "Terminating"),
        ("CANCELED", "Failed"),
        ("FAILED", "Failed"),
        ("RUNTIME_STATE_UNSPECIFIED", "Unknown"),
    ],
)
def test_a_status_is_the_state_in_the_words_of_argo(state, status):
    run = PlacedRun(models.Run(run_id="r", state=state), "alice", "a-workflow")
    assert messages.run_message(run, Origin()).status == status


@pytest.mark.parametrize("kind", ["EXPERIMENT", 1], ids=["name", "number"])
@pytest.mark.parametrize("relationship", ["OWNER", 1], ids=["name", "number"])
def test_an_enum_is_read_by_name_and_by_number(kind, relationship):
    body = {"resource_references": [refers(kind, "e", relationship)]}
    message = read(json.dumps(body).encode(), messages.RunMessage)
    assert messages.referred(message.resource_references, "EXPERIMENT", "OWNER") == "e"


def test_a_run_without_a_name_has_the_one_of_its_pipeline():
    body = {"pipeline_spec": {"pipeline_name": "adder"}}
    assert (
        messages.new_run(read(json.dumps(body).encode(), messages.RunMessage)).display_name
        == "adder"
    )
    new = messages.new_recurring_run(read(json.dumps(body).encode(), messages.JobMessage))
    assert new.display_name == "adder"


def test_a_version_is_what_created_a_run_not_what_owns_it():
    references = [refers("PIPELINE_VERSION", "no"), refers("PIPELINE_VERSION", "v", "CREATOR")]
    body = {"name": "a run", "resource_references": references}
    new = messages.new_run(read(json.dumps(body).encode(), messages.RunMessage))
    assert new.pipeline_version_id == "v"


@pytest.mark.parametrize(
    "trigger",
    [
        {"cron_schedule": {"cron": "0 0 * * * *", "start_time": "2030-01-01T00:00:00Z"}},
        {"periodic_schedule": {"interval_second": "60", "end_time": "2030-01-01T00:00:00Z"}},
    ],
    ids=["cron", "periodic"],
)
def test_a_trigger_comes_back_as_it_was_given(trigger):
    body = json.dumps({"name": "a job", "trigger": trigger, "maxConcurrency": 1})
    new = messages.new_recurring_run(read(body.encode(), messages.JobMessage))
    message = messages.job_message(models.RecurringRun(trigger=new.trigger), Origin())
    assert msgspec.to_builtins(message)["trigger"] == trigger


def test_a_pipeline_without_what_is_particular_to_a_platform_is_one_document():
    pipeline, platform = {"pipelineInfo": {"name": "p"}}, {"platforms": {"kubernetes": {}}}
    alone, both = Specification.of(pipeline), Specification.of(pipeline, platform)
    assert list(yaml.safe_load_all(messages.manifest(alone))) == [pipeline]
    assert list(yaml.safe_load_all(messages.manifest(both))) == [pipeline, platform]


# Over a socket


@pytest.fixture
def experiment(local_kfp, unique):
    body = {"name": unique, "resource_references": [refers("NAMESPACE", "alice")]}
    return local_kfp.post(f"{API}/experiments", body).json()


@pytest.fixture
def create_run(local_kfp, experiment, adder):
    """Starts a run, by what is in the fields of its `pipeline_spec`."""

    def create_run(who="alice/default-editor", references=(), **spec):
        if not spec:
            spec = {"pipeline_manifest": adder.read_text()}
        spec = {"runtime_config": {"parameters": {"x": 3}}} | spec
        owner = refers("EXPERIMENT", experiment["id"])
        body = {"name": "a run", "pipeline_spec": spec, "resource_references": [owner]}
        body["resource_references"] += references
        return local_kfp.post(f"{API}/runs", body, who)

    return create_run


@pytest.fixture
def create_job(local_kfp, experiment, pipeline):
    def create_job(who="alice/default-editor", **fields):
        references = [refers("EXPERIMENT", experiment["id"])]
        spec = {"pipeline_id": pipeline["id"], "parameters": [{"name": "label", "value": "l"}]}
        body = {"name": "a job", "max_concurrency": "2", "resource_references": references}
        body |= {"pipeline_spec": spec, "enabled": True} | fields
        return local_kfp.post(f"{API}/jobs", body, who)

    return create_job


@pytest.fixture
def pipeline(local_kfp, labelled, unique):
    return uploaded(local_kfp, labelled, name=unique, namespace="alice").json()


def uploaded(local_kfp, file, path="upload", who="alice/default-editor", **params):
    with file.open("rb") as content:
        files = {"uploadfile": (file.name, content)}
        url = f"{API}/pipelines/{path}"
        return local_kfp.call("POST", url, who, params=params, files=files)


def run_of(local_kfp, run_id):
    return local_kfp.get(f"{API}/runs/{run_id}").json()["run"]


def finished(local_kfp, run_id):
    def run():
        run = run_of(local_kfp, run_id)
        return run if run["finished_at"] != EPOCH else None

    return wait_until(run, what="the end of the run")


def test_the_health_says_nothing_of_the_store(local_kfp):
    health = local_kfp.get(f"{API}/healthz", who=None).json()
    assert health["multi_user"] and "pipeline_store" not in health


@pytest.mark.parametrize("resources", ["VIEWERS", "1"], ids=["name", "number"])
def test_viewers_may_be_shown_to_those_who_may_view(local_kfp, resources):
    query = {"namespace": "Alice", "resources": resources, "verb": "GET"}
    answer = local_kfp.get(f"{API}/auth", **query)
    assert (answer.status_code, answer.json()) == (200, {})


def test_a_refused_viewer_is_one_of_kubeflow_not_of_pipelines(local_kfp):
    query = {"namespace": "bob", "resources": "VIEWERS", "verb": "CREATE"}
    answer = local_kfp.get(f"{API}/auth", **query)
    assert answer.status_code == 403
    assert "Namespace:bob,Verb:create,Group:kubeflow.org,Version:v1beta1,Resource:viewers" in text(
        answer
    )


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        ("namespace", "Namespace is empty. Please specify a valid namespace"),
        ("resources", "Resources not specified. Please specify a valid resources"),
        ("verb", "Verb not specified. Please specify a valid verb"),
    ],
)
def test_the_question_about_viewers_is_to_be_complete(local_kfp, left_out, message):
    query = {"namespace": "alice", "resources": "VIEWERS", "verb": "GET"}
    del query[left_out]
    answer = local_kfp.get(f"{API}/auth", **query)
    assert (answer.status_code, text(answer)) == (400, message)
    assert (
        answer.json()["message"]
        == f"Authorize request is not valid: Invalid input error: {message}"
    )


# Experiments


def test_an_experiment_refers_to_the_namespace_that_owns_it(local_kfp, experiment, unique):
    assert experiment == {
        "id": experiment["id"],
        "name": unique,
        "created_at": experiment["created_at"],
        "resource_references": [refers("NAMESPACE", "alice")],
        "storage_state": "STORAGESTATE_AVAILABLE",
    }
    assert local_kfp.get(f"{API}/experiments/{experiment['id']}").json() == experiment


def test_an_experiment_is_archived_unarchived_and_deleted(local_kfp, experiment):
    url = f"{API}/experiments/{experiment['id']}"
    assert local_kfp.post(f"{url}:archive").json() == {}
    assert local_kfp.get(url).json()["storage_state"] == "STORAGESTATE_ARCHIVED"
    assert local_kfp.post(f"{url}:unarchive").json() == {}
    assert local_kfp.get(url).json() == experiment
    assert local_kfp.call("DELETE", url).json() == {}
    assert local_kfp.get(url).status_code == 404


def test_experiments_are_listed_twenty_at_a_time(local_kfp, unique):
    for number in range(21):
        references = [refers("NAMESPACE", "bob")]
        body = {"name": f"{unique}-{number:02}", "resource_references": references}
        assert local_kfp.post(f"{API}/experiments", body, "bob/default-editor").ok
    predicate = {"op": "IS_SUBSTRING", "key": "name", "string_value": unique}
    query = of("NAMESPACE", "bob", filter=json.dumps({"predicates": [predicate]}))
    first = local_kfp.get(f"{API}/experiments", "bob/default-editor", **query).json()
    assert (len(first["experiments"]), first["total_size"]) == (20, 21)
    query = of("NAMESPACE", "bob", page_token=first["next_page_token"])
    second = local_kfp.get(f"{API}/experiments", "bob/default-editor", **query).json()
    assert [each["name"] for each in second["experiments"]] == [f"{unique}-20"]


@pytest.mark.parametrize("kind", ["NAMESPACE", "5"], ids=["name", "number"])
@pytest.mark.parametrize("op", ["EQUALS", 1], ids=["op by name", "op by number"])
def test_experiments_are_filtered_by_what_they_are_named_in_v1(local_kfp, experiment, kind, op):
    predicate = {"op": op, "key": "name", "string_value": experiment["name"]}
    query = of(kind, "alice", filter=json.dumps({"predicates": [predicate]}))
    answer = local_kfp.get(f"{API}/experiments", **query).json()
    assert answer == {"experiments": [experiment], "total_size": 1}


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        pytest.param(
            "experiments",
            of("EXPERIMENT", "e"),
            "Failed to list v1beta1 experiment due to invalid resource reference key. It must be "
            "of type 'Namespace' and contain an existing or empty namespace, but you provided e "
            "of type Experiment",
            id="experiments of an experiment",
        ),
        pytest.param(
            "experiments",
            {},
            "An experiment cannot have an empty namespace in multi-user mode",
            id="experiments of no namespace",
        ),
        pytest.param(
            "runs",
            of("JOB", "j"),
            "A run cannot have an empty namespace in multi-user mode",
            id="runs of a job",
        ),
        pytest.param(
            "jobs",
            {},
            "a recurring run cannot have an empty namespace in multi-user mode",
            id="jobs of no namespace",
        ),
        pytest.param(
            "runs",
            {"resource_reference_key.id": "alice"},
            "Failed to convert unsupported v1beta1 API resource type UNKNOWN_RESOURCE_TYPE",
            id="an id without a type",
        ),
        pytest.param(
            "pipelines",
            of("PIPELINE_VERSION", "v"),
            "Failed to list pipelines (v1beta1) due to invalid resource references for pipelines: "
            "&{PipelineVersion v}",
            id="pipelines of a version",
        ),
        pytest.param(
            "pipeline_versions",
            {},
            "Failed to list pipeline versions (v1beta1) due to missing pipeline id",
            id="versions of no pipeline",
        ),
        pytest.param(
            "runs",
            of("TENANT", "alice"),
            'parsing field "type": "TENANT" is not a valid value',
            id="no type there is",
        ),
    ],
)
def test_a_list_says_what_it_cannot_be_narrowed_to(local_kfp, path, query, message):
    answer = local_kfp.get(f"{API}/{path}", **query)
    assert (answer.status_code, text(answer)) == (400, message)


# Runs


@pytest.mark.parametrize("field", ["pipeline_manifest", "workflow_manifest"])
@pytest.mark.parametrize("form", [yaml.dump, json.dumps], ids=["YAML", "JSON"])
def test_a_run_of_a_manifest_tells_all_about_itself(create_run, experiment, adder, field, form):
    spec = yaml.safe_load(adder.read_text())
    detail = create_run(**{field: form(spec)}).json()
    assert detail["pipeline_runtime"] == {}
    run = detail["run"]
    assert yaml.safe_load(run["pipeline_spec"].pop("pipeline_manifest")) == spec
    assert run == {
        "id": run["id"],
        "name": "a run",
        "pipeline_spec": {"runtime_config": {"parameters": {"x": 3}}},
        "resource_references": [
            refers("EXPERIMENT", experiment["id"]),
            refers("NAMESPACE", "alice"),
        ],
        "service_account": "default-editor",
        "created_at": run["created_at"],
        "scheduled_at": run["created_at"],
        "finished_at": EPOCH,
        "status": "Pending",
    }


def test_a_run_succeeds(local_kfp, create_run):
    run = finished(local_kfp, create_run().json()["run"]["id"])
    assert run["status"] == "Succeeded"


@pytest.mark.parametrize("by", ["id", "reference", "version"])
def test_a_run_of_a_pipeline_refers_to_its_version(create_run, pipeline, experiment, by):
    version = pipeline["default_version"]
    references = {
        "id": [],
        "reference": [refers("PIPELINE", pipeline["id"], "OWNER")],
        "version": [refers("PIPELINE_VERSION", version["id"], "CREATOR")],
    }[by]
    spec = {"pipeline_id": pipeline["id"]} if by == "id" else {"pipeline_id": ""}
    run = create_run(references=references, **spec).json()["run"]
    assert run["resource_references"] == [
        refers("EXPERIMENT", experiment["id"]),
        refers("NAMESPACE", "alice"),
        refers("PIPELINE_VERSION", version["id"], "CREATOR"),
    ]
    assert run["pipeline_spec"]["pipeline_id"] == pipeline["id"]
    assert run["pipeline_spec"]["pipeline_name"] == version["name"]
    assert "pipelineInfo" in yaml.safe_load(run["pipeline_spec"]["pipeline_manifest"])


def test_a_run_of_a_job_refers_to_both_the_job_and_its_version(create_run, create_job, pipeline):
    references = [refers("JOB", create_job(enabled=False).json()["id"], "CREATOR")]
    run = create_run(references=references, pipeline_id=pipeline["id"]).json()["run"]
    version = refers("PIPELINE_VERSION", pipeline["default_version"]["id"], "CREATOR")
    assert run["resource_references"][2:] == [*references, version]


def test_a_run_outlives_its_version(local_kfp, create_run, pipeline):
    run = create_run(pipeline_id=pipeline["id"]).json()["run"]
    version_url = f"{API}/pipeline_versions/{pipeline['default_version']['id']}"
    assert local_kfp.call("DELETE", version_url).json() == {}
    later = run_of(local_kfp, run["id"])
    assert later["pipeline_spec"]["pipeline_name"] == pipeline["default_version"]["name"]
    assert later["pipeline_spec"] == run["pipeline_spec"]


def test_a_list_of_parameters_is_one_of_texts(local_kfp, create_run, pipeline):
    parameters = [{"name": "label", "value": "2"}]
    given = {"parameters": parameters, "runtime_config": {"pipeline_root": "minio://x"}}
    run = create_run(pipeline_id=pipeline["id"], **given).json()["run"]
    assert run["pipeline_spec"]["parameters"] == parameters
    assert "runtime_config" not in run["pipeline_spec"]
    assert run_of(local_kfp, run["id"])["pipeline_spec"] == run["pipeline_spec"]
    in_v2 = local_kfp.get(f"/apis/v2beta1/runs/{run['id']}").json()
    assert in_v2["runtime_config"]["parameters"] == {"label": "2"}


def test_a_run_of_a_job_is_made_of_what_the_job_is(local_kfp, create_job, experiment, pipeline):
    trigger = {"periodic_schedule": {"interval_second": 1}}
    job = create_job(trigger=trigger).json()
    version_url = f"{API}/pipeline_versions/{pipeline['default_version']['id']}"
    assert local_kfp.call("DELETE", version_url).json() == {}
    query = of("EXPERIMENT", experiment["id"])
    runs = wait_until(lambda: local_kfp.get(f"{API}/runs", **query).json().get("runs"))
    assert local_kfp.call("DELETE", f"{API}/jobs/{job['id']}").json() == {}
    assert runs[0]["pipeline_spec"] == job["pipeline_spec"]
    assert job["pipeline_spec"]["parameters"] == [{"name": "label", "value": "l"}]


@pytest.mark.parametrize(
    ("spec", "references", "message"),
    [
        pytest.param(
            {"workflow_manifest": yaml.dump(ARGO)},
            [],
            "This is not a compiled pipeline but an Argo Workflow, which KFP 1 compiled and which "
            "does not run here. Compile the pipeline with KFP 2: "
            "kfp.compiler.Compiler().compile(my_pipeline, 'my_pipeline.yaml').",
            id="an Argo Workflow",
        ),
        pytest.param(
            {"workflow_manifest": "a: 1", "pipeline_manifest": "a: 1"},
            [],
            "Please don't specify both workflow manifest and pipeline manifest",
            id="two manifests",
        ),
        pytest.param(
            {"pipeline_id": NOBODY, "pipeline_manifest": True},
            [],
            "Please don't specify a pipeline version or pipeline ID when you specify a workflow "
            "manifest or pipeline manifest",
            id="a pipeline and a manifest",
        ),
        pytest.param(
            {"parameters": [{"name": "x", "value": "3"}], "pipeline_manifest": True},
            [],
            "Please don't specify both parameters and runtime config",
            id="parameters twice",
        ),
        pytest.param(
            {
                "parameters": [{"name": "x", "value": "3"}],
                "runtime_config": None,
                "pipeline_manifest": True,
            },
            [],
            "input parameter x requires type double or integer, but the parameter value is not of "
            "number value type",
            id="a number as text",
        ),
        pytest.param(
            {"pipeline_manifest": ""},
            [],
            "Failed to fetch a template with an empty pipeline spec manifest",
            id="no pipeline",
        ),
        pytest.param(
            {"pipeline_manifest": True},
            [refers("NAMESPACE", "bob")],
            "belongs to namespace 'alice' instead of 'bob'",
            id="a namespace that is not the experiment's",
        ),
    ],
)
def test_a_run_that_cannot_be_says_why(create_run, adder, spec, references, message):
    if spec.get("pipeline_manifest") is True:
        spec = spec | {"pipeline_manifest": adder.read_text()}
    answer = create_run(references=references, **spec)
    assert answer.status_code == 400
    assert message in text(answer)
    assert answer.json()["message"].startswith("Failed to create a new v1beta1 run: ")


@pytest.mark.parametrize("kind", ["EXPERIMENT", "NAMESPACE"])
def test_runs_are_listed_by_experiment_or_namespace(local_kfp, create_run, experiment, kind):
    run = create_run().json()["run"]
    id = experiment["id"] if kind == "EXPERIMENT" else "alice"
    predicate = {"op": "EQUALS", "key": "id", "string_value": run["id"]}
    query = of(kind, id, filter=json.dumps({"predicates": [predicate]}))
    listed = local_kfp.get(f"{API}/runs", **query).json()
    assert [each["id"] for each in listed["runs"]] == [run["id"]]


def test_a_run_is_archived_unarchived_and_deleted(local_kfp, create_run):
    run_id = create_run().json()["run"]["id"]
    url = f"{API}/runs/{run_id}"
    assert local_kfp.post(f"{url}:archive").json() == {}
    assert run_of(local_kfp, run_id)["storage_state"] == "STORAGESTATE_ARCHIVED"
    assert local_kfp.post(f"{url}:unarchive").json() == {}
    assert "storage_state" not in run_of(local_kfp, run_id)
    assert local_kfp.call("DELETE", url).json() == {}
    assert local_kfp.get(url).status_code == 404


def test_a_run_is_terminated_and_retried(local_kfp, create_run, sleeper):
    spec = {"pipeline_manifest": sleeper.read_text(), "runtime_config": None}
    run_id = create_run(**spec).json()["run"]["id"]
    url = f"{API}/runs/{run_id}"
    too_early = local_kfp.post(f"{url}/retry")
    assert too_early.status_code == 409
    assert too_early.json()["message"].startswith("Failed to retry a run: ")
    for effect in ("terminate", "retry", "terminate"):
        assert local_kfp.post(f"{url}/{effect}").json() == {}
        if effect == "terminate":
            assert finished(local_kfp, run_id)["status"] == "Failed"


def test_metrics_are_reported_once_and_shown_with_the_run(local_kfp, create_run):
    run_id = create_run().json()["run"]["id"]
    metric = {"name": "accuracy", "node_id": "train", "number_value": 0, "format": 2}
    misnamed = {"name": "1st", "node_id": "train", "number_value": 1}
    bare = {"name": "loss", "node_id": "train"}
    url, body = f"{API}/runs/{run_id}:reportMetrics", {"metrics": [metric, misnamed, metric, bare]}
    results = local_kfp.post(url, body).json()["results"]
    outcomes = ["OK", "INVALID_ARGUMENT", "DUPLICATE_REPORTING", "OK"]
    assert [each["status"] for each in results] == outcomes
    assert results[0] == {"metric_name": "accuracy", "metric_node_id": "train", "status": "OK"}
    assert results[2]["message"] == (
        "Failed to create a run metric. Same metric has been reported before: train/accuracy"
    )
    expected = [metric | {"format": "PERCENTAGE"}, bare | {"number_value": 0}]
    assert run_of(local_kfp, run_id)["metrics"] == expected


PATTERN = "^[a-zA-Z]([-_a-zA-Z0-9]{0,62}[a-zA-Z0-9])?$"


@pytest.mark.parametrize(
    ("name", "node_id", "message"),
    [
        pytest.param("a" * 64, "n" * 128, "", id="longest"),
        *(
            pytest.param(
                *(name, "n", f"metric.name '{name}' doesn't match with the pattern '{PATTERN}'"),
                id=name[-5:] or "no name",
            )
            for name in ("", "1st", "a-", "a b", "a\n", "a" * 65)
        ),
        pytest.param("a", "", "metric.node_id must not be empty", id="no node"),
        pytest.param(
            *("a", "é" * 65, f"metric.node_id '{'é' * 65}' cannot be longer than 128 characters"),
            id="long node",
        ),
    ],
)
def test_a_metric_says_what_is_wrong_with_it(local_kfp, things, name, node_id, message):
    body = {"metrics": [{"name": name, "node_id": node_id, "number_value": 1}]}
    (result,) = local_kfp.post(f"{API}/runs/{things['r']}:reportMetrics", body).json()["results"]
    assert result["status"] == ("INVALID_ARGUMENT" if message else "OK")
    assert result.get("message", "") == message


@pytest.fixture(scope="session")
def writer(tmp_path_factory):
    """The compiled YAML of a pipeline with one task, whose artifact `greeting` is five bytes."""

    @dsl.component(base_image="python:3.12")
    def write(greeting: dsl.Output[dsl.Artifact]):
        with open(greeting.path, "w") as file:
            file.write("hello")

    @dsl.pipeline(name="writer")
    def pipeline():
        write()

    return compiled(tmp_path_factory.mktemp("writer"), pipeline)


def test_an_artifact_is_read_in_base64(local_kfp, create_run, writer):
    spec = {"pipeline_manifest": writer.read_text(), "runtime_config": None}
    run_id = create_run(**spec).json()["run"]["id"]
    assert finished(local_kfp, run_id)["status"] == "Succeeded"
    details = local_kfp.get(f"/apis/v2beta1/runs/{run_id}").json()["run_details"]
    (task,) = details["task_details"]
    url = f"{API}/runs/{run_id}/nodes/{task['task_id']}/artifacts/greeting:read"
    assert local_kfp.get(url).json() == {"data": base64.b64encode(b"hello").decode()}


@pytest.mark.parametrize(
    ("who", "status", "message"),
    [
        pytest.param("alice/default-editor", 404, "nodes/n/artifacts/a not found", id="missing"),
        pytest.param("bob/default-viewer", 403, "Verb:readArtifact", id="someone else's"),
    ],
)
def test_an_artifact_that_cannot_be_read_says_why(local_kfp, create_run, who, status, message):
    run_id = create_run().json()["run"]["id"]
    answer = local_kfp.get(f"{API}/runs/{run_id}/nodes/n/artifacts/a:read", who)
    assert answer.status_code == status
    assert message in answer.json()["error_message"]


# Recurring runs


def test_a_job_pins_the_latest_version(local_kfp, create_job, pipeline, experiment):
    trigger = {"cron_schedule": {"cron": "0 0 0 1 1 *"}}
    job = create_job(trigger=trigger).json()
    manifest = job["pipeline_spec"].pop("pipeline_manifest")
    assert "pipelineInfo" in yaml.safe_load(manifest)
    version = pipeline["default_version"]
    assert job == {
        "id": job["id"],
        "name": "a job",
        "pipeline_spec": {
            "pipeline_id": pipeline["id"],
            "pipeline_name": version["name"],
            "parameters": [{"name": "label", "value": "l"}],
        },
        "resource_references": [
            refers("NAMESPACE", "alice"),
            refers("EXPERIMENT", experiment["id"]),
            refers("PIPELINE", pipeline["id"], "CREATOR"),
            refers("PIPELINE_VERSION", version["id"], "CREATOR"),
        ],
        "service_account": "default-editor",
        "max_concurrency": "2",
        "trigger": trigger,
        "created_at": job["created_at"],
        "updated_at": job["created_at"],
        "status": "STATUS_UNSPECIFIED",
        "enabled": True,
    }


@pytest.mark.parametrize("kind", ["EXPERIMENT", "NAMESPACE"])
def test_jobs_are_listed_by_experiment_or_namespace(local_kfp, create_job, experiment, kind):
    job = create_job(mode="DISABLED", enabled=False).json()
    id = experiment["id"] if kind == "EXPERIMENT" else "alice"
    query = of(kind, id, sort_by="created_at desc", page_size=1)
    assert local_kfp.get(f"{API}/jobs", **query).json()["jobs"] == [job]


@pytest.mark.parametrize("mode", ["ENABLED", 1], ids=["name", "number"])
def test_a_job_is_enabled_by_its_mode_too(local_kfp, create_job, mode):
    trigger = {"periodicSchedule": {"intervalSecond": 100000}}
    job = create_job(mode=mode, enabled=False, trigger=trigger).json()
    assert (job["enabled"], job["status"]) == (True, "STATUS_UNSPECIFIED")


def test_a_job_is_disabled_enabled_and_deleted(local_kfp, create_job):
    url = f"{API}/jobs/{create_job(mode=2, enabled=False).json()['id']}"
    assert "enabled" not in local_kfp.get(url).json()
    assert local_kfp.post(f"{url}/enable").json() == {}
    assert local_kfp.get(url).json()["enabled"]
    assert local_kfp.post(f"{url}/disable").json() == {}
    assert "enabled" not in local_kfp.get(url).json()
    assert local_kfp.call("DELETE", url).json() == {}
    assert local_kfp.get(url).status_code == 404


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param(
            {"max_concurrency": 11},
            "Max concurrency of a recurring run must be at least 1 and at most 10. Received 11",
            id="too many at a time",
        ),
        pytest.param(
            {"trigger": {"cron_schedule": {"cron": "x"}}},
            "Schedule cron is not a supported format",
            id="no cron",
        ),
        pytest.param(
            {
                "trigger": {
                    "cron_schedule": {"cron": "0 0 0 1 1 *"},
                    "periodic_schedule": {"interval_second": 60},
                }
            },
            "oneof api.Trigger.trigger is already set",
            id="two triggers",
        ),
        pytest.param(
            {"mode": "ON"},
            'invalid value for enum field mode: "ON"',
            id="no mode there is",
        ),
    ],
)
def test_a_job_that_cannot_be_says_why(create_job, fields, message):
    answer = create_job(enabled=False, **fields)
    assert answer.status_code == 400
    assert message in text(answer)


# Pipelines


def test_an_uploaded_pipeline_has_its_version_as_default(local_kfp, pipeline, unique):
    version = pipeline["default_version"]
    assert pipeline == {
        "id": pipeline["id"],
        "created_at": pipeline["created_at"],
        "name": unique,
        "default_version": {
            "id": version["id"],
            "name": unique,
            "created_at": version["created_at"],
            "resource_references": [refers("PIPELINE", pipeline["id"])],
        },
        "resource_references": [refers("NAMESPACE", "alice")],
    }
    assert local_kfp.get(f"{API}/pipelines/{pipeline['id']}").json() == pipeline
    by_name = local_kfp.get(f"{API}/namespaces/alice/pipelines/{unique}").json()
    assert by_name == pipeline


def test_an_upload_is_said_to_be_what_it_is_in_both_versions(local_kfp, labelled, unique):
    said = {"display_name": unique, "tags": '{"a": "b"}', "namespace": "alice"}
    pipeline = uploaded(local_kfp, labelled, **said).json()
    assert pipeline["name"] == unique
    in_v2 = local_kfp.get(f"/apis/v2beta1/pipelines/{pipeline['id']}").json()
    assert (in_v2["display_name"], in_v2["tags"]) == (unique, {"a": "b"})


def test_the_default_version_is_the_latest(local_kfp, pipeline, labelled):
    params = {"pipelineid": pipeline["id"], "name": "second", "description": "newer"}
    version = uploaded(local_kfp, labelled, "upload_version", **params).json()
    assert (version["name"], version["description"]) == ("second", "newer")
    first = pipeline["default_version"]["id"]
    url = f"{API}/pipelines/{pipeline['id']}"
    assert local_kfp.post(f"{url}/default_version/{first}").json() == {}
    assert local_kfp.get(url).json()["default_version"] == version
    query = {"resource_key.type": "PIPELINE", "resource_key.id": pipeline["id"]}
    listed = local_kfp.get(f"{API}/pipeline_versions", sort_by="created_at desc", **query).json()
    assert [each["id"] for each in listed["versions"]] == [version["id"], first]


def test_where_the_code_is_stands_in_for_where_a_package_is(local_kfp, labelled, unique):
    source = "https://example.com/repository"
    query = {"name": unique, "namespace": "alice", "code_source_url": source}
    pipeline = uploaded(local_kfp, labelled, **query).json()
    assert pipeline["url"] == {"pipeline_url": source}
    assert pipeline["default_version"]["package_url"] == {"pipeline_url": source}


def test_pipelines_are_listed_with_their_default_versions(local_kfp, pipeline):
    query = of("NAMESPACE", "alice", sort_by="created_at desc", page_size=1)
    assert local_kfp.get(f"{API}/pipelines", **query).json()["pipelines"] == [pipeline]


@pytest.mark.parametrize("noun", ["pipelines", "pipeline_versions"])
def test_a_template_is_what_was_uploaded(local_kfp, pipeline, labelled, noun):
    id = pipeline["id"] if noun == "pipelines" else pipeline["default_version"]["id"]
    template = local_kfp.get(f"{API}/{noun}/{id}/templates").json()["template"]
    assert yaml.safe_load(template) == yaml.safe_load(labelled.read_text())


def test_a_pipeline_is_deleted_after_its_versions(local_kfp, pipeline):
    url = f"{API}/pipelines/{pipeline['id']}"
    refusal = local_kfp.call("DELETE", url)
    assert refusal.status_code == 400
    assert "as it has existing pipeline versions" in text(refusal)
    version_url = f"{API}/pipeline_versions/{pipeline['default_version']['id']}"
    assert local_kfp.call("DELETE", version_url).json() == {}
    assert local_kfp.get(version_url).status_code == 404
    without = local_kfp.get(url)
    assert (without.status_code, text(without)) == (
        404,
        f"PipelineVersion {pipeline['id']} not found",
    )
    assert local_kfp.call("DELETE", url).json() == {}
    assert local_kfp.get(url).status_code == 404


@pytest.mark.parametrize("noun", ["pipelines", "pipeline_versions"])
def test_a_pipeline_is_fetched_from_where_that_is_allowed(
    start_local_kfp, monkeypatch, labelled, noun
):
    # Like every private address, this machine's own is not.
    monkeypatch.setenv("PIPELINE_URL_VALIDATION_ENABLED", "false")
    server = start_local_kfp()
    pipeline = uploaded(server, labelled, name="first", namespace="alice").json()
    references = [refers("NAMESPACE", "alice"), refers("PIPELINE", pipeline["id"])]
    body = {"name": "fetched", "description": "d", "resource_references": references}
    with serving(labelled.parent) as endpoint:
        url = {"pipeline_url": f"{endpoint}/{labelled.name}"}
        body["url" if noun == "pipelines" else "package_url"] = url
        created = server.post(f"{API}/{noun}", body).json()
    assert (created["name"], created["description"]) == ("fetched", "d")
    template = server.get(f"{API}/{noun}/{created['id']}/templates").json()["template"]
    assert yaml.safe_load(template) == yaml.safe_load(labelled.read_text())


@pytest.mark.parametrize("noun", ["pipelines", "pipeline_versions"])
def test_a_pipeline_is_not_fetched_from_anywhere(local_kfp, pipeline, unique, noun):
    url = {"pipeline_url": f"{local_kfp.endpoint}/p.yaml"}
    references = [refers("NAMESPACE", "alice"), refers("PIPELINE", pipeline["id"])]
    body = {"name": unique, "resource_references": references}
    body["url" if noun == "pipelines" else "package_url"] = url
    answer = local_kfp.post(f"{API}/{noun}", body)
    assert answer.status_code == 400
    assert text(answer).startswith("Pipeline URL validation failed")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param(
            {"package_url": {}},
            "Failed to create a pipeline version (v1beta1). Pipeline version is nil or pipeline's "
            "URL is empty",
            id="no URL",
        ),
        pytest.param(
            {"resource_references": []},
            "Failed to create a pipeline version due empty parent pipeline id",
            id="no pipeline",
        ),
        pytest.param({"name": ""}, "name is required", id="no name"),
    ],
)
def test_a_version_says_what_it_lacks(local_kfp, pipeline, fields, message):
    body = {"name": "v", "package_url": {"pipeline_url": "https://example.com"}}
    body["resource_references"] = [refers("PIPELINE", pipeline["id"])]
    answer = local_kfp.post(f"{API}/pipeline_versions", body | fields)
    assert (answer.status_code, text(answer)) == (400, message)


@pytest.mark.parametrize(
    ("noun", "context"),
    [
        ("experiments", "Failed to create list options"),
        ("runs", "Failed to create list options"),
        ("jobs", "Failed to list jobs due to error parsing the listing options"),
        (
            "pipelines",
            "Failed to list pipelines due invalid list options: pageToken: , pageSize: -1, "
            "sortBy: , filter: ",
        ),
        (
            "pipeline_versions",
            "Failed to list pipeline versions due invalid list options: pageToken: , "
            "pageSize: -1, sortBy: , filter: ",
        ),
    ],
)
def test_a_page_has_a_size(local_kfp, noun, context):
    answer = local_kfp.get(f"{API}/{noun}", page_size=-1, **{"resource_key.id": "p"})
    problem = "Invalid input error: The page size should be greater than 0. Got -1"
    assert (answer.status_code, answer.json()["message"]) == (400, f"{context}: {problem}")


def test_tags_are_nothing_that_v1_filters_by(local_kfp):
    predicate = {"op": "EQUALS", "key": "tags.a", "string_value": "b"}
    query = of("NAMESPACE", "alice", filter=json.dumps({"predicates": [predicate]}))
    answer = local_kfp.get(f"{API}/pipelines", **query)
    refused = 'no support for filtering on unrecognized field "tags.a"'
    assert (answer.status_code, text(answer)) == (400, refused)


# Tenants


@pytest.fixture(scope="module")
def things(local_kfp, labelled):
    """The ids of one thing of each kind, all of alice."""

    def created(noun, **fields):
        body = {"name": "of alice", "resource_references": [refers("NAMESPACE", "alice")]}
        body["resource_references"] += fields.pop("references", [])
        return local_kfp.post(f"{API}/{noun}", body | fields).json()

    pipeline = uploaded(local_kfp, labelled, name="of alice", namespace="alice").json()
    experiment = created("experiments")["id"]
    source = {"pipeline_spec": {"pipeline_id": pipeline["id"]}}
    source["references"] = [refers("EXPERIMENT", experiment)]
    return {
        "e": experiment,
        "p": pipeline["id"],
        "v": pipeline["default_version"]["id"],
        "r": created("runs", **source)["run"]["id"],
        "j": created("jobs", max_concurrency=1, **source)["id"],
    }


@pytest.mark.parametrize(
    ("who", "status"),
    [pytest.param("bob/default-viewer", 403, id="a stranger"), pytest.param("", 401, id="nobody")],
)
@pytest.mark.parametrize(
    ("method", "path", "context"),
    [
        ("GET", "experiments/{e}", "Failed to fetch v1beta1 experiment"),
        ("DELETE", "experiments/{e}", "Failed to delete v1beta1 experiment"),
        ("POST", "experiments/{e}:archive", "Failed to archive v1beta1 experiment"),
        ("POST", "experiments/{e}:unarchive", "Failed to unarchive v1beta1 experiment"),
        ("GET", "runs/{r}", "Failed to get a v1beta1 run"),
        ("DELETE", "runs/{r}", "Failed to delete a v1beta1 run"),
        ("POST", "runs/{r}:archive", "Failed to archive a v1beta1 run"),
        ("POST", "runs/{r}:unarchive", "Failed to unarchive a v1beta1 run"),
        ("POST", "runs/{r}/terminate", "Failed to terminate a v1beta1 run"),
        ("POST", "runs/{r}/retry", "Failed to retry a run"),
        ("POST", "runs/{r}:reportMetrics", "Failed to report v1beta1 run metrics"),
        ("GET", "jobs/{j}", "Failed to fetch a v1beta1 recurring run"),
        ("DELETE", "jobs/{j}", "Failed to disable a recurring run"),
        ("POST", "jobs/{j}/enable", "Failed to enable a v1beta1 recurring run"),
        ("POST", "jobs/{j}/disable", "Failed to disable a v1beta1 recurring run"),
        ("GET", "pipelines/{p}", "Failed to get a pipeline (v1beta1) {p}. Check error stack"),
        ("DELETE", "pipelines/{p}", "Failed to delete pipeline (v1beta1) {p}. Check error stack"),
        ("GET", "pipelines/{p}/templates", "Failed to get the default template (v1beta1)"),
        ("POST", "pipelines/{p}/default_version/{v}", "Failed to update (v1beta1) default"),
        ("GET", "pipeline_versions/{v}", "Failed to get a pipeline version (v1beta1) {v}"),
        ("DELETE", "pipeline_versions/{v}", "Failed to delete a pipeline version (v1beta1) {v}"),
        ("GET", "pipeline_versions/{v}/templates", "Failed to get a pipeline template"),
    ],
)
def test_what_is_someone_elses_is_refused(local_kfp, things, who, status, method, path, context):
    answer = local_kfp.call(method, f"{API}/{path.format(**things)}", who)
    assert answer.status_code == status
    assert answer.json()["message"].startswith(context.format(**things))
