"""Counts of runs by name: right, and not by looking at all of them."""

import itertools

import pytest

from jupyter_kfp_mt.local.database.list_queries import page
from jupyter_kfp_mt.local.database.schema import opened
from jupyter_kfp_mt.local.wire.list_options import RUNS, ListOptions, Order, Predicate

NAMES = ["Train", "träin", "strain", "TRAIN ", "größer", "GROSSER", "100%", "100 %", "a_b", "axb"]
RUNS_IN_ALL = 5_000
COLUMNS = """run_id, experiment_id, namespace, workflow_name, display_name, description,
    service_account, created_at, scheduled_at, finished_at, state, state_history,
    recurring_run_id, pipeline_id, pipeline_version_id, digest, runtime_config"""


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    db = opened(tmp_path_factory.mktemp("counts") / "kfp.db")
    marks = ", ".join("?" * 17)
    with db:
        db.execute(
            "INSERT INTO specifications (digest, pipeline_spec, platform_spec) VALUES (?, ?, ?)",
            ("d", "{}", "{}"),
        )
        db.executemany(
            f"INSERT INTO runs ({COLUMNS}) VALUES ({marks})",
            [
                (
                    *(f"{number:05}", "e", "alice", "w", name, "", "default-editor"),
                    *(number, number, number + 1, "FAILED" if number % 3 else "SUCCEEDED", "[]"),
                    *("", "", "", "d", "{}"),
                )
                for number, name in enumerate(_names())
            ],
        )
    yield db
    db.close()


def _names():
    """Each of those a hundred times, and others."""
    seldom = itertools.chain.from_iterable([name] * 100 for name in NAMES)
    return itertools.islice(itertools.chain(seldom, map("run {}".format, itertools.count())), 5000)


def options(*predicates, page_size=2):
    return ListOptions(RUNS, page_size, Order("created_at", True), [*predicates])


def total(db, *predicates):
    return page(db, {"namespace": "alice"}, options(*predicates)).total_size


def steps(db, *predicates):
    """Count the hundreds of steps that SQLite takes for it."""
    taken = []
    db.set_progress_handler(lambda: taken.append(1) and 0, 100)
    total(db, *predicates)
    db.set_progress_handler(None, 0)
    return len(taken)


@pytest.mark.parametrize(
    ("operation", "value", "expected"),
    [
        pytest.param("EQUALS", "train", 300, id="equals"),
        pytest.param("EQUALS", "Größer", 200, id="equals, not ASCII"),
        pytest.param("NOT_EQUALS", "train", RUNS_IN_ALL - 300, id="not equals"),
        pytest.param("NOT_EQUALS", "nothing", RUNS_IN_ALL, id="not what there is not"),
        pytest.param("IN", ["TRÄIN", "a_b"], 400, id="in"),
        pytest.param("IS_SUBSTRING", "TRAI", 400, id="substring"),
        pytest.param("IS_SUBSTRING", "räi", 400, id="substring, not ASCII"),
        pytest.param("IS_SUBSTRING", "ss", 200, id="substring of what is written with one letter"),
        pytest.param("IS_SUBSTRING", r"0\%", 100, id="a percent sign itself"),
        pytest.param("IS_SUBSTRING", "a_b", 200, id="any character"),
    ],
)
def test_so_many_runs_have_such_a_name(db, operation, value, expected):
    assert total(db, Predicate("name", operation, value)) == expected


def test_conditions_are_counted_together(db):
    failed = Predicate("state", "EQUALS", "FAILED")
    others = Predicate("name", "NOT_EQUALS", "train")
    both = total(db, failed, Predicate("name", "EQUALS", "train"))
    assert 0 < both < 300
    assert total(db, failed, others) == total(db, others, failed) == total(db, failed) - both
    assert total(db, others, others) == RUNS_IN_ALL - 300
    assert total(db, others, Predicate("name", "EQUALS", "a_b")) == 100


@pytest.mark.parametrize("operation", ["EQUALS", "NOT_EQUALS"])
def test_runs_of_other_names_are_not_looked_at_to_count_those_of_one(db, operation):
    named = steps(db, Predicate("name", operation, "train"))
    assert named * 5 < steps(db, Predicate("name", "IS_SUBSTRING", "train"))
