"""Each node gets a range of the cluster's for the addresses of its pods.

A range is a key of its own, which says whose it is, and is written in the Txn that gives it to the
node: no two nodes get the same, whoever gives them. The key stays when its node goes; who finds
one of a node that is gone takes it over, so none is lost.

Source: Kubernetes' documentation, "Cluster Networking" and the reference of
kube-controller-manager (--allocate-node-cidrs); kube-behaviour 6.5.
"""

import logging
from collections.abc import Iterable
from typing import Any

from controlplane.api.errors import ApiError
from controlplane.api.pod_ranges import PodRanges
from controlplane.api.resource import Object
from controlplane.controller import Controller, Lister
from controlplane.controllers.context import Context
from controlplane.indexer import Key
from controlplane.objects import Claim, ClaimLostError, ObjectStore
from controlplane.store_errors import as_api_errors

RANGE_PREFIX = "/ranges/pods/"
RETRY_SECONDS = 30.0  # when all are taken: until a node goes
_RANGE = "node addresses: range"

logger = logging.getLogger(__name__)


def controller(context: Context) -> Controller:
    """Of nodes."""
    allocation = Allocation(context)
    return Controller(
        "node addresses",
        allocation.nodes,
        allocation.reconcile,
        indexes={_RANGE: (allocation.nodes, allocation.parts_of)},
    )


def ranges_of(node: Object) -> list[str]:
    """What a node has. Pure."""
    spec = node.get("spec") or {}
    found = spec.get("podCIDRs") or [spec.get("podCIDR")]
    return [str(one) for one in found if one]


def with_range(node: Object, wanted: str) -> Object:
    """Pure."""
    spec: dict[str, Any] = {**(node.get("spec") or {}), "podCIDR": wanted, "podCIDRs": [wanted]}
    return {**node, "spec": spec}


def owner_of(node: Object) -> bytes:
    """What the key of a range says: the name, which is for people, and who it really is. Pure."""
    return f"{node['metadata']['name']} {node['metadata']['uid']}".encode()


class Allocation:
    """Gives ranges to nodes. One at a time: who is next knows what the one before got."""

    def __init__(self, context: Context) -> None:
        self.nodes = context.resource("", "nodes")
        self._recorder = context.recorder
        self._ranges: PodRanges | None = context.pod_ranges
        self._next = 0  # what was given back last is given away last

    def parts_of(self, node: Object) -> Iterable[str]:
        """Index of nodes: the ranges of which one has something, whoever gave them."""
        if self._ranges is None:
            return []
        return [part for one in ranges_of(node) for part in self._ranges.within(one)]

    async def reconcile(self, key: Key, lister: Lister, store: ObjectStore) -> float | None:
        node = lister.get(self.nodes, key)
        if node is None or self._ranges is None or node["metadata"].get("deletionTimestamp"):
            return None
        if ranges_of(node):
            return None

        def is_taken(part: str) -> bool:
            return bool(lister.by_index(self.nodes, _RANGE, part))

        for number in self._ranges.free(self._next % len(self._ranges), is_taken):
            if await self.give(store, node, self._ranges[number]):
                self._next = number + 1
                return None
        message = f"Node {key.name} status is now: CIDRNotAvailable"
        self._recorder.record(node, "Normal", "CIDRNotAvailable", message)
        return RETRY_SECONDS

    async def give(self, store: ObjectStore, node: Object, wanted: str) -> bool:
        """Give a node a range, unless another one has it; whether it was given."""
        claim = Claim((RANGE_PREFIX + wanted).encode(), owner_of(node))
        try:
            await self._write(store, node, wanted, claim)
        except ClaimLostError as error:
            if claim.key not in error.keys:
                raise  # we lead no longer
            stale = await self._stale(store, claim)
            if stale is None:
                return False
            await self._write(store, node, wanted, stale)
        return True

    async def _write(self, store: ObjectStore, node: Object, wanted: str, claim: Claim) -> None:
        await store.update(
            self.nodes,
            "",
            node["metadata"]["name"],
            lambda current: with_range(current, wanted),
            uid=node["metadata"]["uid"],
            resource_version=node["metadata"]["resourceVersion"],
            also=[claim],
            known=node,
        )

    async def _stale(self, store: ObjectStore, claim: Claim) -> Claim | None:
        """The claim as it takes over from a node that is gone; None: its owner is there."""
        with as_api_errors():
            answer = await store.client.get_range(claim.key)
        if not answer.kvs:
            return claim
        name, _, uid = answer.kvs[0].value.decode(errors="replace").partition(" ")
        try:
            owner = await store.get(self.nodes, "", name)
        except ApiError as error:
            if error.code != 404:
                raise
        else:
            # Its owner has it, or had it before somebody gave it another.
            if owner["metadata"]["uid"] == uid and claim.key.decode() in self._keys_of(owner):
                return None
        logger.info("%s is taken over from %s, which is gone", claim.key.decode(), name)
        return Claim(claim.key, claim.value, answer.kvs[0].mod_revision)

    def _keys_of(self, node: Object) -> set[str]:
        return {RANGE_PREFIX + part for part in self.parts_of(node)}
