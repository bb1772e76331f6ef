"""Leases: who leads, and for how long. PURE.

Source: Kubernetes' API reference of Lease; kube-behaviour 3.6.
"""

from collections.abc import Iterator

from controlplane.api.causes import forbidden, invalid
from controlplane.api.errors import Cause
from controlplane.api.resource import Object, Strategy


def _validate(lease: Object) -> list[Cause]:
    return [*_spec(lease.get("spec") or {})]


def _spec(spec: Object) -> Iterator[Cause]:
    seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if seconds is not None and seconds <= 0:
        yield invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    if transitions is not None and transitions < 0:
        why = "must be greater than or equal to 0"
        yield invalid("spec.leaseTransitions", transitions, why)
    if spec.get("preferredHolder") and not spec.get("strategy"):
        yield forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined")


STRATEGY = Strategy(validate=_validate)
