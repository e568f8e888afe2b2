"""The kfp that the local KFP finds: too old, tried, or newer than what was tried."""

import os
import subprocess
import sys

import pytest

from jupyter_kfp_mt.local.machine.tried_kfp import NEWEST, OLDEST


def started(folder, kfp):
    """A start of the local KFP beside another version of kfp, in a folder that it refuses."""
    metadata = folder / f"packages/kfp-{kfp}.dist-info/METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: kfp\nVersion: {kfp}\n")
    (folder / "mine").write_text("a file that is not the local KFP's")
    command = [sys.executable, "-m", "jupyter_kfp_mt.local", "--data", str(folder)]
    packages = os.environ | {"PYTHONPATH": str(folder / "packages")}
    return subprocess.run(command, env=packages, capture_output=True, text=True, timeout=300)


def test_a_newer_kfp_is_met_with_a_sentence_that_names_those_that_were_tried(tmp_path):
    newer = f"{NEWEST[0]}.{NEWEST[1] + 1}.0"
    told = started(tmp_path, newer).stderr
    assert f"kfp {newer} is newer than the versions with which this local KFP was tested" in told
    assert f"pip install 'kfp[kubernetes]=={NEWEST[0]}.{NEWEST[1]}.*'" in told


@pytest.mark.parametrize("kfp", [OLDEST, NEWEST])
def test_what_was_tried_is_taken_without_a_word(tmp_path, kfp):
    assert "kfp 2" not in started(tmp_path, f"{kfp[0]}.{kfp[1]}.9").stderr


def test_an_older_kfp_is_refused_with_the_cure(tmp_path):
    ended = started(tmp_path, "2.13.0")
    assert ended.returncode == 2
    assert "needs kfp 2.14 or newer, and kfp 2.13.0 is installed" in ended.stderr
    assert "pip install 'kfp[kubernetes]>=2.14'" in ended.stderr
