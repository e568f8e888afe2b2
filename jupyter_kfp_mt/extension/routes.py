"""The URL table of the extension, and its thin handlers."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from tornado import web
from tornado.iostream import StreamClosedError

from .. import cron, cron_words, refusal_causes
from ..cluster.access_manifests import USER_HEADER
from ..errors import BadRequest
from ..namespaces.contributors import Contributors
from .handlers import KERNEL, KfpHandler
from .proxy_handler import ProxyHandler
from .task_log_handler import LogsHandler


class StatusHandler(KfpHandler):
    """The connection: identity, endpoint and namespace, the reasons for each, and any error."""

    @web.authenticated
    async def get(self) -> None:
        status, found = await self.upstream.status(), self.collaborators
        told = msgspec.structs.replace(
            status,
            kernel_namespaces=found.namespace.of_kernels,
            identities=found.identity.choices,
        )
        self.finish(msgspec.json.encode(told))


class DoctorHandler(KfpHandler):
    """The doctor: faults and their cures; with `?isolation=1&of=NAME`, the isolation of tenants."""

    @web.authenticated
    async def get(self) -> None:
        apart = bool(self.get_query_argument("isolation", ""))
        others = tuple(self.get_query_arguments("of"))
        namespace = self.get_query_argument("namespace", "")
        report = await self.upstream.examined(namespace, apart, others)
        self.finish(msgspec.json.encode(report))


class TasksHandler(KfpHandler):
    """`GET tasks/RUN_ID`: the tasks of a run as its pipeline has them, not the Workflow's nodes."""

    @web.authenticated
    async def get(self, run_id: str) -> None:
        run = await self.upstream.ask(lambda client: client.run(run_id))
        self.finish(msgspec.json.encode({"tasks": run.tasks}))


class ScheduleHandler(KfpHandler):
    """`?cron=...`: a cron expression in words, and the next five times at which it is due.

    Times are in UTC, the time zone of KFP unless its administrator has set another.
    """

    @web.authenticated
    async def get(self) -> None:
        text = self.get_query_argument("cron", "")
        try:
            schedule = cron.parse(text)
        except cron.NotACron as error:
            raise BadRequest(
                f"KFP cannot read it: {error}.",
                cure="It needs six fields, seconds first: 0 30 6 * * 1 is each Monday at 6:30.",
            ) from None
        words, times = await asyncio.to_thread(
            lambda: (cron_words.words(text), cron_words.moments(schedule, int(time.time())))
        )
        self.finish(msgspec.json.encode({"words": words, "times": times}))


class DueTimesHandler(KfpHandler):
    """`?cron=...`, repeatable: the next five times at which each of these is due, in UTC.

    Expressions that KFP cannot read are left out.
    """

    @web.authenticated
    async def get(self) -> None:
        asked = self.get_query_arguments("cron")
        if len(asked) > MOST_CRONS:
            raise BadRequest(f"Cannot tell when they are due: at most {MOST_CRONS} at once.")
        times = await asyncio.to_thread(_due_times, asked)
        self.finish(msgspec.json.encode({"times": times}))


def _due_times(expressions: list[str]) -> dict[str, list[datetime]]:
    found, now = {}, int(time.time())
    for text in expressions:
        with contextlib.suppress(cron.NotACron):
            found[text] = cron_words.moments(cron.parse(text), now)
    return found


class NamespacesHandler(KfpHandler):
    """Every namespace that this identity may use, its sources, and the permissions there.

    `?namespace=`: one to include in any case.
    """

    @web.authenticated
    async def get(self) -> None:
        wanted = self.get_query_argument("namespace", "")
        self.finish(msgspec.json.encode(await self.tenants.found(wanted)))


class NamesHandler(KfpHandler):
    """`?experiment=ID&pipeline=ID&namespace=NAME`, each repeatable: their names."""

    @web.authenticated
    async def get(self) -> None:
        experiments = frozenset(self.get_query_arguments("experiment"))
        pipelines = frozenset(self.get_query_arguments("pipeline"))
        namespaces = self.get_query_arguments("namespace")
        ids = experiments | pipelines
        if len(ids) > MOST_NAMES or not all(map(_NAME.fullmatch, ids | {*namespaces})):
            raise BadRequest(
                f"Cannot look up names: experiment and pipeline take ids, at most {MOST_NAMES}, "
                "and namespace takes a namespace."
            )
        known = self.collaborators.names
        found = {
            "experiments": await known.of("experiment", experiments, namespaces),
            "pipelines": await known.of("pipeline", pipelines, namespaces),
        }
        self.finish(msgspec.json.encode(found))


class NamespaceHandler(KfpHandler):
    """The namespace in use in this server, and those of kernels that use another one.

    `PUT ?namespace=` changes it, with `&kernel=ID` in one kernel; empty restores the default.
    """

    @web.authenticated
    async def get(self) -> None:
        self.finish(msgspec.json.encode(await self.collaborators.namespace.in_use()))

    @web.authenticated
    async def put(self) -> None:
        asked = self.get_query_argument("namespace", ""), self.get_query_argument("kernel", "")
        self.finish(msgspec.json.encode(await self.collaborators.namespace.choose(*asked)))


class IdentityHandler(KfpHandler):
    """`PUT ?identity=NAMESPACE/NAME` is another identity of the local KFP; an empty one the usual.

    Whatever was told to whoever was here before is not told again: streams of events end.
    """

    @web.authenticated
    async def put(self) -> None:
        found = self.collaborators
        await found.upstream.connection()  # whose identities there are
        found.identity.choose(self.get_query_argument("identity", ""))
        in_use = await found.namespace.announced()
        found.events.start_over()
        self.finish(msgspec.json.encode(in_use))


class ContributorsHandler(KfpHandler):
    """The contributors of a namespace: `?namespace=`, and to change it also `&user=` and
    `&role=`.
    """

    @web.authenticated
    async def get(self) -> None:
        found = await self.tenants.contributors(self._namespace, lambda those: those.all())
        self.finish(msgspec.json.encode({"contributors": found}))

    @web.authenticated
    async def post(self) -> None:
        await self._change(lambda those: those.add, "add a contributor")

    @web.authenticated
    async def delete(self) -> None:
        await self._change(lambda those: those.remove, "remove a contributor")

    async def _change(
        self, change: Callable[[Contributors], Callable[..., None]], words: str
    ) -> None:
        if self.upstream.read_only:
            raise refusal_causes.read_only().with_(attempt=words)
        user, role, sender = self._whom

        def ask(those: Contributors) -> str:
            change(those)(user, role, sender)
            return those.namespace

        where = await self.tenants.contributors(self._namespace, ask)
        given = f"{user} as {role or 'any role'}"
        self.log.info("kfp-mt: %r: %s, %s in %s", sender, words, given, where)
        self.finish({})

    @property
    def _namespace(self) -> str:
        return self.get_query_argument("namespace", "")

    @property
    def _whom(self) -> tuple[str, str, str]:
        """The user, the role, and the caller as named by Kubeflow's gateway; never a kernel."""
        named = self.request.headers.get_list(USER_HEADER)
        believed = self.upstream.believes_userid and self.current_user is not KERNEL
        sender = named[0] if believed and len(named) == 1 else ""
        # Without a role, a contributor is added as in Kubeflow's dashboard, or removed completely.
        unsaid = "edit" if self.request.method == "POST" else ""
        role = self.get_query_argument("role", unsaid)
        return self.get_query_argument("user", ""), role, sender


class EventsHandler(KfpHandler):
    """`?namespace=...[&run=ID...]`: changes there, as server-sent events, until disconnected."""

    _listening: asyncio.Task[Any] | None = None
    _gone = False

    @web.authenticated
    async def get(self) -> None:
        namespace, runs = await self._namespace(), self._runs()
        for name, value in _STREAMED.items():
            self.set_header(name, value)
        self._listening = asyncio.current_task()
        events = self.collaborators.events
        last_id = self.request.headers.get("Last-Event-ID", "")
        try:
            async with contextlib.aclosing(events.listen(namespace, runs, last_id)) as stream:
                async for piece in stream:
                    await self.pass_on(piece)
        except StreamClosedError:
            return
        except asyncio.CancelledError:
            if not self._gone:
                raise
        self.finish(set_content_type=_STREAMED["Content-Type"])

    def on_connection_close(self) -> None:
        self._gone = True
        if self._listening:
            self._listening.cancel()

    async def _namespace(self) -> str:
        namespace = self.get_query_argument("namespace", "")
        if namespace and not _NAME.fullmatch(namespace):
            raise BadRequest(f"Cannot listen: {namespace!r} is not a namespace.")
        if not namespace and (await self.upstream.health()).multi_user:
            raise BadRequest(
                "Cannot listen: no namespace is named.", cure="Add namespace=... to the query."
            )
        return namespace

    def _runs(self) -> frozenset[str]:
        runs = frozenset(self.get_query_arguments("run"))
        if len(runs) > MOST_RUNS or not all(map(_NAME.fullmatch, runs)):
            raise BadRequest(
                f"Cannot listen: run=... takes the id of a run, at most {MOST_RUNS} times."
            )
        return runs


MOST_RUNS = 20
MOST_NAMES = 100
MOST_CRONS = 50
_NAME = re.compile(r"[A-Za-z0-9-]{1,63}")
_STREAMED = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # else nginx would buffer events
}

routes = [
    (r"/kfp-mt/status", StatusHandler),
    (r"/kfp-mt/doctor", DoctorHandler),
    (r"/kfp-mt/namespaces", NamespacesHandler),
    (r"/kfp-mt/names", NamesHandler),
    (r"/kfp-mt/namespace", NamespaceHandler),
    (r"/kfp-mt/identity", IdentityHandler),
    (r"/kfp-mt/contributors", ContributorsHandler),
    (r"/kfp-mt/logs/([^/]+)/([^/]+)", LogsHandler),
    (r"/kfp-mt/tasks/([^/]+)", TasksHandler),
    (r"/kfp-mt/schedule", ScheduleHandler),
    (r"/kfp-mt/due-times", DueTimesHandler),
    (r"/kfp-mt/events", EventsHandler),
    (r"/kfp-mt/api(/.*)", ProxyHandler),
]
