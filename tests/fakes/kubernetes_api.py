"""A small Kubernetes API on loopback, over TLS, that answers as the real one does.

Who may do what is a table that tests fill (`allow`); refusals have the real API's own bodies.
Beside it Kubeflow's access management (kfam), which speaks plain HTTP and believes a header.
"""

import base64
import contextlib
import ipaddress
import json
import re
import ssl
import threading
import time
import urllib.error
import urllib.request
import uuid
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import jwt
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jupyter_kfp_mt.cluster import own_pod

AUDIENCE = "https://kubernetes.default.svc.cluster.local"
RBAC = "rbac.authorization.k8s.io"
PIPELINES = "pipelines.kubeflow.org"
VIEW = {
    "pipelines": "get list",
    "pipelineversions": "get list",
    "experiments": "get list",
    "jobs": "get list",
    "runs": "get list readArtifact",
}
EDIT = {
    "pipelines": "get list create delete update",
    "pipelineversions": "get list create delete update",
    "experiments": "get list archive create delete unarchive",
    "jobs": "get list create delete disable enable",
    "runs": "get list readArtifact archive create delete retry terminate unarchive reportMetrics",
}
# The collections there are: the API group of each.
GROUPS = {
    "namespaces": "",
    "pods": "",
    "events": "",
    "serviceaccounts": "",
    "profiles": "kubeflow.org",
    "rolebindings": RBAC,
    "authorizationpolicies": "security.istio.io",
    "poddefaults": "kubeflow.org",
    "workflows": "argoproj.io",
}
VERSIONS = {"argoproj.io": "v1alpha1"}
KINDS = {
    "namespaces": "Namespace",
    "pods": "Pod",
    "events": "Event",
    "serviceaccounts": "ServiceAccount",
    "profiles": "Profile",
    "rolebindings": "RoleBinding",
    "authorizationpolicies": "AuthorizationPolicy",
    "poddefaults": "PodDefault",
    "workflows": "Workflow",
}
CLUSTER_WIDE = {"namespaces", "profiles"}


class Access(NamedTuple):
    """An action that somebody wants to take."""

    verb: str
    resource: str
    namespace: str = ""
    group: str = ""
    name: str = ""


class Asked(NamedTuple):
    """A request that was received."""

    method: str
    path: str
    query: dict
    headers: dict
    user: str


class Status(Exception):
    """A refusal, with the body that the real API sends."""

    def __init__(self, code, reason, message, **details):
        super().__init__(message)
        self.code = code
        self.body = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": details,
            "code": code,
        }
        if not details:
            del self.body["details"]


def qualified(resource, group):
    return f"{resource}.{group}" if group else resource


def unauthorized():
    return Status(401, "Unauthorized", "Unauthorized")


def forbidden(user, access):
    resource = access.resource.partition("/")[0]
    subject = qualified(resource, access.group) + (f' "{access.name}"' if access.name else "")
    where = f'in the namespace "{access.namespace}"' if access.namespace else "at the cluster scope"
    message = (
        f'{subject} is forbidden: User "{user}" cannot {access.verb} resource '
        f'"{access.resource}" in API group "{access.group}" {where}'
    )
    details = {"name": access.name} if access.name else {}
    details |= {"group": access.group} if access.group else {}
    return Status(403, "Forbidden", message, **details, kind=resource)


def not_found(resource, name, group=""):
    subject = qualified(resource, group)
    details = {"name": name, "kind": resource} | ({"group": group} if group else {})
    return Status(404, "NotFound", f'{subject} "{name}" not found', **details)


def bad_request(message):
    return Status(400, "BadRequest", message)


def stamp(moment):
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def nanoseconds(moment):
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


class Certificates:
    """A certificate authority, what it signed for the server, and what it signs for clients."""

    def __init__(self, folder):
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
        basic = x509.BasicConstraints(ca=True, path_length=None)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        authority = self._builder(self._name, self._key).add_extension(basic, critical=True)
        signed = authority.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        self.authority = folder / "ca.crt"
        self.authority.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def server(self, hosts=("localhost", "kubernetes.default.svc", "127.0.0.1"), days=(-1, 1)):
        """The files of a certificate and a key for these hosts, good between these days."""
        names = [_general_name(host) for host in hosts]
        return self._signed("server", x509.SubjectAlternativeName(names), days)

    def client(self, user):
        """The files of a certificate and a key with which a client is `user`."""
        return self._signed(user, x509.SubjectAlternativeName([x509.DNSName("client")]))

    def _signed(self, common_name, alternative_names, days=(-1, 1)):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = self._builder(name, key, days).add_extension(alternative_names, critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        stem = self.folder / re.sub(r"\W+", "-", common_name)
        files = stem.with_suffix(".crt"), stem.with_suffix(".key")
        files[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
        return files

    def _builder(self, name, key, days=(-1, 1)):
        now = datetime.now(timezone.utc)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=days[0]))
            .not_valid_after(now + timedelta(days=days[1]))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(issuer, critical=False)
        )


def _general_name(host):
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class Log:
    """Yield the lines that a container writes, with the time of each."""

    def __init__(self):
        self.lines = []
        self._last = None
        self.ended = False
        self.cuts = 0
        self._changed = threading.Condition()

    def write(self, *lines, at=None):
        with self._changed:
            self.lines += [(at or self._next_moment(), line.encode() + b"\n") for line in lines]
            self._changed.notify_all()

    def _next_moment(self):
        """The time as a container runtime has it, to which no two lines are written at once."""
        now = datetime.now(timezone.utc)
        if self._last and now <= self._last:
            now = self._last + timedelta(microseconds=1)
        self._last = now
        return now

    def end(self):
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def cut(self):
        """End whoever follows it now, as what stands between does when nothing is written."""
        with self._changed:
            self.cuts += 1
            self._changed.notify_all()

    def follow(self, seen):
        """The lines after those `seen`, until it ends."""
        cuts = self.cuts
        while True:
            with self._changed:
                while len(self.lines) == seen and not self.ended and self.cuts == cuts:
                    self._changed.wait()
                new, seen = self.lines[seen:], len(self.lines)
                if not new:
                    return
            yield from new


def selects(selector, item):
    """Tell whether an object has the labels that a selector names: `a=b`, `a!=b`, `a` or `!a`."""
    labels = item["metadata"].get("labels", {})
    for part in filter(None, selector.split(",")):
        key, sign, value = re.fullmatch(r"(!?[^!=]+)(!?=)?(.*)", part).groups()
        if sign == "=" and labels.get(key) != value:
            return False
        if sign == "!=" and labels.get(key) == value:
            return False
        if not sign and (key.lstrip("!") in labels) == key.startswith("!"):
            return False
    return True


def as_asked(item, headers):
    """An object, or of it only the metadata, as the Accept header has it."""
    if "as=PartialObjectMetadata" not in headers.get("Accept", ""):
        return item
    kind = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    return {**kind, "metadata": item["metadata"]}


class History:
    """The changes of objects, version by version, for those who watch them."""

    def __init__(self):
        self.version = 1000
        self.forgotten = 0  # versions up to this one are too old
        self.cuts = 0
        self.watching = 0
        self.breaks_with = None  # what is sent in place of an event, once
        self._changes = []  # (version, before or None, after or None)
        self._now = {}
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item):
        return self._change(item, deepcopy(item))

    def remove(self, item):
        return self._change(item, None)

    def _change(self, item, after):
        with self._changed:
            self.version += 1
            key = item["metadata"]["namespace"], item["metadata"]["name"]
            for each in filter(None, (item, after)):
                each["metadata"]["resourceVersion"] = str(self.version)
            self._changes.append((self.version, self._now.get(key), after))
            self._now[key] = after
            self._changed.notify_all()
            return self.version

    def forget(self):
        """Let nobody go on from any version up to now, as after a compaction."""
        with self._changed:
            self.forgotten = self.version
            self.version += 1

    def cut(self):
        """End all watches, as the API server does after a while."""
        with self._changed:
            self.cuts += 1
            self._changed.notify_all()

    def close(self):
        self._closed = True
        self.cut()

    def watch(self, namespace, query, headers):
        """The lines of a watch after a version.

        There is a bookmark, where asked for, when it is cut after anything has changed.
        """
        seen, selector = int(query["resourceVersion"]), query.get("labelSelector", "")
        if seen <= self.forgotten:
            gone = Status(410, "Expired", f"too old resource version: {seen} ({self.version})")
            yield json.dumps({"type": "ERROR", "object": gone.body}).encode() + b"\n"
            return
        cuts, begun = self.cuts, self.version
        self.watching += 1
        try:
            while new := self._after(seen, cuts):
                for seen, before, after in new:
                    if event := self._event(namespace, selector, before, after, headers, seen):
                        yield json.dumps(event).encode() + b"\n"
                if self.breaks_with:
                    text, self.breaks_with = self.breaks_with, None
                    yield text
                    return
            if query.get("allowWatchBookmarks") == "true" and seen > begun:
                metadata = {"resourceVersion": str(seen)}
                mark = {"kind": "PartialObjectMetadata", "metadata": metadata}
                yield json.dumps({"type": "BOOKMARK", "object": mark}).encode() + b"\n"
        finally:
            self.watching -= 1

    def _after(self, seen, cuts):
        with self._changed:
            while self.cuts == cuts and not (self._changes and self._changes[-1][0] > seen):
                self._changed.wait()
            return [each for each in self._changes if each[0] > seen]

    @staticmethod
    def _event(namespace, selector, before, after, headers, version):
        """As the API server's cache has it: what is selected no more is told as it was before."""
        item = after or before
        if item is None or item["metadata"]["namespace"] != namespace:
            return None
        was, fits = (bool(each) and selects(selector, each) for each in (before, after))
        if not was and not fits:
            return None
        kind = "DELETED" if not fits else "MODIFIED" if was else "ADDED"
        told = deepcopy(after if fits else before)
        told["metadata"]["resourceVersion"] = str(version)
        return {"type": kind, "object": as_asked(told, headers)}


class KubernetesApi:
    """The API: its objects, who may do what, and what it was asked."""

    def __init__(self, folder):
        self.folder = folder
        self.certificates = Certificates(folder)
        self._key = uuid.uuid4().hex
        self._rules = set()
        self._users = {}
        self.objects = {resource: {} for resource in GROUPS}  # (namespace, name) -> object
        self.history = History()  # of the objects that are watched: Workflows
        self.logs = {}  # (namespace, pod, container) -> Log
        self.services = {}  # "NAMESPACE/[SCHEME:]NAME:PORT" -> endpoint
        self.asked = []
        self.unreadable = set()  # pods whose node has no log of theirs any more
        self.hanging = set()  # texts: a request with one in its path gets no answer until `close`
        self.slow = 0.0  # seconds by which each answer comes later
        self.clock = 0.0  # seconds by which its clock is ahead
        self.longest_token = 0.0  # seconds, if a token is to live shorter than is asked for
        self.reviews_people = True  # SelfSubjectReview is there since Kubernetes 1.28
        self.issue = self._jwt  # (user, audiences, expires at) -> token
        self._closing = threading.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificates.server())
        context.load_verify_locations(self.certificates.authority)
        context.verify_mode = ssl.CERT_OPTIONAL
        self._server = Server(Handler, self)
        self._server.tls = context
        self.port = self._server.server_port
        self.endpoint = f"https://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self):
        self._closing.set()
        self.history.close()
        for log in self.logs.values():
            log.end()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # --- who there is, and what they may do ---------------------------------------------------

    def allow(self, user, verbs, resource, namespace="", group=""):
        """Let `user` do each of `verbs` there; "" as the namespace is the cluster."""
        self._rules |= {(user, verb, resource, namespace, group) for verb in verbs.split()}

    def allow_role(self, user, role, namespace):
        """Kubeflow's role of that name, VIEW or EDIT, for pipelines."""
        for resource, verbs in role.items():
            self.allow(user, verbs, resource, namespace, PIPELINES)

    def forbid(self, user):
        self._rules = {rule for rule in self._rules if rule[0] != user}

    def allows(self, user, access):
        own = {"selfsubjectaccessreviews", "selfsubjectreviews"}
        if access.resource in own and not user.startswith("system:anonymous"):
            return (user, "never", access.resource, "", "") not in self._rules
        return any(
            rule[0] == user
            and rule[1] in (access.verb, "*")
            and rule[2] == access.resource
            and rule[3] in (access.namespace, "")
            and rule[4] == access.group
            for rule in self._rules
        )

    def without_reviews(self, user):
        """Refuse access reviews to `user`, as a hardened cluster may."""
        self._rules.add((user, "never", "selfsubjectaccessreviews", "", ""))

    def check(self, user, access):
        if not self.allows(user, access):
            raise forbidden(user, access)

    def token(self, user, seconds=3600.0, audience=AUDIENCE):
        """A token with which a client is `user`."""
        return self._jwt(user, [audience], self.now() + seconds)

    def now(self):
        return time.time() + self.clock

    def user_of(self, headers, certificate):
        """Return who sent a request. Raises the real API's 401."""
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            try:
                options = {"verify_exp": False, "verify_aud": False, "verify_nbf": False}
                claims = jwt.decode(token, self._key, ["HS256"], options=options)
            except jwt.PyJWTError:
                raise unauthorized() from None
            if claims["exp"] <= self.now() or AUDIENCE not in claims["aud"]:
                raise unauthorized()
            return claims["sub"]
        if certificate:
            subject = dict(pair for part in certificate["subject"] for pair in part)
            return subject["commonName"]
        return "system:anonymous"

    def _jwt(self, user, audiences, expires_at):
        claims = {
            "aud": audiences,
            "exp": int(expires_at),
            "iat": int(self.now()),
            "iss": AUDIENCE,
            "jti": str(uuid.uuid4()),
            "nbf": int(self.now()),
            "sub": user,
        }
        if user.startswith("system:serviceaccount:"):
            namespace, name = user.split(":")[2:]
            account = {"name": name, "uid": str(uuid.uuid4())}
            claims["kubernetes.io"] = {"namespace": namespace, "serviceaccount": account}
        return jwt.encode(claims, self._key, "HS256")

    # --- what there is ------------------------------------------------------------------------

    def add(self, resource, name, namespace="", **fields):
        """An object, as `kubectl apply` would make it. The object."""
        group = GROUPS[resource]
        versions = {"": "v1", "security.istio.io": "security.istio.io/v1"}
        made = {
            "apiVersion": versions.get(group, f"{group}/v1"),
            "kind": KINDS[resource],
            "metadata": {
                "name": name,
                "uid": str(uuid.uuid4()),
                "creationTimestamp": stamp(datetime.now(timezone.utc)),
                **({"namespace": namespace} if namespace else {}),
                **fields.pop("metadata", {}),
            },
            **fields,
        }
        self.objects[resource][namespace, name] = made
        return made

    def add_profile(self, name, owner):
        """A profile with what its controller makes of it: namespace, accounts, roles."""
        self.add("profiles", name, spec={"owner": {"kind": "User", "name": owner}})
        owned = {"annotations": {"owner": owner}}
        self.add("namespaces", name, metadata=owned, status={"phase": "Active"})
        for account, role in (("default-editor", "edit"), ("default-viewer", "view")):
            self.add("serviceaccounts", account, name)
            subject = {"kind": "ServiceAccount", "name": account, "namespace": name}
            self.bind(account, name, subject, f"kubeflow-{role}")
        labels = {"annotations": {"user": owner, "role": "admin"}}
        person = {"kind": "User", "name": owner, "apiGroup": RBAC}
        self.bind("namespaceAdmin", name, person, "kubeflow-admin", labels)

    def bind(self, name, namespace, subject, role, metadata=None):
        """A role binding. It is what is listed; what it allows is said with `allow`."""
        reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
        fields = {"metadata": metadata or {}, "subjects": [subject], "roleRef": reference}
        return self.add("rolebindings", name, namespace, **fields)

    def put_workflow(
        self, name, namespace, run_id, phase="Running", nodes=(), run_name="", **status
    ):
        """A Workflow as Argo writes it: a new one, or what has become of one. Its version.

        One without a phase is one that KFP has made and Argo has not seen yet; `run_name` is what
        KFP calls the run.
        """
        over = phase in ("Succeeded", "Failed", "Error")
        labels = {"pipeline/runid": run_id}
        labels |= {"workflows.argoproj.io/phase": phase} if phase else {}
        labels |= {"workflows.argoproj.io/completed": "true"} if over else {}
        told = {"phase": phase, "nodes": {node["id"]: node for node in nodes}, **status}
        if over:
            told["finishedAt"] = stamp(datetime.now(timezone.utc))
        before = self.objects["workflows"].get((namespace, name), {"metadata": {}})["metadata"]
        metadata = {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "annotations": {"pipelines.kubeflow.org/run_name": run_name} if run_name else {},
            "creationTimestamp": before.get("creationTimestamp", stamp(datetime.now(timezone.utc))),
        }
        made = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": metadata,
            "spec": {"templates": [{"name": "long", "script": "x" * 1000}]},
            "status": told,
        }
        self.objects["workflows"][namespace, name] = made
        return self.history.put(made)

    def remove_workflow(self, name, namespace):
        self.history.remove(self.objects["workflows"].pop((namespace, name)))

    def add_pod(self, name, namespace, labels=None, containers=("main",), phase="Running"):
        """A pod with a log for each container."""
        state = {"running": {"startedAt": stamp(datetime.now(timezone.utc))}}
        if phase == "Pending":
            state = {"waiting": {"reason": "ContainerCreating"}}
        statuses = [{"name": each, "state": state, "ready": True} for each in containers]
        for container in containers:
            self.logs[namespace, name, container] = Log()
        return self.add(
            "pods",
            name,
            namespace,
            metadata={"labels": labels or {}},
            spec={"containers": [{"name": each, "image": "python"} for each in containers]},
            status={"phase": phase, "containerStatuses": statuses},
        )

    def remove(self, resource, name, namespace=""):
        del self.objects[resource][namespace, name]

    # --- for those who ask ------------------------------------------------------------------

    def pod_files(self, user, namespace):
        """The folder that Kubernetes mounts into the pods of a service account."""
        folder = self.folder / f"pod-{uuid.uuid4().hex[:8]}" / "kubernetes.io" / "serviceaccount"
        folder.mkdir(parents=True)
        (folder / "token").write_text(self.token(user))
        (folder / "ca.crt").write_bytes(self.certificates.authority.read_bytes())
        (folder / "namespace").write_text(namespace)
        return folder

    def pod_environment(self):
        return {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self.port),
        }

    def kubeconfig(self, user, namespace="", **credentials):
        """A kubeconfig with two contexts: `test`, the current one, and `nobody`.

        `credentials` are those of its user: a token unless a test says otherwise.
        """
        authority = base64.b64encode(self.certificates.authority.read_bytes()).decode()
        cluster = {"server": self.endpoint, "certificate-authority-data": authority}
        context = {"cluster": "test", "user": "somebody", "namespace": namespace or "default"}
        nobody = {"cluster": "test", "user": "nobody"}
        written = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "contexts": [
                {"name": "test", "context": context},
                {"name": "nobody", "context": nobody},
            ],
            "users": [
                {"name": "somebody", "user": credentials or {"token": self.token(user)}},
                {"name": "nobody", "user": {}},
            ],
        }
        path = self.folder / f"kubeconfig-{uuid.uuid4().hex[:8]}"
        path.write_text(yaml.safe_dump(written))
        return path

    # --- answers ------------------------------------------------------------------------------

    def answer(self, asked, body):
        """The status and the object (or the lines of a log) for a request."""
        parts = [unquote(part) for part in asked.path.strip("/").split("/")]
        if asked.path in ("/healthz", "/livez", "/readyz"):
            return 200, [b"ok"]
        if asked.path == "/version":
            return 200, {"major": "1", "minor": "31", "gitVersion": "v1.31.2"}
        if parts[:2] == ["api", "v1"]:
            return self._resource(asked, body, "", parts[2:])
        if parts[0] == "apis" and len(parts) > 3:
            return self._resource(asked, body, parts[1], parts[3:])
        self.check(asked.user, Access(asked.method.lower(), asked.path))
        raise Status(404, "NotFound", "the server could not find the requested resource")

    def _resource(self, asked, body, group, parts):
        namespace = ""
        if parts[0] == "namespaces" and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        resource, name, *rest = [*parts, ""] if len(parts) == 1 else parts
        review = {
            ("authorization.k8s.io", "selfsubjectaccessreviews"): self._access_review,
            ("authentication.k8s.io", "selfsubjectreviews"): self._subject_review,
        }.get((group, resource))
        if review:
            self.check(asked.user, Access("create", resource, group=group))
            return review(asked.user, body)
        if resource == "services" and rest[:1] == ["proxy"]:
            return self._service(asked, body, namespace, name)
        if GROUPS.get(resource) != group:
            return self._unknown(asked, Access("", resource, namespace, group, name))
        if resource == "serviceaccounts" and rest == ["token"]:
            return self._token_request(asked.user, namespace, name, body)
        if resource == "pods" and rest == ["log"]:
            return 200, self._log(asked, namespace, name)
        verb = {"GET": "get" if name else "list", "POST": "create", "DELETE": "delete"}
        access = Access(verb[asked.method], resource, namespace, group, name)
        if asked.query.get("watch") == "true":
            access = access._replace(verb="watch")
            self.check(asked.user, access)
            return 200, self.history.watch(namespace, asked.query, asked.headers)
        if resource == "namespaces" and name:
            access = access._replace(namespace=name)
        self.check(asked.user, access)
        return self._object(access, asked.query, body, asked.headers)

    def _unknown(self, asked, access):
        """A kind that there is not: it is asked first who may have to do with it."""
        verbs = {"GET": "get" if access.name else "list", "POST": "create", "DELETE": "delete"}
        self.check(asked.user, access._replace(verb=verbs[asked.method]))
        if access.group:
            return 404, [b"404 page not found\n"]
        raise Status(404, "NotFound", "the server could not find the requested resource")

    def _object(self, access, query, body, headers):
        there = self.objects[access.resource]
        if access.verb == "list":
            return 200, self._list(access, query, headers)
        if access.verb == "create":
            name = body["metadata"]["name"]
            if (access.namespace, name) in there:
                subject = qualified(access.resource, access.group)
                raise Status(409, "AlreadyExists", f'{subject} "{name}" already exists')
            there[access.namespace, name] = body
            return 201, body
        namespace = "" if access.resource in CLUSTER_WIDE else access.namespace
        if (namespace, access.name) not in there:
            raise not_found(access.resource, access.name, access.group)
        if access.verb == "delete":
            return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        return 200, there[namespace, access.name]

    def _list(self, access, query, headers):
        fields = dict(
            pair.split("=", 1) for pair in query.get("fieldSelector", "").split(",") if pair
        )
        pod = fields.get("involvedObject.name")
        items = [
            found
            for (namespace, _), found in sorted(self.objects[access.resource].items())
            if access.namespace in ("", namespace)
            and selects(query.get("labelSelector", ""), found)
            and (pod is None or found.get("involvedObject", {}).get("name") == pod)
        ]
        limit = int(query.get("limit", 0)) or len(items)
        begin = int(query.get("continue", 0))
        metadata = {"resourceVersion": str(self.history.version)}
        if begin + limit < len(items):
            metadata["continue"] = str(begin + limit)
        kind, version = (
            f"{KINDS[access.resource]}List",
            f"{access.group}/{VERSIONS.get(access.group, 'v1')}".lstrip("/"),
        )
        page = [as_asked(item, headers) for item in items[begin : begin + limit]]
        if "as=PartialObjectMetadataList" in headers.get("Accept", ""):
            kind, version = "PartialObjectMetadataList", "meta.k8s.io/v1"
        return {"kind": kind, "apiVersion": version, "metadata": metadata, "items": page}

    def _token_request(self, user, namespace, name, body):
        self.check(user, Access("create", "serviceaccounts/token", namespace, "", name))
        if (namespace, name) not in self.objects["serviceaccounts"]:
            raise not_found("serviceaccounts", name)
        seconds = body["spec"].get("expirationSeconds", 3600)
        if seconds < 600:
            field = "spec.expirationSeconds"
            wrong = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
            raise Status(
                422,
                "Invalid",
                f'TokenRequest.authentication.k8s.io "" is invalid: {field}: {wrong}',
                group="authentication.k8s.io",
                kind="TokenRequest",
                causes=[{"reason": "FieldValueInvalid", "message": wrong, "field": field}],
            )
        expires_at = self.now() + min(seconds, self.longest_token or seconds)
        audiences = body["spec"].get("audiences") or [AUDIENCE]
        token = self.issue(f"system:serviceaccount:{namespace}:{name}", audiences, expires_at)
        expires = stamp(datetime.fromtimestamp(expires_at, timezone.utc))
        return 201, {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": expires},
            "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": None},
            "status": {"token": token, "expirationTimestamp": expires},
        }

    def _access_review(self, user, body):
        wanted = body["spec"]["resourceAttributes"]
        verb, resource, *others = (
            wanted.get(field, "") for field in ("verb", "resource", "namespace", "group", "name")
        )
        if subresource := wanted.get("subresource"):
            resource = f"{resource}/{subresource}"
        allowed = self.allows(user, Access(verb, resource, *others))
        status = {"allowed": allowed}
        if allowed:
            status["reason"] = "RBAC: allowed by RoleBinding of ClusterRole"
        return 201, {**body, "metadata": {"creationTimestamp": None}, "status": status}

    def _subject_review(self, user, body):
        if not self.reviews_people:
            raise Status(404, "NotFound", "the server could not find the requested resource")
        information = {"username": user, "groups": ["system:authenticated"]}
        return 201, {**body, "status": {"userInfo": information}}

    def _log(self, asked, namespace, name):
        access = Access("get", "pods/log", namespace, "", name)
        self.check(asked.user, access)
        pod = self.objects["pods"].get((namespace, name))
        if pod is None:
            raise not_found("pods", name)
        query = asked.query
        container = self._container(pod, name, query.get("container", ""))
        if query.get("previous") == "true":
            raise bad_request(
                f'previous terminated container "{container}" in pod "{name}" not found'
            )
        if pod["status"]["phase"] == "Pending":
            raise bad_request(
                f'container "{container}" in pod "{name}" is waiting to start: ContainerCreating'
            )
        if name in self.unreadable:
            raise Status(500, "InternalError", f"failed to get logs of {name}: no such container")
        return self._lines(self.logs[namespace, name, container], query)

    def _container(self, pod, name, wanted):
        names = [container["name"] for container in pod["spec"]["containers"]]
        if not wanted and len(names) > 1:
            raise bad_request(
                f"a container name must be specified for pod {name}, choose one of: "
                f"[{' '.join(names)}]"
            )
        if wanted and wanted not in names:
            raise bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted or names[0]

    def _lines(self, log, query):
        seen = len(log.lines)
        chosen = log.lines[:seen]
        if since := query.get("sinceTime"):
            begin = datetime.fromisoformat(since.replace("Z", "+00:00"))
            chosen = [line for line in chosen if line[0] >= begin]
        if "tailLines" in query:
            chosen = chosen[len(chosen) - min(int(query["tailLines"]), len(chosen)) :]

        def lines():
            yield from chosen
            if query.get("follow") == "true":
                yield from log.follow(seen)

        stamped = query.get("timestamps") == "true"
        for moment, line in lines():
            yield nanoseconds(moment).encode() + b" " + line if stamped else line

    def _service(self, asked, body, namespace, name):
        verbs = {"GET": "get", "POST": "create", "DELETE": "delete", "PUT": "update"}
        verb = verbs.get(asked.method, "patch")
        self.check(asked.user, Access(verb, "services/proxy", namespace, "", name))
        endpoint = self.services.get(f"{namespace}/{name}")
        if endpoint is None:
            raise Status(404, "NotFound", f'services "{name.split(":")[1]}" not found')
        return Forwarded(endpoint), body


class Forwarded(str):
    """The endpoint to which a request is to go on."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    tls = None

    def __init__(self, handler, api):
        self.api = api
        super().__init__(("127.0.0.1", 0), handler)

    def finish_request(self, request, client_address):
        """The handshake is made in the thread of the connection, so that none holds up others."""
        if self.tls is None:
            return super().finish_request(request, client_address)
        request.settimeout(30)
        with contextlib.suppress(OSError):
            with self.tls.wrap_socket(request, server_side=True) as wrapped:
                super().finish_request(wrapped, client_address)

    def handle_error(self, *_):
        pass  # a client that went away


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body of an answer must not wait for each other.
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        api = self.server.api
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        try:
            certificate = getattr(self.connection, "getpeercert", dict)()
            user = api.user_of(self.headers, certificate)
            asked = Asked(self.command, url.path, query, dict(self.headers), user)
            api.asked.append(asked)
            api._closing.wait(api.slow)
            if any(text in url.path for text in api.hanging):
                api._closing.wait(60)
                self.close_connection = True
                return
            code, answer = api.answer(asked, self._object(body))
        except Status as status:
            code, answer = status.code, status.body
        if isinstance(code, Forwarded):
            self._forward(code, url, body)
        elif isinstance(answer, dict):
            self._send(code, json.dumps(answer).encode(), "application/json")
        else:
            self._stream(code, answer)

    do_POST = do_DELETE = do_PUT = do_PATCH = do_GET

    def _object(self, body):
        if "json" not in self.headers.get("Content-Type", ""):
            return body
        try:
            return json.loads(body) if body else {}
        except ValueError:
            return body

    def _send(self, code, body, kind):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Audit-Id", str(uuid.uuid4()))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, code, lines):
        """In chunks, as they come."""
        self.send_response(code)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in lines:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    def _forward(self, endpoint, url, body):
        """Through the service proxy: the Authorization header is the API's own and stays here."""
        path = url.path.partition("/proxy")[2] or "/"
        query = f"?{url.query}" if url.query else ""
        own = {"authorization", "host", "content-length", "connection", "accept-encoding"}
        headers = {name: text for name, text in self.headers.items() if name.lower() not in own}
        request = urllib.request.Request(
            endpoint + path + query, body or None, headers, method=self.command
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                found = answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            found = error.code, error.read(), error.headers
        except OSError as error:
            message = f"error trying to reach service: {getattr(error, 'reason', error)}"
            status = Status(503, "ServiceUnavailable", message)
            found = 503, json.dumps(status.body).encode(), {}
        code, content, headers = found
        self._send(code, content, headers.get("Content-Type", "application/json"))


class Kfam:
    """Kubeflow's access management service: role bindings of profiles, in short."""

    ROLES = {"admin", "edit", "view"}

    def __init__(self, owners, admins=(), header="kubeflow-userid", prefix=""):
        self.owners = dict(owners)  # namespace -> owner
        self.bindings = {
            (namespace, owner, "admin"): {"kind": "User", "name": owner}
            for namespace, owner in self.owners.items()
        }
        self.admins = set(admins)
        self.header, self.prefix = header, prefix
        self.istio_allows = True
        self.hanging = False
        self.asked = []
        self._closing = threading.Event()
        self._server = Server(KfamHandler, self)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self):
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def binding_name(self, binding):
        user, role = binding["user"], binding["roleRef"]
        words = [user["kind"], user["name"], role.get("kind", ""), role["name"]]
        return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower())

    def may_change(self, headers, namespace):
        user = headers.get(self.header, "").removeprefix(self.prefix)
        return namespace in self.owners and (user in self.admins or self.owners[namespace] == user)


class KfamHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        kfam = self.server.api
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        kfam.asked.append(Asked(self.command, url.path, query, dict(self.headers), ""))
        if kfam.hanging:
            kfam._closing.wait(60)
            self.close_connection = True
        elif not kfam.istio_allows:
            self._send(403, b"RBAC: access denied", "text/plain")
        elif url.path == "/kfam/v1/role/clusteradmin":
            self._send(200, json.dumps(query.get("user") in kfam.admins).encode())
        elif url.path != "/kfam/v1/bindings":
            self._send(404, b"404 page not found\n", "text/plain; charset=utf-8")
        elif self.command == "GET":
            self._send(200, json.dumps({"bindings": self._found(kfam, query)}).encode())
        else:
            self._change(kfam, self._binding(body))

    do_POST = do_DELETE = do_GET

    @staticmethod
    def _binding(body):
        """As Go decodes it: names of fields in any case."""
        fields = {name.lower(): value for name, value in json.loads(body).items()}
        return {
            "user": fields["user"],
            "referredNamespace": fields["referrednamespace"],
            "roleRef": fields["roleref"],
        }

    @staticmethod
    def _found(kfam, query):
        return [
            {
                "user": {"kind": subject["kind"], "name": subject["name"]},
                "referredNamespace": namespace,
                "RoleRef": {"apiGroup": "", "kind": "ClusterRole", "name": role},
            }
            for (namespace, user, role), subject in sorted(kfam.bindings.items())
            if query.get("namespace") in (None, "", namespace)
            and query.get("user") in (None, "", user)
            and query.get("role") in (None, "", role)
        ]

    def _change(self, kfam, binding):
        namespace, user = binding["referredNamespace"], binding["user"]
        key = (namespace, user["name"], binding["roleRef"]["name"])
        name = f'"{kfam.binding_name(binding)}"'
        if not kfam.may_change(self.headers, namespace):
            self._send(403, b"")
        elif self.command == "POST" and key in kfam.bindings:
            self._send(403, f"rolebindings.{RBAC} {name} already exists".encode())
        elif self.command == "DELETE" and key not in kfam.bindings:
            self._send(403, f"rolebinding.{RBAC} {name} not found".encode())
        elif self.command == "POST":
            kfam.bindings[key] = user
            self._send(200, b"")
        else:
            del kfam.bindings[key]
            self._send(200, b"")

    def _send(self, code, body, kind="application/json; charset=UTF-8"):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ALICE = "system:serviceaccount:alice:default-editor"
BOB = "system:serviceaccount:bob:default-editor"


@pytest.fixture
def kubernetes_api(tmp_path):
    """The profiles alice and bob, in which each one's default-editor has Kubeflow's usual role."""
    import kubernetes.client  # noqa: F401  # which takes longer than some are patient

    folder = tmp_path / "kubernetes"
    folder.mkdir()
    api = KubernetesApi(folder)
    for name, user in (("alice", ALICE), ("bob", BOB)):
        api.add_profile(name, f"{name}@example.com")
        api.allow_role(user, EDIT, name)
        api.allow(user, "get list", "pods", name)
        api.allow(user, "get", "pods/log", name)
        api.allow(user, "get list", "events", name)
        api.allow(user, "create", "serviceaccounts/token", name)
    yield api
    api.close()


@pytest.fixture
def kfam():
    """Kubeflow's access management service of the same profiles."""
    service = Kfam({"alice": "alice@example.com", "bob": "bob@example.com"})
    yield service
    service.close()


@pytest.fixture
def in_pod(kubernetes_api, monkeypatch):
    """Makes this process one in a pod of `user`: its files and its environment. The folder."""

    def in_pod(user=ALICE, namespace="alice"):
        for name, text in kubernetes_api.pod_environment().items():
            monkeypatch.setenv(name, text)
        folder = kubernetes_api.pod_files(user, namespace)
        monkeypatch.setattr(own_pod, "SECRETS", folder.parent.parent)
        return folder

    return in_pod
