"""Moving pictures of a page, as GIF or WebP; they need Pillow."""

import time
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.lab import FLAGS, Lab, chromium
from PIL import Image
from playwright.sync_api import expect, sync_playwright

LARGEST = 600_000
# Milliseconds that a picture is looked at: while something moves, and where there is much to read.
MOVING, READ = 250, 2_000
COLOURS = 64
TIMEOUT = 120_000


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

    def take_until(self, is_over):
        end = time.monotonic() + TIMEOUT / 1000
        while not is_over() and time.monotonic() < end:
            self.take(MOVING)

    def save(self, path):
        images = [Image.open(BytesIO(picture)).convert("RGB") for picture, _ in self._frames]
        if path.suffix == ".gif":
            images = [each.quantize(COLOURS, dither=Image.Dither.NONE) for each in images]
            options = {"optimize": True}
        else:
            options = {"quality": 60, "method": 6}
        times = [milliseconds for _, milliseconds in self._frames]
        first, *others = images
        first.save(path, save_all=True, append_images=others, duration=times, loop=0, **options)
        assert path.stat().st_size <= LARGEST, path.stat().st_size


def make(path, width, height, play):
    """Film what `play` does, given a page, a JupyterLab without demos, and the film."""
    expect.set_options(timeout=TIMEOUT)
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        lab = Lab(Path(folder))
        for demo in lab.root.glob("*.ipynb"):
            demo.unlink()
        try:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(TIMEOUT)
            film = Film(page)
            play(page, lab, film)
            film.save(path)
        finally:
            lab.stop()
