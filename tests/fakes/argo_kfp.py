"""A KFP of a cluster with one run, as its API server tells of it: Argo's parts are its tasks."""

import base64
import json

from fakes.guarded_kfp import Answer, Server, refusal

WORKFLOW = "training-x7k2p"
RUN_ID = "7c7e1a52-3f0e-4a52-9d5b-0c9a55e1a001"


def number(name):
    """Argo's for a part of a workflow: FNV-1a of its name."""
    found = 2166136261
    for byte in name.encode():
        found = (found ^ byte) * 16777619 % 2**32
    return found


def node_id(name):
    return WORKFLOW if name == WORKFLOW else f"{WORKFLOW}-{number(name)}"


class ArgoKfp(Server):
    """The run is in the namespace alice; whom `tokens` names by its namespace may see his own."""

    def __init__(self, tokens):
        self.tokens = tokens
        self.state = "RUNNING"
        self.archived = {}  # node id -> the file
        self.guards_artifacts = False  # since 2.15 it knows nobody there
        self.names = {}  # node name -> (state, names of its children)
        super().__init__()

    def add_component(self, name, *parts, state="RUNNING"):
        """A component of the pipeline: its driver, itself, and what executes it."""
        here = f"{WORKFLOW}.root"
        self.names[f"{here}.{name}-driver"] = ("SUCCEEDED", [f"{here}.{name}"])
        self.names[f"{here}.{name}"] = (state, [f"{here}.{name}.executor"])
        whole = [f"{here}.{name}.executor{part}" for part in parts]
        self.names[f"{here}.{name}.executor"] = (state, whole)
        self.names |= {part: (state, []) for part in whole}
        drivers = [
            part for part in self.names if part.startswith(here) and part.endswith("-driver")
        ]
        self.names[here] = (self.state, [part for part in drivers if part != f"{here}-driver"])
        self.names[f"{here}-driver"] = ("SUCCEEDED", [here])
        self.names[WORKFLOW] = (self.state, [f"{here}-driver"])

    def end(self, name, state):
        for part in [part for part in self.names if f".{name}" in part]:
            self.names[part] = (state, self.names[part][1])

    def task_id(self, name):
        return f"task-{number(f'{WORKFLOW}.root.{name}' if name != 'root' else WORKFLOW)}"

    def answer(self, request):
        path = request.path.removeprefix("/apis/v2beta1/")
        if path == "healthz":
            return Answer(200, {"multi_user": True, "tag_name": "2.14.3"})
        if "/artifacts/" in path:
            return self._artifact(request, path)
        namespace = self.tokens.get(request.headers.get("Authorization", "")[7:], "")
        if not namespace:
            return refusal(401, 16, "User identity is empty in the request header")
        if namespace != "alice":
            from harness.local_kfp import denied

            user = f"system:serviceaccount:{namespace}:default-editor"
            return refusal(403, 7, denied(user, "get", "runs", name=WORKFLOW))
        if path == f"runs/{RUN_ID}":
            return Answer(200, self._run())
        if path == "experiments/e1":
            return Answer(200, {"experiment_id": "e1", "namespace": "alice"})
        return refusal(404, 5, f"{path} not found")

    def _run(self):
        details = {"task_details": [self._task(name) for name in sorted(self.names)]}
        return {
            "run_id": RUN_ID,
            "experiment_id": "e1",
            "display_name": "training",
            "state": self.state,
            "run_details": details,
        }

    def _task(self, name):
        state, children = self.names[name]
        return {
            "run_id": RUN_ID,
            "task_id": f"task-{number(name)}",
            "display_name": name.rpartition(".")[2],
            "state": state,
            "child_tasks": [{"pod_name": node_id(child)} for child in children],
        }

    def _artifact(self, request, path):
        if self.guards_artifacts:
            said = "Failed to authorize the request: there is no user identity header."
            return Answer(403, {"error_message": said, "error_details": said})
        found = self.archived.get(path.split("/")[3])
        if found is None:
            return Answer(404, {"error_message": "artifact not found: <nil>"}, "text/plain")
        body = json.dumps({"data": base64.b64encode(found).decode()})
        return Answer(200, body.encode())


def add_pod(api, part, namespace="alice", **options):
    """The pod of a part of the workflow, as Argo makes it. The pod, and the log of its `main`."""
    name = f"{WORKFLOW}.root.{part}"
    template = "system-container-driver" if part.endswith("-driver") else "system-container-impl"
    pod_name = f"{WORKFLOW}-{template}-{number(name)}"
    labels = {"pipeline/runid": RUN_ID, "workflows.argoproj.io/workflow": WORKFLOW}
    pod = api.add_pod(pod_name, namespace, labels, ("wait", "main"), **options)
    pod["metadata"]["annotations"] = {"workflows.argoproj.io/node-name": name}
    return pod, api.logs[namespace, pod_name, "main"]


def ended(pod, code):
    """Its containers have ended so."""
    for status in pod["status"]["containerStatuses"]:
        status["state"] = {"terminated": {"exitCode": code}}
    pod["status"]["phase"] = "Failed" if code else "Succeeded"


def begin(pod):
    """Its containers have started."""
    pod["status"]["phase"] = "Running"
    for status in pod["status"]["containerStatuses"]:
        status["state"] = {"running": {}}
