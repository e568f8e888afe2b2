"""The processes that execute runs: each loads what it needs, and nothing that is another's."""

import ast
import subprocess
import sys

import pytest
from harness.paths import ROOT

EXECUTION = "jupyter_kfp_mt.local.execution"


def loaded(module):
    """The package's modules that a new process has once it has imported one of them."""
    code = f"import sys, {module}; print(*(each for each in sys.modules if each.startswith('jup')))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return set(done.stdout.split())


def of(folder, modules):
    """Select the modules that are in a folder of the execution."""
    return {name for name in modules if name.startswith(f"{EXECUTION}.{folder}.")}


def test_the_server_loads_nothing_that_runs_in_a_runs_process():
    found = loaded(f"{EXECUTION}.server.run_queue")
    assert of("server", found)
    assert of("run", found) == set()


def test_the_server_starts_without_what_only_a_pipeline_from_the_web_needs():
    code = "import sys, jupyter_kfp_mt.local.server; print('requests' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


@pytest.mark.parametrize("module", ["run.fork_process", "run.pipeline_run"])
def test_a_runs_process_loads_nothing_of_the_server(module):
    found = loaded(f"{EXECUTION}.{module}")
    assert of("run", found)
    assert of("server", found) == set()
    rooms = ("api", "data", "database", "operations", "tenants", "schedules")
    foreign = {f"jupyter_kfp_mt.local.{room}" for room in rooms}
    assert not {name for name in found if name.startswith(tuple(foreign))}


def test_a_tasks_process_loads_nothing_of_its_run_and_of_the_server():
    found = loaded(f"{EXECUTION}.task.fork_process")
    assert {name.rpartition(".")[2] for name in of("task", found)} == {
        *("fork_process", "private_mounts", "task_interpreter"),
    }
    assert of("executors", found) | of("run", found) | of("server", found) == set()
    assert "jupyter_kfp_mt.models" not in found


def test_the_beginning_of_a_tasks_interpreter_needs_no_package_of_ours():
    """Python finds it there by itself, as a module that stands alone."""
    source = ROOT.joinpath("jupyter_kfp_mt/local/execution/task/task_interpreter.py").read_text()
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    names = {
        name.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import)
        for name in node.names
    } | {node.module for node in imports}
    assert all(not node.level for node in imports)
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
