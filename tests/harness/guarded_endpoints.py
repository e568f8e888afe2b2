"""Every endpoint of the local KFP: what it asks for in alice, and the name of that."""

import re
from types import SimpleNamespace

from harness.local_kfp import API

V1ALPHA1 = "/apis/v1alpha1"
GROUP = "pipelines.kubeflow.org"


class Endpoint(SimpleNamespace):
    def __str__(self):
        path, _, query = self.path.removeprefix("/apis/").partition("?")
        return f"{self.method} {path}{' by experiment' * ('{experiment}' in query)}"


def endpoint(
    method,
    path,
    resource="",
    verb="",
    name="",
    body=None,
    status=200,
    file=False,
    group=GROUP,
    spoil=None,
):
    """One of the API. `status` is that for those who may; `body` is made from alice's things.

    `spoil` makes the body one that is refused, but not before its sender is known.
    """
    path = path if path.startswith("/apis/") else API + path
    return Endpoint(
        method=method,
        path=path,
        resource=resource,
        verb=verb,
        name=name,
        body=body or (lambda things: None),
        status=status,
        file=file,
        group=group,
        spoil=spoil,
    )


def by_reference(things):
    return {
        "display_name": "another",
        "experiment_id": things.experiment,
        "pipeline_version_reference": {"pipeline_id": things.pipeline},
        "runtime_config": {"parameters": {"x": 1}},
    }


BAD_TAGS = {"tags": {"a.b": "c"}}
BAD_SPEC = {"pipeline_version_reference": None, "pipeline_spec": {"not": "one"}}
BAD_MANIFEST = {"pipeline_spec": {"pipeline_manifest": "{"}}

# From where no pipeline is fetched.
SOMEWHERE = {"pipeline_url": "https://127.0.0.1/adder.yaml"}


EXPERIMENTS = [
    endpoint("GET", "/experiments?namespace=alice", "experiments", "list"),
    endpoint(
        "POST",
        "/experiments",
        "experiments",
        "create",
        "{new}",
        lambda things: {"display_name": things.new, "namespace": "alice"},
    ),
    endpoint("GET", "/experiments/{experiment}", "experiments", "get", "{experiment_name}"),
    endpoint("DELETE", "/experiments/{experiment}", "experiments", "delete", "{experiment_name}"),
    *(
        endpoint(
            "POST", f"/experiments/{{experiment}}:{verb}", "experiments", verb, "{experiment_name}"
        )
        for verb in ("archive", "unarchive")
    ),
]

PIPELINES = [
    endpoint("GET", "/pipelines?namespace=alice", "pipelines", "list"),
    endpoint(
        "POST",
        "/pipelines",
        "pipelines",
        "create",
        "{new}",
        lambda things: {"name": things.new, "namespace": "alice"},
        spoil=BAD_TAGS,
    ),
    endpoint(
        "POST",
        "/pipelines/create",
        "pipelines",
        "create",
        "{new}",
        lambda things: {
            "pipeline": {"name": things.new, "namespace": "alice"},
            "pipeline_version": {"package_url": SOMEWHERE},
        },
        400,
        spoil={"pipeline_version": {}},
    ),
    endpoint("POST", "/pipelines/upload?namespace=alice", "pipelines", "create", file=True),
    endpoint(
        "POST",
        "/pipelines/upload_version?pipelineid={pipeline}&name={new}",
        "pipelines",
        "create",
        file=True,
    ),
    endpoint(
        "GET",
        "/pipelines/names/{pipeline_name}?namespace=alice",
        "pipelines",
        "get",
        "{pipeline_name}",
    ),
    endpoint("GET", "/pipelines/{pipeline}", "pipelines", "get", "{pipeline_name}"),
    endpoint(
        "PATCH",
        "/pipelines/{pipeline}",
        "pipelines",
        "update",
        "{pipeline_name}",
        lambda things: {"display_name": things.new},
        spoil=BAD_TAGS,
    ),
    endpoint(
        "DELETE", "/pipelines/{pipeline}?cascade=true", "pipelines", "delete", "{pipeline_name}"
    ),
    endpoint("GET", "/pipelines/{pipeline}/versions", "pipelines", "list"),
    endpoint(
        "POST",
        "/pipelines/{pipeline}/versions",
        "pipelines",
        "create",
        "{new}",
        lambda things: {"name": things.new, "package_url": SOMEWHERE},
        400,
        spoil={"package_url": {"pipeline_url": "https://[::1/a"}},
    ),
    endpoint(
        "GET", "/pipelines/{pipeline}/versions/{version}", "pipelines", "get", "{pipeline_name}"
    ),
    endpoint(
        "PATCH",
        "/pipelines/{pipeline}/versions/{version}",
        "pipelines",
        "update",
        "{pipeline_name}",
        lambda things: {"display_name": things.new},
        spoil=BAD_TAGS,
    ),
    endpoint(
        "DELETE",
        "/pipelines/{pipeline}/versions/{version}",
        "pipelines",
        "delete",
        "{pipeline_name}",
    ),
]

RUNS = [
    endpoint("GET", "/runs?namespace=alice", "runs", "list"),
    endpoint("GET", "/runs?experiment_id={experiment}&namespace=bob", "runs", "list"),
    endpoint("POST", "/runs", "runs", "create", body=by_reference, spoil=BAD_SPEC),
    endpoint("GET", "/runs/{run}", "runs", "get", "{workflow}"),
    endpoint("DELETE", "/runs/{run}", "runs", "delete", "{workflow}"),
    *(
        endpoint("POST", f"/runs/{{run}}:{verb}", "runs", verb, "{workflow}", status=status)
        for verb, status in {
            "archive": 200,
            "unarchive": 200,
            "terminate": 200,
            "retry": 409,
        }.items()
    ),
    endpoint(
        "GET",
        "/runs/{run}/nodes/x/artifacts/model:read",
        "runs",
        "readArtifact",
        "{workflow}",
        status=404,
    ),
    endpoint("GET", f"{V1ALPHA1}/runs/{{busy}}/nodes", "runs", "get", "{busy_workflow}"),
    endpoint("GET", f"{V1ALPHA1}/runs/{{busy}}/nodes/{{task}}", "runs", "get", "{busy_workflow}"),
    endpoint(
        "GET", f"{V1ALPHA1}/runs/{{busy}}/nodes/{{task}}/log", "runs", "get", "{busy_workflow}"
    ),
]

RECURRING_RUNS = [
    endpoint("GET", "/recurringruns?namespace=alice", "jobs", "list"),
    endpoint("GET", "/recurringruns?experiment_id={experiment}&namespace=bob", "jobs", "list"),
    endpoint(
        "POST",
        "/recurringruns",
        "jobs",
        "create",
        "another",
        lambda things: by_reference(things) | {"max_concurrency": "1"},
        spoil=BAD_SPEC,
    ),
    endpoint("GET", "/recurringruns/{recurring}", "jobs", "get", "{recurring_name}"),
    endpoint("DELETE", "/recurringruns/{recurring}", "jobs", "delete", "{recurring_name}"),
    *(
        endpoint("POST", f"/recurringruns/{{recurring}}:{verb}", "jobs", verb, "{recurring_name}")
        for verb in ("enable", "disable")
    ),
]


# As Kubernetes tells on a cluster: who has no role in a namespace learns nothing of it

TOLD_OF_ROLES = [
    endpoint(*("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "", "create")),
    endpoint(*("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "", "create")),
    endpoint(*("GET", "/apis/kubeflow.org/v1/profiles", "profiles", "list")),
    endpoint(
        "GET",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/alice/rolebindings",
        "rolebindings",
        "list",
    ),
]


# The same in v1beta1

V1BETA1 = "/apis/v1beta1"
OF_ALICE = "resource_reference_key.type=NAMESPACE&resource_reference_key.id=alice"
OF_EXPERIMENT = "resource_reference_key.type=EXPERIMENT&resource_reference_key.id={experiment}"


def owned(kind, id_, **fields):
    return {
        **fields,
        "resource_references": [{"key": {"type": kind, "id": id_}, "relationship": 1}],
    }


def by_reference_in_v1(things):
    spec = {"pipeline_id": things.pipeline, "runtime_config": {"parameters": {"x": 1}}}
    return owned("EXPERIMENT", things.experiment, name="another", pipeline_spec=spec)


def in_v1(row, *changes):
    path = row.path.replace("v2beta1", "v1beta1")
    for old, new in changes:
        path = path.replace(old, new)
    return Endpoint(**vars(row) | {"path": path})


IN_V1BETA1 = [
    endpoint(
        "GET",
        f"{V1BETA1}/auth?namespace=alice&resources=VIEWERS&verb=GET",
        "viewers",
        "get",
        group="kubeflow.org",
    ),
    endpoint("GET", f"{V1BETA1}/experiments?{OF_ALICE}", "experiments", "list"),
    endpoint(
        "POST",
        f"{V1BETA1}/experiments",
        "experiments",
        "create",
        "{new}",
        lambda things: owned("NAMESPACE", "alice", name=things.new),
    ),
    *(in_v1(row) for row in EXPERIMENTS[2:]),
    endpoint("GET", f"{V1BETA1}/runs?{OF_ALICE}", "runs", "list"),
    endpoint("GET", f"{V1BETA1}/runs?{OF_EXPERIMENT}", "runs", "list"),
    endpoint(
        *("POST", f"{V1BETA1}/runs", "runs", "create"), body=by_reference_in_v1, spoil=BAD_MANIFEST
    ),
    *(
        in_v1(row, (":terminate", "/terminate"), (":retry", "/retry"))
        for row in RUNS[3:]
        if API in row.path
    ),
    endpoint(
        *("POST", f"{V1BETA1}/runs/{{run}}:reportMetrics", "runs", "reportMetrics", "{workflow}"),
        spoil={"metrics": [{"name": "1st"}]},
    ),
    endpoint("GET", f"{V1BETA1}/jobs?{OF_ALICE}", "jobs", "list"),
    endpoint("GET", f"{V1BETA1}/jobs?{OF_EXPERIMENT}", "jobs", "list"),
    endpoint(
        "POST",
        f"{V1BETA1}/jobs",
        "jobs",
        "create",
        "another",
        lambda things: by_reference_in_v1(things) | {"max_concurrency": "1"},
        spoil=BAD_MANIFEST,
    ),
    *(
        in_v1(row, ("recurringruns", "jobs"), (":enable", "/enable"), (":disable", "/disable"))
        for row in RECURRING_RUNS[3:]
    ),
    endpoint("GET", f"{V1BETA1}/pipelines?{OF_ALICE}", "pipelines", "list"),
    endpoint(
        "POST",
        f"{V1BETA1}/pipelines",
        "pipelines",
        "create",
        "{new}",
        lambda things: owned("NAMESPACE", "alice", name=things.new, url=SOMEWHERE),
        400,
        spoil={"url": None},
    ),
    *(in_v1(row) for row in PIPELINES if row.file),
    endpoint("GET", f"{V1BETA1}/pipelines/{{pipeline}}", "pipelines", "get", "{pipeline_name}"),
    endpoint(
        "DELETE",
        f"{V1BETA1}/pipelines/{{pipeline}}",
        "pipelines",
        "delete",
        "{pipeline_name}",
        status=400,
    ),
    endpoint(
        "GET", f"{V1BETA1}/pipelines/{{pipeline}}/templates", "pipelines", "get", "{pipeline_name}"
    ),
    endpoint(
        "POST",
        f"{V1BETA1}/pipelines/{{pipeline}}/default_version/{{version}}",
        "pipelines",
        "update",
        "{pipeline_name}",
    ),
    endpoint(
        "GET",
        f"{V1BETA1}/namespaces/alice/pipelines/{{pipeline_name}}",
        "pipelines",
        "get",
        "{pipeline_name}",
    ),
    endpoint(
        "GET",
        f"{V1BETA1}/pipeline_versions?resource_key.type=PIPELINE&resource_key.id={{pipeline}}",
        "pipelines",
        "list",
    ),
    endpoint(
        "POST",
        f"{V1BETA1}/pipeline_versions",
        "pipelines",
        "create",
        "{new}",
        lambda things: owned("PIPELINE", things.pipeline, name=things.new, package_url=SOMEWHERE),
        400,
        spoil={"package_url": {"pipeline_url": "https://[::1/a"}},
    ),
    endpoint(
        "GET", f"{V1BETA1}/pipeline_versions/{{version}}", "pipelines", "get", "{pipeline_name}"
    ),
    endpoint(
        "DELETE",
        f"{V1BETA1}/pipeline_versions/{{version}}",
        "pipelines",
        "delete",
        "{pipeline_name}",
    ),
    endpoint(
        "GET",
        f"{V1BETA1}/pipeline_versions/{{version}}/templates",
        "pipelines",
        "get",
        "{pipeline_name}",
    ),
]

HEALTHZ = [
    endpoint(method, f"{api}/healthz")
    for method in ("GET", "HEAD", "POST")
    for api in (API, V1BETA1)
]
GUARDED = [*EXPERIMENTS, *PIPELINES, *RUNS, *RECURRING_RUNS, *IN_V1BETA1]
ENDPOINTS = [*HEALTHZ, *GUARDED, *TOLD_OF_ROLES]
SPOILED = [row for row in GUARDED if row.spoil or row.file]
OF_ONE_THING = [row for row in GUARDED if re.search(r"{(?!new)\w+}", row.path)]
