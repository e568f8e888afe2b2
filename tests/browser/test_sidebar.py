"""The sidebar and its pages as people use them: in a real JupyterLab, on a real local KFP."""

import os
import re
import signal
import sqlite3
from contextlib import contextmanager

import jwt
import nbformat
import pytest
from harness.pages import theme, violations
from harness.pipelines import compiled
from playwright.sync_api import expect

from jupyter_kfp_mt.connection import local_kfp
from jupyter_kfp_mt.local.database import collation

THEMES = ("JupyterLab Dark", "JupyterLab Dark High Contrast", "JupyterLab Light")


@pytest.fixture
def alice(lab):
    client = lab.client("alice/default-editor")
    yield client
    client.close()


@pytest.fixture
def pipeline(alice, adder):
    """A pipeline of alice's that takes x; the same for all tests."""
    if not any(each.name == "adder" for each in alice.pipelines()):
        alice.upload_pipeline(adder, "adder")
    return "adder"


class Panel:
    """The sidebar in a fresh JupyterLab."""

    def __init__(self, lab, page, path="lab", **parameters):
        self.page = page
        page.goto(lab.url(path, token=lab.token, reset="", **parameters))
        # The launcher takes the focus when it opens.
        page.locator(".jp-LauncherCard, .jp-Notebook").first.wait_for()
        page.get_by_role("tab", name="Kubeflow Pipelines").click()
        self.node = page.get_by_role("region", name="Kubeflow Pipelines")
        self.node.get_by_role("tab", name="Runs", exact=True).wait_for()

    def row(self, text):
        return self.node.get_by_role("row").filter(has_text=text)

    def show(self, name):
        self.node.get_by_role("tab", name=name, exact=True).click()

    def button(self, name):
        return self.node.get_by_role("button", name=name, exact=True)

    def dialog_button(self, name):
        return self.page.get_by_role("dialog").get_by_role("button", name=name, exact=True)


@pytest.fixture
def panel(lab, page):
    return Panel(lab, page)


def count(panel):
    return panel.node.locator(".jp-KfpMt-count")


def test_a_run_is_started_in_two_clicks_and_seen_to_succeed(panel, pipeline):
    panel.button("Start…").first.click()
    form = panel.page.get_by_role("dialog", name="Start a run in alice")
    form.get_by_label("Pipeline").select_option(label=pipeline)
    form.get_by_label("x", exact=True).fill("one")
    panel.dialog_button("Start").click()
    expect(form.get_by_role("alert")).to_have_text("It takes a whole number.")
    form.get_by_label("x", exact=True).fill("1")
    form.get_by_label("Name", exact=True).fill("started here")
    panel.dialog_button("Start").click()
    expect(form).to_be_hidden()
    expect(panel.row("started here")).to_contain_text("Succeeded")
    expect(panel.row("started here")).to_contain_text(pipeline)
    expect(panel.page.get_by_text("started here finished: succeeded").last).to_be_attached()


def saves_page_of_a_run(request):
    """Tell whether the layout is saved with the page of a run in it."""
    is_layout = "/api/workspaces/" in request.url and request.method == "PUT"
    return is_layout and "kfp-mt-runs" in (request.post_data or "")


def test_a_failed_run_shows_its_task_and_its_log_after_one_click(lab, panel, alice, failing):
    alice.start_run(failing, name="doomed")
    row = panel.row("doomed")
    expect(row).to_contain_text("Failed")
    with panel.page.expect_request(saves_page_of_a_run):
        row.click()
    run = panel.page.get_by_role("region", name="doomed")
    expect(run.get_by_role("alert").filter(has_text="Traceback")).to_contain_text("no more")
    expect(run.get_by_role("log")).to_contain_text("59")

    # It is there again after a reload.
    panel.page.goto(lab.url("lab", token=lab.token))
    expect(panel.page.get_by_role("region", name="doomed").get_by_role("log")).to_contain_text("59")


def test_runs_are_archived_restored_and_deleted_by_keyboard_alone(panel, alice, adder):
    for number in (1, 2):
        alice.start_run(adder, {"x": number}, name=f"keyed {number}")
    keys = panel.page.keyboard
    search = panel.node.get_by_label("Search names")
    search.focus()
    keys.type("keyed")
    expect(count(panel)).to_have_text("2 runs")
    expect(panel.row("keyed 2")).to_contain_text("Succeeded")
    expect(panel.row("keyed 1")).to_contain_text("Succeeded")
    panel.row("keyed 2").focus()
    keys.press("Control+a")
    panel.button("Archive").press("Enter")
    expect(panel.node.get_by_text("Nothing matches")).to_be_visible()

    panel.button("Filters").press("Enter")
    panel.node.get_by_label("Archived").focus()
    keys.press(" ")
    expect(count(panel)).to_have_text("2 runs")
    panel.row("keyed 2").focus()
    keys.press("ArrowDown")
    expect(panel.row("keyed 1")).to_be_focused()
    keys.press(" ")
    panel.button("Restore").press("Enter")
    expect(count(panel)).to_have_text("1 run")

    panel.row("keyed 2").focus()
    keys.press("Delete")
    question = panel.page.get_by_role("dialog")
    expect(question).to_contain_text("Delete keyed 2? This cannot be undone.")
    keys.press("Escape")
    expect(count(panel)).to_have_text("1 run")
    panel.row("keyed 2").focus()
    keys.press("Delete")
    panel.dialog_button("Delete").press("Enter")
    expect(panel.node.get_by_text("Nothing matches")).to_be_visible()
    left = [run.display_name for run in alice.runs() if run.display_name.startswith("keyed")]
    assert left == ["keyed 1"]


def test_a_run_is_cloned_with_other_parameters_and_terminated(panel, alice, adder, sleeper):
    alice.start_run(adder, {"x": 1}, name="an original")
    panel.row("an original").click(button="right")
    panel.page.get_by_role("menuitem", name="Clone…").click()
    form = panel.page.get_by_role("dialog", name="Start a run in alice")
    expect(form.get_by_label("x", exact=True)).to_have_value("1")
    form.get_by_label("x", exact=True).fill("7")
    panel.dialog_button("Start").click()
    expect(panel.row("Clone of an original")).to_contain_text("Succeeded")
    found = alice.find_run("Clone of an original")
    assert found.runtime_config.parameters["x"] == 7

    alice.start_run(sleeper, name="endless")
    expect(panel.row("endless")).to_contain_text("Running")
    panel.row("endless").click(button="right")
    panel.page.get_by_role("menuitem", name="Terminate").click()
    panel.dialog_button("Terminate").click()
    expect(panel.row("endless")).to_contain_text("Terminated")
    panel.row("endless").click()
    page = panel.page.get_by_role("region", name="endless")
    expect(page.get_by_role("status").first).to_have_text("Terminated")
    expect(page.locator("[data-state=FAILED]")).to_have_count(0)
    whole = panel.page.locator(".jp-MainAreaWidget").filter(has=page)
    expect(whole.get_by_role("button", name=re.compile("^Clone"))).to_have_count(1)


def test_the_toolbar_of_a_runs_page_has_all_that_can_be_done_with_it(panel, alice, adder):
    run = alice.start_run(adder, {"x": 1}, name="kept on its page")
    expect(panel.row("kept on its page")).to_contain_text("Succeeded")
    panel.row("kept on its page").click()
    tools = panel.page.locator(".jp-MainAreaWidget").get_by_role("toolbar")
    page = panel.page.get_by_role("region", name="kept on its page")
    expect(page.get_by_role("button", name=re.compile("^(Terminate|Retry|Clone)"))).to_have_count(0)
    offered = re.compile("^(Clone…|Insert|Archive|Delete)")
    expect(tools.get_by_role("button", name=offered)).to_have_count(4)
    expect(tools.get_by_role("button")).to_have_count(4)
    archive, restore = (
        tools.get_by_role("button", name=name, exact=True) for name in ("Archive", "Restore")
    )
    archive.press("Enter")
    expect(restore).to_be_enabled()
    expect(archive).to_be_hidden()
    assert alice.run(run.run_id).archived
    assert tools.evaluate("tools => tools.contains(document.activeElement)"), "the focus is lost"
    restore.press("Enter")
    expect(archive).to_be_enabled()
    expect(restore).to_be_hidden()
    assert not alice.run(run.run_id).archived


ORIGIN = "Which x?\n\nNotebook: {}\nCell: 7 (cell-b)\nStarted by: alice"


def test_a_run_leads_back_to_the_cell_that_started_it(lab, panel, alice, adder):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(f"{id}", id=f"cell-{id}") for id in "abc"]
    )
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    nbformat.write(notebook, lab.root / "origin.ipynb")
    described = ORIGIN.format(f"{lab.root.name}/origin.ipynb")
    alice.start_run(adder, {"x": 1}, name="from a cell", description=described)
    row = panel.row("from a cell")
    expect(row).to_contain_text("Succeeded")
    row.click()
    page = panel.page.get_by_role("region", name="from a cell")
    page.get_by_role("button", name="origin.ipynb, cell 7").click()
    active = panel.page.locator(".jp-Notebook .jp-Cell.jp-mod-active")
    expect(active).to_contain_text("b")


def test_a_recurring_run_is_scheduled_disabled_and_deleted(panel, alice, pipeline):
    panel.show("Recurring")
    panel.button("Schedule…").first.click()
    form = panel.page.get_by_role("dialog", name="Schedule a recurring run in alice")
    form.get_by_label("Pipeline").select_option(label=pipeline)
    form.get_by_label("x", exact=True).fill("1")
    form.get_by_label("Name", exact=True).fill("nightly")
    cron = form.get_by_label("Cron expression")
    cron.fill("30 6 * * 1")
    form.get_by_role("button", name="Insert 0 seconds").click()
    expect(cron).to_have_value("0 30 6 * * 1")
    expect(form.get_by_text("At 06:30, only on Monday").last).to_be_visible()
    expect(form.locator(".jp-KfpMt-times li")).to_have_count(5)
    expect(form.get_by_text("starts runs only while it is running")).to_be_visible()
    cron.fill("0 0 0 * * 9")
    expect(form.get_by_text("KFP cannot read it")).to_be_visible()
    cron.fill("0 30 6 * * 1")
    panel.dialog_button("Schedule").click()
    row = panel.row("nightly")
    expect(row).to_contain_text("Enabled")
    row.click(button="right")
    panel.page.get_by_role("menuitem", name="Disable", exact=True).click()
    expect(row).to_contain_text("Disabled")
    row.click(button="right")
    panel.page.get_by_role("menuitem", name="Delete").click()
    panel.dialog_button("Delete").click()
    expect(row).to_have_count(0)
    assert [each for each in alice.recurring_run_page() if each.display_name == "nightly"] == []


def test_a_pipeline_is_uploaded_from_a_file_opened_and_deleted(panel, adder):
    panel.show("Pipelines")
    panel.button("Upload…").first.click()
    form = panel.page.get_by_role("dialog", name="Upload a pipeline")
    panel.dialog_button("Upload").click()
    expect(form.get_by_role("alert")).to_contain_text("Choose a file")
    form.get_by_label("File").set_input_files(adder)
    expect(form.get_by_label("Name", exact=True)).to_have_value("adder")
    form.get_by_label("Name", exact=True).fill("from a file")
    panel.dialog_button("Upload").click()
    panel.row("from a file").click()
    page = panel.page.get_by_role("region", name="from a file")
    expect(page.get_by_role("heading", name="1 version")).to_be_visible()
    name = page.locator(".jp-KfpMt-graphTask .jp-KfpMt-graphName")
    expect(name).to_have_text("add")
    assert name.evaluate("node => node.scrollWidth <= node.clientWidth"), "the name is cut"
    assert violations(panel.page, ".jp-KfpMt-page") == []

    panel.row("from a file").click(button="right")
    panel.page.get_by_role("menuitem", name="New version…").click()
    panel.page.get_by_role("dialog").get_by_label("File").set_input_files(adder)
    panel.dialog_button("Upload").click()
    expect(panel.page.get_by_text("identical to the version before it")).to_be_visible()
    panel.page.get_by_role("button", name="Delete the new version").click()
    expect(panel.page.get_by_text("The new version is deleted")).to_be_visible()

    panel.row("from a file").click(button="right")
    panel.page.get_by_role("menuitem", name="Delete").click()
    panel.dialog_button("Delete").click()
    expect(panel.row("from a file")).to_have_count(0)


HTML = (
    "<h1>Report</h1><p id=p>quiet</p><script>document.getElementById('p').innerText='ran'</script>"
)
MARKDOWN = "**bold** ![seen](http://127.0.0.1:9/seen.png)"


@pytest.fixture(scope="module")
def reporting(tmp_path_factory):
    """The compiled YAML of a pipeline whose task writes HTML and Markdown."""
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def report(html: dsl.Output[dsl.HTML], markdown: dsl.Output[dsl.Markdown], h: str, m: str):
        for artifact, text in ((html, h), (markdown, m)):
            with open(artifact.path, "w") as file:
                file.write(text)

    @dsl.pipeline(name="reporting")
    def pipeline(h: str, m: str):
        report(h=h, m=m)

    return compiled(tmp_path_factory.mktemp("reporting"), pipeline)


def test_what_a_task_wrote_for_people_is_shown_and_neither_runs_nor_fetches(
    panel, alice, reporting
):
    asked = []
    panel.page.on("request", lambda sent: asked.append(sent.url))
    alice.start_run(reporting, {"h": HTML, "m": MARKDOWN}, name="reported")
    row = panel.row("reported")
    expect(row).to_contain_text("Succeeded")
    row.click()
    run = panel.page.get_by_role("region", name="reported")
    run.get_by_role("button", name="report Succeeded").click()
    shows = run.get_by_role("button", name="Show", exact=True)
    shows.first.click()
    expect(shows).to_have_count(1)
    shows.click()
    frame = run.frame_locator("iframe.jp-KfpMt-viewDocument")
    expect(frame.get_by_role("heading", name="Report")).to_be_visible()
    expect(frame.locator("#p")).to_have_text("quiet")
    drawn = run.locator("div.jp-KfpMt-viewDocument")
    expect(drawn.locator("strong")).to_have_text("bold")
    assert drawn.locator("img[src]").count() == 0
    assert not [url for url in asked if "seen.png" in url]


def test_runs_are_compared_side_by_side(panel, alice, adder):
    for number in (3, 4):
        alice.start_run(adder, {"x": number}, name=f"compared {number}")
    expect(panel.row("compared 4")).to_contain_text("Succeeded")
    expect(panel.row("compared 3")).to_contain_text("Succeeded")
    panel.row("compared 3").click(modifiers=["Control"])
    panel.row("compared 4").click(modifiers=["Control"])
    panel.button("Compare").click()
    page = panel.page.get_by_role("region", name="Compare 2 runs")
    expect(page.get_by_role("row", name=re.compile("x 3 4"))).to_be_visible()
    same = page.get_by_role("row", name="add Succeeded Succeeded")
    expect(same).to_be_visible()
    page.get_by_label("Only differences").check()
    expect(same).to_have_count(0)
    expect(page.get_by_role("row", name=re.compile("x 3 4"))).to_be_visible()
    assert violations(panel.page, ".jp-KfpMt-page") == []


def reach(panel, goal):
    """Press Tab until something has the focus; fail if it is not among the next sixty stops."""
    for _ in range(60):
        panel.page.keyboard.press("Tab")
        if goal.evaluate("node => node === document.activeElement"):
            return
    pytest.fail(f"Tab does not lead to {goal}")


def test_what_is_done_by_mouse_is_done_by_keyboard_alone(panel, pipeline):
    keys = panel.page.keyboard
    form = panel.page.get_by_role("dialog", name="Start a run in alice")
    keys.press("Alt+Shift+K")  # the panel
    for number in ("1", "2"):
        reach(panel, panel.button("Start…").first)
        keys.press("Enter")
        expect(form.get_by_label("Pipeline")).to_be_focused()
        keys.type(pipeline)
        expect(form.get_by_label("x", exact=True)).to_be_visible()
        reach(panel, form.get_by_label("x", exact=True))
        keys.type(number)
        reach(panel, form.get_by_label("Name", exact=True))
        keys.press("Control+a")
        keys.type(f"typed {number}")
        keys.press("Enter")
        expect(form).to_be_hidden()
        expect(panel.row(f"typed {number}")).to_contain_text("Succeeded")
    reach(panel, panel.node.locator("[role=row][tabindex='0']"))
    keys.press("Home")
    expect(panel.row("typed 2")).to_be_focused()

    # A context menu, which gives the focus back.
    for key in ("Shift+F10", "ContextMenu"):
        keys.press(key)
        expect(panel.page.get_by_role("menuitem", name="Clone…")).to_be_visible()
        keys.press("Escape")
        expect(panel.row("typed 2")).to_be_focused()
    keys.press("Shift+ArrowDown")
    reach(panel, panel.button("Compare"))
    keys.press("Enter")
    compared = panel.page.get_by_role("region", name="Compare 2 runs")
    reach(panel, compared.get_by_label("Only differences"))
    keys.press("Alt+Shift+K")
    expect(panel.row("typed 1")).to_be_focused()
    keys.press("Enter")
    run = panel.page.get_by_role("region", name="typed 1")
    reach(panel, run.get_by_role("tab", name="Graph"))
    keys.press("ArrowRight")
    expect(run.get_by_role("tab", name="Time line")).to_be_focused()
    keys.press("Shift+Tab")
    tools = panel.page.locator(".jp-MainAreaWidget").filter(has=run).get_by_role("toolbar")
    assert tools.evaluate("tools => tools.contains(document.activeElement)")

    reach(panel, panel.node.get_by_role("tab", name="Runs", exact=True))
    keys.press("ArrowLeft")
    expect(panel.node.get_by_role("tab", name="Pipelines")).to_be_focused()
    expect(panel.row(pipeline)).to_be_visible()


def test_a_pipeline_and_an_experiment_show_their_runs(panel, alice, pipeline, sleeper):
    alice.create_experiment("a group of its own")
    alice.start_run(pipeline, {"x": 1}, experiment="a group of its own", name="of both")
    alice.start_run(pipeline, {"x": 2}, name="of the pipeline")
    alice.start_run(sleeper, name="of neither")
    panel.show("Pipelines")
    panel.row(pipeline).click(button="right")
    panel.page.get_by_role("menuitem", name="Show its runs").click()
    expect(panel.row("of the pipeline")).to_be_visible()
    expect(panel.row("of both")).to_be_visible()
    expect(panel.row("of neither")).to_have_count(0)

    panel.show("Experiments")
    panel.row("a group of its own").click()
    expect(count(panel)).to_have_text("1 run")
    expect(panel.row("of both")).to_be_visible()


def test_of_alice_nothing_is_left_once_another_namespace_is_shown(lab, panel, alice, adder):
    alice.start_run(adder, {"x": 1}, name="for alice alone")
    expect(panel.row("for alice alone")).to_be_visible()
    team = lab.client("team/default-editor")
    team.start_run(adder, {"x": 1}, name="of the team")
    team.close()
    panel.node.locator(".jp-KfpMt-chooser > button").click()
    panel.node.get_by_role("option", name=re.compile("^team")).click()
    expect(panel.row("of the team")).to_be_visible()
    for name in ("Recurring", "Experiments", "Pipelines", "Runs"):
        panel.show(name)
        expect(count(panel)).not_to_have_text("")
    assert "for alice alone" not in panel.page.content()

    panel.node.locator(".jp-KfpMt-chooser > button").click()
    panel.node.get_by_role("option", name="All my namespaces").click()
    expect(panel.row("for alice alone")).to_contain_text("alice")
    expect(panel.row("of the team")).to_contain_text("team")


def test_as_another_tenant_nothing_of_alice_is_left_in_the_panel_or_on_pages(
    lab, panel, alice, adder
):
    for number in (1, 2):
        alice.start_run(adder, {"x": number}, name=f"for alice's eyes {number}")
        expect(panel.row(f"for alice's eyes {number}")).to_contain_text("Succeeded")
    bob = lab.client("bob/default-editor")
    bob.start_run(adder, {"x": 1}, name="of bob")
    bob.close()
    panel.row("for alice's eyes 1").click()
    panel.page.get_by_role("region", name="for alice's eyes 1").get_by_role("tab").first.wait_for()
    panel.row("for alice's eyes 2").click(modifiers=["Control"])
    panel.button("Compare").click()
    compared = panel.page.get_by_role("region", name="Compare 2 runs")
    expect(compared).to_contain_text("for alice's eyes 2")

    panel.node.locator(".jp-KfpMt-connection").press("Enter")
    panel.node.get_by_label("Work as").select_option("bob/default-editor")
    expect(panel.node.locator(".jp-KfpMt-connection")).to_contain_text("bob / default-editor")
    expect(panel.row("of bob")).to_contain_text("Succeeded")
    expect(compared.get_by_role("alert")).to_contain_text("bob:default-editor")
    panel.page.get_by_role("tab", name="Run", exact=True).first.click()
    page = panel.page.get_by_role("region", name="Run", exact=True)
    expect(page.get_by_role("alert")).to_contain_text("bob:default-editor")
    assert "for alice's eyes" not in panel.page.content()

    panel.node.get_by_label("Work as").select_option("alice/default-editor")
    expect(panel.row("for alice's eyes 1")).to_be_visible()
    expect(panel.row("of bob")).to_have_count(0)
    page = panel.page.get_by_role("region", name="for alice's eyes 1")
    expect(page.get_by_role("status").first).to_have_text("Succeeded")


def test_a_local_kfp_that_is_killed_comes_back_under_the_open_panel_and_page(
    lab, panel, alice, adder
):
    alice.start_run(adder, {"x": 1}, name="before the end")
    row = panel.row("before the end")
    expect(row).to_contain_text("Succeeded")
    row.click()
    page = panel.page.get_by_role("region", name="before the end")
    page.get_by_role("tab").first.wait_for()
    os.kill(local_kfp.running(lab.data).pid, signal.SIGKILL)
    panel.node.locator(".jp-KfpMt-refresh").click()
    again = lab.client("alice/default-editor")
    again.start_run(adder, {"x": 1}, name="after it")
    again.close()
    expect(panel.row("after it")).to_contain_text("Succeeded")
    expect(row).to_contain_text("Succeeded")
    expect(panel.node.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_role("status").first).to_have_text("Succeeded")


@contextmanager
def expired(lab, identity):
    """Have the token of an identity expire, until there is another one."""
    file = lab.data / "tokens" / identity / "token"
    token, key = file.read_text(), next((lab.data / "keys").iterdir()).read_bytes()
    claims = jwt.decode(token, options={"verify_signature": False})
    file.write_text(jwt.encode({**claims, "exp": claims["iat"] - 60}, key, "HS256"))
    yield
    file.write_text(token)


def test_while_server_or_token_are_away_the_list_stays_is_marked_and_goes_on(
    lab, panel, alice, adder
):
    alice.start_run(adder, {"x": 1}, name="seen before")
    expect(panel.row("seen before")).to_be_visible()
    panel.page.context.set_offline(True)
    panel.node.locator(".jp-KfpMt-refresh").click()
    expect(panel.node.get_by_role("alert")).to_contain_text("does not respond")
    expect(count(panel)).to_contain_text("from a moment ago")
    expect(panel.row("seen before")).to_be_visible()
    assert panel.page.get_by_role("dialog").count() == 0
    panel.page.context.set_offline(False)
    expect(panel.node.get_by_role("alert")).to_have_count(0)

    with expired(lab, "alice/default-editor"):
        panel.node.locator(".jp-KfpMt-refresh").click()
        expect(panel.node.get_by_role("alert")).to_contain_text("expired")
        expect(count(panel)).to_contain_text("from a moment ago")
        expect(panel.row("seen before")).to_be_visible()
        assert panel.page.get_by_role("dialog").count() == 0
    alice.start_run(adder, {"x": 1}, name="seen after")
    expect(panel.row("seen after")).to_contain_text("Succeeded")
    expect(panel.node.get_by_role("alert")).to_have_count(0)


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "\u202edesrever \u2066{{constructor}}",
    "a very long name " * 7,
]


def test_names_are_text_whatever_they_hold(panel, alice, adder):
    panel.page.on("dialog", lambda dialog: pytest.fail(f"A name has run: {dialog.message}"))
    for name in HOSTILE:
        alice.start_run(adder, {"x": 1}, name=name)
        expect(panel.node.get_by_role("row").filter(has_text=name.strip())).to_be_visible()
    panel.node.get_by_role("row").filter(has_text=HOSTILE[0]).click()
    expect(panel.page.get_by_role("region", name=HOSTILE[0])).to_contain_text(HOSTILE[0])
    page = panel.page.locator(".jp-KfpMt-Sidebar, .jp-KfpMt-page")
    assert page.locator("img, script").count() == 0


# A file that is dragged from the desktop, which no mouse of Playwright's can.
DROP = """(node, [name, text]) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([text], name));
  for (const type of ['dragover', 'drop']) {
    node.dispatchEvent(new DragEvent(type, {dataTransfer, bubbles: true, cancelable: true}));
  }
}"""


def drag(page, thing, place):
    """Drag with the mouse, in a few steps as a hand does."""
    start, end = thing.bounding_box(), place.bounding_box()
    page.mouse.move(start["x"] + 40, start["y"] + 8)
    page.mouse.down()
    page.mouse.move(start["x"] + 60, start["y"] + 20, steps=4)
    page.mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2, steps=8)
    page.mouse.up()


def test_runs_go_to_the_notebook_by_menu_and_mouse_and_files_to_the_panel(lab, page, alice, adder):
    run = alice.start_run(adder, {"x": 1}, name="to be shown")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    nbformat.write(notebook, lab.root / "insert.ipynb")
    panel = Panel(lab, page, "lab/tree/insert.ipynb")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    panel.row("to be shown").click(button="right")
    page.get_by_role("menuitem", name="Insert into the notebook").click()
    cells = page.locator(".jp-Notebook .jp-Cell")
    expect(cells.nth(1)).to_contain_text(f"%kfp show {run.run_id}")
    drag(page, panel.row("to be shown"), cells.nth(0))
    expect(cells).to_have_count(3)
    expect(cells.filter(has_text=f"%kfp show {run.run_id}")).to_have_count(2)

    panel.node.evaluate(DROP, ["dropped.yaml", adder.read_text()])
    form = page.get_by_role("dialog", name="Upload a pipeline")
    expect(form.get_by_label("Name", exact=True)).to_have_value("dropped")
    panel.dialog_button("Upload").click()
    expect(form).to_be_hidden()
    assert alice.pipeline_named("dropped")


# The lists with buttons that open a dialog, and the title of this.
DIALOGS = {
    "Recurring": ("Schedule…", "Schedule a recurring run in alice"),
    "Experiments": ("New…", "New experiment"),
    "Pipelines": ("Upload…", "Upload a pipeline"),
}


def test_axe_finds_nothing_in_three_themes(panel, alice, adder, pipeline):
    for number in (1, 2):
        alice.start_run(adder, {"x": number}, name=f"looked at {number}")
        expect(panel.row(f"looked at {number}")).to_contain_text("Succeeded")
    panel.row("looked at 1").click(modifiers=["Control"])
    panel.row("looked at 2").click(modifiers=["Control"])
    panel.button("Compare").click()
    panel.row("looked at 1").click()
    panel.page.get_by_role("region", name="looked at 1").get_by_role("tab").first.wait_for()
    panel.show("Pipelines")
    panel.row(pipeline).click()
    pages = [
        panel.page.get_by_role("main").get_by_role("tab", name=name)
        for name in ("Compare 2 runs", "looked at 1", pipeline)
    ]
    panel.show("Runs")
    panel.button("Filters").click()
    for name in THEMES:
        theme(panel.page, name)
        for page in pages:
            page.click()
            assert violations(panel.page, ".jp-KfpMt-page") == [], (name, page)
        for tab, (button, title) in DIALOGS.items():
            panel.show(tab)
            panel.button(button).first.click()
            panel.page.get_by_role("dialog", name=title).wait_for()
            assert violations(panel.page, ".jp-KfpMt-form") == [], (name, title)
            panel.dialog_button("Cancel").click()
        for tab in ("Recurring", "Experiments", "Pipelines", "Runs"):
            panel.show(tab)
            expect(count(panel)).not_to_have_text("")
            assert violations(panel.page, ".jp-KfpMt-Sidebar") == [], (name, tab)
        panel.row("looked at 2").click(modifiers=["Control"])
        panel.button("Start…").first.click()
        panel.page.get_by_role("dialog").get_by_label("Pipeline").wait_for()
        assert violations(panel.page, ".jp-KfpMt-Sidebar", ".jp-KfpMt-form") == [], name
        panel.dialog_button("Cancel").click()
        panel.node.locator(".jp-KfpMt-connection").click()
        panel.node.get_by_text("checks passed").click()
        assert violations(panel.page, ".jp-KfpMt-Sidebar") == [], (name, "connection")
        panel.page.keyboard.press("Escape")
        panel.button("Delete").click()
        panel.page.get_by_role("dialog").get_by_text("This cannot be undone").wait_for()
        assert violations(panel.page, ".jp-KfpMt-form") == [], (name, "question")
        panel.dialog_button("Cancel").click()
        panel.row("looked at 2").click(modifiers=["Control"])


def test_the_panel_is_in_menu_palette_and_launcher(panel):
    page = panel.page
    panel.node.get_by_role("tab", name="Runs", exact=True).wait_for()
    page.get_by_role("tab", name="File Browser").click()
    expect(panel.node).to_be_hidden()
    page.get_by_role("menuitem", name="View", exact=True).click()
    page.get_by_role("menuitem", name="Show Kubeflow Pipelines").click()
    expect(panel.node).to_be_visible()
    expect(page.locator(".jp-LauncherCard").filter(has_text="Kubeflow Pipelines")).to_be_visible()
    expect(page.locator(".jp-KfpMt-status")).to_contain_text("running")


def many(lab, name, number):
    """So many runs like one that there is, each a minute older than the one before."""
    db = sqlite3.connect(lab.data / "kfp.db")
    collation.register(db)
    columns = [row[1] for row in db.execute("PRAGMA table_info(runs)")]
    changed = {
        "run_id": "printf('%08x-0000-4000-8000-000000000000', number)",
        "display_name": "'one of many ' || number",
        "workflow_name": "workflow_name || number",
        "created_at": "created_at - 60 * number",
    }
    with db:
        db.execute(
            "WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers "
            f"WHERE number < ?) INSERT INTO runs ({', '.join(columns)}) SELECT "
            f"{', '.join(changed.get(name, name) for name in columns)} FROM numbers, "
            "(SELECT * FROM runs WHERE display_name = ?)",
            (number, name),
        )
    db.close()


def test_the_end_of_ten_thousand_runs_is_one_key_and_one_request_away(lab, page, alice, adder):
    alice.start_run(adder, {"x": 1}, name="the first of many")
    many(lab, "the first of many", 10_000)
    panel = Panel(lab, page)
    panel.node.get_by_label("Search names").fill("many")
    expect(count(panel)).to_have_text("10,001 runs")
    asked = []
    page.on("request", lambda sent: asked.append(sent.url) if "/runs?" in sent.url else None)
    panel.row("the first of many").focus()
    page.keyboard.press("End")
    expect(panel.row("one of many 10000")).to_be_focused()
    assert len(asked) == 1
    assert panel.node.get_by_role("row").count() < 100
    page.keyboard.press("Home")
    expect(panel.row("the first of many")).to_be_focused()
