"""The browser through runs: pages, filters, selection and what is done with it."""

import pytest
from harness.waiting import wait_until

from jupyter_kfp_mt.errors import Misconfigured
from jupyter_kfp_mt.notebook import browser as module


@pytest.fixture
def runs(kfp, sleeper, unique):
    """Three that go on, and end with the test."""
    started = [kfp(f"run {sleeper} -e {unique} --name {unique}-{each}") for each in range(3)]
    yield started
    kfp(f"terminate -e {unique} --yes")


def names(browser):
    return [label.split("   ")[1] for label, _ in browser.rows.options]


def test_runs_are_filtered_sorted_and_turned_page_by_page(kfp, runs, unique, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 2)
    browser = kfp(f"runs -e {unique}").browse()
    assert names(browser) == [f"{unique}-2", f"{unique}-1"]
    assert browser.count.value == "1 to 2 of 3" and browser.back.disabled
    browser.on.click()
    assert names(browser) == [f"{unique}-0"] and browser.on.disabled
    browser.sort.value = "name"
    assert names(browser) == [f"{unique}-0", f"{unique}-1"]
    browser.name.value = f"{unique}-2"
    assert names(browser) == [f"{unique}-2"]
    kept = browser.widget.children[-1].value
    assert "<table" in kept and f"name {unique}-2" in kept and "1 run in" in kept
    browser.state.value = "SUCCEEDED"
    assert names(browser) == [] and browser.count.value == "No matching runs."


def test_the_selection_is_acted_on_and_kept(kfp, runs, unique):
    browser = kfp(f"runs -e {unique}").browse()
    assert browser.actions["terminate"].tooltip == "Select runs first."
    browser.rows.value = [runs[0].run_id, runs[1].run_id]
    assert [run.run_id for run in browser.selected] == [runs[1].run_id, runs[0].run_id]
    assert "can be retried" in browser.actions["retry"].tooltip
    browser.actions["terminate"].click()
    assert browser.said.value == "Terminated 2 of 2."

    def stopped():
        browser.refresh()
        return all(run.finished for run in browser.selected)

    wait_until(stopped)
    assert len(browser.selected) == 2 and browser.actions["terminate"].disabled


def test_deleting_asks_once_more(kfp, runs, unique):
    browser = kfp(f"runs -e {unique}").browse()
    browser.rows.value = [runs[2].run_id]
    delete = browser.actions["delete"]
    delete.click()
    assert delete.description == "Delete 1 for good?" and len(names(browser)) == 3
    browser.refresh()
    assert delete.description == "Delete 1 for good?"
    browser.rows.value = [runs[1].run_id]
    assert delete.description == "Delete"
    delete.click()
    delete.click()
    assert names(browser) == [f"{unique}-2", f"{unique}-0"]


def test_what_is_refused_is_shown(kfp, runs, unique):
    browser = kfp(f"runs -e {unique}").browse()
    browser.rows.value = [runs[0].run_id]
    kfp(f"delete {runs[0].run_id} --yes")
    browser.actions["terminate"].click()
    assert "Terminated 0 of 1." in browser.said.value and runs[0].display_name in browser.said.value


def test_only_runs_are_browsed(kfp):
    with pytest.raises(Misconfigured, match="Only a list of runs"):
        kfp("experiments").browse()
