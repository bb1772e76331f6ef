"""What Endpoints hold. Numbers are rows of kube-behaviour.md."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.types.core_v1 import EndpointAddress, Endpoints, EndpointSubset, ServicePort
from controlplane.controllers import subsets
from tests.controlplane.controllers.objects import NOW
from tests.controlplane.controllers.serving import pod, service

TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"


def ips(found: tuple[EndpointAddress, ...]) -> list[str]:
    return [one.ip for one in found]


def test_ready_and_not_ready_addresses() -> None:
    """5.4: by the order of addresses; who ends or has ended is none."""
    pods = [
        pod(2),
        pod(1, node="n1", hostname="h", subdomain="web"),
        pod(3, is_ready=False),
        pod(4, is_deleted=True),
        pod(5, phase="Succeeded"),
    ]
    (one,) = subsets.subsets_of(service(), pods)
    assert ips(one.addresses) == ["127.64.0.2", "127.64.0.3"]
    assert ips(one.not_ready_addresses) == ["127.64.0.4"]
    assert (one.addresses[0].node_name, one.addresses[0].hostname) == ("n1", "h")
    target = one.addresses[0].target_ref
    assert target is not None
    assert (target.kind, target.name, target.uid) == ("Pod", "pod-1", "uid-pod-1")
    (port,) = one.ports
    assert (port.name, port.port, port.protocol) == ("http", 8080, "TCP")


def test_published_addresses_are_all_ready() -> None:
    """5.4: also of pods that end."""
    pods = [pod(1, is_ready=False), pod(2, is_deleted=True)]
    (one,) = subsets.subsets_of(service(publish_not_ready_addresses=True), pods)
    assert ips(one.addresses) == ["127.64.0.2", "127.64.0.3"]
    assert not one.not_ready_addresses


def test_a_subset_for_each_set_of_ports() -> None:
    """5.4: who serves none is in none, but for a service without ports."""
    svc = service("web", ServicePort(name="http", port=80, protocol="TCP", target_port="web"))
    pods = [pod(1, ports={"web": 8080}), pod(2, ports={"web": 9090}), pod(3)]
    found = {one.ports[0].port: ips(one.addresses) for one in subsets.subsets_of(svc, pods)}
    assert found == {8080: ["127.64.0.2"], 9090: ["127.64.0.3"]}
    (one,) = subsets.subsets_of(service(cluster_ip="None", ports=()), pods[:1])
    assert one.ports == ()


def test_labels_and_annotations() -> None:
    """5.4: of the service, and who made them; headless ones say so."""
    made = subsets.plan(service(labels={"team": "a"}), [pod(1, ready_at=NOW + 60)], None)
    assert made is not None
    assert (made.metadata.name, made.metadata.namespace) == ("web", "default")
    assert made.metadata.labels == {
        "team": "a",
        "endpoints.kubernetes.io/managed-by": "endpoint-controller",
    }
    assert made.metadata.annotations == {TRIGGER: "2023-11-14T22:13:20Z"}
    assert subsets.plan(service(labels={"team": "a"}), [pod(1)], made) is None
    unready = pod(1, is_ready=False, ready_at=NOW + 120)
    changed = subsets.plan(service(cluster_ip="None"), [unready], made)
    assert changed is not None
    assert changed.metadata.labels == {
        "endpoints.kubernetes.io/managed-by": "endpoint-controller",
        "service.kubernetes.io/headless": "",
    }
    assert changed.metadata.annotations == {TRIGGER: "2023-11-14T22:15:20Z"}


def test_no_more_than_a_thousand_addresses() -> None:
    """5.4: ready ones first; the annotation says that there are more, and goes again."""
    pods = [pod(number, is_ready=number % 4 > 0) for number in range(1200)]
    made = subsets.plan(service(), pods, None)
    assert made is not None
    (one,) = made.subsets
    assert (len(one.addresses), len(one.not_ready_addresses)) == (900, 100)
    assert made.metadata.annotations["endpoints.kubernetes.io/over-capacity"] == "truncated"
    assert subsets.plan(service(), pods, made) is None
    fewer = subsets.plan(service(), pods[:1000], made)
    assert fewer is not None
    assert "endpoints.kubernetes.io/over-capacity" not in fewer.metadata.annotations
    more = [pod(number) for number in range(1200)]
    cut = subsets.plan(service(), more, fewer)
    assert cut is not None
    assert [(len(one.addresses), len(one.not_ready_addresses)) for one in cut.subsets] == [
        (1000, 0)
    ]


def test_what_is_cut_is_marked_though_no_address_changes() -> None:
    """5.4."""
    pods = [pod(number) for number in range(1001)]
    made = subsets.plan(service(), pods, None)
    assert made is not None
    bare = msgspec.structs.replace(
        made, metadata=msgspec.structs.replace(made.metadata, annotations={})
    )
    again = subsets.plan(service(), pods, bare)
    assert again is not None
    assert again.metadata.annotations["endpoints.kubernetes.io/over-capacity"] == "truncated"


counts = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=5)


@given(counts=counts, addresses_max=st.integers(1, 30))
def test_truncation(counts: list[tuple[int, int]], addresses_max: int) -> None:
    """5.4: as many as may be, and no ready one goes before all others have."""
    whole = tuple(
        EndpointSubset(
            addresses=tuple(EndpointAddress(ip=f"r{group}-{one}") for one in range(ready)),
            not_ready_addresses=tuple(EndpointAddress(ip=f"n{group}-{one}") for one in range(rest)),
        )
        for group, (ready, rest) in enumerate(counts)
        if ready + rest
    )
    ready, rest = sum(one for one, _ in counts), sum(one for _, one in counts)
    cut = subsets.truncated(whole, addresses_max)
    assert sum(len(one.addresses) for one in cut) == min(ready, addresses_max)
    left = max(0, addresses_max - ready)
    assert sum(len(one.not_ready_addresses) for one in cut) == min(rest, left)
    assert all(one.addresses or one.not_ready_addresses for one in cut)
    assert Endpoints(subsets=cut).subsets == cut
