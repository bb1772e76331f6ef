"""Whatever goes wrong: who was told so has counted, and nobody counts twice."""

import asyncio

from hypothesis import given, settings

from examples.counter import count, increment
from kvstore.errors import UnavailableError
from kvstore.testing import properties as kv


@settings(deadline=None)
@given(topology=kv.topologies(), faults=kv.fault_schedules())
def test_every_increment_counts_once(topology: kv.Topology, faults: kv.Schedule) -> None:
    async def application(cluster: kv.Cluster) -> None:
        async with cluster.connect() as one, cluster.connect() as other:
            calls = [increment(client, "visits") for client in (one, other) for _ in range(3)]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            await cluster.heal()
            unknown = [outcome for outcome in outcomes if outcome is not None]
            assert all(isinstance(outcome, UnavailableError) for outcome in unknown)
            assert 6 - len(unknown) <= await count(one, "visits") <= 6

    kv.run(application, topology=topology, faults=faults)
