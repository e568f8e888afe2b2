"""Operations on experiments."""

from __future__ import annotations

import sqlite3

from ...models import Experiment
from ..database import Database, new_id
from ..tenants.identity import Caller
from ..tenants.roles import ResourceAttributes, Roles
from ..wire.api_errors import already_exists, invalid_input, wrapped
from ..wire.list_options import ListOptions
from .request_checks import check_length, check_text, found, is_empty, now
from .runs import Controller
from .values import Listed, listed


class Experiments:
    """Operations on experiments; everything in one has its namespace."""

    def __init__(self, database: Database, roles: Roles, controller: Controller):
        self._database = database
        self._table = database.experiments
        self._roles = roles
        self._controller = controller

    def create(
        self, caller: Caller, *, display_name: str, description: str, namespace: str
    ) -> Experiment:
        if not display_name:
            with wrapped("Failed to convert API experiment to model experiment"):
                raise invalid_input("Experiment must have a non-empty name")
        check_length("Experiment", "Name", display_name)
        check_length("Experiment", "Namespace", namespace)
        check_text("Experiment.Description", description)
        with wrapped("Failed to authorize the request"):
            self._authorize(
                caller, ResourceAttributes(namespace, "create", "experiments", display_name)
            )
        experiment = Experiment(
            experiment_id=new_id(),
            display_name=display_name,
            description=description,
            namespace=namespace,
            created_at=now(),
            storage_state="AVAILABLE",
        )
        try:
            self._table.add(experiment)
        except sqlite3.IntegrityError:
            raise already_exists(
                f"Failed to create a new experiment. The name {display_name} already exists. "
                "Please specify a new name"
            ) from None
        return self.existing(experiment.experiment_id)

    def get(self, caller: Caller, experiment_id: str) -> Experiment:
        return self._authorized(caller, experiment_id, "get")

    async def list(
        self, caller: Caller, namespace: str, options: ListOptions
    ) -> Listed[Experiment]:
        with wrapped("Failed to authorize with API"):
            self._authorize(caller, ResourceAttributes(namespace, "list", "experiments"))
        page = await self._database.page(
            options, lambda tables, limit: tables.experiments.page(namespace, options, limit)
        )
        return listed(options, *page)

    def archive(self, caller: Caller, experiment_id: str) -> None:
        """Archive an experiment with its runs, and disable its recurring runs."""
        self._authorized(caller, experiment_id, "archive")
        for recurring_run_id in self._table.archive(experiment_id):
            self._controller.changed(recurring_run_id)

    def unarchive(self, caller: Caller, experiment_id: str) -> None:
        """Restore only the experiment: its runs stay archived, its recurring runs disabled."""
        self._authorized(caller, experiment_id, "unarchive")
        self._table.unarchive(experiment_id)

    def delete(self, caller: Caller, experiment_id: str) -> None:
        """Delete only the experiment: its runs and recurring runs stay."""
        self._authorized(caller, experiment_id, "delete")
        self._table.delete(experiment_id)

    def existing(self, experiment_id: str) -> Experiment:
        """Return an experiment without authorization, which is the caller's task."""
        return found(self._table.one(experiment_id), "Experiment", experiment_id)

    def _authorized(self, caller: Caller, experiment_id: str, verb: str) -> Experiment:
        with wrapped("Failed to authorize the request"):
            with wrapped("Failed to authorize with the experiment ID"):
                experiment = self.existing(experiment_id)
            self._authorize(
                caller,
                ResourceAttributes(
                    experiment.namespace,
                    verb,
                    "experiments",
                    experiment.display_name,
                    existing=True,
                ),
            )
        return experiment

    def _authorize(self, caller: Caller, access: ResourceAttributes) -> None:
        if is_empty(access.namespace):
            raise invalid_input("An experiment cannot have an empty namespace in multi-user mode")
        with wrapped("Failed to authorize with API"):
            self._roles.check(caller.identity(), access)
