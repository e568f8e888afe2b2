"""A pipeline that all namespaces share, which is what this client uploads, and its versions."""

import json

from server import ARGUMENTS, pipelines, refusal, say, uploads, v1

name, file = ARGUMENTS

pipeline = uploads.upload_pipeline(file, name=name, description="of the old client")
second = uploads.upload_pipeline_version(file, name="second", pipelineid=pipeline.id)
first = pipeline.default_version
pipelines.update_pipeline_default_version(pipeline.id, first.id)
predicate = {"op": "EQUALS", "key": "name", "stringValue": name}
found = pipelines.list_pipelines(filter=json.dumps({"predicates": [predicate]}))
versions = pipelines.list_pipeline_versions(
    resource_key_type=v1.ApiResourceType.PIPELINE,
    resource_key_id=pipeline.id,
    sort_by="created_at desc",
)
templates = [
    pipelines.get_template(pipeline.id).template,
    pipelines.get_pipeline_version_template(first.id).template,
]
same = pipelines.get_pipeline_version(second.id) == second
too_soon = refusal(pipelines.delete_pipeline, pipeline.id)
for version in versions.versions:
    pipelines.delete_pipeline_version(version.id)
pipelines.delete_pipeline(pipeline.id)
say(
    pipeline=pipeline,
    found=found,
    versions=versions,
    templates=templates,
    same=same,
    too_soon=too_soon,
    gone=refusal(pipelines.get_pipeline, pipeline.id),
)
