"""The browser through runs behind a Jupyter server: it is told of changes, and of permissions."""

import asyncio
import threading

import pytest
from harness.jupyter_server import server_config
from harness.waiting import wait_until

from jupyter_kfp_mt.notebook import browser as module


@pytest.fixture
def jp_server_config(local_kfp, tmp_path, monkeypatch):
    monkeypatch.setenv("KFP_MT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(module, "REFRESH_SECONDS", 3600.0)  # nothing is found out by asking
    bob = str(local_kfp.token_file("bob/default-editor"))  # he may view alice's
    return server_config(endpoint=local_kfp.endpoint, token_file=bob, namespace="alice")


@pytest.fixture
def kfp(shell):
    """Return a function that runs `%kfp LINE` while the Jupyter server answers on this loop."""
    return lambda line="": asyncio.to_thread(shell.run_line_magic, "kfp", line)


async def test_it_shows_what_is_new_and_greys_what_the_role_does_not_allow(
    door, kfp, create_run, experiment
):
    listed = await kfp(f"runs -e {experiment.experiment_id}")
    browser = await asyncio.to_thread(listed.browse)
    assert browser.rows.options == ()
    following = threading.Thread(target=browser._follow)
    following.start()
    try:
        await asyncio.to_thread(create_run, display_name="started later")
        await asyncio.to_thread(wait_until, lambda: browser.rows.options)
        ((label, run_id),) = browser.rows.options
        assert "started later" in label
        browser.rows.value = [run_id]
        tooltips = {name: button.tooltip for name, button in browser.actions.items()}
        assert tooltips["terminate"] == "You may not terminate runs in alice."
        assert tooltips["clone"] == "You may not clone runs in alice."
        assert browser.actions["delete"].disabled and not browser.show.disabled
    finally:
        browser.close()
        await asyncio.to_thread(following.join, 60)
    assert not following.is_alive()
