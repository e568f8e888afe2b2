"""A job of a version of a pipeline: created, found, switched and deleted."""

from server import ARGUMENTS, creator, jobs, new_experiment, owner, refusal, say, v1

name, namespace, pipeline_id, version_id = ARGUMENTS
kind = v1.ApiResourceType

experiment = new_experiment(name, namespace)
job = jobs.create_job(
    v1.ApiJob(
        name=name,
        pipeline_spec=v1.ApiPipelineSpec(
            pipeline_id=pipeline_id,
            parameters=[v1.ApiParameter(name="label", value="of a job")],
        ),
        resource_references=[
            owner(kind.EXPERIMENT, experiment.id),
            creator(kind.PIPELINE_VERSION, version_id),
        ],
        trigger=v1.ApiTrigger(cron_schedule=v1.ApiCronSchedule(cron="0 0 8 1 1 ?")),
        max_concurrency="2",
        enabled=True,
        no_catchup=True,
    )
)
listed = jobs.list_jobs(
    resource_reference_key_type=kind.EXPERIMENT, resource_reference_key_id=experiment.id
)
same = jobs.get_job(job.id) == job
jobs.disable_job(job.id)
disabled = jobs.get_job(job.id)
jobs.enable_job(job.id)
enabled = jobs.get_job(job.id)
jobs.delete_job(job.id)
say(
    job=job,
    same=same,
    listed=listed,
    experiment_id=experiment.id,
    enabled=[disabled.enabled, enabled.enabled],
    gone=refusal(jobs.get_job, job.id),
)
