"""A stub API server that takes whatever kubectl sends and keeps the bodies.

It answers discovery by the legacy documents, GETs from a few fixed objects, and writes with the
object that was sent: enough for kubectl to say all that it has to say.
"""

import json
import shlex
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

PROTOBUF = "application/vnd.kubernetes.protobuf"
COMMAND_SECONDS_MAX = 60


class Sent(NamedTuple):
    """One request that had a body."""

    method: str
    path: str
    content_type: str
    body: bytes


_RESOURCES: Mapping[str, Mapping[str, tuple[str, bool]]] = {
    "v1": {
        "namespaces": ("Namespace", False),
        "nodes": ("Node", False),
        "pods": ("Pod", True),
        "pods/eviction": ("Eviction", True),
        "serviceaccounts": ("ServiceAccount", True),
        "serviceaccounts/token": ("TokenRequest", True),
        "services": ("Service", True),
    },
    "apps/v1": {"deployments": ("Deployment", True), "deployments/scale": ("Scale", True)},
    "batch/v1": {"jobs": ("Job", True), "cronjobs": ("CronJob", True)},
    "policy/v1": {"poddisruptionbudgets": ("PodDisruptionBudget", True)},
    "rbac.authorization.k8s.io/v1": {
        "roles": ("Role", True),
        "clusterroles": ("ClusterRole", False),
    },
    "authorization.k8s.io/v1": {"selfsubjectaccessreviews": ("SelfSubjectAccessReview", False)},
    "authentication.k8s.io/v1": {"selfsubjectreviews": ("SelfSubjectReview", False)},
}
_TEMPLATE = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
_OBJECTS: Mapping[str, Mapping[str, Any]] = {
    "/apis/apps/v1/namespaces/default/deployments/web": {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": _TEMPLATE},
    },
    "/apis/apps/v1/namespaces/default/deployments/web/scale": {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 1},
    },
    "/apis/batch/v1/namespaces/default/cronjobs/nightly": {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly", "namespace": "default", "uid": "u-1"},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": _TEMPLATE}}},
    },
    "/api/v1/nodes/n1": {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n1"},
        "spec": {"unschedulable": True},
    },
    "/api/v1/pods": {
        "apiVersion": "v1",
        "kind": "PodList",
        "items": [{"metadata": {"name": "p", "namespace": "default", "uid": "u-2"}}],
    },
    "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
}


_OWN_GROUPS = {
    "Eviction": "policy",
    "Scale": "autoscaling",
    "TokenRequest": "authentication.k8s.io",
}
"""Kinds of sub-resources that are of another group than their resource."""


def _resource_list(version: str) -> Mapping[str, Any]:
    resources = [
        {"name": name, "kind": kind, "namespaced": namespaced, "verbs": ["create", "get", "list"]}
        | ({"group": _OWN_GROUPS[kind], "version": "v1"} if kind in _OWN_GROUPS else {})
        for name, (kind, namespaced) in _RESOURCES[version].items()
    ]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}


def _group(version: str) -> Mapping[str, Any]:
    served = {"groupVersion": version, "version": "v1"}
    return {"name": version.partition("/")[0], "versions": [served], "preferredVersion": served}


def _discovery(path: str) -> Mapping[str, Any] | None:
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [_group(version) for version in _RESOURCES if "/" in version]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    version = path.removeprefix("/apis/").removeprefix("/api/")
    return _resource_list(version) if version in _RESOURCES else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "StubServer"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        found = _discovery(path) or _OBJECTS.get(path)
        if found is None:
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
            self._answer(404, status | {"reason": "NotFound", "code": 404, "message": "none"})
        else:
            self._answer(200, found)

    def _write(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        sent = Sent(self.command, path, self.headers.get("Content-Type", ""), body)
        self.server.sent.append(sent)
        self._answer(201, _reply(path))

    def do_POST(self) -> None:
        self._write()

    def do_PUT(self) -> None:
        self._write()

    def do_PATCH(self) -> None:
        self._write()

    def do_DELETE(self) -> None:
        self._write()

    def _answer(self, code: int, tree: Mapping[str, Any]) -> None:
        body = json.dumps(tree).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _reply(path: str) -> Mapping[str, Any]:
    """An object of the kind that was asked for."""
    parts = path.split("/")
    version = parts[2] if parts[1] == "api" else "/".join(parts[2:4])
    for plural, (kind, _) in _RESOURCES.get(version, {}).items():
        if path.endswith("/" + plural.rpartition("/")[2]):
            status = {"token": "t", "allowed": True, "userInfo": {"username": "u"}}
            return {
                "apiVersion": f"{_OWN_GROUPS[kind]}/v1" if kind in _OWN_GROUPS else version,
                "kind": kind,
                "metadata": {"name": "made"},
                "status": status if "Review" in kind or "Token" in kind else {},
            }
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


class StubServer(ThreadingHTTPServer):
    """Listens on a free port of this machine."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sent: list[Sent] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def stub_server() -> Iterator[StubServer]:
    with StubServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def bodies_of(kubectl: Path, home: Path, arguments: str) -> list[Sent]:
    """What one command sends; `home` takes kubectl's caches."""
    with stub_server() as server:
        result = subprocess.run(
            [str(kubectl), f"--server={server.url}", *shlex.split(arguments)],
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            env={"HOME": str(home), "KUBECONFIG": str(home / "none"), "PATH": "/nonexistent"},
            check=False,
        )
        assert server.sent, result.stderr
        return server.sent
