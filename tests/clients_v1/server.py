"""The calls that the scripts beside this one make to the server, and how they print its answers.

They run in an environment of their own, with kfp 1.8, as
`python SCRIPT ENDPOINT TOKEN ARGUMENT...`, and print JSON.
"""

import json
import sys
import time

import kfp_server_api as v1

ENDPOINT, TOKEN, *ARGUMENTS = sys.argv[1:]

client = v1.ApiClient(
    v1.Configuration(
        host=ENDPOINT,
        api_key={"authorization": TOKEN},
        api_key_prefix={"authorization": "Bearer"},
    )
)
experiments = v1.ExperimentServiceApi(client)
pipelines = v1.PipelineServiceApi(client)
uploads = v1.PipelineUploadServiceApi(client)
runs = v1.RunServiceApi(client)
jobs = v1.JobServiceApi(client)


def owner(kind, id):
    return reference(kind, id, v1.ApiRelationship.OWNER)


def creator(kind, id):
    return reference(kind, id, v1.ApiRelationship.CREATOR)


def reference(kind, id, relationship):
    key = v1.ApiResourceKey(type=kind, id=id)
    return v1.ApiResourceReference(key=key, relationship=relationship)


def new_experiment(name, namespace):
    owners = [owner(v1.ApiResourceType.NAMESPACE, namespace)]
    return experiments.create_experiment(v1.ApiExperiment(name=name, resource_references=owners))


def finished(run_id):
    """The run when it has come to its end."""
    for _ in range(600):
        run = runs.get_run(run_id).run
        if run.status in ("Succeeded", "Failed"):
            return run
        time.sleep(0.1)
    raise TimeoutError(f"run {run_id} is still {run.status}")


def refusal(call, *arguments, **keywords):
    """The status and the words of the server's refusal."""
    try:
        call(*arguments, **keywords)
    except v1.ApiException as error:
        return [error.status, json.loads(error.body)["details"][0]["message"]]
    return "not refused"


def say(**seen):
    print(json.dumps(client.sanitize_for_serialization(seen)))
