"""Recipes that are not run here: images, packages and manifests; what they name exists."""

import hashlib
import os
import re
import stat
import subprocess
import sys
from importlib.metadata import version

import pytest
import yaml
from harness.paths import ROOT
from packaging.requirements import Requirement

from jupyter_kfp_mt.cluster import access_manifests

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCKERFILE = (ROOT / "binder/kubeflow.Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RECIPE = yaml.safe_load((ROOT / ".ci/conda/recipe.yaml").read_text())
# Packages that conda-forge calls otherwise than PyPI does.
ON_CONDA_FORGE = {"jupyter-server": "jupyter_server", "kubernetes": "python-kubernetes"}


def blocks(page, language):
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    "page",
    [
        str(path.relative_to(ROOT / "docs"))
        for path in (ROOT / "docs").rglob("*.md")
        if "```yaml" in path.read_text()
    ],
)
def test_yaml_on_pages_can_be_read(page):
    assert all(yaml.safe_load(block) for block in blocks(page, "yaml"))


def test_the_poddefault_of_the_guide_is_the_one_that_is_printed_for_an_administrator():
    [guide] = [
        told for told in map(yaml.safe_load, blocks("admin/kubeflow.md", "yaml")) if "kind" in told
    ]
    user = "system:serviceaccount:team-a:default-editor"
    printed = access_manifests.wanted(user, "team-a", "edit")
    assert guide in printed


def test_the_image_of_the_guide_is_that_of_the_dockerfile():
    tag = re.search(r"^ARG KUBEFLOW=(.+)$", DOCKERFILE, re.MULTILINE)[1]
    base = re.search(r"^FROM (.+)$", DOCKERFILE, re.MULTILINE)[1].replace("${KUBEFLOW}", tag)
    [guide] = blocks("admin/kubeflow.md", "dockerfile")
    assert guide.startswith(f"FROM {base}\n")


def test_the_dockerfile_installs_this_version():
    assert f"ARG VERSION={version('jupyter-kfp-mt')}\n" in DOCKERFILE


def test_what_the_dockerfile_looks_for_in_lists_of_extensions_is_there():
    wanted = re.findall(r'&& jupyter (.+?) list 2>&1 \| grep "(.+?)"', DOCKERFILE)
    assert len(wanted) == 2
    for kind, pattern in wanted:
        listed = subprocess.run(
            [sys.executable, "-m", "jupyter", *kind.split(), "list"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert re.search(pattern, listed.stdout), listed.stdout


def test_binders_configuration_is_read_by_whatever_starts_a_jupyter_server(tmp_path):
    """repo2docker starts `jupyter notebook`, and mybinder.org `jupyter lab`."""
    pip = tmp_path / "bin/pip"
    pip.parent.mkdir()
    pip.write_text("#!/bin/sh\n")
    pip.chmod(pip.stat().st_mode | stat.S_IXUSR)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")},
        "HOME": str(tmp_path),
        "PATH": f"{pip.parent}:{os.environ['PATH']}",
    }
    subprocess.run(["bash", "binder/postBuild"], cwd=ROOT, env=environment, check=True)
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "from jupyter_kfp_mt import cli; print(cli._configured().namespace)",
        ],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert told.stdout.strip() == "alice"


def on_conda_forge(requirement):
    """A requirement of PyPI as one of conda-forge: name, and ranges in any order."""
    parsed = Requirement(requirement)
    return ON_CONDA_FORGE.get(parsed.name, parsed.name), {*map(str, parsed.specifier)}


def as_pair(requirement):
    name, _, ranges = requirement.partition(" ")
    return name, {*filter(None, ranges.split(","))}


def test_the_conda_recipe_has_the_dependencies_of_the_package():
    wanted = dict(map(on_conda_forge, PROJECT["dependencies"]))
    found = dict(map(as_pair, RECIPE["requirements"]["run"]))
    assert found.pop("python") == {">=${{ python_min }}"}
    assert found == wanted
    assert f">={RECIPE['context']['python_min']}" == PROJECT["requires-python"]


def test_the_conda_recipe_builds_with_what_builds_the_package():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    found = dict(map(as_pair, RECIPE["requirements"]["host"]))
    wanted = dict(map(on_conda_forge, build))
    assert {name: found[name] for name in wanted} == wanted


def test_the_conda_recipe_is_of_this_version_and_has_its_commands():
    assert RECIPE["context"]["version"] == version("jupyter-kfp-mt")
    scripts = [f"{name} = {function}" for name, function in PROJECT["scripts"].items()]
    assert RECIPE["build"]["python"]["entry_points"] == scripts


def fill(sdist):
    command = [sys.executable, ROOT / ".ci/conda/fill.py", sdist]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_a_release_prints_the_conda_recipe_of_its_sdist(tmp_path):
    sdist = tmp_path / "jupyter_kfp_mt-9.8.7.tar.gz"
    sdist.write_bytes(b"an sdist")
    recipe = yaml.safe_load(fill(sdist).stdout)
    assert recipe["context"]["version"] == "9.8.7"
    assert recipe["source"].pop("sha256") == hashlib.sha256(b"an sdist").hexdigest()
    assert not re.fullmatch("[0-9a-f]{64}", RECIPE["source"]["sha256"])
    assert recipe["requirements"] == RECIPE["requirements"]
    other = fill(tmp_path / "something.whl")
    assert other.returncode == 1 and "is not an sdist of this package" in other.stderr
