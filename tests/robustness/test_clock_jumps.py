"""Jumps of a member's wall clock by an hour change nothing (raft.md, 5.13)."""

import asyncio
import contextlib
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore import client
from kvstore.pb import rpc_pb2
from kvstore.testing.processes import KEELSON, ClusterProcesses
from kvstore.testing.rigs import clocks
from kvstore.testing.rigs.clocks import JumpingClock
from kvstore.testing.torture.clock_faults import ClockJump, clock_off
from kvstore.testing.torture.scene import Scene, Slot

pytestmark = pytest.mark.skipif(bool(clocks.missing()), reason=clocks.missing() or "-")

_HOUR = 3_600
_TTL_SECONDS = 2
_EXPIRED_SECONDS_MAX = 60.0


@pytest.fixture
def clock(tmp_path: Path) -> JumpingClock:
    return JumpingClock(tmp_path)


@pytest.fixture
def cluster(tmp_path: Path, clock: JumpingClock) -> Iterator[ClusterProcesses]:
    """Three members under the clock, which is an hour fast already."""
    clock.jump(_HOUR)
    cluster = ClusterProcesses(KEELSON, tmp_path / "cluster", count=3)
    for member in cluster.members:
        member.environment = clock.environment()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


def test_a_member_whose_clock_jumps_serves_on(
    clock: JumpingClock, cluster: ClusterProcesses
) -> None:
    assert abs(_started_seconds(cluster) - time.time() - _HOUR) < _HOUR / 2, "the rig has no effect"
    before = _leader_and_term(cluster)
    asyncio.run(_jump_and_use(clock, cluster))
    assert _leader_and_term(cluster) == before


@pytest.mark.parametrize("is_under_clock", [True, False])
async def test_that_a_clock_has_jumped_shows_in_every_member_s_log(
    tmp_path: Path, clock: JumpingClock, is_under_clock: bool
) -> None:
    """… and does not show where it is the true time all along."""
    with contextlib.ExitStack() as stack:
        cluster = ClusterProcesses(KEELSON, tmp_path / "cluster", count=2)
        stack.callback(cluster.kill)
        for member in cluster.members:
            member.environment = clock.environment() if is_under_clock else {}
        cluster.start()
        slots = [Slot(name=member.name, member=member) for member in cluster.members]
        scene = Scene(cluster, slots, seed=1, network=None, clock=clock, undoing=stack)
        fault = ClockJump()
        await fault.begin(scene)
        assert bool(fault.evidence) is is_under_clock
        off_seconds = [await clock_off(member) for member in cluster.members]
        signs = {0 if off is None else round(off / _HOUR) for off in off_seconds}
        assert signs in ([{1}, {-1}] if is_under_clock else [{0}])
        await fault.end(scene)


async def _jump_and_use(clock: JumpingClock, cluster: ClusterProcesses) -> None:
    async with client.connect(cluster.endpoints) as store:
        long = await store.leases.grant(2 * _HOUR)
        await store.put("long", "lease", lease=long.lease_id)
        for seconds in (2 * _HOUR, -_HOUR):
            granted = time.monotonic()
            short = await store.leases.grant(_TTL_SECONDS)
            await store.put("short", "lease", lease=short.lease_id)
            clock.jump(seconds)
            await store.put("clock", str(seconds))
            found = await store.get("clock")
            assert found is not None
            assert found.value == str(seconds).encode()
            await _until_gone(store, "short")
            assert time.monotonic() - granted >= _TTL_SECONDS, "it ended too early"
        left = await store.leases.time_to_live(long.lease_id)
        assert _HOUR < left.ttl_seconds <= 2 * _HOUR
        assert await store.get("long") is not None


async def _until_gone(store: client.Client, key: str) -> None:
    async with asyncio.timeout(_EXPIRED_SECONDS_MAX), store.watch(key) as changes:
        if await store.get(key) is None:
            return
        async for batch in changes:
            if any(event.type is client.EventType.DELETE for event in batch.events):
                return


def _leader_and_term(cluster: ClusterProcesses) -> set[tuple[int, int]]:
    statuses = [member.status(timeout_seconds=30) for member in cluster.members]
    return {_of(status) for status in statuses}


def _of(status: rpc_pb2.StatusResponse | None) -> tuple[int, int]:
    assert status is not None, "a member does not answer"
    return status.leader, status.raftTerm


def _started_seconds(cluster: ClusterProcesses) -> float:
    """The wall clock of a member at its start."""
    with urllib.request.urlopen(f"{cluster.members[0].client_url}/metrics") as page:
        for line in page.read().decode().splitlines():
            if line.startswith("process_start_time_seconds "):
                return float(line.split()[1])
    raise AssertionError("no start time in the metrics")
