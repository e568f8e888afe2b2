"""An experiment in a namespace, and in it a run of the pipeline that was shared last."""

from server import ARGUMENTS, experiments, finished, new_experiment, owner, pipelines, runs, say, v1

name, namespace = ARGUMENTS
kind = v1.ApiResourceType

experiment = new_experiment(name, namespace)
pipeline = pipelines.list_pipelines(sort_by="created_at desc").pipelines[0]
run = runs.create_run(
    v1.ApiRun(
        name=f"{name} run",
        pipeline_spec=v1.ApiPipelineSpec(pipeline_id=pipeline.id),
        resource_references=[owner(kind.EXPERIMENT, experiment.id)],
    )
).run
of_experiment = runs.list_runs(
    resource_reference_key_type=kind.EXPERIMENT, resource_reference_key_id=experiment.id
)
of_namespace = runs.list_runs(
    resource_reference_key_type=kind.NAMESPACE,
    resource_reference_key_id=namespace,
    sort_by="created_at desc",
    page_size=1,
)
say(
    experiment=experiment,
    same=experiments.get_experiment(experiment.id) == experiment,
    pipeline=pipeline,
    run=run,
    of_experiment=of_experiment,
    of_namespace=of_namespace,
    ended=finished(run.id),
)
