"""Make the animation of the sidebar: `cd tests && python ../docs/sidebar_animation.py`.

It needs Pillow, and is of a real JupyterLab on the local KFP: a run is started from the dialog with
a rate that the tutorial's pipeline refuses, its graph is watched, and the failed task says why.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import film as films
from harness.waiting import wait_until
from playwright.sync_api import expect
from screenshots import compiled, running

FILE = Path(__file__).parent / "images/run.webp"


def play(page, lab, film):
    panel = opened(page, lab)
    film.take()
    panel.get_by_role("button", name="Start…", exact=True).first.click()
    form = page.get_by_role("dialog")
    form.get_by_label("Pipeline").select_option(label="churn")
    rate = form.get_by_label("rate", exact=True)
    rate.wait_for()
    film.take()
    rate.fill("3.0")
    form.get_by_label("Name", exact=True).fill("churn at 3.0")
    film.take()
    form.get_by_role("button", name="Start", exact=True).click()
    row = panel.get_by_role("row").filter(has_text="churn at 3.0")
    row.wait_for()
    film.take(films.MOVING)
    row.click()
    view = page.locator(".jp-KfpMt-runView:visible")
    view.wait_for()
    failure = view.get_by_role("alert").filter(has_text="Traceback")
    film.take_until(lambda: failure.count() > 0)
    failure.wait_for()
    film.take(2 * films.READ)


def opened(page, lab):
    """Return the panel, with the pipeline uploaded and no run yet."""
    page.goto(lab.url("lab", token=lab.token, reset=""))
    page.locator(".jp-LauncherCard").first.wait_for()
    page.get_by_role("tab", name="Kubeflow Pipelines").click()
    panel = page.get_by_role("region", name="Kubeflow Pipelines")
    expect(panel).to_contain_text("Local KFP")
    wait_until(lambda: running(lab), what="the local KFP")
    file = compiled(lab.root)
    client = lab.client("alice/default-editor")
    client.upload_pipeline(file, "churn")
    client.close()
    file.unlink()
    return panel


if __name__ == "__main__":
    films.make(FILE, 960, 600, play)
