"""Tells the cluster that a node is there and how it is: its Lease, and its Node object.

Source of protocol and times: Kubernetes' documentation, "Nodes" (heartbeats, self-registration);
kube-behaviour 6.1.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec

from controlplane.api.changes import carry
from controlplane.api.errors import ApiError
from controlplane.api.record import from_object, to_object
from controlplane.api.resource import Object, Resource
from controlplane.api.types.core_v1 import Node, NodeSpec
from controlplane.api.types.meta_v1 import ObjectMeta
from controlplane.leader_election import LEASES, micro_time
from controlplane.node import node_status
from controlplane.node.eviction_signals import Pressures
from controlplane.node.node_status import Facts, Identity
from controlplane.objects import ObjectStore
from kvstore.seams import Clock, Random

LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 40.0
RENEW_SECONDS = LEASE_SECONDS * 0.25
STATUS_SECONDS = 10.0
UNREADY_SECONDS = 1.0
REPORT_SECONDS_MAX = 300.0
"""A status that says nothing new is written so often."""

RETRY_FIRST_SECONDS = 0.2
RETRY_SECONDS_MAX = 7.0
CALL_SECONDS_MAX = 10.0
JITTER = 0.04  # nodes that began together must not stay together

logger = logging.getLogger(__name__)


class Heartbeat:
    """Of one node.

    identity   asked anew each time: its port is known only when it serves
    pressures  what is scarce
    faults     why it cannot run pods, apart from what the heartbeat itself sees
    labels     more of them, that whoever started the agent wants
    pod_block  that a node which is new has already; empty: a controller gives it one
    known      the Node object as a cache has it, which spares a read; None: it does not
    """

    def __init__(
        self,
        store: ObjectStore,
        nodes: Resource,
        facts: Facts,
        clock: Clock,
        random: Random,
        *,
        identity: Callable[[], Identity],
        pressures: Callable[[], Pressures],
        faults: Callable[[], Iterable[str]],
        labels: Mapping[str, str],
        pod_block: str = "",
        known: Callable[[], Object | None] = lambda: None,
    ) -> None:
        self.facts: Facts = facts
        self.node: Object | None = None
        """The Node object as it was last read or written."""
        self._store = store
        self._nodes = nodes
        self._clock = clock
        self._random = random
        self._identity = identity
        self._pressures = pressures
        self._faults = faults
        self._labels = labels
        self._own_block = pod_block
        self._known = known
        self._lease: Object | None = None
        self._reported_at: float | None = None
        self._news = asyncio.Event()
        # What was found to say nothing new: where a cache has the Node, mostly it is the same.
        self._judged: Object | None = None
        self._said: tuple[Identity, Pressures, tuple[str, ...]] | None = None

    @property
    def pod_block(self) -> str:
        """The node's pod CIDR; empty: it has none yet."""
        spec = (self.node or {}).get("spec")
        return str(spec.get("podCIDR") or "") if isinstance(spec, Mapping) else ""

    async def register(self) -> None:
        """Return when the Node object is there, and says what this node is."""
        await self._until_done(self.report)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            renewing = self._each(lambda: RENEW_SECONDS, self.renew, asyncio.Event())
            tasks.create_task(renewing, name="lease of the node")
            reporting = self._each(self._status_seconds, self.report, self._news)
            tasks.create_task(reporting, name="status of the node")

    def tell_soon(self) -> None:
        """The node is otherwise than it was: whoever places pods must hear of it."""
        self._news.set()

    async def renew(self) -> None:
        """Write the Lease once. Raises ApiError."""
        name = self._identity().name
        spec = node_status.lease_spec(name, micro_time(self._store.clock()), LEASE_SECONDS)
        try:
            self._lease = await self._store.update(
                LEASES,
                LEASE_NAMESPACE,
                name,
                lambda lease: {**lease, "spec": {**(lease.get("spec") or {}), **spec}},
                known=self._lease,
            )
        except ApiError as error:
            if error.code != 404:
                raise
            metadata = {
                "name": name,
                "namespace": LEASE_NAMESPACE,
                "ownerReferences": self._owners(),
            }
            self._lease = await self._store.create(LEASES, {"metadata": metadata, "spec": spec})

    async def report(self) -> None:
        """Write the Node's status if it says something new, or is old. Raises ApiError, OSError."""
        identity = self._identity()
        obj = await self._found(identity)
        said = (identity, self._pressures(), tuple(self._faults()))
        if obj is self._judged and said == self._said and not self._is_old():
            return
        before = from_object(Node, obj)
        now = self._store.clock()
        status = node_status.node_status(
            before.status,
            identity,
            self.facts,
            said[1],
            faults=said[2],
            now=now,
        )
        labels = {**before.metadata.labels, **self._own_labels(identity)}
        is_due = (
            self._is_old()
            or node_status.is_news(before.status, status)
            or labels != dict(before.metadata.labels)
        )
        if not is_due:
            self._judged, self._said = obj, said
            return
        metadata = msgspec.structs.replace(before.metadata, labels=labels)
        after = msgspec.structs.replace(before, status=status, metadata=metadata)
        self.node = await self._store.update(
            self._nodes,
            "",
            identity.name,
            lambda current: carry(current, before, after),
            uid=before.metadata.uid,
            known=obj,
        )
        self._reported_at = self._clock.now()

    def _is_old(self) -> bool:
        """Whether it is long since a status was written."""
        at = self._reported_at
        return at is None or self._clock.now() - at >= REPORT_SECONDS_MAX

    async def _found(self, identity: Identity) -> Object:
        """The Node object; made if it is not there, also where somebody has deleted it."""
        known = self._known()
        if known is not None:
            self.node = known
            return known
        try:
            self.node = await self._store.get(self._nodes, "", identity.name)
        except ApiError as error:
            if error.code != 404:
                raise
            meta = ObjectMeta(name=identity.name, labels=self._own_labels(identity))
            blocks = (self._own_block,) if self._own_block else ()
            spec = NodeSpec(pod_cidr=self._own_block, pod_cidrs=blocks)
            new = to_object(Node(metadata=meta, spec=spec))
            self.node = await self._store.create(self._nodes, new)
        return self.node

    def _own_labels(self, identity: Identity) -> dict[str, str]:
        return {**node_status.labels_of(identity, self.facts), **self._labels}

    def _owners(self) -> list[dict[str, str]]:
        """The Lease goes with its Node."""
        if self.node is None:
            return []
        metadata = self.node["metadata"]
        name, uid = metadata["name"], metadata["uid"]
        return [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}]

    def _status_seconds(self) -> float:
        """A node that waits for something is not kept waiting by its own slowness."""
        return UNREADY_SECONDS if any(self._faults()) else STATUS_SECONDS

    async def _each(
        self,
        seconds: Callable[[], float],
        work: Callable[[], Awaitable[None]],
        news: asyncio.Event,
    ) -> None:
        """A beat that is late delays none after it. news: why not to wait for the next one"""
        while True:
            due = self._clock.now() + seconds() * (1 + self._random.random() * JITTER)
            news.clear()
            await self._until_done(work)
            timer = self._clock.call_later(max(due - self._clock.now(), 0.0), news.set)
            try:
                await news.wait()
            finally:
                timer.cancel()

    async def _until_done(self, work: Callable[[], Awaitable[None]]) -> None:
        wait = RETRY_FIRST_SECONDS
        while True:
            try:
                async with asyncio.timeout(CALL_SECONDS_MAX):
                    await work()
            except (ApiError, OSError, TimeoutError, msgspec.ValidationError) as error:
                logger.warning("the node cannot tell how it is: %s", error or "no answer")
            except Exception:
                logger.exception("the node cannot tell how it is")
            else:
                return
            await self._clock.sleep(wait * (0.5 + self._random.random() / 2))
            wait = min(wait * 2, RETRY_SECONDS_MAX)
