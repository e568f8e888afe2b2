"""The Kubeflow Pipelines REST API (v2beta1) as typed calls."""

from __future__ import annotations

import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
import requests
import urllib3

from .. import intervals, models, refusal_causes
from ..credentials import Credentials
from ..errors import (
    BadRequest,
    Conflict,
    KfpError,
    Misconfigured,
    NotAPipeline,
    NotFound,
    RunFailed,
    Unreachable,
    may_pass,
)
from ..intervals import CONNECT_SECONDS, DOOR_SECONDS, READ_SECONDS
from ..kubeflow_roles import Goal
from ..models import (
    FINISHED,
    STATES,
    UNSPECIFIED,
    Experiment,
    Health,
    Page,
    Pipeline,
    PipelineVersion,
    PipelineVersionReference,
    RecurringRun,
    Run,
    RunDetails,
    Value,
)
from ..network import bodies
from ..network.line_stream import LineStream
from ..network.no_answer_errors import no_answer
from ..network.sessions import is_own, new_session
from ..other_servers import IN_CLUSTER, AskedAddress, endpoint_of, is_html, page
from ..resource_names import check_namespace
from ..scrubbing import scrubbed
from . import pipeline_files, refused_uploads, releases
from .run_specifications import RunSpecifications
from .written_tasks import stated, written

if TYPE_CHECKING:
    from ..cluster.kubernetes_api import Cluster
    from .task_logs import Seen, TaskLog

T = TypeVar("T", bound=Value)

API = "/apis/v2beta1/"
HEALTH_SECONDS = 5.0
LONGEST_PAGE = 200  # the API server's own limit
# A run that has not started may have no state yet, which KFP keeps under a name of its own.
WAITING = ["PENDING", UNSPECIFIED]
UNFINISHED = [UNSPECIFIED, *(state for state in STATES if state not in FINISHED)]
LOG_LINES = 50
MOST_WARNINGS = 20
# Of a Warning header: a code, who warns, and a text in quotes (RFC 7234, 5.5).
_WARNING = re.compile(r'\b[0-9]{3} \S+ "((?:[^"\\]|\\.)*)"')
_START_OF_ID = re.compile("[0-9a-fA-F-]{4,35}")


class Client:
    """KFP at `endpoint`, as the identity of `credentials`, in `namespace` unless a call says else.

    Every method raises a `KfpError`: `Unreachable` without an answer, else the subclass of
    `Refused` that says what KFP said.

    `cluster` finds the Kubernetes API that has the logs of its tasks; `logs` is the address at
    which a Jupyter server's door reads them instead.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials | None = None,
        namespace: str = "",
        health: Health | None = None,
        session: requests.Session | None = None,
        read_only: bool = False,
        cluster: Callable[[], Cluster | None] = lambda: None,
        logs: str = "",
    ) -> None:
        self.endpoint = checked_endpoint(endpoint)
        self.credentials = credentials or Credentials()
        self.namespace = namespace
        self.read_only = read_only
        self._cluster = cache(cluster)
        self._logs = logs
        self._read_seconds = DOOR_SECONDS if logs else READ_SECONDS
        self._health = health
        # What KFP has warned of in its answers to changes, until it is taken from here.
        self.warnings: deque[str] = deque(maxlen=MOST_WARNINGS)
        self.seen_runs: dict[str, Seen] = {}  # by ids, for those who read many logs of one
        self._specifications = RunSpecifications(self._version)
        self.session = session or new_session(
            trust_environment=not is_own(self.endpoint), tls=self.credentials.tls
        )

    def __repr__(self) -> str:
        return f"Client({self.endpoint!r}, namespace={self.namespace!r})"

    def close(self) -> None:
        """Give the connections back."""
        self.session.close()

    # --- the server -------------------------------------------------------------------------

    def health(self) -> Health:
        """What `healthz` says, asked once: it answers without identity, in 5 seconds or not."""
        if self._health is None:
            read = DOOR_SECONDS if self._logs else HEALTH_SECONDS
            answer = self._request("GET", "healthz", "reach KFP", read)
            self._health = _decode(answer, Health, self.endpoint)
        return self._health

    def in_kubernetes_place(self, path: str, asked: str, body: Any = None) -> Any:
        """The unread answer of a local KFP to a question for Kubernetes, which changes nothing."""
        arguments = {"stream": True, **({} if body is None else {"json": body})}
        method = "GET" if body is None else "POST"
        url = self.endpoint + path
        return self._send(method, url, asked, self._read_seconds, arguments).raw

    # --- experiments ------------------------------------------------------------------------

    def experiment(self, experiment_id: str) -> Experiment:
        return self._get("experiments", experiment_id, Experiment)

    def experiments(self, namespace: str = "") -> Iterator[Experiment]:
        """All experiments of a namespace, newest first."""
        return self._all(lambda token: self.experiment_page(namespace, LONGEST_PAGE, token))

    def experiment_page(
        self, namespace: str = "", page_size: int = 20, page_token: str = ""
    ) -> Page[Experiment]:
        """One page of the experiments of a namespace, newest first."""
        query = _list_query(page_size, page_token)
        return self._page("experiments", Experiment, namespace, query)

    def create_experiment(
        self, name: str, namespace: str = "", description: str = "", asked: str = ""
    ) -> Experiment:
        """A new experiment. Raises `Conflict` where the namespace has one of that name.

        `asked`: what it is wanted for, in the words of an error.
        """
        where = self._namespace(namespace)
        body = {"display_name": name, **({"namespace": where} if where else {})}
        if description:
            body["description"] = description
        return self._post("experiments", Experiment, asked or f"create experiment {name}", body)

    def ensure_experiment(self, name: str, namespace: str = "", asked: str = "") -> Experiment:
        """The experiment of that name in a namespace, created if there is none."""
        asked = asked or f"create experiment {name}"
        found = self._experiments_named(name, namespace, asked)
        try:
            return found[0] if found else self.create_experiment(name, namespace, asked=asked)
        except Conflict:  # somebody else created it just now
            return self._experiments_named(name, namespace, asked)[0]

    def experiment_named(self, name: str, namespace: str = "") -> Experiment:
        """A namespace's experiment by its name. Raises `NotFound`."""
        found = self._experiments_named(name, namespace, f"find experiment {name}")
        if not found:
            raise NotFound(
                f"No experiment {name}{_in(self._namespace(namespace), 'in namespace')}.",
                cure="%kfp experiments lists them.",
            )
        return found[0]

    def _experiments_named(self, name: str, namespace: str, asked: str) -> list[Experiment]:
        query = _list_query(1, "", filter=_equals("display_name", name))
        return self._page("experiments", Experiment, namespace, query, asked).items

    # --- pipelines --------------------------------------------------------------------------

    def pipeline(self, pipeline_id: str) -> Pipeline:
        return self._get("pipelines", pipeline_id, Pipeline)

    def pipeline_named(self, name: str, namespace: str = "", asked: str = "") -> Pipeline:
        """A namespace's pipeline by its name. Raises `NotFound`.

        `asked`: what it is wanted for, in the words of an error.
        """
        found = self._pipelines_named(name, namespace, asked or f"find pipeline {name}")
        if not found:
            raise NotFound(
                f"No pipeline {name}{_in(self._namespace(namespace), 'in namespace')}.",
                cure="%kfp pipelines lists them; %kfp upload FILE adds one.",
            )
        return found[0]

    def _pipelines_named(self, name: str, namespace: str, asked: str) -> list[Pipeline]:
        query = _list_query(1, "", filter=_equals("name", name))
        return self._page("pipelines", Pipeline, namespace, query, asked).items

    def pipelines(self, namespace: str = "") -> Iterator[Pipeline]:
        """All pipelines of a namespace, newest first; those shared with everyone are not in it."""
        return self._all(lambda token: self.pipeline_page(namespace, LONGEST_PAGE, token))

    def pipeline_page(
        self, namespace: str = "", page_size: int = 20, page_token: str = ""
    ) -> Page[Pipeline]:
        """One page of the pipelines of a namespace, newest first."""
        query = _list_query(page_size, page_token)
        return self._page("pipelines", Pipeline, namespace, query)

    def versions(self, pipeline_id: str) -> Iterator[PipelineVersion]:
        """All versions of a pipeline, newest first."""
        return self._all(lambda token: self._version_page(pipeline_id, LONGEST_PAGE, token))

    def _version(self, reference: PipelineVersionReference) -> PipelineVersion:
        path = f"{_part(reference.pipeline_id)}/versions"
        return self._get(f"pipelines/{path}", reference.pipeline_version_id, PipelineVersion)

    def latest_version(self, pipeline_id: str, asked: str = "") -> PipelineVersion:
        """The newest version of a pipeline. Raises `NotFound` where it has none."""
        page = self._version_page(pipeline_id, 1, "", asked)
        if not len(page):
            raise NotFound(f"Pipeline {pipeline_id} has no version that could run.")
        return page[0]

    def upload_pipeline(
        self, file: str | Path, name: str = "", namespace: str = "", description: str = ""
    ) -> PipelineVersion:
        """Upload a compiled pipeline: a new one, or the next version of the one of that name.

        Raises `NotAPipeline` for a file that is none.
        """
        path = _expanded(file)
        compiled = pipeline_files.read(path)
        name = name or compiled.name
        where = self._namespace(namespace)
        words = f"upload {path.name}{_in(where, 'to')}"
        asked = Goal(words, "upload a pipeline", "create", "pipelines")
        found = self._pipelines_named(name, where, asked)
        with self._explained(compiled.to_wire(), asked):
            if found:
                return self._upload_version(path, found[0], where, description)
            query = {"name": name, "namespace": where, "description": description}
            answer = self._upload("pipelines/upload", path, where, query, asked)
        return self.latest_version(_decode(answer, Pipeline, self.endpoint).pipeline_id)

    # --- runs -------------------------------------------------------------------------------

    def run(self, run_id: str, asked: str = "") -> Run:
        """A run, with the tasks that a person wrote."""
        return self.as_written(self.run_as_told(run_id, asked))

    def run_as_told(self, run_id: str, asked: str = "") -> Run:
        """A run with the tasks that KFP tells of: on a cluster every part of Argo's workflow."""
        return stated(self._get("runs", run_id, Run, asked))

    def as_written(self, run: Run) -> Run:
        """The run with the tasks that a person wrote, which it may have already.

        The version of a pipeline that it names is asked for, once.
        """
        if not run.run_details:
            return run
        tasks = written(run, self._specifications.of, lambda: self.health().local)
        return msgspec.structs.replace(run, run_details=RunDetails(task_details=tasks))

    def runs(self, namespace: str = "", experiment_id: str = "", state: str = "") -> Iterator[Run]:
        """All runs of a namespace, or of one experiment, newest first."""
        return self._all(
            lambda token: self.run_page(namespace, experiment_id, state, LONGEST_PAGE, token)
        )

    def run_page(
        self,
        namespace: str = "",
        experiment_id: str = "",
        state: str = "",
        page_size: int = 20,
        page_token: str = "",
    ) -> Page[Run]:
        """One page of runs, newest first: one request."""
        wanted = _one_of("state", WAITING) if state == "PENDING" else _equals("state", state)
        query = _list_query(page_size, page_token, filter=wanted if state else "")
        if experiment_id:
            query["experiment_id"] = experiment_id
        return self._page("runs", Run, namespace, query)

    def unfinished_runs(self, namespace: str = "", page_size: int = LONGEST_PAGE) -> Iterator[Run]:
        """The runs of a namespace that may still change by themselves, newest first."""
        query = {"filter": _one_of("state", UNFINISHED)}
        return self._all(
            lambda token: self._page(
                *("runs", Run, namespace), _list_query(page_size, token, **query)
            )
        )

    def find_run(self, text: str, namespace: str = "", asked: str = "") -> Run:
        """The run that a person means by its id, its name, or the start of its id.

        `asked`: what it is wanted for, in the words of an error. Raises `NotFound` for none and
        `BadRequest` for several. The start of an id has four characters at least.
        """
        if _is_id(text):
            return self.run(text, asked)
        query = _list_query(LONGEST_PAGE, "", filter=_equals("display_name", text))
        asked = asked or f"find run {text}"
        found = self._page("runs", Run, namespace, query, asked).items if text else []
        if not found and _START_OF_ID.fullmatch(text):
            beginning = self._runs_beginning(text.lower(), namespace, asked)
            found = list(islice(beginning, LONGEST_PAGE))
        if not found:
            raise NotFound(
                f"No run {text!r}{_in(self._namespace(namespace), 'in namespace')}.",
                cure="%kfp runs lists them.",
            )
        if len(found) > 1:
            ids = "\n".join(run.run_id for run in found[:10])
            several = f"{len(found)} runs" + (" or more" if len(found) == LONGEST_PAGE else "")
            raise BadRequest(f"{several} answer to {text}.", cure=f"Name one by its id:\n{ids}")
        return self.run(found[0].run_id, asked)

    def _runs_beginning(self, text: str, namespace: str, asked: str) -> Iterator[Run]:
        """Those whose ids begin so."""
        having = {"operation": "IS_SUBSTRING", "key": "run_id", "string_value": text}
        found = self._all(
            lambda token: self._page(
                *("runs", Run, namespace),
                *(_list_query(LONGEST_PAGE, token, _filter(having)), asked),
            )
        )
        return (run for run in found if run.run_id.startswith(text))

    def start_run(
        self,
        pipeline: str | Path | PipelineSource,
        parameters: dict[str, Any] | None = None,
        experiment: str = "Default",
        name: str = "",
        namespace: str = "",
    ) -> Run:
        """Run a pipeline: a compiled file, or one uploaded to the namespace, by name or id.

        The experiment is created if there is none of that name. Raises `BadRequest` for parameters
        that the pipeline does not take, before anything is created.
        """
        source = (
            pipeline
            if isinstance(pipeline, PipelineSource)
            else self.pipeline_source(pipeline, namespace)
        )
        source.check(parameters or {})
        where = self._namespace(namespace)
        asked = _starting(source.name, where)
        body = {
            "display_name": name or f"{source.name} {datetime.now():%Y-%m-%d %H-%M-%S}",
            "experiment_id": self.ensure_experiment(experiment, where, asked).experiment_id,
            "runtime_config": {"parameters": parameters or {}},
            **source.reference,
        }
        with self._explained(source.reference.get("pipeline_spec", {}), asked):
            return self._post("runs", Run, asked, body)

    @contextmanager
    def _explained(self, spec: dict[str, Any], asked: str) -> Iterator[None]:
        """Tell what is refused, or left out in silence, because this KFP is older than kfp."""
        try:
            yield
        except KfpError as error:
            if not releases.is_unread(error):
                raise
            raise releases.told(error, asked, spec, self._known_health()) from None
        if spec.get("platform_spec"):
            self.warnings.extend(releases.dropped(spec, self._known_health()))

    def _known_health(self) -> Health:
        try:
            return self.health()
        except KfpError:
            return Health()

    def pipeline_source(self, pipeline: str | Path, namespace: str = "") -> PipelineSource:
        """What to run: the compiled file of that name, else the uploaded pipeline."""
        path = _expanded(pipeline)
        if isinstance(pipeline, Path) or _is_file(path):
            return PipelineSource.from_file(pipeline_files.read(path))
        try:
            return self._uploaded(str(pipeline), namespace)
        except KfpError as error:
            if _looks_like_a_file(path):
                raise _neither(path, error) from None
            raise

    def _uploaded(self, name: str, namespace: str) -> PipelineSource:
        asked = _starting(name, self._namespace(namespace))
        found = (
            self._get("pipelines", name, Pipeline, asked)
            if _is_id(name)
            else self.pipeline_named(name, namespace, asked)
        )
        return PipelineSource.from_version(found, self.latest_version(found.pipeline_id, asked))

    def terminate(self, run_id: str) -> None:
        """Stop a run. It ends FAILED; KFP has no other word for it."""
        self._request("POST", f"runs/{_part(run_id)}:terminate", f"terminate run {run_id}")

    def retry(self, run_id: str) -> None:
        """Run again what has failed in a run, or was stopped."""
        self._request("POST", f"runs/{_part(run_id)}:retry", f"retry run {run_id}")

    def clone(self, run_id: str, name: str = "") -> Run:
        """Start what a run has run, with the same parameters, in the same experiment."""
        run = self._get("runs", run_id, Run)
        body: dict[str, Any] = {
            "display_name": name or f"Clone of {run.display_name}",
            "experiment_id": run.experiment_id,
            "runtime_config": msgspec.to_builtins(run.runtime_config or models.RuntimeConfig()),
        }
        if run.service_account:
            body["service_account"] = run.service_account
        if run.pipeline_version_reference:
            reference = msgspec.to_builtins(run.pipeline_version_reference)
            body["pipeline_version_reference"] = reference
        else:
            body["pipeline_spec"] = run.pipeline_spec
        asked = f"clone run {run.display_name}"
        with self._explained(body.get("pipeline_spec") or {}, asked):
            return self._post("runs", Run, asked, body)

    def watch(self, run_id: str, known: Run | None = None) -> Iterator[Run]:
        """The run as it is now, again and again until it has finished; `known`: as it was.

        Asks twice a second at first, then less often while nothing changes, up to every 5 seconds.
        Raises the `KfpError` that stands in the way; one that may pass once it has lasted for
        `PATIENCE_SECONDS`.
        """
        pause, before, failing_since = 0.5, Run(), 0.0
        while not before.finished:
            try:
                run, failing_since = self.run(run_id), 0.0
                yield run
            except NotFound as error:
                seen = before if before.run_id else known
                raise deleted(seen, error) if seen else error from None
            except KfpError as error:
                run, failing_since = before, failing_since or time.monotonic()
                lasting = time.monotonic() - failing_since > intervals.PATIENCE_SECONDS
                if lasting or not may_pass(error):
                    raise
            pause = 0.5 if run != before else min(pause * 1.2, 5.0)
            before = run
            if not run.finished:
                time.sleep(pause)

    def wait(self, run_id: str) -> Run:
        """Wait until a run has finished. Raises `RunFailed`, with the failed task's last lines."""
        (run,) = deque(self.watch(run_id), maxlen=1)
        self.raise_for_failure(run)
        return run

    def raise_for_failure(self, run: Run) -> None:
        """Raises `RunFailed` for a run that failed: which task, why, and its last 50 log lines."""
        if run.state not in ("FAILED", "CANCELED"):
            return
        failed = [task for task in self.tasks(run) if task.state == "FAILED"]
        first = min(failed, key=lambda task: task.end_time, default=None)
        raise RunFailed(
            f"Run {run.display_name} ({run.run_id}) {run.state.lower()}: {_reason(run, first)}",
            cause=self._log_tail(run, first) if first else "",
        )

    def specification(self, run: Run) -> Mapping[str, Any] | None:
        """The compiled pipeline of a run, asked for once; None where KFP does not hand it out."""
        return self._specifications.of(run)

    def tasks(self, run: Run) -> list[models.Task]:
        """The tasks of a run as its pipeline has them."""
        return self.as_written(run).tasks

    def task_values(self, run_id: str) -> dict[str, models.TaskIO]:
        """What went into a run's tasks and came out of them, by their ids.

        Only the local KFP tells it; a cluster's answer is empty.
        """
        if not self.health().local:
            return {}
        url = f"{self.endpoint}/apis/v1alpha1/runs/{_part(run_id)}/nodes"
        asked, seconds = f"read the values of run {run_id}", self._read_seconds
        response = self._send("GET", url, asked, seconds, {"stream": True})
        answer = self._body(response, asked, seconds, bodies.whole)
        found: dict[str, dict[str, models.TaskIO]] = _decode(
            answer, dict[str, dict[str, models.TaskIO]], self.endpoint
        )
        return found.get("nodes", {})

    def log(self, run_id: str, task_id: str, tail: int | None = None, recent: bool = False) -> str:
        """The log of a task so far, or its last lines; of a very long one only the end.

        See `task_log`.
        """
        from .task_logs import ending  # it stands on this file

        log = self.task_log(run_id, task_id, tail=tail, recent=recent)
        try:
            return ending(log.pieces()).decode("utf-8", "replace")
        finally:
            log.close()

    def task_log(
        self,
        run_id: str,
        task_id: str,
        follow: bool = False,
        tail: int | None = None,
        container: str = "",
        recent: bool = False,
        after: str = "",
    ) -> TaskLog:
        """What a task writes: so far, or its last lines; with `follow` what is to come as well.

        `recent`: what was found out of the run in the last seconds will do.
        `after` is a `TaskLog.cursor`: what was read before it is left out.

        Raises a `KfpError` with the reason where there is no log.
        """
        from . import task_logs  # it stands on this file

        wanted = task_logs.Wanted(follow, tail, container, recent, after)
        asked = f"read the log of task {task_id}"
        if self._logs:
            url = f"{self._logs}/{_part(run_id)}/{_part(task_id)}"
            kind = {"Accept": "text/event-stream" if follow else "text/plain"}

            def opened(after: str) -> LineStream:
                query = {**wanted.query, **({"after": after} if after else {})}
                return self._stream(url, asked, query, follow, kind)

            return task_logs.DoorLog(opened)
        return task_logs.opened(self, self._cluster, run_id, task_id, wanted)

    def local_log(self, run_id: str, task_id: str, start: int = 0) -> LineStream:
        """What the local KFP keeps of it, from a byte on; all of it (`Lines.partial`) where it has
        not so many. Never asked of another: it hands any log to anybody.
        """
        path = f"/apis/v1alpha1/runs/{_part(run_id)}/nodes/{_part(task_id)}/log"
        asked = f"read the log of task {task_id}"
        return self._stream(self.endpoint + path, asked, headers={"Range": f"bytes={start}-"})

    def archived_log(self, run_id: str, node_id: str) -> LineStream:
        """What KFP has archived of a node: JSON with the file in it."""
        path = f"runs/{_part(run_id)}/nodes/{_part(node_id)}/artifacts/main-logs:read"
        return self._stream(self.endpoint + API + path, f"read the archived log of {node_id}")

    def _log_tail(self, run: Run, task: models.Task) -> str:
        try:
            lines = self.log(run.run_id, task.task_id, LOG_LINES).rstrip().splitlines()
        except KfpError as error:
            return f"The log of task {task.display_name} cannot be read: {error.message}"
        return "\n".join([f"The last lines of task {task.display_name}:", *lines]) if lines else ""

    # --- recurring runs ---------------------------------------------------------------------

    def recurring_run(self, recurring_run_id: str) -> RecurringRun:
        return self._get("recurringruns", recurring_run_id, RecurringRun)

    def recurring_run_page(
        self, namespace: str = "", page_size: int = 20, page_token: str = ""
    ) -> Page[RecurringRun]:
        """One page of the recurring runs of a namespace, newest first."""
        query = _list_query(page_size, page_token)
        return self._page("recurringruns", RecurringRun, namespace, query, "list recurring runs")

    # --- requests ---------------------------------------------------------------------------

    def _namespace(self, namespace: str) -> str:
        """The namespace to send; none to a KFP that serves a single user."""
        if not self.health().multi_user:
            return ""
        namespace = namespace or self.namespace
        if not namespace:
            raise no_namespace()
        check_namespace(namespace)
        return namespace

    def _version_page(
        self, pipeline_id: str, page_size: int, page_token: str, asked: str = ""
    ) -> Page[PipelineVersion]:
        path = f"pipelines/{_part(pipeline_id)}/versions"
        query = _list_query(page_size, page_token)
        return self._list(path, PipelineVersion, query, asked or f"list {path}")

    def _upload_version(
        self, path: Path, pipeline: Pipeline, namespace: str, description: str
    ) -> PipelineVersion:
        query = {
            "name": f"{pipeline.name} {datetime.now():%Y-%m-%d %H-%M-%S.%f}",
            "pipelineid": pipeline.pipeline_id,
            "description": description,
        }
        asked = f"upload {path.name} as a version of {pipeline.name}"
        answer = self._upload("pipelines/upload_version", path, namespace, query, asked)
        version: PipelineVersion = _decode(answer, PipelineVersion, self.endpoint)
        return version

    def _upload(
        self, path: str, file: Path, namespace: str, query: dict[str, str], asked: str
    ) -> bytes:
        query = {key: value for key, value in query.items() if value}
        with file.open("rb") as content:
            files = {"uploadfile": (pipeline_files.upload_name(file), content.read())}
        try:
            return self._request("POST", path, asked, params=query, files=files)
        except KfpError as error:
            if not refused_uploads.is_silent(error) or self._logs:  # a door has looked itself
                raise
            refused = error
        if not isinstance(refused, Conflict):  # KFP says to a list who it does not know, and why
            self._page("pipelines", Pipeline, namespace, _list_query(1, ""), asked)
        user = self.credentials.claims().sub
        raise refused_uploads.told(
            *(refused, asked, namespace, user),
            lambda: refused_uploads.may_create(self._cluster(), user, namespace),
        )

    def _all(self, page_of: Any) -> Iterator[Any]:
        token = ""
        while True:
            page = page_of(token)
            yield from page
            token = page.next_page_token
            if not token:
                return
            if not len(page):
                raise Unreachable(f"{self.endpoint} promises more than it lists: a page is empty.")

    def _page(
        self, noun: str, kind: type[T], namespace: str, query: dict[str, str], asked: str = ""
    ) -> Page[T]:
        where = self._namespace(namespace)
        asked = asked or f"list {noun}{_in(where)}"
        page = self._list(noun, kind, {**query, "namespace": where} if where else query, asked)
        items: list[Any] = [stated(item) if isinstance(item, Run) else item for item in page]
        return msgspec.structs.replace(page, namespace=where, items=items)

    def _list(self, path: str, kind: type[T], query: dict[str, str], asked: str) -> Page[T]:
        answer = self._request("GET", path, asked, params=query)
        noun = path.rpartition("/")[2]
        key = {"versions": "pipeline_versions", "recurringruns": "recurringRuns"}.get(noun, noun)
        wire = _decode(answer, dict[str, msgspec.Raw], self.endpoint)
        raw = wire.get(key)
        return Page(
            kind=kind,
            items=_decode(bytes(raw), list[kind], self.endpoint) if raw else [],  # type: ignore[valid-type]
            total_size=msgspec.json.decode(wire.get("total_size", b"0")),
            next_page_token=msgspec.json.decode(wire.get("next_page_token", b'""')),
        )

    def _get(self, nouns: str, identifier: str, kind: type[T], asked: str = "") -> T:
        path, asked = f"{nouns}/{_part(identifier)}", asked or f"find {nouns[:-1]} {identifier}"
        found: T = _decode(self._request("GET", path, asked), kind, self.endpoint)
        return found

    def _post(self, path: str, kind: type[T], asked: str, body: dict[str, Any]) -> T:
        headers = {"Content-Type": "application/json"}
        answer = self._request("POST", path, asked, data=msgspec.json.encode(body), headers=headers)
        created: T = _decode(answer, kind, self.endpoint)
        return created

    def _request(self, method: str, path: str, asked: str, read: float = 0, **kwargs: Any) -> bytes:
        """The one door to the network: every failure leaves it as a `KfpError`."""
        if self.read_only and method != "GET":
            raise refusal_causes.read_only(asked)
        seconds = read or self._read_seconds
        arguments = {**kwargs, "stream": True}
        response = self._send(method, self.endpoint + API + path, asked, seconds, arguments)
        if method != "GET":
            self.warnings.extend(warnings_in(response.headers.get("Warning", "")))
        return self._body(response, asked, seconds, bodies.whole)

    def _stream(
        self,
        url: str,
        asked: str,
        query: dict[str, str] | None = None,
        follow: bool = False,
        headers: dict[str, str] | None = None,
    ) -> LineStream:
        headers = {"Accept-Encoding": "identity", **(headers or {})}
        arguments = {"params": query, "headers": headers, "stream": True}
        # Nothing may be written for hours, but a door says that it is there.
        read = intervals.SILENCE_SECONDS if follow else self._read_seconds
        response = self._send("GET", url, asked, read, arguments)
        return LineStream(response.raw, lambda error: no_answer(self.endpoint, asked, error))

    def _may_be_refused(self, response: requests.Response) -> bool:
        path, kind = str(response.url), response.headers.get("Content-Type", "")
        silent = refused_uploads.may_be_of_identity(path, response.status_code, kind)
        return silent or self._is_refused(response)

    def _is_refused(self, response: requests.Response) -> bool:
        content_type = response.headers.get("Content-Type", "")
        return self.credentials.refused_by(response.status_code, content_type)

    def _send(
        self, method: str, url: str, asked: str, read: float | None, kwargs: dict[str, Any]
    ) -> requests.Response:
        """The answer, if it is none that refuses."""
        response = self._send_once(method, url, asked, read, kwargs)
        if self._may_be_refused(response) and self._renewed(response):
            response.close()
            response = self._send_once(method, url, asked, read, kwargs)
        if response.status_code >= 300:
            local = self._is_local(response)
            body = self._body(response, asked, read or self._read_seconds, bodies.beginning)
            body = scrubbed(response, body)
            location = response.headers.get("Location", "")
            at = AskedAddress(self.endpoint, url, location)
            error = refusal_causes.refusal(response.status_code, body, asked, local, at)
            raise self.credentials.explained(error, self._is_refused(response))
        return response

    def _is_local(self, refused: requests.Response) -> bool:
        """Tell if the local KFP refused. KFP is asked which it is for a refusal alone."""
        asks = refused.status_code in (400, 403) and not str(refused.url).endswith("/healthz")
        try:
            health = self.health() if asks else self._health
        except KfpError:
            return False
        return health is not None and health.local

    def _renewed(self, response: requests.Response) -> bool:
        """Whether it can be asked again; where that is not found out, the answer is given up."""
        try:
            return self.credentials.renewed(response.request.headers)
        except BaseException:
            response.close()
            raise

    def _body(
        self,
        response: requests.Response,
        asked: str,
        seconds: float,
        read: Callable[[Any, float], bytes],
    ) -> bytes:
        try:
            with closing(response):
                return read(response.raw, seconds)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise no_answer(self.endpoint, asked, error) from None

    def _send_once(
        self, method: str, url: str, asked: str, read: float | None, kwargs: dict[str, Any]
    ) -> requests.Response:
        connect = min(CONNECT_SECONDS, read or CONNECT_SECONDS)
        try:
            return self.session.request(
                method,
                url,
                auth=self.credentials,
                timeout=(connect, read),
                allow_redirects=False,
                **kwargs,
            )
        except (OSError, ValueError) as error:  # also for certificates or a Location that is none
            found = no_answer(self.endpoint, asked, error)
            raise self.credentials.explained(found, False) from None


def warnings_in(header: str) -> list[str]:
    """The texts in Warning headers, of which there may be several in one."""
    return [re.sub(r"\\(.)", r"\1", text) for text in _WARNING.findall(header)]


class PipelineSource(msgspec.Struct, frozen=True):
    """What a run is to run: a name for it, the parameters it takes, and how the API names it."""

    name: str
    accepted: dict[str, pipeline_files.Definition]
    reference: dict[str, Any]

    @classmethod
    def from_file(cls, file: pipeline_files.PipelineFile) -> PipelineSource:
        accepted = pipeline_files.definitions(file.pipeline_spec)
        return cls(file.name, accepted, {"pipeline_spec": file.to_wire()})

    @classmethod
    def from_version(cls, pipeline: Pipeline, version: PipelineVersion) -> PipelineSource:
        reference = {
            "pipeline_id": version.pipeline_id,
            "pipeline_version_id": version.pipeline_version_id,
        }
        accepted = pipeline_files.definitions(version.pipeline_spec)
        name = pipeline.name
        return cls(name, accepted, {"pipeline_version_reference": reference})

    def parse(self, texts: dict[str, str]) -> dict[str, Any]:
        """What a person typed, as the values it takes."""
        return pipeline_files.parse_parameters(texts, self.accepted, self.name)

    def check(self, values: dict[str, Any]) -> None:
        """Raises `BadRequest` for values it does not take."""
        pipeline_files.check_parameters(values, self.accepted, self.name)


def checked_endpoint(endpoint: str) -> str:
    """An endpoint, of an address that a browser may have shown: without what leads on from it.

    Raises `Misconfigured` for no http address.
    """
    endpoint = endpoint_of(endpoint)
    try:
        parts = urlsplit(endpoint)
        known = "@" in parts.netloc
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        known, wrong = False, True
    if known or (wrong and "@" in endpoint):  # not shown: a password may be before it
        raise Misconfigured(
            "The endpoint holds a user name or password.",
            cure="Leave them out; a token is configured with c.Kfp.token_file.",
        )
    if wrong:
        raise Misconfigured(
            f"The endpoint {endpoint!r} is not an address of KFP.",
            cure=f"Give it with its scheme, such as {IN_CLUSTER}.",
        )
    return endpoint


def no_namespace() -> Misconfigured:
    return Misconfigured(
        "No namespace is chosen.",
        cure="Choose one with %kfp ns NAME, c.Kfp.namespace or KFP_MT_NAMESPACE.",
    )


def _decode(answer: bytes, kind: Any, endpoint: str) -> Any:
    try:
        return msgspec.json.decode(answer, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        if is_html(answer):
            raise page(200, f"use {endpoint}", "", AskedAddress(endpoint)) from None
        raise Unreachable(
            f"{endpoint} answered, but not as KFP does.",
            cause="Something else answers there, or a KFP whose API is another.",
            cure=f"Use KFP's own address, such as {IN_CLUSTER}.",
        ) from None


def _list_query(page_size: int, page_token: str, filter: str = "") -> dict[str, str]:
    # With a page token the server knows the order and the filter from the token.
    query = {"page_size": str(page_size)}
    if page_token:
        return {**query, "page_token": page_token}
    query["sort_by"] = "created_at desc"
    return {**query, "filter": filter} if filter else query


def _equals(key: str, value: str) -> str:
    return _filter({"operation": "EQUALS", "key": key, "string_value": value})


def _one_of(key: str, values: list[str]) -> str:
    return _filter({"operation": "IN", "key": key, "string_values": {"values": values}})


def _filter(predicate: dict[str, Any]) -> str:
    # The server unescapes the filter once more than HTTP does (list_request_util.go).
    return quote(msgspec.json.encode({"predicates": [predicate]}))


def deleted(run: Run, error: NotFound) -> NotFound:
    """The error for a run that was there and is not found any more."""
    return NotFound(
        f"Run {run.display_name} ({run.run_id}) was deleted while it was waited for.",
        cause="Whoever deletes a run also stops it.",
        server_text=error.server_text,
    )


def _reason(run: Run, failed: models.Task | None) -> str:
    """Say why it did not succeed, as far as is known: a cluster's KFP tells only of its tasks."""
    if run.error:
        return run.error.message
    if any(change.state == "CANCELING" for change in run.state_history):
        return "it was terminated."
    return f"task {failed.display_name} failed." if failed else "KFP gives no reason."


def _in(namespace: str, word: str = "in") -> str:
    """A namespace in the words of a sentence; a KFP for a single user has none."""
    return f" {word} {namespace}" if namespace else ""


def _starting(pipeline: str, namespace: str) -> Goal:
    return Goal(f"start {pipeline}{_in(namespace)}", "start a run", "create", "runs")


def _part(text: str) -> str:
    """One segment of a path."""
    return quote(text, safe="")


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _expanded(path: str | Path) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no such user
        return Path(path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # it is too long for one
        return False


def _looks_like_a_file(path: Path) -> bool:
    """Tell if a person who wrote this may have meant a file."""
    return path.suffix in pipeline_files.SUFFIXES or len(path.parts) > 1


def _neither(path: Path, error: KfpError) -> NotAPipeline:
    """For what is no file, and no pipeline that could be looked up."""
    missing = isinstance(error, NotFound)
    return NotAPipeline(
        f"Cannot read {path}: No such file or directory.",
        cause=f"{error.message} It could be the name of one as well." if missing else str(error),
        cure="%kfp pipelines lists what is uploaded; a file is named from this notebook's folder."
        if missing
        else "",
        server_text=error.server_text,
    )
