"""The `kfp` command line, unchanged, against the local KFP."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore:This client only works with:FutureWarning")

ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture
def kfp_as(local_kfp, tmp_path, monkeypatch):
    """The commands as someone gives them: what one says as JSON. They are asked `y/N` and say y."""
    from click.testing import CliRunner
    from kfp import Client
    from kfp.cli.cli import cli

    monkeypatch.setattr(Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))

    def kfp_as(token, namespace):
        def kfp(*command, output="json"):
            options = arguments(local_kfp, token, namespace, output)
            result = CliRunner().invoke(
                cli, [*options, *command], "y\n", obj={}, auto_envvar_prefix="KFP"
            )
            if result.exception:
                raise result.exception
            return result.stdout if output == "table" else json_in(result.stdout)

        return kfp

    return kfp_as


@pytest.fixture
def kfp(kfp_as):
    return kfp_as("alice/default-editor", "alice")


@pytest.fixture
def admin(kfp_as):
    """The command line's pipelines are shared by all namespaces; this one may change them."""
    return kfp_as("users/admin@example.com", "kubeflow")


def arguments(local_kfp, token, namespace, output="table"):
    return [
        *("--endpoint", local_kfp.endpoint),
        *("--existing-token", local_kfp.token(token)),
        *("--namespace", namespace),
        *("--output", output),
    ]


def json_in(text):
    """Links and questions come before it."""
    return json.loads(text[re.search(r'^[\[{"]', text, re.MULTILINE).start() :])


def ids(listed, key):
    return [one[key] for one in listed]


def test_every_command_that_calls_a_server_is_given_here():
    from kfp.cli.cli import COMMANDS

    given = re.findall(r'"([\w-]+?)s?", "([\w-]+)"', Path(__file__).read_text())
    there_are = {(group.name, name) for group in COMMANDS["client"] for name in group.commands}
    assert there_are - set(given) == set()


def test_an_experiment_goes_through_all_its_commands(kfp, unique):
    made = kfp("experiment", "create", unique, "-d", "by hand")
    id_ = made["experiment_id"]
    assert (made["namespace"], made["description"]) == ("alice", "by hand")
    assert kfp("experiment", "get", id_) == made
    assert id_ in ids(kfp("experiments", "list"), "experiment_id")
    assert kfp("experiment", "archive", "--experiment-name", unique)["storage_state"] == "ARCHIVED"
    assert kfp("experiment", "unarchive", "--experiment-id", id_)["storage_state"] == "AVAILABLE"
    assert kfp("experiment", "delete", id_) == id_
    assert id_ not in ids(kfp("experiment", "list"), "experiment_id")


def test_a_run_goes_through_all_its_commands(kfp, adder, unique):
    made = kfp("run", "create", "-e", unique, "-r", "a run", "-f", str(adder), "x=3")
    id_ = made["run_id"]
    assert made["display_name"] == "a run"
    assert made["runtime_config"]["parameters"] == {"x": 3}
    wait_until(lambda: kfp("run", "get", id_)["state"] == "SUCCEEDED")
    assert ids(kfp("runs", "list", "-e", made["experiment_id"]), "run_id") == [id_]
    assert id_ in ids(kfp("run", "list"), "run_id")
    assert kfp("run", "archive", id_)["storage_state"] == "ARCHIVED"
    assert kfp("run", "unarchive", id_)["storage_state"] == "AVAILABLE"
    assert kfp("run", "delete", id_) == id_
    assert kfp("run", "list", "-e", made["experiment_id"]) == []


def test_a_pipeline_goes_through_all_its_commands(kfp, admin, adder, sleeper, unique):
    made = kfp("pipeline", "create", "-p", unique, "-d", "adds", str(adder))
    id_ = made["pipeline_id"]
    assert kfp("pipeline", "get", id_) == made
    assert id_ in ids(kfp("pipelines", "list"), "pipeline_id")
    second = admin("pipeline", "create-version", str(sleeper), "-v", "second", "-n", unique)
    versions = kfp("pipeline", "list-versions", id_)
    assert ids(versions, "display_name") == ["second", unique]
    got = kfp("pipeline", "get-version", id_, second["pipeline_version_id"])
    assert got == second
    for version_id in ids(versions, "pipeline_version_id"):
        assert admin("pipeline", "delete-version", id_, version_id) == version_id
    assert admin("pipeline", "delete", id_) == id_
    assert id_ not in ids(kfp("pipeline", "list"), "pipeline_id")


def test_a_version_of_a_pipeline_is_run_and_watched_to_its_end(kfp, upload, unique):
    pipeline_id = upload(unique).json()["pipeline_id"]
    (version,) = kfp("pipeline", "list-versions", pipeline_id)
    said = kfp(
        *("run", "create", "-e", unique, "-p", pipeline_id),
        *("-v", version["pipeline_version_id"], "--watch", "x=3"),
        output="table",
    )
    assert said.endswith("Run is finished with state SUCCEEDED.\n")


def test_a_recurring_run_goes_through_all_its_commands(kfp, sleeper, unique):
    made = kfp(
        *("recurring-run", "create", "--experiment-name", unique, "--job-name", "nightly"),
        *("--cron-expression", "0 0 3 * * ?", "--pipeline-package-path", str(sleeper)),
        *("--disabled", "--no-catchup", "--max-concurrency", "2"),
    )
    id_ = made["recurring_run_id"]
    assert (made["max_concurrency"], made["no_catchup"], made["status"]) == ("2", True, "DISABLED")
    assert kfp("recurring-run", "get", id_) == made
    listed = kfp("recurring-runs", "list", "-e", made["experiment_id"])
    assert ids(listed, "recurring_run_id") == [id_]
    assert kfp("recurring-run", "enable", id_)["status"] == "ENABLED"
    assert kfp("recurring-run", "disable", id_)["status"] == "DISABLED"
    assert kfp("recurring-run", "delete", id_) == id_
    assert kfp("recurring-run", "list", "-e", made["experiment_id"]) == []


def test_lists_are_tables_filtered_sorted_and_paged(kfp, unique):
    for letter in "abc":
        kfp("experiment", "create", f"{unique}-{letter}")
    predicate = {"operation": "IS_SUBSTRING", "key": "name", "string_value": unique}
    query = ["--filter", json.dumps({"predicates": [predicate]}), "--sort-by", "name"]
    said = kfp("experiment", "list", *query, "-m", "2", output="table")
    assert re.findall(rf"{unique}-\w", said) == [f"{unique}-a", f"{unique}-b"]
    assert re.fullmatch(rf"{ID} +{unique}-a +\S+\+00:00 +AVAILABLE", said.splitlines()[1])


def test_a_command_that_is_refused_fails_with_the_reason(local_kfp, tmp_path, unique):
    refused = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "from kfp.cli.__main__ import main; main()"]
        + [*arguments(local_kfp, "bob/default-editor", "alice"), "experiment", "create", unique],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "(403)\nReason: Forbidden" in refused.stderr
    assert "User 'system:serviceaccount:bob:default-editor' is not authorized" in refused.stderr
    assert "Traceback" not in refused.stderr
