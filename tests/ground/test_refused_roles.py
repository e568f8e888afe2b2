"""The role that a refusal offers: that of what was refused, and of what was asked for."""

import asyncio
import json

import pytest
from harness.jupyter_server import server_config
from harness.local_kfp import denied

from jupyter_kfp_mt import refusal_causes
from jupyter_kfp_mt.errors import KfpError

USER = "system:serviceaccount:alice:default-editor"
# manifests/kustomize/base/installs/multi-user/view-edit-cluster-roles.yaml of kubeflow/pipelines.
ROLES = {
    "view": {
        **dict.fromkeys(("experiments", "jobs", "pipelines", "pipelineversions"), "get list"),
        "runs": "get list readArtifact",
        "viewers": "create get delete",
        "visualizations": "create",
    },
    "edit": {
        **dict.fromkeys(("pipelines", "pipelineversions"), "create delete update"),
        "experiments": "archive create delete unarchive",
        "runs": "archive create delete retry terminate unarchive reportMetrics",
        "jobs": "create delete disable enable",
    },
}
RIGHTS = [
    pytest.param(verb, resource, role, id=f"{verb} {resource}")
    for role, resources in ROLES.items()
    for resource, verbs in resources.items()
    for verb in verbs.split()
]


def body(verb, resource):
    return json.dumps(
        {"code": 7, "details": [{"message": denied(USER, verb, resource, "bob")}]}
    ).encode()


@pytest.mark.parametrize("asked", ["list runs", "delete run x", "show it", "GET /apis/v2beta1/x"])
@pytest.mark.parametrize("verb, resource, role", RIGHTS)
def test_a_right_takes_the_role_that_has_it_in_whatever_words_it_is_asked_for(
    verb, resource, role, asked
):
    refused = body(verb, resource)
    directly = refusal_causes.refusal(403, refused).with_(attempt=asked)
    at_the_door = refusal_causes.refusal(403, refused).with_(attempt=f"POST /apis/{resource}")
    through_it = refusal_causes.refusal(
        403, json.dumps(refusal_causes.explained(refused, at_the_door)).encode()
    ).with_(attempt=asked)
    for error in (directly, through_it):
        assert f"role {role} is needed." in error.cause
        assert f"--clusterrole=kubeflow-pipelines-{role}" in error.cure


# --- of the verbs of %kfp that begin with a look at something else --------------------------------


@pytest.fixture
def jp_server_config(local_kfp):
    return server_config(
        endpoint=local_kfp.endpoint,
        token_file=str(local_kfp.token_file("alice/default-editor")),
        namespace="alice",
    )


@pytest.fixture
def asked_directly(shell, as_alice):
    return lambda line: shell.run_line_magic("kfp", line)


def refused_role(ask, line):
    with pytest.raises(KfpError) as error:
        ask(line)
    return str(error.value)


LINES = [
    pytest.param("run {file} -p x=1 -n bob", "start a run", "edit", id="run a file"),
    pytest.param("run some-pipeline -n bob", "start a run", "edit", id="run a pipeline"),
    pytest.param("upload {file} -n bob", "upload a pipeline", "edit", id="upload"),
    pytest.param("terminate a-run -n bob", "terminate a run", "edit", id="terminate"),
    pytest.param("terminate abcdef01 -n bob", "terminate a run", "edit", id="terminate by id"),
    pytest.param("runs -n bob", "list runs", "view", id="list runs"),
    pytest.param("logs a-run -n bob", "list runs", "view", id="logs"),
    pytest.param("pipelines -n bob", "list pipelines", "view", id="list pipelines"),
]


@pytest.mark.parametrize("line, deed, role", LINES)
def test_a_refusal_offers_the_role_for_what_was_asked(asked_directly, adder, line, deed, role):
    told = refused_role(asked_directly, line.format(file=adder))
    assert f"{USER} may not {deed} in namespace bob" in told
    assert f'contributors: {{"{USER}": {role}}}' in told


@pytest.mark.parametrize("line, deed, role", LINES)
async def test_a_refusal_behind_the_door_offers_the_same(door, shell, adder, line, deed, role):
    def ask(line):
        return shell.run_line_magic("kfp", line)

    told = await asyncio.to_thread(refused_role, ask, line.format(file=adder))
    assert f"{USER} may not {deed} in namespace bob" in told
    assert f'contributors: {{"{USER}": {role}}}' in told
