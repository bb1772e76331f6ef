"""Simulations of controllers repeat exactly, and say what is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings

from controlplane.objects import ObjectStore
from controlplane.testing import EPOCH, Cut, World, cuts, run
from examples.fleet import FLEET_CONTROLLER, FLEETS
from kvstore.testing import properties as kv

ROOT = Path(__file__).parents[2]
FAULTS = (
    kv.Episode(at_seconds=0.5, for_seconds=2.0, fault=kv.CutOff(member="leader")),
    kv.Episode(at_seconds=1.0, for_seconds=1.0, fault=kv.Crash(member=1)),
)


def trace(topology: kv.Topology) -> str:
    """All that travelled in a run, in its order."""

    async def application(world: World) -> str:
        async with world.connect() as user, world.running(FLEET_CONTROLLER) as controlling:
            async with world.suffer(controlling, [Cut(at_seconds=1, for_seconds=3)]):
                for name in ("x", "y"):
                    metadata = {"namespace": "n", "name": name}
                    await user.create(FLEETS, {"metadata": metadata, "spec": {"size": 3}})
                await world.clock.sleep(20)
            return str(world.cluster.simulated.network.trace.hexdigest())

    return run(application, topology=topology, faults=FAULTS)


def test_run_repeats_exactly_also_in_another_process() -> None:
    topology = kv.Topology(members=3, seed=7)
    here = trace(topology)
    assert trace(topology) == here
    assert trace(kv.Topology(members=3, seed=8)) != here
    program = (
        "from tests.controlplane.test_testing import trace, kv;"
        "print(trace(kv.Topology(members=3, seed=7)))"
    )
    for hash_seed in ("1", "2"):
        ended = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        )
        assert ended.stdout.strip() == here


def test_what_is_not_so_in_time_is_told() -> None:
    async def never() -> bool:
        return False

    async def application(world: World) -> None:
        begun = world.now()
        assert begun >= EPOCH
        with pytest.raises(AssertionError, match="not so after 30 s"):
            await world.until(never, seconds_max=30)
        assert 30 <= world.now() - begun < 31

    run(application)


@settings(deadline=None, max_examples=10)
@given(cut=cuts())
def test_cuts_end_with_their_block(cut: list[Cut]) -> None:
    async def is_served(store: ObjectStore) -> bool:
        return await store.revision() > 0

    async def application(world: World) -> None:
        async with world.connect() as store:
            async with world.suffer(store, cut):
                await world.clock.sleep(1)
            await world.until(lambda: is_served(store), seconds_max=1)

    run(application)
