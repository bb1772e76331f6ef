"""Types of `storage_v1`; made by scripts/gentypes."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import field

from controlplane.api.record import Record
from controlplane.api.types import core_v1, meta_v1


class TokenRequest(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"audience"})
    audience: str = ""
    expiration_seconds: int | None = None


class CSIDriverSpec(Record, frozen=True, kw_only=True):
    attach_required: bool | None = None
    fs_group_policy: str | None = None
    node_allocatable_update_period_seconds: int | None = None
    pod_info_on_mount: bool | None = None
    requires_republish: bool | None = None
    se_linux_mount: bool | None = None
    storage_capacity: bool | None = None
    token_requests: tuple[TokenRequest, ...] = ()
    volume_lifecycle_modes: tuple[str, ...] = ()


class CSIDriver(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "spec"})
    api_version: str = "storage.k8s.io/v1"
    kind: str = "CSIDriver"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: CSIDriverSpec = CSIDriverSpec()


class VolumeNodeResources(Record, frozen=True, kw_only=True):
    count: int | None = None


class CSINodeDriver(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name", "nodeID", "topologyKeys"})
    allocatable: VolumeNodeResources | None = None
    name: str = ""
    node_id: str = field(default="", name="nodeID")
    topology_keys: tuple[str, ...] = ()


class CSINodeSpec(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"drivers"})
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"drivers": "name"}
    drivers: tuple[CSINodeDriver, ...] = ()


class CSINode(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "spec"})
    api_version: str = "storage.k8s.io/v1"
    kind: str = "CSINode"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: CSINodeSpec = CSINodeSpec()


class CSIStorageCapacity(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "storageClassName"})
    api_version: str = "storage.k8s.io/v1"
    capacity: str | None = None
    kind: str = "CSIStorageCapacity"
    maximum_volume_size: str | None = None
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    node_topology: meta_v1.LabelSelector | None = None
    storage_class_name: str = ""


class StorageClass(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "provisioner"})
    allow_volume_expansion: bool | None = None
    allowed_topologies: tuple[core_v1.TopologySelectorTerm, ...] = ()
    api_version: str = "storage.k8s.io/v1"
    kind: str = "StorageClass"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    mount_options: tuple[str, ...] = ()
    parameters: Mapping[str, str] = {}
    provisioner: str = ""
    reclaim_policy: str | None = None
    volume_binding_mode: str | None = None


class VolumeAttachmentSource(Record, frozen=True, kw_only=True):
    inline_volume_spec: core_v1.PersistentVolumeSpec | None = None
    persistent_volume_name: str | None = None


class VolumeAttachmentSpec(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"attacher", "nodeName", "source"})
    attacher: str = ""
    node_name: str = ""
    source: VolumeAttachmentSource = VolumeAttachmentSource()


class VolumeError(Record, frozen=True, kw_only=True):
    error_code: int | None = None
    message: str = ""
    time: str | None = None


class VolumeAttachmentStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"attached"})
    attach_error: VolumeError | None = None
    attached: bool = False
    attachment_metadata: Mapping[str, str] = {}
    detach_error: VolumeError | None = None


class VolumeAttachment(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "spec"})
    api_version: str = "storage.k8s.io/v1"
    kind: str = "VolumeAttachment"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: VolumeAttachmentSpec = VolumeAttachmentSpec()
    status: VolumeAttachmentStatus = VolumeAttachmentStatus()
