"""Changes of the cluster that may let a pod pass which was rejected, for plug-ins' hints. PURE.

Source: Kubernetes, "Scheduling Framework" (EnqueueExtension, QueueingHint); kube-behaviour 7.1.
"""

from enum import Enum
from typing import TypeAlias

import msgspec

from controlplane.indexer import Key
from controlplane.scheduler.node_facts import NodeFacts
from controlplane.scheduler.pod_class import PodFacts


class NodeEvent(msgspec.Struct, frozen=True):
    """A node before and after; None: it was not there, or is gone."""

    before: NodeFacts | None
    after: NodeFacts | None


class PodEvent(msgspec.Struct, frozen=True):
    """A pod that has a node, before and after."""

    before: PodFacts | None
    after: PodFacts | None


class NamespaceEvent(msgspec.Struct, frozen=True):
    """Labels of a namespace changed."""

    name: str


class ClaimEvent(msgspec.Struct, frozen=True):
    """A claim of storage came, went, was bound, or is to go."""

    key: Key


Event: TypeAlias = NodeEvent | PodEvent | NamespaceEvent | ClaimEvent


class EventKind(Enum):
    """By which a plug-in says of what it wants to hear."""

    NODE = "node"
    POD_ADDED = "pod added"
    POD_CHANGED = "pod changed"
    POD_GONE = "pod gone"
    NAMESPACE = "namespace"
    CLAIM = "claim"


def kind_of(event: Event) -> EventKind:
    """Of an event."""
    match event:
        case NodeEvent():
            return EventKind.NODE
        case NamespaceEvent():
            return EventKind.NAMESPACE
        case ClaimEvent():
            return EventKind.CLAIM
        case PodEvent(before=None):
            return EventKind.POD_ADDED
        case PodEvent(after=None):
            return EventKind.POD_GONE
        case _:
            return EventKind.POD_CHANGED
