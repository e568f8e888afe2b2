"""Verbs about recurring runs, which start a pipeline on a schedule."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from datetime import datetime, timezone

from ... import cron_words
from ...client import spans
from ...client.listings import Listing
from ...errors import BadRequest
from ...models import CronSchedule, PeriodicSchedule, RecurringRun, Trigger
from .starts import PIPELINE, START, parameters, pipeline_source
from .table import LISTED, NAMED, NAMESPACE, YES, Option, Session, Verb, limit, option, where
from .values import Notice

_ON_THIS_MACHINE = "The local KFP starts runs only while it is running, usually as long as Jupyter."
_CACHED = (
    " Tasks whose inputs have not changed reuse cached outputs; --no-cache runs them each time."
)


def recurring_runs(session: Session, arguments: Namespace) -> Listing[RecurringRun]:
    """List recurring runs, newest first."""
    return session.client.recurring_runs(
        where(session, arguments),
        name=arguments.name,
        sort=arguments.sort,
        limit=limit(arguments),
    ).begun()


def create(session: Session, arguments: Namespace) -> RecurringRun:
    """Run a pipeline on a schedule: a cron expression, or a fixed interval."""
    due = trigger(arguments)
    source = pipeline_source(session, arguments)
    made = session.client.create_recurring_run(
        source,
        due,
        parameters(source, arguments),
        arguments.experiment,
        arguments.name,
        arguments.namespace,
        description=arguments.description,
        service_account=arguments.service_account,
        cache=not arguments.no_cache,
        enabled=not arguments.disabled,
        at_once=_at_once(arguments.at_once),
        catch_up=arguments.catch_up,
    )
    if session.client.health().local:
        session.say(_ON_THIS_MACHINE + ("" if arguments.no_cache else _CACHED))
    return made


def trigger(arguments: Namespace) -> Trigger:
    """Return the trigger. Raises `BadRequest` for an invalid time or a contradiction."""
    if bool(arguments.cron) == bool(arguments.every):
        raise BadRequest(
            "A recurring run needs a schedule: give either --cron or --every.",
            cure="--cron '0 30 9 * * 1-5' is 9:30 on working days; --every 2h is every two hours.",
        )
    start, end = _moment(arguments.start, "--start"), _moment(arguments.end, "--end")
    if arguments.cron:
        text = cron_words.checked(arguments.cron)
        return Trigger(cron_schedule=CronSchedule(start_time=start, end_time=end, cron=text))
    seconds = int(spans.span(arguments.every, "--every").total_seconds())
    if seconds < 1:
        raise BadRequest(f"--every {arguments.every} is less than a second.")
    return Trigger(
        periodic_schedule=PeriodicSchedule(
            start_time=start, end_time=end, interval_second=str(seconds)
        )
    )


def _moment(text: str, flag: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(
            f"{flag} {text} is not a time: write it as 2026-12-31 or '2026-12-31 09:30'."
        ) from None
    return moment.astimezone(timezone.utc)


def _at_once(count: int) -> int:
    if not 1 <= count <= 10:
        raise BadRequest(
            f"--at-once {count}: KFP allows 1 to 10 concurrent runs of a recurring run."
        )
    return count


def recurring_run(session: Session, arguments: Namespace) -> RecurringRun:
    """Show a recurring run: when it is due, and the next five times."""
    return session.client.find_recurring_run(arguments.recurring, arguments.namespace)


def enable(session: Session, arguments: Namespace) -> RecurringRun:
    """Let a recurring run start runs."""
    known = recurring_run(session, arguments)
    session.client.enable(known.recurring_run_id)
    return session.client.recurring_run(known.recurring_run_id)


def disable(session: Session, arguments: Namespace) -> RecurringRun:
    """Stop a recurring run from starting runs; current runs continue."""
    known = recurring_run(session, arguments)
    session.client.disable(known.recurring_run_id)
    return session.client.recurring_run(known.recurring_run_id)


def delete(session: Session, arguments: Namespace) -> Notice:
    """Delete a recurring run for good; its runs are kept."""
    known = recurring_run(session, arguments)
    told = f"recurring run {known.display_name} ({known.recurring_run_id})"
    if not arguments.yes:
        return Notice(f"This would delete {told}. Nothing is done yet: add --yes to do it.")
    session.client.delete_recurring_run(known.recurring_run_id)
    return Notice(f"Deleted {told}.")


_RECURRING = option(
    "recurring",
    completes="recurring run",
    metavar="RECURRING-RUN",
    help="id, name, or the beginning of one",
)


def _about(action: str, call: Callable[[Session, Namespace], object], *more: Option) -> Verb:
    return Verb(f"recurring {action}", call, (_RECURRING, *more, NAMESPACE))


VERBS = (
    Verb(
        "recurring",
        recurring_runs,
        (*LISTED, NAMED),
        aliases=("recurring list",),
        examples=(("recurring", "those of the namespace, and when they are due"),),
    ),
    Verb(
        "recurring create",
        create,
        (
            PIPELINE,
            option("--cron", default="", metavar="CRON", help="six fields, seconds first"),
            option("--every", default="", metavar="2h", help="the interval, such as 30min or 2h"),
            *START,
            option("--name", default="", help="name of the recurring run"),
            option("--start", default="", metavar="TIME", help="first time (default: now)"),
            option("--end", default="", metavar="TIME", help="last time (default: none)"),
            option(
                "--at-once",
                type=int,
                default=1,
                metavar="COUNT",
                help="how many of its runs may overlap",
            ),
            option("--catch-up", action="store_true", help="start the runs that were missed"),
            option("--disabled", action="store_true", help="create it disabled"),
            NAMESPACE,
        ),
        examples=(
            ("recurring create churn --cron '0 30 9 * * 1-5'", "9:30 on working days"),
            ("recurring create churn --every 2h -p rate=0.1", "every two hours"),
        ),
        takes_cell=True,
    ),
    _about("get", recurring_run),
    _about("enable", enable),
    _about("disable", disable),
    _about("delete", delete, YES),
)
