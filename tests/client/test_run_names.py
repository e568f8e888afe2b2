"""Names of runs that are started without one."""

import json
from pathlib import Path

import pytest

from jupyter_kfp_mt.client import run_names

# The sidebar's are the same (labextension/src/run/__tests__/run_names.spec.ts).
CLONES = json.loads((Path(__file__).parents[1] / "recorded/names_of_clones.json").read_text())


@pytest.mark.parametrize(("name", "clone"), CLONES.items())
def test_a_clone_is_called_as_in_the_ui_of_kfp(name, clone):
    assert run_names.of_clone(name) == clone


def test_the_name_of_a_clone_is_no_longer_than_kfp_takes():
    assert run_names.of_clone("x" * 255) == "Clone of " + "x" * 246
