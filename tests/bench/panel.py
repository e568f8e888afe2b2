"""The panel with ten thousand runs, beside what JupyterLab itself makes of ten thousand things.

Times are of the page as a person sees it: from a command to the frame in which the rows stand. CPU
is that of the page's main thread, its script, layout and painting, by Chromium's own metrics.
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.lab import FLAGS, Lab, chromium
from harness.pipelines import compiled
from playwright.sync_api import BrowserContext, CDPSession, Page, sync_playwright

from jupyter_kfp_mt.local.database import collation

from .figures import Figure
from .pipelines import trivial

MANY, ROUNDS, FRAMES = 10_000, 3, 150
PATIENCE = 300_000  # in milliseconds
PANEL = '.lm-TabBar-tab[data-id="jupyter-kfp-mt:sidebar"]'
FILES = ["filebrowser:go-to-path", {"path": "many"}]
OURS = "**/extensions/jupyter-kfp-mt/**"

# From a command to the frame in which there are rows of a text, in milliseconds.
UNTIL = """([command, args, rows, text]) => new Promise((done, failed) => {
  const start = performance.now();
  const look = () => {
    const isThere = [...document.querySelectorAll(rows)]
      .some(row => row.offsetParent && row.textContent.includes(text));
    const passed = performance.now() - start;
    if (isThere) {
      requestAnimationFrame(() => done(performance.now() - start));
    } else if (passed > 120_000) {
      failed(new Error(`There is no ${text} after ${command}`));
    } else {
      requestAnimationFrame(look);
    }
  };
  window.jupyterapp.commands.execute(command, args);
  look();
})"""

# Scrolls by about half a row in each frame, and tells how long each took.
SCROLL = """async ([list, frames]) => {
  const node = document.querySelector(list), times = [];
  let before = await new Promise(requestAnimationFrame);
  for (let frame = 0; frame < frames; frame++) {
    node.scrollTop += 20;
    const now = await new Promise(requestAnimationFrame);
    times.push(now - before);
    before = now;
  }
  return times;
}"""

# A list of JupyterLab's own class, which no extension gets at: it is the one under any notebook.
# Its rows are those of the panel, as they stand there.
WINDOWED = """count => {
  const owner = (value, name) => Object.hasOwn(value, name)
    ? value.constructor : owner(Object.getPrototypeOf(value), name);
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const List = owner(notebook, '_renderScrollbar');
  const Model = owner(notebook.viewModel, '_getItemMetadata');
  const Widget = Object.getPrototypeOf(List);
  const row = document.querySelector('.jp-KfpMt-row');
  const made = new Map();
  class Rows extends Model {
    estimateWidgetSize = () => 44;
    widgetRenderer = index => {
      if (made.has(index)) {
        return made.get(index);
      }
      const node = document.createElement('div');
      node.append(...row.cloneNode(true).childNodes);
      node.style.height = '44px';
      made.set(index, new Widget({node}));
      return made.get(index);
    };
  }
  const list = new List({model: new Rows({count, overscanCount: 8, windowingActive: true})});
  list.id = 'jupyters-own';
  window.jupyterapp.shell.add(list, 'main');
  window.jupyterapp.shell.activateById(list.id);
}"""

# Presses Start in the dialog, and tells of the row: milliseconds and frames after KFP's answer.
START = """name => new Promise((done, failed) => {
  const find = () => [...document.querySelectorAll('.jp-KfpMt-row')]
    .find(row => row.textContent.includes(name));
  let [frames, since] = [0, 0];
  const look = () => {
    const [answer] = performance.getEntriesByType('resource')
      .filter(each => /v2beta1\\/runs(\\?\\d*)?$/.test(each.name)).slice(-1);
    frames += 1;
    since += answer ? 1 : 0;
    if (answer && find()) {
      done({frames: since, after: performance.now() - answer.responseEnd});
    } else if (frames > 10_000) {
      failed(new Error(`There is no row of ${name}`));
    } else {
      requestAnimationFrame(look);
    }
  };
  performance.clearResourceTimings();
  document.querySelector('.jp-KfpMt-dialog .jp-mod-accept').click();
  requestAnimationFrame(look);
})"""

# Scrolls to the end, waiting for the rows that are still to come.
SEE_ALL = """async () => {
  const node = document.querySelector('.jp-KfpMt-rows');
  const frame = () => new Promise(requestAnimationFrame);
  while (node.scrollTop + node.clientHeight < node.scrollHeight - 1) {
    node.scrollTop += node.clientHeight;
    do { await frame(); } while (node.querySelector('.jp-mod-missing'));
  }
}"""


class ExposedLab(Lab):
    """A JupyterLab whose pages can be asked for their parts."""

    def _config(self, folder: Path) -> Path:
        config: Path = super()._config(folder)
        with config.open("a") as file:
            file.write("c.LabApp.expose_app_in_browser = True\n")
        return config


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        lab = ExposedLab(Path(folder))
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            _fill(lab, Path(folder))
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            context.set_default_timeout(PATIENCE)
            alone = _heap_alone(context, lab)
            page = context.new_page()
            yield from _first_rows(page, lab)
            yield from _requests(page, lab)
            yield from _scrolling(page)
            yield from _start(page)
            yield from _heap_of_all(page, lab, alone)
        finally:
            browser.close()
            lab.stop()


def _fill(lab: Lab, folder: Path) -> None:
    """Write many runs into the local KFP's database, and many files into a folder."""
    client = lab.client("alice/default-editor")
    client.upload_pipeline(compiled(folder, trivial), "trivial")
    first = client.start_run("trivial", name="first", experiment="many")
    client.wait(first.run_id)
    client.close()
    _copy(lab.data / "kfp.db", first.run_id)
    files = lab.root / "many"
    files.mkdir()
    for number in range(MANY):
        (files / f"file {number:05}").touch()


def _copy(database: Path, run_id: str) -> None:
    db = sqlite3.connect(database)
    collation.register(db)
    columns = [row[1] for row in db.execute("PRAGMA table_info(runs)")]
    changed = {
        "run_id": "printf('%08x-0000-4000-8000-000000000000', number)",
        "display_name": "'run ' || number",
        "workflow_name": "workflow_name || number",
        "created_at": "created_at - 60 * number",
    }
    values = ", ".join(changed.get(name, name) for name in columns)
    with db:
        db.execute(
            "WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers "
            f"WHERE number < ?) INSERT INTO runs ({', '.join(columns)}) SELECT {values} "
            "FROM numbers, (SELECT * FROM runs WHERE run_id = ?)",
            (MANY, run_id),
        )
    db.close()


def _open(page: Page, lab: Lab) -> None:
    """Load a page that knows no runs and no files yet."""
    page.goto(lab.url("lab", token=lab.token, reset=""))
    page.locator(".jp-LauncherCard").first.wait_for()


def _heap_alone(context: BrowserContext, lab: Lab) -> float:
    """Megabytes of JupyterLab without the extension."""
    page = context.new_page()
    page.route(OURS, lambda route: route.abort())
    _open(page, lab)
    heap = _heap(page)
    page.close()
    return heap


def _first_rows(page: Page, lab: Lab) -> Iterator[Figure]:
    files, runs = [], []
    for _ in range(ROUNDS):
        _open(page, lab)
        # The file browser is in front at first.
        page.locator('.jp-DirListing-item[title^="Name: many"]').wait_for()
        files.append(page.evaluate(UNTIL, [*FILES, ".jp-DirListing-item", "file 00000"]))
        runs.append(page.evaluate(UNTIL, ["kfp-mt:open", {}, ".jp-KfpMt-row", "run 1"]))
    yield Figure("first rows of 10,000 files in the file browser, ms", statistics.median(files))
    yield Figure("first rows of 10,000 runs in the panel, ms", statistics.median(runs))
    ratio = statistics.median(runs) / statistics.median(files)
    yield Figure("first rows of runs, over those of files", ratio, 1.0)


def _requests(page: Page, lab: Lab) -> Iterator[Figure]:
    """For a hundred runs with names, and for those at the end."""
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    _open(page, lab)
    page.locator(PANEL).click()
    page.locator('.jp-KfpMt-row .jp-KfpMt-of[title*="trivial, experiment: many"]').first.wait_for()
    page.evaluate("document.querySelector('.jp-KfpMt-rows').scrollTop = 60 * 44")
    page.locator(".jp-KfpMt-row").filter(has_text="run 75").wait_for()
    yield Figure("requests for a list of 100 runs", _count(asked, "/runs?"), 1)
    yield Figure("requests for the names in it", _count(asked, "/names?"), 1)
    asked.clear()
    page.locator(".jp-KfpMt-row").first.focus()
    page.keyboard.press("End")
    page.locator(".jp-KfpMt-row").filter(has_text=f"run {MANY}").wait_for()
    yield Figure("requests from there to the last", _count(asked, "/runs?"), 1)
    yield Figure("requests for its names, which are known", _count(asked, "/names?"), 0)
    page.keyboard.press("Home")


def _count(asked: list[str], path: str) -> int:
    return sum(path in url for url in asked)


def _scrolling(page: Page) -> Iterator[Figure]:
    page.locator(".jp-KfpMt-row").filter(has_text="run 1").first.wait_for()
    own, times = _scrolled(page, ".jp-KfpMt-rows")
    yield Figure("CPU of a frame of scrolling, ms", own)
    yield Figure("p95 of a frame, ms (20 on an idle machine)", _p95(times))
    page.locator('.jp-LauncherCard[title*="Python 3"]').first.click()
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()
    page.evaluate(WINDOWED, MANY)
    page.locator("#jupyters-own .jp-WindowedPanel-viewport > *").first.wait_for()
    theirs, times = _scrolled(page, "#jupyters-own .jp-WindowedPanel-outer")
    yield Figure("CPU of a frame of JupyterLab's WindowedList, ms", theirs)
    yield Figure("p95 of a frame of it, ms", _p95(times))
    yield Figure("CPU of a frame of scrolling, over that of WindowedList", own / theirs, 0.4)


def _scrolled(page: Page, rows: str) -> tuple[float, list[float]]:
    """The CPU of a frame while rows are scrolled, and how long each took, in milliseconds."""
    metrics = _metrics(page)
    page.evaluate(SCROLL, [rows, FRAMES // 5])  # what comes first is compiled first
    before = _cpu(metrics)
    times = page.evaluate(SCROLL, [rows, FRAMES])
    return (_cpu(metrics) - before) / FRAMES, times


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def _start(page: Page) -> Iterator[Figure]:
    """From the answer to Start to the row of the run."""
    page.locator('[id="jupyter-kfp-mt:sidebar"]').get_by_role("button", name="Start…").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Pipeline").select_option(label="trivial")
    form.get_by_label("x", exact=True).wait_for()
    form.get_by_label("Name", exact=True).fill("started at last")
    found = page.evaluate(START, "started at last")
    yield Figure("from KFP's answer to Start to the run's row, ms", found["after"])
    yield Figure("the same in frames", found["frames"], 2)


def _heap_of_all(page: Page, lab: Lab, alone: float) -> Iterator[Figure]:
    _open(page, lab)
    page.locator(PANEL).click()
    page.locator(".jp-KfpMt-row").first.wait_for()
    yield Figure("heap of the panel over JupyterLab's own, MB", _heap(page) - alone)
    page.evaluate(SEE_ALL)
    page.locator(".jp-KfpMt-row").filter(has_text=f"run {MANY}").wait_for()
    yield Figure("the same after all runs were seen, MB", _heap(page) - alone, 15)


def _metrics(page: Page) -> CDPSession:
    metrics = page.context.new_cdp_session(page)
    metrics.send("Performance.enable")
    return metrics


def _cpu(metrics: CDPSession) -> float:
    """Milliseconds of the page's main thread so far."""
    found: list[dict[str, Any]] = metrics.send("Performance.getMetrics")["metrics"]
    return float(1000 * sum(each["value"] for each in found if each["name"] == "TaskDuration"))


def _heap(page: Page) -> float:
    """Megabytes of JavaScript that are in use once what is not has been given back."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    session.send("HeapProfiler.collectGarbage")
    used = float(session.send("Runtime.getHeapUsage")["usedSize"] / 1e6)
    session.detach()
    return used
