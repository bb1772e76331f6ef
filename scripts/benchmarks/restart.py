"""How long a member takes to serve again after kill -9, at the worst moment.

The worst moment is the end of taking a snapshot: the old one counts still, and the WAL since is at
its longest.
"""

import asyncio
import contextlib
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import uvloop

from benchmarks import fill, observe
from benchmarks.fill import Writer
from kvstore.pb import rpc_pb2
from kvstore.testing.processes import KEELSON, ClusterProcesses, MemberProcess

_MIB = 1024 * 1024
_NEARLY = 0.9  # of the snapshot before
_COMPACT_EVERY_KEYS = 100_000


def run(keys: int) -> None:
    """Fill, write on until a snapshot is nearly taken, kill, start, look."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        ClusterProcesses(KEELSON, Path(folder), count=1) as cluster,
    ):
        member = cluster.members[0]
        uvloop.run(_write(member, keys))
        print(f"RSS {observe.rss_mib(member.pid):.0f} MiB", flush=True)
        member.kill()
        sizes = {
            kind: sum(path.stat().st_size for path in (member.data_folder / "member").glob(pattern))
            for kind, pattern in (("snapshots", "snap/*"), ("WAL segments", "wal/*"))
        }
        print("killed; on disk:", ", ".join(f"{k} {v / _MIB:.0f} MiB" for k, v in sizes.items()))
        began = time.perf_counter()
        cluster.start_member(member)
        cluster.wait_ready(timeout_seconds=300)
        seconds = time.perf_counter() - began
        print(f"serving again after {seconds:.2f} s, RSS {observe.rss_mib(member.pid):.0f} MiB")
        print(f"{_count(member)} of {keys} keys are there")


async def _write(member: MemberProcess, keys: int) -> None:
    writer = await Writer.open(member.endpoint)
    began = time.perf_counter()
    await writer.send_all(fill.key_puts(range(keys)))
    print(f"{keys} keys of 256 B put in {time.perf_counter() - began:.0f} s", flush=True)
    # From here on every put replaces a key; what it replaces is compacted away as in earnest.
    overwriting = asyncio.ensure_future(writer.send_all(_overwrites(keys)))
    await asyncio.wait(
        [overwriting, asyncio.ensure_future(_snapshot_nearly_taken(member))],
        return_when=asyncio.FIRST_COMPLETED,
    )
    wal_bytes = (await asyncio.to_thread(observe.metrics, member.endpoint))["keelson_wal_bytes"]
    print(f"WAL since the last snapshot: {wal_bytes / _MIB:.0f} MiB", flush=True)
    overwriting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await overwriting
    assert writer.failed == 0, f"{writer.failed} puts failed"
    writer.close()


def _overwrites(keys: int) -> Iterator[fill.Request]:
    """Endless. Each txn makes one revision, so the revisions are known."""
    revision = 1 + keys // 100
    for start in itertools.cycle(range(0, keys, _COMPACT_EVERY_KEYS)):
        for request in fill.key_puts(range(start, min(start + _COMPACT_EVERY_KEYS, keys))):
            yield request
            revision += 1
        yield fill.compact(revision - 16 - 1)  # none that may still be under way


async def _snapshot_nearly_taken(member: MemberProcess) -> None:
    folder = member.data_folder / "member" / "snap"
    while True:
        await asyncio.sleep(0.02)
        sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
        finished = max((s for name, s in sizes.items() if not name.endswith(".tmp")), default=0)
        growing = max((s for name, s in sizes.items() if name.endswith(".tmp")), default=0)
        if growing and growing >= _NEARLY * finished:
            return


def _count(member: MemberProcess) -> int:
    with grpc.insecure_channel(member.endpoint) as channel:
        read = channel.unary_unary(
            "/etcdserverpb.KV/Range",
            request_serializer=rpc_pb2.RangeRequest.SerializeToString,
            response_deserializer=rpc_pb2.RangeResponse.FromString,
        )
        request = rpc_pb2.RangeRequest(key=b"fill/", range_end=b"fill0", count_only=True)
        response = read(request, timeout=60)
        assert isinstance(response, rpc_pb2.RangeResponse)
        return response.count
