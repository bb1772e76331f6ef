"""The cluster as the scheduler believes it to be: nodes, their pods, and pods that wait. PURE.

It is told of objects as they are now, in any order, and of what the scheduler has decided: a pod
that was given a node has it at once (it is *assumed*), though the store does not know yet.
Source: kube-behaviour 7.1, 7.2.
"""

from collections.abc import Callable, Iterable, Mapping

from controlplane.api import pods
from controlplane.api.types.core_v1 import Node, PersistentVolumeClaim, Pod
from controlplane.indexer import Key
from controlplane.scheduler.configuration import Configuration
from controlplane.scheduler.evaluation import Evaluations
from controlplane.scheduler.events import (
    ClaimEvent,
    Event,
    EventKind,
    NamespaceEvent,
    NodeEvent,
    PodEvent,
    kind_of,
)
from controlplane.scheduler.framework import Profile
from controlplane.scheduler.kindred import Kindred
from controlplane.scheduler.node_facts import facts_of
from controlplane.scheduler.node_table import NodeTable
from controlplane.scheduler.nominations import Nominations
from controlplane.scheduler.pod_class import DEFAULT_SCHEDULER, PodClasses, PodFacts
from controlplane.scheduler.priorities import Priorities
from controlplane.scheduler.queue import Entry, SchedulingQueue
from controlplane.scheduler.volume_claims import refusal_of


class Cache:
    """Times are those of the queue.

    event_count  of what happened so far that may let rejected pods pass
    """

    def __init__(
        self,
        configuration: Configuration,
        on_failed_hint: Callable[[str, Exception], None] = lambda name, error: None,
    ) -> None:
        """`on_failed_hint` is told of a plug-in whose hint failed, which is taken for a yes."""
        self.table = NodeTable()
        self.queue = SchedulingQueue()
        self.nominations = Nominations()
        self.evaluations = Evaluations(self.table)
        self.priorities = Priorities()
        self.kindred = Kindred()
        self.event_count = 0
        self._profiles = configuration.profiles
        self._concerned = {
            kind: frozenset[str]().union(
                *(profile.concerned(kind) for profile in self._profiles.values())
            )
            for kind in EventKind
        }
        self._on_failed_hint = on_failed_hint
        self._classes = PodClasses()
        self._uids: dict[Key, str] = {}
        self._waiting: dict[str, tuple[Pod, int]] = {}
        self._assumed: set[str] = set()

    def profile(self, pod: PodFacts) -> Profile:
        """By which a pod of the queue is placed."""
        return self._profiles[pod.scheduler_name]

    # ------------------------------------------------------------------ objects

    def set_pod(self, key: Key, pod: Pod | None, now: float) -> None:
        """A pod as it is now; None: it is gone."""
        known = self._uids.get(key)
        if known is not None and (pod is None or pod.metadata.uid != known):
            del self._uids[key]
            self._end(known, now)
        if pod is None:
            return
        uid = self._uids[key] = pod.metadata.uid
        if pods.is_finished(pod):
            self._end(uid, now)
        elif pod.spec.node_name:
            self._runs(pod, now)
        elif uid in self._assumed:
            return  # what the store says of it is older than what is known here
        elif pods.is_deleted(pod) or self._name_of(pod) not in self._profiles:
            self._end(uid, now)
        else:
            self._waits(pod, now)

    def set_node(self, name: str, node: Node | None, now: float) -> None:
        """A node as it is now; None: it is gone."""
        row = self.table.rows.get(name)
        before = None if row is None else self.table.nodes[row]
        if node is None:
            self.table.remove_node(name)
            if before is not None:
                self._happened(NodeEvent(before, None), now)
            return
        after = facts_of(node)
        if self.table.set_node(after):
            self._happened(NodeEvent(before, after), now)

    def set_namespace(self, name: str, labels: Mapping[str, str] | None, now: float) -> None:
        """Labels of a namespace; None: it is gone."""
        version = self.table.namespaces_version
        self.table.set_namespace(name, labels)
        if self.table.namespaces_version != version:
            self._happened(NamespaceEvent(name), now)

    def set_claim(self, key: Key, claim: PersistentVolumeClaim | None, now: float) -> None:
        """A claim of storage as it is now; None: it is gone."""
        if self.table.set_claim(key, None if claim is None else refusal_of(claim)):
            self._happened(ClaimEvent(key), now)

    # ------------------------------------------------------------------ decisions

    def pop(self, now: float) -> Entry | None:
        """The next pod to try, with what is known of its kin by now."""
        entry = self.queue.pop(now)
        if entry is not None:
            pod, version = self._waiting[entry.pod.uid]
            if version != self.kindred.version:
                entry.pod = self._facts(pod)
        return entry

    def assume(self, pod: PodFacts, node_name: str, now: float) -> None:
        """It has this node from now on, unless `forget` says that it could not be written."""
        self._assumed.add(pod.uid)
        is_expected = self.nominations.node_of(pod.uid) in ("", node_name)
        self._waits_no_more(pod.uid, now, is_room_left=not is_expected)
        self.table.add_pod(pod, node_name)
        self._happened(PodEvent(None, pod), now)

    def nominate(
        self, pod: PodFacts, node_name: str, now: float, victims: Iterable[PodFacts] = ()
    ) -> int:
        """It waits for this node, and the end of these there, from now on; empty: for none.

        Who was held back by what it gives up hears of that, as if it had left its node. Returns by
        how much `event_count` grew so: that is no help to the pod itself.
        """
        events = self.event_count
        if self.nominations.node_of(pod.uid) != node_name:
            self._waits_no_more(pod.uid, now)
        self.nominations.set(pod, node_name, frozenset(one.uid for one in victims))
        return self.event_count - events

    def forget(self, entry: Entry, now: float, *, is_gone: bool) -> None:
        """The store did not take what was assumed: the pod is tried again, unless it is gone."""
        uid = entry.pod.uid
        if uid not in self._assumed:  # it runs, by somebody else's word, or is gone
            return
        self._assumed.discard(uid)
        self._left(uid, now)
        if not is_gone:
            self.queue.rejected(entry, frozenset(), now)

    def rejected(self, entry: Entry, rejectors: frozenset[str], events: int, now: float) -> bool:
        """No node may have it; False: it is gone meanwhile, or has one.

        events  the `event_count` when it was tried
        """
        if self._is_gone(entry.pod):
            self._waits_no_more(entry.pod.uid, now)
            return False
        if events == self.event_count:
            self.queue.rejected(entry, rejectors, now)
        else:  # something happened meanwhile which may have helped it
            self.queue.rejected(entry, frozenset(), now)
        return True

    # ------------------------------------------------------------------ within

    def _name_of(self, pod: Pod) -> str:
        return pod.spec.scheduler_name or DEFAULT_SCHEDULER

    def _is_gone(self, pod: PodFacts) -> bool:
        """Deleted, or given a node by somebody else, since it left the queue."""
        is_known = self._uids.get(Key(pod.namespace, pod.name)) == pod.uid
        return not is_known or self.table.pod(pod.uid) is not None

    def _facts(self, pod: Pod) -> PodFacts:
        """Of a pod that waits."""
        self._waiting[pod.metadata.uid] = (pod, self.kindred.version)
        return self._classes.facts(
            pod, priority=self.priorities.of(pod.spec), default=self.kindred.of(pod)
        )

    def _waits(self, pod: Pod, now: float) -> None:
        facts = self._facts(pod)
        self._left(facts.uid, now)  # of a node that a stranger took from it
        entry = self.queue.get(facts.uid)
        was_nominated = entry is not None and bool(entry.pod.nominated_node)
        if facts.nominated_node or was_nominated:
            self.nominate(facts, facts.nominated_node, now)
        is_gated = bool(pod.spec.scheduling_gates)
        if entry is None or not entry.is_like(facts, is_gated=is_gated):
            self.queue.add(facts, now, is_gated=is_gated)
        else:
            self.queue.replace(facts)

    def _runs(self, pod: Pod, now: float) -> None:
        facts = self._classes.facts(pod, priority=self.priorities.of(pod.spec))
        uid, before = facts.uid, self.table.pod(facts.uid)
        self._waiting.pop(uid, None)
        self.queue.remove(uid)
        self._waits_no_more(uid, now)
        self._assumed.discard(uid)
        if before is not None and before.kind.content == facts.kind.content:
            facts = facts.of_kind(before.kind)  # which may know its default spread, too
        if self.table.node_of(uid) not in ("", facts.node_name):  # it was assumed elsewhere
            self._left(uid, now)
            before = None
        self.table.add_pod(facts, facts.node_name)
        if before is None or not before.counts_like(facts):
            self._happened(PodEvent(before, facts), now)

    def _end(self, uid: str, now: float) -> None:
        self._waiting.pop(uid, None)
        self.queue.remove(uid)
        self._waits_no_more(uid, now)
        self._assumed.discard(uid)
        self._left(uid, now)

    def _waits_no_more(self, uid: str, now: float, *, is_room_left: bool = True) -> None:
        """For a node, whose room others may have now."""
        nominated = self.nominations.remove(uid)
        if nominated is not None and is_room_left:
            self._happened(PodEvent(nominated, None), now)

    def _left(self, uid: str, now: float) -> None:
        before = self.table.remove_pod(uid)
        if before is not None:
            self._happened(PodEvent(before, None), now)

    def _happened(self, event: Event, now: float) -> None:
        self.event_count += 1
        if not self.queue.is_anyone_waiting:
            return

        def hint(name: str, pod: PodFacts) -> bool:
            plugin = self.profile(pod).plugin(name)
            if plugin is None:
                return True
            try:
                return plugin.hint(pod.kind, event, self.table)
            except Exception as error:  # noqa: BLE001 - a stranger's plug-in; it is told
                self._on_failed_hint(name, error)
                return True

        self.queue.happened(self._concerned[kind_of(event)], hint, now)
