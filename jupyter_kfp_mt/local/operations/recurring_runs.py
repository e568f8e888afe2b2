"""Operations on recurring runs, including those of the controller that fires them."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ...models import PipelineVersionReference, RecurringRun, RuntimeConfig, Trigger
from ..database import Database, new_id
from ..database.row_types import Origin
from ..pipelines.pipeline_files import Specification, check_parameters
from ..schedules.next_time import check as check_trigger
from ..schedules.start_due_runs import run_name
from ..tenants.identity import Caller
from ..tenants.roles import ResourceAttributes, Roles
from ..wire.api_errors import invalid_input, wrapped
from ..wire.list_options import ListOptions
from .request_checks import (
    DEFAULT_SERVICE_ACCOUNT,
    check_service_account,
    check_text,
    found,
    is_empty,
    now,
)
from .runs import Controller, Runs, origin_of, pending_run, reference_to
from .values import Listed, NewRecurringRun, NewRun, listed

_MOST_CONCURRENT = 10


class RecurringRuns:
    """Operations on recurring runs, each in the namespace of its experiment."""

    def __init__(self, database: Database, roles: Roles, controller: Controller, runs: Runs):
        self._database = database
        self._table = database.recurring_runs
        self._roles = roles
        self._controller = controller
        self._runs = runs

    def check(self, new: NewRecurringRun) -> None:
        """Make the checks that the API server makes before authorization."""
        if not new.display_name:
            raise invalid_input("Recurring run's name cannot be empty")
        if not 1 <= new.max_concurrency <= _MOST_CONCURRENT:
            raise invalid_input(
                "Max concurrency of a recurring run must be at least 1 and at most 10. "
                f"Received {new.max_concurrency}"
            )
        check_trigger(new.trigger)

    def authorize_creation(self, caller: Caller, new: NewRecurringRun) -> str:
        """Authorize, and return the namespace; the pipeline need not be known yet."""
        with wrapped(
            "Failed to create a recurring run due to invalid experimentId and namespace combination"
        ):
            namespace = self._runs.namespace_of(new.experiment_id, new.namespace)
        with wrapped(
            "Failed to create a recurring run due to authorization error. "
            f"Check if you have write permission to namespace {namespace}"
        ):
            self._authorize(
                caller, ResourceAttributes(namespace, "create", "jobs", new.display_name)
            )
        return namespace

    async def create(self, caller: Caller, new: NewRecurringRun) -> RecurringRun:
        self.check(new)
        namespace = self.authorize_creation(caller, new)
        check_service_account(new.service_account)
        check_text("RecurringRun.DisplayName", new.display_name)
        check_text("RecurringRun.Description", new.description)
        recurring, origin = await self._with_origin(caller, new, namespace)
        await self._database.change(
            origin.specification, lambda tables: tables.recurring_runs.add(recurring, origin)
        )
        self._controller.changed(recurring.recurring_run_id)
        return recurring

    async def get(self, caller: Caller, recurring_run_id: str) -> RecurringRun:
        self._authorized(caller, recurring_run_id, "get")
        recurring = await self._database.read(
            self._table.digest(recurring_run_id),
            lambda tables: tables.recurring_runs.one(recurring_run_id),
        )
        return found(recurring, "Job", recurring_run_id)

    async def origin(self, recurring_run_id: str) -> Origin:
        """Return the specification of an authorized recurring run."""
        return await self._database.read(
            self._table.digest(recurring_run_id),
            lambda tables: tables.recurring_runs.origin(recurring_run_id),
        )

    async def default_root(self, recurring_run_id: str) -> str:
        """The pipeline root of an authorized recurring run."""
        return await self._database.default_root(self._table.digest(recurring_run_id))

    async def list(
        self,
        caller: Caller,
        namespace: str,
        experiment_id: str,
        options: ListOptions,
        *,
        manifests: bool = False,
    ) -> Listed[RecurringRun]:
        """List recurring runs of an experiment, if given, else of a namespace."""
        if experiment_id:
            with wrapped(
                "Failed to list recurring runs due to error fetching namespace for experiment "
                f"{experiment_id}. Try filtering based on namespace: "
                f"Failed to fetch namespace from experiment {experiment_id}"
            ):
                experiment = self._database.experiments.one(experiment_id)
                namespace = found(experiment, "Experiment", experiment_id).namespace
        with wrapped(
            "Failed to list recurring runs due to authorization error. "
            f"Check if you have permission to access namespace {namespace}"
        ):
            self._authorize(caller, ResourceAttributes(namespace, "list", "jobs"))
        scope = {"experiment_id": experiment_id} if experiment_id else {"namespace": namespace}
        page = await self._database.page(
            options,
            lambda tables, limit: tables.recurring_runs.page(
                scope, options, limit, manifests=manifests
            ),
        )
        return listed(options, *page)

    def enable(self, caller: Caller, recurring_run_id: str) -> None:
        self._switch(caller, recurring_run_id, True)

    def disable(self, caller: Caller, recurring_run_id: str) -> None:
        self._switch(caller, recurring_run_id, False)

    def delete(self, caller: Caller, recurring_run_id: str) -> None:
        """Delete only the recurring run: its runs stay."""
        self._authorized(caller, recurring_run_id, "delete")
        self._table.delete(recurring_run_id)
        self._controller.changed(recurring_run_id)

    def fire(self, recurring_run_id: str, scheduled_at: datetime) -> None:
        """Start the run that is due at this time."""
        recurring = found(self._table.one(recurring_run_id), "Job", recurring_run_id)
        origin = self._table.origin(recurring_run_id)
        new = _run_of(recurring, self._table.fired(recurring_run_id) + 1)
        version, specification = None, origin.specification
        if specification is None:
            version, specification = self._runs.latest(new.pipeline_id)
            origin = origin_of(new, version, specification)
        check_parameters(specification, dict(new.parameters))
        placed = pending_run(new, recurring.namespace, version, specification)
        run = msgspec.structs.replace(
            placed.run,
            scheduled_at=scheduled_at,
            pipeline_version_reference=reference_to(version)
            if version
            else recurring.pipeline_version_reference,
        )
        placed = msgspec.structs.replace(placed, run=run)
        self._table.fire(placed, origin, scheduled_at)
        self._runs.submit(run.run_id)

    # Implementation

    def _switch(self, caller: Caller, recurring_run_id: str, enabled: bool) -> None:
        self._authorized(caller, recurring_run_id, "enable" if enabled else "disable")
        self._table.enable(recurring_run_id, enabled)
        self._controller.changed(recurring_run_id)

    async def _with_origin(
        self, caller: Caller, new: NewRecurringRun, namespace: str
    ) -> tuple[RecurringRun, Origin]:
        """The recurring run, and its specification unless it runs the latest version each time."""
        if not (new.pipeline_id or new.pipeline_version_id or new.specification):
            raise invalid_input("Cannot create a job with an empty pipeline ID")
        with wrapped("Failed to create a recurring run with an invalid pipeline spec manifest"):
            version, specification = await self._runs.source(caller, new)
        with wrapped("Failed to validate the input parameters on the latest pipeline version"):
            check_parameters(specification, dict(new.parameters))
        origin = origin_of(new, version, specification)
        if version is None:
            return _recurring_run(new, namespace, None, specification), origin
        if new.pinned or new.pipeline_version_id:
            reference = reference_to(version)
            return _recurring_run(new, namespace, reference, specification), origin
        reference = PipelineVersionReference(pipeline_id=version.pipeline_id)
        return _recurring_run(new, namespace, reference, specification), Origin()

    def _authorized(self, caller: Caller, recurring_run_id: str, verb: str) -> None:
        with wrapped("Failed to authorize the request"):
            with wrapped("failed to authorize with the recurring run ID"):
                place = self._table.place(recurring_run_id)
                namespace, name = found(place, "Job", recurring_run_id)
            self._authorize(
                caller, ResourceAttributes(namespace, verb, "jobs", name, existing=True)
            )

    def _authorize(self, caller: Caller, access: ResourceAttributes) -> None:
        if is_empty(access.namespace):
            raise invalid_input("a recurring run cannot have an empty namespace in multi-user mode")
        with wrapped("failed to authorize with API"):
            self._roles.check(caller.identity(), access)


def _recurring_run(
    new: NewRecurringRun,
    namespace: str,
    reference: PipelineVersionReference | None,
    specification: Specification,
) -> RecurringRun:
    moment = now()
    config = RuntimeConfig(parameters=dict(new.parameters), pipeline_root=new.pipeline_root)
    return RecurringRun(
        recurring_run_id=new_id(),
        display_name=new.display_name,
        description=new.description,
        pipeline_spec=None if reference else specification.to_wire(),
        pipeline_version_reference=reference,
        runtime_config=config if config.parameters or config.pipeline_root else None,
        service_account=new.service_account or DEFAULT_SERVICE_ACCOUNT,
        max_concurrency=str(new.max_concurrency),
        trigger=new.trigger if new.trigger != Trigger() else None,
        mode="ENABLE" if new.enabled else "DISABLE",
        created_at=moment,
        updated_at=moment,
        status="ENABLED" if new.enabled else "DISABLED",
        no_catchup=new.no_catchup,
        namespace=namespace,
        experiment_id=new.experiment_id,
    )


def _run_of(recurring: RecurringRun, index: int) -> NewRun:
    """The request for its next run."""
    reference = recurring.pipeline_version_reference or PipelineVersionReference()
    config = recurring.runtime_config or RuntimeConfig()
    return NewRun(
        display_name=run_name(recurring.display_name, recurring.recurring_run_id, index),
        experiment_id=recurring.experiment_id,
        description=recurring.description,
        recurring_run_id=recurring.recurring_run_id,
        pipeline_id=reference.pipeline_id,
        pipeline_version_id=reference.pipeline_version_id,
        parameters=config.parameters,
        pipeline_root=config.pipeline_root,
        service_account=recurring.service_account,
    )
