"""Types of `apiextensions_v1`; made by scripts/gentypes."""

from collections.abc import Mapping
from typing import Any, ClassVar

from msgspec import field

from controlplane.api.record import Record
from controlplane.api.types import meta_v1


class ServiceReference(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name", "namespace"})
    name: str = ""
    namespace: str = ""
    path: str | None = None
    port: int | None = None


class WebhookClientConfig(Record, frozen=True, kw_only=True):
    ca_bundle: str | None = None
    service: ServiceReference | None = None
    url: str | None = None


class WebhookConversion(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"conversionReviewVersions"})
    client_config: WebhookClientConfig | None = None
    conversion_review_versions: tuple[str, ...] = ()


class CustomResourceConversion(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"strategy"})
    strategy: str = ""
    webhook: WebhookConversion | None = None


class CustomResourceDefinitionNames(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"kind", "plural"})
    categories: tuple[str, ...] = ()
    kind: str = ""
    list_kind: str | None = None
    plural: str = ""
    short_names: tuple[str, ...] = ()
    singular: str | None = None


class CustomResourceColumnDefinition(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"jsonPath", "name", "type"})
    description: str | None = None
    format: str | None = None
    json_path: str = ""
    name: str = ""
    priority: int | None = None
    type: str = ""


class CustomResourceValidation(Record, frozen=True, kw_only=True):
    open_apiv3_schema: Any = field(default=None, name="openAPIV3Schema")


class SelectableField(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"jsonPath"})
    json_path: str = ""


class CustomResourceSubresourceScale(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"specReplicasPath", "statusReplicasPath"})
    label_selector_path: str | None = None
    spec_replicas_path: str = ""
    status_replicas_path: str = ""


class CustomResourceSubresourceStatus(Record, frozen=True, kw_only=True):
    pass


class CustomResourceSubresources(Record, frozen=True, kw_only=True):
    scale: CustomResourceSubresourceScale | None = None
    status: CustomResourceSubresourceStatus | None = None


class CustomResourceDefinitionVersion(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name", "served", "storage"})
    additional_printer_columns: tuple[CustomResourceColumnDefinition, ...] = ()
    deprecated: bool | None = None
    deprecation_warning: str | None = None
    name: str = ""
    schema: CustomResourceValidation | None = None
    selectable_fields: tuple[SelectableField, ...] = ()
    served: bool = False
    storage: bool = False
    subresources: CustomResourceSubresources | None = None


class CustomResourceDefinitionSpec(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"group", "names", "scope", "versions"})
    conversion: CustomResourceConversion | None = None
    group: str = ""
    names: CustomResourceDefinitionNames = CustomResourceDefinitionNames()
    preserve_unknown_fields: bool | None = None
    scope: str = ""
    versions: tuple[CustomResourceDefinitionVersion, ...] = ()


class CustomResourceDefinitionCondition(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"status", "type"})
    last_transition_time: str | None = None
    message: str | None = None
    reason: str | None = None
    status: str = ""
    type: str = ""


class CustomResourceDefinitionStatus(Record, frozen=True, kw_only=True):
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"conditions": "type"}
    accepted_names: CustomResourceDefinitionNames | None = None
    conditions: tuple[CustomResourceDefinitionCondition, ...] = ()
    stored_versions: tuple[str, ...] = ()


class CustomResourceDefinition(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "spec"})
    api_version: str = "apiextensions.k8s.io/v1"
    kind: str = "CustomResourceDefinition"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: CustomResourceDefinitionSpec = CustomResourceDefinitionSpec()
    status: CustomResourceDefinitionStatus = CustomResourceDefinitionStatus()
