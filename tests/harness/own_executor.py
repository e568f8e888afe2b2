"""An executor with a store in memory, and what tests ask of both. Its runs really execute."""

import asyncio
import json
import os
import select
import tempfile
import threading
import zipfile
from datetime import datetime, timedelta, timezone
from functools import cache, partial
from pathlib import Path

import msgspec
import yaml
from kfp import compiler, dsl

from jupyter_kfp_mt.local.execution.run_request import moved
from jupyter_kfp_mt.local.execution.server.fork_server import ForkServer
from jupyter_kfp_mt.local.execution.server.run_queue import RunQueue, RunRequest
from jupyter_kfp_mt.models import FINISHED

component = partial(dsl.component, base_image="python:3.11")

SECRETS = {"alice": {"warehouse": {"password": "alices-own"}}, "bob": {"warehouse": {}}}
CONFIG_MAPS = {"alice": {"settings": {"mode": "fast"}}, "bob": {"settings": {}}}
SECONDS = 160
SCHEDULED_AT = datetime(2030, 1, 1, 9, tzinfo=timezone(timedelta(hours=1)))
CREATED_AT = SCHEDULED_AT + timedelta(seconds=2)


class Runs:
    """A RunStore in memory, on whose changes another thread can wait."""

    def __init__(self):
        self.jobs, self.states, self.errors, self.histories = {}, {}, {}, {}
        self.tasks_by_run, self.inputs, self.outputs = {}, {}, {}
        self.finished = []
        self.asked = []
        self.changed = threading.Condition()

    def add(self, job, state="PENDING"):
        self.jobs[job.run_id] = job
        self.tasks_by_run[job.run_id] = {}
        self.histories[job.run_id] = []
        self.set_run_state(job.run_id, state)

    def unfinished_runs(self):
        return [(run_id, state) for run_id, state in self.states.items() if state not in FINISHED]

    def deleted_runs(self):
        return []

    def folder_removed(self, run_id):
        pass

    def namespace(self, run_id):
        return self.jobs[run_id].namespace

    async def request(self, run_id):
        self.asked.append(run_id)
        return self.jobs[run_id]

    def set_run_state(self, run_id, state, error=""):
        with self.changed:
            self.errors[run_id] = error
            self.histories[run_id].append(state)
            self.states[run_id] = state
            if state in FINISHED:
                self.finished.append(run_id)
            self.changed.notify_all()

    def put_task(self, task, inputs=None, outputs=None):
        with self.changed:
            self.tasks_by_run[task.run_id][task.task_id] = task
            if inputs is not None:
                self.inputs[task.run_id, task.task_id] = inputs
            if outputs is not None:
                self.outputs[task.run_id, task.task_id] = outputs
            self.changed.notify_all()

    def succeeded(self, run_id):
        return {
            task.task_id: self.outputs[run_id, task.task_id]
            for task in self.tasks(run_id)
            if task.state == "SUCCEEDED"
        }

    def tasks(self, run_id):
        return list(self.tasks_by_run[run_id].values())

    def retry(self, run_id):
        self.set_run_state(run_id, "PENDING")
        for task in self.tasks(run_id):
            if task.state != "SUCCEEDED":
                self.put_task(moved(task, "PENDING"))


class Home:
    """The event loop of a thread, and the process there from which runs are forked.

    That imports kfp when it starts, which takes longer than most runs.
    """

    def __init__(self):
        self.fork_server = ForkServer()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def close(self):
        asyncio.run_coroutine_threadsafe(self.fork_server.close(), self.loop).result(SECONDS)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(SECONDS)
        self.loop.close()


class Lent:
    """The fork server of a home, for an executor that ends before the home does."""

    def __init__(self, fork_server):
        self.start = fork_server.start

    async def close(self):
        pass


class Kfp:
    """An executor, its store, and what a test asks of both.

    Without a home to live in it has one of its own.
    """

    def __init__(self, folder, limit=2, home=None):
        self.folder, self.limit = folder, limit
        self.runs = Runs()
        self.own = None if home else Home()
        self.home = home or self.own
        self.loop = self.home.loop
        self.executor = self.new_executor()

    def new_executor(self):
        executor = RunQueue(
            store=self.runs,
            request=self.runs.request,
            folder=self.folder / "namespaces",
            secrets=SECRETS.__getitem__,
            token_file=lambda namespace, name: self.folder / "tokens" / namespace / name / "token",
            endpoint="http://127.0.0.1:8888",
            limit=self.limit,
            config_maps=CONFIG_MAPS.__getitem__,
        )
        executor._fork_server = Lent(self.home.fork_server)
        return executor

    def close(self):
        asyncio.run_coroutine_threadsafe(self.executor.close(), self.loop).result(SECONDS)
        if self.own:
            self.own.close()

    def call(self, function, *arguments):
        """Calls it on the event loop, where the executor lives."""

        async def call():
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(SECONDS)

    def add(self, pipeline, namespace="alice", run_id="", state="PENDING", **parameters):
        job = RunRequest(
            run_id or f"run-{len(self.runs.jobs)}",
            namespace,
            "",
            *map(msgspec.Raw, map(msgspec.json.encode, compiled(pipeline))),
            parameters,
            name=f"{pipeline.name}-abcde",
            display_name=f"My {pipeline.name}",
            created_at=CREATED_AT,
            scheduled_at=SCHEDULED_AT,
        )
        self.call(self.runs.add, job, state)
        return job.run_id

    def start(self, pipeline, **keywords):
        run_id = self.add(pipeline, **keywords)
        self.call(self.executor.submit, run_id)
        return run_id

    def finish(self, pipeline, **keywords):
        run_id = self.start(pipeline, **keywords)
        self.wait(run_id)
        return run_id

    def retry(self, run_id):
        self.call(self.runs.retry, run_id)
        self.call(self.executor.submit, run_id)
        self.wait(run_id)

    def until(self, condition):
        with self.runs.changed:
            assert self.runs.changed.wait_for(condition, SECONDS), "waited too long"

    def wait(self, *run_ids):
        self.until(lambda: all(self.runs.states[run_id] in FINISHED for run_id in run_ids))

    def task(self, run_id, name):
        (task,) = [task for task in self.runs.tasks(run_id) if task.display_name == name]
        return task

    def states(self, run_id):
        return {task.display_name: task.state for task in self.runs.tasks(run_id)}

    def inputs(self, run_id, name):
        return self.runs.inputs[run_id, self.task(run_id, name).task_id]

    def outputs(self, run_id, name):
        return self.runs.outputs[run_id, self.task(run_id, name).task_id]

    def log(self, run_id, name):
        return self.log_file(run_id, name).read_text()

    def log_file(self, run_id, name):
        namespace = self.runs.jobs[run_id].namespace
        return self.executor.log_file(namespace, run_id, self.task(run_id, name).task_id)

    def said(self, run_id, name):
        """Return the JSON that the task printed."""
        lines = self.log_file(run_id, name).read_text().splitlines()
        (line,) = [line for line in lines if line.startswith("said:")]
        return json.loads(line.removeprefix("said:"))


class Lifeline:
    """A pipe that a task's child holds open for as long as it lives."""

    def __init__(self, folder):
        self.path = str(folder / "lifeline")
        os.mkfifo(self.path)
        self.descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def holder(self):
        """The process group of the child, once it holds the pipe."""
        return int(self.read())

    def written(self):
        """Return the child's output so far."""
        try:
            return os.read(self.descriptor, 100)
        except BlockingIOError:
            return b""

    def released(self):
        return self.read() == b""

    def read(self):
        ready, _, _ = select.select([self.descriptor], [], [], SECONDS)
        assert ready, "waited too long"
        return os.read(self.descriptor, 100)


@cache
def compiled(pipeline):
    """The pipeline's specification and its platform's, as the compiler writes them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        documents = list(yaml.safe_load_all(path.read_text()))
    return documents[0], documents[1] if len(documents) > 1 else {}


def make_wheel(folder):
    path = folder / "only_here-1.0-py3-none-any.whl"
    info = "only_here-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("only_here.py", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: only-here\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path
