"""What the scheduler knows of a node, besides its pods. PURE."""

from collections.abc import Mapping

import msgspec

from controlplane.api.types.core_v1 import Node, Taint
from controlplane.scheduler import requests

Taints = tuple[Taint, ...]


class NodeFacts(msgspec.Struct, frozen=True):
    """images  name of an image with its tag -> its bytes"""

    name: str
    labels: Mapping[str, str] = {}
    taints: Taints = ()
    is_unschedulable: bool = False
    allocatable: Mapping[str, int] = {}
    images: Mapping[str, int] = {}


def facts_of(node: Node) -> NodeFacts:
    """Of a node; the time of a taint is nothing to the scheduler, and would tell taints apart."""
    return NodeFacts(
        name=node.metadata.name,
        labels=node.metadata.labels,
        taints=tuple(
            Taint(key=one.key, value=one.value, effect=one.effect) for one in node.spec.taints
        ),
        is_unschedulable=node.spec.unschedulable,
        allocatable=requests.amounts(node.status.allocatable),
        images={
            requests.with_tag(name): max(0, min(image.size_bytes, requests.AMOUNT_MAX))
            for image in node.status.images
            for name in image.names
        },
    )
