"""The graph of a run with a thousand tasks, in Chromium: from data to drawn, and after a change.

Counted is the CPU time of the page's main thread, its script, layout and painting, by Chromium's
own metrics. What draws is the kernel's bundle, which has the same views as the labextension.
"""

from __future__ import annotations

import gzip
import os
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page, sync_playwright

from .figures import Figure

STATIC = Path(__file__).parent.parent.parent / "jupyter_kfp_mt" / "static"
TASKS, ROUNDS = 1000, 7
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]

# Draws data in a new element, and waits until that is on the screen.
DRAW = """async ({source, data}) => {
  window.view ??= await import(URL.createObjectURL(new Blob([source], {type: 'text/javascript'})));
  window.undraw?.();
  window.heard = {};
  const state = {data, refusals: {}};
  window.model = {
    get: name => state[name], set: (name, value) => { state[name] = value; },
    on: (event, call) => { window.heard[event] = call; }, off: () => {}, send: () => {},
  };
  document.body.replaceChildren();
  const el = document.body.appendChild(document.createElement('div'));
  window.undraw = window.view.default.render({model: window.model, el});
  const frame = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  await frame();
  await frame();
  return el.querySelectorAll('.jp-KfpMt-graphTask').length;
}"""

# Tells of another state of one task.
CHANGE = """async task => {
  const data = window.model.get('data');
  const tasks = data.tasks.map(each => each.task_id === task.task_id ? task : each);
  window.model.set('data', {...data, tasks});
  window.heard['change:data']({});
  const frame = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  await frame();
  await frame();
}"""


def figures() -> Iterator[Figure]:
    source = (STATIC / "view.js").read_text()
    whole = len(gzip.compress(source.encode())) / 1000
    yield Figure("the kernel's bundle of all views, kB after gzip", whole, 30)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_style_tag(content=(STATIC / "view.css").read_text())
        for shape, before in SHAPES.items():
            yield from _of_shape(page, source, shape, _data(before))
        browser.close()


def _of_shape(page: Page, source: str, shape: str, data: dict[str, Any]) -> Iterator[Figure]:
    drawn, changed = [], []
    metrics = page.context.new_cdp_session(page)
    metrics.send("Performance.enable")
    for number in range(ROUNDS):
        start = _cpu(metrics)
        assert page.evaluate(DRAW, {"source": source, "data": data}) > 0
        middle = _cpu(metrics)
        state = "FAILED" if number % 2 else "SUCCEEDED"
        page.evaluate(CHANGE, {**data["tasks"][0], "state": state})
        drawn.append(middle - start)
        changed.append(_cpu(metrics) - middle)
    what = f"ms of CPU, {TASKS:,} tasks, {shape}"
    yield Figure(f"graph from data to drawn, {what}", statistics.median(drawn), 60)
    yield Figure(f"graph after a change of one task, {what}", statistics.median(changed), 8)


def _cpu(metrics_of: CDPSession) -> float:
    """Milliseconds of the page's main thread so far."""
    metrics = metrics_of.send("Performance.getMetrics")["metrics"]
    return 1000 * sum(each["value"] for each in metrics if each["name"] == "TaskDuration")


# Which tasks each one comes after.
SHAPES = {
    "a chain": lambda n: [n - 1] if n else [],
    "a fan": lambda n: [0] if n else [],
    "layers of forty": lambda n: [n - 40, n - 40 - n % 7] if n >= 50 else [],
}


def _data(before: Any) -> dict[str, Any]:
    names = [f"task-{number}" for number in range(TASKS)]
    tasks = {
        name: {"dependentTasks": [names[each] for each in before(number)]}
        for number, name in enumerate(names)
    }
    started = "2026-11-29T05:00:00Z"
    states = [
        {"task_id": name, "display_name": name, "state": "RUNNING", "start_time": started}
        for name in names
    ]
    run = {"run_id": "r", "display_name": "large", "state": "RUNNING", "created_at": started}
    spec = {"root": {"dag": {"tasks": tasks}}, "components": {}}
    return {"run": run, "spec": spec, "tasks": states, "seen_at": started}


def _chromium() -> str:
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    found = next(filter(None, map(shutil.which, filter(None, names))), None)
    if found is None:
        raise SystemExit("Install Chromium, or name one in the variable CHROMIUM.")
    return found
