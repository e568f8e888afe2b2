"""A run in a notebook's output: drawn in a real JupyterLab, with a kernel and without."""

import json
import re

import nbformat
import pytest
from harness.pages import theme, violations
from harness.pipelines import compiled
from harness.waiting import wait_until
from playwright.sync_api import expect

MIME_TYPE = "application/vnd.kfp-mt.run+json"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """A pipeline with a loop, a condition, a nested pipeline, and a task that waits for a file."""
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def wait(file: str):
        import os
        import time

        print("waiting")
        while not os.path.exists(file):
            time.sleep(0.05)

    @dsl.component(base_image="python:3.12")
    def train(rate: float, metrics: dsl.Output[dsl.Metrics]) -> str:
        metrics.log_metric("accuracy", rate)
        return "good"

    @dsl.pipeline
    def inner():
        train(rate=0.9)

    @dsl.pipeline(name="shapes")
    def pipeline(file: str):
        waited = wait(file=file).set_caching_options(False)
        with dsl.ParallelFor([0.1, 0.2]) as rate:
            trained = train(rate=rate).after(waited)
        trained = train(rate=0.5)
        with dsl.If(trained.outputs["Output"] == "bad"):
            train(rate=0.7)
        inner()

    return compiled(tmp_path_factory.mktemp("shapes"), pipeline)


class Notebook:
    """A notebook that is open in JupyterLab."""

    def __init__(self, lab, page, name, *sources):
        self.lab, self.page = lab, page
        self.path = lab.root / f"{name}.ipynb"
        notebook = nbformat.v4.new_notebook()
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
        cells = ["%load_ext jupyter_kfp_mt", *sources]
        notebook.cells = [nbformat.v4.new_code_cell(source) for source in cells]
        nbformat.write(notebook, self.path)
        self.open()
        self.idle()

    def open(self):
        url = self.lab.url(f"lab/tree/{self.path.name}", token=self.lab.token, reset="")
        self.page.goto(url)

    def idle(self):
        self.page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()

    def run_all(self):
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_text("Run All Cells", exact=True).click()

    @property
    def view(self):
        return self.page.locator(".jp-KfpMt-runView")

    def task(self, name):
        return self.view.locator(".jp-KfpMt-graphTask").filter(has_text=re.compile(f"^{name}"))

    def saved(self, number=-1):
        """A cell's first output as the file has it, by MIME types."""
        try:
            outputs = nbformat.read(self.path, 4).cells[number].outputs
        except nbformat.reader.NotJSONError:  # it is being written
            return {}
        return outputs[0].get("data", {}) if outputs else {}

    def save(self):
        with self.page.expect_response(lambda answer: answer.request.method == "PUT"):
            self.page.keyboard.press("Control+s")

    def saved_text(self, number):
        """A cell's first output as text, as the file has it after saving it."""
        self.save()
        return self.saved(number).get("text/plain", "")

    def saved_state(self):
        """The state of the run in the file, after saving it."""
        self.save()
        return json.loads(json.dumps(self.saved().get(MIME_TYPE, {}))).get("run", {}).get("state")


@pytest.fixture
def notebook(lab, page, request):
    def notebook(*sources):
        return Notebook(lab, page, re.sub(r"\W", "-", request.node.name)[:60], *sources)

    return notebook


def test_a_run_is_drawn_goes_on_after_a_reload_and_is_whole_without_a_kernel(
    notebook,
    lab,
    page,
    shapes,
    tmp_path,
):
    file = tmp_path / "go"
    cell = notebook(f"%kfp run {shapes} -p file={file} --wait")
    cell.run_all()
    expect(cell.task("wait")).to_contain_text("Running")
    expect(cell.view).to_contain_text("For each of")
    expect(cell.view).to_contain_text("inner")
    wait_until(lambda: cell.saved_state() == "RUNNING", what="saving")

    page.reload()
    expect(cell.task("wait")).to_contain_text("Running")
    file.touch()  # the kernel's own updates reach no output that was there before the reload
    expect(cell.view.get_by_role("status").filter(has_text="Succeeded")).to_be_visible()
    expect(cell.view.get_by_text("1 of 2")).to_be_visible()
    wait_until(lambda: cell.saved_state() == "SUCCEEDED", what="the last state in the file")
    assert "✓ wait" in cell.saved()["text/plain"] and "wait" in cell.saved()["text/html"]

    for session in lab_sessions(lab):
        lab_delete(lab, f"api/sessions/{session['id']}")
    broken = page.context.new_page()
    broken.route("**/kfp-mt/**", lambda route: route.abort())
    broken.goto(lab.url(f"lab/tree/{cell.path.name}", token=lab.token, reset=""))
    view = broken.locator(".jp-KfpMt-runView")
    expect(view).to_contain_text("Succeeded")
    trained = view.locator(".jp-KfpMt-graphTask").filter(has_text=re.compile("^train.*Succeeded"))
    trained.first.click()
    expect(view).to_contain_text("accuracy")


def lab_sessions(lab):
    import requests

    return requests.get(lab.url("api/sessions", token=lab.token), timeout=60).json()


def lab_delete(lab, path):
    import requests

    requests.delete(lab.url(path, token=lab.token), timeout=60).raise_for_status()


def test_a_failed_run_shows_the_users_traceback_first_and_axe_finds_nothing(
    notebook,
    page,
    failing,
):
    cell = notebook(f"%kfp run {failing} --wait")
    cell.run_all()
    details = cell.view.get_by_role("group", name="Task fail")
    expect(details.get_by_role("alert")).to_contain_text("ValueError: no more")
    expect(details.get_by_role("alert")).to_contain_text("lines of the executor")
    expect(details.get_by_role("log")).to_contain_text("59")
    details.get_by_label("Search the log").fill("5")
    expect(details.get_by_role("status")).to_contain_text("1 of")
    assert violations(page) == []
    for tab in ("Time line", "Run", "Graph"):
        cell.view.get_by_role("tab", name=tab).click()
        assert violations(page) == [], tab
    theme(page, "JupyterLab Dark")
    assert violations(page) == []
    theme(page, "JupyterLab Light")


def test_a_run_is_walked_through_and_stopped_by_keyboard_alone(
    notebook,
    page,
    shapes,
    tmp_path,
):
    cell = notebook(f"%kfp run {shapes} -p file={tmp_path / 'never'}")
    cell.run_all()
    expect(cell.task("wait")).to_contain_text("Running")
    cell.view.get_by_role("tab", name="Graph").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    reached = page.locator("[data-item]:focus")
    first = reached.get_attribute("data-item")
    page.keyboard.press("ArrowRight")
    assert reached.get_attribute("data-item") != first
    cell.task("wait").focus()
    page.keyboard.press("Enter")
    expect(cell.view.get_by_role("log")).to_contain_text("waiting")
    page.keyboard.press("Escape")

    cell.view.get_by_role("button", name="Terminate").focus()
    page.keyboard.press("Enter")
    cell.view.get_by_role("group", name="Terminate this run?").get_by_role(
        "button", name="Terminate"
    ).focus()
    page.keyboard.press("Enter")
    expect(cell.view.get_by_role("status").filter(has_text="Terminated")).to_be_visible()
    terminate = cell.view.get_by_role("button", name="Terminate", exact=True)
    expect(terminate).to_be_disabled()

    cell.view.get_by_role("button", name="Clone…").click()
    form = page.get_by_role("dialog", name="Start a run in alice")
    expect(form.get_by_label("Name", exact=True)).to_have_value(re.compile("^Clone of "))
    page.keyboard.press("Escape")
    expect(form).to_have_count(0)


def test_a_front_end_without_our_extension_has_the_same_view_as_a_widget(
    notebook,
    page,
    failing,
):
    started = f"run = get_ipython().run_line_magic('kfp', 'run {failing}')"
    cards = "get_ipython().magics_manager.registry['KfpMagics'].cards"
    cell = notebook(started, f"cards = {cards}\ncards.widget(cards.of(run))")
    cell.run_all()
    details = cell.view.get_by_role("group", name="Task fail")
    expect(details.get_by_role("alert")).to_contain_text("ValueError: no more")
    expect(details.get_by_role("log")).to_contain_text("59")
    assert violations(page) == []
    cell.view.get_by_role("button", name="Clone").click()
    cell.view.get_by_role("button", name="Clone").click()
    expect(cell.view).to_contain_text("Clone of")


def test_forms_and_lists_of_runs_come_back_after_a_reload_and_are_readable_without_a_kernel(
    notebook,
    lab,
    page,
    adder,
):
    listed = "get_ipython().run_line_magic('kfp', 'runs').browse()"
    cell = notebook(f"%kfp run {adder} --form", listed)
    cell.run_all()
    number = page.get_by_title("x", exact=True)
    number.fill("12345")
    expect(page.get_by_title("Start", exact=True)).to_be_enabled()
    wait_until(lambda: "12345" in cell.saved_text(1), what="the form in the file")

    page.reload()
    expect(number).to_have_value("12345")
    page.get_by_title("Name of the run").fill("after-reload")
    page.get_by_title("Start", exact=True).click()
    expect(cell.view).to_contain_text("after-reload")  # below the form, as before
    expect(page.locator(".widget-select-multiple option").first).to_contain_text("after-reload")
    for name in ("JupyterLab Dark", "JupyterLab Dark High Contrast", "JupyterLab Light"):
        theme(page, name)
        listed = ".jp-OutputArea-output:has(.widget-select-multiple)"
        assert violations(page, listed) == [], name
    wait_until(lambda: "Started after-reload" in cell.saved_text(1), what="the start in the file")
    wait_until(lambda: "after-reload" in cell.saved_text(2), what="the list in the file")

    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_text("Restart Kernel…", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Confirm Kernel Restart").click()
    form, runs = (page.locator(".jp-KfpMt-controls").nth(number) for number in (0, 1))
    expect(form).to_contain_text("This has lost its kernel")
    expect(form.get_by_role("cell", name="12345")).to_be_visible()
    expect(runs.get_by_role("cell", name="after-reload")).to_be_visible()
    form.get_by_role("button", name="Run its cell again").click()
    expect(page.get_by_title("Start", exact=True)).to_be_visible()
    expect(form).not_to_contain_text("This has lost its kernel")

    for session in lab_sessions(lab):
        lab_delete(lab, f"api/sessions/{session['id']}")
    # Another kernel is there then, which knows nothing of the widgets.
    cell.open()
    cell.idle()
    form, runs = (page.locator(".jp-KfpMt-controls").nth(number) for number in (0, 1))
    expect(form.get_by_role("cell", name="12345")).to_be_visible()
    expect(form).to_contain_text("Started after-reload")
    expect(runs.get_by_role("cell", name="after-reload")).to_be_visible()
    expect(form.get_by_text("model not found")).to_be_hidden()
    expect(page.get_by_title("Start", exact=True)).to_have_count(0)
