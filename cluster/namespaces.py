"""Workloads of a namespace, as its user sees them through the API server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from cluster.workloads import MANAGED_BY, is_rolled_out, revision
from controlplane.ctl.client import APPLY, MERGE, ApiClient
from controlplane.ctl.errors import CtlError, StatusError

POLL_SECONDS = 0.05
NOT_FOUND = 404
_NAMESPACES = "/api/v1/namespaces"
_PLACES = {
    "ConfigMap": ("/api/v1", "configmaps"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "Job": ("/apis/batch/v1", "jobs"),
    "Pod": ("/api/v1", "pods"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"),
    "Service": ("/api/v1", "services"),
}


class Namespace:
    """One namespace. manager: who its fields are of, and the namespace itself, by its label.

    Every call raises CtlError where the API server is not reached, StatusError for what it refuses.
    """

    def __init__(self, client: ApiClient, name: str, manager: str) -> None:
        self._client = client
        self.name = name
        self._manager = manager

    def path(self, kind: str, name: str = "") -> str:
        """Of an object, or of all of its kind."""
        api, plural = _PLACES[kind]
        return f"{api}/namespaces/{self.name}/{plural}" + (f"/{name}" if name else "")

    async def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object."""
        found: dict[str, Any] = await self._client.get(self.path(kind, name))
        return found

    async def all(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """The objects of a kind that have these labels."""
        query = {"labelSelector": selector} if selector else None
        found: list[dict[str, Any]] = (await self._client.get(self.path(kind), query))["items"]
        return found

    async def apply(self, obj: dict[str, Any]) -> None:
        """As `kubectl apply --server-side`."""
        kind, name = obj["kind"], obj["metadata"]["name"]
        path = f"{_NAMESPACES}/{name}" if kind == "Namespace" else self.path(kind, name)
        query = {"fieldManager": self._manager, "force": "true"}
        await self._client.send("PATCH", path, obj, query, content_type=APPLY)

    async def create(self, obj: dict[str, Any]) -> None:
        """As `kubectl create`."""
        await self._client.send("POST", self.path(obj["kind"]), obj)

    async def merge(self, kind: str, name: str, patch: dict[str, Any]) -> None:
        """As `kubectl patch --type=merge`."""
        await self._client.send("PATCH", self.path(kind, name), patch, content_type=MERGE)

    async def delete(self, kind: str, name: str, options: dict[str, Any]) -> None:
        """As `kubectl delete --wait=false`."""
        await self._client.send("DELETE", self.path(kind, name), options)

    async def scale(self, deployment: str, replicas: int) -> None:
        """As `kubectl scale`."""
        await self.merge("Deployment", f"{deployment}/scale", {"spec": {"replicas": replicas}})

    async def roll_back(self, deployment: str) -> None:
        """As `kubectl rollout undo`: the template of the revision before the current one.

        Without an earlier revision it stays as it is.
        """
        current = await self.get("Deployment", deployment)
        labels = current["spec"]["selector"]["matchLabels"]
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        sets = sorted(await self.all("ReplicaSet", selector), key=revision)
        if len(sets) < 2:
            return
        earlier = sets[-2]["spec"]["template"]
        earlier["metadata"]["labels"].pop("pod-template-hash", None)
        patch = [{"op": "replace", "path": "/spec/template", "value": earlier}]
        await self._client.send(
            "PATCH",
            self.path("Deployment", deployment),
            patch,
            content_type="application/json-patch+json",
        )

    async def is_rolled_out(self, deployment: str) -> bool:
        """What `kubectl rollout status` waits for."""
        return is_rolled_out(await self.get("Deployment", deployment))

    async def delete_all(self) -> None:
        """The namespace with all that is in it; return when it is gone.

        Raises CtlError for one that somebody else has made.
        """
        path = f"{_NAMESPACES}/{self.name}"
        try:
            found = (await self._client.get(path))["metadata"]
            if (found.get("labels") or {}).get(MANAGED_BY) != self._manager:
                raise CtlError(
                    f"namespace {self.name} is not of an earlier {self.name}, and this one"
                    " would delete it: delete it yourself, or take another cluster"
                )
            await self._client.send("DELETE", path, {"preconditions": {"uid": found["uid"]}})
            while True:
                await self._client.get(path)
                await asyncio.sleep(POLL_SECONDS)
        except StatusError as error:
            if error.status.get("code") != NOT_FOUND:
                raise


async def until(condition: Callable[[], Awaitable[bool]], seconds_max: float) -> None:
    """Return when it is so; an API server that is away is asked again. Raises TimeoutError."""
    async with asyncio.timeout(seconds_max):
        while True:
            try:
                if await condition():
                    return
            except (CtlError, StatusError):
                pass  # it is away, or what we ask for is
            await asyncio.sleep(POLL_SECONDS)
