"""A follower that lost its disk is replaced while writes go on; the leader stays."""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop

from benchmarks import fill, observe
from benchmarks.fill import Writer
from kvstore import client
from kvstore.testing.processes import KEELSON, ClusterProcesses, MemberProcess

_WRITES_PER_SECOND = 500
_APPLIED = "etcd_server_proposals_applied_total"
_SECONDS_MAX = 300.0
_STATUS_SECONDS = 30.0


def run(keys: int) -> None:
    """Fill three members, replace a follower, and print how the new one catches up."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        ClusterProcesses(KEELSON, Path(folder), count=3) as cluster,
    ):
        uvloop.run(_run(cluster, keys))


async def _run(cluster: ClusterProcesses, keys: int) -> None:
    leader = cluster.leader()
    assert leader is not None
    before = leader.status(_STATUS_SECONDS)
    writer = await Writer.open(leader.endpoint)
    await writer.send_all(fill.key_puts(range(keys)))
    writing = asyncio.ensure_future(writer.send_steadily(_puts(), per_second=_WRITES_PER_SECOND))
    victim = next(member for member in cluster.members if member is not leader)
    newcomer = await _replace(cluster, victim, leader)
    began, answered = time.perf_counter(), writer.answered
    cluster.join(newcomer)
    await asyncio.to_thread(_caught_up, newcomer, leader)
    seconds = time.perf_counter() - began
    rate = (writer.answered - answered) / seconds
    writing.cancel()
    after = leader.status(_STATUS_SECONDS)
    assert before is not None
    assert after is not None
    print(f"{keys} keys; {newcomer.name} in place of {victim.name} caught up after {seconds:.1f} s")
    print(f"under {rate:.0f} writes/s ({_WRITES_PER_SECOND} sent), {writer.failed} failed")
    print(f"leader {before.leader:x} in term {before.raftTerm} before", end=", ")
    print(f"{after.leader:x} in term {after.raftTerm} after")
    rss = ", ".join(f"{observe.rss_mib(member.pid):.0f}" for member in cluster.members)
    print(f"RSS of the members: {rss} MiB")
    writer.close()


async def _replace(
    cluster: ClusterProcesses, victim: MemberProcess, leader: MemberProcess
) -> MemberProcess:
    """Kill and remove a member; the one that is to take its place, not started yet."""
    victim.kill()
    newcomer = cluster.new_member("m4")
    async with client.connect([leader.endpoint]) as store:
        for member in (await store.cluster.member_list()).members:
            if member.name == victim.name:
                await store.cluster.member_remove(member.member_id)
        await store.cluster.member_add([newcomer.peer_url])
    cluster.leave(victim)
    return newcomer


def _puts() -> Iterator[fill.Request]:
    return (fill.put(b"steady/%06d" % (number % 10_000)) for number in itertools.count())


def _caught_up(member: MemberProcess, leader: MemberProcess) -> None:
    """Wait until a member has applied what the leader had applied a moment before."""
    deadline = time.perf_counter() + _SECONDS_MAX
    while time.perf_counter() < deadline:
        wanted = observe.metrics(leader.endpoint)[_APPLIED]
        if _applied(member) >= wanted:
            return
        time.sleep(0.1)
    raise TimeoutError(f"{member.name} is still behind after {_SECONDS_MAX:.0f} s")


def _applied(member: MemberProcess) -> float:
    try:
        return observe.metrics(member.endpoint)[_APPLIED]
    except OSError:  # it does not listen yet
        return -1.0
