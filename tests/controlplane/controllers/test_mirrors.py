"""EndpointSlices of Endpoints that somebody made. Numbers are rows of kube-behaviour.md."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from controlplane.api import record
from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Endpoints
from controlplane.api.types.discovery_v1 import EndpointSlice
from controlplane.controllers import endpoint_slice_mirroring, garbage_collector, mirrors
from controlplane.controllers.packing import Plan
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.serving import service
from tests.controlplane.controllers.test_slices import applied

TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"


def endpoints(*subsets: Mapping[str, Any], **metadata: Any) -> Endpoints:
    told = {"name": "web", "namespace": "default", "uid": "uid-endpoints", **metadata}
    return record.from_object(Endpoints, {"metadata": told, "subsets": list(subsets)})


def subset(ready: Sequence[str], others: Sequence[str] = (), port: int = 80) -> Mapping[str, Any]:
    return {
        "addresses": [{"ip": ip} for ip in ready],
        "notReadyAddresses": [{"ip": ip} for ip in others],
        "ports": [{"name": "http", "port": port}],
    }


def made(found: Endpoints) -> list[EndpointSlice]:
    return applied(mirrors.plan(found, []), [])


def test_addresses_by_ports_and_families() -> None:
    """5.4."""
    found = endpoints(
        subset(["10.0.0.1", "fd00::1"], ["10.0.0.2"]), subset(["10.0.0.3", "nonsense"], port=81)
    )
    told = {
        (one.address_type, one.ports[0].port): {
            endpoint.addresses[0]: endpoint.conditions.ready for endpoint in one.endpoints
        }
        for one in made(found)
    }
    assert told == {
        ("IPv4", 80): {"10.0.0.1": True, "10.0.0.2": False},
        ("IPv6", 80): {"fd00::1": True},
        ("IPv4", 81): {"10.0.0.3": True},
    }


def test_whose_they_are() -> None:
    """5.4."""
    found = endpoints(
        subset(["10.0.0.1"]), labels={"a": "b"}, annotations={TRIGGER: "2023-11-14T22:13:20Z"}
    )
    (one,) = made(found)
    assert one.metadata.labels == {
        "a": "b",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
    }
    assert one.metadata.annotations == {TRIGGER: "2023-11-14T22:13:20Z"}
    (owner,) = one.metadata.owner_references
    assert (owner.kind, owner.name, owner.uid) == ("Endpoints", "web", "uid-endpoints")
    assert one.ports[0].protocol == "TCP"
    assert mirrors.plan(found, [one]) == Plan()
    assert mirrors.plan(endpoints(), [one]).delete == (one,)


def test_annotations_are_those_of_the_endpoints() -> None:
    """5.4: but for what is of the Endpoints only; also when nothing else has changed."""
    applied_last = "kubectl.kubernetes.io/last-applied-configuration"
    addresses = subset([f"10.0.0.{number}" for number in range(1, 151)])
    told = {"a": "b", applied_last: "{}", TRIGGER: "2023-11-14T22:13:20Z"}
    there = made(endpoints(addresses, annotations=told))
    mirrored = {"a": "b", TRIGGER: "2023-11-14T22:13:20Z"}
    assert [one.metadata.annotations for one in there] == [mirrored, mirrored]
    assert mirrors.plan(endpoints(addresses, annotations=told), there) == Plan()
    for others in ({"a": "c"}, {"d": "e"}, {}):
        changed = endpoints(addresses, annotations=others)
        planned = mirrors.plan(changed, there)
        assert [new.metadata.annotations for _, new in planned.update] == [others, others]
        assert not planned.create
        assert not planned.delete
        assert mirrors.plan(changed, [new for _, new in planned.update]) == Plan()


def test_a_change_is_written_in_its_place() -> None:
    """5.4."""
    there = made(endpoints(subset([f"10.0.0.{number}" for number in range(1, 151)])))
    fewer = endpoints(subset([f"10.0.0.{number}" for number in range(2, 151)], ["10.0.0.1"]))
    planned = mirrors.plan(fewer, there)
    assert not planned.create
    assert not planned.delete
    assert len(planned.update) == 1


def test_no_more_than_a_thousand_of_each_subset() -> None:
    """5.4: ready ones first."""
    many = [f"10.{number // 250}.0.{number % 250}" for number in range(1200)]
    there = made(endpoints(subset(many[:900], many[900:])))
    told = [endpoint.conditions.ready for one in there for endpoint in one.endpoints]
    assert (told.count(True), told.count(False)) == (900, 100)


def test_what_is_not_mirrored() -> None:
    """5.4: what is ours, is nobody's, or shall not be."""
    bare = service(selector={})
    assert mirrors.is_mirrored(endpoints(), bare)
    assert not mirrors.is_mirrored(endpoints(), None)
    assert not mirrors.is_mirrored(endpoints(), service())
    skipped = endpoints(labels={"endpointslice.kubernetes.io/skip-mirror": "true"})
    assert not mirrors.is_mirrored(skipped, bare)
    leader = endpoints(annotations={"control-plane.alpha.kubernetes.io/leader": "{}"})
    assert not mirrors.is_mirrored(leader, bare)
    ending = msgspec.structs.replace(bare.metadata, deletion_timestamp="2023-11-14T22:13:20Z")
    assert not mirrors.is_mirrored(endpoints(), msgspec.structs.replace(bare, metadata=ending))


async def test_slices_follow_endpoints(cluster: Cluster, namespace: str) -> None:
    """5.4: they come with the service, change with the Endpoints, and go with either."""
    tree = record.to_object(endpoints(subset(["10.0.0.1"]), namespace=namespace))
    del tree["metadata"]["uid"]
    await cluster.create("endpoints", tree)
    makes = (endpoint_slice_mirroring.controller, garbage_collector.controller)
    async with cluster.running(*makes):
        bare = record.to_object(service(namespace=namespace, selector={}))
        await cluster.create("services", bare)

        async def are(*wanted: str) -> bool:
            page = await cluster.store.list(cluster.resource("endpointslices"), namespace)
            found = [one for each in page.items for one in each["endpoints"]]
            return [one["addresses"] for one in found] == [[one] for one in wanted]

        await until(lambda: are("10.0.0.1"))
        changed = record.to_object(endpoints(subset(["10.0.0.2"])))["subsets"]

        def other(old: Object) -> Object:
            return {**old, "subsets": changed}

        await cluster.store.update(cluster.resource("endpoints"), namespace, "web", other)
        await until(lambda: are("10.0.0.2"))
        await cluster.store.delete(cluster.resource("services"), namespace, "web")
        await until(are)
        await cluster.create("services", bare)
        await until(lambda: are("10.0.0.2"))
        await cluster.store.delete(cluster.resource("endpoints"), namespace, "web")
        await until(are)
