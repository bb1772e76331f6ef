"""Nodes that are not heard of: they become unknown, are tainted, and their pods get no requests.

A node is said to be unknown only if its Lease is still the one that we know: the write compares it.
So a cache that lags, or a process that was stopped for a while, makes no node unreachable.

Source: Kubernetes' documentation, "Nodes", "Taints and Tolerations"; kube-behaviour 6.2-6.4.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from controlplane.api import changes, pods
from controlplane.api.errors import ApiError
from controlplane.api.meta import rfc3339
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Node, Pod
from controlplane.controller import Controller, Lister, Trigger
from controlplane.controllers import node_health
from controlplane.controllers.context import Context
from controlplane.controllers.node_health import Sight
from controlplane.controllers.parallel import each
from controlplane.controllers.readable import readable
from controlplane.controllers.zones import EXCLUDED_LABEL, Zones, zone_of
from controlplane.indexer import Key
from controlplane.objects import Claim, ClaimLostError, ObjectStore
from kvstore.client.clock import AsyncioClock
from kvstore.seams import Clock

LEASES_NAMESPACE = "kube-node-lease"
WORKERS = 8  # as kube-controller-manager has for nodes
_NODE = "node lifecycle: node"
_STORE_IS_AWAY = (503, 504)

logger = logging.getLogger(__name__)


def controller(context: Context) -> Controller:
    """Of nodes."""
    lifecycle = _Lifecycle(context, AsyncioClock())
    return Controller(
        "node lifecycle",
        lifecycle.nodes,
        lifecycle.reconcile,
        triggers=[Trigger(lifecycle.leases, lifecycle.keys_of_lease)],
        indexes={_NODE: (lifecycle.pods, _node_of_pod)},
        workers=WORKERS,
    )


class Memory(msgspec.Struct):
    """What is known of nodes besides their objects: since this process leads.

    sights  of each node that there is
    zones   None: the nodes were not counted yet
    well    nodes that are ready, and of which nothing is to be written as they are
    """

    sights: dict[str, tuple[str, Sight]] = {}
    zones: Zones | None = None
    well: dict[str, Node] = {}

    def see(self, node: Node, lease: Object | None, now: float) -> tuple[Sight, bool]:
        """What was last heard of a node, and whether the node is a new one."""
        name, uid = node.metadata.name, node.metadata.uid
        before = self.sights.get(name)
        known = before[1] if before is not None and before[0] == uid else None
        sight = node_health.sighted(known, node, lease, now)
        self.sights[name] = (uid, sight)
        return sight, known is None

    def hear(self, name: str, renewed: str, now: float) -> bool:
        """The Lease of a node says this; False: the node needs a look, as it is not known well."""
        if name not in self.well:
            return False
        uid, sight = self.sights[name]
        if renewed != sight.renewed:
            self.sights[name] = (uid, msgspec.structs.replace(sight, renewed=renewed, at=now))
        return True


class _Lifecycle:
    """`clock`: of durations; times in objects are the store's."""

    def __init__(self, context: Context, clock: Clock) -> None:
        self.nodes, self.pods = context.resource("", "nodes"), context.resource("", "pods")
        self.leases = context.resource("coordination.k8s.io", "leases")
        self._context = context
        self._clock = clock
        self._memory = Memory()

    def keys_of_lease(self, lease: Object) -> list[Key]:
        """Whose node needs a look. A node that is well needs none for being heard of again.

        Of a Lease that goes, or has changed, what it said before is known: that is no sign of life.
        """
        metadata = lease["metadata"]
        if metadata["namespace"] != LEASES_NAMESPACE:
            return []
        name, renewed = metadata["name"], (lease.get("spec") or {}).get("renewTime")
        if renewed and self._memory.hear(name, str(renewed), self._clock.now()):
            return []
        return [Key("", name)]

    async def reconcile(self, key: Key, lister: Lister, store: ObjectStore) -> float | None:
        found = lister.get(self.nodes, key)
        if found is None:
            self._forget(key)
            return None
        node = lister.record(Node, self.nodes, key)
        assert node is not None
        lease = lister.get(self.leases, Key(LEASES_NAMESPACE, key.name))
        now = self._clock.now()
        sight, is_new = self._memory.see(node, lease, now)
        if is_new:
            self._tell(found, "RegisteredNode", f"Registered Node {key.name} in Controller")
        left = sight.at + self._grace_seconds(node) - now
        if left > 0 and self._memory.well.get(key.name) is node:
            return left  # it was heard of since: there is nothing else that could matter
        judged = node if left > 0 else node_health.silenced(node, store.clock())
        guards = () if judged is node else (self._guard_of_lease(key.name, lease),)
        zones = self._counted(lister)
        self._count(zones, judged)
        wait = self._eviction_wait(zones, judged, now)
        planned = node_health.tainted(judged, evicts=wait == 0.0, now=store.clock())
        try:
            written = await self._write(store, found, node, planned, guards)
        except BaseException as error:
            if not node_health.is_evicting(node) and node_health.is_evicting(planned):
                zones.give_back(zone_of(node.metadata.labels))
            self._count(zones, node)  # who is not said to be away keeps no pod of others
            again = self._after_failure(node, guards, error, now)
            if again is None:
                raise
            return again
        if node_health.is_ready(planned):
            if planned is node:
                self._memory.well[key.name] = node
                return left
        else:
            self._memory.well.pop(key.name, None)
            if node_health.is_ready(node):
                told = f"Node {key.name} status is now: NodeNotReady"
                self._context.recorder.record(found, "Normal", "NodeNotReady", told)
            await self._mark_pods(lister, store, written)
        return _soonest(self._context.node_monitor_period_seconds, left, wait)

    # ------------------------------------------------------------------- deciding

    def _after_failure(
        self, node: Node, guards: Sequence[Claim], error: BaseException, now: float
    ) -> float | None:
        """Seconds until another look at a node that could not be written; None: it is told."""
        name = node.metadata.name
        if isinstance(error, ClaimLostError) and error.keys == tuple(one.key for one in guards):
            # Its Lease is another one than the cache has, which is late: the node is alive.
            uid, sight = self._memory.sights[name]
            self._memory.sights[name] = (uid, msgspec.structs.replace(sight, at=now))
            return self._grace_seconds(node)
        if isinstance(error, ApiError) and error.code in _STORE_IS_AWAY:
            # All nodes fail at once then, and none of them must wait long for its turn.
            logger.info("node %s: %s", name, error)
            return self._context.node_monitor_period_seconds
        return None

    def _grace_seconds(self, node: Node) -> float:
        if node_health.condition(node, node_health.READY) is None:
            return self._context.node_startup_grace_seconds
        return self._context.node_monitor_grace_seconds

    def _counted(self, lister: Lister) -> Zones:
        """The zones, once all nodes that there are were counted."""
        if self._memory.zones is None:
            zones = self._memory.zones = Zones()
            for node in readable(lister, Node, self.nodes, lister.list(self.nodes)):
                self._count_in(zones, node)
        return self._memory.zones

    def _count(self, zones: Zones, node: Node) -> None:
        were_all_away = zones.are_all_away
        self._count_in(zones, node)
        if were_all_away and not zones.are_all_away:
            logger.info("some nodes are ready again: pods may be evicted")
        elif zones.are_all_away and not were_all_away:
            logger.warning("no node is ready: no pod is evicted")

    @staticmethod
    def _count_in(zones: Zones, node: Node) -> None:
        if EXCLUDED_LABEL in node.metadata.labels:
            zones.forget(node.metadata.name)
        else:
            zone = zone_of(node.metadata.labels)
            zones.see(node.metadata.name, zone, is_ready=node_health.is_ready(node))

    @staticmethod
    def _eviction_wait(zones: Zones, node: Node, now: float) -> float | None:
        """0: pods are to leave the node; else seconds until they may be; None: not for now."""
        ready = node_health.condition(node, node_health.READY)
        if ready is None or ready.status == "True" or zones.are_all_away:
            return None
        if node_health.is_evicting(node):
            return 0.0
        return zones.take(zone_of(node.metadata.labels), now)

    # -------------------------------------------------------------------- writing

    async def _write(
        self,
        store: ObjectStore,
        found: Object,
        node: Node,
        planned: Node,
        guards: Sequence[Claim],
    ) -> Object:
        if planned is node:
            return found
        return await store.update(
            self.nodes,
            "",
            node.metadata.name,
            lambda current: changes.carry(current, node, planned),
            uid=node.metadata.uid,
            resource_version=node.metadata.resource_version,
            also=guards,
            known=found,
        )

    def _guard_of_lease(self, name: str, lease: Object | None) -> Claim:
        """The node was not heard of meanwhile."""
        key = self.leases.key(LEASES_NAMESPACE, name).encode()
        return Claim(key, None, int(lease["metadata"]["resourceVersion"]) if lease else 0)

    async def _mark_pods(self, lister: Lister, store: ObjectStore, node: Object) -> None:
        """6.3: nothing is sent to pods of a node that is not ready, as long as it is not."""
        metadata = node["metadata"]
        key = self.nodes.key("", metadata["name"]).encode()
        guard = Claim(key, None, int(metadata["resourceVersion"]))

        async def mark(pod: Object) -> None:
            place = pod["metadata"]
            try:
                await store.update(
                    self.pods,
                    place["namespace"],
                    place["name"],
                    partial(unready, now=store.clock()),
                    uid=place["uid"],
                    also=[guard],
                    known=pod,
                )
            except ApiError as error:
                if error.code != 404:
                    raise
                return
            self._context.recorder.record(pod, "Warning", "NodeNotReady", "Node is not ready")

        found = lister.by_index(self.pods, _NODE, metadata["name"])
        ready = {
            (pod.metadata.namespace, pod.metadata.name)
            for pod in readable(lister, Pod, self.pods, found)
            if pods.is_ready(pod)
        }
        await each([pod for pod in found if _place_of(pod) in ready], mark)

    def _forget(self, key: Key) -> None:
        self._memory.well.pop(key.name, None)
        if self._memory.zones is not None:
            self._memory.zones.forget(key.name)
        before = self._memory.sights.pop(key.name, None)
        if before is not None:
            metadata = {"name": key.name, "uid": before[0]}
            gone = {"apiVersion": "v1", "kind": self.nodes.kind, "metadata": metadata}
            self._tell(gone, "RemovingNode", f"Removing Node {key.name} from Controller")

    def _tell(self, node: Object, reason: str, what: str) -> None:
        message = f"Node {node['metadata']['name']} event: {what}"
        self._context.recorder.record(node, "Normal", reason, message)


def unready(pod: Object, now: float) -> Object:
    """A pod whose condition Ready is False. Pure. `now`: seconds since 1970."""
    status = pod.get("status") or {}
    conditions = [
        {**one, "status": "False", "lastTransitionTime": rfc3339(now)}
        if one.get("type") == pods.READY and one.get("status") == "True"
        else one
        for one in status.get("conditions") or ()
    ]
    return {**pod, "status": {**status, "conditions": conditions}}


def _soonest(period: float, left: float, wait: float | None) -> float:
    return min([period, *(one for one in (left, wait) if one is not None and one > 0)])


def _place_of(obj: Object) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _node_of_pod(pod: Object) -> list[str]:
    spec: Mapping[str, str] = pod.get("spec") or {}
    return [spec["nodeName"]] if spec.get("nodeName") else []
