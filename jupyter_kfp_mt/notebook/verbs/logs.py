"""`%kfp logs`: the output of tasks, complete or while they run."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

import msgspec

from ...client import tracebacks
from ...errors import BadRequest, NotFound
from ...models import Run, Task
from ...near_names import did_you_mean
from .table import NAMESPACE, RUN, Session, Verb, chosen_run, option
from .values import TAIL, Log
from .waiting import still_running

if TYPE_CHECKING:
    from ...client.client import Client


MOST_NAMED = 10  # tasks, in an error
# Of a longer line the beginning is shown: a notebook keeps what its cells have shown.
LONGEST_LINE = 20_000


def logs(session: Session, arguments: Namespace) -> Log | Run:
    """Show the logs of a run: of one task, else of the failed tasks, else of all."""
    client = session.client
    if arguments.tail < 1:
        raise BadRequest(f"Cannot show {arguments.tail} lines: --tail takes a number from 1 on.")
    run = chosen_run(session, arguments)
    tasks = _tasks(client, run, arguments.task)
    if arguments.follow:
        return _followed(session, run, _one_of(run, tasks), arguments)
    if not arguments.task:
        failed = [task for task in tasks if task.state == "FAILED"]
        tasks = sorted(failed, key=lambda task: task.end_time) or tasks
    started = [task for task in tasks if task.state not in ("PENDING", "SKIPPED")]
    if arguments.task and tasks and not started:
        raise BadRequest(_no_log(tasks[0]))
    alone = len(started) == 1
    return Log(run, [(task, _text(client, task, arguments, alone)) for task in started])


def _tasks(client: Client, run: Run, wanted: str) -> list[Task]:
    """Return the tasks of that name, or all."""
    if not wanted:
        return client.tasks(run)
    found = [task for task in client.tasks(run) if wanted in _names(task)]
    if not found:  # it may be one of the workflow's own tasks, such as a driver
        parts = client.run_as_told(run.run_id).tasks
        found = [task for task in parts if wanted in (task.display_name, task.task_id)]
    if not found:
        raise _no_task(run, wanted, [task.display_name for task in client.tasks(run)])
    return [msgspec.structs.replace(task, run_id=run.run_id) for task in found]


def _no_task(run: Run, wanted: str, names: list[str]) -> BadRequest:
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    known = f"It has {', '.join(names[:MOST_NAMED])}{more}." if names else "It has none yet."
    return BadRequest(
        f"Run {run.display_name} has no task {wanted}.{did_you_mean(wanted, names)}", cure=known
    )


def _names(task: Task) -> tuple[str, ...]:
    """All the names a task goes by: with or without its iteration, and its id."""
    return task.display_name, task.display_name.partition("[")[0], task.task_id


def _text(client: Client, task: Task, arguments: Namespace, alone: bool) -> str:
    """The last lines of a log. For one of several tasks, the reason if there is no log."""
    # The whole log is needed to count its lines, and to tell which are the executor's.
    asked = arguments.tail if arguments.raw and arguments.tail != TAIL else None
    try:
        log = client.log(task.run_id, task.task_id, asked, recent=not alone)
        return _shown(log, arguments.tail, arguments.raw)
    except NotFound as error:
        if alone:
            raise
        return f"[{error.message}]"


def _no_log(task: Task) -> str:
    if task.state == "SKIPPED":
        return f"Task {task.display_name} was skipped, so it has no log."
    return f"Task {task.display_name} has not started, so it has no log yet."


def _shown(log: str, count: int, raw: bool) -> str:
    """The last lines of a log, below a note on the lines that are left out."""
    whole = log.rstrip().splitlines()
    lines = whole if raw else tracebacks.readable(log).rstrip().splitlines()
    told = []
    if (executors := len(whole) - len(lines)) and count == TAIL:
        told.append(f"[{executors:,} lines of kfp's executor are left out: --raw shows them]")
    if (before := len(lines) - count) > 0 and count == TAIL:
        told.append(f"[{before:,} lines before these: --tail LINES shows more]")
    last = lines[-count:]
    return "\n".join([*told, *(last if raw else map(_beginning, last))])


def _beginning(line: str) -> str:
    if (more := len(line) - LONGEST_LINE) <= 0:
        return line
    return f"{line[:LONGEST_LINE]} [{more:,} more characters: --raw shows them]"


def _one_of(run: Run, tasks: list[Task]) -> Task:
    """Return the task to follow: the only one that is running."""
    running = [task for task in tasks if not task.finished]
    if len(running) == 1 or len(tasks) == 1:
        return (running or tasks)[0]
    if not tasks:
        raise BadRequest(f"Run {run.display_name} has no tasks yet.", cure="Try again in a moment.")
    names = ", ".join(f"{task.display_name} ({task.task_id})" for task in running or tasks)
    raise BadRequest(
        f"Cannot follow {len(running or tasks)} tasks of run {run.display_name} at once.",
        cure=f"Name one: {names}.",
    )


def _followed(session: Session, run: Run, task: Task, arguments: Namespace) -> Run:
    client = session.client
    log = client.task_log(run.run_id, task.task_id, follow=True, tail=arguments.tail)
    lines = (line.decode("utf-8", "replace").rstrip("\r\n") for line in log)
    try:
        readable = map(_beginning, tracebacks.readable_lines(lines))
        for line in lines if arguments.raw else readable:
            session.say(line)
    except KeyboardInterrupt:
        session.say(still_running(run))
    finally:
        log.close()
    return client.run(run.run_id)


VERBS = (
    Verb(
        "logs",
        logs,
        (
            RUN,
            option(
                *("task",),
                completes="task",
                nargs="?",
                default="",
                metavar="TASK",
                help="only this task",
            ),
            option(
                *("-f", "--follow"), action="store_true", help="follow the log until the task ends"
            ),
            option(
                "--tail",
                type=int,
                default=TAIL,
                metavar="LINES",
                help=f"how many of the last lines of each (default: {TAIL})",
            ),
            option(
                "--raw", action="store_true", help="unfiltered, with the lines of kfp's executor"
            ),
            NAMESPACE,
        ),
        aliases=("log",),
        examples=(
            ("logs latest", "of the task that failed, else of all"),
            ("logs churn-20260101 train -f", "of one task, while it runs"),
        ),
    ),
)
