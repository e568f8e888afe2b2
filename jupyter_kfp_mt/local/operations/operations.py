"""All operations, for both versions of the API."""

from __future__ import annotations

from ..database import Database
from ..tenants.identity import Caller
from ..tenants.profiles import Profiles
from ..tenants.roles import ResourceAttributes, Roles
from ..wire.api_errors import invalid_input, wrapped
from .experiments import Experiments
from .pipelines import Pipelines
from .recurring_runs import RecurringRuns
from .request_checks import is_empty
from .runs import Controller, Runner, Runs
from .tenants import Tenants


class Operations:
    """One part for each noun of the API. `argo_tasks`: list tasks as a cluster does."""

    def __init__(
        self,
        database: Database,
        roles: Roles,
        profiles: Profiles,
        runner: Runner,
        controller: Controller,
        argo_tasks: bool = False,
    ):
        self._roles = roles
        self.argo_tasks = argo_tasks
        self.tenants = Tenants(profiles, roles)
        self.experiments = Experiments(database, roles, controller)
        self.pipelines = Pipelines(database, roles)
        self.runs = Runs(database, roles, runner, controller, self.pipelines)
        self.recurring_runs = RecurringRuns(database, roles, controller, self.runs)

    def authorize_viewer(self, caller: Caller, namespace: str, verb: str) -> None:
        """Authorize a viewer, as other servers of a deployment ask the API to."""
        if is_empty(namespace):
            raise invalid_input("Namespace is empty. Please specify a valid namespace")
        with wrapped("Failed to authorize the request"):
            access = ResourceAttributes(namespace, verb, "viewers", group="kubeflow.org")
            self._roles.check(caller.identity(), access)
