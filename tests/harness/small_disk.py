"""A data folder that is a small disk of its own, which a test can fill and empty."""

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from harness.local_kfp import LocalKfp
from harness.paths import ROOT
from harness.waiting import wait_until

# Root may mount as it is; anyone else in a user namespace, where the system allows that.
UNSHARE = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-Umr"]
USER = [] if os.getuid() == 0 else ["--user", "--preserve-credentials"]
MOUNT = 'mount -t tmpfs -o size=16m tmpfs "$1" && echo mounted && exec cat'

# By a process within, for SQLite follows links, /proc's among them, to what they name outside.
EMPTY_LOG = """
import sqlite3, sys
sqlite3.connect(sys.argv[1], timeout=60).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
"""


class SmallDisk:
    """Seen only by the servers that are started on it. It lasts as long as this process of ours."""

    def __init__(self, folder, profiles):
        folder.mkdir()
        self.folder, self.profiles = folder, profiles
        self.keeper = subprocess.Popen(
            [*UNSHARE, "sh", "-c", MOUNT, "sh", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self.keeper.stdout.readline() != "mounted\n":
            _, error = self.keeper.communicate()
            pytest.skip(f"no small disk can be mounted here: {error.strip()}")
        # The same folder, as it is seen from outside.
        self.inside = Path(f"/proc/{self.keeper.pid}/root{folder}")
        self.within = ["nsenter", "--target", str(self.keeper.pid), "--mount", *USER]
        self.within += [f"--wd={ROOT}", "--"]
        self.servers = []
        self.emptied = threading.Event()
        self.emptied.set()

    def start(self, *arguments):
        server = LocalKfp(
            self.folder, "--profiles", str(self.profiles), *arguments, within=self.within
        )
        server.tokens = self.inside / "tokens"
        self.servers.append(server)
        return server

    def mount(self, *arguments):
        subprocess.run([*self.within, "mount", *map(str, arguments)], check=True)

    def fill(self):
        """Until not a byte more fits; and what others make room for is filled as well.

        The write-ahead log of a running server is emptied first: after a checkpoint it would be
        written anew from its beginning, which needs no room. If the server has written to it
        meanwhile, this begins again.
        """
        while True:
            if self._is_served():
                self._empty_log()
            self.emptied.clear()
            self.filler = threading.Thread(target=self._fill)
            self.filler.start()
            wait_until(lambda: os.statvfs(self.inside).f_bavail == 0, what="a full disk")
            if not self._is_served() or not (self.inside / "kfp.db-wal").stat().st_size:
                return
            self.empty()

    def _is_served(self):
        return bool(self.servers) and self.servers[-1].process.poll() is None

    def _empty_log(self):
        empty = [sys.executable, "-c", EMPTY_LOG, self.folder / "kfp.db"]
        subprocess.run([*self.within, *empty], check=True)

    def _fill(self):
        with (self.inside / "filling").open("ab", buffering=0) as file:
            while not self.emptied.wait(0.001):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * 4096)

    def empty(self):
        if not self.emptied.is_set():
            self.emptied.set()
            self.filler.join()
            (self.inside / "filling").unlink()

    def close(self):
        self.empty()
        for server in self.servers:
            if server.process.poll() is None:
                server.stop()
            server.process.stdout.close()
        self.keeper.communicate()
