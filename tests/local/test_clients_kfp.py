"""The client of the kfp SDK, unchanged: every method of it against the local KFP."""

import datetime
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness.waiting import wait_until

# The client warns whoever makes one that it does not work with servers of before 2.0.
pytestmark = pytest.mark.filterwarnings("ignore:This client only works with:FutureWarning")

# Eight o'clock on New Year's Day, seconds first.
YEARLY = "0 0 8 1 1 ?"


@pytest.fixture(scope="session")
def doubler():
    """A pipeline as a function."""
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def double(number: int) -> int:
        return 2 * number

    @dsl.pipeline(name="doubler")
    def pipeline(number: int = 21):
        double(number=number)

    return pipeline


@pytest.fixture
def client_of(local_kfp, tmp_path, monkeypatch):
    """A client as a namespace's own people make it, whatever the home directory holds."""
    import kfp

    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))

    def client(token, namespace):
        return kfp.Client(
            local_kfp.endpoint, existing_token=local_kfp.token(token), namespace=namespace
        )

    return client


@pytest.fixture
def client(client_of):
    return client_of("alice/default-editor", "alice")


@pytest.fixture
def admin(client_of):
    """The identity that may change shared pipelines."""
    return client_of("users/admin@example.com", "kubeflow")


@pytest.fixture
def experiment(client, unique):
    return client.create_experiment(unique).experiment_id


@pytest.fixture
def recurring(client, experiment, adder, unique):
    """A recurring run that will not run for a while."""

    def recurring(**how):
        usual = {
            "pipeline_package_path": str(adder),
            "params": {"x": 3},
            "cron_expression": YEARLY,
        }
        return client.create_recurring_run(experiment, unique, **usual | how)

    return recurring


def where(key, value, operation="EQUALS"):
    return json.dumps({"predicates": [{"operation": operation, "key": key, "stringValue": value}]})


def refused(call, *arguments, **keywords):
    """The status and the words of the server's refusal."""
    from kfp_server_api import ApiException

    with pytest.raises(ApiException) as error:
        call(*arguments, **keywords)
    return error.value.status, json.loads(error.value.body)["details"][0]["message"]


def test_every_public_method_of_the_client_is_called_here():
    from kfp import Client

    methods = {name for name, _ in inspect.getmembers(Client, inspect.isfunction)}
    called = set(re.findall(r"\.(\w+)\(", Path(__file__).read_text()))
    assert {name for name in methods - called if not name.startswith("_")} == set()


def test_the_server_says_that_it_is_for_many_users(client):
    assert client.get_kfp_healthz().multi_user is True


def test_the_namespace_of_the_context_file_is_used_by_the_next_client(local_kfp, tmp_path):
    script = """\
import sys, kfp
client = kfp.Client(sys.argv[1], existing_token=sys.argv[2])
client.set_user_namespace("alice")
again = kfp.Client(sys.argv[1], existing_token=sys.argv[2])
print(again.create_experiment("of the context").namespace, again.get_user_namespace())
"""
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script]
        + [local_kfp.endpoint, local_kfp.token("alice/default-editor")],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert said.stdout.splitlines()[-1] == "alice alice", said.stderr
    context = tmp_path / ".config" / "kfp" / "context.json"
    assert json.loads(context.read_text()) == {"namespace": "alice"}


def test_a_token_file_is_read_for_every_request(local_kfp, client_of, tmp_path):
    import kfp
    from kfp.client import ServiceAccountTokenVolumeCredentials

    token = tmp_path / "token"
    token.write_text(local_kfp.token("bob/default-editor"))
    credentials = ServiceAccountTokenVolumeCredentials(path=str(token))
    client = kfp.Client(local_kfp.endpoint, credentials=credentials)
    assert refused(client.list_runs, namespace="kubeflow")[0] == 403
    token.write_text(local_kfp.token("users/admin@example.com"))
    assert client.list_runs(namespace="kubeflow").runs is None


# Experiments


def test_an_experiment_is_created_once_and_found_by_its_id_and_its_name(client, unique):
    made = client.create_experiment(unique, description="of the SDK", namespace="alice")
    assert (made.display_name, made.description, made.namespace) == (unique, "of the SDK", "alice")
    assert client.create_experiment(unique) == made
    assert client.get_experiment(experiment_id=made.experiment_id) == made
    assert client.get_experiment(experiment_name=unique) == made
    with pytest.raises(ValueError, match="No experiment is found with name"):
        client.get_experiment(experiment_name=f"{unique} not")


def test_an_experiment_is_archived_restored_and_deleted(client, experiment):
    client.archive_experiment(experiment)
    assert client.get_experiment(experiment).storage_state == "ARCHIVED"
    client.unarchive_experiment(experiment)
    assert client.get_experiment(experiment).storage_state == "AVAILABLE"
    client.delete_experiment(experiment)
    assert refused(client.get_experiment, experiment) == (404, f"Experiment {experiment} not found")


def test_a_list_is_sorted_and_filtered_through_all_its_pages(client, unique):
    names = [f"{unique} {letter}" for letter in "abc"]
    for name in names:
        client.create_experiment(name)
    query = {
        "sort_by": "display_name desc",
        "filter": where("display_name", unique, "IS_SUBSTRING"),
    }
    first = client.list_experiments(page_size=2, namespace="alice", **query)
    second = client.list_experiments(page_size=2, page_token=first.next_page_token, **query)
    listed = [experiment.display_name for experiment in first.experiments + second.experiments]
    assert listed == names[::-1]
    assert (first.total_size, second.next_page_token) == (3, None)


# Runs


def test_a_function_is_compiled_submitted_and_waited_for(client, doubler, unique):
    result = client.create_run_from_pipeline_func(
        doubler, arguments={"number": 4}, experiment_name=unique, run_name="twice four"
    )
    client.wait_for_run_completion(result.run_id, timeout=60, sleep_duration=0.1)
    run = result.wait_for_run_completion()
    assert (run.display_name, run.state, run.error) == ("twice four", "SUCCEEDED", None)
    assert run.experiment_id == client.get_experiment(experiment_name=unique).experiment_id
    assert [task.display_name for task in run.run_details.task_details] == ["double"]
    assert client.get_run(run.run_id) == run


def test_a_package_runs_with_its_caching_set_for_all_tasks(client, sleeper, experiment):
    run = client.create_run_from_pipeline_package(
        str(sleeper),
        experiment_id=experiment,
        enable_caching=True,
        cache_key="a key",
        service_account="default-viewer",
    ).run_info
    client.delete_run(run.run_id)
    assert run.display_name.startswith("sleeper.yaml 2")
    assert run.service_account == "default-viewer"
    (task,) = run.pipeline_spec["root"]["dag"]["tasks"].values()
    assert task["cachingOptions"] == {"enableCache": True, "cacheKey": "a key"}


def test_a_run_is_terminated_archived_restored_and_deleted(client, sleeper, experiment):
    run_id = client.run_pipeline(experiment, "long", str(sleeper)).run_id
    wait_until(lambda: client.get_run(run_id).state == "RUNNING")
    client.terminate_run(run_id)
    assert client.wait_for_run_completion(run_id, 30, sleep_duration=0.1).state == "FAILED"
    client.archive_run(run_id)
    assert client.get_run(run_id).storage_state == "ARCHIVED"
    client.unarchive_run(run_id)
    assert client.get_run(run_id).storage_state == "AVAILABLE"
    client.delete_run(run_id)
    assert refused(client.get_run, run_id) == (404, f"Run {run_id} not found")


def test_runs_are_listed_by_experiment_and_by_namespace(client, sleeper, experiment, unique):
    ids = [
        client.run_pipeline(experiment, f"{unique} {letter}", str(sleeper)).run_id
        for letter in "abc"
    ]
    for run_id in ids:
        client.terminate_run(run_id)
    last = client.list_runs(experiment_id=experiment, page_size=2, sort_by="display_name desc")
    first = client.list_runs(experiment_id=experiment, page_token=last.next_page_token)
    assert [run.run_id for run in last.runs + first.runs] == ids[::-1]
    named = client.list_runs(namespace="alice", filter=where("display_name", f"{unique} b"))
    assert [run.run_id for run in named.runs] == ids[1:2]


def test_waiting_for_a_run_ends_when_time_is_up(client, sleeper, experiment):
    run_id = client.run_pipeline(experiment, "long", str(sleeper)).run_id
    with pytest.raises(TimeoutError, match="Run timeout"):
        client.wait_for_run_completion(run_id, datetime.timedelta(0), sleep_duration=0.1)
    client.delete_run(run_id)


# Pipelines


def test_a_pipeline_of_a_namespace_is_uploaded_and_run(client, sleeper, experiment, unique):
    pipeline = client.upload_pipeline(str(sleeper), unique, "sleeps", namespace="alice")
    assert (pipeline.display_name, pipeline.description, pipeline.namespace) == (
        unique,
        "sleeps",
        "alice",
    )
    assert client.get_pipeline(pipeline.pipeline_id) == pipeline
    (version,) = client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions
    run = client.run_pipeline(
        experiment,
        "of a version",
        pipeline_id=pipeline.pipeline_id,
        version_id=version.pipeline_version_id,
    )
    client.delete_run(run.run_id)
    assert run.pipeline_version_reference.pipeline_version_id == version.pipeline_version_id
    named = where("display_name", unique)
    assert client.list_pipelines(namespace="alice", filter=named).pipelines == [pipeline]
    assert client.list_pipelines(filter=named).pipelines is None


def test_a_shared_pipeline_is_found_by_its_name_alone(client, admin, adder, sleeper, unique):
    pipeline_id = client.upload_pipeline(str(adder), unique).pipeline_id
    assert client.get_pipeline_id(unique) == pipeline_id
    assert client.get_pipeline_id(f"{unique} not") is None
    version = admin.upload_pipeline_version(str(sleeper), "sleeps", pipeline_name=unique)
    assert (version.pipeline_id, version.display_name) == (pipeline_id, "sleeps")
    assert (
        refused(client.delete_pipeline_version, pipeline_id, version.pipeline_version_id)[0] == 403
    )


def test_a_pipeline_takes_its_name_from_the_function_or_the_file(client, doubler, unique):
    pipeline = client.upload_pipeline_from_pipeline_func(doubler, namespace="alice")
    assert pipeline.display_name == "doubler"
    version = client.upload_pipeline_version_from_pipeline_func(
        doubler, unique, pipeline_id=pipeline.pipeline_id, description="again"
    )
    got = client.get_pipeline_version(pipeline.pipeline_id, version.pipeline_version_id)
    assert (got.display_name, got.description) == (unique, "again")
    assert got.pipeline_spec["pipelineInfo"] == {"name": "doubler"}


def test_versions_are_listed_and_deleted_before_their_pipeline(client, adder, unique):
    pipeline_id = client.upload_pipeline(str(adder), unique, namespace="alice").pipeline_id
    client.upload_pipeline_version(str(adder), "second", pipeline_id=pipeline_id)
    newest = client.list_pipeline_versions(pipeline_id, page_size=1, sort_by="created_at desc")
    oldest = client.list_pipeline_versions(pipeline_id, page_token=newest.next_page_token)
    versions = newest.pipeline_versions + oldest.pipeline_versions
    assert [version.display_name for version in versions] == ["second", unique]
    found = client.list_pipeline_versions(pipeline_id, filter=where("display_name", "second"))
    assert found.pipeline_versions == versions[:1]
    status, words = refused(client.delete_pipeline, pipeline_id)
    assert (status, "it has existing pipeline versions" in words) == (400, True)
    for version in versions:
        client.delete_pipeline_version(pipeline_id, version.pipeline_version_id)
    client.delete_pipeline(pipeline_id)
    assert refused(client.get_pipeline, pipeline_id) == (404, f"Pipeline {pipeline_id} not found")


# Recurring runs


@pytest.mark.parametrize(
    ("schedule", "kind", "value"),
    [
        pytest.param({"cron_expression": YEARLY}, "cron_schedule", YEARLY, id="cron"),
        pytest.param(
            {"interval_second": 86400, "cron_expression": None},
            "periodic_schedule",
            "86400",
            id="interval",
        ),
    ],
)
def test_a_schedule_comes_back_as_it_was_given(client, recurring, schedule, kind, value):
    made = recurring(
        description="now and then",
        start_time="2100-01-01T00:00:00Z",
        end_time="2101-01-01T00:00:00Z",
        max_concurrency=3,
        no_catchup=True,
        **schedule,
    )
    assert client.get_recurring_run(made.recurring_run_id) == made
    assert (made.description, made.max_concurrency, made.no_catchup) == ("now and then", "3", True)
    assert made.runtime_config.parameters == {"x": 3}
    trigger = getattr(made.trigger, kind)
    assert value in (trigger.to_dict().get("cron"), trigger.to_dict().get("interval_second"))
    assert (trigger.start_time.year, trigger.end_time.year) == (2100, 2101)


def test_a_recurring_run_is_of_a_file_or_of_one_version(client, recurring, adder, unique):
    pipeline_id = client.upload_pipeline(str(adder), unique, namespace="alice").pipeline_id
    (version,) = client.list_pipeline_versions(pipeline_id).pipeline_versions
    pinned = recurring(
        pipeline_package_path=None,
        pipeline_id=pipeline_id,
        version_id=version.pipeline_version_id,
    )
    reference = pinned.pipeline_version_reference
    assert reference.pipeline_version_id == version.pipeline_version_id
    assert pinned.pipeline_spec is None
    inline = recurring()
    assert inline.pipeline_spec["pipelineInfo"] == {"name": "adder"}
    assert inline.pipeline_version_reference is None


def test_a_recurring_run_of_the_latest_version_names_none(client, experiment, upload, unique):
    from kfp_server_api import V2beta1PipelineVersionReference, V2beta1RecurringRun

    pipeline_id = upload(unique).json()["pipeline_id"]
    made = client.recurring_runs.recurring_run_service_create_recurring_run(
        V2beta1RecurringRun(
            display_name=unique,
            experiment_id=experiment,
            max_concurrency=1,
            pipeline_version_reference=V2beta1PipelineVersionReference(pipeline_id=pipeline_id),
            runtime_config={"parameters": {"x": 3}},
        )
    )
    assert made.pipeline_version_reference.pipeline_id == pipeline_id
    assert made.pipeline_version_reference.pipeline_version_id is None


def test_a_recurring_run_starts_runs_of_itself(client, recurring, sleeper, experiment):
    id_ = recurring(
        pipeline_package_path=str(sleeper), cron_expression=None, interval_second=1, params={}
    ).recurring_run_id
    (run,) = wait_until(lambda: client.list_runs(experiment_id=experiment).runs)
    client.delete_recurring_run(id_)
    client.delete_run(run.run_id)
    assert run.recurring_run_id == id_


def test_a_recurring_run_is_switched_off_and_on_and_deleted(client, recurring):
    id_ = recurring(enabled=False).recurring_run_id
    assert client.get_recurring_run(id_).status == "DISABLED"
    client.enable_recurring_run(id_)
    assert client.get_recurring_run(id_).status == "ENABLED"
    client.disable_recurring_run(id_)
    assert client.get_recurring_run(id_).mode == "DISABLE"
    client.delete_recurring_run(id_)
    assert refused(client.get_recurring_run, id_) == (404, f"Job {id_} not found")


def test_the_old_names_of_recurring_runs_still_work(client, recurring):
    id_ = recurring(enabled=False).recurring_run_id
    with pytest.deprecated_call():
        client.enable_job(id_)
        assert client.get_recurring_run(None, job_id=id_).status == "ENABLED"
        client.disable_job(id_)
        assert client.get_recurring_run(id_).status == "DISABLED"
        client.delete_job(id_)
    assert refused(client.get_recurring_run, id_)[0] == 404


def test_recurring_runs_are_listed_by_experiment_and_by_namespace(
    client, recurring, experiment, unique
):
    ids = [recurring(enabled=False).recurring_run_id for _ in range(3)]
    first = client.list_recurring_runs(experiment_id=experiment, page_size=2, sort_by="created_at")
    second = client.list_recurring_runs(experiment_id=experiment, page_token=first.next_page_token)
    listed = first.recurring_runs + second.recurring_runs
    assert [recurring.recurring_run_id for recurring in listed] == ids
    named = client.list_recurring_runs(namespace="alice", filter=where("display_name", unique))
    assert named.total_size == 3
    assert refused(client.list_recurring_runs) == (
        400,
        "a recurring run cannot have an empty namespace in multi-user mode",
    )
