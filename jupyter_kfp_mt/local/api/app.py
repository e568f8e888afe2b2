"""The web application: all routes, and the deliberate differences to the real API server.

| Kubeflow Pipelines 2.17 | here | why |
|---|---|---|
| upload of a shared pipeline, or of a version of one: not checked | who is known | no strangers |
| a refused change of a shared pipeline has no reason | who may, and what to do | help |
| upload: the file is read before the caller is authorized | after | archives of strangers |
| upload errors: a stack trace in the details | the reason in its place | help |
| a platform part that does not fit its schema: dropped | 400 | no silent default |
| a pipeline of any size, up to 32 MB of file | 8 MB and 150,000 values, aliases unfolded | load |
| answers by whatever name it is called | by those of this machine | pages of the web |
| a page of a list of any length | ends at 8 MB, and the next one continues | load |
| a filter, however long it takes | three seconds, and not too many conditions | load |
| a message of any length | 8 MB, 64 kB from those who are not known | load |
| a mistake of the caller's that shows late: 500 | 400, 404 or 409 | it is not the server's |
| POST of a version repeats the pipeline's id in its body, or 400 | need not | it is in the path |
| a run's id that is taken: 500; that is no UUID: accepted | 409; 400 | it names a folder |
| a run's service account: not checked | 400 if there is none of this name | clear sooner |
| a run's pipeline: not checked whether the caller may read it | 403 | tenants |
| a run's recurring run: returns a run of any namespace | 400 unless it is of the same | tenants |
| `pipelines/names/{name}` without a namespace: of any tenant | only shared pipelines | tenants |
| a full or failing disk: 500 | 503, with what to do | help |
| an empty identity crashes the server | 401 | |
| a refusal names what it is about | only to those who may read that | tenants |
| task logs under v1alpha1: open to anyone | needs `get` on runs | tenants |
| a task log: all of it | from a byte on, if a `Range` is requested | to follow it |
| reading an artifact: 403 for everyone | needs `readArtifact` on runs | meant so |
| a retried run is RUNNING | PENDING until its turn has come | few run at once |
| a version's `code_source_url` is not given back | it is | no silent default |
| a `code_source_url` of more than 255 characters: ignored at upload | 400 | no silent default |
| PUT at an upload's path, a form with bare line feeds: an upload | refused | no client's |
| v1beta1: the answer to an upload has no `url` and `package_url` | it has | |
| a pipeline's URL that is not fetched: refused without a reason | with the reason | help |
| a page token with the filter it was made with: 400 for some filters | accepted | meant so |
| sorting runs by experiment, recurring run, history or some metrics: no second page | pages | |
| a page token of another list, or of nobody: 500, or a page | 400 | clear |
| an id is random | ids sort by time of creation, which orders what is of the same second | |
| characters outside Unicode's basic plane: 500 | accepted, and a Warning header says so | help |
| a parameter with braces of Argo's: 500 | a text, and a Warning header says so | no Argo here |
| parameters of 1.5 MB: 500 | taken, and a Warning header says so | no etcd here |
| `error` of a run and of its states is never there | why it failed | help |
| a specification without `deploymentSpec` or a graph: refused once it is compiled | 400 | sooner |
| an id may be empty | 404 | |
| a pipeline is not found by a name with a slash | it is | help |
| `healthz` tells KFP's release and commit | this package's release | |
| what a caller may do, and who owns a namespace: Kubernetes tells | this server does | none here |
| a new run may be archived, or have an end or (v1beta1) metrics | it has none of it | |
| `plugins_input` is given back, and used | a Warning header says it is not used | none here |
| tags whose names differ in case or accents alone: 500 | both are kept | meant so |
| a run's `pipeline_version_id`: 500 | the version is run | meant so |
| an empty `platform_spec` is given back | it is not | |
| a run that has not failed is retried: Argo says no | the server does | no Argo here |
| the last page of a list by tags counts them without them | with them | meant so |
| the words about a filter of spaces | other words | |
| v1beta1: contexts of refusals | some are others | |
| a cron of five fields begins with its seconds, silently | a Warning header says so | help |
| a cron skips days or half-hours where clocks change at midnight, or by as much | none | meant so |
| a cron that matches at no time of five years: never fires | looks on for 41 years | meant so |
| tasks of a run: all parts of its workflow | those that were written (but `--argo-tasks`) | help |
| the pipeline root is where artifacts are put | a Warning header says that it is not | a folder |
| visualizations, v1alpha1 tasks, metrics, reports of workflows | 404 | none here |
| what went into a task and came out: in the metadata store | under v1alpha1 too | none here |
| v1beta1: `parameters` of a pipeline are kept and not used | used, as texts | no silent default |
| v1beta1: an invalid metric has no message | what is wrong with it | help |
| v1beta1: a job's pipeline is looked up before the caller is authorized | after | tenants |
| v1beta1: `parameters` beside `runtime_config`, a manifest beside a pipeline: one wins | 400 | |
| v1beta1: an Argo Workflow runs, and `pipeline_runtime` is the workflow | 400; empty | none here |
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..machine.disk_faults import Complaints
from ..operations import Operations
from ..tenants.identity import Authenticator
from . import kubernetes, v1beta1, v2beta1
from .handlers import log_request
from .routing import Application


def application(
    operations: Operations,
    authenticators: Sequence[Authenticator],
    complaints: Complaints,
    **limits: Any,
) -> Application:
    """Make the application. `limits` go into its settings: `pipeline_reader` (PipelineReader),
    `hosts` (Hosts), `allowance` (Allowance, or None for no limit), and `write_timeout` in seconds.
    """
    shared = {"operations": operations, "authenticators": authenticators}
    routes = [*v1beta1.ROUTES, *v2beta1.ROUTES, *kubernetes.ROUTES]
    return Application(
        [(pattern, handler, shared) for pattern, handler in routes],
        default_handler_args=shared,
        log_function=log_request,
        complaints=complaints,
        **limits,
        health={
            "commit_sha": "",
            "tag_name": f"jupyter-kfp-mt-{_version()}",
            "multi_user": True,
            "pipeline_store": "database",
        },
    )


def _version() -> str:
    try:
        return version("jupyter-kfp-mt")
    except PackageNotFoundError:  # run from a checkout without installation
        return "unknown"
