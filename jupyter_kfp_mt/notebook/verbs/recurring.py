"""Verbs about recurring runs: what starts a pipeline again and again."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from datetime import datetime, timezone

from ... import cron_words
from ...client import spans
from ...client.listings import Listing
from ...errors import BadRequest
from ...models import CronSchedule, PeriodicSchedule, RecurringRun, Trigger
from .starts import PIPELINE, START, found, parameters
from .table import LISTED, NAMED, NAMESPACE, YES, Option, Session, Verb, limit, option, where
from .values import Said


def recurring_runs(session: Session, arguments: Namespace) -> Listing[RecurringRun]:
    """List recurring runs, newest first."""
    return session.client.recurring_runs(
        where(session, arguments),
        name=arguments.name,
        sort=arguments.sort,
        limit=limit(arguments),
    ).begun()


def create(session: Session, arguments: Namespace) -> RecurringRun:
    """Run a pipeline again and again, at the times of a cron expression or after an interval."""
    due = trigger(arguments)
    source = found(session, arguments)
    return session.client.create_recurring_run(
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


def trigger(arguments: Namespace) -> Trigger:
    """When it is due. Raises `BadRequest` for what is no time, or was meant otherwise."""
    if bool(arguments.cron) == bool(arguments.every):
        raise BadRequest(
            "When is it due? Say --cron or --every, one of the two.",
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
            f"{flag} {text} is no time: write it as 2026-12-31 or '2026-12-31 09:30'."
        ) from None
    return moment.astimezone(timezone.utc)


def _at_once(count: int) -> int:
    if not 1 <= count <= 10:
        raise BadRequest(f"--at-once {count}: KFP lets 1 to 10 runs of one go on at once.")
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
    """Let a recurring run start no more runs; those that go on go on."""
    known = recurring_run(session, arguments)
    session.client.disable(known.recurring_run_id)
    return session.client.recurring_run(known.recurring_run_id)


def delete(session: Session, arguments: Namespace) -> Said:
    """Delete a recurring run for good; its runs stay."""
    known = recurring_run(session, arguments)
    told = f"recurring run {known.display_name} ({known.recurring_run_id})"
    if not arguments.yes:
        return Said(f"This would delete {told}. Nothing is done yet: add --yes to do it.")
    session.client.delete_recurring_run(known.recurring_run_id)
    return Said(f"Deleted {told}.")


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
            option("--every", default="", metavar="2h", help="how long after each other"),
            *START,
            option("--name", default="", help="its name"),
            option("--start", default="", metavar="TIME", help="not before (default: now)"),
            option("--end", default="", metavar="TIME", help="not after"),
            option("--at-once", type=int, default=1, metavar="COUNT", help="runs that may overlap"),
            option("--catch-up", action="store_true", help="make up for what was missed"),
            option("--disabled", action="store_true", help="start none before it is enabled"),
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
