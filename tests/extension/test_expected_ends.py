"""When a run is likely to end, by what earlier ones of its pipeline took."""

from datetime import datetime, timedelta, timezone

import pytest

from jupyter_kfp_mt.extension.expected_ends import REPORTED, next_end
from jupyter_kfp_mt.models import PipelineVersionReference, Run

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
LATER = REPORTED.total_seconds()


def run(ago, took=None, state="SUCCEEDED", version="v1", schedule=""):
    """A run that began so many seconds ago, and took so many or goes on."""
    created = NOW - timedelta(seconds=ago)
    return Run(
        run_id=f"{ago}-{took}",
        created_at=created,
        finished_at=None if took is None else created + timedelta(seconds=took),
        state="RUNNING" if took is None else state,
        pipeline_version_reference=PipelineVersionReference("p", version) if version else None,
        recurring_run_id=schedule,
    )


@pytest.mark.parametrize(
    "runs, expected",
    [
        pytest.param([], None, id="none"),
        pytest.param([run(60)], None, id="the first of its pipeline"),
        pytest.param([run(60), run(900, 100)], 40 + LATER, id="as long as the one before"),
        pytest.param([run(60), run(900, 50), run(2000, 70)], 10 + LATER, id="or as another one"),
        pytest.param([run(60), run(900, 50)], None, id="longer than ever"),
        pytest.param([run(60), run(900, 100, version="v2")], None, id="another version"),
        pytest.param([run(60), run(900, 100, "FAILED")], None, id="one that failed half way"),
        pytest.param([run(60, version=""), run(900, 100, version="")], None, id="from files"),
        pytest.param(
            [run(60, version="", schedule="s"), run(900, 100, version="", schedule="s")],
            40 + LATER,
            id="of a schedule",
        ),
        pytest.param([run(60), run(20), run(900, 100)], 40 + LATER, id="the first of two"),
        pytest.param(
            [run(60), *(run(1000 + each, 50) for each in range(5)), run(9000, 100)],
            None,
            id="by the newest alone",
        ),
    ],
)
def test_a_run_is_likely_to_take_as_long_as_earlier_ones(runs, expected):
    assert next_end(runs, NOW) == expected
