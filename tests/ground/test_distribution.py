"""The distributions that a release uploads: what is in them, and what they say of themselves."""

import email
import json
import subprocess
import sys
import tarfile
import zipfile

import pytest
from harness.paths import ROOT

MB = 1_000_000
EXTENSION = "share/jupyter/labextensions/jupyter-kfp-mt"


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """A folder with an sdist, and the wheel made of the tree with the front end as it is built."""
    folder = tmp_path_factory.mktemp("distributions")
    build = "from hatchling.build import *; import sys; build_sdist(sys.argv[1])"
    wheel = "from hatchling.build import *; import sys; build_wheel(sys.argv[1])"
    for code in (build, wheel):
        subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, check=True)
    return folder


@pytest.fixture(scope="module")
def wheel(distributions):
    [path] = distributions.glob("*.whl")
    with zipfile.ZipFile(path) as file:
        yield file


@pytest.fixture(scope="module")
def sdist(distributions):
    [path] = distributions.glob("*.tar.gz")
    with tarfile.open(path) as file:
        yield file


@pytest.fixture(scope="module")
def metadata(wheel):
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(wheel.read(name))


def tracked(*folders):
    """The files of the repository below some folders."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", *folders], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    return {name for name in listed.stdout.decode().split("\0") if name}


def test_each_is_smaller_than_a_megabyte(distributions):
    sizes = {path.name: path.stat().st_size for path in distributions.iterdir()}
    assert len(sizes) == 2
    assert all(size < MB for size in sizes.values()), sizes


def test_the_wheel_has_the_package_whole_and_the_built_front_end_once(wheel):
    names = [name for name in wheel.namelist() if ".dist-info/" not in name]
    data = [name for name in names if ".data/" in name]
    built = {"jupyter_kfp_mt/static/view.js", "jupyter_kfp_mt/static/view.css"}
    assert {*names} - {*data} == tracked("jupyter_kfp_mt") | built
    inside = {name.partition(".data/data/")[2] for name in data}
    assert "etc/jupyter/jupyter_server_config.d/jupyter_kfp_mt.json" in inside
    assert {f"{EXTENSION}/install.json", f"{EXTENSION}/package.json"} <= inside
    assert all(name.startswith((EXTENSION, "etc/jupyter/")) for name in inside)
    assert not [name for name in names if name.endswith((".map", ".pyc", ".ts", ".tsx"))]


def test_the_front_end_in_the_wheel_is_of_the_same_version(wheel, metadata):
    [name] = [name for name in wheel.namelist() if name.endswith(f"{EXTENSION}/package.json")]
    assert json.loads(wheel.read(name))["version"] == metadata["Version"]


def test_a_page_knows_its_own_release(metadata):
    release = (ROOT / "labextension/src/wire/release.ts").read_text()
    assert f"RELEASE = '{metadata['Version']}'" in release


def test_what_is_bundled_comes_with_its_licence(wheel):
    view = wheel.read("jupyter_kfp_mt/static/view.js").decode()
    assert view.startswith("/*! With preact:\nThe MIT License")
    [name] = [name for name in wheel.namelist() if name.endswith("third-party-licenses.json")]
    packages = json.loads(wheel.read(name))["packages"]
    assert packages
    assert all(package["licenseId"] and package["extractedText"] for package in packages)


def test_the_sdist_has_what_builds_the_wheel(sdist):
    [top] = {name.split("/")[0] for name in sdist.getnames()}
    names = {name.removeprefix(f"{top}/") for name in sdist.getnames()}
    front_end = tracked("labextension/src", "labextension/style", "labextension/schema")
    needed = front_end | tracked("jupyter_kfp_mt") | {"pyproject.toml", "README.md", "LICENSE"}
    shown = {name for name in needed if "/__tests__/" not in name}
    assert shown <= names
    for name in (
        ".yarnrc.yml",
        "package.json",
        "yarn.lock",
        "tsconfig.json",
        "widget.rspack.mjs",
        "install.json",
    ):
        assert f"labextension/{name}" in names
    assert not [
        name for name in names if name.startswith(("tests/", ".ci/", "binder/", "findings/"))
    ]


def test_the_sdist_has_the_pages_that_the_readme_names(sdist):
    [top] = {name.split("/")[0] for name in sdist.getnames()}
    names = {name.removeprefix(f"{top}/") for name in sdist.getnames()}
    pages = {name for name in tracked("docs") if not name.startswith("docs/images/")}
    assert pages | {"CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"} <= names
    assert not [name for name in names if "_build" in name]


def test_nothing_in_them_names_a_folder_of_the_machine_that_built_them(wheel, sdist):
    here = str(ROOT).encode()
    assert not [name for name in wheel.namelist() if here in wheel.read(name)]
    files = [member for member in sdist.getmembers() if member.isfile()]
    assert not [member.name for member in files if here in sdist.extractfile(member).read()]


def test_the_metadata_say_what_it_is_and_what_it_needs(metadata):
    assert metadata["Name"] == "jupyter-kfp-mt"
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.10"
    assert "Framework :: Jupyter :: JupyterLab :: Extensions :: Prebuilt" in metadata.get_all(
        "Classifier"
    )
    assert metadata.get_all("Provides-Extra") == ["dev", "docs", "iap", "local", "test"]
