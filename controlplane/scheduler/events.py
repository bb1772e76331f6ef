"""Changes of the cluster that may let a pod pass which was rejected, for plug-ins' hints. PURE.

Source: Kubernetes, "Scheduling Framework" (EnqueueExtension, QueueingHint); kube-behaviour 7.1.
"""

from typing import TypeAlias

import msgspec

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


Event: TypeAlias = NodeEvent | PodEvent | NamespaceEvent
