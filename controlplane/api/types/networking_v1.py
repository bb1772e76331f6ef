"""Types of `networking_v1`; made by scripts/gentypes."""

from collections.abc import Mapping
from typing import ClassVar

from controlplane.api.record import Record
from controlplane.api.types import core_v1, meta_v1


class ParentReference(Record, frozen=True, kw_only=True):
    group: str = ""
    name: str = ""
    namespace: str = ""
    resource: str = ""


class IPAddressSpec(Record, frozen=True, kw_only=True):
    parent_ref: ParentReference | None = None


class IPAddress(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "networking.k8s.io/v1"
    kind: str = "IPAddress"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: IPAddressSpec = IPAddressSpec()


class ServiceBackendPort(Record, frozen=True, kw_only=True):
    name: str = ""
    number: int = 0


class IngressServiceBackend(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name"})
    name: str = ""
    port: ServiceBackendPort = ServiceBackendPort()


class IngressBackend(Record, frozen=True, kw_only=True):
    resource: core_v1.TypedLocalObjectReference | None = None
    service: IngressServiceBackend | None = None


class HTTPIngressPath(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"backend"})
    backend: IngressBackend = IngressBackend()
    path: str = ""
    path_type: str | None = None


class HTTPIngressRuleValue(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"paths"})
    paths: tuple[HTTPIngressPath, ...] = ()


class IngressRule(Record, frozen=True, kw_only=True):
    host: str = ""
    http: HTTPIngressRuleValue | None = None


class IngressTLS(Record, frozen=True, kw_only=True):
    hosts: tuple[str, ...] = ()
    secret_name: str = ""


class IngressSpec(Record, frozen=True, kw_only=True):
    default_backend: IngressBackend | None = None
    ingress_class_name: str | None = None
    rules: tuple[IngressRule, ...] = ()
    tls: tuple[IngressTLS, ...] = ()


class IngressPortStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"port", "protocol"})
    error: str | None = None
    port: int = 0
    protocol: str = ""


class IngressLoadBalancerIngress(Record, frozen=True, kw_only=True):
    hostname: str = ""
    ip: str = ""
    ports: tuple[IngressPortStatus, ...] = ()


class IngressLoadBalancerStatus(Record, frozen=True, kw_only=True):
    ingress: tuple[IngressLoadBalancerIngress, ...] = ()


class IngressStatus(Record, frozen=True, kw_only=True):
    load_balancer: IngressLoadBalancerStatus = IngressLoadBalancerStatus()


class Ingress(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "networking.k8s.io/v1"
    kind: str = "Ingress"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: IngressSpec = IngressSpec()
    status: IngressStatus = IngressStatus()


class IngressClassParametersReference(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"kind", "name"})
    api_group: str | None = None
    kind: str = ""
    name: str = ""
    namespace: str | None = None
    scope: str | None = None


class IngressClassSpec(Record, frozen=True, kw_only=True):
    controller: str = ""
    parameters: IngressClassParametersReference | None = None


class IngressClass(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "networking.k8s.io/v1"
    kind: str = "IngressClass"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: IngressClassSpec = IngressClassSpec()


class NetworkPolicyPort(Record, frozen=True, kw_only=True):
    end_port: int | None = None
    port: int | str | None = None
    protocol: str | None = None


class IPBlock(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"cidr"})
    cidr: str = ""
    except_: tuple[str, ...] = ()


class NetworkPolicyPeer(Record, frozen=True, kw_only=True):
    ip_block: IPBlock | None = None
    namespace_selector: meta_v1.LabelSelector | None = None
    pod_selector: meta_v1.LabelSelector | None = None


class NetworkPolicyEgressRule(Record, frozen=True, kw_only=True):
    ports: tuple[NetworkPolicyPort, ...] = ()
    to: tuple[NetworkPolicyPeer, ...] = ()


class NetworkPolicyIngressRule(Record, frozen=True, kw_only=True):
    from_: tuple[NetworkPolicyPeer, ...] = ()
    ports: tuple[NetworkPolicyPort, ...] = ()


class NetworkPolicySpec(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"podSelector"})
    egress: tuple[NetworkPolicyEgressRule, ...] = ()
    ingress: tuple[NetworkPolicyIngressRule, ...] = ()
    pod_selector: meta_v1.LabelSelector = meta_v1.LabelSelector()
    policy_types: tuple[str, ...] = ()


class NetworkPolicy(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "networking.k8s.io/v1"
    kind: str = "NetworkPolicy"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: NetworkPolicySpec = NetworkPolicySpec()


class ServiceCIDRSpec(Record, frozen=True, kw_only=True):
    cidrs: tuple[str, ...] = ()


class ServiceCIDRStatus(Record, frozen=True, kw_only=True):
    MERGE_KEYS: ClassVar[Mapping[str, str]] = {"conditions": "type"}
    conditions: tuple[meta_v1.Condition, ...] = ()


class ServiceCIDR(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "networking.k8s.io/v1"
    kind: str = "ServiceCIDR"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: ServiceCIDRSpec = ServiceCIDRSpec()
    status: ServiceCIDRStatus = ServiceCIDRStatus()
