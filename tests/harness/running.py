"""Runs on a local KFP in a process of its own, and what tests ask of them."""

import uuid

from harness.local_kfp import API
from harness.own_executor import compiled
from harness.waiting import wait_until

from jupyter_kfp_mt.models import FINISHED


class Runs:
    """The runs of one namespace."""

    def __init__(self, server, namespace="alice"):
        self.server, self.who = server, f"{namespace}/default-editor"
        body = {"display_name": uuid.uuid4().hex, "namespace": namespace}
        self.experiment = self._post("experiments", body)["experiment_id"]

    def start(self, pipeline, **parameters):
        """The id of a run that has been created."""
        spec, platform = compiled(pipeline)
        body = {
            "display_name": pipeline.name,
            "experiment_id": self.experiment,
            "pipeline_spec": {"pipeline_spec": spec, "platform_spec": platform},
            "runtime_config": {"parameters": parameters},
        }
        return self._post("runs", body)["run_id"]

    def finish(self, pipeline, **parameters):
        """The id of a run that has ended, and why it failed if it has."""
        run_id = self.start(pipeline, **parameters)
        return run_id, self.end(run_id)

    def end(self, run_id):
        run = wait_until(lambda: (run := self._get(run_id))["state"] in FINISHED and run, 60)
        return run.get("error", {}).get("message", "")

    def terminate(self, run_id):
        self._post(f"runs/{run_id}:terminate")

    def delete(self, run_id):
        self.server.call("DELETE", f"{API}/runs/{run_id}", self.who).raise_for_status()

    def log(self, run_id, name):
        tasks = self._get(run_id).get("run_details", {}).get("task_details", [])
        ids = [task["task_id"] for task in tasks if task["display_name"] == name]
        if not ids:
            return ""
        path = f"/apis/v1alpha1/runs/{run_id}/nodes/{ids[0]}/log"
        answer = self.server.get(path, self.who)
        return answer.text if answer.ok else ""

    def wait_for_log(self, run_id, name, text):
        wait_until(lambda: text in self.log(run_id, name), what=f"'{text}' in the log of {name}")

    def _get(self, run_id):
        return self.server.get(f"{API}/runs/{run_id}", self.who).json()

    def _post(self, path, body=None):
        answer = self.server.post(f"{API}/{path}", body, self.who)
        assert answer.ok, answer.text
        return answer.json()
