"""Whatever goes wrong: no deposit is lost, also when its lock is."""

import asyncio

from hypothesis import given, settings

from examples.lock import LockLostError, balance, deposit
from kvstore.errors import UnavailableError
from kvstore.testing import properties as kv

# Whatever keeps a client from renewing its lease for longer than the lease lasts.
OUTAGES = kv.faults(kv.PowerCut, kv.Pause)


@settings(deadline=None)
@given(topology=kv.topologies(), faults=kv.fault_schedules(OUTAGES, for_seconds_max=15.0))
def test_no_deposit_is_lost(topology: kv.Topology, faults: kv.Schedule) -> None:
    async def application(cluster: kv.Cluster) -> None:
        async with cluster.connect() as one, cluster.connect() as other:
            calls = [deposit(one, "savings"), deposit(other, "savings")]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            await cluster.heal()
            unknown = sum(isinstance(outcome, UnavailableError) for outcome in outcomes)
            refused = sum(isinstance(outcome, LockLostError) for outcome in outcomes)
            sure = outcomes.count(None)
            assert sure + unknown + refused == len(calls), outcomes
            assert sure <= await balance(one, "savings") <= sure + unknown

    kv.run(application, topology=topology, faults=faults)
