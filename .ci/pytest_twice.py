"""Runs the tests in parallel, then those that failed once more alone, which counts.

The arguments are pytest's. Ends with pytest's status, which is that of the second run where there
is one: there is none after anything but failed tests (status 1), nor where so many have failed
that the machine's load cannot be why.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

FAILED = 1
MOST = 20


def main(arguments):
    if not is_compiled():
        compile_tests(arguments)
    with tempfile.TemporaryDirectory() as cache:
        status = pytest(cache, "-n", "auto", *arguments)
        failed = last_failed(cache) if status == FAILED else []
    if not failed:
        return status
    if len(failed) > MOST:
        print(f"\n{len(failed)} tests failed: too many to be run once more alone.")
        return status
    tell("Failed among the others, and run once more alone:", failed)
    return again(failed)


def is_compiled():
    """Tell whether this Python has run the tests here before."""
    name = f"conftest.{sys.implementation.cache_tag}-pytest-*.pyc"
    return any(Path("tests", "__pycache__").glob(name))


def compile_tests(arguments):
    """Compile tests, and what they import, once: else each of the workers would, all at once."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "--collect-only", "-qq", *arguments]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def again(tests):
    """Run these one after the other, and tell which failed again."""
    with tempfile.TemporaryDirectory() as cache:
        status = pytest(cache, "-n", "0", *tests)
        failed = last_failed(cache)
    if status == 0:
        tell("All passed now that they ran alone, but had failed among the others:", tests)
    elif failed:
        tell("Failed again:", failed)
    return status


def pytest(cache, *arguments):
    command = [sys.executable, "-m", "pytest", "-o", f"cache_dir={cache}", *arguments]
    return subprocess.run(command).returncode


def last_failed(cache):
    """Return the names of the tests that failed in the run that had this cache."""
    path = Path(cache, "v", "cache", "lastfailed")
    found = json.loads(path.read_text()) if path.exists() else {}
    return sorted(found)


def tell(what, tests):
    print("", what, *(f"  {test}" for test in tests), sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
