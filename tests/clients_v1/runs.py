"""Runs and their experiment: each change that can be made to them, one after the other."""

from pathlib import Path

from server import (
    ARGUMENTS,
    experiments,
    finished,
    new_experiment,
    owner,
    refusal,
    runs,
    say,
    v1,
)

name, namespace, file = ARGUMENTS
ARGO = '{"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "spec": {"entrypoint": "main"}}'

experiment = new_experiment(name, namespace)


def create(manifest):
    return runs.create_run(
        v1.ApiRun(
            name=name,
            pipeline_spec=v1.ApiPipelineSpec(workflow_manifest=manifest),
            resource_references=[owner(v1.ApiResourceType.EXPERIMENT, experiment.id)],
        )
    )


argo = refusal(create, ARGO)
run_id = create(Path(file).read_text()).run.id
runs.terminate_run(run_id)
terminated = finished(run_id).status
runs.retry_run(run_id)
retried = runs.get_run(run_id).run.status
metric = v1.ApiRunMetric(name="accuracy", node_id="a-node", number_value=0.5, format="PERCENTAGE")
reported = runs.report_run_metrics(run_id, v1.ApiReportRunMetricsRequest(metrics=[metric]))
runs.archive_run(run_id)
archived = runs.get_run(run_id).run
runs.unarchive_run(run_id)
unarchived = runs.get_run(run_id).run
experiments.archive_experiment(experiment.id)
shelved = experiments.get_experiment(experiment.id)
experiments.unarchive_experiment(experiment.id)
restored = experiments.get_experiment(experiment.id)
runs.delete_run(run_id)
experiments.delete_experiment(experiment.id)
say(
    argo=argo,
    statuses=[terminated, retried],
    results=reported.results,
    archived=archived,
    unarchived=unarchived,
    experiments=[shelved.storage_state, restored.storage_state],
    gone=[refusal(runs.get_run, run_id), refusal(experiments.get_experiment, experiment.id)],
    run_id=run_id,
    experiment_id=experiment.id,
)
