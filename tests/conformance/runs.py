"""A local KFP of its own, and how the runs of pipelines end there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import yaml

from jupyter_kfp_mt.client import Client
from jupyter_kfp_mt.credentials.token_file import TokenFile
from jupyter_kfp_mt.errors import KfpError
from jupyter_kfp_mt.local.execution.containers import Engines

from . import pipelines
from .expectations import FAILED, SUCCEEDED, table

NAMESPACE = "conformance"
REFUSED, TOO_LONG = "refused", "too long"


class Row(NamedTuple):
    """What became of one pipeline."""

    file: Path
    needs: list[str]
    meant: str
    ended: str
    reason: str
    verdict: str
    seconds: float


class LocalKfp:
    """Started when it is entered, and stopped when it is left."""

    def __init__(self, data: Path, at_once: int) -> None:
        self._data, self._at_once = data, at_once
        self._table = table()
        self._has_engine = not Engines(os.environ).why_none()

    def __enter__(self) -> LocalKfp:
        profile = {"namespace": NAMESPACE, "owner": "tester", "secrets": self._table.secrets}
        profiles = self._data / "profiles.yaml"
        profiles.write_text(yaml.safe_dump({"profiles": [profile]}))
        options = ["--data", str(self._data / "data"), "--profiles", str(profiles)]
        options += ["--max-runs", str(self._at_once)]
        with (self._data / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_kfp_mt.local", *options],
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout
        if not (line := self._process.stdout.readline()):
            raise SystemExit((self._data / "log").read_text())
        ready = json.loads(line)
        self._endpoint = ready["endpoint"]
        self._token = Path(ready["tokens"], NAMESPACE, "default-editor", "token")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdout
        self._process.terminate()
        self._process.wait()
        self._process.stdout.close()

    def row(self, file: Path, seconds: float) -> Row:
        """Runs the pipeline in a file, and judges how that ends."""
        pipeline = pipelines.read(file)
        assert pipeline
        expected = self._table.of(file)
        needs = [*pipelines.needs(pipeline), *expected.needs]
        started = time.monotonic()
        parameters = pipelines.parameters(pipeline) | expected.parameters
        ended, reason = self._end(file, parameters, seconds)
        kept = ended == expected.end and expected.reason in reason
        lacking = [
            one for one in needs if not (one.startswith(pipelines.ENGINE) and self._has_engine)
        ]
        verdict = "as meant" if kept else "not here" if lacking else "WRONG"
        took = time.monotonic() - started
        return Row(file, needs, expected.end, ended, reason, verdict, took)

    def _end(self, file: Path, parameters: dict[str, object], seconds: float) -> tuple[str, str]:
        """In a word, and the reason for it."""
        client = Client(self._endpoint, TokenFile(self._token), NAMESPACE)
        try:
            run_id = client.start_run(file, parameters, name=file.name).run_id
        except KfpError as error:
            return REFUSED, str(error)
        deadline = time.monotonic() + seconds
        for run in client.watch(run_id):
            if not run.finished and time.monotonic() > deadline:
                client.terminate(run_id)
                return TOO_LONG, f"it was stopped after {seconds:.0f} s"
        reason = run.error.message if run.error else ""
        return {"SUCCEEDED": SUCCEEDED}.get(run.state, FAILED), reason
