"""Leader election. Numbers are rows of kube-behaviour.md."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings

from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from controlplane.leader_election import (
    LEASES,
    LeaderElector,
    LeadershipLostError,
    micro_time,
    spec_to_write,
)
from controlplane.objects import ClaimLostError, ObjectStore
from controlplane.testing import World, run
from kvstore.testing import properties as kv
from tests.controlplane.kinds import WIDGETS, widget, with_size

WALL = 1_700_000_000.25


def _lease(holder: str, *, seconds: int = 15, transitions: int = 3) -> Object:
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": seconds,
        "acquireTime": "then",
        "leaseTransitions": transitions,
    }
    return {"metadata": {"resourceVersion": "7"}, "spec": spec}


def _spec(lease: Object | None, *, waited: float) -> dict[str, object] | None:
    return spec_to_write(lease, "me", observed_at=100.0, now=100.0 + waited, wall=WALL)


def test_first_candidate_takes_a_lease_of_15_seconds() -> None:
    """3.6."""
    assert _spec(None, waited=0) == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": "2023-11-14T22:13:20.250000Z",
        "renewTime": "2023-11-14T22:13:20.250000Z",
        "leaseTransitions": 0,
    }


def test_lease_of_another_is_left_alone_until_it_was_silent_for_its_time() -> None:
    """3.6: observed by the local clock; leaseTransitions++ on take-over."""
    assert _spec(_lease("other"), waited=14.9) is None
    taken = _spec(_lease("other"), waited=15.0)
    assert taken is not None
    assert (taken["holderIdentity"], taken["leaseTransitions"]) == ("me", 4)
    assert taken["acquireTime"] == micro_time(WALL)


@pytest.mark.parametrize(
    "spec", [None, 3, [], {}, {"leaseDurationSeconds": "x", "leaseTransitions": [1]}]
)
def test_lease_that_says_nothing_is_nobody_s(spec: object) -> None:
    """Whoever may write Leases may write that."""
    lease: Object = {"metadata": {"resourceVersion": "7"}, "spec": spec}
    taken = _spec(lease, waited=0)
    assert taken is not None
    assert (taken["holderIdentity"], taken["leaseTransitions"]) == ("me", 1)


def test_lease_that_loses_its_spec_is_lost() -> None:
    """As by a person's edit: the leader stops, and does not break."""

    async def application(world: World) -> None:
        async with world.connect() as store, world.connect() as user:
            leads = asyncio.Event()

            async def lead(guarded: ObjectStore) -> None:
                leads.set()
                await asyncio.Event().wait()

            elector = LeaderElector(store, "l", "me", clock=world.clock, random=world.random)
            running = asyncio.ensure_future(elector.run(lead))
            await leads.wait()

            def without_spec(lease: Object) -> Object:
                return {name: value for name, value in lease.items() if name != "spec"}

            await user.update(LEASES, "kube-system", "l", without_spec)
            with pytest.raises(LeadershipLostError):
                await running

    run(application)


def test_released_lease_is_taken_at_once() -> None:
    """3.6: release on clean exit (holderIdentity "")."""
    taken = _spec(_lease("", seconds=1), waited=0)
    assert taken is not None
    assert taken["leaseTransitions"] == 4


def test_renewal_keeps_the_time_of_acquisition() -> None:
    """3.6."""
    renewed = _spec(_lease("me"), waited=0)
    assert renewed is not None
    assert (renewed["acquireTime"], renewed["leaseTransitions"]) == ("then", 3)
    assert renewed["renewTime"] == micro_time(WALL)


# --------------------------------------------------------------------- on real stores


async def test_lease_is_taken_renewed_and_released(store: ObjectStore, namespace: str) -> None:
    """3.6."""
    seen: list[Object] = []

    async def lead(guarded: ObjectStore) -> None:
        seen.append(await store.get(LEASES, namespace, "test"))
        await guarded.create(WIDGETS, widget(namespace, f"w{len(seen)}"))

    for identity in ("one", "two"):
        await LeaderElector(store, "test", identity, namespace=namespace).run(lead)
    assert [lease["spec"]["holderIdentity"] for lease in seen] == ["one", "two"]
    assert [lease["spec"]["leaseTransitions"] for lease in seen] == [0, 1]
    released = await store.get(LEASES, namespace, "test")
    assert (released["apiVersion"], released["kind"]) == ("coordination.k8s.io/v1", "Lease")
    assert released["spec"]["holderIdentity"] == ""
    assert len((await store.list(WIDGETS, namespace)).raw) == 2


# ------------------------------------------------------------------- in the simulation


class _Candidate:
    """One process that wants to lead, and what it did while it led."""

    def __init__(self, world: World, store: ObjectStore, name: str) -> None:
        self.elector = LeaderElector(store, "test", name, clock=world.clock, random=world.random)
        self.began: list[float] = []
        self.ended: list[float] = []
        self.store: ObjectStore | None = None
        self._world = world

    async def lead(self, store: ObjectStore) -> None:
        self.store = store
        self.began.append(self._world.clock.now())
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.append(self._world.clock.now())

    def start(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.elector.run(self.lead))

    async def _leads(self) -> bool:
        return len(self.began) > len(self.ended)

    async def until_leading(self) -> None:
        await self._world.until(self._leads)

    async def until_renewed(self) -> float:
        """At most half a second after it has happened; how long that took."""
        begun, before = self._world.clock.now(), await self._renew_time()

        async def is_renewed() -> bool:
            return await self._renew_time() != before

        await self._world.until(is_renewed)
        return self._world.clock.now() - begun

    async def _renew_time(self) -> object:
        assert self.store is not None
        lease = await self.store.get(LEASES, "kube-system", "test")
        return lease["spec"]["renewTime"]


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _with_two(test: Callable[[World, _Candidate, _Candidate], Awaitable[None]]) -> None:
    async def application(world: World) -> None:
        async with world.connect() as one, world.connect() as two:
            await test(world, _Candidate(world, one, "one"), _Candidate(world, two, "two"))

    run(application)


def test_clean_exit_lets_the_next_lead_at_once() -> None:
    """3.6."""

    async def check(world: World, one: _Candidate, two: _Candidate) -> None:
        first = one.start()
        await one.until_leading()
        second = two.start()
        await world.clock.sleep(30)
        assert two.began == [], "the lease is renewed"
        left = world.clock.now()
        await _end(first)
        assert first.cancelled()
        await two.until_leading()
        assert two.began[0] - left < 5, "no longer than a retry with its jitter"
        assert two.store is not None
        lease = await two.store.get(LEASES, "kube-system", "test")
        assert lease["spec"]["holderIdentity"] == "two"
        assert lease["spec"]["leaseTransitions"] == 2 - 1
        await _end(second)

    _with_two(check)


def test_leader_that_is_cut_off_stops_before_another_leads() -> None:
    """3.6: it gives up 10 s after its last renewal, the others wait 15 s."""

    async def check(world: World, one: _Candidate, two: _Candidate) -> None:
        first = one.start()
        await one.until_leading()
        second = two.start()
        await one.until_renewed()
        assert one.store is not None
        cut = world.clock.now()
        await one.store.client.close()
        await world.until(two._leads)
        assert 9.5 <= one.ended[0] - cut <= 10.1
        assert 14.5 <= two.began[0] - cut <= 15.1 + 2 * (2 * 2.2)
        assert one.ended[0] < two.began[0]
        with pytest.raises(LeadershipLostError):
            await first
        await _end(second)

    _with_two(check)


def test_lease_is_renewed_every_two_seconds() -> None:
    """3.6: 2 s."""

    async def check(world: World, one: _Candidate, two: _Candidate) -> None:
        first = one.start()
        await one.until_leading()
        await one.until_renewed()
        assert 1.4 <= await one.until_renewed() <= 2.6
        await _end(first)

    _with_two(check)


def test_late_write_of_a_former_leader_is_refused() -> None:
    """3.6: two candidates never both act, also when one was paused in the middle of it."""

    async def check(world: World, one: _Candidate, two: _Candidate) -> None:
        first = one.start()
        await one.until_leading()
        paused = one.store
        assert paused is not None
        made = await paused.create(WIDGETS, widget("n"))
        await _end(first)
        second = two.start()
        await two.until_leading()
        late: list[Callable[[], Awaitable[object]]] = [
            lambda: paused.create(WIDGETS, widget("n", "b")),
            lambda: paused.update(WIDGETS, "n", "a", lambda old: with_size(old, 2)),
            lambda: paused.delete(WIDGETS, "n", "a"),
        ]
        for write in late:
            with pytest.raises(ClaimLostError) as caught:
                await write()
            assert caught.value.keys == (b"/leaders/kube-system/test",)
        assert two.store is not None
        assert (await two.store.list(WIDGETS, "n")).items == [made]
        await two.store.update(WIDGETS, "n", "a", lambda old: with_size(old, 3))
        await _end(second)

    _with_two(check)


def test_leader_ends_with_what_it_leads() -> None:
    async def check(world: World, one: _Candidate, two: _Candidate) -> None:
        async def fail(store: ObjectStore) -> None:
            raise ZeroDivisionError

        async def leave(store: ObjectStore) -> None:
            return

        with pytest.raises(ZeroDivisionError):
            await one.elector.run(fail)
        begun = world.clock.now()
        await two.elector.run(leave)
        assert world.clock.now() - begun < 1, "both released the lease"

    _with_two(check)


@settings(deadline=None, max_examples=8)
@given(topology=kv.topologies(), faults=kv.fault_schedules(for_seconds_max=25.0))
def test_writes_of_two_leaders_never_mix(topology: kv.Topology, faults: kv.Schedule) -> None:
    """3.6: whatever goes wrong, what one leader writes ends when the next one begins."""

    async def application(world: World) -> None:
        async with _competing(world, "one"), _competing(world, "two"):
            await world.clock.sleep(40)
            await world.heal()
            await world.clock.sleep(20)
        async with world.connect() as store:
            await _check_terms(store)

    run(application, topology=topology, faults=faults)


@asynccontextmanager
async def _competing(world: World, name: str) -> AsyncIterator[None]:
    """A candidate that writes its name as long as it leads, and wants to lead again."""

    async def lead(store: ObjectStore) -> None:
        while True:
            try:
                made = widget("n", f"w{int(world.clock.now() * 1000)}-{name}")
                await store.create(WIDGETS, {**made, "spec": {"leader": name}})
            except ApiError as error:
                if error.code not in (409, 503, 504):
                    raise
            await world.clock.sleep(1)

    async def compete() -> None:
        async with world.connect() as store:
            while True:
                elector = LeaderElector(store, "test", name, clock=world.clock, random=world.random)
                try:
                    await elector.run(lead)
                except LeadershipLostError:
                    continue

    task = asyncio.create_task(compete())
    yield
    await _end(task)
    assert task.cancelled(), task.exception()


async def _check_terms(store: ObjectStore) -> None:
    """Each write's leader is who took the lease last before it."""
    page = await store.list(WIDGETS, "n")
    writes = [
        (int(item["metadata"]["resourceVersion"]), item["spec"]["leader"]) for item in page.items
    ]
    assert writes, "somebody has led"
    terms: dict[int, str] = {}
    async with store.client.watch("/leaders/", prefix=True, start_revision=1) as watch:
        last = await store.client.get("/leaders/kube-system/test")
        assert last is not None
        while last.mod_revision not in terms:
            for event in (await anext(watch)).events:
                terms[event.kv.mod_revision] = event.kv.value.decode()
    for revision, leader in writes:
        term = max(begun for begun in terms if begun <= revision)
        assert terms[term] == leader
