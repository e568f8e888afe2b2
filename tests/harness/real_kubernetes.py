"""A real Kubernetes API server with an etcd of its own, on loopback, in place of the stand-in.

`KUBE_APISERVER` names the program, which `make test-kubernetes` builds; without it the tests that
need one are skipped.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
import uuid

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fakes.kubernetes_api import KINDS, RBAC, VERSIONS, Certificates, KubernetesApi

# Building its caches takes a server long on a machine that is busy with something else.
START_SECONDS = 240
CUSTOM = {"workflows": "argoproj.io", "profiles": "kubeflow.org"}
CUSTOM |= {"poddefaults": "kubeflow.org", "authorizationpolicies": "security.istio.io"}
SERVED = {**VERSIONS, "security.istio.io": "v1beta1"}


class RealKubernetes:
    """The API server; it is filled and asked for tokens as the stand-in is."""

    kubeconfig = KubernetesApi.kubeconfig
    pod_files = KubernetesApi.pod_files
    pod_environment = KubernetesApi.pod_environment

    def __init__(self, program, folder):
        self.folder = folder
        self.certificates = Certificates(folder)
        etcd, peers, self.port = (_unused_port() for _ in range(3))
        self.endpoint = f"https://127.0.0.1:{self.port}"
        self._program = program
        self._admin = uuid.uuid4().hex
        self._processes = contextlib.ExitStack()
        self._session = requests.Session()
        self._session.trust_env = False  # which may name other authorities
        self._session.verify = str(self.certificates.authority)
        self._session.headers["Authorization"] = f"Bearer {self._admin}"
        (folder / "tokens.csv").write_text(f'{self._admin},admin,admin,"system:masters"\n')
        _service_account_key(folder)
        address = self._etcd = f"http://127.0.0.1:{etcd}"
        peer = f"http://127.0.0.1:{peers}"
        self._start(
            *("etcd", "--data-dir", str(folder / "etcd"), "--listen-client-urls", address),
            *("--advertise-client-urls", address, "--listen-peer-urls", peer),
            *("--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"),
        )
        self._serve()
        for resource, group in CUSTOM.items():
            self._define(resource, group)

    def _serve(self):
        certificate, key = self.certificates.server()
        self._start(
            *(self._program, f"--etcd-servers={self._etcd}"),
            *("--bind-address=127.0.0.1", f"--secure-port={self.port}"),
            *(f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}"),
            *(f"--client-ca-file={self.certificates.authority}", "--authorization-mode=RBAC"),
            *(f"--token-auth-file={self.folder / 'tokens.csv'}", "--anonymous-auth=true"),
            *(f"--service-account-key-file={self.folder / 'accounts.key'}",),
            *(f"--service-account-signing-key-file={self.folder / 'accounts.key'}",),
            *("--service-account-issuer=https://kubernetes.default.svc.cluster.local",),
            *("--service-cluster-ip-range=10.0.0.0/24", "--endpoint-reconciler-type=none"),
            *("--etcd-compaction-interval=0", f"--cert-dir={self.folder}"),
            *("--disable-admission-plugins=ServiceAccount", "--profiling=false"),
            # It needs a newer etcd than some distributions have.
            "--feature-gates=SizeBasedListCostEstimate=false",
        )
        self.wait(lambda: self._session.get(f"{self.endpoint}/readyz", timeout=5).ok)

    def _start(self, *command):
        log = self._processes.enter_context((self.folder / "servers.log").open("ab"))
        process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
        self._processes.callback(process.wait)
        self._processes.callback(process.terminate)

    def wait(self, is_so):
        """Wait until it is so; no connection is no answer yet."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.RequestException):
                if is_so():
                    return
            time.sleep(0.2)
        raise AssertionError((self.folder / "servers.log").read_text()[-3000:])

    def close(self):
        self._session.close()
        self._processes.close()

    def ask(self, method, path, headers, body=None):
        """An answer to whoever the headers name."""
        with requests.Session() as session:
            session.trust_env = False
            session.verify = str(self.certificates.authority)
            return session.request(
                method, self.endpoint + path, headers=headers, json=body, timeout=60
            )

    # --- what there is, and who may do what ---------------------------------------------------

    def call(self, method, path, body=None, **query):
        """An answer to somebody who may do everything."""
        return self._session.request(
            method, self.endpoint + path, json=body, params=query, timeout=60
        )

    def made(self, path, body, **query):
        answer = self.call("POST", path, body, **query)
        assert answer.status_code in (201, 409), answer.text
        return answer.json()

    def add_profile(self, name, owner=""):
        self.made("/api/v1/namespaces", {"metadata": {"name": name}})
        for account in ("default-editor", "default-viewer"):
            self.made(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": account}})

    def allow(self, user, verbs, resource, namespace="", group=""):
        """Let `user` do each of `verbs` there; "" as the namespace is the cluster."""
        kind, where = ("Role", f"namespaces/{namespace}/") if namespace else ("ClusterRole", "")
        name = {"metadata": {"name": f"test-{uuid.uuid4().hex[:8]}"}}
        rule = {"verbs": verbs.split(), "resources": [resource], "apiGroups": [group]}
        reference = {"apiGroup": RBAC, "kind": kind, "name": name["metadata"]["name"]}
        subject = {"kind": "User", "name": user, "apiGroup": RBAC}
        base = f"/apis/{RBAC}/v1/{where}{kind.lower()}"
        self.made(f"{base}s", {**name, "rules": [rule]})
        self.made(f"{base}bindings", {**name, "roleRef": reference, "subjects": [subject]})

    def token(self, user, seconds=3600.0, audience=None):
        """A token with which a client is `user`, a service account."""
        namespace, name = user.split(":")[2:]
        spec = {"expirationSeconds": int(seconds), "audiences": [audience] if audience else None}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        return self.made(path, {"spec": spec})["status"]["token"]

    def put_workflow(self, name, namespace, run_id, phase="Running"):
        """A Workflow, or what has become of one. Its version."""
        over = phase in ("Succeeded", "Failed", "Error")
        labels = {"pipeline/runid": run_id, "workflows.argoproj.io/phase": phase}
        labels |= {"workflows.argoproj.io/completed": "true"} if over else {}
        body = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": name, "labels": labels},
            "spec": {"templates": []},
            "status": {"phase": phase, "nodes": {}},
        }
        path = f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows"
        before = self.call("GET", f"{path}/{name}")
        if before.status_code == 404:
            return self.made(path, body)["metadata"]["resourceVersion"]
        body["metadata"]["resourceVersion"] = before.json()["metadata"]["resourceVersion"]
        return self.call("PUT", f"{path}/{name}", body).json()["metadata"]["resourceVersion"]

    def remove_workflow(self, name, namespace):
        self.call("DELETE", f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows/{name}")

    def _define(self, resource, group):
        version = SERVED.get(group, "v1")
        version = "v1alpha1" if resource == "poddefaults" else version
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        names = {"plural": resource, "singular": KINDS[resource].lower(), "kind": KINDS[resource]}
        served = {"name": version, "served": True, "storage": True}
        spec = {
            "group": group,
            "scope": "Cluster" if resource == "profiles" else "Namespaced",
            "names": names,
            "versions": [{**served, "schema": {"openAPIV3Schema": schema}}],
        }
        definition = {"metadata": {"name": f"{resource}.{group}"}, "spec": spec}
        self.made("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        self.wait(lambda: self.call("GET", f"/apis/{group}/{version}/{resource}").ok)


def _service_account_key(folder):
    key = rsa.generate_private_key(65537, 2048)
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, *private)
    (folder / "accounts.key").write_bytes(text)


def _unused_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


@pytest.fixture(scope="session")
def real_kubernetes(tmp_path_factory):
    """It, with the namespaces alice and bob, in which each one's default-editor has its rights."""
    program = os.environ.get("KUBE_APISERVER", "")
    if not program:
        pytest.skip("make test-kubernetes runs it, with a real Kubernetes API server")
    if not shutil.which("etcd"):
        pytest.skip("there is no etcd")
    api = RealKubernetes(program, tmp_path_factory.mktemp("kubernetes"))
    try:
        yield api
    finally:
        api.close()
