"""Durations of runs and tasks, in cells."""

from datetime import timedelta

import pytest

from jupyter_kfp_mt.notebook.formats import duration_text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "under 1 s"),
        (0, "under 1 s"),
        (0.9, "under 1 s"),
        (1, "1 s"),
        (9.9, "9 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3605, "1 h"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_has_no_more_than_whole_seconds(seconds, words):
    assert duration_text(timedelta(seconds=seconds)) == words
