"""Addresses: what is taken is somebody's, and what is somebody's is taken once. PURE."""

from collections import defaultdict
from collections.abc import Iterator

from auditing.world import Object, World, called, full_name, has_labels, is_ready

_IP, _PORT, _PODS = "/ranges/ip/", "/ranges/port/", "/ranges/pods/"
_SERVICE = "kubernetes.io/service-name"


def faults(world: World) -> Iterator[str]:
    """What cannot be."""
    yield from _claims(world)
    for service in world.all("core/services"):
        if service["spec"].get("selector"):
            yield from _endpoints(world, service)
    yield from _left(world)


def _claims(world: World) -> Iterator[str]:
    wanted: dict[str, list[str]] = defaultdict(list)
    for service in world.all("core/services"):
        for key in _keys(service):
            wanted[key].append(full_name(service))
    for node in world.all("core/nodes"):
        name = node["metadata"]["name"]
        for cidr in node["spec"].get("podCIDRs") or ():
            wanted[f"{_PODS}{cidr}"].append(f"{name} {node['metadata']['uid']}")
    for key, whose in sorted(wanted.items()):
        if len(whose) > 1:
            yield f"{key} is had by {' and '.join(whose)}"
        elif key not in world.ranges:
            yield f"{key} of {whose[0]} is not taken: somebody else may get it"
        elif world.ranges[key] not in whose:
            yield f"{key} is taken by {world.ranges[key]}, but {whose[0]} has it"
    for key in sorted(world.ranges.keys() - wanted.keys()):
        yield f"{key} has leaked: it is taken by {world.ranges[key]}, which does not have it"


def _keys(service: Object) -> Iterator[str]:
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        return
    for address in spec.get("clusterIPs") or ():
        if address != "None":
            yield f"{_IP}{address}"
    ports = {
        (str(port.get("protocol", "TCP")).lower(), port["nodePort"])
        for port in spec.get("ports") or ()
        if port.get("nodePort")
    }
    for protocol, port in sorted(ports):
        yield f"{_PORT}{protocol}/{port}"


def _endpoints(world: World, service: Object) -> Iterator[str]:
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    ready = sorted(
        str(pod["status"]["podIP"])
        for pod in world.all(f"core/pods/{namespace}")
        if is_ready(pod) and has_labels(pod, service["spec"]["selector"])
    )
    sliced = sorted(
        str(address)
        for one in world.all(f"discovery.k8s.io/endpointslices/{namespace}")
        if (one["metadata"].get("labels") or {}).get(_SERVICE) == name
        for endpoint in one.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready")
        for address in endpoint["addresses"]
    )
    if sliced != ready:
        yield f"slices of {called(service)} have {sliced} ready: its pods are {ready}"
    listed = sorted(
        str(address["ip"])
        for one in world.all(f"core/endpoints/{namespace}")
        if one["metadata"]["name"] == name
        for subset in one.get("subsets") or ()
        for address in subset.get("addresses") or ()
    )
    if listed != ready:
        yield f"endpoints of {called(service)} are {listed}: its pods are {ready}"


def _left(world: World) -> Iterator[str]:
    services = {full_name(service) for service in world.all("core/services")}
    for one in world.all("discovery.k8s.io/endpointslices"):
        labels = one["metadata"].get("labels") or {}
        whose = f"{one['metadata']['namespace']}/{labels.get(_SERVICE)}"
        if _SERVICE in labels and whose not in services:
            yield f"{called(one)} is of service {whose}, which is gone"
