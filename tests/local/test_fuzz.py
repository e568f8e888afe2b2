"""Every endpoint of the local KFP with generated requests, made from the API's own description.

Bob asks, and what alice has made must never be in an answer. An answer is one that a client
understands, and comes soon.
"""

import base64
import json
import re
import string
import sys
import types
import typing
import uuid
from datetime import datetime
from types import SimpleNamespace
from urllib.parse import quote

import msgspec
import pytest
import requests
import yaml
from harness.local_kfp import API, LocalKfp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tornado.web import RequestHandler

from jupyter_kfp_mt.local.api import v1beta1_messages, v2beta1_messages
from jupyter_kfp_mt.local.api.app import application
from jupyter_kfp_mt.local.api.file_handlers import FileHandler, UploadHandler
from jupyter_kfp_mt.local.wire import list_options
from jupyter_kfp_mt.local.wire.protojson import Message

PROFILES = """\
profiles:
- {namespace: alice, owner: alice@example.com}
- {namespace: bob, owner: bob@example.com}
"""

ALICE, BOB = "users/alice@example.com", "users/bob@example.com"
SECONDS = 10


# What there is: alice's and bob's, alike but for a word


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "profiles.yaml").write_text(PROFILES)
    profiles = ("--profiles", str(folder / "profiles.yaml"))
    server = LocalKfp(folder / "data", *profiles, "--max-runs", "1")
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


@pytest.fixture(scope="module")
def hers(server, sleeper):
    """Make things of alice, with a word in all of them that is nowhere else."""
    marker = f"quokka{uuid.uuid4().hex[:12]}"
    spec = named(yaml.safe_load(sleeper.read_text()), marker)
    things = make(server, ALICE, "alice", marker, spec)
    listed = server.get(f"{API}/experiments", ALICE, namespace="alice", page_size=1).json()
    return SimpleNamespace(**things, marker=marker, token=listed["next_page_token"])


@pytest.fixture
def world(server, hers, spec):
    """Return the things that bob has now, beside those of alice."""
    mine = make(server, BOB, "bob", f"wombat{uuid.uuid4().hex[:6]}", spec)
    theirs = [value for name, value in vars(hers).items() if name not in ("marker", "token")]
    return SimpleNamespace(
        **mine,
        ids=[*mine.values()] * 2 + [*theirs, str(uuid.uuid4())],
        token=hers.token,
        spec=spec,
        headers={"Authorization": f"Bearer {server.token(BOB)}"},
    )


def named(spec, name):
    spec["pipelineInfo"]["name"] = f"{name}-pipeline"
    return spec


def make(server, who, namespace, word, spec):
    """One thing of each kind, by their ids, with this word in all that was said of them."""
    said = {"display_name": f"{word}-name", "description": f"{word}-description"}

    def made(path, body, id_):
        return server.post(API + path, body, who).json()[id_]

    made("/experiments", {"display_name": f"{word}-2", "namespace": namespace}, "experiment_id")
    experiment = made("/experiments", {**said, "namespace": namespace}, "experiment_id")
    pipeline = server.call(
        "POST",
        f"{API}/pipelines/upload",
        who,
        params={"name": f"{word}-name", "namespace": namespace, "tags": f'{{"{word}": "{word}"}}'},
        files={"uploadfile": (f"{word}.yaml", yaml.safe_dump(spec))},
    ).json()["pipeline_id"]
    listed = server.get(f"{API}/pipelines/{pipeline}/versions", who).json()
    version = listed["pipeline_versions"][0]["pipeline_version_id"]
    run = {**said, "experiment_id": experiment, "pipeline_spec": spec}
    if namespace == "bob":
        run["runtime_config"] = {"parameters": {"x": 1}}
    return {
        "experiment": experiment,
        "pipeline": pipeline,
        "version": version,
        "run": made("/runs", run, "run_id"),
        "recurring": made(
            "/recurringruns", run | {"max_concurrency": 1, "mode": "DISABLE"}, "recurring_run_id"
        ),
    }


# The endpoints, as the application knows them


def routes():
    """Each (method, path with a hole for each id, handler)."""
    for rule in application(None, [], None).wildcard_router.rules:
        path = re.sub(r"\(\[\^[^)]*\)", "{}", rule.matcher.regex.pattern.removesuffix("$"))
        for method in ("get", "post", "patch", "delete"):
            if getattr(rule.target, method) is not getattr(RequestHandler, method):
                yield pytest.param(
                    method, path, rule.target, id=f"{method} {path.removeprefix('/apis/')}"
                )


def message_of(handler, method):
    """The message that a request to it holds, if it holds one."""
    function = getattr(handler, method)
    names = vars(sys.modules[function.__module__])
    used = [names.get(name) for name in function.__code__.co_names]
    messages = [each for each in used if isinstance(each, type) and issubclass(each, Message)]
    return messages[0] if messages else None


# What a request may be made of


def texts(world):
    odd = [
        "",
        "-",
        " ",
        "\0",
        "../..",
        "%",
        "[[RunUUID]]",
        "a" * 129,
        "\u202e",
        "'--",
        "\U0001f600",
    ]
    enums = ["ENABLE", "DISABLED", "EXPERIMENT", "NAMESPACE", "PIPELINE", "JOB", "OWNER", "RAW"]
    schedules = ["0 0 9 * * 1", "* * * * *", "@every 1h", "2024-01-01T00:00:00Z", "0001-01-01"]
    usual = st.sampled_from([*world.ids, "bob", "alice", *odd, *enums, *schedules])
    return usual | st.text(max_size=20)


NUMBERS = st.sampled_from([0, 1, -1, 10, 2**31, 2**63, 2**64, 1.5, 1e308, "1", "-1", "1e3", "x"])


def anything(world):
    plain = st.none() | st.booleans() | NUMBERS | texts(world)
    return st.recursive(
        plain,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(texts(world), inner, max_size=3)
        ),
        max_leaves=5,
    )


def values(kind, world):
    """Values for a field of this type; now and then of another."""
    fitting = fitting_values(kind, world)
    return st.integers(0, 19).flatmap(lambda dice: fitting if dice else anything(world))


def fitting_values(kind, world):
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([fitting_values(each, world) for each in arguments])
    if isinstance(kind, type) and issubclass(kind, Message):
        return messages(kind, world)
    if origin is typing.Annotated:
        return fitting_values(arguments[0], world)
    if origin is list:
        return st.lists(fitting_values(arguments[0], world), max_size=3)
    if origin is dict and arguments[1] is str:
        return st.dictionaries(texts(world), texts(world), max_size=3)
    if origin is dict:
        parameters = st.sampled_from([{"x": 1}, {"x": 1, "label": "a"}])
        return parameters | st.just(world.spec) | st.dictionaries(texts(world), anything(world))
    plain = {str: texts(world), int: NUMBERS, float: NUMBERS, bool: st.booleans()}
    plain |= {type(None): st.none(), datetime: texts(world)}
    return plain.get(kind, anything(world))


def good(message, world):
    """A request of this kind that would be accepted, as far as that is known here."""
    name = {"display_name": "some", "name": f"some-{uuid.uuid4()}"}
    owner = {"key": {"type": "NAMESPACE", "id": "bob"}, "relationship": "OWNER"}
    experiment = {"key": {"type": "EXPERIMENT", "id": world.experiment}, "relationship": "OWNER"}
    run = {
        "display_name": "some",
        "experiment_id": world.experiment,
        "pipeline_version_reference": {"pipeline_id": world.pipeline},
        "runtime_config": {"parameters": {"x": 1}},
    }
    run_in_v1 = {
        "name": "some",
        "pipeline_spec": {
            "pipeline_id": world.pipeline,
            "runtime_config": {"parameters": {"x": 1}},
        },
        "resource_references": [experiment],
    }
    limited = {"max_concurrency": 1}
    return {
        v2beta1_messages.ExperimentMessage: {"display_name": name["name"], "namespace": "bob"},
        v2beta1_messages.PipelineMessage: name | {"namespace": "bob"},
        v2beta1_messages.RunMessage: run,
        v2beta1_messages.RecurringRunMessage: run | limited,
        v1beta1_messages.ExperimentMessage: {
            "name": name["name"],
            "resource_references": [owner],
        },
        v1beta1_messages.RunMessage: run_in_v1,
        v1beta1_messages.JobMessage: run_in_v1 | limited,
        v1beta1_messages.MetricsMessage: {"metrics": [{"name": "a", "node_id": "b"}]},
        list_options.Filter: {
            "predicates": [{"key": "name", "operation": 1, "string_value": "some"}]
        },
    }.get(message, {})


def overlaid(base, fields):
    """This, with another value in a few of the fields."""
    return st.lists(st.sampled_from([*fields]), max_size=3, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: fields[name] for name in names}).map(
            lambda drawn: base | drawn
        )
    )


def messages(message, world):
    """JSON objects like a good one, now and then in the other casing or with a field too many."""
    fields = {field.name: values(field.type, world) for field in msgspec.structs.fields(message)}
    bases = st.sampled_from([good(message, world)] * 3 + [{}])
    drawn = bases.flatmap(lambda base: overlaid(base, fields))
    return st.tuples(drawn, st.integers(0, 9), anything(world)).map(
        lambda drawn: (
            {camel(name): value for name, value in drawn[0].items()}
            if drawn[1] == 1
            else drawn[0] | ({"more": drawn[2]} if drawn[1] == 2 else {})
        )
    )


def camel(name):
    return re.sub("_([a-z])", lambda match: match[1].upper(), name)


KINDS = {
    "experiments": "experiment",
    "pipelines": "pipeline",
    "versions": "version",
    "pipeline_versions": "version",
    "default_version": "version",
    "runs": "run",
    "recurringruns": "recurring",
    "jobs": "recurring",
}


def ids_for(path, world, hers):
    """An id for each hole in the path: often of the kind that belongs there, often bob's."""

    def ids(before):
        kind = KINDS.get(before.rstrip("/").rpartition("/")[2], "run")
        fitting = st.sampled_from([getattr(world, kind)] * 3 + [getattr(hers, kind)])
        odd = texts(world).filter(lambda text: text not in ("", ".", ".."))
        return st.integers(0, 9).flatmap(
            lambda dice: fitting if dice > 2 else st.sampled_from(world.ids) if dice else odd
        )

    *befores, _end = path.split("{}")
    return st.tuples(*map(ids, befores))


def queries(world):
    nouns = (
        list_options.EXPERIMENTS,
        list_options.PIPELINES,
        list_options.RUNS,
        list_options.RECURRING_RUNS,
    )
    columns = sorted({column for noun in nouns for column in noun.columns})
    fields = st.sampled_from([*columns, "tags.a", "metric:a"]) | texts(world)
    filters = messages(list_options.Filter, world).map(json.dumps)
    orders = st.tuples(fields, st.sampled_from(["", " asc", " desc", " x"])).map("".join)
    tokens = anything(world).map(lambda it: base64.b64encode(json.dumps(it).encode()).decode())
    parameters = {
        "namespace": st.sampled_from(["bob", "alice", "", "-"]) | texts(world),
        "page_size": NUMBERS | texts(world),
        "page_token": st.just(world.token) | tokens | texts(world),
        "sort_by": orders,
        "filter": filters | texts(world),
        "tags": anything(world).map(json.dumps) | texts(world),
        "resource_reference_key.type": texts(world),
        "resource_key.type": texts(world),
        "cascade": st.sampled_from(["true", "false", "x"]),
        "resources": st.sampled_from(["VIEWERS", "1", ""]),
        "verb": st.sampled_from(["CREATE", "2", ""]),
    }
    others = ("experiment_id", "pipelineid", "name", "display_name", "description")
    keys = ("resource_reference_key.id", "resource_key.id")
    parameters |= {name: texts(world) for name in (*others, *keys)}
    of_bob = {"resource_reference_key.type": "NAMESPACE", "resource_reference_key.id": "bob"}
    of_version = {"resource_key.type": "PIPELINE", "resource_key.id": world.pipeline}
    base = {"namespace": "bob", "pipelineid": world.pipeline, **of_bob, **of_version}
    return st.sampled_from([base, base, base, {}]).flatmap(lambda base: overlaid(base, parameters))


def bodies(message, handler, world):
    """The arguments of a request that are its body."""
    rubbish = st.sampled_from([b"", b"{", b"[]", b"null", b"\xff", b'{"a":1}']) | st.binary()
    raw = rubbish.map(lambda content: {"data": content})
    if issubclass(handler, UploadHandler):
        good = yaml.safe_dump(world.spec)
        odd = st.sampled_from(["a: 1", "PK", "\x1f\x8b"]) | st.text() | st.binary()
        content = st.integers(0, 3).flatmap(lambda dice: st.just(good) if dice > 1 else odd)
        names = texts(world).filter(str.isprintable) | st.just("x.yaml")
        file = st.tuples(names, content).map(lambda file: {"files": {"uploadfile": file}})
        return st.integers(0, 4).flatmap(lambda dice: file if dice else raw)
    if message is None:
        return raw | st.just({})
    json_bodies = messages(message, world).map(lambda body: {"json": body})
    return st.integers(0, 9).flatmap(lambda dice: json_bodies if dice else raw)


def headers(world):
    visible = st.text(string.ascii_letters + string.digits + string.punctuation, max_size=20)
    odd = st.fixed_dictionaries(
        {},
        optional={
            "Authorization": visible | st.just("Bearer x") | st.just(""),
            "Content-Type": visible | st.just("multipart/form-data; boundary=b"),
            "kubeflow-userid": st.just("alice@example.com"),
            "X-Clear-Tags": st.just("true"),
        },
    )
    mine = st.just(world.headers)
    return st.integers(0, 9).flatmap(lambda dice: mine if dice else odd)


def assert_understandable(answer, handler):
    """It is no failure of the server's, and a refusal has the form of one."""
    assert answer.status_code < 500, answer.text
    if answer.status_code in (200, 201):
        return
    refusal = answer.json()
    if issubclass(handler, FileHandler):
        assert set(refusal) == {"error_message", "error_details"}
        assert refusal["error_message"]
        return
    assert set(refusal) <= {"code", "message", "details"}
    assert refusal["message"]
    statuses = {3: 400, 5: 404, 6: 409, 7: 403, 9: 400, 10: 409, 16: 401}
    assert statuses[refusal["code"]] == answer.status_code


@pytest.mark.parametrize(("method", "path", "handler"), [*routes()])
def test_every_request_has_an_answer_and_none_tells_of_alice(
    server, world, hers, method, path, handler
):
    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        ids=ids_for(path, world, hers),
        query=queries(world),
        headers=headers(world),
        body=bodies(message_of(handler, method), handler, world),
    )
    def ask(ids, query, headers, body):
        answer = session.request(
            method,
            server.endpoint + path.format(*(quote(each, safe="") for each in ids)),
            params=query,
            headers=headers,
            timeout=SECONDS,
            **body,
        )
        assert_understandable(answer, handler)
        assert hers.marker not in answer.text

    with requests.Session() as session:
        ask()
