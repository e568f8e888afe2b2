"""Make the animation of the README: `cd tests && python ../docs/animation.py`; it needs Pillow.

It is of a real JupyterLab on the local KFP: the tutorial's pipeline fails for its rate, one reads
why, and starts it again with a better one.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import film as films
import nbformat
import screenshots
from playwright.sync_api import expect

FILE = Path(__file__).parent / "images/first-run.gif"
# Milliseconds that a frame is shown.
SHORT, LONG = 700, 2600


def write(lab):
    """The notebook before anything was run: the pipeline is in a cell that is folded away."""
    notebook = nbformat.v4.new_notebook()
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    setup, pipeline, _ = screenshots.story()
    notebook.cells = [nbformat.v4.new_code_cell(f"{setup}\n\n{pipeline}")]
    notebook.cells[0].metadata.jupyter = {"source_hidden": True}
    nbformat.write(notebook, lab.root / "churn.ipynb")


def play(page, lab, film):
    write(lab)
    page.goto(lab.url("lab/tree/churn.ipynb", token=lab.token, reset=""))
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.get_by_role("tab", name="Kubeflow Pipelines").click()
    expect(page.get_by_role("region", name="Kubeflow Pipelines")).to_contain_text("Local KFP")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    run(page, film, "%kfp run churn -p rate=3 --watch", "Failed")
    run(page, film, "%kfp run churn -p rate=0.2 --watch", "Succeeded")


def run(page, film, line, end):
    """Type a line into the last cell, run it, and film the run until it has ended so."""
    shown = page.locator(".jp-KfpMt-runView")
    before = shown.count()
    if not before:
        page.get_by_text("Click to add a cell.").click()
    cell = page.locator(".jp-Notebook-cell .cm-content").last
    expect(cell).to_have_text("")
    cell.click()
    film.take(SHORT)
    page.keyboard.insert_text(line)
    expect(cell).to_have_text(line)
    film.take(SHORT)
    page.keyboard.press("Shift+Enter")
    view = shown.nth(before)
    view.wait_for()
    view.scroll_into_view_if_needed()
    for state in ("Running", end):
        expect(view.get_by_role("status").first).to_contain_text(state)
        view.scroll_into_view_if_needed()
        film.take(SHORT if state == "Running" else LONG)
    # The panel, the error and the log are there a moment later.
    page.wait_for_timeout(1500)
    film.take(LONG)
    for close in view.get_by_role("button", name="Close").all():
        close.click()


if __name__ == "__main__":
    films.make(FILE, 1120, 700, play)
