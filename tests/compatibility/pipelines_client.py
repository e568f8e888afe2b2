"""The work of a user of `kubeflow.pipelines`: `python pipelines_client.py FOLDER ENDPOINT`."""

import sys
from pathlib import Path

from kubeflow.pipelines import KubernetesBackendConfig, PipelinesClient
from work import smoke


def main(folder, endpoint):
    token = Path(folder, "data/tokens/alice/default-editor/token").read_text()
    client = PipelinesClient(
        KubernetesBackendConfig(base_url=endpoint, user_token=token, namespace="alice")
    )
    client.create_experiment("of kubeflow")
    run = client.run(smoke, params={"rates": [0.5]}, experiment="of kubeflow")
    ended = client.wait_for_run_status(run, timeout=300, polling_interval=1)
    assert ended.state == "SUCCEEDED", ended
    assert run.run_id in [each.run_id for each in client.list_runs(experiment="of kubeflow").runs]


if __name__ == "__main__":
    main(*sys.argv[1:])
