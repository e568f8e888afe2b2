"""Fixtures that the tests of the local KFP share."""

import os

import pytest
import yaml


@pytest.fixture(scope="session")
def labelled(adder, tmp_path_factory):
    """The adder, with a default for each of its parameters: old clients send texts alone."""
    spec = yaml.safe_load(adder.read_text())
    spec["root"]["inputDefinitions"]["parameters"]["x"]["defaultValue"] = 1
    path = tmp_path_factory.mktemp("labelled") / "labelled.yaml"
    path.write_text(yaml.dump(spec))
    return path


@pytest.fixture(scope="session")
def home():
    """The process from which executors of tests fork their runs."""
    from harness.own_executor import Home

    home = Home()
    yield home
    home.close()


@pytest.fixture
def kfp(tmp_path, home, request):
    """An executor of the test's own; the parameter, if any, is how many runs execute at once."""
    from harness.own_executor import Kfp

    kfp = Kfp(tmp_path, *getattr(request, "param", ()), home=home)
    yield kfp
    kfp.close()


@pytest.fixture
def alone(tmp_path, request):
    """The same with a fork server of its own, which is started during the test."""
    from harness.own_executor import Kfp

    kfp = Kfp(tmp_path, *getattr(request, "param", ()))
    yield kfp
    kfp.close()


@pytest.fixture
def lifeline(tmp_path):
    from harness.own_executor import Lifeline

    lifeline = Lifeline(tmp_path)
    yield lifeline
    os.close(lifeline.descriptor)
