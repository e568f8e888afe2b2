"""Compiled pipelines that tests run."""

import warnings

import pytest


@pytest.fixture(scope="session")
def adder(tmp_path_factory):
    """The compiled YAML of a pipeline with a parameter without default and one with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from kfp import compiler, dsl

        @dsl.component
        def add(a: int, b: int) -> int:
            print("adding", a, "and", b)
            return a + b

        @dsl.pipeline(name="adder")
        def pipeline(x: int, label: str = "sum"):
            add(a=x, b=2).set_caching_options(False)

        path = tmp_path_factory.mktemp("adder") / "adder.yaml"
        compiler.Compiler().compile(pipeline, str(path))
    return path


def compiled(folder, pipeline):
    """The YAML file of a pipeline function."""
    from kfp import compiler

    path = folder / f"{pipeline.name}.yaml"
    compiler.Compiler().compile(pipeline, str(path))
    return path


@pytest.fixture(scope="session")
def sleeper(tmp_path_factory):
    """The compiled YAML of a pipeline that goes on until it is stopped."""
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def sleep():
        import time

        time.sleep(600)

    @dsl.pipeline(name="sleeper")
    def pipeline():
        sleep()

    return compiled(tmp_path_factory.mktemp("sleeper"), pipeline)


@pytest.fixture(scope="session")
def failing(tmp_path_factory):
    """The compiled YAML of a pipeline whose one task, `fail`, writes 60 lines and fails."""
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def fail():
        for number in range(60):
            print(number)
        raise ValueError("no more")

    @dsl.pipeline(name="failing")
    def pipeline():
        fail()

    return compiled(tmp_path_factory.mktemp("failing"), pipeline)


@pytest.fixture(scope="session")
def scored(tmp_path_factory):
    """The compiled YAML of a pipeline whose one task, `score`, logs a metric."""
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def score(rate: float, label: str, metrics: dsl.Output[dsl.Metrics]):
        metrics.log_metric("accuracy", 0.75)

    @dsl.pipeline(name="scored")
    def pipeline(rate: float, label: str = "none"):
        score(rate=rate, label=label)

    return compiled(tmp_path_factory.mktemp("scored"), pipeline)


@pytest.fixture(scope="session")
def skipping(tmp_path_factory):
    """The compiled YAML of a pipeline whose task `skipped` comes after one that fails."""
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def fail():
        raise ValueError

    @dsl.component(base_image="python:3.12")
    def skipped():
        pass

    @dsl.pipeline(name="skipping")
    def pipeline():
        skipped().after(fail())

    return compiled(tmp_path_factory.mktemp("skipping"), pipeline)


@pytest.fixture
def talker(tmp_path):
    """A run's pipeline whose one task writes, and goes on when it is told to by a file."""
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def talk(file: str):
        import pathlib
        import time

        print("first", flush=True)
        print("sec", end="", flush=True)
        while not pathlib.Path(file).exists():
            time.sleep(0.02)
        print("ond", flush=True)

    @dsl.pipeline(name="talker")
    def pipeline(file: str):
        talk(file=file).set_caching_options(False)

    return compiled(tmp_path, pipeline)
