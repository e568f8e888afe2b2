"""The refusals of a real KFP 2.17 and its Kubernetes, told as they are meant."""

import json
from datetime import datetime, timezone
from pathlib import Path

import msgspec
import pytest
from fakes.guarded_kfp import Answer, GuardedKfp, refusal
from fakes.kubernetes_api import ALICE

from jupyter_kfp_mt import errors, refusal_causes
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.cluster.kubernetes_api import Cluster
from jupyter_kfp_mt.connection.choose_connection import resolve
from jupyter_kfp_mt.models import Page, Run
from jupyter_kfp_mt.namespaces.permissions import FULLY_REVIEWED, Permissions
from jupyter_kfp_mt.notebook import formats, render
from jupyter_kfp_mt.settings import Kfp

REFUSALS = json.loads((Path(__file__).parents[1] / "recorded" / "refusals.json").read_text())


def refused(name, asked="list runs in erin"):
    found = REFUSALS[name]
    error = refusal_causes.refusal(found["status"], json.dumps(found["body"]).encode())
    return error.with_(attempt=asked)


def test_the_token_of_an_account_that_was_deleted_is_told_so():
    error = refused("deleted account")
    assert error.cause == "The token's service account, gone, was deleted."


def test_a_run_that_cannot_be_stopped_any_more_is_told_so():
    error = refused("terminate a finished run", "terminate run x")
    assert error.message == "Cannot terminate run x: there is nothing left to stop."
    assert error.cause == "The run has finished already, or is being terminated."


OLDER_UPLOAD = "Failed to create a pipeline due to authorization error: Failed to access pipeline: "


@pytest.mark.parametrize(
    "why, kind",
    [
        pytest.param(
            "Unauthenticated: User identity is empty in the request header",
            errors.Unauthenticated,
            id="nobody",
        ),
        pytest.param(
            "PermissionDenied: User 'bob' is not authorized with reason:  (request: "
            "&ResourceAttributes{Namespace:alice,Verb:create,Group:pipelines.kubeflow.org,"
            "Version:v1beta1,Resource:pipelines,Subresource:,Name:x,})",
            errors.Forbidden,
            id="no right",
        ),
    ],
)
def test_an_upload_that_an_older_kfp_refuses_is_told_as_any_request(why, kind):
    body = json.dumps({"error_message": OLDER_UPLOAD + why, "error_details": f"{why}\n\tx.go:1"})
    error = refusal_causes.refusal(400, body.encode()).with_(attempt="upload x")
    assert type(error) is kind and ".go" not in "".join(error.to_dict().values())


@pytest.mark.parametrize("body", [b"Not Found\n", b"404 page not found\n", b""])
def test_a_path_that_an_older_kfp_does_not_know_is_told_so(body):
    error = refusal_causes.refusal(404, body).with_(attempt="list runs")
    assert isinstance(error, errors.NotFound) and "too old" in error.cause


def test_a_group_that_kubernetes_does_not_have_is_not_there(serve, tmp_path):
    class Bare(GuardedKfp):
        def answer(self, request):
            return Answer(404, b"404 page not found\n", "text/plain; charset=utf-8")

    config = tmp_path / "config"
    config.write_text(KUBECONFIG % (serve(Bare).endpoint, ""))
    cluster = Cluster.of_kubeconfig(str(config))
    with pytest.raises(errors.NotFound, match="no profiles in group kubeflow.org"):
        cluster.profiles()
    assert cluster.may("alice", "list", "runs", "pipelines.kubeflow.org") is None
    cluster.close()


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: '%s'}}]
users: [{name: c, user: {token: none}}]
contexts: [{name: c, context: {cluster: c, user: c%s}}]
"""


def test_the_namespace_of_a_kubeconfigs_context_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = tmp_path / "config"
    config.write_text(KUBECONFIG % ("http://localhost:1", ", namespace: team-a"))
    found = resolve(Kfp(kubeconfig=str(config), auth="kubeconfig"))
    assert found.namespace == "team-a"
    assert resolve(Kfp(kubeconfig=str(config), auth="kubeconfig", namespace="b")).namespace == "b"
    forwarded = Kfp(kubeconfig=str(config), auth="kubernetes", endpoint="http://localhost:1")
    assert resolve(forwarded).namespace == "team-a"


def test_of_many_namespaces_it_is_told_what_was_not_asked(in_pod, kubernetes_api):
    in_pod()
    cluster = Cluster.of_this_process()
    permissions = Permissions(lambda: cluster, lambda: ALICE)
    names = [f"team-{number}" for number in range(FULLY_REVIEWED + 3)]
    permitted = permissions.of(names, patience=30)
    assert permitted.reason.startswith("for 3 of these namespaces only the right")
    assert not permissions.of(names[:FULLY_REVIEWED], patience=30).reason
    permissions.close()
    cluster.close()


# --- runs -----------------------------------------------------------------------------------------


class Listing(GuardedKfp):
    """It has the run `r` until that is deleted."""

    run = {"run_id": "r", "experiment_id": "e", "display_name": "train"}

    def found(self, request, path):
        if path == "runs":
            return Answer(200, {"runs": [self.run]})
        if path == "runs/r" and self.run:
            return Answer(200, self.run)
        return refusal(404, 5, "Run r not found")


@pytest.fixture
def listing(serve):
    return serve(Listing)


@pytest.fixture
def client(listing):
    client = Client(listing.endpoint, namespace="alice")
    yield client
    client.close()


def test_a_run_that_is_deleted_while_it_is_waited_for_is_told_so(client, listing):
    watched = client.watch("r")
    assert next(watched).state == "PENDING"
    listing.run = None
    with pytest.raises(errors.NotFound, match="Run train .* was deleted while waiting for it"):
        next(watched)


def test_a_run_without_a_state_is_pending_and_found_so(client, listing):
    (run,) = client.run_page(state="PENDING")
    assert run.state == "PENDING" and "Pending" in render.text(run)
    asked = listing.asked[-1].query["filter"]
    assert "PENDING" in asked and "RUNTIME_STATE_UNSPECIFIED" in asked


def test_a_run_that_is_archived_is_marked(client, listing):
    listing.run = Listing.run | {"storage_state": "ARCHIVED"}
    page = client.run_page()
    assert "train (archived)" in render.text(page) and "Archived" in render.text(page[0])


YEAR_1 = datetime(1, 1, 1, tzinfo=timezone.utc)


def test_an_end_in_the_year_1_is_none():
    run = Run(created_at=datetime.now(timezone.utc), finished_at=YEAR_1, state="RUNNING")
    assert run.duration.total_seconds() < 60 and formats.timestamp(YEAR_1) == ""
    assert msgspec.json.decode(b'"0001-01-01T00:00:00Z"', type=datetime) == YEAR_1
    assert " under 1 s" in render.text(Page(kind=Run, items=[run]))
