"""A gigabyte of events past a watcher that never reads: its memory, and what others notice."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import uvloop

from benchmarks import fill, loads, observe
from benchmarks.fill import Writer
from benchmarks.grpc_client import GrpcConnection, connect, headers, message
from benchmarks.outcome import Target
from kvstore.pb import rpc_pb2
from kvstore.testing.processes import KEELSON, ClusterProcesses, MemberProcess

_VALUE = bytes(64 * 1024)
_PER_MEBIBYTE = 16
_WARM_UP_SHARE = 0.25
_KEYS = 64
_COMPACT_SECONDS = 0.25
_OTHER_CLIENTS = 8


def run(mebibytes: int) -> None:
    """The same load without and then with the watcher."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        ClusterProcesses(KEELSON, Path(folder), count=1) as cluster,
    ):
        uvloop.run(_run(cluster.members[0], mebibytes))


async def _run(member: MemberProcess, mebibytes: int) -> None:
    await _load(member, int(mebibytes * _WARM_UP_SHARE))
    rss, p99 = await _load(member, mebibytes)
    print(f"without: RSS at most {rss:.0f} MiB, others' p99 {p99:.1f} ms", flush=True)
    before = observe.rss_mib(member.pid)
    silent = await _watch_without_reading(member)
    watched_rss, watched_p99 = await _load(member, mebibytes)
    print(f"with:    RSS at most {watched_rss:.0f} MiB, others' p99 {watched_p99:.1f} ms")
    growth = watched_rss - max(before, rss)
    print(f"{mebibytes} MiB of events: RSS grew by {growth:.0f} MiB beyond the run without,")
    print(f"others' p99 is {watched_p99 / p99:.2f} x")
    silent.close()


async def _load(member: MemberProcess, mebibytes: int) -> tuple[float, float]:
    """Write so much; returns the highest RSS in MiB and others' p99 in ms."""
    writer = await Writer.open(member.endpoint)
    writing = asyncio.ensure_future(
        writer.send_all(_events(mebibytes * _PER_MEBIBYTE), under_way_max=4)
    )
    compacting = asyncio.ensure_future(_compact(member))
    highest, slices = 0.0, []
    target = Target([member.endpoint])
    while not writing.done():
        highest = max(highest, observe.rss_mib(member.pid))
        slices.append(await loads.run(loads.PUT, target, _OTHER_CLIENTS, 1.0))
    await writing
    compacting.cancel()
    assert writer.failed == 0, f"{writer.failed} writes failed"
    writer.close()
    latencies = sorted(outcome.p99_ms for outcome in slices)
    return highest, latencies[len(latencies) // 2]


def _events(count: int) -> Iterator[fill.Request]:
    for number in range(count):
        yield fill.put(b"large/%02d" % (number % _KEYS), _VALUE)


async def _compact(member: MemberProcess) -> None:
    """History goes as in earnest, or the store itself would grow."""
    writer = await Writer.open(member.endpoint)
    while True:
        await asyncio.sleep(_COMPACT_SECONDS)
        metrics = await asyncio.to_thread(observe.metrics, member.endpoint)
        writer.send(fill.compact(int(metrics["etcd_debugging_mvcc_current_revision"])))


async def _watch_without_reading(member: MemberProcess) -> GrpcConnection:
    """Open a watch, with windows without end, and never take a byte from the socket again."""
    connection = await connect(member.endpoint)
    created = asyncio.Event()
    stream = connection.open(
        headers("/etcdserverpb.Watch/Watch"),
        lambda _: created.set(),
        lambda _: created.set(),
    )
    create = rpc_pb2.WatchCreateRequest(key=b"large/", range_end=b"large0")
    request = rpc_pb2.WatchRequest(create_request=create).SerializeToString()
    connection.send(stream, message(request), last=False)
    await created.wait()
    connection.pause_reading()
    return connection
