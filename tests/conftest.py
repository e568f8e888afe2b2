"""Rules for every test: no token is shown, and fixtures come from harness/ and fakes/."""

import os
import signal

import pytest
from harness import secrecy

pytest_plugins = [
    "pytest_jupyter.jupyter_server",
    "harness.local_kfp",
    "harness.pipelines",
    "harness.jupyter_server",
    "fakes.kubernetes_api",
    "fakes.guarded_kfp",
    "fakes.listed_kfp",
    "harness.live_events",
    "harness.real_kubernetes",
]


# Beside pytest's own exit statuses, the last of which is 5.
NOT_AGAIN = 6
SHOWN = "A token is in what this test shows"


def pytest_configure():
    secrecy.watch()
    # Who is started in the background, or by nohup, ignores these, and so does what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_xdist_auto_num_workers():
    """Two for each processor: a test waits for half of its time."""
    return 2 * os.cpu_count()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """A test that shows a token has failed, whatever else it is about."""
    report = yield
    said = "".join([text for _, text in report.sections] + [report.longreprtext])
    where = [*secrecy.SHOWN, *(["its log or output"] if secrecy.tells_token(said) else [])]
    secrecy.SHOWN.clear()
    if where:
        report.outcome = "failed"
        report.longrepr = f"{SHOWN}: {', '.join(where)}."
        report.sections = []
    return report


@pytest.fixture
def jp_nbconvert_templates():
    """None: no server of a test exports a notebook, and to copy them for each takes long."""


@pytest.fixture(scope="session", autouse=True)
def no_log_tells_a_token():
    yield
    assert secrecy.telling_logs() == []


def pytest_sessionfinish(session):
    """Tests that failed may be run again, by `.ci/pytest_twice.py`; what this names may not."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return  # a worker, whose reports are at the controller
    reports = [*reporter.stats.get("failed", ()), *reporter.stats.get("error", ())]
    if any(getattr(report, "when", "") == "teardown" or _tells(report) for report in reports):
        session.exitstatus = NOT_AGAIN


def _tells(report):
    return report.longreprtext.startswith(SHOWN)
