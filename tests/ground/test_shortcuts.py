"""Our keyboard shortcuts are nobody else's: JupyterLab skips one that is taken."""

import json
import sys
from pathlib import Path

from harness.paths import ROOT


def shortcuts(folder):
    """The keys of the commands in the schemas of a folder."""
    found = {}
    for path in Path(folder).rglob("*.json"):
        for each in json.loads(path.read_text()).get("jupyter.lab.shortcuts", []):
            found[each["command"]] = tuple(each.get("keys", ()))
    return found


def test_no_shortcut_is_one_of_jupyterlabs():
    theirs = shortcuts(Path(sys.prefix, "share/jupyter/lab/schemas"))
    ours = shortcuts(ROOT / "labextension/schema")
    assert theirs["toc:show-panel"] == ("Accel Shift K",) and ours
    assert set(ours.values()).isdisjoint(theirs.values())
