"""Every kubectl that is installed finds, explains and prints kinds from what we tell of them.

The server here is a dozen lines which know nothing but documents of the modules under test.
"""

import http.server
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from controlplane.api import discovery, openapi, tables
from controlplane.api.errors import no_such_path
from controlplane.api.registry import Registry
from controlplane.api.resource import Object
from tests.controlplane.api.served import registry

NOW = 1_700_000_000.0
OBJECTS: dict[str, list[Object]] = {
    "pods": [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "web-0",
                "namespace": "default",
                "creationTimestamp": "2023-11-14T21:13:20Z",
                "labels": {"app": "web"},
            },
            "spec": {"nodeName": "node-1"},
            "status": {"phase": "Running"},
        }
    ],
    "crontabs": [
        {
            "apiVersion": "stable.example.com/v1",
            "kind": "CronTab",
            "metadata": {"name": "nightly", "creationTimestamp": "2023-11-14T22:13:15Z"},
            "spec": {"cronSpec": "0 3 * * *", "replicas": 2},
        }
    ],
    "namespaces": [],
}


class Server(http.server.ThreadingHTTPServer):
    is_aggregated = True
    asked: list[str]
    patched: list[str]


class Handler(http.server.BaseHTTPRequestHandler):
    registry = registry()
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        accept = self.headers.get("Accept", "")
        url = urlsplit(self.path)
        if self.server.is_aggregated and url.path in ("/api", "/apis"):
            version = "v2" if "v=v2;" in accept else "v2beta1"
            body = discovery.api_group_discovery_list(
                self.registry,
                core=url.path == "/api",
                version="v2" if version == "v2" else "v2beta1",
            )
            media = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
            self._answer(body, media)
        elif url.path == "/openapi/v2":
            # What 1.27 and 1.28 ask first; kubectl-needs.md, section 1.
            self._answer(None, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf")
        else:
            self._answer(_document(self.registry, url.path) or self._objects(url.path, accept))

    def do_PATCH(self) -> None:
        self.server.patched.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(OBJECTS["pods"][0])

    def _objects(self, path: str, accept: str) -> Object | None:
        match = re.fullmatch(
            r"/apis?/(.+/)?v\d+(/namespaces/default)?/([a-z]+)(/[a-z0-9-]+)?", path
        )
        resource = match and next(
            (one for one in self.registry.all() if one.plural == match[3]), None
        )
        if not match or not resource or match[3] not in OBJECTS:
            return None
        name = (match[4] or "")[1:]
        found = [one for one in OBJECTS[match[3]] if name in ("", one["metadata"]["name"])]
        if "as=Table" in accept:
            include = parse_qs(urlsplit(self.path).query).get("includeObject", ["Metadata"])[0]
            return tables.table(
                resource, found, now=NOW, resource_version="7", include_object=include
            )
        if name:
            return found[0] if found else None
        version, kind = resource.api_version, resource.list_kind
        return {"apiVersion": version, "kind": kind, "items": found}

    def _answer(self, body: Object | None, media: str = "application/json") -> None:
        is_missing = body is None and media == "application/json"
        sent = (
            orjson.dumps(no_such_path().status if is_missing else body)
            if body or is_missing
            else b""
        )
        self.send_response(404 if is_missing else 200)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its name upstream
        pass


def _document(known: Registry, path: str) -> Object | None:
    if path in ("/api", "/apis"):
        return discovery.api_versions() if path == "/api" else discovery.api_group_list(known)
    if path == "/openapi/v3":
        return openapi.index(known)
    place = path.removeprefix("/openapi/v3")
    match = re.fullmatch(r"/(?:api|apis/([^/]+))/(v[^/]+)", place)
    if match is None:
        return None
    make = openapi.document if place != path else discovery.api_resource_list
    return make(known, match[1] or "", match[2])


def kubectls() -> list[Any]:
    found = shutil.which("kubectl")
    if found is None:
        return [pytest.param("", marks=pytest.mark.skip("no kubectl is installed"))]
    beside = Path(found).resolve().parent.glob("kubectl.1.??")
    return [found, *sorted(str(path) for path in beside)]


@contextmanager
def serving(handler: type[Handler]) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), handler) as server:
        server.asked, server.patched = [], []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Handler) as server:
        yield server


@pytest.fixture(params=kubectls(), ids=lambda path: Path(path).name)
def kubectl(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> "Kubectl":
    return Kubectl(request.param, server, tmp_path)


class Kubectl:
    def __init__(self, path: str, server: Server, home: Path) -> None:
        self.server = server
        self._command = [path, f"--server=http://127.0.0.1:{server.server_port}"]
        self._environment = {"HOME": str(home), "KUBECONFIG": str(home / "none")}

    def __call__(self, command: str) -> str:
        done = subprocess.run(
            [*self._command, *command.split()],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "rror" not in done.stderr, done.stderr
        return done.stdout


def _rows(text: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


@pytest.mark.parametrize("is_aggregated", [True, False], ids=["aggregated", "legacy"])
def test_api_resources_lists_what_is_served(kubectl: Kubectl, is_aggregated: bool) -> None:
    """1.1: both forms of discovery say the same."""
    kubectl.server.is_aggregated = is_aggregated
    rows = {tuple(row) for row in _rows(kubectl("api-resources"))[1:]}
    assert rows == {
        ("namespaces", "ns", "v1", "false", "Namespace"),
        ("pods", "po", "v1", "true", "Pod"),
        ("deployments", "deploy", "apps/v1", "true", "Deployment"),
        ("events", "events.k8s.io/v1", "true", "Event"),
        ("selfsubjectaccessreviews", "authorization.k8s.io/v1", "false", "SelfSubjectAccessReview"),
        ("horizontalpodautoscalers", "hpa", "autoscaling/v2", "true", "HorizontalPodAutoscaler"),
        ("crontabs", "ct", "stable.example.com/v1", "true", "CronTab"),
    }


def test_categories_and_versions_are_known(kubectl: Kubectl) -> None:
    """1.1"""
    names = kubectl("api-resources --categories=all -o name").split()
    assert set(names) == {"pods", "deployments.apps", "crontabs.stable.example.com"}
    assert kubectl("api-versions").split() == [
        "apps/v1",
        "authorization.k8s.io/v1",
        "autoscaling/v1",
        "autoscaling/v2",
        "events.k8s.io/v1",
        "stable.example.com/v1",
        "v1",
    ]


def test_get_prints_the_columns(kubectl: Kubectl) -> None:
    """1.2: wide columns only with -o wide, labels from the rows' metadata."""
    assert _rows(kubectl("get po")) == [
        ["NAME", "STATUS", "PRIORITY", "AGE"],
        ["web-0", "Running", "0", "60m"],
    ]
    assert _rows(kubectl("get pods web-0 -o wide --show-labels")) == [
        ["NAME", "STATUS", "PRIORITY", "AGE", "NODE", "LABELS"],
        ["web-0", "Running", "0", "60m", "node-1", "app=web"],
    ]
    assert _rows(kubectl("get pods --sort-by=.status.phase --no-headers"))[0][0] == "web-0"
    assert any("includeObject=Object" in path for path in kubectl.server.asked)


def test_get_prints_custom_resources(kubectl: Kubectl) -> None:
    """11.7: additionalPrinterColumns after the name."""
    assert _rows(kubectl("get ct")) == [
        ["NAME", "SPEC", "REPLICAS"],
        ["nightly", "0 3 * * *", "2"],
    ]
    assert _rows(kubectl("get ct -o wide"))[1] == ["nightly", "0 3 * * *", "2", "5s"]


def test_explain_knows_built_in_kinds(kubectl: Kubectl) -> None:
    """1.4"""
    text = kubectl("explain deployments.spec.strategy.rollingUpdate")
    assert re.search(r"GROUP: +apps\nKIND: +Deployment\nVERSION: +v1", text)
    assert re.search(r"FIELD: rollingUpdate <RollingUpdateDeployment>", text)
    assert re.search(r"maxSurge\t<IntOrString>", text)
    assert "The maximum number of pods that can be scheduled above" in text
    assert "containers\t<[]Container> -required-" in kubectl("explain pod.spec")
    assert re.search(r"VERSION: +v2", kubectl("explain hpa"))
    assert "hard" not in kubectl("explain namespaces.spec")


def test_explain_knows_custom_resources(kubectl: Kubectl) -> None:
    """11.7: OpenAPI follows the definition."""
    text = kubectl("explain crontabs")
    assert re.search(r"GROUP: +stable.example.com\nKIND: +CronTab\nVERSION: +v1", text)
    assert "A CronTab runs an image by a plan." in text
    assert "metadata\t<ObjectMeta>" in text
    assert "What runs." in kubectl("explain ct.spec.image")
    assert "nodeName" not in kubectl("explain ct --recursive")


def test_patch_finds_that_the_server_validates(kubectl: Kubectl) -> None:
    """1.3: with fieldValidation in OpenAPI nobody asks for version 2 of it."""
    assert (
        kubectl("apply --server-side -f " + _manifest(kubectl)) == "pod/web-0 serverside-applied\n"
    )
    (path,) = kubectl.server.patched
    assert parse_qs(urlsplit(path).query)["fieldValidation"] == ["Strict"]
    if Path(kubectl._command[0]).name not in ("kubectl.1.27", "kubectl.1.28"):
        assert not any(path.startswith("/openapi/v2") for path in kubectl.server.asked)
        assert any(path.startswith("/openapi/v3/api/v1?hash=") for path in kubectl.server.asked)


def _manifest(kubectl: Kubectl) -> str:
    path = Path(kubectl._environment["HOME"]) / "pod.json"
    path.write_bytes(orjson.dumps(OBJECTS["pods"][0]))
    return str(path)
