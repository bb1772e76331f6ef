"""The event loop's longest pause while a snapshot is taken under 1,000 writes a second.

Beside it, at the same moments, the longest pause of a loop with nothing to do.
"""

import asyncio
import itertools
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop

from benchmarks import fill, observe
from benchmarks.fill import Writer
from benchmarks.grpc_client import connect, headers, message
from kvstore.pb import rpc_pb2
from kvstore.testing.processes import ClusterProcesses, MemberProcess

_WRITES_PER_SECOND = 1_000
_PROBE = (sys.executable, "-m", "benchmarks.probe")
_REPORT_SECONDS_MAX = 60.0


def run(keys: int, runs: int) -> None:
    """Fill, then take snapshots while writing at a steady rate."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        reports = [folder / "member.report", folder / "idle.report"]
        program = (*_PROBE, str(reports[0]))
        idle = subprocess.Popen([*_PROBE, str(reports[1]), "idle"])
        try:
            with ClusterProcesses(program, folder / "cluster", count=1) as cluster:
                uvloop.run(_measure(cluster.members[0], idle, reports, keys, runs))
        finally:
            idle.kill()
            idle.wait()


async def _measure(
    member: MemberProcess,
    idle: "subprocess.Popen[bytes]",
    reports: Sequence[Path],
    keys: int,
    runs: int,
) -> None:
    pauses: list[list[float]] = [[], []]
    writer = await Writer.open(member.endpoint)
    await writer.send_all(fill.key_puts(range(keys)))
    puts = (fill.put(b"steady/%06d" % (number % 10_000)) for number in itertools.count())
    writing = asyncio.ensure_future(writer.send_steadily(puts, per_second=_WRITES_PER_SECOND))
    before = await _look(member, idle, reports)  # forgets what filling did
    for number in range(1, runs + 1):
        began, answered = time.perf_counter(), writer.answered
        await _take_snapshot(member.endpoint)
        seconds = time.perf_counter() - began
        longest = await _look(member, idle, reports)
        rate = (writer.answered - answered) / seconds
        for kept, pause in zip(pauses, longest, strict=True):
            kept.append(pause)
        print(
            f"snapshot {number}: {seconds:.1f} s under {rate:.0f} writes/s, longest pause "
            f"{longest[0] * 1e3:.1f} ms (idle loop {longest[1] * 1e3:.1f} ms)",
            flush=True,
        )
    writing.cancel()
    medians = [statistics.median(kept) * 1e3 for kept in pauses]
    print(f"median of {runs}: {medians[0]:.1f} ms (idle loop {medians[1]:.1f} ms)")
    print(f"while filling: {before[0] * 1e3:.1f} ms (idle loop {before[1] * 1e3:.1f} ms)")
    print(f"RSS {observe.rss_mib(member.pid):.0f} MiB, {writer.failed} writes failed")
    writer.close()


async def _take_snapshot(endpoint: str) -> None:
    """Defragment: our store answers it with a durable snapshot."""
    connection = await connect(endpoint)
    done, answers = asyncio.Event(), list[bytes]()
    call = connection.open(
        headers("/etcdserverpb.Maintenance/Defragment"), answers.append, lambda _: done.set()
    )
    request = rpc_pb2.DefragmentRequest().SerializeToString()
    connection.send(call, message(request), last=True)
    await done.wait()
    connection.close()
    assert answers, "the member refused to take a snapshot: see its log"


async def _look(
    member: MemberProcess, idle: "subprocess.Popen[bytes]", reports: Sequence[Path]
) -> list[float]:
    """The longest pauses since the last look: the member's, the idle loop's."""
    before = [_read(report)[0] for report in reports]
    member.signal(signal.SIGUSR1)
    idle.send_signal(signal.SIGUSR1)
    async with asyncio.timeout(_REPORT_SECONDS_MAX):
        await _until(lambda: all(_read(r)[0] > b for r, b in zip(reports, before, strict=True)))
    return [_read(report)[1] for report in reports]


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - files of other processes tell
        await asyncio.sleep(0.01)


def _read(report: Path) -> tuple[int, float]:
    if not report.exists():
        return 0, 0.0
    number, longest = report.read_text().split()
    return int(number), float(longest)
