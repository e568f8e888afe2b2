"""Kubernetes objects that grant missing access, as Kubeflow's own services make them."""

from __future__ import annotations

import re
from typing import Any

from ..credentials import AUDIENCE
from ..resource_names import service_account
from . import own_pod

USER_HEADER = "kubeflow-userid"
ROLES = ("edit", "view")
TOKEN_LIFETIME = 7200  # in seconds
_RBAC = "rbac.authorization.k8s.io"
# The gateways whose header can be trusted.
_GATEWAYS = [
    "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account",
    "cluster.local/ns/kubeflow/sa/ml-pipeline-ui",
]

# Paths that KFP answers without checking the identity.
UNGUARDED = ("/apis/v2beta1/pipelines/names/*", "/apis/v1alpha1/*")
_NO_USER = {"key": f"request.headers[{USER_HEADER}]", "notValues": ["*"]}

Manifest = dict[str, Any]


def role_binding(user: str, namespace: str, role: str) -> Manifest:
    """Makes `user` a contributor with `role` edit or view, as Kubeflow's dashboard does."""
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(user, namespace, role),
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": f"kubeflow-{role}"},
        "subjects": [_subject(user)],
    }


def authorization_policy(user: str, namespace: str, role: str) -> Manifest:
    """Lets a person's requests, which come through the cluster's gateway, into the namespace's
    pods.
    """
    condition = {"key": f"request.headers[{USER_HEADER}]", "values": [user]}
    rule = {"from": [{"source": {"principals": _GATEWAYS}}], "when": [condition]}
    return {
        "apiVersion": "security.istio.io/v1beta1",
        "kind": "AuthorizationPolicy",
        "metadata": _metadata(user, namespace, role),
        "spec": {"rules": [rule]},
    }


def token_policy() -> Manifest:
    """Lets pods' requests, which have no header with a user, reach KFP, as Kubeflow 1.9 does.

    It adds to existing policies: a request is allowed if one of them allows it.
    """
    return _kfp_policy("ml-pipeline-tokens", {"rules": [{"when": [_NO_USER]}]})


def kfp_policy() -> Manifest:
    """Lets only Kubeflow's own services name a user in a header, as Kubeflow does."""
    accounts = ["", "-ui", "-persistenceagent", "-scheduledworkflow"]
    names = [f"ml-pipeline{end}" for end in [*accounts, "-viewer-crd-service-account"]]
    source = {
        "principals": [
            f"cluster.local/ns/kubeflow/sa/{name}" for name in [*names, "kubeflow-pipelines-cache"]
        ]
    }
    rules = [{"from": [{"source": source}]}, {"when": [_NO_USER]}]
    return _kfp_policy("ml-pipeline", {"rules": rules})


def closed_paths() -> Manifest:
    """Closes the paths that KFP does not guard to all but its own services.

    It is one object for all paths: a second one of the same name would replace the first.
    """
    source = {"notPrincipals": ["cluster.local/ns/kubeflow/sa/ml-pipeline-ui"]}
    rule = {"from": [{"source": source}], "to": [{"operation": {"paths": list(UNGUARDED)}}]}
    return _kfp_policy("ml-pipeline-unguarded", {"action": "DENY", "rules": [rule]})


def pod_default(namespace: str) -> Manifest:
    """Offers 'Allow access to Kubeflow Pipelines' for the namespace's new notebooks."""
    volume, path = "volume-kf-pipeline-token", own_pod.projected_token()
    token = {
        "path": path.name,
        "expirationSeconds": TOKEN_LIFETIME,
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
    """The objects that make `user` a contributor; a service account's requests do not come through
    the gateway, and need no policy.
    """
    binding = role_binding(user, namespace, role)
    if service_account(user):
        return [binding]
    return [binding, authorization_policy(user, namespace, role)]


def wanted(user: str, namespace: str, role: str) -> list[Manifest]:
    """The objects that a notebook of a namespace needs: for a token, a role, and access to KFP.

    A service account reaches KFP directly, with a token; a person through the cluster's gateway.
    """
    found = [pod_default(namespace), *contributor(user, namespace, role)]
    return [*found, token_policy()] if service_account(user) else found


def applied(*manifests: Manifest) -> str:
    """The command to paste that applies the objects."""
    return f"kubectl apply -f - <<'END'\n{to_yaml(*manifests)}END"


def to_yaml(*manifests: Manifest) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Without anchors, which people do not expect in a manifest."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml.dump_all(manifests, Dumper=Dumper, sort_keys=False, width=1000)


def binding_name(user: str, role: str) -> str:
    """The name of a contributor's objects, as Kubeflow's access management gives it."""
    return re.sub(r"[^a-z0-9]+", "-", f"user-{user}-clusterrole-{role}".lower())


def _kfp_policy(name: str, spec: dict[str, Any]) -> Manifest:
    return {
        "apiVersion": "security.istio.io/v1beta1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": "kubeflow"},
        "spec": {"selector": {"matchLabels": {"app": "ml-pipeline"}}, **spec},
    }


def _metadata(user: str, namespace: str, role: str) -> Manifest:
    """Kubeflow's access management recognizes them by the annotations."""
    return {
        "name": binding_name(user, role),
        "namespace": namespace,
        "annotations": {"user": user, "role": role},
    }


def _subject(user: str) -> Manifest:
    if account := service_account(user):
        return {"kind": "ServiceAccount", "name": account[1], "namespace": account[0]}
    return {"apiGroup": _RBAC, "kind": "User", "name": user}
