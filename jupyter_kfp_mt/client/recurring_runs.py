"""Recurring runs, which start runs on a schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ..attempts import attempting
from ..errors import BadRequest, NotFound
from ..models import Page, RecurringRun, Trigger
from ..near_names import did_you_mean
from . import records
from .api import Where
from .listings import Listing
from .pipeline_source import PipelineSource
from .queries import filter_words, having, is_id, list_query, within
from .run_filters import order
from .run_starts import RunStarts


class RecurringRuns(RunStarts):
    """Recurring runs, by the words of `%kfp`."""

    def recurring_run(self, recurring_run_id: str) -> RecurringRun:
        return self._get("recurringruns", recurring_run_id, RecurringRun)

    def recurring_run_page(
        self, namespace: str = "", page_size: int = 20, page_token: str = ""
    ) -> Page[RecurringRun]:
        """One page of the recurring runs of a namespace, newest first."""
        query = list_query(page_size, page_token)
        return self._page("recurringruns", RecurringRun, namespace, query)

    def recurring_runs(
        self,
        namespace: Where = "",
        name: str = "",
        sort: str = "",
        limit: int = 0,
    ) -> Listing[RecurringRun]:
        """The recurring runs of a namespace or of several, newest first, page by page."""
        return self._listing(
            *("recurringruns", RecurringRun, namespace),
            [having("display_name", name)] if name else [],
            order(sort, {"created": "created_at", "name": "display_name"}),
            limit=limit,
            filters=filter_words(name=name),
            record=records.recurring_run,
        )

    def find_recurring_run(self, text: str, namespace: str = "") -> RecurringRun:
        """Return the recurring run with this id or name, or one that begins like this."""
        if is_id(text):
            return self.recurring_run(text)
        known: list[RecurringRun] = [*self.recurring_runs(namespace)]
        named = [each for each in known if each.display_name == text]
        found = named or [
            each
            for each in known
            if text
            and (each.display_name.startswith(text) or each.recurring_run_id.startswith(text))
        ]
        if len(found) == 1:
            return found[0]
        if not found:
            raise NotFound(
                f"No recurring run {text!r}{within(self._namespace(namespace), 'in namespace')}."
                f"{did_you_mean(text, [each.display_name for each in known])}",
                cure="%kfp recurring lists them.",
            )
        ids = "\n".join(f"{each.recurring_run_id}  {each.display_name}" for each in found[:10])
        raise BadRequest(
            f"{text} could be any of {len(found)} recurring runs.",
            cure=f"Name one by its id:\n{ids}",
        )

    def create_recurring_run(
        self,
        pipeline: str | Path | PipelineSource,
        trigger: Trigger,
        parameters: dict[str, Any] | None = None,
        experiment: str = "Default",
        name: str = "",
        namespace: str = "",
        *,
        version: str = "",
        description: str = "",
        service_account: str = "",
        cache: bool = True,
        enabled: bool = True,
        at_once: int = 1,
        catch_up: bool = False,
    ) -> RecurringRun:
        """Run a pipeline on a schedule, the `trigger`; otherwise like `start_run`.

        `at_once`: how many of its runs may execute at the same time, 1 to 10. With `catch_up` runs
        that were missed while it was disabled, or KFP was down, are started later.
        """
        source = (
            pipeline
            if isinstance(pipeline, PipelineSource)
            else self.pipeline_source(pipeline, namespace, version)
        )
        where = self._namespace(namespace)
        request = source.request(parameters or {}, name, description, service_account, cache)
        body = {
            **request,
            "trigger": msgspec.to_builtins(trigger),
            "mode": "ENABLE" if enabled else "DISABLE",
            "max_concurrency": str(at_once),
            "no_catchup": not catch_up,
        }
        with attempting(f"create a recurring run of {source.name}{within(where)}"):
            found = self.ensure_experiment(experiment, where)
            body["experiment_id"] = found.experiment_id
            return self.transport.post("recurringruns", RecurringRun, body)

    def enable(self, recurring_run_id: str) -> None:
        """Enable a recurring run."""
        self._change("recurringruns", recurring_run_id, "enable")

    def disable(self, recurring_run_id: str) -> None:
        """Disable a recurring run; runs that it has started continue."""
        self._change("recurringruns", recurring_run_id, "disable")

    def delete_recurring_run(self, recurring_run_id: str) -> None:
        """Delete a recurring run; its runs stay."""
        self._delete("recurringruns", recurring_run_id)
