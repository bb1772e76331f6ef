"""What is scarce on a node, by thresholds that whoever runs it may set. PURE.

Source: Kubernetes' documentation, "Node-pressure Eviction" (signals, thresholds, conditions), and
the kubelet's flag `--eviction-hard`; kube-behaviour 6.4.
"""

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Literal

import msgspec

from controlplane.api import quantity

DEFAULT = "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,pid.available<5%"
"""The kubelet's, but for those of images: this node keeps none. It has none of processes."""

Resource = Literal["memory", "ephemeral-storage", "inodes", "pids"]
"""What pods use of what a signal tells, in the order in which it is given back."""

_RESOURCES: Mapping[str, Resource] = {
    "memory.available": "memory",
    "nodefs.available": "ephemeral-storage",
    "nodefs.inodesFree": "inodes",
    "pid.available": "pids",
}
_OF_IMAGES = ("imagefs.available", "imagefs.inodesFree")
"""Taken, and never felt: there is no file system of images."""

_SYNTAX = re.compile(r"\s*([A-Za-z.]+)\s*<\s*([^\s<]+)\s*", re.ASCII)
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%", re.ASCII)


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a machine. Sizes are bytes; a total of 0: nobody knows."""

    memory_available: int
    memory: int = 0
    disk: int
    disk_available: int
    inodes: int = 0
    inodes_free: int = 0
    pids: int = 0
    pids_max: int = 0


class Pressures(msgspec.Struct, frozen=True):
    """What is scarce."""

    memory: bool = False
    disk: bool = False
    pids: bool = False


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """Less must not be left of what `signal` tells: an amount, or a part of all there is."""

    signal: str
    amount: int = 0
    part: Fraction = Fraction(0)

    def of(self, total: int) -> int:
        """The amount, where there is so much in all."""
        return int(total * self.part) if self.part else self.amount


class Starved(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold that is crossed.

    threshold  what should be left
    available  what is
    """

    resource: Resource
    threshold: int
    available: int


Thresholds = tuple[Threshold, ...]


def thresholds_of(text: str) -> Thresholds:
    """Out of `memory.available<100Mi,nodefs.available<10%`. Raises ValueError."""
    found: dict[str, Threshold] = {}
    for one in filter(str.strip, text.split(",")):
        match = _SYNTAX.fullmatch(one)
        if match is None:
            raise ValueError(
                f"invalid eviction threshold syntax {one}, expected <signal><operator><value>"
            )
        signal, value = match.groups()
        if signal in found:
            raise ValueError(f"duplicate eviction threshold {signal}")
        if signal not in _RESOURCES and signal not in _OF_IMAGES:
            raise ValueError(f"unsupported eviction signal {signal}")
        found[signal] = _threshold(signal, value)
    return tuple(found.values())


def _threshold(signal: str, value: str) -> Threshold:
    percent = _PERCENT.fullmatch(value)
    if percent is None:
        amount = quantity.parse(value)
        if amount <= 0:
            raise ValueError(f"eviction threshold {signal} must be positive: {value}")
        return Threshold(signal=signal, amount=int(amount))
    part = Fraction(percent[1]) / 100
    if part > 1:
        raise ValueError(f"eviction threshold {signal} must be no more than 100%: {value}")
    # As the kubelet has it: nothing and all of it are both never.
    return Threshold(signal=signal, part=Fraction(0) if part == 1 else part)


def starved(thresholds: Iterable[Threshold], load: Load) -> list[Starved]:
    """Of which resources too little is left."""
    known: Mapping[str, tuple[int, int]] = {
        "memory.available": (load.memory_available, load.memory),
        "nodefs.available": (load.disk_available, load.disk),
        "nodefs.inodesFree": (load.inodes_free, load.inodes),
        "pid.available": (load.pids_max - load.pids, load.pids_max),
    }
    found: dict[Resource, Starved] = {}
    for one in thresholds:
        available, total = known.get(one.signal, (0, 0))
        bound = one.of(total)
        if total and available < bound:
            resource = _RESOURCES[one.signal]
            found[resource] = Starved(resource=resource, threshold=bound, available=available)
    return [found[resource] for resource in _RESOURCES.values() if resource in found]


def pressures_of(found: Iterable[Starved]) -> Pressures:
    """The conditions of the node that are true by it."""
    names = {one.resource for one in found}
    return Pressures(
        memory="memory" in names,
        disk=not names.isdisjoint(("ephemeral-storage", "inodes")),
        pids="pids" in names,
    )


def kept_back(thresholds: Iterable[Threshold], signal: str, total: int) -> int:
    """What pods cannot have of all there is: with less left, some would be evicted."""
    return next((one.of(total) for one in thresholds if one.signal == signal), 0)


DEFAULT_THRESHOLDS = thresholds_of(DEFAULT)
