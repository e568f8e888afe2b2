"""Make the pictures of the documentation: `cd tests && python ../docs/screenshots.py`.

They are of a real JupyterLab on the local KFP, in which the pipeline of the tutorial has run: once
with a rate that it refuses, and twice with others.
"""

import re
import runpy
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import nbformat
from harness.lab import FLAGS, Lab, chromium
from harness.waiting import wait_until
from playwright.sync_api import expect, sync_playwright

DOCS = Path(__file__).parent
SIZE = {"width": 1280, "height": 800}
TUTORIAL = (DOCS / "tutorial.md").read_text()


def story():
    """The first code cell of the tutorial, and a run of its pipeline that is waited for."""
    code = re.search(r"```python\n(.*?)```", TUTORIAL, re.DOTALL)[1].strip()
    return ["%load_ext jupyter_kfp_mt", code, "%kfp run churn -p rate=0.3 --wait"]


def write(lab):
    notebook = nbformat.v4.new_notebook()
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in story()]
    nbformat.write(notebook, lab.root / "churn.ipynb")


def others(lab):
    """Two more runs of the same pipeline: one succeeds, and one fails."""
    file = compiled(lab.root)
    client = lab.client("alice/default-editor")
    for rate in (0.1, 3.0):
        run = client.start_run(file, {"rate": rate}, name=f"churn at {rate}")
        wait_until(lambda run_id=run.run_id: client.run(run_id).finished, what="the end of a run")
    client.close()
    file.unlink()


def compiled(folder):
    """The tutorial's pipeline; kfp wants to read its components in a file."""
    from kfp import compiler

    source, file = folder / "churn.py", folder / "churn.yaml"
    source.write_text(story()[1])
    compiler.Compiler().compile(runpy.run_path(str(source))["churn"], str(file))
    source.unlink()
    return file


def main():
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        lab = Lab(Path(folder))
        for demo in lab.root.glob("*.ipynb"):
            demo.unlink()
        try:
            write(lab)
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            page = browser.new_page(viewport=SIZE)
            page.set_default_timeout(60_000)
            take(page, lab)
        finally:
            lab.stop()


def take(page, lab):
    expect.set_options(timeout=120_000)
    page.goto(lab.url("lab/tree/churn.ipynb", token=lab.token, reset=""))
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.get_by_role("tab", name="Kubeflow Pipelines").click()
    panel = page.get_by_role("region", name="Kubeflow Pipelines")
    expect(panel).to_contain_text("Local KFP")
    wait_until(lambda: running(lab), what="the local KFP")
    others(lab)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    view = page.locator(".jp-KfpMt-runView")
    expect(view).to_contain_text("Succeeded")
    row = panel.get_by_role("row").filter(has_text="churn at 3.0")
    expect(row).to_contain_text("Failed")
    view.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    page.screenshot(path=DOCS / "images/sidebar.png")
    row.click()
    page.keyboard.press("Enter")
    opened = page.locator(".jp-KfpMt-runView:visible")
    # The task that failed is shown at once.
    expect(opened).to_contain_text("Traceback")
    page.wait_for_timeout(1000)
    page.screenshot(path=DOCS / "images/failed-run.png")


def running(lab):
    from jupyter_kfp_mt.connection import local_kfp

    return local_kfp.running(lab.data)


if __name__ == "__main__":
    main()
