"""The pods behind services: which they are, at which addresses and ports. PURE.

Source: Kubernetes' documentation, "Service", "EndpointSlices", "DNS for Services and Pods"
("Pod's hostname and subdomain fields"); kube-behaviour 5.4.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from controlplane.api import pods
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Container, ObjectReference, Pod, Service, ServicePort
from controlplane.indexer import Key

HEADLESS = "None"
HEADLESS_LABEL = "service.kubernetes.io/headless"
TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"


def is_selecting(service: Service) -> bool:
    """Whether its endpoints are ours to make; others are made by whoever made it."""
    return bool(service.spec.selector) and service.spec.type != "ExternalName"


def is_headless(service: Service) -> bool:
    """Whether it has no address of its own."""
    return service.spec.cluster_ip in ("", HEADLESS)


def is_backend(pod: Pod, *, with_terminating: bool) -> bool:
    """Whether requests may ever reach it."""
    if pods.is_finished(pod) or not (pod.status.pod_ip or pod.status.pod_ips):
        return False
    return with_terminating or not pods.is_deleted(pod)


def families_of(service: Service) -> list[str]:
    """`IPv4`, `IPv6`: those of a service, the first one before the second."""
    known = [one for one in service.spec.ip_families if one in ("IPv4", "IPv6")]
    if known:
        return known
    if not is_headless(service):
        return ["IPv6" if ":" in service.spec.cluster_ip else "IPv4"]
    return ["IPv4", "IPv6"]


def addresses_of(pod: Pod, family: str) -> tuple[str, ...]:
    """A pod's addresses of a family, each as everybody spells it."""
    told = [one.ip for one in pod.status.pod_ips] or [pod.status.pod_ip]
    return tuple(text for its_family, text in map(spelled, told) if its_family == family)


@lru_cache(maxsize=65_536)
def spelled(text: str) -> tuple[str, str]:
    """Family and spelling of an address; both are empty for what is none. Each is asked often."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return "", ""
    return f"IPv{found.version}", str(found)


def has_named_ports(service: Service) -> bool:
    """Whether its ports may have other numbers in each pod."""
    return any(isinstance(port.target_port, str) for port in service.spec.ports)


def port_of(pod: Pod, port: ServicePort) -> int | None:
    """The number at which a pod serves a port of a service; None: it does not.

    A name may be another number in each pod.
    """
    if isinstance(port.target_port, int):
        return port.target_port or port.port
    for container in _serving_containers(pod):
        for one in container.ports:
            if one.name == port.target_port and _protocol(one.protocol) == protocol_of(port):
                return one.container_port
    return None


def _serving_containers(pod: Pod) -> Iterator[Container]:
    yield from pod.spec.containers
    yield from (one for one in pod.spec.init_containers if one.restart_policy == "Always")


def protocol_of(port: ServicePort) -> str:
    """`TCP` where nothing is said."""
    return _protocol(port.protocol)


def _protocol(text: str) -> str:
    return text or "TCP"


def hostname_of(pod: Pod, service: Service) -> str:
    """Under which a pod is found behind a service by DNS; empty: it is not."""
    is_of = pod.spec.subdomain == service.metadata.name
    return pod.spec.hostname if is_of else ""


def reference_to(pod: Pod) -> ObjectReference:
    """Whose an address is."""
    metadata = pod.metadata
    return ObjectReference(
        kind="Pod", namespace=metadata.namespace, name=metadata.name, uid=metadata.uid
    )


def trigger_time(service: Service, changed: Iterable[Pod], *, is_new: bool) -> str:
    """When the first of what changed did, as far as objects say; empty: none does.

    is_new  whether the service had no endpoints before
    """
    found = (pods.condition(pod, pods.READY) for pod in changed)
    times = [ready.last_transition_time for ready in found if ready is not None]
    times += [service.metadata.creation_timestamp] if is_new else []
    return min((one for one in times if one), default="")


class Selectors:
    """The services of which each pod may be one, found without a look at all services."""

    def __init__(self) -> None:
        self._selectors: dict[Key, Mapping[str, str]] = {}
        self._by_pair: dict[tuple[str, str, str], set[Key]] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._selectors

    def put(self, key: Key, selector: Mapping[str, str]) -> None:
        """A service selects these pods now; empty: it selects none, but there it is."""
        if self._selectors.get(key) == selector:
            return
        self.remove(key)
        self._selectors[key] = selector
        if selector:
            self._by_pair.setdefault(_pair(key.namespace, selector), set()).add(key)

    def remove(self, key: Key) -> None:
        """A service is gone."""
        selector = self._selectors.pop(key, None)
        if selector:
            pair = _pair(key.namespace, selector)
            self._by_pair[pair].discard(key)
            if not self._by_pair[pair]:
                del self._by_pair[pair]

    def matching(self, pod: Object) -> list[Key]:
        """Services that select a pod."""
        metadata = pod["metadata"]
        labels: Mapping[str, str] = metadata.get("labels") or {}
        pairs = ((metadata["namespace"], name, value) for name, value in labels.items())
        found = (key for pair in pairs for key in self._by_pair.get(pair, ()))
        return sorted(key for key in found if self._selectors[key].items() <= labels.items())


def _pair(namespace: str, selector: Mapping[str, str]) -> tuple[str, str, str]:
    """Under which a selector is found: a pod that it selects has all of its pairs."""
    name = max(selector)
    return namespace, name, selector[name]


def label_pairs(pod: Object) -> list[str]:
    """Index of pods: all pairs of labels of a pod, in its namespace."""
    metadata = pod["metadata"]
    labels: Mapping[str, str] = metadata.get("labels") or {}
    return [_text(metadata["namespace"], name, value) for name, value in labels.items()]


def selected(found: Iterable[Object], selector: Mapping[str, str]) -> list[Object]:
    """Those of the pods that a selector selects."""
    wanted = selector.items()
    return [pod for pod in found if wanted <= (pod["metadata"].get("labels") or {}).items()]


def selector_pair(service: Service) -> str:
    """Under which `label_pairs` finds all pods that a service selects, and few others."""
    return _text(*_pair(service.metadata.namespace, service.spec.selector))


def _text(namespace: str, name: str, value: str) -> str:
    return f"{namespace}/{name}={value}"


def concern(pod: Object) -> object:
    """What of a pod matters to services: if all of it is as it was, nothing has changed."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    ready = [one for one in status.get("conditions") or () if one.get("type") == pods.READY]
    return (
        metadata.get("labels"),
        metadata.get("deletionTimestamp") is None,
        [spec.get(field) for field in ("nodeName", "hostname", "subdomain")],
        [status.get(field) for field in ("phase", "podIP", "podIPs")],
        [one.get("status") for one in ready],
    )
