"""The headers of what a cell shows are words, not the names of our classes."""

import pytest

from jupyter_kfp_mt.models import Experiment, Page, Pipeline, RecurringRun, Run
from jupyter_kfp_mt.notebook import render

AN_ID = "0a1b2c3d-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("items", "headers"),
    [
        ([Run(run_id=AN_ID, display_name="x", state="RUNNING")], ["State", "Name", "Started"]),
        ([Experiment(experiment_id=AN_ID, display_name="x")], ["Name", "Created"]),
        ([Pipeline(pipeline_id=AN_ID, name="x", display_name="x")], ["Name", "Created"]),
        ([RecurringRun(recurring_run_id=AN_ID, display_name="x")], ["Name"]),
    ],
    ids=lambda value: type(value[0]).__name__,
)
def test_a_list_has_headers_in_words(items, headers):
    page = Page(kind=type(items[0]), items=items, total_size=1)
    text = render.text(page)
    assert [header for header in headers if header in text.replace("\n", " ").split()] == headers
