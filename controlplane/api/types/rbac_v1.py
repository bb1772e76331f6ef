"""Types of `rbac_v1`; made by scripts/gentypes."""

from typing import ClassVar

from msgspec import field

from controlplane.api.record import Record
from controlplane.api.types import meta_v1


class AggregationRule(Record, frozen=True, kw_only=True):
    cluster_role_selectors: tuple[meta_v1.LabelSelector, ...] = ()


class PolicyRule(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"verbs"})
    api_groups: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = field(default=(), name="nonResourceURLs")
    resource_names: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()


class ClusterRole(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "rules"})
    aggregation_rule: AggregationRule | None = None
    api_version: str = "rbac.authorization.k8s.io/v1"
    kind: str = "ClusterRole"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    rules: tuple[PolicyRule, ...] = ()


class RoleRef(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiGroup", "kind", "name"})
    api_group: str = ""
    kind: str = ""
    name: str = ""


class Subject(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"kind", "name"})
    api_group: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""


class ClusterRoleBinding(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "roleRef"})
    api_version: str = "rbac.authorization.k8s.io/v1"
    kind: str = "ClusterRoleBinding"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    role_ref: RoleRef = RoleRef()
    subjects: tuple[Subject, ...] = ()


class Role(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "rules"})
    api_version: str = "rbac.authorization.k8s.io/v1"
    kind: str = "Role"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    rules: tuple[PolicyRule, ...] = ()


class RoleBinding(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "roleRef"})
    api_version: str = "rbac.authorization.k8s.io/v1"
    kind: str = "RoleBinding"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    role_ref: RoleRef = RoleRef()
    subjects: tuple[Subject, ...] = ()
