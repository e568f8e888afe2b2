"""Pictures of runs side by side."""

import xml.etree.ElementTree as ElementTree

import pytest

from jupyter_kfp_mt.client.results import Comparison, Difference
from jupyter_kfp_mt.models import Run
from jupyter_kfp_mt.notebook import render
from jupyter_kfp_mt.notebook.pictures import pictures

RUNS = [Run(display_name="one"), Run(display_name="<b>two</b>")]
RATE = Difference("param", "rate", [0.1, 0.2])
ACCURACY = Difference("metric", "accuracy", [0.75, None])
SAME = Difference("param", "epochs", [3, 3])
CURVES = {"one": [(0.0, 0.0), (0.2, 0.7), (1.0, 1.0)]}


@pytest.mark.parametrize(
    "rows, curves, told",
    [
        pytest.param([RATE, SAME], {}, ["Bars of rate"], id="one number"),
        pytest.param(
            [RATE, ACCURACY],
            {},
            ["Parallel coordinates of 2 runs: rate, accuracy"],
            id="several numbers",
        ),
        pytest.param([SAME], CURVES, ["ROC curves of 1 run"], id="a curve"),
        pytest.param([SAME, Difference("param", "on", [True, False])], {}, [], id="no numbers"),
    ],
)
def test_what_differs_is_drawn_with_a_text_for_those_who_do_not_see_it(rows, curves, told):
    made = [ElementTree.fromstring(str(each)) for each in pictures(Comparison(RUNS, rows, curves))]
    assert [each.get("aria-label") for each in made] == told
    assert all(each.get("role") == "img" for each in made)


def test_each_run_is_told_by_dashes_and_name_and_not_by_colour_alone():
    (picture,) = pictures(Comparison(RUNS, [RATE, ACCURACY]))
    drawn = ElementTree.fromstring(str(picture))
    lines = drawn.findall("{*}polyline")
    assert len({line.get("stroke-dasharray") for line in lines}) == 2
    texts = [text.text for text in drawn.findall("{*}text")]
    assert "one" in texts and "<b>two</b>" in texts
    assert "<b>two" not in str(picture)


def test_the_picture_is_beside_the_table_in_html_alone():
    found = Comparison(RUNS, [RATE, ACCURACY])
    assert "<svg" in render.html(found) and "0.75" in render.html(found)
    assert "svg" not in render.text(found)


def test_a_value_that_is_the_same_number_everywhere_is_drawn_in_the_middle():
    rows = [RATE, Difference("metric", "loss", [1.0, None])]
    (picture,) = pictures(Comparison(RUNS, rows))
    assert "nan" not in str(picture)
