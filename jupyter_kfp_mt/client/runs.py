"""Runs: listed, found by name or id, and changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice

import msgspec

from ..attempts import attempting
from ..errors import BadRequest, NotFound
from ..models import Page, Run
from ..near_names import did_you_mean
from . import records
from .api import Where
from .experiments import Experiments
from .listings import LONGEST_PAGE, Listing
from .pipelines import Pipelines
from .queries import equals, filter_of, having, is_id, list_query, one_of, within
from .run_filters import UNFINISHED, WAITING, RunFilter, order
from .task_results import TaskResults

_START_OF_ID = re.compile("[0-9a-fA-F-]{4,35}")


class Runs(Experiments, Pipelines, TaskResults):
    """Runs, by the words of `%kfp`."""

    def run(self, run_id: str) -> Run:
        """Return a run with the tasks of its pipeline."""
        return self.as_written(self.run_as_told(run_id))

    def runs(
        self,
        namespace: Where = "",
        experiment: str = "",
        state: str = "",
        since: str | timedelta | datetime = "",
        pipeline: str = "",
        by: str = "",
        notebook: str = "",
        name: str = "",
        sort: str = "",
        limit: int = 0,
        archived: bool | None = False,
    ) -> Listing[Run]:
        """The runs of a namespace or of several that fit, newest first, page by page.

        `experiment` and `pipeline` are names, or ids; `since` a moment, or how long ago, such as
        `2d`; `by` is the user who started them, and `notebook` the notebook from which; `name` is
        a part of their names. `archived`: None for both.
        """
        wanted = RunFilter(
            experiment=experiment,
            state=state,
            since=since,
            pipeline=pipeline,
            by=by,
            notebook=notebook,
            name=name,
            archived=archived,
        )
        given = {**msgspec.structs.asdict(wanted), "namespace": namespace, "sort": sort}
        ids = self._pipeline_ids(pipeline, namespace) if pipeline else []
        return self._listing(
            *("runs", Run, namespace, wanted.predicates, order(sort)),
            limit=limit,
            filters=wanted.words,
            kept=wanted.kept(ids),
            record=lambda run: records.run(run, self.metrics(run)),
            scope=self._in_experiment(experiment),
            again=lambda **changes: self.runs(**{**given, **changes}),
        )

    def _in_experiment(self, experiment: str) -> Callable[[str], dict[str, str]]:
        """The part of a query for an experiment, by name or id, in a namespace."""
        if not experiment:
            return lambda place: {}
        if is_id(experiment):
            return lambda place: {"experiment_id": experiment}
        return lambda place: {
            "experiment_id": self.experiment_named(experiment, place).experiment_id
        }

    def _pipeline_ids(self, text: str, namespace: Where) -> list[str]:
        """Return the ids of all uploaded pipelines of that name."""
        if is_id(text):
            return [text]
        found = self.pipelines(namespace, name=text)
        return [each.pipeline_id for each in found if text in (each.name, each.display_name)]

    def run_page(
        self,
        namespace: str = "",
        experiment_id: str = "",
        state: str = "",
        page_size: int = 20,
        page_token: str = "",
    ) -> Page[Run]:
        """One page of runs, newest first: one request."""
        wanted = one_of("state", WAITING) if state == "PENDING" else equals("state", state)
        query = list_query(page_size, page_token, filter=wanted if state else "")
        if experiment_id:
            query["experiment_id"] = experiment_id
        return self._page("runs", Run, namespace, query)

    def unfinished_runs(self, namespace: str = "", page_size: int = LONGEST_PAGE) -> Iterator[Run]:
        """Yield the unfinished runs of a namespace, newest first."""
        query = {"filter": one_of("state", UNFINISHED)}
        return self._all(
            lambda token: self._page(
                *("runs", Run, namespace), list_query(page_size, token, **query)
            )
        )

    def find_run(self, text: str, namespace: str = "") -> Run:
        """Return the run with this id or name, or one that begins like this; or the `latest`.

        Raises `NotFound` for none and `BadRequest` for several. The beginning of an id has four
        characters at least.
        """
        if is_id(text):
            return self.run(text)
        where = self._namespace(namespace)
        with attempting(f"find run {text}"):
            found = self._runs_meant(text, where) if text else []
        if not found:
            raise self._no_run(text, where)
        if len(found) > 1:
            ids = "\n".join(f"{run.run_id}  {run.display_name}" for run in found[:10])
            several = f"{len(found)} runs" + (" or more" if len(found) == LONGEST_PAGE else "")
            raise BadRequest(
                f"{text} could be any of {several}.", cure=f"Name one by its id:\n{ids}"
            )
        run = found[0]  # with its tasks, once there are any
        return self.as_written(run) if run.run_details else self.run(run.run_id)

    def _no_run(self, text: str, namespace: str) -> NotFound:
        known = [run.display_name for run in self.run_page(namespace)]
        where = within(namespace, "in namespace")
        if text == "latest":
            return NotFound(f"There is no run{where} yet.", cure="%kfp run PIPELINE starts one.")
        near = did_you_mean(text, ["latest", *known])
        return NotFound(f"No run {text!r}{where}.{near}", cure="%kfp runs lists them.")

    def _runs_meant(self, text: str, namespace: str) -> list[Run]:
        query = list_query(LONGEST_PAGE, "", filter=equals("display_name", text))
        if found := self._page("runs", Run, namespace, query).items:
            return found
        if text == "latest":
            return self.run_page(namespace, page_size=1).items
        if _START_OF_ID.fullmatch(text):
            beginning = self._runs_beginning(text.lower(), namespace)
            if found := [*islice(beginning, LONGEST_PAGE)]:
                return found
        query = list_query(LONGEST_PAGE, "", filter=filter_of(having("display_name", text)))
        found = self._page("runs", Run, namespace, query).items
        return [run for run in found if run.display_name.lower().startswith(text.lower())]

    def _runs_beginning(self, text: str, namespace: str) -> Iterator[Run]:
        """Yield the runs whose ids begin with a text."""
        having = {"operation": "IS_SUBSTRING", "key": "run_id", "string_value": text}
        found = self._all(
            lambda token: self._page(
                *("runs", Run, namespace), list_query(LONGEST_PAGE, token, filter_of(having))
            )
        )
        return (run for run in found if run.run_id.startswith(text))

    def terminate(self, run_id: str) -> None:
        """Terminate a run. Its final state is FAILED, as KFP has no other."""
        self._change("runs", run_id, "terminate")

    def retry(self, run_id: str) -> None:
        """Run the failed or stopped tasks of a run again."""
        self._change("runs", run_id, "retry")

    def archive(self, run_id: str) -> None:
        """Archive a run."""
        self._change("runs", run_id, "archive")

    def restore(self, run_id: str) -> None:
        """Take a run out of the archive."""
        self._change("runs", run_id, "unarchive", "restore")

    def delete(self, run_id: str) -> None:
        """Delete a run for good; if it is still running, it is stopped."""
        self._delete("runs", run_id)
