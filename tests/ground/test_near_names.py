"""The name that was most likely meant."""

import pytest

from jupyter_kfp_mt import near_names

NAMES = ["churn-20260131-093000", "daily report", "train"]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        pytest.param("tarin", "train", id="letters in another order"),
        pytest.param("chrun", "churn-20260131-093000", id="the beginning of a long name"),
        pytest.param("chrn-20260131-093000", "churn-20260131-093000", id="a letter too few"),
        pytest.param("dialy", "daily report", id="the first word"),
        pytest.param("evaluate", "", id="something else"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_a_name_is_meant_by_what_is_like_it_or_its_beginning(word, name):
    assert near_names.meant_whole(word, NAMES) == name
