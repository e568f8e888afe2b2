"""A task's command in a container: finding an engine, starting and stopping the container.

A container shares the network of the machine that runs its engine, so the API has the same address
inside. On macOS that is a virtual machine: there the endpoint in the task's environment has to name
the host instead of 127.0.0.1 (`host.docker.internal`, or `host.containers.internal` with Podman),
and the folders must be shared with the virtual machine.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from ....errors import KfpError
from ..compiled_commands import runs_python
from .failures import end_of
from .persistent_volumes import is_claim_executor
from .volumes import Volume, misplaced, on_this_machine, write

# Names the engine: a command, a path, or `none`.
CHOICE = "KFP_MT_CONTAINER_ENGINE"
CURE = "Install and start Docker or Podman, or make it a Python component."
CHOICE_CURE = f"Correct {CHOICE} and start the local KFP again, or make it a Python component."
ENGINES = ("docker", "podman")
ANSWER_SECONDS = 10.0
ASK_AGAIN_SECONDS = 30.0
STOP_SECONDS = 30.0
LABEL = "jupyter-kfp-mt"
# A file in a run's folder: the run has started containers, which may outlive its processes.
MARK = "containers"
# The beginning of the command of a Python component whose code is in the image.
_CODE_IN_IMAGE = ["python3", "-m"]

# Variables read by the engine's own command. All other variables are the task's.
_CLIENTS_OWN = re.compile(
    r"PATH|HOME|USER|LOGNAME|TMPDIR|XDG_.*|LD_.*|DYLD_.*|(HTTPS?|ALL|NO|FTP)_PROXY"
    r"|SSL_CERT_(FILE|DIR)|SSH_AUTH_SOCK|DBUS_SESSION_BUS_ADDRESS"
    r"|DOCKER_(HOST|CONFIG|CONTEXT|CERT_PATH|TLS.*|API_VERSION|DEFAULT_PLATFORM|CONTENT_TRUST.*)"
    r"|_?CONTAINERS_.*|CONTAINER_(HOST|SSHKEY|CONNECTION)|STORAGE_(DRIVER|OPTS)"
    r"|REGISTRY_AUTH_FILE|GO(DEBUG|GC|MAXPROCS|MEMLIMIT|TRACEBACK)",
    re.IGNORECASE,
)
_PODMANS_HELPERS = ("/usr/libexec/podman", "/usr/local/libexec/podman", "/usr/lib/podman")
_COULD_NOT_RUN = {
    125: "no container could be started from the image",
    126: "its command cannot be executed in the image",
    127: "its command is not in the image",
}
_ENGINES_WORDS = re.compile(r"^(?:docker: |Error: )(.+)", re.MULTILINE)


class NoEngine(KfpError):
    """No container engine responds; the message says which was tried, and its response."""


class ContainerRefused(KfpError):
    """A container that cannot be started or stopped; the message says why."""


class Engine(msgspec.Struct, frozen=True):
    """Docker or Podman: its command, the environment for it, and its capabilities."""

    program: str
    environment: dict[str, str]
    # Root in the container is then the user outside.
    rootless: bool = False
    # An init process that forwards signals and reaps children.
    has_init: bool = True
    # A short image name then does not mean Docker Hub, unless qualified.
    is_podman: bool = False

    def __repr__(self) -> str:
        return f"Engine({self.program})"


class TaskContainer(msgspec.Struct, frozen=True):
    """The container of a task. Its repr omits the environment, which can hold secrets.

    Folders and files appear at the same paths inside. The image's own working directory is kept,
    as on a cluster; so are its command and arguments if those here are empty.
    """

    namespace: str
    run_id: str
    task_id: str
    image: str
    command: list[str] = []
    args: list[str] = []
    environment: dict[str, str] = {}
    folders: list[str] = []
    read_only: list[str] = []
    volumes: list[Volume] = []

    @property
    def name(self) -> str:
        return f"kfp-mt-{self.run_id}-{self.task_id}"

    def __repr__(self) -> str:
        return f"Container({self.name}, {self.image})"


def client_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Select the variables that the engine's command needs, such as the engine's address."""
    return {
        name: value
        for name, value in environment.items()
        if name == CHOICE or _CLIENTS_OWN.fullmatch(name)
    }


def why_needed(executor: Mapping[str, Any]) -> str:
    """Return why a task with this executor cannot be a process; empty if it can."""
    if (container := executor.get("container")) is None or is_claim_executor(executor):
        return ""
    command = [*container.get("command", []), *container.get("args", [])]
    if not any(runs_python(part) for part in command):
        return "it is a container component"
    if command[:2] == _CODE_IN_IMAGE and runs_python(command[2]):
        return f"its code is in the image {container.get('image', '')}"
    return ""


class Engines:
    """Finds an engine and remembers it; without one, tries again after a while."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = client_environment(environment)
        self._found: Engine | NoEngine | None = None
        self._look_again_at = 0.0
        self._lock = threading.Lock()

    def engine(self) -> Engine:
        """Return the first engine that responds. Raises NoEngine with the reasons."""
        with self._lock:
            if not isinstance(self._found, Engine) and time.monotonic() >= self._look_again_at:
                self._found = _look(self.environment)
                self._look_again_at = time.monotonic() + ASK_AGAIN_SECONDS
        if not isinstance(self._found, Engine):
            assert self._found
            raise self._found
        return self._found

    def why_none(self) -> str:
        """Return why there is no engine, and the cure; empty if there is one."""
        try:
            self.engine()
        except NoEngine as error:
            return f"{error.message}. {error.cure}"
        return ""


def _look(environment: dict[str, str]) -> Engine | NoEngine:
    choice = environment.get(CHOICE, "")
    if choice == "none":
        return _no_engine(f"{CHOICE} is 'none'")
    path = environment.get("PATH")
    names = (choice,) if choice else ENGINES
    programs = [program for name in names if (program := shutil.which(name, path=path))]
    reasons = []
    for program in programs:
        try:
            return _ask(program, environment)
        except NoEngine as error:
            reasons.append(str(error))
    if choice and not programs:
        return _no_engine(
            f"{CHOICE} is '{choice}', which is not a command on this machine", CHOICE_CURE
        )
    return _no_engine("; ".join(reasons) or "neither docker nor podman is on PATH")


def _no_engine(reason: str, cure: str = CURE) -> NoEngine:
    return NoEngine(f"no container engine answers: {reason}", cure=cure)


class _Security(msgspec.Struct, frozen=True):
    rootless: bool = False


class _Commit(msgspec.Struct, frozen=True, rename="upper"):
    id: str = ""


class _Host(msgspec.Struct, frozen=True, rename="camel"):
    security: _Security = _Security()
    service_is_remote: bool = False


class _Info(msgspec.Struct, frozen=True, rename="pascal"):
    """Run `info`: a response with a host is Podman's, under whatever name, and else Docker's."""

    host: _Host | None = msgspec.field(default=None, name="host")
    security_options: list[str] | None = None
    server_errors: list[str] | None = None
    init_commit: _Commit = _Commit()


def _ask(program: str, environment: dict[str, str]) -> Engine:
    name = Path(program).name
    try:
        answer = subprocess.run(
            [program, "info", "--format", "{{json .}}"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_SECONDS,
        )
        info = msgspec.json.decode(answer.stdout or b"{}", type=_Info)
    except subprocess.TimeoutExpired as error:
        raise NoEngine(f"{name} did not answer in {ANSWER_SECONDS:.0f} seconds") from error
    except (OSError, msgspec.DecodeError) as error:
        raise NoEngine(f"{name} does not respond like a container engine: {error}") from error
    if answer.returncode or info.server_errors or not answer.stdout:
        said = " ".join(info.server_errors or [answer.stderr.decode("utf-8", "replace").strip()])
        raise NoEngine(f"{name} is installed, but does not answer: {said.rstrip('.?')}")
    if info.host:
        has_init = info.host.service_is_remote or _podman_has_init(environment)
        return Engine(program, environment, info.host.security.rootless, has_init, is_podman=True)
    rootless = any("name=rootless" in option for option in info.security_options or [])
    return Engine(program, environment, rootless, info.init_commit.id != "N/A")


def _podman_has_init(environment: dict[str, str]) -> bool:
    path = os.pathsep.join([environment.get("PATH", os.defpath), *_PODMANS_HELPERS])
    return shutil.which("catatonit", path=path) is not None


@contextlib.contextmanager
def launch(engine: Engine, container: TaskContainer) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Return the command that runs the container to its end, and the environment for it.

    Its output and exit code are the container's. The arguments, which every user of the machine
    can see, hold no secrets. The container is removed at the end.
    """
    _refuse_what_cannot_be_mounted(container)
    if not container.image or container.image.startswith("-"):
        raise ContainerRefused(f"'{container.image}' is not the name of an image")
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        scratch = Path(folder)
        environment = {"PYTHONUNBUFFERED": "1", **_home(engine, scratch), **container.environment}
        command = [
            *(engine.program, "run", "--rm", "--pull", "missing", "--network", "host"),
            *(["--init"] if engine.has_init else []),
            # With SELinux, mounted files keep their labels.
            *("--security-opt", "label=disable", "--user", _user(engine)),
            *("--name", container.name, *_labels(container)),
            *_mounts(container, scratch),
            *_variables(environment, scratch),
            *_image_and_command(engine, container),
        ]
        try:
            yield command, {**_for_container(environment), **engine.environment}
        finally:
            stop(engine, container)


def failure(exit_code: int, image: str, log: Path) -> str:
    """Return why the engine could not run the command; empty if it did."""
    words = _ENGINES_WORDS.findall(end_of(log))
    if exit_code not in _COULD_NOT_RUN or not words:
        return ""
    return f"{_COULD_NOT_RUN[exit_code]} '{image}': {words[-1]}"


def stop(engine: Engine, container: TaskContainer) -> None:
    """Kill and remove the container, if it exists."""
    _remove(engine, f"name={container.name}")


def stop_run(engine: Engine, run_id: str) -> None:
    """Kill the containers of all tasks of a run."""
    _remove(engine, f"run={run_id}")


def stop_left(engines: Engines, run_id: str, folder: Path) -> None:
    """Kill the containers that a run has left after the end of its processes."""
    mark = folder / MARK
    if mark.exists():
        stop_run(engines.engine(), run_id)
        mark.unlink(missing_ok=True)


def _remove(engine: Engine, label: str) -> None:
    """Remove containers repeatedly: the engine may still be creating or removing one itself."""
    deadline = time.monotonic() + STOP_SECONDS
    while ids := _client(engine, "ps", "--all", "--quiet", "--filter", f"label={LABEL}.{label}"):
        _client(engine, "kill", *ids.split(), checked=False)
        _client(engine, "rm", "--force", *ids.split(), checked=False)
        if time.monotonic() > deadline:
            raise ContainerRefused(
                f"{engine.program} could not stop a container",
                cure=f"{engine.program} rm --force {ids}",
            )


def _client(engine: Engine, *arguments: str, checked: bool = True) -> str:
    try:
        answer = subprocess.run(
            [engine.program, *arguments],
            env=engine.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=STOP_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ContainerRefused(f"{engine.program} no longer responds: {error}") from error
    if answer.returncode and checked:
        raise ContainerRefused(f"{engine.program} no longer responds: {answer.stderr}")
    return answer.stdout.strip()


def _refuse_what_cannot_be_mounted(container: TaskContainer) -> None:
    folders = [*container.folders, *container.read_only]
    paths = [volume.mount_path for volume in container.volumes]
    if reason := misplaced(paths, folders):
        raise ContainerRefused(reason)
    for path in (*folders, *paths):
        if re.search(r'[,"\n]', path):
            raise ContainerRefused(f"{path!r} cannot be mounted: it has a comma or a quote")


def _user(engine: Engine) -> str:
    """Options that make files written into the folders belong to the user of this process."""
    return "0:0" if engine.rootless else f"{os.getuid()}:{os.getgid()}"


def _home(engine: Engine, scratch: Path) -> dict[str, str]:
    """Give the user a home directory, which most images lack, and which pip and others need."""
    return {} if _user(engine) == "0:0" else {"HOME": str(scratch / "home")}


def _labels(container: TaskContainer) -> Iterator[str]:
    yield from ("--label", f"{LABEL}.namespace={container.namespace}")
    yield from ("--label", f"{LABEL}.run={container.run_id}")
    yield from ("--label", f"{LABEL}.name={container.name}")


def _mounts(container: TaskContainer, scratch: Path) -> Iterator[str]:
    home = scratch / "home"
    home.mkdir()
    writable = {str(home), *container.folders}
    for path in sorted(writable):
        yield from ("--mount", f"type=bind,source={path},target={path}")
    for path in sorted({*container.read_only} - writable):
        yield from ("--mount", f"type=bind,source={path},target={path},readonly")
    for number, volume in enumerate(container.volumes):
        if folder := on_this_machine(volume, scratch):
            yield from ("--mount", f"type=bind,source={folder},target={volume.mount_path}")
            continue
        files = scratch / f"files-{number}"
        write(volume, files)
        yield from ("--mount", f"type=bind,source={files},target={volume.mount_path},readonly")


def _variables(environment: dict[str, str], scratch: Path) -> Iterator[str]:
    """Pass variables by name: the engine's command takes the values from its own environment.

    Variables that would affect the command itself are read from a file instead.
    """
    given = _for_container(environment)
    for name in given:
        yield from ("--env", name)
    lines = [f"{name}={value}\n" for name, value in environment.items() if name not in given]
    if any("\n" in line[:-1] for line in lines):
        names = ", ".join(environment.keys() - given.keys())
        raise ContainerRefused(f"one of the variables {names} has several lines; only others may")
    file = scratch / "environment"
    file.touch(mode=0o600)
    file.write_text("".join(lines), encoding="utf-8")
    yield from ("--env-file", str(file))


def _for_container(environment: dict[str, str]) -> dict[str, str]:
    """The variables that do not affect the engine's command."""
    return {name: value for name, value in environment.items() if not _CLIENTS_OWN.fullmatch(name)}


def _image_and_command(engine: Engine, container: TaskContainer) -> Iterator[str]:
    """As in Kubernetes, the command replaces the image's entrypoint, and args its command."""
    entrypoint, *rest = container.command or [""]
    if entrypoint:
        yield f"--entrypoint={entrypoint}"
    yield from (_full_name(engine, container.image), *rest, *container.args)


def _full_name(engine: Engine, image: str) -> str:
    """Qualify an image name as a cluster does: without a registry it is on Docker Hub."""
    registry, slash, _ = image.partition("/")
    if not engine.is_podman or (slash and re.search(r"[.:]|^localhost$", registry)):
        return image
    if _client(engine, "image", "inspect", "--format", "{{.Id}}", image, checked=False):
        return image  # perhaps built on this machine
    return f"docker.io/{image}" if slash else f"docker.io/library/{image}"
