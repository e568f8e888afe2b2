"""Make the animation of the sidebar: `cd tests && python ../docs/sidebar_animation.py`.

It takes Pillow, and is of a real JupyterLab on the local KFP: a run is started from the dialog with
a rate that the tutorial's pipeline refuses, its graph is watched, and the failed task says why.
"""

import sys
import time
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from harness.lab import FLAGS, Lab, chromium
from harness.waiting import wait_until
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from screenshots import compiled, running

TARGET = Path(__file__).parent / "images/run.webp"
SIZE = {"width": 960, "height": 600}
LARGEST = 600_000
# Milliseconds that a picture is looked at: while something moves, and where there is much to read.
MOVING, READ = 250, 1_600


class Film:
    """Pictures of a page, each with its time; one like the one before makes that longer."""

    def __init__(self, page):
        self._page = page
        self._frames = []

    def take(self, milliseconds=READ):
        picture = self._page.screenshot()
        if self._frames and self._frames[-1][0] == picture:
            milliseconds += self._frames.pop()[1]
        self._frames.append((picture, milliseconds))

    def take_until(self, is_over, seconds=120):
        end = time.monotonic() + seconds
        while not is_over() and time.monotonic() < end:
            self.take(MOVING)

    def save(self, path):
        images = [Image.open(BytesIO(picture)).convert("RGB") for picture, _ in self._frames]
        first, *others = images
        first.save(
            path,
            save_all=True,
            append_images=others,
            duration=[milliseconds for _, milliseconds in self._frames],
            loop=0,
            quality=60,
            method=6,
        )
        assert path.stat().st_size <= LARGEST, path.stat().st_size


def main():
    expect.set_options(timeout=120_000)
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        lab = Lab(Path(folder))
        for demo in lab.root.glob("*.ipynb"):
            demo.unlink()
        try:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            page = browser.new_page(viewport=SIZE)
            page.set_default_timeout(60_000)
            film = Film(page)
            play(page, lab, film)
            film.save(TARGET)
        finally:
            lab.stop()


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
    film.take(MOVING)
    row.click()
    view = page.locator(".jp-KfpMt-runView:visible")
    view.wait_for()
    failure = view.get_by_role("alert").filter(has_text="Traceback")
    film.take_until(lambda: failure.count() > 0)
    failure.wait_for()
    film.take(2 * READ)


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
    main()
