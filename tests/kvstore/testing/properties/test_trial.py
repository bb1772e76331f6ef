"""One run: the same again for the same data, bounded, and sound at its end."""

import asyncio
import logging
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.errors import UnavailableError
from kvstore.server import node
from kvstore.testing import properties as kv
from kvstore.testing.properties.trial import Trial

FEW = settings(database=None, derandomize=True, max_examples=25, deadline=None)


def during(fault: kv.Fault) -> kv.Schedule:
    return (kv.Episode(at_seconds=0.0, for_seconds=3.0, fault=fault),)


async def writes(cluster: kv.Cluster) -> str:
    """Some writes, whatever becomes of them; a hash of all that happened."""
    async with cluster.connect() as client:
        for number in range(10):
            try:
                await client.put("key", b"%d" % number)
            except UnavailableError:
                await asyncio.sleep(0.1)
    await cluster.heal()
    return cluster.simulated.network.trace.hexdigest()


@FEW
@given(topology=kv.topologies(members=(1, 3, 5), loss_max=0.2), faults=kv.fault_schedules())
def test_the_same_data_gives_the_same_run(topology: kv.Topology, faults: kv.Schedule) -> None:
    first = kv.run(writes, topology=topology, faults=faults)
    assert kv.run(writes, topology=topology, faults=faults) == first


def test_another_seed_gives_another_run() -> None:
    traces = {kv.run(writes, topology=kv.Topology(seed=seed)) for seed in range(3)}
    assert len(traces) == 3


def test_an_application_returns_its_result() -> None:
    async def application(cluster: kv.Cluster) -> bytes:
        async with cluster.connect() as client:
            await client.put("greeting", "hello")
            found = await client.get("greeting")
            assert found is not None
            return found.value

    assert kv.run(application) == b"hello"


def test_faults_come_and_go_at_their_times() -> None:
    async def application(cluster: kv.Cluster) -> list[list[bool]]:
        seen = []
        for _ in range(3):
            seen.append([member.is_alive for member in cluster.simulated.members])
            await asyncio.sleep(1.0)
        return seen

    crash = kv.Episode(at_seconds=0.5, for_seconds=1.0, fault=kv.Crash(member=1))
    up, down = [True, True, True], [True, False, True]
    assert kv.run(application, faults=(crash,)) == [up, down, up]


def test_a_power_cut_of_all_is_felt_by_the_application() -> None:
    async def application(cluster: kv.Cluster) -> None:
        async with cluster.connect() as client:
            await asyncio.sleep(0.1)
            with pytest.raises(UnavailableError):
                await client.put("key", "value", timeout_seconds=1.0)
            await cluster.heal()
            await client.put("key", "value", timeout_seconds=1.0)

    kv.run(application, faults=during(kv.PowerCut()))


def test_healing_ends_what_goes_on_and_what_has_not_begun() -> None:
    async def application(cluster: kv.Cluster) -> None:
        await asyncio.sleep(0.1)
        await cluster.heal()
        healed_at = cluster.now
        assert all(member.is_alive for member in cluster.simulated.members)
        await asyncio.sleep(10)
        assert cluster.simulated.crashes == {"": 1}
        assert healed_at < 10

    later = kv.Episode(at_seconds=5.0, for_seconds=1.0, fault=kv.Crash(member=1))
    kv.run(application, faults=(*during(kv.Crash(member=0)), later))


def test_members_come_and_go_while_an_application_works() -> None:
    async def application(cluster: kv.Cluster) -> set[int]:
        async with cluster.connect() as client:
            seen: set[int] = set()
            for _ in range(30):
                members = await client.cluster.member_list()
                seen.update(member.member_id for member in members.members)
                await asyncio.sleep(1.0)
            return seen

    changes = kv.Episode(at_seconds=0.0, for_seconds=25.0, fault=kv.MembershipChanges())
    assert len(kv.run(application, faults=(changes, changes))) > 3


def test_a_fault_that_does_not_go_on_cannot_end() -> None:
    async def application(cluster: kv.Cluster) -> None:
        cluster.begin(kv.Pause(member="leader"))
        cluster.end(kv.Pause(member="leader"))
        with pytest.raises(ValueError, match="not going on"):
            cluster.end(kv.Pause(member="leader"))

    kv.run(application)


def test_what_an_application_asserts_is_what_is_raised() -> None:
    async def application(_: kv.Cluster) -> None:
        raise AssertionError("mine")

    with pytest.raises(AssertionError, match="mine"):
        kv.run(application)


def test_an_application_that_never_ends_is_ended() -> None:
    async def application(_: kv.Cluster) -> None:
        await asyncio.Event().wait()

    with pytest.raises(kv.StuckError, match="within 30 simulated seconds"):
        kv.run(application, seconds_max=30)


def test_a_timeout_of_the_application_is_its_own() -> None:
    async def application(_: kv.Cluster) -> None:
        async with asyncio.timeout(1):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        kv.run(application)


def test_a_broken_promise_of_the_cluster_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that stumbles over our bug must not be blamed."""

    def fail(*_: object) -> None:
        raise AssertionError("planted")

    async def application(cluster: kv.Cluster) -> None:
        monkeypatch.setattr(node.Node, "_apply", fail)
        async with cluster.connect() as client:
            await client.put("key", "value")

    with pytest.raises(kv.ViolationError, match="planted"):
        kv.run(application)


async def test_inside_a_running_loop_it_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="plain function"):
        kv.run(writes)


def test_logging_is_as_before_afterwards() -> None:
    logger = logging.getLogger("kvstore")
    before = logger.level
    trial = Trial(kv.Topology())
    assert logger.level == logging.ERROR
    trial.close()
    assert logger.level == before


def test_without_hypothesis_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['hypothesis'] = None; import kvstore.testing.properties"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "properties needs hypothesis: pip install" in done.stderr


# ---------------------------------------------------------------------- calls on keys


@FEW
@given(
    topology=kv.topologies(),
    faults=kv.fault_schedules(),
    scripts=st.lists(st.lists(kv.operations(), max_size=8), min_size=2, max_size=3),
)
def test_histories_under_faults_are_linearizable(
    topology: kv.Topology, faults: kv.Schedule, scripts: list[list[kv.Step]]
) -> None:
    async def application(cluster: kv.Cluster) -> None:
        kv.check_linearizable(await cluster.record(scripts))

    kv.run(application, topology=topology, faults=faults)
