"""How often the members sync while puts go on, counted by the kernel's own interface (strace).

Both systems must make every acknowledged put durable: the count shows that neither cheats. On a run
of its own, as a traced process is a slow one.
"""

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import loads
from benchmarks.outcome import Target
from benchmarks.report import SyncCount

CALLS = ("fdatasync", "fsync")
CLIENTS = (1, 32)
PUT_SECONDS = 1.0
_ATTACH_SECONDS_MAX = 20.0
_POLL_SECONDS = 0.02


class NotTraceableError(Exception):
    """strace is missing, or may not attach; says which."""


async def count_syncs(system: str, target: Target, folder: Path) -> list[SyncCount]:
    """Syncs of all members of a system while puts are answered."""
    if shutil.which("strace") is None:
        raise NotTraceableError("strace is not installed")
    found = []
    for clients in CLIENTS:
        reports = [folder / f"{system}-{clients}-{pid}" for pid in target.pids]
        with _traced(target.pids, reports):
            outcome = await loads.run(loads.PUT, target, clients, PUT_SECONDS)
        counts = [parse(report.read_text()) for report in reports]
        calls = {name: sum(count.get(name, 0) for count in counts) for name in CALLS}
        found.append(SyncCount(system, clients, outcome.completions, calls))
    return found


def parse(summary: str) -> dict[str, int]:
    """Calls by name from the table that `strace -c` writes."""
    counts = {}
    for line in summary.splitlines():
        fields = line.split()
        if fields and fields[-1] in CALLS:
            counts[fields[-1]] = int(fields[3])
    return counts


@contextmanager
def _traced(pids: list[int], reports: list[Path]) -> Iterator[None]:
    """A tracer at each process from the beginning to the end of the block."""
    with contextlib.ExitStack() as stack:
        for pid, report in zip(pids, reports, strict=True):
            stack.enter_context(_tracer(pid, report))
        yield


@contextmanager
def _tracer(pid: int, report: Path) -> Iterator[None]:
    traced = f"trace={','.join(CALLS)}"
    said_path = report.with_suffix(".said")
    with said_path.open("wb") as said:
        tracer = subprocess.Popen(
            ["strace", "-f", "-c", "-e", traced, "-o", str(report), "-p", str(pid)],
            stdin=subprocess.DEVNULL,
            stderr=said,
        )
    try:
        _wait_attached(tracer, said_path)
        yield
    finally:
        tracer.send_signal(signal.SIGINT)  # it detaches and writes its table
        tracer.wait()


def _wait_attached(tracer: "subprocess.Popen[bytes]", said: Path) -> None:
    deadline = time.monotonic() + _ATTACH_SECONDS_MAX
    while " attached" not in said.read_text():
        if tracer.poll() is not None or time.monotonic() > deadline:
            reason = said.read_text().strip() or "strace does not attach"
            raise NotTraceableError(reason.splitlines()[0])
        time.sleep(_POLL_SECONDS)
