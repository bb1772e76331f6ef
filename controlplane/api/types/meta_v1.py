"""Types of `meta_v1`; made by scripts/gentypes."""

from collections.abc import Mapping
from typing import Any, ClassVar

from controlplane.api.record import Record


class ManagedFieldsEntry(Record, frozen=True, kw_only=True):
    api_version: str = ""
    fields_type: str = ""
    fields_v1: Any = None
    manager: str = ""
    operation: str = ""
    subresource: str = ""
    time: str | None = None


class OwnerReference(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "name", "uid"})
    api_version: str = ""
    block_owner_deletion: bool | None = None
    controller: bool | None = None
    kind: str = ""
    name: str = ""
    uid: str = ""


class ObjectMeta(Record, frozen=True, kw_only=True):
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"ownerReferences": "uid"}
    annotations: Mapping[str, str] = {}
    creation_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()
    generate_name: str = ""
    generation: int = 0
    labels: Mapping[str, str] = {}
    managed_fields: tuple[ManagedFieldsEntry, ...] = ()
    name: str = ""
    namespace: str = ""
    owner_references: tuple[OwnerReference, ...] = ()
    resource_version: str = ""
    self_link: str = ""
    uid: str = ""


class LabelSelectorRequirement(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"key", "operator"})
    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class LabelSelector(Record, frozen=True, kw_only=True):
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()
    match_labels: Mapping[str, str] = {}


class FieldSelectorRequirement(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"key", "operator"})
    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class Condition(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset(
        {"lastTransitionTime", "message", "reason", "status", "type"}
    )
    last_transition_time: str = ""
    message: str = ""
    observed_generation: int = 0
    reason: str = ""
    status: str = ""
    type: str = ""


class Preconditions(Record, frozen=True, kw_only=True):
    resource_version: str | None = None
    uid: str | None = None


class DeleteOptions(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "v1"
    dry_run: tuple[str, ...] = ()
    grace_period_seconds: int | None = None
    ignore_store_read_error_with_cluster_breaking_potential: bool | None = None
    kind: str = "DeleteOptions"
    orphan_dependents: bool | None = None
    preconditions: Preconditions | None = None
    propagation_policy: str | None = None
