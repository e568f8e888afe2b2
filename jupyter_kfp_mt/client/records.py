"""Values as flat rows of a table, with short column names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..models import Experiment, Pipeline, PipelineVersion, RecurringRun, Run, never
from . import provenance


def run(run: Run, metrics: Mapping[str, float]) -> dict[str, Any]:
    """A run; parameters and metrics are columns of their own, named as MLflow names them."""
    parameters = run.runtime_config.parameters if run.runtime_config else {}
    reference = run.pipeline_version_reference
    return {
        "name": run.display_name,
        "state": run.state,
        "started": _moment(run.created_at),
        "finished": _moment(run.finished_at),
        "duration": run.duration,
        **{f"params.{name}": value for name, value in parameters.items()},
        **{f"metrics.{name}": value for name, value in metrics.items()},
        "notebook": provenance.read(run.description).notebook,
        "pipeline_id": reference.pipeline_id if reference else "",
        "experiment_id": run.experiment_id,
        "run_id": run.run_id,
    }


def experiment(experiment: Experiment) -> dict[str, Any]:
    return {
        "name": experiment.display_name,
        "description": experiment.description,
        "created": _moment(experiment.created_at),
        "last_run": _moment(experiment.last_run_created_at),
        "namespace": experiment.namespace,
        "experiment_id": experiment.experiment_id,
    }


def pipeline(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "name": pipeline.display_name or pipeline.name,
        "description": pipeline.description,
        "created": _moment(pipeline.created_at),
        "namespace": pipeline.namespace,
        "shared": not pipeline.namespace,
        "pipeline_id": pipeline.pipeline_id,
    }


def version(version: PipelineVersion) -> dict[str, Any]:
    return {
        "name": version.display_name or version.name,
        "description": version.description,
        "uploaded": _moment(version.created_at),
        "pipeline_id": version.pipeline_id,
        "pipeline_version_id": version.pipeline_version_id,
    }


def recurring_run(recurring: RecurringRun) -> dict[str, Any]:
    trigger = recurring.trigger
    cron = trigger.cron_schedule if trigger else None
    periodic = trigger.periodic_schedule if trigger else None
    return {
        "name": recurring.display_name,
        "enabled": recurring.enabled,
        "cron": cron.cron if cron else "",
        "every_seconds": int(periodic.interval_second or 0) if periodic else None,
        "created": _moment(recurring.created_at),
        "namespace": recurring.namespace,
        "experiment_id": recurring.experiment_id,
        "recurring_run_id": recurring.recurring_run_id,
    }


def _moment(moment: datetime | None) -> datetime | None:
    return None if moment is None or never(moment) else moment
