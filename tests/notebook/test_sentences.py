"""The sentences under what a cell shows: in good English, whatever was asked and is there."""

import pytest

from jupyter_kfp_mt.client.listings import Feed, Listing
from jupyter_kfp_mt.client.run_filters import RunFilter, order
from jupyter_kfp_mt.models import Page, Pipeline, Run
from jupyter_kfp_mt.notebook import help as magic_help
from jupyter_kfp_mt.notebook.render import text
from jupyter_kfp_mt.notebook.verbs import VERBS


def listing(kind, namespaces, count, **more):
    pages = [[kind() for _ in range(count)], *([] for _ in namespaces[1:])]
    feeds = [
        Feed(namespace, lambda token, size, page=page: Page(kind=kind, items=page))
        for namespace, page in zip(namespaces, pages, strict=True)
    ]
    return Listing(kind, feeds, **more)


@pytest.mark.parametrize(
    "found, said",
    [
        pytest.param(
            listing(Pipeline, ["alice", ""], 0),
            "No pipelines found in namespace alice or shared with everyone.",
            id="own and shared",
        ),
        pytest.param(
            listing(Run, ["alice"], 1, order=order("name")),
            "1 run in namespace alice, by name",
            id="sorted",
        ),
        pytest.param(
            listing(Run, ["alice", "bob"], 1, order=order("-finished")),
            "1 run in 2 namespaces, by finished, the other way round",
            id="sorted backwards",
        ),
        pytest.param(
            listing(
                *(Run, ["alice"], 0),
                filters=RunFilter(state="FAILED").words,
                unfiltered=lambda: 1,
            ),
            "that fit state Failed.\nWithout these filters there is 1.",
            id="one left out",
        ),
    ],
)
def test_a_list_says_where_it_looked_and_how_much_there_is(found, said):
    assert text(found).endswith(said)


def test_each_verb_has_one_line_in_the_help():
    named = [verb.name for _, verbs in magic_help.GROUPS for verb in verbs]
    assert sorted(named) == sorted(verb.name for verb in VERBS)
    assert "  " not in magic_help.overview().split("upload ")[1].splitlines()[0].strip()
