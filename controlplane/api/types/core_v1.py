"""Types of `core_v1`; made by scripts/gentypes."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import field

from controlplane.api.record import Record
from controlplane.api.types import meta_v1


class NodeSelectorRequirement(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"key", "operator"})
    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class NodeSelectorTerm(Record, frozen=True, kw_only=True):
    match_expressions: tuple[NodeSelectorRequirement, ...] = ()
    match_fields: tuple[NodeSelectorRequirement, ...] = ()


class PreferredSchedulingTerm(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"preference", "weight"})
    preference: NodeSelectorTerm = NodeSelectorTerm()
    weight: int = 0


class NodeSelector(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"nodeSelectorTerms"})
    node_selector_terms: tuple[NodeSelectorTerm, ...] = ()


class NodeAffinity(Record, frozen=True, kw_only=True):
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredSchedulingTerm, ...] = ()
    required_during_scheduling_ignored_during_execution: NodeSelector | None = None


class PodAffinityTerm(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"topologyKey"})
    label_selector: meta_v1.LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    mismatch_label_keys: tuple[str, ...] = ()
    namespace_selector: meta_v1.LabelSelector | None = None
    namespaces: tuple[str, ...] = ()
    topology_key: str = ""


class WeightedPodAffinityTerm(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"podAffinityTerm", "weight"})
    pod_affinity_term: PodAffinityTerm = PodAffinityTerm()
    weight: int = 0


class PodAffinity(Record, frozen=True, kw_only=True):
    preferred_during_scheduling_ignored_during_execution: tuple[WeightedPodAffinityTerm, ...] = ()
    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = ()


class PodAntiAffinity(Record, frozen=True, kw_only=True):
    preferred_during_scheduling_ignored_during_execution: tuple[WeightedPodAffinityTerm, ...] = ()
    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = ()


class Affinity(Record, frozen=True, kw_only=True):
    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAntiAffinity | None = None


class ConfigMapKeySelector(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"key"})
    key: str = ""
    name: str = ""
    optional: bool | None = None


class ObjectFieldSelector(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"fieldPath"})
    api_version: str = ""
    field_path: str = ""


class ResourceFieldSelector(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"resource"})
    container_name: str = ""
    divisor: str = ""
    resource: str = ""


class SecretKeySelector(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"key"})
    key: str = ""
    name: str = ""
    optional: bool | None = None


class EnvVarSource(Record, frozen=True, kw_only=True):
    config_map_key_ref: ConfigMapKeySelector | None = None
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    secret_key_ref: SecretKeySelector | None = None


class EnvVar(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name"})
    name: str = ""
    value: str = ""
    value_from: EnvVarSource | None = None


class ConfigMapEnvSource(Record, frozen=True, kw_only=True):
    name: str = ""
    optional: bool | None = None


class SecretEnvSource(Record, frozen=True, kw_only=True):
    name: str = ""
    optional: bool | None = None


class EnvFromSource(Record, frozen=True, kw_only=True):
    config_map_ref: ConfigMapEnvSource | None = None
    prefix: str = ""
    secret_ref: SecretEnvSource | None = None


class ExecAction(Record, frozen=True, kw_only=True):
    command: tuple[str, ...] = ()


class HTTPHeader(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name", "value"})
    name: str = ""
    value: str = ""


class HTTPGetAction(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"port"})
    host: str = ""
    http_headers: tuple[HTTPHeader, ...] = ()
    path: str = ""
    port: int | str = 0
    scheme: str = ""


class SleepAction(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"seconds"})
    seconds: int = 0


class TCPSocketAction(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"port"})
    host: str = ""
    port: int | str = 0


class LifecycleHandler(Record, frozen=True, kw_only=True):
    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    sleep: SleepAction | None = None
    tcp_socket: TCPSocketAction | None = None


class Lifecycle(Record, frozen=True, kw_only=True):
    post_start: LifecycleHandler | None = None
    pre_stop: LifecycleHandler | None = None
    stop_signal: str | None = None


class GRPCAction(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"port"})
    port: int = 0
    service: str | None = None


class Probe(Record, frozen=True, kw_only=True):
    exec: ExecAction | None = None
    failure_threshold: int = 0
    grpc: GRPCAction | None = None
    http_get: HTTPGetAction | None = None
    initial_delay_seconds: int = 0
    period_seconds: int = 0
    success_threshold: int = 0
    tcp_socket: TCPSocketAction | None = None
    termination_grace_period_seconds: int | None = None
    timeout_seconds: int = 0


class ContainerPort(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"containerPort"})
    container_port: int = 0
    host_ip: str = field(default="", name="hostIP")
    host_port: int = 0
    name: str = ""
    protocol: str = ""


class ContainerResizePolicy(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"resourceName", "restartPolicy"})
    resource_name: str = ""
    restart_policy: str = ""


class ResourceClaim(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name"})
    name: str = ""
    request: str = ""


class ResourceRequirements(Record, frozen=True, kw_only=True):
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"claims": "name"}
    claims: tuple[ResourceClaim, ...] = ()
    limits: Mapping[str, str] = {}
    requests: Mapping[str, str] = {}


class AppArmorProfile(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"type"})
    localhost_profile: str | None = None
    type: str = ""


class Capabilities(Record, frozen=True, kw_only=True):
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class SELinuxOptions(Record, frozen=True, kw_only=True):
    level: str = ""
    role: str = ""
    type: str = ""
    user: str = ""


class SeccompProfile(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"type"})
    localhost_profile: str | None = None
    type: str = ""


class WindowsSecurityContextOptions(Record, frozen=True, kw_only=True):
    gmsa_credential_spec: str | None = None
    gmsa_credential_spec_name: str | None = None
    host_process: bool | None = None
    run_as_user_name: str | None = None


class SecurityContext(Record, frozen=True, kw_only=True):
    allow_privilege_escalation: bool | None = None
    app_armor_profile: AppArmorProfile | None = None
    capabilities: Capabilities | None = None
    privileged: bool | None = None
    proc_mount: str | None = None
    read_only_root_filesystem: bool | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    run_as_user: int | None = None
    se_linux_options: SELinuxOptions | None = None
    seccomp_profile: SeccompProfile | None = None
    windows_options: WindowsSecurityContextOptions | None = None


class VolumeDevice(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"devicePath", "name"})
    device_path: str = ""
    name: str = ""


class VolumeMount(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"mountPath", "name"})
    mount_path: str = ""
    mount_propagation: str | None = None
    name: str = ""
    read_only: bool = False
    recursive_read_only: str | None = None
    sub_path: str = ""
    sub_path_expr: str = ""


class Container(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name"})
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {
        "env": "name",
        "volumeDevices": "devicePath",
        "volumeMounts": "mountPath",
    }
    args: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFromSource, ...] = ()
    image: str = ""
    image_pull_policy: str = ""
    lifecycle: Lifecycle | None = None
    liveness_probe: Probe | None = None
    name: str = ""
    ports: tuple[ContainerPort, ...] = ()
    readiness_probe: Probe | None = None
    resize_policy: tuple[ContainerResizePolicy, ...] = ()
    resources: ResourceRequirements = ResourceRequirements()
    restart_policy: str | None = None
    security_context: SecurityContext | None = None
    startup_probe: Probe | None = None
    stdin: bool = False
    stdin_once: bool = False
    termination_message_path: str = ""
    termination_message_policy: str = ""
    tty: bool = False
    volume_devices: tuple[VolumeDevice, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    working_dir: str = ""


class PodDNSConfigOption(Record, frozen=True, kw_only=True):
    name: str = ""
    value: str | None = None


class PodDNSConfig(Record, frozen=True, kw_only=True):
    nameservers: tuple[str, ...] = ()
    options: tuple[PodDNSConfigOption, ...] = ()
    searches: tuple[str, ...] = ()


class EphemeralContainer(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name"})
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {
        "env": "name",
        "volumeDevices": "devicePath",
        "volumeMounts": "mountPath",
    }
    args: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFromSource, ...] = ()
    image: str = ""
    image_pull_policy: str = ""
    lifecycle: Lifecycle | None = None
    liveness_probe: Probe | None = None
    name: str = ""
    ports: tuple[ContainerPort, ...] = ()
    readiness_probe: Probe | None = None
    resize_policy: tuple[ContainerResizePolicy, ...] = ()
    resources: ResourceRequirements = ResourceRequirements()
    restart_policy: str | None = None
    security_context: SecurityContext | None = None
    startup_probe: Probe | None = None
    stdin: bool = False
    stdin_once: bool = False
    target_container_name: str = ""
    termination_message_path: str = ""
    termination_message_policy: str = ""
    tty: bool = False
    volume_devices: tuple[VolumeDevice, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    working_dir: str = ""


class HostAlias(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"ip"})
    hostnames: tuple[str, ...] = ()
    ip: str = ""


class LocalObjectReference(Record, frozen=True, kw_only=True):
    name: str = ""


class PodOS(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name"})
    name: str = ""


class PodReadinessGate(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"conditionType"})
    condition_type: str = ""


class PodResourceClaim(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name"})
    name: str = ""
    resource_claim_name: str | None = None
    resource_claim_template_name: str | None = None


class PodSchedulingGate(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name"})
    name: str = ""


class Sysctl(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name", "value"})
    name: str = ""
    value: str = ""


class PodSecurityContext(Record, frozen=True, kw_only=True):
    app_armor_profile: AppArmorProfile | None = None
    fs_group: int | None = None
    fs_group_change_policy: str | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    run_as_user: int | None = None
    se_linux_change_policy: str | None = None
    se_linux_options: SELinuxOptions | None = None
    seccomp_profile: SeccompProfile | None = None
    supplemental_groups: tuple[int, ...] = ()
    supplemental_groups_policy: str | None = None
    sysctls: tuple[Sysctl, ...] = ()
    windows_options: WindowsSecurityContextOptions | None = None


class Toleration(Record, frozen=True, kw_only=True):
    effect: str = ""
    key: str = ""
    operator: str = ""
    toleration_seconds: int | None = None
    value: str = ""


class TopologySpreadConstraint(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"maxSkew", "topologyKey", "whenUnsatisfiable"})
    label_selector: meta_v1.LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    max_skew: int = 0
    min_domains: int | None = None
    node_affinity_policy: str | None = None
    node_taints_policy: str | None = None
    topology_key: str = ""
    when_unsatisfiable: str = ""


class AWSElasticBlockStoreVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"volumeID"})
    fs_type: str = ""
    partition: int = 0
    read_only: bool = False
    volume_id: str = field(default="", name="volumeID")


class AzureDiskVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"diskName", "diskURI"})
    caching_mode: str | None = None
    disk_name: str = ""
    disk_uri: str = field(default="", name="diskURI")
    fs_type: str | None = None
    kind: str | None = None
    read_only: bool | None = None


class AzureFileVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"secretName", "shareName"})
    read_only: bool = False
    secret_name: str = ""
    share_name: str = ""


class CephFSVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"monitors"})
    monitors: tuple[str, ...] = ()
    path: str = ""
    read_only: bool = False
    secret_file: str = ""
    secret_ref: LocalObjectReference | None = None
    user: str = ""


class CinderVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"volumeID"})
    fs_type: str = ""
    read_only: bool = False
    secret_ref: LocalObjectReference | None = None
    volume_id: str = field(default="", name="volumeID")


class KeyToPath(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"key", "path"})
    key: str = ""
    mode: int | None = None
    path: str = ""


class ConfigMapVolumeSource(Record, frozen=True, kw_only=True):
    default_mode: int | None = None
    items: tuple[KeyToPath, ...] = ()
    name: str = ""
    optional: bool | None = None


class CSIVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"driver"})
    driver: str = ""
    fs_type: str | None = None
    node_publish_secret_ref: LocalObjectReference | None = None
    read_only: bool | None = None
    volume_attributes: Mapping[str, str] = {}


class DownwardAPIVolumeFile(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"path"})
    field_ref: ObjectFieldSelector | None = None
    mode: int | None = None
    path: str = ""
    resource_field_ref: ResourceFieldSelector | None = None


class DownwardAPIVolumeSource(Record, frozen=True, kw_only=True):
    default_mode: int | None = None
    items: tuple[DownwardAPIVolumeFile, ...] = ()


class EmptyDirVolumeSource(Record, frozen=True, kw_only=True):
    medium: str = ""
    size_limit: str | None = None


class TypedLocalObjectReference(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"kind", "name"})
    api_group: str | None = None
    kind: str = ""
    name: str = ""


class TypedObjectReference(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"kind", "name"})
    api_group: str | None = None
    kind: str = ""
    name: str = ""
    namespace: str | None = None


class VolumeResourceRequirements(Record, frozen=True, kw_only=True):
    limits: Mapping[str, str] = {}
    requests: Mapping[str, str] = {}


class PersistentVolumeClaimSpec(Record, frozen=True, kw_only=True):
    access_modes: tuple[str, ...] = ()
    data_source: TypedLocalObjectReference | None = None
    data_source_ref: TypedObjectReference | None = None
    resources: VolumeResourceRequirements = VolumeResourceRequirements()
    selector: meta_v1.LabelSelector | None = None
    storage_class_name: str | None = None
    volume_attributes_class_name: str | None = None
    volume_mode: str | None = None
    volume_name: str = ""


class PersistentVolumeClaimTemplate(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"spec"})
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()


class EphemeralVolumeSource(Record, frozen=True, kw_only=True):
    volume_claim_template: PersistentVolumeClaimTemplate | None = None


class FCVolumeSource(Record, frozen=True, kw_only=True):
    fs_type: str = ""
    lun: int | None = None
    read_only: bool = False
    target_wwns: tuple[str, ...] = field(default=(), name="targetWWNs")
    wwids: tuple[str, ...] = ()


class FlexVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"driver"})
    driver: str = ""
    fs_type: str = ""
    options: Mapping[str, str] = {}
    read_only: bool = False
    secret_ref: LocalObjectReference | None = None


class FlockerVolumeSource(Record, frozen=True, kw_only=True):
    dataset_name: str = ""
    dataset_uuid: str = field(default="", name="datasetUUID")


class GCEPersistentDiskVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"pdName"})
    fs_type: str = ""
    partition: int = 0
    pd_name: str = ""
    read_only: bool = False


class GitRepoVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"repository"})
    directory: str = ""
    repository: str = ""
    revision: str = ""


class GlusterfsVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"endpoints", "path"})
    endpoints: str = ""
    path: str = ""
    read_only: bool = False


class HostPathVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"path"})
    path: str = ""
    type: str | None = None


class ImageVolumeSource(Record, frozen=True, kw_only=True):
    pull_policy: str = ""
    reference: str = ""


class ISCSIVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"iqn", "lun", "targetPortal"})
    chap_auth_discovery: bool = False
    chap_auth_session: bool = False
    fs_type: str = ""
    initiator_name: str | None = None
    iqn: str = ""
    iscsi_interface: str = ""
    lun: int = 0
    portals: tuple[str, ...] = ()
    read_only: bool = False
    secret_ref: LocalObjectReference | None = None
    target_portal: str = ""


class NFSVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"path", "server"})
    path: str = ""
    read_only: bool = False
    server: str = ""


class PersistentVolumeClaimVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"claimName"})
    claim_name: str = ""
    read_only: bool = False


class PhotonPersistentDiskVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"pdID"})
    fs_type: str = ""
    pd_id: str = field(default="", name="pdID")


class PortworxVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"volumeID"})
    fs_type: str = ""
    read_only: bool = False
    volume_id: str = field(default="", name="volumeID")


class ClusterTrustBundleProjection(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"path"})
    label_selector: meta_v1.LabelSelector | None = None
    name: str | None = None
    optional: bool | None = None
    path: str = ""
    signer_name: str | None = None


class ConfigMapProjection(Record, frozen=True, kw_only=True):
    items: tuple[KeyToPath, ...] = ()
    name: str = ""
    optional: bool | None = None


class DownwardAPIProjection(Record, frozen=True, kw_only=True):
    items: tuple[DownwardAPIVolumeFile, ...] = ()


class SecretProjection(Record, frozen=True, kw_only=True):
    items: tuple[KeyToPath, ...] = ()
    name: str = ""
    optional: bool | None = None


class ServiceAccountTokenProjection(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"path"})
    audience: str = ""
    expiration_seconds: int | None = None
    path: str = ""


class VolumeProjection(Record, frozen=True, kw_only=True):
    cluster_trust_bundle: ClusterTrustBundleProjection | None = None
    config_map: ConfigMapProjection | None = None
    downward_api: DownwardAPIProjection | None = field(default=None, name="downwardAPI")
    secret: SecretProjection | None = None
    service_account_token: ServiceAccountTokenProjection | None = None


class ProjectedVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"sources"})
    default_mode: int | None = None
    sources: tuple[VolumeProjection, ...] = ()


class QuobyteVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"registry", "volume"})
    group: str = ""
    read_only: bool = False
    registry: str = ""
    tenant: str = ""
    user: str = ""
    volume: str = ""


class RBDVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"image", "monitors"})
    fs_type: str = ""
    image: str = ""
    keyring: str = ""
    monitors: tuple[str, ...] = ()
    pool: str = ""
    read_only: bool = False
    secret_ref: LocalObjectReference | None = None
    user: str = ""


class ScaleIOVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"gateway", "system"})
    fs_type: str = ""
    gateway: str = ""
    protection_domain: str = ""
    read_only: bool = False
    secret_ref: LocalObjectReference | None = None
    ssl_enabled: bool = False
    storage_mode: str = ""
    storage_pool: str = ""
    system: str = ""
    volume_name: str = ""


class SecretVolumeSource(Record, frozen=True, kw_only=True):
    default_mode: int | None = None
    items: tuple[KeyToPath, ...] = ()
    optional: bool | None = None
    secret_name: str = ""


class StorageOSVolumeSource(Record, frozen=True, kw_only=True):
    fs_type: str = ""
    read_only: bool = False
    secret_ref: LocalObjectReference | None = None
    volume_name: str = ""
    volume_namespace: str = ""


class VsphereVirtualDiskVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"volumePath"})
    fs_type: str = ""
    storage_policy_id: str = field(default="", name="storagePolicyID")
    storage_policy_name: str = ""
    volume_path: str = ""


class Volume(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name"})
    aws_elastic_block_store: AWSElasticBlockStoreVolumeSource | None = None
    azure_disk: AzureDiskVolumeSource | None = None
    azure_file: AzureFileVolumeSource | None = None
    cephfs: CephFSVolumeSource | None = None
    cinder: CinderVolumeSource | None = None
    config_map: ConfigMapVolumeSource | None = None
    csi: CSIVolumeSource | None = None
    downward_api: DownwardAPIVolumeSource | None = field(default=None, name="downwardAPI")
    empty_dir: EmptyDirVolumeSource | None = None
    ephemeral: EphemeralVolumeSource | None = None
    fc: FCVolumeSource | None = None
    flex_volume: FlexVolumeSource | None = None
    flocker: FlockerVolumeSource | None = None
    gce_persistent_disk: GCEPersistentDiskVolumeSource | None = None
    git_repo: GitRepoVolumeSource | None = None
    glusterfs: GlusterfsVolumeSource | None = None
    host_path: HostPathVolumeSource | None = None
    image: ImageVolumeSource | None = None
    iscsi: ISCSIVolumeSource | None = None
    name: str = ""
    nfs: NFSVolumeSource | None = None
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None
    photon_persistent_disk: PhotonPersistentDiskVolumeSource | None = None
    portworx_volume: PortworxVolumeSource | None = None
    projected: ProjectedVolumeSource | None = None
    quobyte: QuobyteVolumeSource | None = None
    rbd: RBDVolumeSource | None = None
    scale_io: ScaleIOVolumeSource | None = field(default=None, name="scaleIO")
    secret: SecretVolumeSource | None = None
    storageos: StorageOSVolumeSource | None = None
    vsphere_volume: VsphereVirtualDiskVolumeSource | None = None


class PodSpec(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"containers"})
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {
        "containers": "name",
        "ephemeralContainers": "name",
        "hostAliases": "ip",
        "imagePullSecrets": "name",
        "initContainers": "name",
        "resourceClaims": "name",
        "schedulingGates": "name",
        "volumes": "name",
    }
    active_deadline_seconds: int | None = None
    affinity: Affinity | None = None
    automount_service_account_token: bool | None = None
    containers: tuple[Container, ...] = ()
    dns_config: PodDNSConfig | None = None
    dns_policy: str = ""
    enable_service_links: bool | None = None
    ephemeral_containers: tuple[EphemeralContainer, ...] = ()
    host_aliases: tuple[HostAlias, ...] = ()
    host_ipc: bool = field(default=False, name="hostIPC")
    host_network: bool = False
    host_pid: bool = field(default=False, name="hostPID")
    host_users: bool | None = None
    hostname: str = ""
    image_pull_secrets: tuple[LocalObjectReference, ...] = ()
    init_containers: tuple[Container, ...] = ()
    node_name: str = ""
    node_selector: Mapping[str, str] = {}
    os: PodOS | None = None
    overhead: Mapping[str, str] = {}
    preemption_policy: str | None = None
    priority: int | None = None
    priority_class_name: str = ""
    readiness_gates: tuple[PodReadinessGate, ...] = ()
    resource_claims: tuple[PodResourceClaim, ...] = ()
    resources: ResourceRequirements | None = None
    restart_policy: str = ""
    runtime_class_name: str | None = None
    scheduler_name: str = ""
    scheduling_gates: tuple[PodSchedulingGate, ...] = ()
    security_context: PodSecurityContext | None = None
    service_account: str = ""
    service_account_name: str = ""
    set_hostname_as_fqdn: bool | None = field(default=None, name="setHostnameAsFQDN")
    share_process_namespace: bool | None = None
    subdomain: str = ""
    termination_grace_period_seconds: int | None = None
    tolerations: tuple[Toleration, ...] = ()
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = ()
    volumes: tuple[Volume, ...] = ()


class PodTemplateSpec(Record, frozen=True, kw_only=True):
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: PodSpec = PodSpec()


class PersistentVolumeClaimCondition(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"status", "type"})
    last_probe_time: str | None = None
    last_transition_time: str | None = None
    message: str = ""
    reason: str = ""
    status: str = ""
    type: str = ""


class ModifyVolumeStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"status"})
    status: str = ""
    target_volume_attributes_class_name: str = ""


class PersistentVolumeClaimStatus(Record, frozen=True, kw_only=True):
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"conditions": "type"}
    access_modes: tuple[str, ...] = ()
    allocated_resource_statuses: Mapping[str, str] = {}
    allocated_resources: Mapping[str, str] = {}
    capacity: Mapping[str, str] = {}
    conditions: tuple[PersistentVolumeClaimCondition, ...] = ()
    current_volume_attributes_class_name: str | None = None
    modify_volume_status: ModifyVolumeStatus | None = None
    phase: str = ""


class PersistentVolumeClaim(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "v1"
    kind: str = "PersistentVolumeClaim"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()
    status: PersistentVolumeClaimStatus = PersistentVolumeClaimStatus()


class ObjectReference(Record, frozen=True, kw_only=True):
    api_version: str = ""
    field_path: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    resource_version: str = ""
    uid: str = ""


class Binding(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "target"})
    api_version: str = "v1"
    kind: str = "Binding"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    target: ObjectReference = ObjectReference()


class ComponentCondition(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"status", "type"})
    error: str = ""
    message: str = ""
    status: str = ""
    type: str = ""


class ComponentStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"conditions": "type"}
    api_version: str = "v1"
    conditions: tuple[ComponentCondition, ...] = ()
    kind: str = "ComponentStatus"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()


class ConfigMap(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "v1"
    binary_data: Mapping[str, str] = {}
    data: Mapping[str, str] = {}
    immutable: bool | None = None
    kind: str = "ConfigMap"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()


class EndpointAddress(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"ip"})
    hostname: str = ""
    ip: str = ""
    node_name: str | None = None
    target_ref: ObjectReference | None = None


class EndpointPort(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"port"})
    app_protocol: str | None = None
    name: str = ""
    port: int = 0
    protocol: str = ""


class EndpointSubset(Record, frozen=True, kw_only=True):
    addresses: tuple[EndpointAddress, ...] = ()
    not_ready_addresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class Endpoints(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "v1"
    kind: str = "Endpoints"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    subsets: tuple[EndpointSubset, ...] = ()


class EventSeries(Record, frozen=True, kw_only=True):
    count: int = 0
    last_observed_time: str | None = None


class EventSource(Record, frozen=True, kw_only=True):
    component: str = ""
    host: str = ""


class Event(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset(
        {
            "apiVersion",
            "involvedObject",
            "kind",
            "metadata",
            "reportingComponent",
            "reportingInstance",
        }
    )
    action: str = ""
    api_version: str = "v1"
    count: int = 0
    event_time: str | None = None
    first_timestamp: str | None = None
    involved_object: ObjectReference = ObjectReference()
    kind: str = "Event"
    last_timestamp: str | None = None
    message: str = ""
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    reason: str = ""
    related: ObjectReference | None = None
    reporting_component: str = ""
    reporting_instance: str = ""
    series: EventSeries | None = None
    source: EventSource = EventSource()
    type: str = ""


class LimitRangeItem(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"type"})
    default: Mapping[str, str] = {}
    default_request: Mapping[str, str] = {}
    max: Mapping[str, str] = {}
    max_limit_request_ratio: Mapping[str, str] = {}
    min: Mapping[str, str] = {}
    type: str = ""


class LimitRangeSpec(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"limits"})
    limits: tuple[LimitRangeItem, ...] = ()


class LimitRange(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "v1"
    kind: str = "LimitRange"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: LimitRangeSpec = LimitRangeSpec()


class NamespaceSpec(Record, frozen=True, kw_only=True):
    finalizers: tuple[str, ...] = ()


class NamespaceCondition(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"status", "type"})
    last_transition_time: str | None = None
    message: str = ""
    reason: str = ""
    status: str = ""
    type: str = ""


class NamespaceStatus(Record, frozen=True, kw_only=True):
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"conditions": "type"}
    conditions: tuple[NamespaceCondition, ...] = ()
    phase: str = ""


class Namespace(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "v1"
    kind: str = "Namespace"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: NamespaceSpec = NamespaceSpec()
    status: NamespaceStatus = NamespaceStatus()


class ConfigMapNodeConfigSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"kubeletConfigKey", "name", "namespace"})
    kubelet_config_key: str = ""
    name: str = ""
    namespace: str = ""
    resource_version: str = ""
    uid: str = ""


class NodeConfigSource(Record, frozen=True, kw_only=True):
    config_map: ConfigMapNodeConfigSource | None = None


class Taint(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"effect", "key"})
    effect: str = ""
    key: str = ""
    time_added: str | None = None
    value: str = ""


class NodeSpec(Record, frozen=True, kw_only=True):
    config_source: NodeConfigSource | None = None
    external_id: str = field(default="", name="externalID")
    pod_cidr: str = field(default="", name="podCIDR")
    pod_cidrs: tuple[str, ...] = field(default=(), name="podCIDRs")
    provider_id: str = field(default="", name="providerID")
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False


class NodeAddress(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"address", "type"})
    address: str = ""
    type: str = ""


class NodeCondition(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"status", "type"})
    last_heartbeat_time: str | None = None
    last_transition_time: str | None = None
    message: str = ""
    reason: str = ""
    status: str = ""
    type: str = ""


class NodeConfigStatus(Record, frozen=True, kw_only=True):
    active: NodeConfigSource | None = None
    assigned: NodeConfigSource | None = None
    error: str = ""
    last_known_good: NodeConfigSource | None = None


class DaemonEndpoint(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"Port"})
    port: int = field(default=0, name="Port")


class NodeDaemonEndpoints(Record, frozen=True, kw_only=True):
    kubelet_endpoint: DaemonEndpoint = DaemonEndpoint()


class NodeFeatures(Record, frozen=True, kw_only=True):
    supplemental_groups_policy: bool | None = None


class ContainerImage(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"names"})
    names: tuple[str, ...] = ()
    size_bytes: int = 0


class NodeSwapStatus(Record, frozen=True, kw_only=True):
    capacity: int | None = None


class NodeSystemInfo(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset(
        {
            "architecture",
            "bootID",
            "containerRuntimeVersion",
            "kernelVersion",
            "kubeProxyVersion",
            "kubeletVersion",
            "machineID",
            "operatingSystem",
            "osImage",
            "systemUUID",
        }
    )
    architecture: str = ""
    boot_id: str = field(default="", name="bootID")
    container_runtime_version: str = ""
    kernel_version: str = ""
    kube_proxy_version: str = ""
    kubelet_version: str = ""
    machine_id: str = field(default="", name="machineID")
    operating_system: str = ""
    os_image: str = ""
    swap: NodeSwapStatus | None = None
    system_uuid: str = field(default="", name="systemUUID")


class NodeRuntimeHandlerFeatures(Record, frozen=True, kw_only=True):
    recursive_read_only_mounts: bool | None = None
    user_namespaces: bool | None = None


class NodeRuntimeHandler(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name"})
    features: NodeRuntimeHandlerFeatures | None = None
    name: str = ""


class AttachedVolume(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"devicePath", "name"})
    device_path: str = ""
    name: str = ""


class NodeStatus(Record, frozen=True, kw_only=True):
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"addresses": "type", "conditions": "type"}
    addresses: tuple[NodeAddress, ...] = ()
    allocatable: Mapping[str, str] = {}
    capacity: Mapping[str, str] = {}
    conditions: tuple[NodeCondition, ...] = ()
    config: NodeConfigStatus | None = None
    daemon_endpoints: NodeDaemonEndpoints = NodeDaemonEndpoints()
    features: NodeFeatures | None = None
    images: tuple[ContainerImage, ...] = ()
    node_info: NodeSystemInfo = NodeSystemInfo()
    phase: str = ""
    runtime_handlers: tuple[NodeRuntimeHandler, ...] = ()
    volumes_attached: tuple[AttachedVolume, ...] = ()
    volumes_in_use: tuple[str, ...] = ()


class Node(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "v1"
    kind: str = "Node"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class AzureFilePersistentVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"secretName", "shareName"})
    read_only: bool = False
    secret_name: str = ""
    secret_namespace: str | None = None
    share_name: str = ""


class SecretReference(Record, frozen=True, kw_only=True):
    name: str = ""
    namespace: str = ""


class CephFSPersistentVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"monitors"})
    monitors: tuple[str, ...] = ()
    path: str = ""
    read_only: bool = False
    secret_file: str = ""
    secret_ref: SecretReference | None = None
    user: str = ""


class CinderPersistentVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"volumeID"})
    fs_type: str = ""
    read_only: bool = False
    secret_ref: SecretReference | None = None
    volume_id: str = field(default="", name="volumeID")


class CSIPersistentVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"driver", "volumeHandle"})
    controller_expand_secret_ref: SecretReference | None = None
    controller_publish_secret_ref: SecretReference | None = None
    driver: str = ""
    fs_type: str = ""
    node_expand_secret_ref: SecretReference | None = None
    node_publish_secret_ref: SecretReference | None = None
    node_stage_secret_ref: SecretReference | None = None
    read_only: bool = False
    volume_attributes: Mapping[str, str] = {}
    volume_handle: str = ""


class FlexPersistentVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"driver"})
    driver: str = ""
    fs_type: str = ""
    options: Mapping[str, str] = {}
    read_only: bool = False
    secret_ref: SecretReference | None = None


class GlusterfsPersistentVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"endpoints", "path"})
    endpoints: str = ""
    endpoints_namespace: str | None = None
    path: str = ""
    read_only: bool = False


class ISCSIPersistentVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"iqn", "lun", "targetPortal"})
    chap_auth_discovery: bool = False
    chap_auth_session: bool = False
    fs_type: str = ""
    initiator_name: str | None = None
    iqn: str = ""
    iscsi_interface: str = ""
    lun: int = 0
    portals: tuple[str, ...] = ()
    read_only: bool = False
    secret_ref: SecretReference | None = None
    target_portal: str = ""


class LocalVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"path"})
    fs_type: str | None = None
    path: str = ""


class VolumeNodeAffinity(Record, frozen=True, kw_only=True):
    required: NodeSelector | None = None


class RBDPersistentVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"image", "monitors"})
    fs_type: str = ""
    image: str = ""
    keyring: str = ""
    monitors: tuple[str, ...] = ()
    pool: str = ""
    read_only: bool = False
    secret_ref: SecretReference | None = None
    user: str = ""


class ScaleIOPersistentVolumeSource(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"gateway", "system"})
    fs_type: str = ""
    gateway: str = ""
    protection_domain: str = ""
    read_only: bool = False
    secret_ref: SecretReference | None = None
    ssl_enabled: bool = False
    storage_mode: str = ""
    storage_pool: str = ""
    system: str = ""
    volume_name: str = ""


class StorageOSPersistentVolumeSource(Record, frozen=True, kw_only=True):
    fs_type: str = ""
    read_only: bool = False
    secret_ref: ObjectReference | None = None
    volume_name: str = ""
    volume_namespace: str = ""


class PersistentVolumeSpec(Record, frozen=True, kw_only=True):
    access_modes: tuple[str, ...] = ()
    aws_elastic_block_store: AWSElasticBlockStoreVolumeSource | None = None
    azure_disk: AzureDiskVolumeSource | None = None
    azure_file: AzureFilePersistentVolumeSource | None = None
    capacity: Mapping[str, str] = {}
    cephfs: CephFSPersistentVolumeSource | None = None
    cinder: CinderPersistentVolumeSource | None = None
    claim_ref: ObjectReference | None = None
    csi: CSIPersistentVolumeSource | None = None
    fc: FCVolumeSource | None = None
    flex_volume: FlexPersistentVolumeSource | None = None
    flocker: FlockerVolumeSource | None = None
    gce_persistent_disk: GCEPersistentDiskVolumeSource | None = None
    glusterfs: GlusterfsPersistentVolumeSource | None = None
    host_path: HostPathVolumeSource | None = None
    iscsi: ISCSIPersistentVolumeSource | None = None
    local: LocalVolumeSource | None = None
    mount_options: tuple[str, ...] = ()
    nfs: NFSVolumeSource | None = None
    node_affinity: VolumeNodeAffinity | None = None
    persistent_volume_reclaim_policy: str = ""
    photon_persistent_disk: PhotonPersistentDiskVolumeSource | None = None
    portworx_volume: PortworxVolumeSource | None = None
    quobyte: QuobyteVolumeSource | None = None
    rbd: RBDPersistentVolumeSource | None = None
    scale_io: ScaleIOPersistentVolumeSource | None = field(default=None, name="scaleIO")
    storage_class_name: str = ""
    storageos: StorageOSPersistentVolumeSource | None = None
    volume_attributes_class_name: str | None = None
    volume_mode: str | None = None
    vsphere_volume: VsphereVirtualDiskVolumeSource | None = None


class PersistentVolumeStatus(Record, frozen=True, kw_only=True):
    last_phase_transition_time: str | None = None
    message: str = ""
    phase: str = ""
    reason: str = ""


class PersistentVolume(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "v1"
    kind: str = "PersistentVolume"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: PersistentVolumeSpec = PersistentVolumeSpec()
    status: PersistentVolumeStatus = PersistentVolumeStatus()


class PodCondition(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"status", "type"})
    last_probe_time: str | None = None
    last_transition_time: str | None = None
    message: str = ""
    observed_generation: int = 0
    reason: str = ""
    status: str = ""
    type: str = ""


class ResourceHealth(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"resourceID"})
    health: str = ""
    resource_id: str = field(default="", name="resourceID")


class ResourceStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name"})
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"resources": "resourceID"}
    name: str = ""
    resources: tuple[ResourceHealth, ...] = ()


class ContainerStateRunning(Record, frozen=True, kw_only=True):
    started_at: str | None = None


class ContainerStateTerminated(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"exitCode"})
    container_id: str = field(default="", name="containerID")
    exit_code: int = 0
    finished_at: str | None = None
    message: str = ""
    reason: str = ""
    signal: int = 0
    started_at: str | None = None


class ContainerStateWaiting(Record, frozen=True, kw_only=True):
    message: str = ""
    reason: str = ""


class ContainerState(Record, frozen=True, kw_only=True):
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None
    waiting: ContainerStateWaiting | None = None


class LinuxContainerUser(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"gid", "uid"})
    gid: int = 0
    supplemental_groups: tuple[int, ...] = ()
    uid: int = 0


class ContainerUser(Record, frozen=True, kw_only=True):
    linux: LinuxContainerUser | None = None


class VolumeMountStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"mountPath", "name"})
    mount_path: str = ""
    name: str = ""
    read_only: bool = False
    recursive_read_only: str | None = None


class ContainerStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset(
        {"image", "imageID", "name", "ready", "restartCount"}
    )
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {
        "allocatedResourcesStatus": "name",
        "volumeMounts": "mountPath",
    }
    allocated_resources: Mapping[str, str] = {}
    allocated_resources_status: tuple[ResourceStatus, ...] = ()
    container_id: str = field(default="", name="containerID")
    image: str = ""
    image_id: str = field(default="", name="imageID")
    last_state: ContainerState = ContainerState()
    name: str = ""
    ready: bool = False
    resources: ResourceRequirements | None = None
    restart_count: int = 0
    started: bool | None = None
    state: ContainerState = ContainerState()
    stop_signal: str | None = None
    user: ContainerUser | None = None
    volume_mounts: tuple[VolumeMountStatus, ...] = ()


class HostIP(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"ip"})
    ip: str = ""


class PodIP(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"ip"})
    ip: str = ""


class PodResourceClaimStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name"})
    name: str = ""
    resource_claim_name: str | None = None


class PodStatus(Record, frozen=True, kw_only=True):
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {
        "conditions": "type",
        "hostIPs": "ip",
        "podIPs": "ip",
        "resourceClaimStatuses": "name",
    }
    conditions: tuple[PodCondition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    ephemeral_container_statuses: tuple[ContainerStatus, ...] = ()
    host_ip: str = field(default="", name="hostIP")
    host_ips: tuple[HostIP, ...] = field(default=(), name="hostIPs")
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    message: str = ""
    nominated_node_name: str = ""
    observed_generation: int = 0
    phase: str = ""
    pod_ip: str = field(default="", name="podIP")
    pod_ips: tuple[PodIP, ...] = field(default=(), name="podIPs")
    qos_class: str = ""
    reason: str = ""
    resize: str = ""
    resource_claim_statuses: tuple[PodResourceClaimStatus, ...] = ()
    start_time: str | None = None


class Pod(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "v1"
    kind: str = "Pod"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class PodTemplate(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "v1"
    kind: str = "PodTemplate"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    template: PodTemplateSpec = PodTemplateSpec()


class ReplicationControllerSpec(Record, frozen=True, kw_only=True):
    min_ready_seconds: int = 0
    replicas: int | None = None
    selector: Mapping[str, str] = {}
    template: PodTemplateSpec | None = None


class ReplicationControllerCondition(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"status", "type"})
    last_transition_time: str | None = None
    message: str = ""
    reason: str = ""
    status: str = ""
    type: str = ""


class ReplicationControllerStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"replicas"})
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"conditions": "type"}
    available_replicas: int = 0
    conditions: tuple[ReplicationControllerCondition, ...] = ()
    fully_labeled_replicas: int = 0
    observed_generation: int = 0
    ready_replicas: int = 0
    replicas: int = 0


class ReplicationController(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "v1"
    kind: str = "ReplicationController"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: ReplicationControllerSpec = ReplicationControllerSpec()
    status: ReplicationControllerStatus = ReplicationControllerStatus()


class ScopedResourceSelectorRequirement(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"operator", "scopeName"})
    operator: str = ""
    scope_name: str = ""
    values: tuple[str, ...] = ()


class ScopeSelector(Record, frozen=True, kw_only=True):
    match_expressions: tuple[ScopedResourceSelectorRequirement, ...] = ()


class ResourceQuotaSpec(Record, frozen=True, kw_only=True):
    hard: Mapping[str, str] = {}
    scope_selector: ScopeSelector | None = None
    scopes: tuple[str, ...] = ()


class ResourceQuotaStatus(Record, frozen=True, kw_only=True):
    hard: Mapping[str, str] = {}
    used: Mapping[str, str] = {}


class ResourceQuota(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "v1"
    kind: str = "ResourceQuota"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: ResourceQuotaSpec = ResourceQuotaSpec()
    status: ResourceQuotaStatus = ResourceQuotaStatus()


class Secret(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "v1"
    data: Mapping[str, str] = {}
    immutable: bool | None = None
    kind: str = "Secret"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    string_data: Mapping[str, str] = {}
    type: str = ""


class ServicePort(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"port"})
    app_protocol: str | None = None
    name: str = ""
    node_port: int = 0
    port: int = 0
    protocol: str = ""
    target_port: int | str = 0


class ClientIPConfig(Record, frozen=True, kw_only=True):
    timeout_seconds: int | None = None


class SessionAffinityConfig(Record, frozen=True, kw_only=True):
    client_ip: ClientIPConfig | None = field(default=None, name="clientIP")


class ServiceSpec(Record, frozen=True, kw_only=True):
    allocate_load_balancer_node_ports: bool | None = None
    cluster_ip: str = field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = field(default=(), name="clusterIPs")
    external_ips: tuple[str, ...] = field(default=(), name="externalIPs")
    external_name: str = ""
    external_traffic_policy: str = ""
    health_check_node_port: int = 0
    internal_traffic_policy: str | None = None
    ip_families: tuple[str, ...] = ()
    ip_family_policy: str | None = None
    load_balancer_class: str | None = None
    load_balancer_ip: str = field(default="", name="loadBalancerIP")
    load_balancer_source_ranges: tuple[str, ...] = ()
    ports: tuple[ServicePort, ...] = ()
    publish_not_ready_addresses: bool = False
    selector: Mapping[str, str] = {}
    session_affinity: str = ""
    session_affinity_config: SessionAffinityConfig | None = None
    traffic_distribution: str | None = None
    type: str = ""


class PortStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"port", "protocol"})
    error: str | None = None
    port: int = 0
    protocol: str = ""


class LoadBalancerIngress(Record, frozen=True, kw_only=True):
    hostname: str = ""
    ip: str = ""
    ip_mode: str | None = None
    ports: tuple[PortStatus, ...] = ()


class LoadBalancerStatus(Record, frozen=True, kw_only=True):
    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(Record, frozen=True, kw_only=True):
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"conditions": "type"}
    conditions: tuple[meta_v1.Condition, ...] = ()
    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Service(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "v1"
    kind: str = "Service"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()


class ServiceAccount(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"secrets": "name"}
    api_version: str = "v1"
    automount_service_account_token: bool | None = None
    image_pull_secrets: tuple[LocalObjectReference, ...] = ()
    kind: str = "ServiceAccount"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    secrets: tuple[ObjectReference, ...] = ()


class TopologySelectorLabelRequirement(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"key", "values"})
    key: str = ""
    values: tuple[str, ...] = ()


class TopologySelectorTerm(Record, frozen=True, kw_only=True):
    match_label_expressions: tuple[TopologySelectorLabelRequirement, ...] = ()
