"""States: said in cells as in the sidebar, and understood in either form."""

import re

import pytest
from harness.paths import ROOT

from jupyter_kfp_mt.client.run_filters import RunFilter
from jupyter_kfp_mt.errors import BadRequest
from jupyter_kfp_mt.models import STATES
from jupyter_kfp_mt.notebook.view_parts import ShownState

SOURCE = ROOT / "labextension/src"
PANEL = dict(
    re.findall(
        r"case '([A-Z]+)':\s+return trans\.__\('(\w+)'\)", (SOURCE / "words/format.ts").read_text()
    )
)
SIGNS = dict(
    re.findall(r"^  ([A-Z]+): '(.)'", (SOURCE / "views/plain.ts").read_text(), re.MULTILINE)
)


@pytest.mark.parametrize("state", PANEL)
def test_a_state_is_said_in_cells_as_in_the_sidebar(state):
    assert str(ShownState(state)) == f"{SIGNS[state]} {PANEL[state]}"


def test_the_glossary_has_the_states_of_the_sidebar():
    [row] = re.findall(
        r"^state\n: (.*?)\n\n", (ROOT / "docs/glossary.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert PANEL.keys() == SIGNS.keys()
    assert {*PANEL.values()} <= {*re.findall(r"[A-Z][a-z]+", row)}


@pytest.mark.parametrize("state", STATES)
def test_a_state_may_be_asked_for_as_it_is_shown_or_in_capitals(state):
    shown, capitals = RunFilter(state=PANEL[state]), RunFilter(state=state)
    assert shown.predicates == capitals.predicates


def test_terminated_runs_are_among_those_that_have_failed_and_the_refusal_says_so():
    with pytest.raises(BadRequest, match="no state for terminated runs") as told:
        _ = RunFilter(state="Terminated").predicates
    assert "the failed ones" in told.value.cure
