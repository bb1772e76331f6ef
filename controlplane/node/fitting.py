"""Whether a node takes a pod that was given to it. PURE.

Whoever placed it may have known less than the node: what does not fit is refused, rather than run
at the cost of all others. Source: Kubernetes, node admission (OutOfcpu, OutOfmemory, OutOfpods).
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction

import msgspec

from controlplane.api import quantity
from controlplane.api.resource import Object
from controlplane.api.usage import pod_amounts

Amounts = Mapping[str, Fraction]


class Rejection(msgspec.Struct, frozen=True):
    """Why not, for the pod's status."""

    reason: str
    message: str


def amounts_of(pod: Object) -> dict[str, Fraction]:
    """What a pod asks for, itself included. ValueError for one that says no quantities."""
    return {**pod_amounts(pod, "requests"), "pods": Fraction(1)}


def rejection_of(
    wanted: Amounts, others: Iterable[Amounts], allocatable: Mapping[str, str]
) -> Rejection | None:
    """None: it fits. `others`: what those ask for that the node has taken."""
    used: dict[str, Fraction] = {}
    for one in others:
        for name, amount in one.items():
            used[name] = used.get(name, Fraction(0)) + amount
    for name in sorted(wanted):
        amount = wanted[name]
        if not amount:
            continue
        capacity = _capacity(allocatable, name)
        taken = used.get(name, Fraction(0))
        if taken + amount > capacity:
            return Rejection(
                f"OutOf{name}",
                "Pod was rejected: Node didn't have enough resource: "
                f"{name}, requested: {_number(name, amount)}, used: {_number(name, taken)}, "
                f"capacity: {_number(name, capacity)}",
            )
    return None


def _capacity(allocatable: Mapping[str, str], name: str) -> Fraction:
    try:
        return quantity.parse(allocatable.get(name, "0"))
    except ValueError:
        return Fraction(0)


def _number(name: str, amount: Fraction) -> int:
    """cpu in thousandths, as Kubernetes tells it."""
    return int(amount * 1000) if name == "cpu" else int(amount)
