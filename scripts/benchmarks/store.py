"""`scripts/bench store`: ours beside Debian's etcd, three members each, one run, ratios.

Both clusters stay up; measurements alternate pair by pair, so that a noisy machine hits both, and
the one that goes first changes. Rate ratio = ours / etcd, more is better; CPU ratio = CPU of all
members per completion, less is better; a ratio that misses its bar prints `below`.
"""

import asyncio
import datetime
import importlib.metadata
import importlib.util
import platform
import subprocess
import tempfile
from pathlib import Path

import msgspec
import uvloop

from benchmarks import loads, observe, pysyncobj_peer, rows, syncs
from benchmarks import report as reporting
from benchmarks.bars import BARS, NO_BAR
from benchmarks.outcome import Outcome, Target
from benchmarks.pysyncobj_peer import PeerLoad, PeerStartError
from benchmarks.report import Report, RowReport
from benchmarks.rows import Plan, Row
from benchmarks.syncs import NotTraceableError
from kvstore.testing.processes import ETCD, KEELSON, ClusterProcesses

SYNCS = "syncs per put"


class Choice(msgspec.Struct, frozen=True):
    """What of the table is to be run."""

    rows: list[Row]
    peer: list[PeerLoad]
    has_syncs: bool

    @classmethod
    def named(cls, text: str) -> "Choice":
        """All whose name contains the text."""
        peer = [load for load in pysyncobj_peer.LOADS if text in load.name]
        return cls(rows.named(text), peer, text in SYNCS)

    def __bool__(self) -> bool:
        return bool(self.rows or self.peer or self.has_syncs)


def run(choice: Choice, plan: Plan, machine: str) -> Report:
    """Print line by line what is chosen, and return all of it."""
    report = Report(
        plan=plan.name,
        pairs=plan.pairs,
        seconds=plan.seconds,
        began=_now(),
        ended="",
        machine=machine,
        versions=_versions(),
    )
    print(", ".join(f"{name} {version}" for name, version in report.versions.items()))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if choice.rows or choice.has_syncs:
            _run_pairs(choice, plan, report, Path(folder))
        if choice.peer:
            uvloop.run(_run_peer(choice.peer, plan, report, Path(folder) / "peer"))
    report.ended = _now()
    return report


def _run_pairs(choice: Choice, plan: Plan, report: Report, folder: Path) -> None:
    with (
        ClusterProcesses(KEELSON, folder / "keelson", count=3) as ours,
        ClusterProcesses(ETCD, folder / "etcd", count=3) as etcd,
    ):
        uvloop.run(_Comparison(etcd, ours, plan, report).run(choice, folder))


class _Comparison:
    """Both clusters and the report that grows."""

    def __init__(
        self, etcd: ClusterProcesses, ours: ClusterProcesses, plan: Plan, report: Report
    ) -> None:
        self._etcd = etcd
        self._ours = ours
        self._plan = plan
        self._report = report

    async def run(self, choice: Choice, folder: Path) -> None:
        for cluster in (self._etcd, self._ours):
            await loads.fill(cluster.endpoints)
        if choice.has_syncs:
            await self._count_syncs(folder)
        if choice.rows:
            print(reporting.table_head(), flush=True)
        for row in choice.rows:
            found = await self._row(row)
            self._report.rows.append(found)
            print(reporting.table_line(found), flush=True)
        self._print_rss()

    async def _row(self, row: Row) -> RowReport:
        pairs = []
        for number in range(self._plan.pairs):
            if number % 2 == 0:
                etcd = await self._measure(self._etcd, row)
                ours = await self._measure(self._ours, row)
            else:
                ours = await self._measure(self._ours, row)
                etcd = await self._measure(self._etcd, row)
            pairs.append((etcd, ours))
        for cluster in (self._etcd, self._ours):
            await _forget_history(cluster)
        return reporting.row_report(row, pairs, BARS.get(row.name, NO_BAR))

    async def _measure(self, cluster: ClusterProcesses, row: Row) -> Outcome:
        """One measurement; a system that fails as a whole has a rate of nothing."""
        try:
            target = await _target(cluster, is_leader=row.is_on_leader)
            return await row.measure(target, self._plan)
        except OSError as error:  # also what is lost or late
            print(f"{row.name}: {cluster.folder.name} fails: {error!r}", flush=True)
            return Outcome.nothing()

    async def _count_syncs(self, folder: Path) -> None:
        try:
            for system, cluster in (("etcd", self._etcd), ("ours", self._ours)):
                target = await _target(cluster)
                self._report.syncs += await syncs.count_syncs(system, target, folder)
        except NotTraceableError as error:
            self._report.syncs_note = f"syncs per put were not counted: {error}"
            print(self._report.syncs_note)
        for count in self._report.syncs:
            print(reporting.sync_line(count), flush=True)

    def _print_rss(self) -> None:
        for system, cluster in (("etcd", self._etcd), ("ours", self._ours)):
            sizes = [observe.rss_mib(member.pid) for member in cluster.members]
            self._report.rss_mib[system] = sizes
            told = ", ".join(f"{size:.0f}" for size in sizes)
            print(f"RSS of {system}'s members: {told} MiB", flush=True)


async def _forget_history(cluster: ClusterProcesses) -> None:
    """No row pays for what an earlier one wrote."""
    try:
        await loads.compact(cluster.endpoints)
    except OSError as error:
        print(f"{cluster.folder.name} does not compact: {error!r}", flush=True)


async def _target(cluster: ClusterProcesses, *, is_leader: bool = False) -> Target:
    """All members, or the leader alone; the CPU of all counts in either case."""
    pids = [member.pid for member in cluster.members]
    if not is_leader:
        return Target(cluster.endpoints, pids)
    leader = await asyncio.to_thread(cluster.leader)
    if leader is None:
        raise ConnectionError(f"no member of {cluster.folder.name} leads")
    return Target([leader.endpoint], pids)


async def _run_peer(wanted: list[PeerLoad], plan: Plan, report: Report, folder: Path) -> None:
    if importlib.util.find_spec("pysyncobj") is None:
        report.peer_note = "PySyncObj is not installed (extra dev): its rows are left out"
    else:
        report.peer_note = pysyncobj_peer.NOTE
        try:
            async for row in pysyncobj_peer.run(wanted, plan, folder):
                report.peer.append(row)
                print(reporting.peer_line(row), flush=True)
        except PeerStartError as error:
            report.peer_note = f"PySyncObj is left out: {error}"
    print(report.peer_note, flush=True)


def _versions() -> dict[str, str]:
    etcd = subprocess.run([*ETCD, "--version"], capture_output=True, text=True, check=True)
    return {
        "etcd": etcd.stdout.splitlines()[0].rpartition(" ")[2],
        "keelson": _distribution("keelson"),
        "PySyncObj": _distribution("pysyncobj"),
        "Python": platform.python_version(),
        "Linux": platform.release(),
    }


def _distribution(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
