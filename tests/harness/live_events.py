"""Listeners at the door of the Jupyter server in this process, and how often it asks KFP."""

import asyncio
from urllib.parse import urlencode

import aiohttp
import pytest
from harness.waiting import wait_until
from yarl import URL

from jupyter_kfp_mt.connection import event_reader
from jupyter_kfp_mt.extension import pace


def at_any_time(monkeypatch, seconds):
    """A namespace is looked at so often, whatever that costs."""
    bounds = pace.Bounds(1e-9, saved=1e9, shortest=seconds, longest=seconds)
    monkeypatch.setattr(pace, "SHARED", bounds)


@pytest.fixture
def quick(monkeypatch):
    at_any_time(monkeypatch, 0.05)


@pytest.fixture
def patient(monkeypatch):
    """Make the pauses between looks so long that only a change brings the next one."""
    at_any_time(monkeypatch, 600.0)


class Listener:
    """One stream of events, read as it comes."""

    def __init__(self, response, address, headers):
        self.response = response
        self.address, self.headers = address, headers

    async def event(self, *names):
        """The next event, or the next of these names."""
        while True:
            block = await asyncio.wait_for(self.response.content.readuntil(b"\n\n"), 60)
            if not block:  # it has ended as a stream should, and has not broken off
                raise EOFError
            (event,) = event_reader.parsed([block])
            if event.name in names or (event.name and not names):
                return event

    def leave(self):
        self.response.close()


@pytest.fixture
def listen(door, jp_asyncio_loop):
    """Starts listeners, with the kernels' key, and ends them after the test."""
    address, key = door
    session, started = None, []

    async def listen(namespace="alice", runs=(), last_id="", **headers):
        nonlocal session
        session = session or aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        query = urlencode({"namespace": namespace, "run": runs}, doseq=True)
        url = URL(f"{address}/events?{query}", encoded=True)
        headers = {"Authorization": f"Bearer {key}", "Last-Event-ID": last_id, **headers}
        response = await session.get(url, headers=headers)
        assert response.status == 200, await response.text()
        started.append(Listener(response, address, {"Authorization": headers["Authorization"]}))
        return started[-1]

    yield listen
    for listener in started:
        listener.leave()
    if session:
        jp_asyncio_loop.run_until_complete(session.close())


def watchers():
    names = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]
    return names.count("Watcher._watch")


def watcher():
    (found,) = [
        task.get_coro().cr_frame.f_locals["self"]
        for task in asyncio.all_tasks()
        if task.get_coro().__qualname__ == "Watcher._watch"
    ]
    return found


async def until(condition):
    """Wait for it while the server answers on this loop, which is where it is looked at."""
    loop = asyncio.get_running_loop()

    async def value():
        return condition()

    def asked():
        return asyncio.run_coroutine_threadsafe(value(), loop).result()

    await asyncio.to_thread(wait_until, asked)


def states(event):
    return {run.run_id: run.state for run in event.changes().runs}
