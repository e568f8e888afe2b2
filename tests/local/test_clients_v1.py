"""kfp 1.8 and the generated client of v1beta1, unchanged, against the local KFP.

They cannot share an environment with kfp 2: the scripts in clients_v1 run in one of their own.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

SCRIPTS = Path(__file__).parents[1] / "clients_v1"
PYTHON = Path(os.environ.get("KFP1_PYTHON") or Path(sys.prefix) / "kfp1" / "bin" / "python")

ARGO = (
    "This is not a compiled pipeline but an Argo Workflow, which KFP 1 compiled and which does not "
    "run here. Compile the pipeline with KFP 2: "
    "kfp.compiler.Compiler().compile(my_pipeline, 'my_pipeline.yaml')."
)


@pytest.fixture(scope="module")
def python():
    if not PYTHON.exists():
        missing = (
            f"There is no {PYTHON}: `.ci/setup clients` installs kfp 1.8 there, "
            "or KFP1_PYTHON names a Python that has it"
        )
        # It is older than these versions of Python, and may not install on them.
        skip = sys.version_info >= (3, 12) and "KFP1_PYTHON" not in os.environ
        (pytest.skip if skip else pytest.fail)(missing)
    return str(PYTHON)


@pytest.fixture(scope="module")
def said(local_kfp, python, tmp_path_factory):
    """Run a script and return what it says it saw."""

    def said(script, *arguments, who="alice/default-editor"):
        home = tmp_path_factory.mktemp("home")
        done = subprocess.run(
            [python, SCRIPTS / script, local_kfp.endpoint, local_kfp.token(who), *arguments],
            env={"HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return said


@pytest.fixture(scope="module")
def upload(local_kfp, labelled):
    def upload(name, namespace="", who="alice/default-editor"):
        with labelled.open("rb") as file:
            return local_kfp.call(
                "POST",
                "/apis/v1beta1/pipelines/upload",
                who,
                params={"name": name, "namespace": namespace},
                files={"uploadfile": ("labelled.yaml", file)},
            ).json()

    return upload


@pytest.fixture(scope="module")
def first_run(said, upload):
    upload("shared with old clients")
    return said("first_run.py", "first run", "alice")


@pytest.fixture(scope="module")
def runs(said, sleeper):
    return said("runs.py", "runs of v1", "alice", str(sleeper))


@pytest.fixture(scope="module")
def job_pipeline(upload):
    return upload("of jobs", "alice")


@pytest.fixture(scope="module")
def jobs(said, job_pipeline):
    version_id = job_pipeline["default_version"]["id"]
    return said("jobs.py", "jobs of v1", "alice", job_pipeline["id"], version_id)


@pytest.fixture(scope="module")
def pipelines(said, labelled):
    return said("pipelines.py", "uploaded by v1", str(labelled), who="users/admin@example.com")


@pytest.fixture(scope="module")
def sdk_pipeline(upload):
    return upload("of the old SDK", "alice")


@pytest.fixture(scope="module")
def sdk(said, local_kfp, labelled, sdk_pipeline):
    admin_token = local_kfp.token("users/admin@example.com")
    version_id = sdk_pipeline["default_version"]["id"]
    pipeline = (str(labelled), sdk_pipeline["id"], version_id)
    return said("sdk.py", "old SDK", "alice", *pipeline, admin_token)


def refers(kind, id, relationship="OWNER"):
    return {"key": {"type": kind, "id": id}, "relationship": relationship}


# The generated client


def test_an_experiment_is_owned_by_its_namespace(first_run):
    experiment = first_run["experiment"]
    assert experiment["resource_references"] == [refers("NAMESPACE", "alice")]
    assert experiment["storage_state"] == "STORAGESTATE_AVAILABLE"
    assert first_run["same"]


def test_a_run_belongs_to_an_experiment_a_namespace_and_a_version(first_run):
    pipeline, run = first_run["pipeline"], first_run["run"]
    assert pipeline["name"] == "shared with old clients"
    assert run["resource_references"] == [
        refers("EXPERIMENT", first_run["experiment"]["id"]),
        refers("NAMESPACE", "alice"),
        refers("PIPELINE_VERSION", pipeline["default_version"]["id"], "CREATOR"),
    ]


def test_runs_are_listed_by_what_they_refer_to(first_run):
    (of_experiment,) = first_run["of_experiment"]["runs"]
    (of_namespace,) = first_run["of_namespace"]["runs"]
    assert of_experiment["id"] == of_namespace["id"] == first_run["run"]["id"]
    assert first_run["of_experiment"]["total_size"] == 1


def test_a_run_of_a_pipeline_succeeds(first_run):
    assert first_run["ended"]["status"] == "Succeeded"
    assert "error" not in first_run["ended"]


def test_an_argo_workflow_is_refused_in_words_that_help(runs):
    status, words = runs["argo"]
    assert (status, words) == (400, ARGO)


def test_a_run_is_terminated_and_retried(runs):
    assert runs["statuses"][0] == "Failed"
    assert runs["statuses"][1] in ("Pending", "Running")


def test_a_metric_is_kept_with_its_run(runs):
    (result,) = runs["results"]
    assert result == {"metric_name": "accuracy", "metric_node_id": "a-node", "status": "OK"}
    (metric,) = runs["archived"]["metrics"]
    assert (metric["number_value"], metric["format"]) == (0.5, "PERCENTAGE")


def test_runs_and_experiments_are_archived_restored_and_deleted(runs):
    assert runs["archived"]["storage_state"] == "STORAGESTATE_ARCHIVED"
    assert "storage_state" not in runs["unarchived"]
    assert runs["experiments"] == ["STORAGESTATE_ARCHIVED", "STORAGESTATE_AVAILABLE"]
    assert runs["gone"] == [
        [404, f"Run {runs['run_id']} not found"],
        [404, f"Experiment {runs['experiment_id']} not found"],
    ]


def test_a_job_comes_back_as_it_was_created(jobs, job_pipeline):
    job, version = jobs["job"], job_pipeline["default_version"]["id"]
    assert job["trigger"] == {"cron_schedule": {"cron": "0 0 8 1 1 ?"}}
    assert (job["max_concurrency"], job["no_catchup"], job["enabled"]) == ("2", True, True)
    assert job["pipeline_spec"]["parameters"] == [{"name": "label", "value": "of a job"}]
    assert refers("EXPERIMENT", jobs["experiment_id"]) in job["resource_references"]
    assert refers("PIPELINE_VERSION", version, "CREATOR") in job["resource_references"]
    assert jobs["same"] and jobs["listed"]["jobs"] == [job]


def test_a_job_is_switched_off_and_on_and_deleted(jobs):
    assert jobs["enabled"] == [None, True]  # what is false is left out of an answer
    assert jobs["gone"] == [404, f"Job {jobs['job']['id']} not found"]


def test_an_uploaded_pipeline_has_versions_and_templates(pipelines, labelled):
    uploaded = pipelines["pipeline"]
    assert (uploaded["name"], uploaded["description"]) == ("uploaded by v1", "of the old client")
    assert [each["name"] for each in pipelines["versions"]["versions"]] == [
        "second",
        "uploaded by v1",
    ]
    assert [each["id"] for each in pipelines["found"]["pipelines"]] == [uploaded["id"]]
    spec = yaml.safe_load(labelled.read_text())
    assert [yaml.safe_load(template) for template in pipelines["templates"]] == [spec, spec]
    assert pipelines["same"]


def test_a_pipeline_is_deleted_after_its_versions(pipelines):
    status, words = pipelines["too_soon"]
    assert (status, "it has existing pipeline versions" in words) == (400, True)
    assert pipelines["gone"] == [404, f"Pipeline {pipelines['pipeline']['id']} not found"]


# kfp 1.8


def test_every_public_method_of_the_old_sdk_is_called(sdk):
    called = re.findall(r"\b(?:client|admin)\.(\w+)", (SCRIPTS / "sdk.py").read_text())
    assert set(sdk["methods"]) - set(called) == set()


def test_the_old_sdk_knows_that_it_is_one_of_many(sdk):
    assert (sdk["healthz"]["multi_user"], sdk["namespace"]) == (True, "alice")


def test_the_old_sdk_has_experiments_of_its_namespace(sdk):
    made = sdk["experiments"]["made"]
    assert made["resource_references"] == [refers("NAMESPACE", "alice")]
    assert sdk["experiments"]["same"] == [True, True, True]
    assert sdk["archived"] == "STORAGESTATE_ARCHIVED"


def test_the_old_sdk_runs_a_file_and_pipelines(sdk, sdk_pipeline):
    runs, version = sdk["runs"], sdk_pipeline["default_version"]["id"]
    assert (runs["ended"]["status"], runs["got"]) == ("Succeeded", "Succeeded")
    assert runs["versions"] == [[version], [version]]
    assert runs["listed"] == ["old SDK", "old SDK of a pipeline", "old SDK of a version"]
    assert runs["in_namespace"]


def test_the_old_sdk_makes_recurring_runs(sdk, sdk_pipeline):
    recurring = sdk["recurring_runs"]
    version = refers("PIPELINE_VERSION", sdk_pipeline["default_version"]["id"], "CREATOR")
    assert version in recurring["made"]["resource_references"]
    assert recurring["made"]["trigger"] == {"cron_schedule": {"cron": "0 0 8 1 1 ?"}}
    periodic = recurring["periodic"]
    assert periodic["trigger"] == {"periodic_schedule": {"interval_second": "86400"}}
    assert recurring["left"] and not (recurring["disabled"] or periodic.get("enabled"))
    assert recurring["everywhere"] == [
        400,
        "a recurring run cannot have an empty namespace in multi-user mode",
    ]


def test_the_old_sdk_uploads_what_all_share(sdk):
    pipelines = sdk["pipelines"]
    assert "resource_references" not in pipelines["made"]
    assert (pipelines["found"], pipelines["listed"]) == (True, 1)
    assert pipelines["versions"] == ["old SDK", "second"]
    assert pipelines["default"] == "second"
    assert pipelines["refused"] == 403


def test_what_the_old_sdk_compiles_is_refused_in_words_that_help(sdk):
    status, words = sdk["argo"]
    assert (status, words) == (400, ARGO)
