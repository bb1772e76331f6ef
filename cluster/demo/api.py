"""What the story asks of the API server, again and again until it is there."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from cluster.demo import manifests
from controlplane.ctl.client import APPLY, MERGE, ApiClient
from controlplane.ctl.errors import CtlError, StatusError

POLL_SECONDS = 0.05
_NAMESPACES = "/api/v1/namespaces"
_MANAGER = {"fieldManager": "cluster-demo", "force": "true"}
_NOT_FOUND = 404

T = TypeVar("T")


class Api:
    """The namespace of the story, as its user sees it."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._core = f"{_NAMESPACES}/{manifests.NAMESPACE}"
        self._deployment = (
            f"/apis/apps/v1/namespaces/{manifests.NAMESPACE}/deployments/{manifests.NAME}"
        )

    async def apply(self, obj: dict[str, Any]) -> dict[str, Any]:
        """As `kubectl apply --server-side`."""
        kind, name = obj["kind"], obj["metadata"]["name"]
        path = {
            "Namespace": f"{_NAMESPACES}/{name}",
            "Service": f"{self._core}/services/{name}",
            "Deployment": self._deployment,
        }[kind]
        answer: dict[str, Any] = await self._client.send(
            "PATCH", path, obj, _MANAGER, content_type=APPLY
        )
        return answer

    async def scale(self, replicas: int) -> None:
        """As `kubectl scale`."""
        body = {"spec": {"replicas": replicas}}
        await self._client.send("PATCH", f"{self._deployment}/scale", body, content_type=MERGE)

    async def roll_back(self) -> None:
        """As `kubectl rollout undo`: the template of the revision before the current one."""
        current = await self._client.get(self._deployment)
        selector = ",".join(
            f"{key}={value}" for key, value in current["spec"]["selector"]["matchLabels"].items()
        )
        sets = await self._client.get(
            f"/apis/apps/v1/namespaces/{manifests.NAMESPACE}/replicasets",
            {"labelSelector": selector},
        )
        earlier = sorted(sets["items"], key=_revision)[-2]["spec"]["template"]
        earlier["metadata"]["labels"].pop("pod-template-hash", None)
        patch = [{"op": "replace", "path": "/spec/template", "value": earlier}]
        await self._client.send(
            "PATCH", self._deployment, patch, content_type="application/json-patch+json"
        )

    async def is_rolled_out(self) -> bool:
        """What `kubectl rollout status` waits for."""
        found = await self._client.get(self._deployment)
        status, wanted = found.get("status") or {}, found["spec"]["replicas"]
        return (
            int(status.get("observedGeneration", 0)) >= int(found["metadata"]["generation"])
            and status.get("updatedReplicas", 0) == wanted
            and status.get("replicas", 0) == wanted
            and status.get("availableReplicas", 0) == wanted
        )

    async def pods(self) -> list[dict[str, Any]]:
        """Those of the Deployment."""
        query = {"labelSelector": f"app={manifests.NAME}"}
        found: list[dict[str, Any]] = (await self._client.get(f"{self._core}/pods", query))["items"]
        return found

    async def delete_pod(self, name: str) -> None:
        """At once."""
        await self._client.send("DELETE", f"{self._core}/pods/{name}", {"gracePeriodSeconds": 0})

    async def lease_renewed_at(self, node: str) -> str:
        """When a node's agent was heard of."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}"
        return str((await self._client.get(path))["spec"].get("renewTime", ""))

    async def write(self) -> None:
        """Something that the store has to keep."""
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "proof", "namespace": manifests.NAMESPACE},
        }
        await self._client.send(
            "PATCH", f"{self._core}/configmaps/proof", body, _MANAGER, content_type=APPLY
        )

    async def cordon(self, node: str, *, is_cordoned: bool) -> None:
        """As `kubectl cordon` and `uncordon`."""
        body = {"spec": {"unschedulable": is_cordoned or None}}
        await self._client.send("PATCH", f"/api/v1/nodes/{node}", body, content_type=MERGE)

    async def evict(self, name: str) -> None:
        """As `kubectl drain` does with each pod of a node."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        await self._client.send("POST", f"{self._core}/pods/{name}/eviction", body)

    async def cluster_ip(self) -> str:
        """Of the Service."""
        path = f"{self._core}/services/{manifests.NAME}"
        return str((await self._client.get(path))["spec"]["clusterIP"])

    async def delete_all(self) -> None:
        """The namespace with all that is in it; return when it is gone."""
        path = f"{_NAMESPACES}/{manifests.NAMESPACE}"
        try:
            await self._client.send("DELETE", path, {})
            while True:
                await self._client.get(path)
                await asyncio.sleep(POLL_SECONDS)
        except StatusError as error:
            if error.status.get("code") != _NOT_FOUND:
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


def is_ready(pod: dict[str, Any]) -> bool:
    """It serves, and is not about to end."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    is_so = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return is_so and not pod["metadata"].get("deletionTimestamp")


def _revision(replica_set: dict[str, Any]) -> int:
    annotations = replica_set["metadata"].get("annotations") or {}
    return int(annotations.get("deployment.kubernetes.io/revision", 0))
