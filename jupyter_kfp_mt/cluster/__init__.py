"""Kubernetes: its API as this process's identity, its objects, and Kubeflow's access management."""
