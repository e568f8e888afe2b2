"""The local KFP killed as by `kill -9` at a random moment under load, and what must hold then."""

import contextlib
import functools
import random
import sqlite3
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import psutil
import requests
from harness.local_kfp import LocalKfp
from harness.waiting import wait_until

from jupyter_kfp_mt.local.database.collation import register

API = "/apis/v2beta1"
CLIENTS = 6
# What a client sees when the server is killed.
GONE = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


class Checked(NamedTuple):
    """The number of acknowledged changes that were looked for, and how long the new start took."""

    creates: int
    archives: int
    deletes: int
    restart_seconds: float


class Load:
    """Clients that create, archive and delete, and remember what was acknowledged."""

    def __init__(self, server, spec):
        self._server, self._spec = server, spec
        self._headers = _authorization(server)
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(CLIENTS)
        # By id, the last state that was acknowledged; and what was asked for without an answer.
        self.experiments, self.runs, self.unsure = {}, {}, set()
        self._working = [self._pool.submit(self._work, number) for number in range(CLIENTS)]

    def stop(self):
        """Waits for the clients, and raises what one of them met other than the server's end."""
        self._stopped.set()
        with self._pool:
            for work in self._working:
                work.result()

    def _work(self, number):
        with requests.Session() as session, contextlib.suppress(*GONE):
            session.headers = self._headers
            while not self._stopped.is_set():
                self._round(session, f"{number}-{random.random()}")

    def _round(self, session, name):
        experiment = self._ask(
            session, "POST", "experiments", {"display_name": name, "namespace": "alice"}
        )["experiment_id"]
        self.experiments[experiment] = "AVAILABLE"
        for _ in range(random.randint(1, 3)):
            body = {"display_name": name, "experiment_id": experiment, "pipeline_spec": self._spec}
            run = self._ask(session, "POST", "runs", body)["run_id"]
            self.runs[run] = "AVAILABLE"
        match random.choice(["archive", "delete run", "terminate", "delete", "nothing"]):
            case "archive":
                self._change(session, "POST", f"experiments/{experiment}:archive", experiment)
                self.experiments[experiment] = "ARCHIVED"
            case "delete run":
                self._change(session, "DELETE", f"runs/{run}", run)
                self.runs[run] = "DELETED"
            case "terminate":
                with contextlib.suppress(requests.HTTPError):  # it may have ended by then
                    self._ask(session, "POST", f"runs/{run}:terminate")
            case "delete":
                self._change(session, "DELETE", f"experiments/{experiment}", experiment)
                self.experiments[experiment] = "DELETED"

    def _change(self, session, method, path, what):
        self.unsure.add(what)
        self._ask(session, method, path)
        self.unsure.discard(what)

    def _ask(self, session, method, path, body=None):
        answer = session.request(method, f"{self._server.endpoint}{API}/{path}", json=body)
        answer.raise_for_status()
        return answer.json()


def kill_under_load(data, profiles, spec, seconds):
    """Kills a server so long after its first answer, starts it anew, and asserts that nothing is
    lost or half.

    Returns what was checked.
    """
    server = LocalKfp(data, "--profiles", str(profiles))
    load = Load(server, spec)
    wait_until(lambda: load.experiments, what="the first acknowledged change")
    time.sleep(seconds)
    children = psutil.Process(server.process.pid).children(recursive=True)
    server.kill()
    load.stop()
    wait_until(lambda: not _alive(children, data), what="the end of all its processes")
    _check_database(data / "kfp.db")
    started = time.perf_counter()
    server = LocalKfp(data, "--profiles", str(profiles))
    restart_seconds = time.perf_counter() - started
    try:
        with requests.Session() as session:
            session.headers = _authorization(server)
            get = functools.partial(_get, session, f"{server.endpoint}{API}")
            counts = _check_acknowledged(get, load)
            _check_settled(get, load)
    finally:
        assert server.stop() == 0
    creates, archives, deletes = (counts[s] for s in ("AVAILABLE", "ARCHIVED", "DELETED"))
    return Checked(creates, archives, deletes, restart_seconds)


def _authorization(server):
    return {"Authorization": f"Bearer {server.token('alice/default-editor')}"}


def _get(session, api, path):
    return session.get(f"{api}/{path}", timeout=30)


def _alive(children, data):
    """Return the server's processes that are left, however they came to be its own."""
    left = [child for child in children if child.is_running() and child.status() != "zombie"]
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd().startswith(str(data)):
                left.append(process)
    return left


def _check_acknowledged(get, load):
    """Count the runs by their last acknowledged state."""
    counts = Counter()
    for kind, states in [("experiments", load.experiments), ("runs", load.runs)]:
        for id_, state in states.items():
            if id_ not in load.unsure:
                answer = get(f"{kind}/{id_}")
                expected = 404 if state == "DELETED" else 200
                assert answer.status_code == expected, (kind, id_, state, answer.text)
                if kind == "experiments" and state == "ARCHIVED":
                    assert answer.json()["storage_state"] == "ARCHIVED"
                counts[state] += 1
    return counts


def _check_settled(get, load):
    """Check that executing runs have ended with a reason, and waiting ones wait on or execute."""
    for id_, state in load.runs.items():
        if state != "DELETED" and id_ not in load.unsure:
            run = get(f"runs/{id_}").json()
            if run["state"] == "FAILED":
                assert run["error"]["message"], run
            assert run["state"] in ("PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELING"), run


def _check_database(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        register(db)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        counted = db.execute(
            "SELECT scope_id, state, storage_state, runs FROM run_counts "
            "WHERE scope = 'namespace' AND runs > 0 ORDER BY 1, 2, 3"
        ).fetchall()
        assert (
            counted
            == db.execute(
                "SELECT namespace, state, storage_state, count(*) FROM runs GROUP BY 1, 2, 3"
            ).fetchall()
        )
        half = (
            "SELECT count(*) FROM runs JOIN experiments USING (experiment_id) "
            "WHERE experiments.storage_state = 'ARCHIVED' AND runs.storage_state <> 'ARCHIVED'"
        )
        assert db.execute(half).fetchone() == (0,)
        for table in ("tasks", "artifacts", "run_metrics"):
            orphans = f"SELECT count(*) FROM {table} WHERE run_id NOT IN (SELECT run_id FROM runs)"
            assert db.execute(orphans).fetchone() == (0,), table
