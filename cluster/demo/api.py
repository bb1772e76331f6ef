"""What the story asks of the API server."""

from typing import Any

from cluster.demo import manifests
from cluster.namespaces import Namespace
from controlplane.ctl.client import MERGE, ApiClient


class Api(Namespace):
    """The namespace of the story, as its user sees it."""

    def __init__(self, client: ApiClient) -> None:
        super().__init__(client, manifests.NAMESPACE, manifests.MANAGER)

    async def scale_to(self, replicas: int) -> None:
        """As `kubectl scale`."""
        await self.scale(manifests.NAME, replicas)

    async def is_settled(self) -> bool:
        """What `kubectl rollout status` waits for."""
        return await self.is_rolled_out(manifests.NAME)

    async def pods(self) -> list[dict[str, Any]]:
        """Those of the Deployment."""
        return await self.all("Pod", f"app={manifests.NAME}")

    async def delete_pod(self, name: str) -> None:
        """At once."""
        await self.delete("Pod", name, {"gracePeriodSeconds": 0})

    async def lease_renewed_at(self, node: str) -> str:
        """When a node's agent was heard of."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}"
        return str((await self._client.get(path))["spec"].get("renewTime", ""))

    async def write(self) -> None:
        """Something that the store has to keep."""
        name = {"name": "proof", "namespace": self.name}
        await self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": name})

    async def cordon(self, node: str, *, is_cordoned: bool) -> None:
        """As `kubectl cordon` and `uncordon`."""
        body = {"spec": {"unschedulable": is_cordoned or None}}
        await self._client.send("PATCH", f"/api/v1/nodes/{node}", body, content_type=MERGE)

    async def evict(self, name: str) -> None:
        """As `kubectl drain` does with each pod of a node."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        await self._client.send("POST", f"{self.path('Pod', name)}/eviction", body)

    async def cluster_ip(self) -> str:
        """Of the Service."""
        return str((await self.get("Service", manifests.NAME))["spec"]["clusterIP"])
