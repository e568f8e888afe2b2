"""The pipelines that are executed. As a program, this times one of them in kfp.local.

Caching is off in all of them, so that each task executes each time.
"""

# Without postponed annotations, of which kfp cannot tell the types.
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from kfp import compiler, dsl, local


@dsl.component(base_image="python:3.12")
def add(a: int, b: int) -> int:
    return a + b


@dsl.component(base_image="python:3.12")
def nap(number: int):
    import time

    time.sleep(1)


@dsl.pipeline(name="trivial")
def trivial(x: int = 1):
    add(a=x, b=1).set_caching_options(False)


@dsl.pipeline(name="chain")
def chain(x: int = 1):
    task: Any = add(a=x, b=1).set_caching_options(False)
    for _ in range(9):
        task = add(a=task.output, b=1).set_caching_options(False)


@dsl.pipeline(name="naps")
def naps():
    for number in range(10):
        nap(number=number).set_caching_options(False)


@dsl.component(base_image="python:3.12")
def short_nap():
    import time

    time.sleep(0.3)


@dsl.pipeline(name="short")
def short():
    short_nap().set_caching_options(False)


@dsl.component(base_image="python:3.12")
def long_nap():
    import time

    time.sleep(3600)


@dsl.pipeline(name="long")
def long():
    long_nap().set_caching_options(False)


def specification(folder: Path, name: str) -> Any:
    """The pipeline as the API takes it."""
    path = folder / f"{name}.yaml"
    compiler.Compiler().compile(globals()[name], str(path))
    return yaml.safe_load(path.read_text())


def main(name: str, times: int) -> None:
    """Prints how many seconds each call of the pipeline took."""
    with TemporaryDirectory(prefix="kfp-mt-bench-") as folder:
        # With a virtual environment for each task, its default, it downloads pip and setuptools
        # for each, which takes ten times as long or more.
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=folder)
        trivial()
        seconds = [_seconds(globals()[name]) for _ in range(times)]
    print(json.dumps(seconds))


def _seconds(pipeline: Any) -> float:
    started = time.perf_counter()
    pipeline()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
