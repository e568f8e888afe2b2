"""Recurring runs of the local KFP: as they are asked for, and as they fire."""

import pytest
import yaml
from harness.local_kfp import API, text
from harness.own_executor import compiled, component
from harness.waiting import wait_until
from kfp import dsl

NOBODY = "00000000-0000-0000-0000-000000000000"
EVERY_SECOND = {"periodic_schedule": {"interval_second": "1"}}
NEW_YEAR = {"cron_schedule": {"cron": "0 0 0 1 1 *"}}


@component
def note(moment: str):
    print(moment)


@dsl.pipeline
def noting():
    note(moment=dsl.PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER)


@pytest.fixture
def pipeline_id(upload, unique):
    return upload(unique).json()["pipeline_id"]


@pytest.fixture
def body(experiment, spec):
    """A recurring run that is accepted, and does nothing this year."""
    return {
        "display_name": "Each new year",
        "description": "once",
        "experiment_id": experiment.experiment_id,
        "pipeline_spec": spec,
        "runtime_config": {"parameters": {"x": 1}},
        "max_concurrency": "1",
        "mode": "ENABLE",
        "trigger": NEW_YEAR,
    }


@pytest.fixture
def create(local_kfp, body):
    """Creates a recurring run with some fields changed; it is deleted in the end."""
    created = []

    def create(**changes):
        answer = local_kfp.post(f"{API}/recurringruns", body | changes)
        created.append(answer.json().get("recurring_run_id", NOBODY))
        return answer

    yield create
    for recurring_run_id in created:
        local_kfp.call("DELETE", f"{API}/recurringruns/{recurring_run_id}")


def runs_of(server, recurring_run_id):
    """Oldest first."""
    path = f"{API}/runs?namespace=alice&page_size=200&sort_by=created_at desc"
    runs = [
        run
        for run in server.get(path).json().get("runs", [])
        if run.get("recurring_run_id") == recurring_run_id
    ]
    return runs[::-1]


def fired(server, recurring, times=1):
    """The runs of a recurring run, once there are so many."""
    id_ = recurring["recurring_run_id"]
    return wait_until(
        lambda: len(runs := runs_of(server, id_)) >= times and runs, what=f"firing {times} times"
    )


def shown(server, recurring):
    return server.get(f"{API}/recurringruns/{recurring['recurring_run_id']}").json()


# As they are asked for


def test_a_recurring_run_comes_back_as_it_was_asked_for(local_kfp, create, body):
    answer = create()
    recurring = answer.json()
    assert answer.status_code == 200
    assert recurring == body | {
        "recurring_run_id": recurring["recurring_run_id"],
        "service_account": "default-editor",
        "created_at": recurring["created_at"],
        "updated_at": recurring["created_at"],
        "status": "ENABLED",
        "namespace": "alice",
    }
    assert shown(local_kfp, recurring) == recurring
    assert "Warning" not in answer.headers


@pytest.mark.parametrize(
    "trigger",
    [
        pytest.param(
            {
                "cron_schedule": {
                    "cron": "0 30 9 * * 1-5",
                    "start_time": "2030-01-01T00:00:00Z",
                    "end_time": "2031-01-01T00:00:00Z",
                }
            },
            id="cron",
        ),
        pytest.param({"cron_schedule": {"cron": "@daily"}}, id="descriptor"),
        pytest.param(
            {
                "periodic_schedule": {
                    "interval_second": "9223372036854775807",
                    "start_time": "2030-01-01T00:00:00Z",
                }
            },
            id="periodic",
        ),
    ],
)
def test_a_trigger_comes_back_as_it_was_given(create, trigger):
    assert create(trigger=trigger, mode="DISABLE").json()["trigger"] == trigger


@pytest.mark.parametrize("mode", ["DISABLE", "MODE_UNSPECIFIED", 2, 0])
def test_a_recurring_run_is_disabled_unless_it_is_asked_for_enabled(create, mode):
    recurring = create(mode=mode).json()
    assert (recurring["mode"], recurring["status"]) == ("DISABLE", "DISABLED")


def test_of_a_pipeline_the_version_is_pinned_only_if_it_is_named(local_kfp, create, pipeline_id):
    listed = local_kfp.get(f"{API}/pipelines/{pipeline_id}/versions").json()
    version_id = listed["pipeline_versions"][0]["pipeline_version_id"]
    both = {"pipeline_id": pipeline_id, "pipeline_version_id": version_id}
    for given, kept in [
        ({"pipeline_id": pipeline_id}, {"pipeline_id": pipeline_id}),
        ({"pipeline_version_id": version_id}, both),
        (both, both),
    ]:
        recurring = create(pipeline_spec=None, pipeline_version_reference=given).json()
        assert recurring["pipeline_version_reference"] == kept
        assert "pipeline_spec" not in recurring


def most(number):
    return (
        f"Max concurrency of a recurring run must be at least 1 and at most 10. Received {number}"
    )


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        pytest.param({"display_name": ""}, 400, "name cannot be empty", id="no name"),
        pytest.param({"max_concurrency": "0"}, 400, most(0), id="zero at once"),
        pytest.param({"max_concurrency": None}, 400, most(0), id="none at once"),
        pytest.param({"max_concurrency": 11}, 400, most(11), id="eleven at once"),
        pytest.param(
            {"experiment_id": ""},
            400,
            "Experiment id can not be empty in multi-user mode",
            id="no experiment",
        ),
        pytest.param(
            {"experiment_id": NOBODY}, 404, f"Experiment {NOBODY} not found", id="experiment"
        ),
        pytest.param(
            {"namespace": "bob"},
            400,
            "belongs to namespace 'alice' instead of 'bob'",
            id="namespace",
        ),
        pytest.param(
            {"trigger": {"cron_schedule": {"cron": "every day"}}},
            400,
            "Schedule cron is not a supported format(https://godoc.org/github.com/robfig/cron). "
            "Error: ",
            id="cron",
        ),
        pytest.param(
            {"trigger": {"periodic_schedule": {}}},
            400,
            "Found invalid period schedule interval 0. Set at interval to least 1 second",
            id="no interval",
        ),
        pytest.param(
            {"trigger": NEW_YEAR | EVERY_SECOND}, 400, "Trigger.trigger is already set", id="both"
        ),
        pytest.param(
            {"trigger": {"cron_schedule": {"cron": "@daily", "start_time": "soon"}}},
            400,
            'invalid google.protobuf.Timestamp value "soon"',
            id="no time",
        ),
        pytest.param(
            {"trigger": {"cron_schedule": {"cron": "@daily", "end_time": "2030-01-01T00:00:00"}}},
            400,
            "invalid google.protobuf.Timestamp value",
            id="a time without zone",
        ),
        pytest.param({"pipeline_spec": None}, 400, "with an empty pipeline ID", id="no pipeline"),
        pytest.param(
            {"pipeline_spec": None, "pipeline_version_reference": {"pipeline_id": NOBODY}},
            404,
            f"Pipeline {NOBODY} not found",
            id="unknown pipeline",
        ),
        pytest.param({"runtime_config": None}, 400, "parameter x is not optional", id="parameter"),
        pytest.param(
            {"service_account": "root"}, 400, "no service account 'root'", id="service account"
        ),
        pytest.param({"mode": "SOMETIMES"}, 400, "invalid value for enum field mode", id="mode"),
        pytest.param({"mode": 7}, 400, "mode is invalid: 7", id="mode's number"),
    ],
)
def test_a_recurring_run_that_cannot_be_is_refused_with_a_sentence(
    create, changes, status, message
):
    answer = create(**changes)
    assert answer.status_code == status
    assert message in text(answer)


def test_a_cron_of_five_fields_is_accepted_with_a_warning(create):
    answer = create(trigger={"cron_schedule": {"cron": "0 9 * * 1"}}, mode="DISABLE")
    assert answer.status_code == 200
    assert answer.headers["Warning"] == (
        "299 - \"KFP reads the cron '0 9 * * 1' with its seconds first: second 0, minute 9, "
        "hour *, day of the month *, month 1, on any day of the week. "
        "For the usual five-field cron write '0 0 9 * * 1'.\""
    )


def test_recurring_runs_are_listed_by_namespace_or_experiment(local_kfp, create, experiment):
    id_ = create().json()["recurring_run_id"]
    by_experiment = f"{API}/recurringruns?experiment_id={experiment.experiment_id}"
    listed = local_kfp.get(by_experiment).json()
    assert set(listed) == {"recurringRuns", "total_size"}
    assert [each["recurring_run_id"] for each in listed["recurringRuns"]] == [id_]
    path = f"{API}/recurringruns?namespace=alice&page_size=200&sort_by=created_at desc"
    listed = local_kfp.get(path).json()
    assert listed["recurringRuns"][0]["recurring_run_id"] == id_
    nowhere = local_kfp.get(f"{API}/recurringruns")
    message = "a recurring run cannot have an empty namespace in multi-user mode"
    assert (nowhere.status_code, text(nowhere)) == (400, message)


def test_a_recurring_run_is_disabled_enabled_and_deleted(local_kfp, create):
    recurring = create().json()
    path = f"{API}/recurringruns/{recurring['recurring_run_id']}"
    for verb, status in {"disable": "DISABLED", "enable": "ENABLED"}.items():
        assert local_kfp.post(f"{path}:{verb}").json() == {}
        assert local_kfp.post(f"{path}:{verb}").json() == {}
        assert local_kfp.get(path).json()["status"] == status
    assert local_kfp.call("DELETE", path, params={"propagation_policy": "ORPHAN"}).json() == {}
    gone = local_kfp.get(path)
    message = f"Job {recurring['recurring_run_id']} not found"
    assert (gone.status_code, text(gone)) == (404, message)


# As they fire


@pytest.mark.parametrize(
    "trigger",
    [
        pytest.param(EVERY_SECOND, id="interval"),
        pytest.param({"cron_schedule": {"cron": "* * * * * *"}}, id="cron"),
    ],
)
def test_a_run_is_created_each_time(local_kfp, create, experiment, trigger):
    recurring = create(display_name="Each second", trigger=trigger, max_concurrency=10).json()
    first, second, *_ = fired(local_kfp, recurring, 2)
    prefix = f"eachsecond{recurring['recurring_run_id'][:5]}"
    assert first["display_name"].startswith(f"{prefix}-1-")
    assert second["display_name"].startswith(f"{prefix}-2-")
    assert first["scheduled_at"] < second["scheduled_at"]
    assert first["experiment_id"] == experiment.experiment_id
    assert first["runtime_config"] == {"parameters": {"x": 1}}


def test_without_a_trigger_one_run_is_created_at_once(local_kfp, create):
    recurring = create(trigger=None).json()
    assert recurring["trigger"] == {}
    (run,) = fired(local_kfp, recurring)
    assert run["scheduled_at"] == recurring["created_at"]


def test_a_disabled_one_fires_when_it_is_enabled(local_kfp, create):
    recurring = create(trigger=None, mode="DISABLE").json()
    another = create(trigger=None).json()
    fired(local_kfp, another)
    assert runs_of(local_kfp, recurring["recurring_run_id"]) == []
    local_kfp.post(f"{API}/recurringruns/{recurring['recurring_run_id']}:enable")
    fired(local_kfp, recurring)


def test_without_a_version_each_run_has_the_latest_one_of_its_time(
    local_kfp, create, pipeline_id, upload
):
    source = {"pipeline_spec": None, "pipeline_version_reference": {"pipeline_id": pipeline_id}}
    recurring = create(trigger=None, mode="DISABLE", **source).json()
    second = upload("second", path="upload_version", pipelineid=pipeline_id).json()
    local_kfp.post(f"{API}/recurringruns/{recurring['recurring_run_id']}:enable")
    (run,) = fired(local_kfp, recurring)
    version_id = run["pipeline_version_reference"]["pipeline_version_id"]
    assert version_id == second["pipeline_version_id"]


def test_why_one_cannot_fire_is_shown_with_it(local_kfp, create, pipeline_id):
    source = {"pipeline_spec": None, "pipeline_version_reference": {"pipeline_id": pipeline_id}}
    recurring = create(trigger=None, mode="DISABLE", **source).json()
    local_kfp.call("DELETE", f"{API}/pipelines/{pipeline_id}?cascade=true")
    local_kfp.post(f"{API}/recurringruns/{recurring['recurring_run_id']}:enable")
    error = wait_until(lambda: shown(local_kfp, recurring).get("error"), what="the error")
    assert "not found" in error["message"]


def test_no_more_runs_go_on_at_once_than_it_may_have(local_kfp, create, sleeper):
    slow = {"pipeline_spec": yaml.safe_load(sleeper.read_text()), "runtime_config": None}
    recurring = create(trigger=EVERY_SECOND, **slow).json()
    clock = create(trigger=EVERY_SECOND, max_concurrency=10).json()
    (only,) = fired(local_kfp, recurring)
    fired(local_kfp, clock, len(runs_of(local_kfp, clock["recurring_run_id"])) + 2)
    assert len(runs_of(local_kfp, recurring["recurring_run_id"])) == 1
    local_kfp.post(f"{API}/runs/{only['run_id']}:terminate")
    *_, second = fired(local_kfp, recurring, 2)
    local_kfp.post(f"{API}/recurringruns/{recurring['recurring_run_id']}:disable")
    local_kfp.post(f"{API}/runs/{second['run_id']}:terminate")


def test_a_deleted_one_leaves_its_runs_and_fires_no_more(local_kfp, create):
    recurring = create(trigger=EVERY_SECOND, max_concurrency=10).json()
    fired(local_kfp, recurring)
    local_kfp.call("DELETE", f"{API}/recurringruns/{recurring['recurring_run_id']}")
    left = runs_of(local_kfp, recurring["recurring_run_id"])
    fired(local_kfp, create(trigger=EVERY_SECOND, max_concurrency=10).json(), 2)
    assert len(runs_of(local_kfp, recurring["recurring_run_id"])) == len(left) > 0


def test_after_a_restart_no_moment_is_fired_twice(start_local_kfp, spec):
    server = start_local_kfp("--max-runs", "1")
    experiment = {"display_name": "e", "namespace": "alice"}
    experiment_id = server.post(f"{API}/experiments", experiment).json()["experiment_id"]
    body = {
        "display_name": "r",
        "experiment_id": experiment_id,
        "pipeline_spec": spec,
        "runtime_config": {"parameters": {"x": 1}},
        "max_concurrency": 10,
        "mode": "ENABLE",
    }
    once = server.post(f"{API}/recurringruns", body).json()
    often = server.post(f"{API}/recurringruns", body | {"trigger": EVERY_SECOND}).json()
    before = fired(server, often, 2)
    assert server.stop() == 0
    server = start_local_kfp("--max-runs", "1")
    after = fired(server, often, len(before) + 2)
    moments = [run["scheduled_at"] for run in after]
    assert moments == sorted(set(moments))
    assert len(runs_of(server, once["recurring_run_id"])) == 1


def test_a_task_learns_the_moment_for_which_its_run_was_due(local_kfp, create):
    spec, _ = compiled(noting)
    recurring = create(pipeline_spec=spec, runtime_config={}, trigger=EVERY_SECOND).json()
    run = fired(local_kfp, recurring)[0]
    ended = wait_until(lambda: ended_run(local_kfp, run["run_id"]))
    (task,) = ended["run_details"]["task_details"]
    path = f"/apis/v1alpha1/runs/{run['run_id']}/nodes/{task['task_id']}"
    given = local_kfp.get(path).json()["inputs"]["parameters"]
    assert given == {"moment": run["scheduled_at"]}
    assert ended["state"] == "SUCCEEDED"


def ended_run(server, run_id):
    run = server.get(f"{API}/runs/{run_id}").json()
    return run["state"] in ("SUCCEEDED", "FAILED") and run


def test_one_without_a_trigger_is_told_with_an_empty_one(local_kfp, experiment, adder, unique):
    body = {
        "display_name": unique,
        "experiment_id": experiment.experiment_id,
        "pipeline_spec": yaml.safe_load(adder.read_text()),
        "runtime_config": {"parameters": {"x": 1}},
        "max_concurrency": "1",
        "mode": "DISABLE",
    }
    made = local_kfp.post(f"{API}/recurringruns", body).json()
    assert made["trigger"] == {}
    path = f"{API}/recurringruns/{made['recurring_run_id']}"
    assert local_kfp.get(path).json()["trigger"] == {}
    local_kfp.call("DELETE", path)
