"""What befalls a machine: processes killed, disks full, folders read-only."""

import random

import pytest
import yaml
from conftest import compiled
from killing import kill_under_load


@pytest.fixture(scope="session")
def waiter_spec(tmp_path_factory):
    """A pipeline whose one task takes a moment."""
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def wait():
        import time

        time.sleep(0.3)

    @dsl.pipeline(name="waiter")
    def pipeline():
        wait().set_caching_options(False)

    return yaml.safe_load(compiled(tmp_path_factory.mktemp("waiter"), pipeline).read_text())


@pytest.mark.parametrize("number", range(10))
def test_nothing_acknowledged_is_lost_and_nothing_left_when_the_server_is_killed(
    tmp_path, profiles, waiter_spec, number
):
    seconds = random.uniform(0.05, 1.0)
    checked = kill_under_load(tmp_path / "data", profiles, waiter_spec, seconds)
    assert checked.creates > 0, seconds
