"""An API server as a process of its own, with the certificates of those who talk to it.

It is started as an operator would start it, on a port that the system gives; whoever tests it
knows its URL, its CA and the kubeconfig. It signals only the process that it started.
"""

import base64
import contextlib
import http.client
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.e2e.identities import Authority, Identity, new_key

READY_SECONDS_MAX = 120.0  # a crowded machine
STOP_SECONDS_MAX = 15.0
POLL_SECONDS = 0.05
REQUEST_SECONDS_MAX = 60.0

USERS: dict[str, tuple[str, ...]] = {"admin": ("system:masters",), "bob": ("devs",)}
"""Who has a client certificate: name → groups."""
NOBODY = "nobody"
"""A context without any credentials, for whoever brings a token."""


class ApiServerProcess:
    """`python -m controlplane apiserver` over a store that runs; a context manager."""

    def __init__(self, folder: Path, store_endpoints: Sequence[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.url = ""
        self.log_path = folder / "apiserver.log"
        self.authority = Authority(folder)
        self.users: dict[str, Identity] = {
            name: self.authority.issue(name, groups=groups) for name, groups in USERS.items()
        }
        self._store_endpoints = tuple(store_endpoints)
        self._own = self.authority.issue("kube-apiserver")
        self._token_key = new_key(folder / "tokens.key")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it says that it serves."""
        command = [
            *(sys.executable, "-m", "controlplane", "apiserver", "--secure-port=0"),
            f"--store-endpoints={','.join(self._store_endpoints)}",
            f"--tls-cert-file={self._own.certificate}",
            f"--tls-private-key-file={self._own.key}",
            f"--client-ca-file={self.authority.certificate}",
            f"--service-account-signing-key-file={self._token_key}",
        ]
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not self.url:
            words = [line.split() for line in self.log().splitlines()]
            self.url = next((line[1] for line in words if line[:1] == ["serving"]), "")
            assert self._process.poll() is None, f"the API server has ended:\n{self.log()}"
            assert time.monotonic() < deadline, f"the API server is not ready:\n{self.log()}"
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that takes too long."""
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS_MAX)
        self._process.kill()
        self._process.wait()
        self._process = None

    def log(self) -> str:
        """All that it has said."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def kubeconfig(self, namespace: str) -> dict[str, Any]:
        """One context for each user, of the user's name; the first is the current one."""
        cluster = {
            "server": self.url,
            "certificate-authority-data": _encoded(self.authority.certificate),
        }
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": next(iter(self.users)),
            "clusters": [{"name": "keelson", "cluster": cluster}],
            "users": [
                {
                    "name": name,
                    "user": {
                        "client-certificate-data": _encoded(identity.certificate),
                        "client-key-data": _encoded(identity.key),
                    },
                }
                for name, identity in self.users.items()
            ]
            + [{"name": NOBODY, "user": {}}],
            "contexts": [
                {
                    "name": name,
                    "context": {"cluster": "keelson", "user": name, "namespace": namespace},
                }
                for name in (*self.users, NOBODY)
            ],
        }

    def create(self, path: str, body: Mapping[str, Any]) -> None:
        """POST as admin; what is there already is as good as created."""
        host = self.url.removeprefix("https://")
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        admin = self.users["admin"]
        context.load_cert_chain(admin.certificate, admin.key)
        connection = http.client.HTTPSConnection(host, context=context, timeout=REQUEST_SECONDS_MAX)
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
        assert answer.status in (201, 409), f"POST {path}: {answer.status} {text}"


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
