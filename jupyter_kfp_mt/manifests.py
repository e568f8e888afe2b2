"""The Kubernetes objects that cure what is missing, as Kubeflow's own services make them."""

from __future__ import annotations

import re
from typing import Any

from . import pod
from .credentials import AUDIENCE

USER_HEADER = "kubeflow-userid"
ROLES = ("edit", "view")
TOKEN_SECONDS = 7200
_RBAC = "rbac.authorization.k8s.io"
_SERVICE_ACCOUNT = re.compile(r"system:serviceaccount:([^:]+):([^:]+)")
# Behind these a request's header says truly who sent it.
_GATEWAYS = [
    "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account",
    "cluster.local/ns/kubeflow/sa/ml-pipeline-ui",
]

Manifest = dict[str, Any]


def role_binding(user: str, namespace: str, role: str) -> Manifest:
    """`user` as a contributor, `role` being edit or view, as Kubeflow's dashboard lists it."""
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(user, namespace, role),
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": f"kubeflow-{role}"},
        "subjects": [_subject(user)],
    }


def authorization_policy(user: str, namespace: str, role: str) -> Manifest:
    """Lets what a person sends through the cluster's gateway into the pods of the namespace."""
    condition = {"key": f"request.headers[{USER_HEADER}]", "values": [user]}
    rule = {"from": [{"source": {"principals": _GATEWAYS}}], "when": [condition]}
    return {
        "apiVersion": "security.istio.io/v1beta1",
        "kind": "AuthorizationPolicy",
        "metadata": _metadata(user, namespace, role),
        "spec": {"rules": [rule]},
    }


def pod_default(namespace: str) -> Manifest:
    """Offers 'Allow access to Kubeflow Pipelines' for the namespace's new notebooks."""
    volume, path = "volume-kf-pipeline-token", pod.projected_token()
    token = {
        "path": path.name,
        "expirationSeconds": TOKEN_SECONDS,
        "audience": AUDIENCE,
    }
    mount = {"mountPath": str(path.parent), "name": volume, "readOnly": True}
    sources = [{"serviceAccountToken": token}]
    return {
        "apiVersion": "kubeflow.org/v1alpha1",
        "kind": "PodDefault",
        "metadata": {"name": "access-ml-pipeline", "namespace": namespace},
        "spec": {
            "desc": "Allow access to Kubeflow Pipelines",
            "selector": {"matchLabels": {"access-ml-pipeline": "true"}},
            "env": [{"name": "KF_PIPELINES_SA_TOKEN_PATH", "value": str(path)}],
            "volumes": [{"name": volume, "projected": {"sources": sources}}],
            "volumeMounts": [mount],
        },
    }


def contributor(user: str, namespace: str, role: str) -> list[Manifest]:
    """All that makes `user` a contributor; a service account comes through no gateway."""
    binding = role_binding(user, namespace, role)
    if _SERVICE_ACCOUNT.fullmatch(user):
        return [binding]
    return [binding, authorization_policy(user, namespace, role)]


def to_yaml(*manifests: Manifest) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Without anchors, which people do not expect in a manifest."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml.dump_all(manifests, Dumper=Dumper, sort_keys=False, width=1000)


def binding_name(user: str, role: str) -> str:
    """The name that Kubeflow's access management gives to a contributor's objects."""
    return re.sub(r"[^a-z0-9]+", "-", f"user-{user}-clusterrole-{role}".lower())


def _metadata(user: str, namespace: str, role: str) -> Manifest:
    """The annotations are what Kubeflow's access management goes by."""
    return {
        "name": binding_name(user, role),
        "namespace": namespace,
        "annotations": {"user": user, "role": role},
    }


def _subject(user: str) -> Manifest:
    account = _SERVICE_ACCOUNT.fullmatch(user)
    if account:
        return {"kind": "ServiceAccount", "name": account[2], "namespace": account[1]}
    return {"apiGroup": _RBAC, "kind": "User", "name": user}
