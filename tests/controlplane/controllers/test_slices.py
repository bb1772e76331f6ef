"""How endpoints are packed into slices. Numbers are rows of kube-behaviour.md."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import record
from controlplane.api.kinds.endpointslice import STRATEGY
from controlplane.api.types.core_v1 import Pod, Service, ServicePort
from controlplane.api.types.discovery_v1 import EndpointSlice
from controlplane.controllers import packing, slices
from controlplane.controllers.packing import Plan
from tests.controlplane.controllers.objects import NOW
from tests.controlplane.controllers.serving import pod, service

TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"


def applied(planned: Plan, there: list[EndpointSlice], generation: int = 0) -> list[EndpointSlice]:
    """The slices after a plan, as the store has them."""
    after = {one.metadata.name: one for one in there}
    for old in planned.delete:
        del after[old.metadata.name]
    for old, new in planned.update:
        assert after[old.metadata.name] == old
        after[old.metadata.name] = new
    for number, new in enumerate(planned.create):
        name = f"{new.metadata.generate_name}{generation}-{number}"
        assert name not in after
        metadata = msgspec.structs.replace(new.metadata, name=name, uid=name)
        after[name] = msgspec.structs.replace(new, metadata=metadata)
    return [after[name] for name in sorted(after)]


def made(
    svc: Service, pods: list[Pod], there: list[EndpointSlice] | None = None
) -> list[EndpointSlice]:
    return applied(slices.plan(svc, pods, ZONES, there or []), there or [], generation=99)


ZONES = {"n1": "z1", "n2": ""}


def uids(one: EndpointSlice) -> list[str]:
    return [each.target_ref.uid for each in one.endpoints if each.target_ref is not None]


def test_a_slice_says_whose_it_is() -> None:
    """5.4: name prefix, labels, owner, ports, address, node, zone, target."""
    svc = service(labels={"team": "a", packing.SERVICE_LABEL: "of somebody else"})
    (one,) = slices.plan(svc, [pod(3, node="n1")], ZONES, []).create
    assert one.address_type == "IPv4"
    assert one.metadata.generate_name == "web-"
    assert one.metadata.namespace == "default"
    assert one.metadata.labels == {
        "team": "a",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    (owner,) = one.metadata.owner_references
    assert (owner.kind, owner.api_version, owner.name, owner.uid) == (
        "Service",
        "v1",
        "web",
        "uid-web",
    )
    assert owner.controller
    assert owner.block_owner_deletion
    (port,) = one.ports
    assert (port.name, port.port, port.protocol) == ("http", 8080, "TCP")
    (endpoint,) = one.endpoints
    assert endpoint.addresses == ("127.64.0.4",)
    assert endpoint.node_name == "n1"
    assert endpoint.zone == "z1"
    assert endpoint.target_ref is not None
    assert (endpoint.target_ref.kind, endpoint.target_ref.name) == ("Pod", "pod-3")
    assert endpoint.target_ref.uid == "uid-pod-3"
    assert endpoint.hostname is None


@pytest.mark.parametrize(
    ("is_ready", "is_deleted", "published", "wanted"),
    [
        (True, False, False, (True, True, False)),
        (False, False, False, (False, False, False)),
        (True, True, False, (False, True, True)),
        (False, True, False, (False, False, True)),
        (False, False, True, (True, False, False)),
        (True, True, True, (True, True, True)),
    ],
)
def test_conditions_of_endpoints(
    is_ready: bool, is_deleted: bool, published: bool, wanted: tuple[bool, bool, bool]
) -> None:
    """5.4: conditions ready, serving, terminating; published ones are always ready."""
    svc = service(publish_not_ready_addresses=published)
    found = pod(is_ready=is_ready, is_deleted=is_deleted)
    said = slices.endpoint_of(svc, found, "", "IPv4").conditions
    assert (said.ready, said.serving, said.terminating) == wanted


def test_pods_that_are_no_endpoints() -> None:
    """5.4: what has ended, has no address, or is on a node that is not there."""
    ended, nowhere, lost = pod(1, phase="Failed"), pod(2, ip=""), pod(3, node="gone")
    (one,) = made(service(), [ended, nowhere, lost, pod(4, node="n2")])
    assert uids(one) == ["uid-pod-4"]
    assert one.endpoints[0].zone is None
    published = service(publish_not_ready_addresses=True)
    (one,) = made(published, [lost])
    assert uids(one) == ["uid-pod-3"]


def test_a_slice_holds_a_hundred() -> None:
    """5.4."""
    there = made(service(), [pod(number) for number in range(250)])
    assert sorted(len(one.endpoints) for one in there) == [50, 100, 100]


def test_what_is_new_fills_the_slice_that_it_fills_best() -> None:
    """5.4: one write for the newcomers; the others stay as they are."""
    pods = [pod(number) for number in range(250)]
    there = made(service(), pods)
    planned = slices.plan(service(), [*pods, *(pod(250 + one) for one in range(20))], ZONES, there)
    assert not planned.create
    ((old, new),) = planned.update
    assert (len(old.endpoints), len(new.endpoints)) == (50, 70)
    assert new.endpoints[:50] == old.endpoints


def test_what_changes_anyway_is_filled_first() -> None:
    """5.4."""
    pods = [pod(number) for number in range(150)]
    there = made(service(), pods)
    full = next(one for one in there if len(one.endpoints) == 100)
    gone = uids(full)[0]
    left = [one for one in pods if one.metadata.uid != gone]
    planned = slices.plan(service(), [*left, pod(999)], ZONES, there)
    ((old, new),) = planned.update
    assert old == full
    assert uids(new)[-1] == "uid-pod-999"
    assert len(new.endpoints) == 100


def test_pods_with_other_numbers_of_a_named_port_have_slices_of_their_own() -> None:
    """5.4: one set for each port map; a pod that lacks the port has none of it."""
    svc = service("web", ServicePort(name="http", port=80, protocol="TCP", target_port="web"))
    pods = [pod(1, ports={"web": 8080}), pod(2, ports={"web": 9090}), pod(3)]
    ports = {tuple(one.port for one in each.ports): uids(each) for each in made(svc, pods)}
    assert ports == {(8080,): ["uid-pod-1"], (9090,): ["uid-pod-2"], (): ["uid-pod-3"]}


def test_each_family_has_slices_of_its_own() -> None:
    """5.4."""
    both = pod(1)
    ips = tuple(type(both.status.pod_ips[0])(ip=ip) for ip in ("127.64.0.2", "FD00:0::1"))
    both = msgspec.structs.replace(both, status=msgspec.structs.replace(both.status, pod_ips=ips))
    there = made(service(ip_families=("IPv6", "IPv4")), [both])
    assert {one.address_type: one.endpoints[0].addresses for one in there} == {
        "IPv4": ("127.64.0.2",),
        "IPv6": ("fd00::1",),
    }
    planned = slices.plan(service(), [both], ZONES, there)
    assert [one.address_type for one in planned.delete] == ["IPv6"]
    assert not planned.update


def test_headless_services() -> None:
    """5.4: their label, names of pods of a StatefulSet, no ports needed."""
    svc = service(cluster_ip="None", ports=())
    (one,) = made(svc, [pod(1, hostname="web-1", subdomain="web"), pod(2, hostname="x")])
    assert one.metadata.labels["service.kubernetes.io/headless"] == ""
    assert one.ports == ()
    assert [endpoint.hostname for endpoint in one.endpoints] == ["web-1", None]


def test_a_service_without_pods_has_an_empty_slice() -> None:
    """5.4: as kubectl shows it; it becomes the first one with pods, and the last one again."""
    (empty,) = made(service(), [])
    assert (empty.endpoints, empty.ports) == ((), ())
    assert slices.plan(service(), [], ZONES, [empty]) == Plan()
    ((old, new),) = slices.plan(service(), [pod()], ZONES, [empty]).update
    assert old == empty
    assert len(new.endpoints) == 1
    planned = slices.plan(service(), [], ZONES, [new])
    assert not planned.create
    assert not planned.delete
    assert planned.update[0][1].endpoints == ()


def test_slices_of_a_service_that_had_the_name_go() -> None:
    """5.4."""
    there = made(service(), [pod()])
    again = service()
    metadata = msgspec.structs.replace(again.metadata, uid="another")
    planned = slices.plan(msgspec.structs.replace(again, metadata=metadata), [pod()], ZONES, there)
    assert planned.delete == tuple(there)
    assert len(planned.create) == 1


def test_labels_follow_the_service() -> None:
    """5.4."""
    there = made(service(), [pod()])
    ((_, new),) = slices.plan(service(labels={"a": "b"}), [pod()], ZONES, there).update
    assert new.metadata.labels["a"] == "b"
    ((_, new),) = slices.plan(service(), [pod()], ZONES, [new]).update
    assert "a" not in new.metadata.labels


def test_a_slice_says_when_what_it_tells_of_happened() -> None:
    """5.4: annotation last-change-trigger-time; none when nothing says."""
    (one,) = made(service(), [pod(1, ready_at=NOW + 60)])
    assert one.metadata.annotations == {TRIGGER: "2023-11-14T22:13:20Z"}, "of the new service"
    unready = pod(1, is_ready=False, ready_at=NOW + 120)
    ((_, new),) = slices.plan(service(), [unready], ZONES, [one]).update
    assert new.metadata.annotations == {TRIGGER: "2023-11-14T22:15:20Z"}
    two = made(service(), [unready, pod(2, ready_at=NOW + 180)], [new])
    ((_, new),) = slices.plan(service(), [unready], ZONES, two).update
    assert new.metadata.annotations == {}


def test_slices_are_valid_also_with_addresses_of_one_machine() -> None:
    """5.4: what we write, the API server takes: somebody may put a label on it."""
    svc = service(cluster_ip="None")
    (one,) = made(svc, [pod(1, hostname="web-1", subdomain="web", node="n1")])
    assert STRATEGY.validate is not None
    assert STRATEGY.validate(record.to_object(one)) == []


def test_a_pod_that_moves_is_there_all_the_time() -> None:
    """5.4: in the slice to which it goes before it leaves the other one."""
    svc = service("web", ServicePort(name="http", port=80, protocol="TCP", target_port="web"))
    for moving in (1, 2):
        before = [pod(number, ports={"web": 8080 + number // 3}) for number in (1, 2, 3, 4)]
        after = [one for one in before if one.metadata.uid != f"uid-pod-{moving}"]
        after.append(pod(moving, ports={"web": 8081}))
        planned = slices.plan(svc, after, ZONES, made(svc, before))
        (_, first), (_, second) = planned.update
        assert f"uid-pod-{moving}" in uids(first)
        assert len(uids(first)) == 3
        assert len(uids(second)) == 1


steps = st.lists(
    st.dictionaries(
        st.integers(0, 60),  # pods
        st.tuples(st.booleans(), st.booleans(), st.sampled_from((8080, 9090))),
        max_size=40,
    ),
    min_size=1,
    max_size=6,
)


@given(steps=steps, endpoints_max=st.integers(1, 12))
def test_packing(steps: list[dict[int, tuple[bool, bool, int]]], endpoints_max: int) -> None:
    """5.4: whatever comes and goes, every pod is in exactly one slice, of its ports, none is too
    large, what need not be written is not, and there is nothing more to do afterwards.
    """
    svc = service("web", ServicePort(name="http", port=80, protocol="TCP", target_port="web"))
    there: list[EndpointSlice] = []
    for generation, step in enumerate(steps):
        pods = [
            pod(number, is_ready=is_ready, is_deleted=is_deleted, ports={"web": port})
            for number, (is_ready, is_deleted, port) in sorted(step.items())
        ]
        planned = slices.plan(svc, pods, ZONES, there, endpoints_max=endpoints_max)
        for old, new in planned.update:
            assert (old.endpoints, old.ports) != (new.endpoints, new.ports)
        there = applied(planned, there, generation)
        held = {
            uid: (one.ports[0].port if one.ports else None) for one in there for uid in uids(one)
        }
        assert sum(len(one.endpoints) for one in there) == len(held)
        assert held == {f"uid-pod-{number}": port for number, (_, _, port) in step.items()}
        assert all(len(one.endpoints) <= endpoints_max for one in there)
        assert all(one.endpoints for one in there) or len(there) == 1
        assert slices.plan(svc, pods, ZONES, there, endpoints_max=endpoints_max) == Plan()


@given(
    before=st.sets(st.integers(0, 120), max_size=80),
    after=st.sets(st.integers(0, 120), max_size=80),
)
def test_as_few_slices_as_can_be_are_written(before: set[int], after: set[int]) -> None:
    """5.4: those with a pod that goes, and for newcomers no more than they would fill."""
    svc, size = service(), 10
    planned = slices.plan(svc, [pod(one) for one in sorted(before)], ZONES, [], endpoints_max=size)
    there = applied(planned, [])
    planned = slices.plan(
        svc, [pod(one) for one in sorted(after)], ZONES, there, endpoints_max=size
    )
    gone = {f"uid-pod-{number}" for number in before - after}
    hit = [one for one in there if gone & set(uids(one))]
    new = len(after - before)
    written = len(planned.create) + len(planned.update) + len(planned.delete)
    assert written <= len(hit) + -(-new // size) + (not before or not after)
