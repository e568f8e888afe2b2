"""The local KFP answers as Kubeflow Pipelines 2.17.0 did on a cluster."""

from pathlib import Path

import jwt
import pytest
import yaml
from recorded_calls.answers import differences
from recorded_calls.comparison import outcomes

from jupyter_kfp_mt.local.api import app

PROFILES = """\
profiles:
- namespace: alice
  owner: alice@example.com
  contributors: {bob@example.com: view, "system:serviceaccount:bob:default-editor": view}
- namespace: bob
  owner: bob@example.com
- namespace: carol
  owner: carol@example.com
"""
UNVERIFIED = {"verify_signature": False}
LEFT_BEHIND = "what a scenario that is not among these has left behind"
KINDS = yaml.safe_load((Path(__file__).parents[1] / "recorded_calls/differences.yaml").read_text())


@pytest.fixture
def recorded_kfp(start_local_kfp, tmp_path):
    """A local KFP as the one on the cluster was: its profiles, and runs that wait."""
    profiles = tmp_path / "profiles.yaml"
    profiles.write_text(PROFILES)
    return start_local_kfp("--profiles", str(profiles), "--max-runs", "1", "--trust-userid-header")


def test_calls_are_answered_as_on_a_cluster_but_for_the_differences_that_have_a_name(recorded_kfp):
    token = recorded_kfp.token
    made = [*outcomes(recorded_kfp.endpoint, token, hold=True, pauses=False)]
    named = {
        (scenario, step)
        for scenarios in KINDS.values()
        for scenario, steps in scenarios.items()
        for step in steps
    }
    assert len(made) == 1632
    differ = {(each.scenario, each.step): each.differs for each in made if each.differs}
    assert {place: lines for place, lines in differ.items() if place not in named} == {}
    assert named - differ.keys() == set(), "answered as recorded by now"


INVALID = "[invalid bearer token, token audiences [{}] is invalid for the target audiences [{}]]"
OWN_AUDIENCE = '"pipelines.kubeflow.org"'


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param(
            {"exp": 1}, "[invalid bearer token, service account token has expired]", id="expired"
        ),
        pytest.param({"aud": ["vault"]}, INVALID.format('"vault"', OWN_AUDIENCE), id="vault"),
        pytest.param(
            {"aud": ["https://kubernetes.default.svc"]},
            INVALID.format('"https://kubernetes.default.svc"', OWN_AUDIENCE),
            id="for Kubernetes",
        ),
        pytest.param({"aud": ["vault", "pipelines.kubeflow.org"]}, "", id="for both"),
    ],
)
def test_tokens_that_are_out_of_date_or_for_others_are_answered_as_recorded(
    recorded_kfp, changes, reason
):
    key = bytes.fromhex((recorded_kfp.data / "keys" / "signing-key").read_text())
    claims = jwt.decode(recorded_kfp.token("alice/default-editor"), options=UNVERIFIED) | changes
    header = {"Authorization": f"Bearer {jwt.encode(claims, key, 'HS256')}"}
    answer = recorded_kfp.get("/apis/v2beta1/runs", header, namespace="alice", page_size=1)
    nobody = "Request header error: there is no user identity header."
    unknown = "Failed to check authorization. User identity is empty in the request header"
    told = (
        "Failed to list runs: Failed to list runs due to authorization error. Check if you have "
        "permission to access namespace alice: Failed to access run . Check if you have access to "
        f"namespace alice: Unauthenticated: {unknown}: [Unauthenticated: {nobody}: {nobody}, "
        "Authentication failure: Unauthenticated: Review.Status.Authenticated is false. "
        f"Error {reason}: Failed to authenticate token review]"
    )
    if reason:
        assert (answer.status_code, answer.json()["message"]) == (401, told)
        assert answer.json()["details"][0]["message"] == unknown
    else:
        assert (answer.status_code, answer.json()) == (200, {})


def test_every_kind_of_difference_is_in_the_table_of_differences():
    rows = [line.split(" | ")[0].removeprefix("| ") for line in app.__doc__.splitlines()]
    assert [kind for kind in KINDS if kind not in [*rows, LEFT_BEHIND]] == []


@pytest.mark.parametrize(
    ("recorded", "now", "lines"),
    [
        pytest.param({"a": [1, "b"]}, {"a": [1, "b"]}, [], id="same"),
        pytest.param({"a": 1}, {"a": 2}, ["/a: recorded 1, now 2"], id="value"),
        pytest.param({"a": 1}, {}, ["/a: recorded 1, now '<absent>'"], id="absent"),
        pytest.param([True], [1], ["/0: recorded True, now 1"], id="type"),
        pytest.param([1], [1, 2], [": recorded [1], now [1, 2]"], id="length"),
    ],
)
def test_two_answers_are_compared_place_by_place(recorded, now, lines):
    assert [*differences(recorded, now)] == lines
