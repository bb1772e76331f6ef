"""Services and slices, as short as they can be written."""

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.api.record import from_object
from controlplane.api.types.core_v1 import Service
from controlplane.api.types.discovery_v1 import EndpointSlice

READY: dict[str, Any] = {"ready": True, "serving": True, "terminating": False}
NOT_READY: dict[str, Any] = {"ready": False, "serving": False, "terminating": False}
ENDING: dict[str, Any] = {"ready": False, "serving": True, "terminating": True}
ENDED: dict[str, Any] = {"ready": False, "serving": False, "terminating": True}

HTTP: dict[str, Any] = {"name": "http", "protocol": "TCP", "port": 80}


def service_object(
    name: str = "web",
    *,
    namespace: str = "default",
    ports: Sequence[Mapping[str, Any]] = (HTTP,),
    ingress: Sequence[Mapping[str, Any]] = (),
    **spec: Any,
) -> dict[str, Any]:
    spec = {"type": "ClusterIP", "clusterIP": "10.96.0.10", **spec, "ports": list(ports)}
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
        "status": {"loadBalancer": {"ingress": list(ingress)}},
    }


def service(name: str = "web", **changes: Any) -> Service:
    return from_object(Service, service_object(name, **changes))


def endpoint(address: str, conditions: Mapping[str, Any] = READY, **more: Any) -> dict[str, Any]:
    return {"addresses": [address], "conditions": dict(conditions), **more}


def slice_object(
    *endpoints: Mapping[str, Any],
    name: str = "web-1",
    service: str = "web",
    namespace: str = "default",
    ports: Sequence[Mapping[str, Any]] = ({**HTTP, "port": 8080},),
    family: str = "IPv4",
) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": service}
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "addressType": family,
        "endpoints": list(endpoints),
        "ports": list(ports),
    }


def slice_of(*endpoints: Mapping[str, Any], **changes: Any) -> EndpointSlice:
    return from_object(EndpointSlice, slice_object(*endpoints, **changes))
