"""Kubeflow Pipelines on this machine: the REST API of a multi-user deployment, in one process."""
