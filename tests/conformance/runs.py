"""A local KFP of its own, and how the runs of pipelines end there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import requests
import yaml

from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.credentials.token_file import TokenFile
from jupyter_kfp_mt.errors import KfpError
from jupyter_kfp_mt.local.execution.executors.containers import Engines

from . import pipelines
from .expectations import FAILED, SUCCEEDED, table

NAMESPACE = "conformance"
REFUSED, TOO_LONG = "refused", "too long"
AS_MEANT, NOT_HERE, WRONG = "as meant", "not here", "WRONG"


class Row(NamedTuple):
    """The end of one pipeline, and the verdict on it."""

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
        meant = FAILED if pipelines.takes_artifacts(pipeline) else expected.end
        needs = [*pipelines.needs(pipeline), *expected.needs]
        started = time.monotonic()
        ended, reason = self._end(
            file, pipelines.parameters(pipeline) | expected.parameters, seconds
        )
        took = time.monotonic() - started
        if ended == meant and expected.reason in reason:
            verdict = AS_MEANT
        else:
            verdict = NOT_HERE if any(self._lacks(need) for need in needs) else WRONG
        return Row(file, needs, meant, ended, reason, verdict, took)

    def _lacks(self, need: str) -> bool:
        return not (need.startswith(pipelines.ENGINE) and self._has_engine)

    def _end(self, file: Path, parameters: dict[str, object], seconds: float) -> tuple[str, str]:
        """In a word, and the reason for it."""
        client = Client(self._endpoint, TokenFile(self._token), NAMESPACE)
        try:
            pipeline = self._uploaded(file) if file.suffix == ".zip" else file
            run_id = client.start_run(pipeline, parameters, name=file.name).run_id
        except KfpError as error:
            return REFUSED, str(error)
        deadline = time.monotonic() + seconds
        for run in client.watch(run_id):
            if not run.finished and time.monotonic() > deadline:
                client.terminate(run_id)
                return TOO_LONG, f"it was stopped after {seconds:.0f} s"
        reason = run.error.message if run.error else ""
        return (SUCCEEDED if run.state == "SUCCEEDED" else FAILED), reason

    def _uploaded(self, file: Path) -> str:
        """The name of a pipeline that is uploaded in an archive."""
        with file.open("rb") as content:
            answer = requests.post(
                f"{self._endpoint}/apis/v2beta1/pipelines/upload",
                params={"name": file.name, "namespace": NAMESPACE},
                files={"uploadfile": (file.name, content)},
                headers={"Authorization": f"Bearer {self._token.read_text()}"},
            )
        answer.raise_for_status()
        return file.name
