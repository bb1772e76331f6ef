"""Pods whose claims are not there, or have no volume: no node may have them. PURE.

Claims that wait for their first consumer are taken for any others: nobody here finds them a volume.
Source: Kubernetes, "Persistent Volumes"; kube-behaviour 7.3.
"""

from controlplane.indexer import Key
from controlplane.scheduler.events import ClaimEvent, Event, EventKind
from controlplane.scheduler.framework import Plugin
from controlplane.scheduler.node_table import NodeTable
from controlplane.scheduler.pod_class import PodClass
from controlplane.scheduler.volume_claims import UNBOUND


class VolumeBinding(Plugin):
    """All claims of a pod must be bound."""

    name = "VolumeBinding"
    events = frozenset((EventKind.CLAIM,))

    def pre_filter(self, pod: PodClass, table: NodeTable) -> str | None:
        """What is wrong with one claim is told before that others are not bound."""
        found = [table.claims.get(Key(pod.namespace, one.name), one.absence) for one in pod.claims]
        return min(filter(None, found), key=lambda one: one == UNBOUND, default=None)

    def hint(self, pod: PodClass, event: Event, table: NodeTable) -> bool:
        """Also where it does not help: something else is to be told then."""
        return isinstance(event, ClaimEvent) and any(
            Key(pod.namespace, one.name) == event.key for one in pod.claims
        )
