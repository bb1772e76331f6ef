"""Writes what the scheduler decided: bindings, verdicts, the end of those who go for others.

Each write names the pod's uid, so that none is meant for a later pod of the name.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Literal

from controlplane.api.binding import bound
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object, Resource
from controlplane.events import EventRecorder
from controlplane.indexer import Indexer, Key
from controlplane.objects import DeleteOptions, ObjectStore
from controlplane.scheduler import verdicts
from controlplane.scheduler.pod_class import PodFacts
from controlplane.scheduler.preemption import Candidate
from controlplane.scheduler.verdicts import Verdict
from controlplane.transactions import DOUBT_SECONDS
from kvstore.seams import Clock

logger = logging.getLogger(__name__)


class Writer:
    """
    pods       the resource
    known      what the informer has: it spares a read where it is current
    recorders  one for each scheduler name
    clock      for the pauses of those who do not know what became of a write
    """

    def __init__(
        self,
        store: ObjectStore,
        pods: Resource,
        known: Indexer[Object],
        recorders: Mapping[str, EventRecorder],
        clock: Clock,
    ) -> None:
        self._store = store
        self._pods = pods
        self._known = known
        self._recorders = recorders
        self._clock = clock

    async def bind(self, pod: PodFacts, node_name: str) -> None:
        """Give a pod its node, once. Where an answer is lost it is tried again until it is known
        whether the pod is bound: a node whose room was given back too early would get too much.

        Raises ApiError when it is surely not: 404 and 409 are final, others may pass.
        """
        is_doubtful = False

        def change(obj: Object) -> Object:
            if is_doubtful and obj["spec"].get("nodeName") == node_name:
                return obj
            return bound(obj, node_name, self._store.clock())

        while True:
            try:
                await self._update(pod, change)
                break
            except ApiError as error:
                is_doubtful = error.code == 504 or (is_doubtful and error.code == 503)
                if not is_doubtful:
                    raise
            await self._clock.sleep(DOUBT_SECONDS)
        message = f"Successfully assigned {pod.namespace}/{pod.name} to {node_name}"
        self.record(pod, "Normal", "Scheduled", message)

    async def tell(self, pod: PodFacts, verdict: Verdict) -> None:
        """Write why it has no node. Raises ApiError."""
        await self._update(pod, lambda obj: verdicts.told(obj, verdict, self._store.clock()))

    def is_told(self, pod: PodFacts, verdict: Verdict) -> bool:
        """Whether the pod says so already, or is gone."""
        obj = self._object(pod)
        return obj is None or verdicts.told(obj, verdict, self._store.clock()) is obj

    async def preempt(self, pod: PodFacts, candidate: Candidate) -> None:
        """Delete the victims, with their grace. Raises ApiError when one of them stays."""
        for victim in candidate.victims:
            try:
                await self._end(pod, victim, candidate.node_name)
            except ApiError as error:
                if error.code != 404:
                    raise

    async def _end(self, pod: PodFacts, victim: PodFacts, node_name: str) -> None:
        await self._update(
            victim,
            lambda obj: verdicts.preempted(obj, pod.scheduler_name, self._store.clock()),
        )
        await self._store.delete(
            self._pods, victim.namespace, victim.name, options=DeleteOptions(uid=victim.uid)
        )
        message = f"Preempted by pod {pod.uid} on node {node_name}"
        self.record(victim, "Normal", "Preempted", message, by=pod.scheduler_name)

    async def clear_nomination(self, pod: PodFacts) -> None:
        """A pod that waited for a node which a more important one gets."""
        try:
            await self._update(pod, verdicts.without_nomination)
        except ApiError as error:
            logger.info("nomination of %s/%s: %s", pod.namespace, pod.name, error)

    def record(
        self,
        pod: PodFacts,
        kind: Literal["Normal", "Warning"],
        reason: str,
        message: str,
        *,
        by: str = "",
    ) -> None:
        """An event of a pod, by its own scheduler or another."""
        obj = self._object(pod)
        recorder = self._recorders.get(by or pod.scheduler_name)
        if obj is not None and recorder is not None:
            recorder.record(obj, kind, reason, message)

    async def _update(self, pod: PodFacts, change: Callable[[Object], Object]) -> None:
        await self._store.update(
            self._pods,
            pod.namespace,
            pod.name,
            change,
            uid=pod.uid,
            known=self._object(pod),
        )

    def _object(self, pod: PodFacts) -> Object | None:
        obj = self._known.get(Key(pod.namespace, pod.name))
        return obj if obj is not None and obj["metadata"].get("uid") == pod.uid else None
