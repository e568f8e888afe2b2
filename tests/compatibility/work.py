"""A user's work with the packages of one environment: `python work.py FOLDER [ENDPOINT]`.

A pipeline is compiled by the kfp that is installed, run on the local KFP and looked at through the
kfp SDK, `Client` and `%kfp`. Without an endpoint the local KFP is this environment's own.
"""

import contextlib
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import List  # noqa: UP035 (the oldest kfp knows no other)

from kfp import Client, dsl

PROFILES = """
profiles:
- {namespace: alice, owner: alice@example.com}
- {namespace: bob, owner: bob@example.com}
"""


@dsl.component
def count(words: list) -> int:
    return len(words)


@dsl.component
def train(rate: float, model: dsl.Output[dsl.Model], metrics: dsl.Output[dsl.Metrics]):
    with open(model.path, "w") as file:
        file.write(str(rate))
    metrics.log_metric("accuracy", 0.5 + rate)


@dsl.component
def read(model: dsl.Input[dsl.Model]) -> str:
    with open(model.path) as file:
        text = file.read()
    print("the model says", text)
    return text


@dsl.pipeline
def smoke(words: List[str] = ["a", "b"], rates: List[float] = [0.1, 0.2]):  # noqa: B006, UP006
    counted = count(words=words)
    with dsl.If(counted.output == 2):
        with dsl.ParallelFor(rates) as rate:
            trained = train(rate=rate)
            read(model=trained.outputs["model"])


@contextlib.contextmanager
def local_kfp(folder):
    """The endpoint of a local KFP of this environment, and the folder of its tokens."""
    profiles = folder / "profiles.yaml"
    profiles.write_text(PROFILES)
    command = [sys.executable, "-m", "jupyter_kfp_mt.local", "--port", "0"]
    command += ["--data", str(folder / "data"), "--profiles", str(profiles)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            ready = json.loads(process.stdout.readline())
            yield ready["endpoint"], Path(ready["tokens"])
        finally:
            process.terminate()


def through_the_sdk(endpoint, token):
    """A run, started and waited for by kfp alone."""
    client = Client(host=endpoint, existing_token=token.read_text())
    name = f"of kfp {version('kfp')}"
    run = client.create_run_from_pipeline_func(
        smoke, arguments={"rates": [0.25]}, experiment_name=name, namespace="alice"
    )
    ended = client.wait_for_run_completion(run.run_id, timeout=300, sleep_duration=1)
    assert ended.state == "SUCCEEDED", ended
    experiment = client.get_experiment(experiment_name=name, namespace="alice")
    listed = client.list_runs(namespace="alice", experiment_id=experiment.experiment_id)
    assert [each.run_id for each in listed.runs] == [run.run_id], listed
    return run.run_id


def through_the_client(endpoint, token, run_id):
    import jupyter_kfp_mt

    client = jupyter_kfp_mt.connect(endpoint=endpoint, token_file=str(token), namespace="alice")
    names = sorted(task.display_name for task in client.tasks(client.run(run_id)))
    assert names == ["count", "read[0]", "train[0]"], names
    assert run_id in [run.run_id for run in client.runs()]
    sdk = jupyter_kfp_mt.kfp_client(client)
    assert sdk.get_run(run_id).run_id == run_id


def through_magics(endpoint, token, run_id):
    from IPython.core.interactiveshell import InteractiveShell

    os.environ.update(
        KFP_MT_ENDPOINT=endpoint, KFP_MT_TOKEN_FILE=str(token), KFP_MT_NAMESPACE="alice"
    )
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "jupyter_kfp_mt")
    runs = shell.run_line_magic("kfp", "runs")
    assert run_id in [run.run_id for run in runs]
    log = str(shell.run_line_magic("kfp", f"logs {run_id}"))
    assert "the model says 0.25" in log, log


def work(endpoint, tokens):
    token = tokens / "alice/default-editor/token"
    run_id = through_the_sdk(endpoint, token)
    through_the_client(endpoint, token, run_id)
    through_magics(endpoint, token, run_id)


def main(folder, endpoint=""):
    folder = Path(folder)
    if endpoint:
        work(endpoint, folder / "data/tokens")
        return
    with local_kfp(folder) as (own, tokens):
        work(own, tokens)


if __name__ == "__main__":
    main(*sys.argv[1:])
