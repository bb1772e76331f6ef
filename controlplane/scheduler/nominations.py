"""Pods that wait for a node where others are being deleted for them. PURE.

Source: Kubernetes, "Pod Priority and Preemption"; kube-behaviour 7.7.
"""

from collections.abc import Set

from controlplane.scheduler.pod_class import PodFacts


class Nominations:
    """Who waits for which node."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, PodFacts]] = {}
        self._places: dict[str, str] = {}
        self._victims: dict[str, Set[str]] = {}

    def set(self, pod: PodFacts, node_name: str, victims: Set[str] = frozenset()) -> None:
        """A pod waits for a node; for none where it is empty.

        victims  uids of those who are to go there for it, besides those that are known
        """
        victims = victims | self.victims_of(pod.uid, node_name)
        self.remove(pod.uid)
        if node_name:
            self._places[pod.uid] = node_name
            self._victims[pod.uid] = victims
            self._nodes.setdefault(node_name, {})[pod.uid] = pod

    def remove(self, uid: str) -> PodFacts | None:
        """A pod waits no longer; None: it did not."""
        name = self._places.pop(uid, None)
        if name is None:
            return None
        del self._victims[uid]
        waiting = self._nodes[name]
        pod = waiting.pop(uid)
        if not waiting:
            del self._nodes[name]
        return pod

    def node_of(self, uid: str) -> str:
        """For which it waits; empty: for none."""
        return self._places.get(uid, "")

    def victims_of(self, uid: str, node_name: str) -> Set[str]:
        """Who is to go from a node for a pod that waits for it, as far as that was decided here."""
        return self._victims[uid] if self._places.get(uid) == node_name else frozenset()

    def ahead_of(self, pod: PodFacts, node_name: str) -> list[PodFacts]:
        """Who has a better right to a node's room, or the same."""
        waiting = self._nodes.get(node_name, {}).values()
        return [one for one in waiting if one.priority >= pod.priority and one.uid != pod.uid]

    def below(self, pod: PodFacts, node_name: str) -> list[PodFacts]:
        """Who waits for a node with less right to it."""
        waiting = self._nodes.get(node_name, {}).values()
        return [one for one in waiting if one.priority < pod.priority]
