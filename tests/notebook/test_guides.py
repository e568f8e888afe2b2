"""The tutorial and the README's quick start, run cell by cell on the local KFP."""

import re

import pytest
from harness.paths import ROOT

from jupyter_kfp_mt.errors import RunFailed

# Python, or lines of %kfp; what a terminal takes is no cell.
CELL = re.compile(r"^```(?:python)?\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def cells(shell, as_alice):
    """Run the cells of a page; what each returned or raised, by its code."""

    def cells(page, most=None):
        text = re.sub(r"^```console.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        ran = [(code, shell.run_cell(code)) for code in CELL.findall(text)[:most]]
        assert len(ran) > 1
        return ran

    return cells


def test_the_readmes_quick_start_runs(cells):
    ran = cells(ROOT / "README.md", most=2)  # after it come examples of other verbs
    assert [result.error_in_exec or result.error_before_exec for _, result in ran] == [None] * 2
    assert ran[-1][1].result.state == "SUCCEEDED"


def test_the_tutorial_runs_and_fails_where_it_says_so(cells):
    failed = []
    for code, result in cells(ROOT / "docs/tutorial.md"):
        error = result.error_in_exec or result.error_before_exec
        if "rate=3" in code:
            assert isinstance(error, RunFailed)
            failed.append(error)
        else:
            assert error is None, code
        if "compare" in code:
            names = [row.name for row in result.result if row.differs]
            assert {"rate", "accuracy"} <= {name.rpartition(".")[2] for name in names}
    assert "must be between 0 and 1" in str(failed[0])
