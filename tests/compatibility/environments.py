"""Virtual environments with the versions of a row, made by uv."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement


class NotMade(Exception):
    """Raised with uv's words where an environment could not be made."""


class NotHere(Exception):
    """Raised where this machine lacks what a row is about."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and the wheel of this package in it."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin/python"

    def run(self, *arguments: str | Path, **variables: str) -> None:
        """Run Python in it. Raises `CalledProcessError`, whose output is the program's."""
        subprocess.run(
            [self.python, *arguments],
            check=True,
            cwd=self.folder,
            env=clean(self.folder) | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )

    def version(self, package: str) -> str:
        """The version of a package that is installed in it."""
        code = f"from importlib.metadata import version; print(version({package!r}))"
        return subprocess.check_output([self.python, "-c", code], text=True).strip()


def build(folder: Path, root: Path) -> Path:
    """Build the wheel, with the front end as it was built last."""
    code = "from hatchling.build import build_wheel; import sys; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, folder], cwd=root, check=True)
    [wheel] = folder.glob("*.whl")
    return wheel


def wanted(extra: str) -> list[str]:
    """Return the requirements of this package with an extra such as `local`."""
    found = map(Requirement, requires("jupyter-kfp-mt") or [])
    names = [each for each in found if not each.marker or each.marker.evaluate({"extra": extra})]
    return [f"{each.name}[{','.join(each.extras)}]{each.specifier}" for each in names]


def make(folder: Path, python: str, *requirements: str, lowest: bool = False) -> Environment:
    """Make an environment with a version of Python and some packages.

    With `lowest` of the lowest versions that these requirements allow. Raises `NotHere` where there
    is no such Python, else `NotMade`.
    """
    environment = Environment(folder)
    _uv("venv", "--seed", "--python", interpreter(python), str(folder))
    options = ["--resolution", "lowest-direct"] if lowest else []
    _uv("pip", "install", "--python", str(environment.python), *options, *requirements)
    return environment


def interpreter(version: str) -> str:
    """Return the path of a version of Python. Raises `NotHere` where there is none that runs."""
    found = shutil.which(f"python{version}")
    if not found:
        raise NotHere(f"there is no python{version} in the PATH")
    # pyenv puts programs there that run only if their version is chosen.
    done = subprocess.run([found, "-c", ""], capture_output=True, text=True)
    if done.returncode:
        raise NotHere(f"{found} does not run:\n{done.stderr.strip()}")
    return found


def _uv(*arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run([uv, "--quiet", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise NotMade(done.stderr.strip())


def clean(home: Path) -> dict[str, str]:
    """The environment variables without this package's, Python's and the user's own.

    The programs in `home` come first, as Jupyter looks for its own in the PATH.
    """
    own = ("KFP_MT_", "KF_PIPELINES", "PYTHON", "VIRTUAL_ENV", "JUPYTER", "IPYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {**kept, "HOME": str(home), "PATH": f"{home / 'bin'}:{kept['PATH']}"}
