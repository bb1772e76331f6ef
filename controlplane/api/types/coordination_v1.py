"""Types of `coordination_v1`; made by scripts/gentypes."""

from typing import ClassVar

from controlplane.api.record import Record
from controlplane.api.types import meta_v1


class LeaseSpec(Record, frozen=True, kw_only=True):
    acquire_time: str | None = None
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    lease_transitions: int | None = None
    preferred_holder: str | None = None
    renew_time: str | None = None
    strategy: str | None = None


class Lease(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "coordination.k8s.io/v1"
    kind: str = "Lease"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: LeaseSpec = LeaseSpec()
