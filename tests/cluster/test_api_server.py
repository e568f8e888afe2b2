"""The connections to a Kubernetes API server: what they load, trust and keep alive."""

import socket
import subprocess
import sys

import pytest
import yaml
from fakes.kubernetes_api import ALICE

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.cluster.kubernetes_api import Cluster

IN_POD = """
import sys
from pathlib import Path
from jupyter_kfp_mt import errors
from jupyter_kfp_mt.cluster.kubernetes_api import Cluster
cluster = Cluster.of_pod(Path(sys.argv[1]))
print(cluster.who(), cluster.may("alice", "list", "runs", "pipelines.kubeflow.org"))
cluster.request_token("alice", "default-editor", "pipelines.kubeflow.org", 3600)
print("kubernetes" in sys.modules)
"""


def test_a_pod_asks_kubernetes_without_loading_the_models_of_all_its_objects(in_pod):
    command = [sys.executable, "-c", IN_POD, str(in_pod())]
    assert subprocess.check_output(command, text=True).split() == [ALICE, "True", "False"]


def test_a_lost_connection_is_noticed_though_a_watch_is_silent_for_hours(in_pod, kubernetes_api):
    kubernetes_api.allow(ALICE, "list watch", "workflows", "alice", "argoproj.io")
    cluster = Cluster.of_pod(in_pod())
    _, version = cluster.workflows_going_on("alice")
    watch = cluster.watch_workflows("alice", version, 60)
    assert watch._answer.connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    watch.close()
    cluster.close()


def test_the_name_that_a_kubeconfig_gives_is_the_one_that_the_certificate_must_have(kubernetes_api):
    path = kubernetes_api.kubeconfig(ALICE)
    config = yaml.safe_load(path.read_text())
    named = config["clusters"][0]["cluster"]
    named["tls-server-name"] = "kubernetes.default.svc"
    path.write_text(yaml.safe_dump(config))
    assert Cluster.of_kubeconfig(str(path)).who() == ALICE
    named["tls-server-name"] = "another.example"
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(errors.Unreachable, match="certificate"):
        Cluster.of_kubeconfig(str(path)).who()
