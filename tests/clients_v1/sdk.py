"""The client of kfp 1.8, method by method: for one namespace, and for what all of them share."""

import inspect
import json

from kfp import Client, dsl
from server import ARGUMENTS, ENDPOINT, TOKEN, finished, refusal, say

name, namespace, file, pipeline_id, version_id, admin_token = ARGUMENTS
YEARLY = "0 0 8 1 1 ?"

client = Client(ENDPOINT, existing_token=TOKEN)
client.set_user_namespace(namespace)
admin = Client(ENDPOINT, existing_token=admin_token)
named = json.dumps({"predicates": [{"op": "EQUALS", "key": "name", "stringValue": name}]})


@dsl.pipeline(name="old")
def old():
    dsl.ContainerOp(name="old", image="python:3.12")


def ids(listed):
    return [each.id for each in listed]


def of_experiments():
    made = client.create_experiment(name, description="of the old client")
    return {
        "made": made,
        "same": [
            client.create_experiment(name) == made,
            client.get_experiment(experiment_name=name) == made,
            client.list_experiments(filter=named).experiments == [made],
        ],
    }


def of_runs(experiment_id):
    inline = client.create_run_from_pipeline_package(
        file, {"label": "text"}, run_name=name, experiment_name=name, enable_caching=None
    )
    versioned = client.run_pipeline(
        experiment_id, f"{name} of a version", pipeline_id=pipeline_id, version_id=version_id
    )
    latest = client.run_pipeline(experiment_id, f"{name} of a pipeline", pipeline_id=pipeline_id)
    finished(inline.run_id)
    listed = client.list_runs(experiment_id=experiment_id, sort_by="name")
    return {
        "ended": client.wait_for_run_completion(inline.run_id, 60).run,
        "got": client.get_run(inline.run_id).run.status,
        "versions": [version_of(versioned), version_of(latest)],
        "listed": [run.name for run in listed.runs],
        "in_namespace": ids(client.list_runs(filter=named).runs) == [inline.run_id],
    }


def version_of(run):
    keys = [reference.key for reference in run.resource_references]
    return [key.id for key in keys if key.type == "PIPELINE_VERSION"]


def of_recurring_runs(experiment_id):
    made = client.create_recurring_run(
        experiment_id, name, cron_expression=YEARLY, pipeline_id=pipeline_id, version_id=version_id
    )
    periodic = client.create_recurring_run(
        experiment_id, name, interval_second=86400, pipeline_package_path=file, enabled=False
    )
    client.disable_job(made.id)
    disabled = client.get_recurring_run(made.id)
    client.delete_job(made.id)
    left = client.list_recurring_runs(experiment_id=experiment_id).jobs
    return {
        "made": made,
        "periodic": periodic,
        "disabled": disabled.enabled,
        "left": ids(left) == [periodic.id],
        "everywhere": refusal(client.list_recurring_runs),
    }


def of_pipelines():
    made = client.upload_pipeline(file, name, "shared")
    version = admin.upload_pipeline_version(file, "second", pipeline_name=name)
    versions = client.list_pipeline_versions(made.id, sort_by="created_at").versions
    seen = {
        "made": made,
        "found": client.get_pipeline_id(name) == made.id,
        "listed": client.list_pipelines(filter=named).total_size,
        "default": client.get_pipeline(made.id).default_version.name,
        "versions": [each.name for each in versions],
        "refused": refusal(client.delete_pipeline_version, version.id)[0],
    }
    for each in versions:
        admin.delete_pipeline_version(each.id)
    admin.delete_pipeline(made.id)
    return seen


experiments = of_experiments()
experiment_id = experiments["made"].id
seen = {
    "healthz": client.get_kfp_healthz(),
    "namespace": client.get_user_namespace(),
    "experiments": experiments,
    "runs": of_runs(experiment_id),
    "recurring_runs": of_recurring_runs(experiment_id),
    "pipelines": of_pipelines(),
    "argo": refusal(client.create_run_from_pipeline_func, old, {}, experiment_name=name),
}
client.archive_experiment(experiment_id)
archived = client.get_experiment(experiment_id).storage_state
client.delete_experiment(experiment_id)
methods = [each for each, _ in inspect.getmembers(Client, inspect.isfunction)]
say(archived=archived, methods=[each for each in methods if not each.startswith("_")], **seen)
