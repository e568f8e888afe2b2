"""Measure a server while something happens."""

import threading
import time
from pathlib import Path

import requests
from harness.local_kfp import API


class Watch:
    """Megabytes at the server's peak, and the seconds that each healthz takes."""

    def __init__(self, server):
        self._server = server
        # From now on: the peak of what came before is forgotten.
        Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
        self._before = self._peak()
        self._over = threading.Event()
        self.seconds = []
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._over.set()
        self._thread.join()
        self.megabytes = self._peak() - self._before
        print(f"{self.megabytes} MB, healthz after {max(self.seconds):.3f} s at most")

    def _ask(self):
        with requests.Session() as session:
            while not (self.seconds and self._over.wait(0.01)):
                started = time.monotonic()
                session.get(f"{self._server.endpoint}{API}/healthz", timeout=60)
                self.seconds.append(time.monotonic() - started)

    def _peak(self):
        status = Path(f"/proc/{self._server.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) >> 10
