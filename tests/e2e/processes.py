"""An API server with the certificates of those who talk to it, and the controllers beside it."""

import base64
import contextlib
import http.client
import json
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.e2e.component import Component
from tests.e2e.identities import Authority, Identity, new_key

REQUEST_SECONDS_MAX = 60.0

USERS: dict[str, tuple[str, ...]] = {"admin": ("system:masters",), "bob": ("devs",)}
"""Who has a client certificate: name → groups."""
NOBODY = "nobody"
"""A context without any credentials, for whoever brings a token."""


class ApiServerProcess(Component):
    """`python -m controlplane apiserver` over a store that runs."""

    def __init__(self, folder: Path, store_endpoints: Sequence[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = Authority(folder)
        self.users: dict[str, Identity] = {
            name: self.authority.issue(name, groups=groups) for name, groups in USERS.items()
        }
        own = self.authority.issue("kube-apiserver")
        self.token_key = new_key(folder / "tokens.key")
        flags = [
            "--secure-port=0",
            f"--store-endpoints={','.join(store_endpoints)}",
            f"--tls-cert-file={own.certificate}",
            f"--tls-private-key-file={own.key}",
            f"--client-ca-file={self.authority.certificate}",
            f"--service-account-signing-key-file={self.token_key}",
        ]
        super().__init__("apiserver", folder, flags, ready="serving")

    @property
    def url(self) -> str:
        """Where it serves."""
        return self.said

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
        self._send("POST", path, body, (201, 409))

    def delete(self, path: str) -> None:
        """DELETE as admin."""
        self._send("DELETE", path, {}, (200,))

    def _send(self, method: str, path: str, body: Mapping[str, Any], good: Sequence[int]) -> None:
        host = self.url.removeprefix("https://")
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        admin = self.users["admin"]
        context.load_cert_chain(admin.certificate, admin.key)
        connection = http.client.HTTPSConnection(host, context=context, timeout=REQUEST_SECONDS_MAX)
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
        assert answer.status in good, f"{method} {path}: {answer.status} {text}"


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


class ControllersProcess(Component):
    """`python -m controlplane controllers` beside an API server, over the same store.

    Without a CA to hand out, so that namespaces have no ConfigMap but those of their scenario.
    """

    def __init__(
        self, folder: Path, store_endpoints: Sequence[str], api_server: ApiServerProcess
    ) -> None:
        flags = [
            f"--store-endpoints={','.join(store_endpoints)}",
            f"--service-account-private-key-file={api_server.token_key}",
        ]
        super().__init__("controllers", folder, flags, ready="leading")
