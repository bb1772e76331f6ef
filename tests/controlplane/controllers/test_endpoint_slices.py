"""EndpointSlices and Endpoints of services. Numbers are rows of kube-behaviour.md."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.api import record
from controlplane.api.errors import ApiError
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.controllers import endpoint_slices, endpoints, garbage_collector
from controlplane.controllers.context import Context
from controlplane.events import EventRecorder
from controlplane.objects import DeleteOptions, ObjectStore
from controlplane.testing import Cut, World, cuts, run
from kvstore.testing import properties as kv
from tests.controlplane.controllers.conftest import Cluster, until
from tests.controlplane.controllers.serving import pod, service

REGISTRY = Registry.builtin()
NOW_GONE = DeleteOptions(grace_period_seconds=0)


def _resource(group: str, plural: str) -> Resource:
    found = REGISTRY.storage(group, plural)
    assert found is not None
    return found


SERVICES, PODS, NODES = (_resource("", one) for one in ("services", "pods", "nodes"))
SLICES, ENDPOINTS = _resource("discovery.k8s.io", "endpointslices"), _resource("", "endpoints")


def ready_addresses(slices: Sequence[Object]) -> list[str]:
    return sorted(
        address
        for one in slices
        for endpoint in one["endpoints"]
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
    )


class Serving:
    """A namespace with a service, as users and kubelets change it."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace

    async def slices(self) -> Sequence[Object]:
        return (await self.cluster.store.list(SLICES, self.namespace)).items

    async def legacy(self, name: str = "web") -> Object | None:
        return await self.cluster.find("endpoints", self.namespace, name)

    async def legacy_addresses(self) -> list[str]:
        found = await self.legacy() or {}
        return [
            one["ip"] for subset in found.get("subsets", ()) for one in subset.get("addresses", ())
        ]

    async def serve(self, **spec: object) -> Object:
        made = record.to_object(service(namespace=self.namespace, **spec))  # type: ignore[arg-type]
        return await self.cluster.create("services", made)

    async def pod(self, number: int, *, is_ready: bool = True, node: str = "") -> Object:
        made = pod(number, namespace=self.namespace, is_ready=is_ready, node=node)
        return await self.cluster.create("pods", record.to_object(made))

    async def set_ready(self, number: int, *, is_ready: bool) -> None:
        wanted = record.to_object(pod(number, is_ready=is_ready))["status"]
        await self.cluster.store.update(
            PODS, self.namespace, f"pod-{number}", lambda old: {**old, "status": wanted}
        )

    async def until_ready(self, *wanted: int) -> None:
        """Both APIs tell of the addresses of these pods, and of no others, as ready."""
        addresses = sorted(pod(number).status.pod_ip for number in wanted)

        async def are() -> bool:
            slices = ready_addresses(await self.slices())
            return slices == addresses and sorted(await self.legacy_addresses()) == addresses

        await until(are)


@pytest.fixture
def serving(cluster: Cluster, namespace: str) -> Serving:
    return Serving(cluster, namespace)


@asynccontextmanager
async def controllers(serving: Serving) -> AsyncIterator[Context]:
    made = (endpoint_slices.controller, endpoints.controller)
    async with serving.cluster.running(*made) as context:
        yield context


async def test_endpoints_follow_the_pods(serving: Serving) -> None:
    """5.4: readiness, pods that come and go, selectors, what others delete."""
    store, namespace = serving.cluster.store, serving.namespace
    await serving.pod(1)
    async with controllers(serving):
        await serving.serve()
        await serving.until_ready(1)
        await serving.pod(2, is_ready=False)
        await serving.set_ready(2, is_ready=True)
        await serving.until_ready(1, 2)
        await serving.set_ready(1, is_ready=False)
        await serving.until_ready(2)
        labels = {"labels": {"app": "other"}}
        await store.update(
            PODS, namespace, "pod-2", lambda old: {**old, "metadata": {**old["metadata"], **labels}}
        )
        await serving.until_ready()
        await store.update(
            SERVICES,
            namespace,
            "web",
            lambda old: {**old, "spec": {**old["spec"], "selector": {"app": "other"}}},
        )
        await serving.until_ready(2)
        for one in await serving.slices():
            await store.delete(SLICES, namespace, one["metadata"]["name"])
        await store.delete(ENDPOINTS, namespace, "web")
        await serving.until_ready(2)
        await store.delete(PODS, namespace, "pod-2", options=NOW_GONE)
        await serving.until_ready()


async def test_what_goes_with_a_service(serving: Serving) -> None:
    """5.4: its slices by the garbage collector, its Endpoints at once; those of a controller that
    was away meanwhile, too.
    """
    store, namespace = serving.cluster.store, serving.namespace
    await serving.pod(1)
    async with controllers(serving):
        await serving.serve()
        await serving.until_ready(1)
    await store.delete(SERVICES, namespace, "web")
    makes = (endpoint_slices.controller, endpoints.controller, garbage_collector.controller)
    async with serving.cluster.running(*makes):

        async def are_gone() -> bool:
            return not await serving.slices() and await serving.legacy() is None

        await until(are_gone)


async def test_endpoints_that_somebody_made_for_a_service_go_with_it(serving: Serving) -> None:
    """5.4: but not those of which nobody knows a service."""
    namespace = serving.namespace
    for name in ("web", "alone"):
        metadata = {"name": name, "namespace": namespace}
        await serving.cluster.create("endpoints", {"metadata": metadata})
    await serving.serve(selector={})
    async with controllers(serving):
        await serving.cluster.create(
            "services", record.to_object(service("zz", namespace=namespace))
        )

        async def is_looked_at() -> bool:
            return await serving.legacy("zz") is not None

        await until(is_looked_at)
        await serving.cluster.store.delete(SERVICES, namespace, "web")

        async def is_gone() -> bool:
            return await serving.legacy() is None

        await until(is_gone)
        assert await serving.legacy("alone") is not None


async def test_what_others_made_is_theirs(serving: Serving) -> None:
    """5.4: selector-less services and names only; Endpoints that are there before their service."""
    namespace = serving.namespace
    made = {"metadata": {"name": "web", "namespace": namespace}}
    labels = {"kubernetes.io/service-name": "web"}
    theirs = {
        "metadata": {**made["metadata"], "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"]}],
        "ports": [],
    }
    await serving.cluster.create("endpointslices", theirs)
    await serving.cluster.create("endpoints", made)
    await serving.pod(1)
    async with controllers(serving):
        await serving.serve(selector={})
        await serving.cluster.create(
            "services",
            record.to_object(service("name", namespace=namespace, type="ExternalName")),
        )
        # One that is ours, made later: by then the others were looked at.
        await serving.cluster.create(
            "services", record.to_object(service("zz", namespace=namespace))
        )

        async def is_done() -> bool:
            return await serving.legacy("zz") is not None and len(await serving.slices()) == 2

        await until(is_done)
        assert await serving.legacy("name") is None
        kept = await serving.legacy()
        assert kept is not None
        assert "subsets" not in kept
        owners = {
            one["metadata"]["labels"]["kubernetes.io/service-name"]
            for one in await serving.slices()
        }
        assert owners == {"web", "zz"}


async def test_a_pod_is_an_endpoint_once_its_node_is_known(serving: Serving) -> None:
    """5.4: then its zone is known, too."""
    name = f"n-{serving.namespace}"
    await serving.pod(1, node=name)
    await serving.pod(2)
    async with controllers(serving):
        await serving.serve()

        async def are(*wanted: str) -> bool:
            return ready_addresses(await serving.slices()) == [*wanted]

        await until(lambda: are("127.64.0.3"))
        labels = {"topology.kubernetes.io/zone": "z1"}
        await serving.cluster.create("nodes", {"metadata": {"name": name, "labels": labels}})
        await until(lambda: are("127.64.0.2", "127.64.0.3"))
        (one,) = await serving.slices()
        zones = {each["targetRef"]["name"]: each.get("zone") for each in one["endpoints"]}
        assert zones == {"pod-1": "z1", "pod-2": None}


async def test_a_pod_that_a_stranger_broke_stops_nobody(serving: Serving) -> None:
    """5.4."""
    metadata = {"name": "broken", "namespace": serving.namespace, "labels": {"app": "web"}}
    await serving.cluster.create("pods", {"metadata": metadata, "spec": 7, "status": {}})
    await serving.pod(1)
    async with controllers(serving):
        await serving.serve()
        await serving.until_ready(1)


async def test_many_endpoints(serving: Serving) -> None:
    """5.4: no slice has more than 100, and only the one that changes is written."""
    for number in range(205):
        await serving.pod(number)
    async with controllers(serving):
        await serving.serve()

        async def are_there() -> bool:
            return len(ready_addresses(await serving.slices())) == 205

        await until(are_there)
        before = {one["metadata"]["name"]: one for one in await serving.slices()}
        assert sorted(len(one["endpoints"]) for one in before.values()) == [5, 100, 100]
        await serving.set_ready(7, is_ready=False)

        async def is_changed() -> bool:
            return len(ready_addresses(await serving.slices())) == 204

        await until(is_changed)
        after = {one["metadata"]["name"]: one for one in await serving.slices()}
        assert sum(after[name] == before[name] for name in before) == 2


steps = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.sampled_from(("ready", "unready", "gone", "service", "no service")),
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=10, deadline=None)
@given(
    topology=kv.topologies(),
    faults=kv.fault_schedules(for_seconds_max=10.0),
    away=cuts(cuts_max=2, for_seconds_max=15.0),
    steps=steps,
    killed_at=st.integers(0, 10),
)
def test_endpoints_are_right_in_the_end(
    topology: kv.Topology,
    faults: kv.Schedule,
    away: list[Cut],
    steps: list[tuple[int, str]],
    killed_at: int,
) -> None:
    """5.4: whatever goes wrong meanwhile, each ready pod is in one slice, and no other one is."""

    async def application(world: World) -> None:
        async with world.connect() as store:
            context = Context(registry=REGISTRY, recorder=EventRecorder(store, "test"))
            for part in (steps[:killed_at], steps[killed_at:]):
                makes = (endpoint_slices, endpoints, garbage_collector)
                running = world.running(*(one.controller(context) for one in makes))
                async with running as theirs, world.suffer(theirs, away):
                    for step in part:
                        await _insist(world, store, *step)
                    if part is steps[killed_at:]:
                        await world.heal()
                        await world.until(lambda: _is_right(store, steps))

    run(application, topology=topology, faults=faults)


def _wanted(steps: Sequence[tuple[int, str]]) -> tuple[bool, list[str]]:
    """Whether there is a service, and the addresses of ready pods."""
    is_service, ready = False, set[int]()
    for number, what in steps:
        if "service" in what:
            is_service = what == "service"
        elif what == "ready":
            ready.add(number)
        else:
            ready.discard(number)
    return is_service, sorted(pod(number).status.pod_ip for number in ready)


async def _is_right(store: ObjectStore, steps: Sequence[tuple[int, str]]) -> bool:
    is_service, addresses = _wanted(steps)
    slices = (await store.list(SLICES)).items
    legacy = (await store.list(ENDPOINTS)).items
    told = [
        one["ip"]
        for found in legacy
        for subset in found.get("subsets", ())
        for one in subset.get("addresses", ())
    ]
    if not is_service:
        return not slices and not legacy
    return ready_addresses(slices) == addresses and sorted(told) == addresses and len(slices) == 1


async def _insist(world: World, store: ObjectStore, number: int, what: str) -> None:
    while True:
        try:
            await _step(store, number, what)
        except ApiError as error:
            if error.code in (404, 409) or error.code < 500:
                return  # it is so already
        else:
            return
        await world.clock.sleep(0.3)


async def _step(store: ObjectStore, number: int, what: str) -> None:
    if what == "service":
        made = record.to_object(service())
        del made["metadata"]["uid"]
        await store.create(SERVICES, made)
    elif what == "no service":
        await store.delete(SERVICES, "default", "web")
    elif what == "gone":
        await store.delete(PODS, "default", f"pod-{number}", options=NOW_GONE)
    else:
        wanted = record.to_object(pod(number, is_ready=what == "ready"))
        del wanted["metadata"]["uid"]
        try:
            await store.create(PODS, wanted)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            await store.update(
                PODS,
                "default",
                f"pod-{number}",
                lambda old: {**old, "status": wanted["status"]},
            )
    await asyncio.sleep(0)
