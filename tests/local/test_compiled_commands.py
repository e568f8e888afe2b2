"""Python components as every version of kfp since 2.0 has compiled them, and what they install."""

import shlex
import sys
from pathlib import Path

import pytest
from harness.file_server import serving
from harness.own_executor import Kfp, compiled, component, make_wheel
from kfp import dsl

from jupyter_kfp_mt.local.execution.compiled_commands import component as compiled_component
from jupyter_kfp_mt.local.execution.executors.containers import why_needed
from jupyter_kfp_mt.local.execution.executors.package_installs import as_run_here


@component(install_kfp_package=False)
def double(n: int) -> int:
    return 2 * n


@dsl.pipeline
def doubling(n: int = 4):
    double(n=n)


CONTAINER = compiled(doubling)[0]["deploymentSpec"]["executors"]["exec-double"]["container"]
SOURCE = CONTAINER["command"][3]
ARGS = CONTAINER["args"]
PIP = "python3 -m pip install --quiet     --no-warn-script-location"
EXECUTOR_MODULE = {"2.0": "kfp.components.executor_main", "2.1": "kfp.dsl.executor_main"}
NO_DEPS = "'--no-deps' 'typing-extensions>=3.7.4,<5; python_version<\"3.9\"'"
VENV = (
    "\nexport PIP_DISABLE_PIP_VERSION_CHECK=1\ntmp=$(mktemp -d)\n"
    'python3 -m venv "$tmp/venv" --system-site-packages\n. "$tmp/venv/bin/activate"\n'
)


def unquoted(words):
    """Quoted where a shell needs it."""
    return shlex.join(shlex.split(words))


def inner(version="2.1"):
    """The script that runs the component, as of this version."""
    runtime = "" if version == "2.0" else "_KFP_RUNTIME=true "
    return (
        f"program_path=$(mktemp -d)\n{'' if version == '2.0' else chr(10)}"
        'printf "%s" "$0" > "$program_path/ephemeral_component.py"\n'
        f"{runtime}python3 -m {EXECUTOR_MODULE[version]}                         "
        '--component_module_path                         "$program_path/ephemeral_component.py"'
        '                         "$@"\n'
    )


def outer(commands):
    """The script that installs something first."""
    return (
        '\nif ! [ -x "$(command -v pip)" ]; then\n    python3 -m ensurepip || '
        "python3 -m ensurepip --user || apt-get install python3-pip\nfi\n\n"
        f'PIP_DISABLE_PIP_VERSION_CHECK=1 {commands} && "$0" "$@"\n'
    )


def command(version, install=""):
    installing = ["sh", "-c", outer(install)] if install else []
    return [*installing, "sh", "-ec", inner(version), SOURCE, *ARGS]


WITHOUT_PACKAGES = [
    pytest.param("2.0", f"{PIP} 'kfp==2.0.1'", id="2.0.1"),
    pytest.param("2.0", "", id="2.0.1 without kfp"),
    pytest.param("2.1", f"{PIP} 'kfp==2.1.3' {NO_DEPS}", id="2.1.3"),
    pytest.param("2.1", f"{PIP} --index-url https://a.b/simple 'kfp==2.9.0' {NO_DEPS}", id="2.9"),
    pytest.param("2.1", f"{VENV} {PIP} 'kfp==2.10.0' {NO_DEPS}", id="2.10 in a venv"),
    pytest.param("2.1", f"{PIP} 'pyyaml'  &&  {PIP} 'kfp==2.14.3' {NO_DEPS}", id="2.14"),
    pytest.param("2.1", "", id="2.17 without kfp"),
]


@pytest.mark.parametrize("version, install", WITHOUT_PACKAGES)
def test_what_was_compiled_for_an_older_kfp_is_run_by_the_one_that_is_here(version, install):
    run = as_run_here(command(version, install))
    assert run[:2] == ["sh", "-ec"] and "python3 -m kfp.dsl.executor_main" in run[2]
    assert compiled_component(run) == (SOURCE, ARGS)


@pytest.mark.parametrize("version, install", WITHOUT_PACKAGES)
def test_a_python_component_needs_no_container_whatever_compiled_it(version, install):
    container = {"image": "python:3.7", "command": command(version, install)}
    assert why_needed({"container": container}) == ""
    container["command"] = ["python3", "-m", EXECUTOR_MODULE[version]]
    assert why_needed({"container": container}) == "its code is in the image python:3.7"


STEPS = [
    pytest.param(f"{PIP} 'none'", f"{PIP} 'none'", id="a package"),
    pytest.param(f"{PIP} 'kfp==1.0'", f"{PIP} 'kfp==1.0'", id="the user's own kfp"),
    pytest.param(f"{PIP} 'kfp==99.0' {NO_DEPS}", f"{PIP} 'kfp==99.0' {NO_DEPS}", id="a newer kfp"),
    pytest.param(f"{PIP} 'kfp[all]==2.17'", f"{PIP} 'kfp[all]==2.17'", id="extras"),
    pytest.param(f"{PIP} 'none' && {PIP} 'kfp==2.9' {NO_DEPS}", f"{PIP} 'none' && true", id="2.14"),
    pytest.param(f"{PIP} 'kfp==2.9' {NO_DEPS} && {PIP} 'none'", f"true && {PIP} 'none'", id="2.2"),
    pytest.param(
        f"{PIP} 'none' 'kfp==2.1.3' {NO_DEPS}",
        f"python3 -m pip install --quiet --no-warn-script-location none {unquoted(NO_DEPS)}",
        id="2.1",
    ),
]


@pytest.mark.parametrize("steps, left", STEPS)
def test_what_is_not_here_is_still_installed(steps, left):
    assert as_run_here(command("2.1", steps)) == command("2.1", left)


def test_a_script_that_does_more_is_left_to_do_it():
    other = ["sh", "-c", f'echo x && {PIP} kfp && "$0" "$@"', *command("2.1")]
    assert as_run_here(other)[2] == 'echo x && true && "$0" "$@"'


def test_the_packages_of_an_old_component_are_installed_without_its_kfp():
    run = as_run_here(command("2.0", f"{PIP} 'none>=1' 'kfp==2.0.1'"))
    assert "pip install --quiet --no-warn-script-location 'none>=1'" in run[2]
    assert "2.0.1" not in run[2] and "kfp.dsl.executor_main" in run[5]


def test_an_old_component_keeps_the_executor_of_the_kfp_that_it_brings():
    install = f"{PIP} 'git+https://github.com/kubeflow/pipelines@2.0.1#subdirectory=sdk/python'"
    assert as_run_here(command("2.0", install)) == command("2.0", install)


def test_an_old_component_that_uses_more_of_kfp_has_an_interpreter_with_all_of_it():
    old = ["sh", "-ec", inner("2.0"), SOURCE + "\n    import kfp.compiler\n", *ARGS]
    assert compiled_component(as_run_here(old)) is None


@pytest.fixture(scope="module")
def runs(tmp_path_factory, home):
    kfp = Kfp(tmp_path_factory.mktemp("compiled"), home=home)
    yield kfp
    kfp.close()


@pytest.mark.parametrize("version, install", WITHOUT_PACKAGES)
def test_a_component_of_every_version_runs(runs, version, install, monkeypatch):
    container = {**CONTAINER, "command": command(version, install)[: -len(ARGS)]}
    executors = compiled(doubling)[0]["deploymentSpec"]["executors"]
    monkeypatch.setitem(executors["exec-double"], "container", container)
    run_id = runs.finish(doubling, n=len(runs.runs.jobs))
    assert runs.runs.errors[run_id] == ""
    assert runs.outputs(run_id, "double").parameters["Output"] == 2 * (len(runs.runs.jobs) - 1)


def test_a_component_in_a_venv_has_its_packages_and_the_workers(runs, tmp_path):
    wheel = make_wheel(tmp_path)

    @component(packages_to_install=[wheel.as_uri()], use_venv=True)
    def look() -> list:
        import only_here
        import yaml

        return [only_here.__file__, yaml.__file__]

    @dsl.pipeline
    def looking():
        look()

    run_id = runs.finish(looking)
    assert runs.runs.errors[run_id] == ""
    own, shared = runs.outputs(run_id, "look").parameters["Output"]
    assert Path(own).is_relative_to(runs.folder) and not Path(shared).is_relative_to(runs.folder)


@component
def make_a_venv(wheel: str, way: str) -> list:
    import json
    import subprocess
    import sys
    import venv

    if way == "command":
        options = ["--system-site-packages", "--without-pip", "own"]
        subprocess.run([sys.executable, "-m", "venv", *options], check=True)
    else:
        venv.create("own", system_site_packages=way == "with")
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wheel], check=True)
    script = (
        "import importlib.util as u, json, sys\n"
        "print(json.dumps([u.find_spec(n) is not None for n in ('only_here', 'kfp')]))"
    )
    found = subprocess.run(["own/bin/python3", "-c", script], capture_output=True, check=True)
    return json.loads(found.stdout)


@dsl.pipeline
def making_a_venv(wheel: str, way: str):
    make_a_venv(wheel=wheel, way=way)


@dsl.pipeline
def making_a_venv_in_an_interpreter(wheel: str, way: str):
    make_a_venv(wheel=wheel, way=way).set_env_variable("PYTHONHASHSEED", "1")


@pytest.mark.parametrize("pipeline", [making_a_venv, making_a_venv_in_an_interpreter])
@pytest.mark.parametrize("way, seen", [("command", True), ("with", True), ("without", False)])
def test_a_venv_made_by_a_task_shows_what_the_task_has(runs, tmp_path, pipeline, way, seen):
    run_id = runs.finish(pipeline, wheel=str(make_wheel(tmp_path)), way=way)
    assert runs.runs.errors[run_id] == ""
    assert runs.outputs(run_id, "make-a-venv").parameters["Output"] == [seen, seen]


def test_packages_come_from_the_index_that_a_component_names(runs, tmp_path):
    index = tmp_path / "only-here"
    index.mkdir()
    make_wheel(index)
    with serving(tmp_path) as address:

        @component(
            packages_to_install=["only-here==1.0"],
            pip_index_urls=[address],
            pip_trusted_hosts=["127.0.0.1"],
        )
        def use_package() -> str:
            import only_here

            return only_here.__name__

        @dsl.pipeline
        def using():
            use_package()

        run_id = runs.finish(using)
    assert runs.runs.errors[run_id] == "", runs.log(run_id, "use-package")
    assert sys.modules.get("only_here") is None
