"""Checks of any page of JupyterLab: its theme, and what axe finds."""

import json

from harness.paths import ROOT

AXE = ROOT / "labextension/node_modules/axe-core/axe.min.js"


def violations(page, *roots):
    """Return axe's findings in our own roots, by default in the views of runs."""
    page.evaluate(AXE.read_text())
    return page.evaluate(
        f"axe.run({{include: {json.dumps(roots or ['.jp-KfpMt-runView'])}}}).then("
        "found => found.violations.map(({id, nodes}) => [id, ...nodes.map(node => node.html)]))"
    )


def theme(page, name):
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.get_by_text("Theme", exact=True).hover()
    page.get_by_text(name, exact=True).click()
    light = "false" if "Dark" in name else "true"
    page.locator(f"body[data-jp-theme-light={light}]").wait_for(state="attached")
