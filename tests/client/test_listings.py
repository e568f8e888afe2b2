"""Lists of KFP's: lazy, filtered, of several namespaces, and as tables."""

import json
from contextlib import closing
from datetime import datetime, timedelta, timezone
from urllib.parse import unquote

import pytest
from fakes.guarded_kfp import Answer
from fakes.listed_kfp import ListedKfp

from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.client.listings import Feed, Listing
from jupyter_kfp_mt.client.provenance import Provenance
from jupyter_kfp_mt.credentials import TokenFile
from jupyter_kfp_mt.errors import BadRequest, Forbidden, NotFound
from jupyter_kfp_mt.models import Page, Run


@pytest.fixture
def alice(local_kfp):
    with_token = TokenFile(str(local_kfp.token_file("alice/default-editor")))
    client = Client(local_kfp.endpoint, with_token, "alice")
    yield client
    client.close()


@pytest.fixture
def bob(local_kfp):
    client = Client(
        local_kfp.endpoint, TokenFile(str(local_kfp.token_file("bob/default-editor"))), "bob"
    )
    yield client
    client.close()


class Paged:
    """Runs on pages of any size, and how often a page was asked for."""

    def __init__(self, count, namespace="alice", odd=False):
        step = timedelta(minutes=1)
        newest = datetime(2026, 1, 1, tzinfo=timezone.utc) + (step / 2 if odd else step)
        self.runs = [
            Run(run_id=f"{namespace}-{number}", created_at=newest - number * step)
            for number in range(count)
        ]
        self.asked = []
        self.feed = Feed(namespace, self.page)

    def page(self, token, size):
        self.asked.append(size)
        start = int(token or 0)
        rest = str(start + size) if start + size < len(self.runs) else ""
        items = self.runs[start : start + size]
        return Page(kind=Run, items=items, total_size=len(self.runs), next_page_token=rest)


def test_a_list_reads_no_page_before_it_is_looked_at_and_one_for_a_display():
    paged = Paged(450)
    listing = Listing(Run, [paged.feed])
    assert paged.asked == []
    assert len(listing.shown()) == 20 and listing.total == len(listing) == 450
    assert paged.asked == [20]
    assert listing[21] == paged.runs[21] and paged.asked == [20, 200]
    assert [*listing] == paged.runs and len(paged.asked) == 4
    assert listing[-1] == paged.runs[-1] and listing[:3] == paged.runs[:3]


def test_a_limited_list_ends_there():
    paged = Paged(450)
    listing = Listing(Run, [paged.feed], limit=5)
    assert len(listing) == 5 and [*listing] == paged.runs[:5] and paged.asked == [5]


def test_what_kfp_cannot_filter_is_left_out_while_pages_are_read():
    paged = Paged(450)
    listing = Listing(Run, [paged.feed], kept=lambda run: run.run_id.endswith("7"))
    assert len(listing) == 45 and listing[0] == paged.runs[7]


def test_lists_of_several_namespaces_are_one_in_the_order_of_time():
    first, second = Paged(30, "alice"), Paged(30, "bob", odd=True)
    listing = Listing(Run, [first.feed, second.feed])
    assert [run.run_id for run in listing[:4]] == ["alice-0", "bob-0", "alice-1", "bob-1"]
    assert len(listing) == 60 and listing.namespace_of(listing[1]) == "bob"


def test_of_several_namespaces_the_one_that_refuses_is_told():
    def page(token, size):
        raise Forbidden("Not yours.")

    paged = Paged(3)
    listing = Listing(Run, [paged.feed, Feed("carol", page)])
    assert [*listing] == paged.runs
    assert [(namespace, error.message) for namespace, error in listing.refused] == [
        ("carol", "Not yours.")
    ]
    with pytest.raises(Forbidden):
        [*Listing(Run, [Feed("carol", page)])]


def test_runs_are_filtered_by_kfp(alice, adder, unique):
    run = alice.start_run(adder, {"x": 1}, unique, name=f"{unique}-first")
    other = alice.start_run(adder, {"x": 2}, unique, name=f"{unique}-second")
    ids = lambda **wanted: [each.run_id for each in alice.runs(experiment=unique, **wanted)]  # noqa: E731
    assert ids() == [other.run_id, run.run_id]
    assert ids(sort="name") == [run.run_id, other.run_id]
    assert ids(sort="-name") == [other.run_id, run.run_id]
    assert ids(name="SECOND") == [other.run_id]
    assert ids(since="1h") == [other.run_id, run.run_id]
    assert ids(since=datetime.now(timezone.utc) + timedelta(hours=1)) == []
    assert ids(pipeline="adder") == [other.run_id, run.run_id] and ids(pipeline="nope") == []
    alice.archive(run.run_id)
    assert ids() == [other.run_id] and ids(archived=True) == [run.run_id]
    assert len(ids(archived=None)) == 2
    alice.restore(run.run_id)
    assert len(ids()) == 2


def test_an_empty_list_knows_its_filters_and_what_there_is_without(alice, adder):
    alice.start_run(adder, {"x": 1})
    listing = alice.runs(state="paused", name="zzz")
    assert [*listing] == [] and listing.filters == ["state Paused", "name zzz"]
    assert listing.without_filters() > 0


@pytest.mark.parametrize(
    "filters, sentence",
    [
        pytest.param({"state": "done"}, "There is no state done", id="state"),
        pytest.param(
            {"since": "yesterday"}, "--since yesterday is neither a duration nor a date", id="since"
        ),
        pytest.param({"sort": "size"}, "Cannot sort by size", id="sort"),
    ],
)
def test_a_filter_that_cannot_be_is_told_before_kfp_is_asked(alice, filters, sentence):
    with pytest.raises(BadRequest, match=sentence):
        alice.runs(**filters)


def test_runs_are_found_by_where_they_were_started_from(alice, adder, unique):
    told = Provenance(f"{unique}.ipynb", "3 (abc)", "0123abc", "carol").added_to("Mine.\n")
    run = alice.start_run(adder, {"x": 1}, description=told)
    assert [each.run_id for each in alice.runs(notebook=f"{unique}.ipynb")] == [run.run_id]
    assert [each.run_id for each in alice.runs(by="carol")][:1] == [run.run_id]
    assert [*alice.runs(notebook=unique)] == []


def test_the_table_of_runs_has_parameters_and_metrics_as_columns(alice, scored, unique):
    alice.wait(alice.start_run(scored, {"rate": 0.5}, unique).run_id)
    table = alice.runs(experiment=unique).records()
    assert table[0]["params.rate"] == 0.5 and table[0]["metrics.accuracy"] == 0.75
    assert isinstance(table[0]["duration"], timedelta)
    pytest.importorskip("pandas")
    frame = alice.runs(experiment=unique).to_pandas()
    assert frame["metrics.accuracy"].tolist() == [0.75]


def test_a_run_is_found_by_the_beginning_of_its_name_and_as_the_latest(alice, adder, unique):
    run = alice.start_run(adder, {"x": 1}, name=f"{unique}-and-more")
    assert alice.find_run(unique).run_id == run.run_id
    assert alice.find_run(unique.upper()).run_id == run.run_id
    assert alice.find_run("latest").run_id == alice.run_page(page_size=1)[0].run_id
    with pytest.raises(NotFound, match=f"Did you mean {unique}-and-more?"):
        alice.find_run(f"x{unique}-and-more")


def test_shared_pipelines_are_listed_and_run_by_name(alice, adder, upload, unique):
    assert upload(unique, namespace="").status_code == 200
    (found,) = alice.pipelines(name=unique)
    assert found.namespace == "" and [*alice.pipelines(name=unique, shared=True)] == [found]
    assert [*alice.pipelines(name=unique, shared=False)] == []
    assert alice.start_run(unique, {"x": 1}).display_name.startswith(unique)


def test_runs_side_by_side_show_what_differs_first(alice, scored, unique):
    for rate in (0.1, 0.2):
        alice.wait(alice.start_run(scored, {"rate": rate, "label": "same"}, unique).run_id)
    found = alice.compare([*alice.runs(experiment=unique)])
    assert [(row.kind, row.name, row.differs) for row in found] == [
        ("param", "rate", True),
        ("param", "label", False),
        ("metric", "accuracy", False),
    ]
    artifacts = alice.artifacts(alice.runs(experiment=unique)[0])
    assert [(made.task, made.output) for made in artifacts] == [("score", "metrics")]


def test_what_tasks_return_is_compared(alice, adder, unique):
    for x in (1, 2):
        alice.wait(alice.start_run(adder, {"x": x}, unique).run_id)
    found = alice.compare([*alice.runs(experiment=unique, sort="created")])
    assert [(row.kind, row.name, row.values) for row in found] == [
        ("param", "x", [1, 2]),
        ("output", "add", [3, 4]),
    ]


def test_without_cache_every_task_is_executed(alice, scored, unique):
    first = alice.wait(alice.start_run(scored, {"rate": 0.9}, unique).run_id)
    again = alice.wait(alice.start_run(scored, {"rate": 0.9}, unique, cache=False).run_id)
    values = alice.task_values(again.run_id)
    assert not any(each.outputs.reused_from for each in values.values())
    reused = alice.wait(alice.start_run(scored, {"rate": 0.9}, unique).run_id)
    found = {each.outputs.reused_from for each in alice.task_values(reused.run_id).values()}
    assert found - {""} <= {first.run_id, again.run_id} and found != {""}


@pytest.mark.parametrize("text", ["called so", "called", "latest"])
def test_a_run_that_is_found_by_its_name_is_not_asked_for_again(serve, token_file, text):
    kfp = serve(ListedKfp, multi_user=True)
    run = kfp.add(1, tasks=[{"task_id": "t", "display_name": "train", "state": "RUNNING"}])
    kfp.runs[run]["display_name"] = "called so"
    kfp.listed = lambda noun, query: named(kfp, query)
    with closing(Client(kfp.endpoint, TokenFile(str(token_file)), "alice")) as client:
        found = client.find_run(text)
        assert [task.display_name for task in found.tasks] == ["train"]
    assert not [request for request in kfp.asked if request.path.endswith(run)]


def named(kfp, query):
    """Return the runs whose names a filter wants."""
    wanted = [*json.loads(unquote(query["filter"]))["predicates"]] if "filter" in query else []
    names = [each["string_value"] for each in wanted if each["operation"] == "EQUALS"]
    runs = [run for run in kfp.runs.values() if not names or run["display_name"] in names]
    return Answer(200, {"runs": runs, "total_size": len(runs)})
