"""The scheduler: takes the next pod, finds it a node, and has that written.

    await Scheduler(store, informers, configuration, recorders).run()

One pod after the other is decided upon, without a wait; what was decided is written beside it.
Everything it knows is in `cache.py`, everything it decides in `place.py` and `preemption.py`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from controlplane.api.errors import ApiError
from controlplane.api.record import R, from_object
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.api.types.core_v1 import Node, PersistentVolumeClaim, Pod
from controlplane.api.types.policy_v1 import PodDisruptionBudget
from controlplane.api.types.scheduling_v1 import PriorityClass
from controlplane.events import EventRecorder
from controlplane.indexer import Key
from controlplane.informer import Informers
from controlplane.objects import ObjectStore
from controlplane.scheduler.cache import Cache
from controlplane.scheduler.configuration import Configuration
from controlplane.scheduler.diagnosis import Diagnosis
from controlplane.scheduler.kindred import selector_of_owner
from controlplane.scheduler.place import Placement, place
from controlplane.scheduler.pod_class import PodFacts
from controlplane.scheduler.pool import Pool
from controlplane.scheduler.preemption import (
    Budget,
    Candidate,
    Hopeless,
    best,
    refusal,
    tried,
    why_not,
)
from controlplane.scheduler.queue import Entry, Place
from controlplane.scheduler.terms import selector_of
from controlplane.scheduler.verdicts import FAILED, GATED_VERDICT, UNSCHEDULABLE, Verdict
from controlplane.scheduler.writer import Writer
from kvstore.client.clock import AsyncioClock
from kvstore.seams import Clock, Random

SLICE_SECONDS = 0.01  # of decisions without a wait: caches and the Lease are fed meanwhile
GATED_RETRY_SECONDS = 5.0
_OWNERS = (("", "replicationcontrollers"), ("apps", "replicasets"), ("apps", "statefulsets"))

logger = logging.getLogger(__name__)


class Scheduler:
    """Of the pods whose scheduler names are configured; others are left alone."""

    def __init__(
        self,
        store: ObjectStore,
        informers: Informers,
        registry: Registry,
        configuration: Configuration,
        recorders: Mapping[str, EventRecorder],
        *,
        dice: Random,
        clock: Clock | None = None,
    ) -> None:
        """recorders  one for each scheduler name"""
        self._informers = informers
        self._registry = registry
        self._clock = clock or AsyncioClock()
        self._dice = dice
        self._cache = Cache(configuration, _hint_failed)
        self._woken = asyncio.Event()
        pods = self._resource("", "pods")
        self._writer = Writer(store, pods, informers.of(pods).indexer, recorders, self._clock)
        self._budgets: dict[Key, Budget] = {}
        self._gated: dict[Key, PodFacts] = {}
        self._rested_at = 0.0

    async def run(self) -> None:
        """Until cancelled. The informers run already, or will soon."""
        # Before pods come, all is known by which they are placed.
        self._follow("", "namespaces", self._on_namespace)
        self._follow("scheduling.k8s.io", "priorityclasses", self._on_priority_class)
        self._follow("policy", "poddisruptionbudgets", self._on_budget)
        self._follow("", "persistentvolumeclaims", self._on_claim)
        self._follow("", "services", self._on_service)
        for group, plural in _OWNERS:
            resource = self._resource(group, plural)
            self._follow(group, plural, partial(self._on_owner, resource.kind))
        self._follow("", "nodes", self._on_node)
        await self._informers.until_synced()
        self._follow("", "pods", self._on_pod)
        await self._informers.until_synced()
        async with Pool() as pool:
            while True:
                await self._next(pool)
                await self._rest()

    # ------------------------------------------------------------------ decisions

    async def _next(self, pool: Pool) -> None:
        """Decide upon one pod, or wait until there is one."""
        while self._gated:
            key, gated = self._gated.popitem()
            await pool.start(self._tell_gated(key, gated), f"gates of {gated.name}")
        entry = self._cache.pop(self._clock.now())
        if entry is None:
            await self._until_due()
            return
        try:
            await self._decide(entry, pool)
        except Exception as error:
            # A plug-in of somebody else's, say: this pod waits, the others do not.
            logger.exception("%s/%s cannot be scheduled", entry.pod.namespace, entry.pod.name)
            self._cache.rejected(entry, frozenset(), self._cache.event_count, self._clock.now())
            await self._tell(entry, Verdict(FAILED, f"{type(error).__name__}: {error}"), pool)

    async def _decide(self, entry: Entry, pool: Pool) -> None:
        cache, pod = self._cache, entry.pod
        profile = cache.profile(pod)
        outcome = place(cache.evaluations, profile, pod, cache.nominations, self._dice)
        if isinstance(outcome, Placement):
            cache.assume(pod, outcome.node_name, self._clock.now())
            work = self._bind(entry, outcome.node_name)
            await pool.start(work, f"binding of {pod.namespace}/{pod.name}")
        else:
            await self._reject(entry, outcome, pool)

    async def _bind(self, entry: Entry, node_name: str) -> None:
        """What fails is tried again. If the pod has a node already, the cache will hear of it."""
        pod = entry.pod
        try:
            await self._writer.bind(pod, node_name)
        except ApiError as error:
            logger.info("binding of %s/%s: %s", pod.namespace, pod.name, error)
            self._forget(entry, is_gone=error.code == 404)
            if error.code not in (404, 409):
                message = f"binding rejected: {error}"
                self._writer.record(pod, "Warning", "FailedScheduling", message)
        except Exception:
            # Of our own making: the pod and its room must not be lost to it.
            logger.exception("binding of %s/%s failed", pod.namespace, pod.name)
            self._forget(entry, is_gone=False)

    def _forget(self, entry: Entry, *, is_gone: bool) -> None:
        self._cache.forget(entry, self._clock.now(), is_gone=is_gone)
        self._woken.set()

    async def _reject(self, entry: Entry, diagnosis: Diagnosis, pool: Pool) -> None:
        events, pod = self._cache.event_count, entry.pod
        message, nominated = diagnosis.message, None
        chosen: Candidate | None = None
        if diagnosis.node_count:
            why = why_not(pod, diagnosis, self._cache.table, self._cache.nominations)
            if why is None:
                chosen, why = await self._candidate(pod, diagnosis)
                nominated, victims = (chosen.node_name, chosen.victims) if chosen else ("", ())
                events += self._cache.nominate(pod, nominated, self._clock.now(), victims)
            if why is not None:
                message += f" preemption: {why}"
        if not self._cache.rejected(entry, diagnosis.plugins, events, self._clock.now()):
            return
        if chosen is not None:
            await pool.start(self._preempt(pod, chosen), f"preemption for {pod.name}")
        await self._tell(entry, Verdict(UNSCHEDULABLE, message, nominated), pool)

    async def _candidate(
        self, pod: PodFacts, diagnosis: Diagnosis
    ) -> tuple[Candidate | None, str | None]:
        """The node where others go for the pod, or why there is none."""
        if not diagnosis.helpable:
            # As of each pod whose claim is missing, whose class is its own: an evaluation made for
            # nothing would push out one that many share.
            return None, refusal(diagnosis.node_count, ())
        cache = self._cache
        evaluation = cache.evaluations.of(cache.profile(pod), pod.kind)
        candidates: list[Candidate] = []
        hopeless: list[Hopeless] = []
        for one in tried(
            evaluation,
            pod,
            diagnosis.helpable,
            cache.nominations,
            self._budgets.values(),
            self._dice,
        ):
            if isinstance(one, Candidate):
                candidates.append(one)
            else:
                hopeless.append(one)
            await self._rest()
        chosen = best(candidates)
        return chosen, None if chosen else refusal(diagnosis.node_count, hopeless)

    async def _preempt(self, pod: PodFacts, chosen: Candidate) -> None:
        """Who waited for the node with less right to it looks for another one."""
        below = self._cache.nominations.below(pod, chosen.node_name)
        try:
            await self._writer.preempt(pod, chosen)
        except ApiError as error:
            logger.warning("preemption for %s/%s: %s", pod.namespace, pod.name, error)
            self._give_up(pod)
        except Exception:
            # Of our own making: the pod must not wait for ends that nobody was told of.
            logger.exception("preemption for %s/%s failed", pod.namespace, pod.name)
            self._give_up(pod)
        for one in below:
            self._give_up(one)
            await self._writer.clear_nomination(one)

    def _give_up(self, pod: PodFacts) -> None:
        """It waits for its node no more, and looks for another."""
        now = self._clock.now()
        self._cache.nominate(pod, "", now)
        self._cache.queue.activate(pod.uid, now)
        self._woken.set()

    async def _tell(self, entry: Entry, verdict: Verdict, pool: Pool) -> None:
        pod = entry.pod
        self._writer.record(pod, "Warning", "FailedScheduling", verdict.message)
        if not self._writer.is_told(pod, verdict):
            await pool.start(self._write(pod, verdict), f"verdict on {pod.name}")

    async def _write(self, pod: PodFacts, verdict: Verdict) -> None:
        """If that fails, the next attempt has a verdict, too."""
        try:
            await self._writer.tell(pod, verdict)
        except ApiError as error:
            logger.info("verdict on %s/%s: %s", pod.namespace, pod.name, error)

    async def _tell_gated(self, key: Key, pod: PodFacts) -> None:
        """Nobody tries it again, so that is told until it is written."""
        try:
            await self._writer.tell(pod, GATED_VERDICT)
        except ApiError as error:
            logger.info("gates of %s: %s", key, error)
            if error.code not in (404, 409):
                self._clock.call_later(GATED_RETRY_SECONDS, lambda: self._gate(key, pod.uid))

    def _gate(self, key: Key, uid: str) -> None:
        """Have it written that a pod has gates, unless it says so, or has none any more."""
        entry = self._cache.queue.get(uid)
        is_gated = entry is not None and entry.place == Place.GATED
        if entry and is_gated and not self._writer.is_told(entry.pod, GATED_VERDICT):
            self._gated[key] = entry.pod
            self._woken.set()

    # ------------------------------------------------------------------ time

    async def _until_due(self) -> None:
        """Until something changed, or a back-off is over."""
        due = self._cache.queue.due()
        self._woken.clear()
        if due is None:
            await self._woken.wait()
            return
        timer = self._clock.call_later(max(0.0, due - self._clock.now()), self._woken.set)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()

    async def _rest(self) -> None:
        if self._clock.now() > self._rested_at + SLICE_SECONDS:
            await self._clock.sleep(0)
            self._rested_at = self._clock.now()

    # ------------------------------------------------------------------ objects

    def _resource(self, group: str, plural: str) -> Resource:
        found = self._registry.storage(group, plural)
        assert found is not None, f"there is no {plural} in {group!r}"
        return found

    def _follow(
        self, group: str, plural: str, on_change: Callable[[Key, Object | None], None]
    ) -> None:
        def changed(key: Key, old: Object | None, new: Object | None) -> None:
            on_change(key, new)
            self._woken.set()

        self._informers.of(self._resource(group, plural)).add_handler(changed)

    def _on_pod(self, key: Key, obj: Object | None) -> None:
        pod = _decoded(Pod, obj)
        self._cache.set_pod(key, pod, self._clock.now())
        self._gated.pop(key, None)
        if pod is not None:
            self._gate(key, pod.metadata.uid)

    def _on_node(self, key: Key, obj: Object | None) -> None:
        self._cache.set_node(key.name, _decoded(Node, obj), self._clock.now())

    def _on_namespace(self, key: Key, obj: Object | None) -> None:
        labels = None if obj is None else dict(obj["metadata"].get("labels") or {})
        self._cache.set_namespace(key.name, labels, self._clock.now())

    def _on_claim(self, key: Key, obj: Object | None) -> None:
        claim = _decoded(PersistentVolumeClaim, obj)
        self._cache.set_claim(key, claim, self._clock.now())

    def _on_priority_class(self, key: Key, obj: Object | None) -> None:
        self._cache.priorities.set(key.name, _decoded(PriorityClass, obj))

    def _on_budget(self, key: Key, obj: Object | None) -> None:
        self._budgets.pop(key, None)
        budget = _decoded(PodDisruptionBudget, obj)
        if budget is not None:
            self._budgets[key] = Budget(
                namespace=key.namespace,
                selector=selector_of(budget.spec.selector),
                allowed=budget.status.disruptions_allowed,
                disrupted=frozenset(budget.status.disrupted_pods),
            )

    def _on_service(self, key: Key, obj: Object | None) -> None:
        selector = (obj.get("spec") or {}).get("selector") if obj else None
        self._cache.kindred.set_service(key.namespace, key.name, selector)

    def _on_owner(self, kind: str, key: Key, obj: Object | None) -> None:
        selector = selector_of_owner(obj) if obj else None
        self._cache.kindred.set_owner(kind, key.namespace, key.name, selector)


def _decoded(kind: type[R], obj: Object | None) -> R | None:
    """None also for what a stranger wrote and nobody can read: it is as if it were not there."""
    if obj is None:
        return None
    try:
        return from_object(kind, obj)
    except msgspec.ValidationError as error:
        logger.warning("%s %s: %s", kind.__name__, obj["metadata"].get("name"), error)
        return None


def _hint_failed(name: str, error: Exception) -> None:
    logger.error("the hint of plug-in %s failed", name, exc_info=error)
