"""JupyterLab in a process, and a page of a browser for each test."""

import pytest
import requests
from harness import secrecy
from harness.lab import FLAGS, Lab, chromium
from harness.waiting import wait_until
from playwright.sync_api import expect, sync_playwright

from jupyter_kfp_mt.connection import local_kfp

# In milliseconds; the limit of a page does not reach what is expected of it.
expect.set_options(timeout=60_000)


@pytest.fixture
def jp_asyncio_loop():
    """None: no Jupyter server runs in this process, and Playwright has a loop of its own."""


@pytest.fixture
def jp_server_cleanup():
    """Nothing to clean up, likewise."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.stop()
    # Its local KFP was started for it, and goes with it.
    wait_until(lambda: local_kfp.running(lab.data) is None, what="the end of the local KFP")


@pytest.fixture(autouse=True)
def usual_namespace(request):
    """Have the Jupyter server be its usual identity, in its usual namespace, after each test."""
    yield
    if "lab" in request.fixturenames:
        lab = request.getfixturevalue("lab")
        for choice in ("identity", "namespace"):
            headers = {"Authorization": f"token {lab.token}"}
            answer = requests.put(lab.url(f"kfp-mt/{choice}"), headers=headers, timeout=60)
            assert answer.ok, answer.text


@pytest.fixture(scope="session")
def profile(tmp_path_factory):
    """The folder of a browser's profile, in whose cache JupyterLab's own files stay."""
    return tmp_path_factory.mktemp("profile")


@pytest.fixture(scope="module")
def browser(tmp_path_factory, profile):
    """A browser; whatever Jupyter servers have answered it is searched for tokens in the end.

    For one module, since Playwright's loop runs in this thread for as long as it is there.
    """
    traffic = tmp_path_factory.mktemp("browser") / "traffic.har"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=chromium(),
            args=FLAGS,
            viewport={"width": 1280, "height": 800},
            reduced_motion="reduce",  # else every frame of what turns is drawn by the processor
            record_har_path=traffic,
            record_har_url_filter="**/kfp-mt/**",
        )
        browser.set_default_timeout(60_000)
        yield browser
        browser.close()
    assert not secrecy.tells_token(traffic.read_text())


@pytest.fixture
def page(browser):
    """A page of a browser that knows of no page before it."""
    first, *_ = browser.pages
    page = browser.new_page()
    yield page
    origin = page.evaluate("location.origin")
    for each in browser.pages:
        if each is not first:
            each.close()
    browser.set_offline(False)
    storage = browser.new_cdp_session(first)
    storage.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
    storage.detach()
    browser.clear_cookies()
