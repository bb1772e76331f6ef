"""A follower whose disk was wiped takes a snapshot while writes go on; the leader stays."""

import asyncio
import itertools
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop

from benchmarks import fill, observe
from benchmarks.fill import Writer
from kvstore.testing.processes import KEELSON, ClusterProcesses, MemberProcess

_WRITES_PER_SECOND = 500
_APPLIED = "etcd_server_proposals_applied_total"
_SECONDS_MAX = 300.0
_STATUS_SECONDS = 30.0


def run(keys: int) -> None:
    """Fill three members, wipe a follower, and print how it comes back."""
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
    victim.kill()
    shutil.rmtree(victim.data_folder)
    began, answered = time.perf_counter(), writer.answered
    cluster.start_member(victim)
    await asyncio.to_thread(_caught_up, victim, leader)
    seconds = time.perf_counter() - began
    rate = (writer.answered - answered) / seconds
    writing.cancel()
    after = leader.status(_STATUS_SECONDS)
    assert before is not None
    assert after is not None
    print(f"{keys} keys; wiped {victim.name} caught up after {seconds:.1f} s")
    print(f"under {rate:.0f} writes/s ({_WRITES_PER_SECOND} sent), {writer.failed} failed")
    print(f"leader {before.leader:x} in term {before.raftTerm} before", end=", ")
    print(f"{after.leader:x} in term {after.raftTerm} after")
    rss = ", ".join(f"{observe.rss_mib(member.pid):.0f}" for member in cluster.members)
    print(f"RSS of the members: {rss} MiB")
    writer.close()


def _puts() -> Iterator[fill.Request]:
    return (fill.put(b"steady/%06d" % (number % 10_000)) for number in itertools.count())


def _caught_up(victim: MemberProcess, leader: MemberProcess) -> None:
    """Wait until the victim has applied what the leader had applied a moment before."""
    deadline = time.perf_counter() + _SECONDS_MAX
    while time.perf_counter() < deadline:
        wanted = observe.metrics(leader.endpoint)[_APPLIED]
        if _applied(victim) >= wanted:
            return
        time.sleep(0.1)
    raise TimeoutError(f"{victim.name} is still behind after {_SECONDS_MAX:.0f} s")


def _applied(member: MemberProcess) -> float:
    try:
        return observe.metrics(member.endpoint)[_APPLIED]
    except OSError:  # it does not listen yet
        return -1.0
