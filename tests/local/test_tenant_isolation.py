"""Rights in the local KFP: every endpoint, asked by every kind of caller."""

import copy
import json
import re
import uuid
from types import SimpleNamespace
from urllib.parse import quote

import pytest
import yaml
from harness.api_callers import ALICE, BOB, KNOWN, STRANGERS, UNKNOWN, UNREADING, headers_of
from harness.guarded_endpoints import (
    ENDPOINTS,
    GUARDED,
    HEALTHZ,
    OF_ONE_THING,
    PIPELINES,
    SPOILED,
    V1ALPHA1,
    V1BETA1,
    Endpoint,
    by_reference,
    by_reference_in_v1,
    endpoint,
)
from harness.local_kfp import API, LocalKfp, denied, text
from harness.waiting import wait_until
from tornado.web import RequestHandler

from jupyter_kfp_mt.local.api.app import application

PROFILES = """\
profiles:
- namespace: alice
  owner: alice@example.com
  contributors: {viewer@example.com: view, editor@example.com: edit}
  secrets: {warehouse: {password: s3cret}}
- {namespace: bob, owner: bob@example.com}
- {namespace: kubeflow, owner: admin@example.com}
"""

UNAUTHENTICATED = "Failed to check authorization. User identity is empty in the request header"
VIEWED = {"get", "list", "readArtifact"}


# The server, and what alice has in it


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("isolation")
    (folder / "profiles.yaml").write_text(PROFILES)
    server = LocalKfp(
        folder / "data",
        *("--profiles", str(folder / "profiles.yaml")),
        *("--max-runs", "1", "--trust-userid-header"),
    )
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


@pytest.fixture(scope="module")
def marker():
    """In everything that alice has written, and in nothing else."""
    return f"quokka{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def alices_spec(spec, marker):
    changed = copy.deepcopy(spec)
    changed["pipelineInfo"]["name"] = f"{marker}-pipeline"
    changed["root"]["inputDefinitions"]["parameters"]["label"]["defaultValue"] = f"{marker}-value"
    return changed


@pytest.fixture(scope="module")
def busy(server, marker, sleeper):
    """The run that keeps all others waiting, so that they cost nothing."""
    body = {"display_name": f"{marker}-busy", "namespace": "alice"}
    experiment_id = server.post(f"{API}/experiments", body, ALICE).json()["experiment_id"]
    spec = yaml.safe_load(
        sleeper.read_text().replace("time.sleep", f"print('{marker}-log');time.sleep")
    )
    body = {"display_name": marker, "experiment_id": experiment_id, "pipeline_spec": spec}
    run_id = server.post(f"{API}/runs", body, ALICE).json()["run_id"]

    def task():
        details = server.get(f"{API}/runs/{run_id}", ALICE).json().get("run_details", {})
        for task in details.get("task_details", []):
            log = server.get(f"{V1ALPHA1}/runs/{run_id}/nodes/{task['task_id']}/log", ALICE)
            if marker in log.text:
                return task["task_id"]

    return SimpleNamespace(run=run_id, task=wait_until(task, what="the log"))


def workflow_name(server, run_id):
    """As the API server shows it to those who may read a run, but do no more with it."""
    answer = server.post(f"{API}/runs/{run_id}:archive", who="alice/default-viewer")
    return re.search(r",Name:([^,]+),", text(answer))[1]


@pytest.fixture(scope="module")
def make_things(server, marker, alices_spec, busy):
    def made(path, body, **kwargs):
        answer = server.call("POST", API + path, ALICE, json=body, **kwargs)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def make_things():
        names = [f"{marker}-{uuid.uuid4().hex[:8]}" for _ in range(3)]
        common = {"description": f"{marker}-description", "namespace": "alice"}
        experiment = made("/experiments", {"display_name": names[0], **common})
        uploaded = server.call(
            "POST",
            f"{API}/pipelines/upload",
            ALICE,
            params={"name": names[1], "tags": f'{{"{marker}-key": "{marker}-tag"}}', **common},
            files={"uploadfile": (f"{marker}.yaml", yaml.safe_dump(alices_spec))},
        ).json()
        path = f"/pipelines/{uploaded['pipeline_id']}/versions"
        (version,) = server.get(API + path, ALICE).json()["pipeline_versions"]
        run = {
            "display_name": names[2],
            "description": f"{marker}-description",
            "experiment_id": experiment["experiment_id"],
            "pipeline_spec": alices_spec,
            "runtime_config": {"parameters": {"x": 987654321, "label": f"{marker}-parameter"}},
        }
        created = made("/runs", run)
        recurring = made("/recurringruns", run | {"max_concurrency": "1", "mode": "DISABLE"})
        return SimpleNamespace(
            experiment=experiment["experiment_id"],
            experiment_name=names[0],
            pipeline=uploaded["pipeline_id"],
            pipeline_name=names[1],
            version=version["pipeline_version_id"],
            run=created["run_id"],
            workflow=workflow_name(server, created["run_id"]),
            recurring=recurring["recurring_run_id"],
            recurring_name=names[2],
            busy=busy.run,
            busy_workflow=workflow_name(server, busy.run),
            task=busy.task,
            new=f"new-{uuid.uuid4().hex[:8]}",
        )

    return make_things


@pytest.fixture(scope="module")
def things(make_things):
    """Things that stay as they are, for callers who are refused or only read."""
    return make_things()


def ask(server, row, things, headers):
    """The answer to this endpoint for these headers; a list of them may repeat one."""
    path = row.path.format(**{name: quote(value) for name, value in vars(things).items()})
    if isinstance(headers, list):
        return ask_raw(server, row.method, path, headers, row.body(things))
    if row.file:
        files = {"uploadfile": ("new.yaml", yaml.safe_dump({"pipelineInfo": {}}))}
        return server.call(row.method, path, headers, files=files)
    return server.call(row.method, path, headers, json=row.body(things))


def ask_wrongly(server, row, things, headers):
    """The same with something that is not to be: a body that is refused, or no file."""
    path = row.path.format(**{name: quote(value) for name, value in vars(things).items()})
    body = None if row.file else (row.body(things) or {}) | row.spoil
    return server.call(row.method, path, headers, json=body)


def ask_raw(server, method, path, headers, body):
    """The same for a header that is there twice, which `requests` does not send."""
    import http.client

    connection = http.client.HTTPConnection(server.endpoint.removeprefix("http://"), timeout=30)
    connection.putrequest(method, path)
    content = json.dumps(body or {}).encode()
    if "/upload" in path:
        content = (
            b'--b\r\nContent-Disposition: form-data; name="uploadfile"; filename="x.yaml"\r\n\r\n'
            b"a: 1\r\n--b--\r\n"
        )
        headers = [*headers, ("Content-Type", "multipart/form-data; boundary=b")]
    for name, value in [*headers, ("Content-Length", str(len(content)))]:
        connection.putheader(name, value)
    connection.endheaders(content)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return SimpleNamespace(
        status_code=response.status,
        headers=response.headers,
        text=answer.decode(),
        json=lambda: json.loads(answer),
    )


def refused_with(row, status):
    """Of an upload the API server says 400 for whatever reason."""
    return 400 if row.file else status


def sent_with(row, things):
    return f"{row.path.format(**vars(things))} {row.body(things)}"


def refusal(answer):
    """The sentence of a refusal, and the whole message; files have a shape of their own."""
    body = answer.json()
    if "error_message" in body:
        assert set(body) == {"error_message", "error_details"}
        said, *reason = body["error_details"].split("\n\t")
        assert not reason or said == f"{body['error_message']}\nreason"
        return tuple(reason) if reason else (body["error_message"], said)
    assert set(body) == {"code", "message", "details"}
    (detail,) = body["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.Status"
    assert detail["code"] == body["code"] == {401: 16, 403: 7}[answer.status_code]
    return detail["message"], body["message"]


def assert_no_leak(answer, sent, things, marker):
    """Nothing of alice's is in the answer but what was in the question."""
    telling = [*re.findall(rf"{marker}[-\w]*", answer.text), "s3cret", "987654321", marker]
    ids = [value for name, value in vars(things).items() if name != "new"]
    for secret in [*telling, *ids]:
        where = f"{answer.text}\n{answer.headers}"
        assert secret in sent or secret not in where, f"{secret} in {where}"


def all_routes():
    """Each (method, regular expression of the path) that the application answers."""
    inner = [rule for rule in application(None, [], None).wildcard_router.rules]
    return [
        (method, rule.matcher.regex)
        for rule in inner
        for method in RequestHandler.SUPPORTED_METHODS
        if getattr(rule.target, method.lower()) is not getattr(RequestHandler, method.lower())
    ]


# The claims


def test_every_route_of_the_application_is_in_the_table():
    paths = [(row.method, re.sub(r"{\w+}", "x", row.path.partition("?")[0])) for row in ENDPOINTS]
    missing = [
        (method, regex.pattern)
        for method, regex in all_routes()
        if not any(method == asked and regex.fullmatch(path) for asked, path in paths)
    ]
    assert missing == []


@pytest.mark.parametrize("row", GUARDED, ids=str)
def test_nobody_gets_in_without_an_identity(server, things, marker, row):
    for who in UNKNOWN:
        assert_kept_out(server, things, marker, row, who)


def assert_kept_out(server, things, marker, row, who):
    answer = ask(server, row, things, headers_of(server, who))
    assert answer.status_code == refused_with(row, 401)
    short, message = refusal(answer)
    assert short == UNAUTHENTICATED
    assert message.endswith(f"Unauthenticated: {UNAUTHENTICATED}: {UNKNOWN[who][1]}")
    assert row.file or answer.headers["WWW-Authenticate"] == message
    assert_no_leak(answer, sent_with(row, things), things, marker)


@pytest.mark.parametrize("row", GUARDED, ids=str)
def test_everyone_may_what_their_role_says_and_no_more(server, things, make_things, marker, row):
    for who in KNOWN:
        assert_as_the_role_says(server, things, make_things, marker, row, who)


def assert_as_the_role_says(server, things, make_things, marker, row, who):
    _, user, role = KNOWN[who]
    reading = row.verb in VIEWED
    allowed = role == "edit" or (role == "view" and reading)
    things = make_things() if allowed and not reading else things
    answer = ask(server, row, things, headers_of(server, who))
    if allowed:
        # The file that is uploaded is none that would be taken.
        assert answer.status_code == (400 if row.file else row.status), answer.text
        return
    assert answer.status_code == refused_with(row, 403)
    short, message = refusal(answer)
    name, sent = row.name.format(**vars(things)), sent_with(row, things)
    # A name is for those who may read what has it, or who have said it themselves.
    name = name if role or name in sent else ""
    assert short == denied(user, row.verb, row.resource, name=name, group=row.group)
    assert message.endswith(f"PermissionDenied: {short}: Unauthorized access")
    if not role:
        assert_no_leak(answer, sent, things, marker)


@pytest.mark.parametrize("who", ["none", *STRANGERS])
@pytest.mark.parametrize("row", SPOILED, ids=str)
def test_whoever_may_not_ask_does_not_hear_what_is_wrong_with_the_question(
    server, things, row, who
):
    right = ask(server, row, things, headers_of(server, who))
    spoiled = ask_wrongly(server, row, things, headers_of(server, who))
    assert (spoiled.status_code, spoiled.json()) == (right.status_code, right.json())


@pytest.mark.parametrize("row", SPOILED, ids=str)
def test_what_is_wrong_with_a_question_is_said_to_those_who_may_ask(server, things, row):
    answer = ask_wrongly(server, row, things, headers_of(server, "owner"))
    results = answer.json().get("results", [])
    assert answer.status_code == 400 or results[0]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("who", UNREADING)
def test_the_health_is_for_everyone(server, things, who):
    for row in HEALTHZ:
        assert ask(server, row, things, headers_of(server, who)).status_code == 200


@pytest.mark.parametrize("row", OF_ONE_THING, ids=str)
def test_what_is_not_there_is_missing_to_anyone(server, things, row):
    nothing = SimpleNamespace(**{name: str(uuid.uuid4()) for name in vars(things)})
    for who in ("none", "elsewhere", "owner"):
        answer = ask(server, row, nothing, headers_of(server, who))
        if "{pipeline_name}" in row.path and who != "owner":
            assert answer.status_code == (401 if who == "none" else 403)
            continue
        assert answer.status_code == refused_with(row, 404)
        assert "not found" in answer.text


# What is shared


@pytest.fixture(scope="module")
def shared(server, adder):
    """A pipeline of no namespace, and its version."""
    name, admin = f"shared-{uuid.uuid4().hex[:8]}", "users/admin@example.com"
    path = f"{API}/pipelines/upload?name={name}"
    with adder.open("rb") as file:
        pipeline = server.call("POST", path, admin, files={"uploadfile": file}).json()
    path = f"{API}/pipelines/{pipeline['pipeline_id']}/versions"
    (version,) = server.get(path, "").json()["pipeline_versions"]
    return SimpleNamespace(
        pipeline=pipeline["pipeline_id"],
        version=version["pipeline_version_id"],
        pipeline_name=name,
        new="new",
    )


@pytest.mark.parametrize("who", UNREADING)
def test_what_is_shared_is_read_by_anyone(server, shared, who):
    for row in PIPELINES:
        if row.verb in VIEWED:
            row = Endpoint(**vars(row) | {"path": row.path.removesuffix("?namespace=alice")})
            answer = ask(server, row, shared, headers_of(server, who))
            assert answer.status_code == 200, (str(row), answer.text)
            assert shared.pipeline in answer.text


CHANGED_BY = (
    "changing shared pipelines needs edit rights in the namespace kubeflow: add a profile of "
    "that name to the local KFP, or pass a namespace to keep the pipeline in your own"
)


@pytest.mark.parametrize("who", [*UNKNOWN, *KNOWN])
@pytest.mark.parametrize("api", [API, V1BETA1])
@pytest.mark.parametrize("path", ["upload", "upload_version?pipelineid={pipeline}&name={new}"])
def test_what_is_shared_is_uploaded_by_anyone_who_is_known(server, shared, who, api, path):
    row = endpoint("POST", f"{api}/pipelines/{path}", file=True)
    answer = ask(server, row, shared, headers_of(server, who))
    if who in UNKNOWN:
        assert (answer.status_code, refusal(answer)[0]) == (400, UNAUTHENTICATED)
    else:  # the file is none that would be taken
        assert answer.status_code == 400


def test_a_viewer_uploads_a_shared_pipeline_and_its_next_version(server, adder):
    def uploaded(path, **query):
        with adder.open("rb") as file:
            files = {"uploadfile": file}
            path = f"{API}/pipelines/{path}"
            return server.call("POST", path, "alice/default-viewer", params=query, files=files)

    pipeline = uploaded("upload", name=f"viewers-{uuid.uuid4().hex[:8]}").json()
    assert "namespace" not in pipeline
    again = uploaded("upload_version", pipelineid=pipeline["pipeline_id"], name="next")
    assert again.json()["name"] == "next"


@pytest.mark.parametrize("who", ["owner", "elsewhere", "default-editor", "header of a stranger"])
@pytest.mark.parametrize("path", ["pipelines", "pipelines/create"])
def test_what_is_shared_is_else_created_by_those_who_may_in_kubeflow(server, things, who, path):
    body = {"name": things.new}
    body = body if path == "pipelines" else {"pipeline": body}
    answer = server.call("POST", f"{API}/{path}", headers_of(server, who), json=body)
    name = things.new
    expected = denied(KNOWN[who][1], "create", "pipelines", "kubeflow", name, reason=CHANGED_BY)
    assert (answer.status_code, refusal(answer)[0]) == (403, expected)


@pytest.mark.parametrize("who", ["owner", "elsewhere", "default-editor", "header of a stranger"])
@pytest.mark.parametrize(
    "row", [row for row in OF_ONE_THING if row.resource == "pipelines"], ids=str
)
def test_what_is_shared_is_changed_by_those_who_may_in_kubeflow(server, shared, row, who):
    if row.verb in VIEWED or row.file:
        return
    answer = ask(server, row, shared, headers_of(server, who))
    assert answer.status_code == refused_with(row, 403)
    name = row.name.format(**vars(shared))
    user = KNOWN[who][1]
    expected = denied(user, row.verb, "pipelines", "kubeflow", name, reason=CHANGED_BY)
    assert refusal(answer)[0] == expected
    assert ask(server, row, shared, {}).status_code == refused_with(row, 401)


# What someone may do at home, with something that is not theirs


@pytest.fixture(scope="module")
def bobs(server, adder):
    """Bob's things: an experiment, a pipeline and a recurring run."""
    name = f"bobs-{uuid.uuid4().hex[:8]}"
    body = {"display_name": name, "namespace": "bob"}
    experiment = server.post(f"{API}/experiments", body, BOB).json()["experiment_id"]
    with adder.open("rb") as file:
        path = f"{API}/pipelines/upload?name={name}&namespace=bob"
        pipeline = server.call("POST", path, BOB, files={"uploadfile": file}).json()["pipeline_id"]
    mine = SimpleNamespace(experiment=experiment, pipeline=pipeline)
    body = by_reference(mine) | {"max_concurrency": "1"}
    mine.recurring = server.post(f"{API}/recurringruns", body, BOB).json()["recurring_run_id"]
    mine.run = server.post(f"{API}/runs", by_reference(mine), BOB).json()["run_id"]
    return mine


def referring(mine, kind, id_):
    """The references of a run of v1beta1, in bob's own experiment."""
    return {
        "pipeline_spec": {
            "pipeline_id": mine.pipeline if kind == "JOB" else "",
            "runtime_config": {"parameters": {"x": 1}},
        },
        "resource_references": [
            {"key": {"type": "EXPERIMENT", "id": mine.experiment}, "relationship": "OWNER"},
            {"key": {"type": kind, "id": id_}, "relationship": "CREATOR"},
        ],
    }


FOREIGN = [
    pytest.param(
        *("POST", "/runs", 403),
        lambda mine, hers: {"pipeline_version_reference": {"pipeline_id": hers.pipeline}},
        id="run of her pipeline",
    ),
    pytest.param(
        *("POST", "/runs", 403),
        lambda mine, hers: {"pipeline_version_reference": {"pipeline_version_id": hers.version}},
        id="run of her version",
    ),
    pytest.param(
        *("POST", "/runs", 403),
        lambda mine, hers: {
            "pipeline_version_reference": None,
            "pipeline_version_id": hers.version,
        },
        id="run of her version in the old field",
    ),
    pytest.param(
        *("POST", "/runs", 403),
        lambda mine, hers: {"experiment_id": hers.experiment},
        id="run in her experiment",
    ),
    pytest.param(
        *("POST", "/runs", 400),
        lambda mine, hers: {"recurring_run_id": hers.recurring},
        id="run of her recurring run",
    ),
    pytest.param(
        *("POST", "/runs", 409), lambda mine, hers: {"run_id": hers.run}, id="run with her run's id"
    ),
    pytest.param(
        *("POST", "/runs", 409),
        lambda mine, hers: {"run_id": hers.run, "recurring_run_id": mine.recurring},
        id="run of one's own recurring run with her run's id",
    ),
    pytest.param(
        *("POST", "/recurringruns", 403),
        lambda mine, hers: {"pipeline_version_reference": {"pipeline_id": hers.pipeline}},
        id="recurring run of her pipeline",
    ),
    pytest.param(
        *("POST", "/recurringruns", 400),
        lambda mine, hers: {"experiment_id": hers.experiment, "namespace": "bob"},
        id="recurring run in her experiment",
    ),
    pytest.param(
        *("GET", "/pipelines/{mine.pipeline}/versions/{hers.version}", 403), None, id="version"
    ),
    pytest.param(
        *("DELETE", "/pipelines/{mine.pipeline}/versions/{hers.version}", 403),
        None,
        id="deletion of a version",
    ),
    pytest.param(
        *("PATCH", "/pipelines/{mine.pipeline}/versions/{hers.version}", 403),
        lambda mine, hers: {"tags": {}},
        id="change of a version",
    ),
    pytest.param(*("GET", "/pipelines/names/{hers.pipeline_name}", 404), None, id="name"),
    pytest.param(
        *("GET", "/pipelines/names/{hers.pipeline_name}?namespace=bob", 404),
        None,
        id="name at home",
    ),
    pytest.param(*("GET", "/pipelines", 200), None, id="shared pipelines"),
    pytest.param(
        *("GET", "/../v1alpha1/runs/{mine.run}/nodes/{hers.task}", 404), None, id="task values"
    ),
    pytest.param(
        *("GET", "/../v1alpha1/runs/{mine.run}/nodes/{hers.task}/log", 404), None, id="log"
    ),
    pytest.param(
        *("POST", "/../v1beta1/runs", 403),
        lambda mine, hers: {"pipeline_spec": {"pipeline_id": hers.pipeline}},
        id="v1 run of her pipeline",
    ),
    pytest.param(
        *("POST", "/../v1beta1/runs", 403),
        lambda mine, hers: referring(mine, "PIPELINE_VERSION", hers.version),
        id="v1 run of her version",
    ),
    pytest.param(
        *("POST", "/../v1beta1/runs", 400),
        lambda mine, hers: referring(mine, "JOB", hers.recurring),
        id="v1 run of her job",
    ),
    pytest.param(
        *("POST", "/../v1beta1/jobs", 403),
        lambda mine, hers: {"pipeline_spec": {"pipeline_id": hers.pipeline}},
        id="v1 job of her pipeline",
    ),
    pytest.param(
        *("GET", "/../v1beta1/namespaces/-/pipelines/{hers.pipeline_name}", 404), None, id="v1 name"
    ),
]


@pytest.mark.parametrize(("method", "path", "status", "change"), FOREIGN)
def test_what_is_hers_is_of_no_use_at_home(
    server, bobs, things, marker, method, path, status, change
):
    path = (API + path.format(mine=bobs, hers=things)).replace("/v2beta1/..", "")
    body = change(bobs, things) if change else {}
    if method == "POST":
        body = (by_reference_in_v1 if "v1beta1" in path else by_reference)(bobs) | body
        body |= {"max_concurrency": "1"} if path.endswith(("recurringruns", "jobs")) else {}
    answer = server.call(method, path, BOB, json=body)
    assert answer.status_code == status, answer.text
    if status == 400:
        assert things.recurring in answer.text or "belongs to namespace 'alice'" in answer.text
    assert_no_leak(answer, f"{path} {body}", things, marker)


@pytest.mark.parametrize("noun", ["experiments", "pipelines", "runs", "recurringruns"])
def test_no_filter_and_no_page_token_leads_out_of_the_namespace(
    server, bobs, make_things, marker, noun
):
    things = make_things()
    path = f"{API}/{noun}"
    token = server.get(path, ALICE, namespace="alice", page_size=1).json()["next_page_token"]
    key = "id" if noun == "recurringruns" else "namespace"
    value = things.recurring if noun == "recurringruns" else "alice"
    predicate = {"key": key, "operation": "EQUALS", "string_value": value}
    for params in ({"page_token": token}, {"filter": json.dumps({"predicates": [predicate]})}, {}):
        answer = server.get(path, BOB, namespace="bob", **params)
        assert answer.status_code == 200
        assert "alice" not in answer.text
        assert_no_leak(answer, str(params), things, marker)
        assert answer.json().get("total_size", 0) <= 1
