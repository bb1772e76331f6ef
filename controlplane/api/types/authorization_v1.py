"""Types of `authorization_v1`; made by scripts/gentypes."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import field

from controlplane.api.record import Record
from controlplane.api.types import meta_v1


class NonResourceAttributes(Record, frozen=True, kw_only=True):
    path: str = ""
    verb: str = ""


class FieldSelectorAttributes(Record, frozen=True, kw_only=True):
    raw_selector: str = ""
    requirements: tuple[meta_v1.FieldSelectorRequirement, ...] = ()


class LabelSelectorAttributes(Record, frozen=True, kw_only=True):
    raw_selector: str = ""
    requirements: tuple[meta_v1.LabelSelectorRequirement, ...] = ()


class ResourceAttributes(Record, frozen=True, kw_only=True):
    field_selector: FieldSelectorAttributes | None = None
    group: str = ""
    label_selector: LabelSelectorAttributes | None = None
    name: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    verb: str = ""
    version: str = ""


class SubjectAccessReviewSpec(Record, frozen=True, kw_only=True):
    extra: Mapping[str, tuple[str, ...]] = {}
    groups: tuple[str, ...] = ()
    non_resource_attributes: NonResourceAttributes | None = None
    resource_attributes: ResourceAttributes | None = None
    uid: str = ""
    user: str = ""


class SubjectAccessReviewStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"allowed"})
    allowed: bool = False
    denied: bool = False
    evaluation_error: str = ""
    reason: str = ""


class LocalSubjectAccessReview(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "spec"})
    api_version: str = "authorization.k8s.io/v1"
    kind: str = "LocalSubjectAccessReview"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: SubjectAccessReviewSpec = SubjectAccessReviewSpec()
    status: SubjectAccessReviewStatus = SubjectAccessReviewStatus()


class SelfSubjectAccessReviewSpec(Record, frozen=True, kw_only=True):
    non_resource_attributes: NonResourceAttributes | None = None
    resource_attributes: ResourceAttributes | None = None


class SelfSubjectAccessReview(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "spec"})
    api_version: str = "authorization.k8s.io/v1"
    kind: str = "SelfSubjectAccessReview"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: SelfSubjectAccessReviewSpec = SelfSubjectAccessReviewSpec()
    status: SubjectAccessReviewStatus = SubjectAccessReviewStatus()


class SelfSubjectRulesReviewSpec(Record, frozen=True, kw_only=True):
    namespace: str = ""


class NonResourceRule(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"verbs"})
    non_resource_urls: tuple[str, ...] = field(default=(), name="nonResourceURLs")
    verbs: tuple[str, ...] = ()


class ResourceRule(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"verbs"})
    api_groups: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()


class SubjectRulesReviewStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset(
        {"incomplete", "nonResourceRules", "resourceRules"}
    )
    evaluation_error: str = ""
    incomplete: bool = False
    non_resource_rules: tuple[NonResourceRule, ...] = ()
    resource_rules: tuple[ResourceRule, ...] = ()


class SelfSubjectRulesReview(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "spec"})
    api_version: str = "authorization.k8s.io/v1"
    kind: str = "SelfSubjectRulesReview"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: SelfSubjectRulesReviewSpec = SelfSubjectRulesReviewSpec()
    status: SubjectRulesReviewStatus = SubjectRulesReviewStatus()


class SubjectAccessReview(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "spec"})
    api_version: str = "authorization.k8s.io/v1"
    kind: str = "SubjectAccessReview"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: SubjectAccessReviewSpec = SubjectAccessReviewSpec()
    status: SubjectAccessReviewStatus = SubjectAccessReviewStatus()
