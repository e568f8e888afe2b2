"""Fixtures that the tests of the extension share."""

import pytest


@pytest.fixture
def home(door, jp_serverapp, jp_base_url):
    """The address of the same server for browsers."""
    return f"http://127.0.0.1:{jp_serverapp.port}{jp_base_url.rstrip('/')}"
