"""What a run of the store benchmark says: lines of a table, and all raw figures as JSON."""

import math
import statistics
from pathlib import Path

import msgspec

from benchmarks.bars import NO_BAR, Bar, Ratios
from benchmarks.outcome import Outcome
from benchmarks.rows import Row

GENERATOR_CPU_MAX = 0.9  # beyond it the generator's speed is measured, not the system's
_NAME_WIDTH = 40


class Medians(msgspec.Struct, frozen=True):
    """Of one system over the measurements of a row."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float  # of all members, for one completion


class RowReport(msgspec.Struct, frozen=True):
    """One row: the measurements in the order of the pairs, and what follows from them."""

    name: str
    load: str
    clients: int
    is_on_leader: bool
    etcd: list[Outcome]
    ours: list[Outcome]
    medians_etcd: Medians
    medians_ours: Medians
    ratios: Ratios
    bar: Bar
    below: list[str]
    is_generator_bound: bool


class PeerRow(msgspec.Struct, frozen=True):
    """A row of the Python peer, which stands alone."""

    name: str
    clients: int
    outcomes: list[Outcome]
    medians: Medians
    is_generator_bound: bool


class SyncCount(msgspec.Struct, frozen=True):
    """How often the members of a system synced while so many puts were answered."""

    system: str
    clients: int
    puts: int
    calls: dict[str, int]

    @property
    def per_put(self) -> float:
        """Syncs of all members for one put."""
        return sum(self.calls.values()) / max(self.puts, 1)


class Report(msgspec.Struct):
    """A whole run; fields are filled as it goes on."""

    plan: str
    pairs: int
    seconds: float
    began: str
    ended: str
    machine: str
    versions: dict[str, str]
    rows: list[RowReport] = []
    peer: list[PeerRow] = []
    peer_note: str = ""
    syncs: list[SyncCount] = []
    syncs_note: str = ""
    rss_mib: dict[str, list[float]] = {}

    @property
    def is_below(self) -> bool:
        """True when some ratio misses its bar."""
        return any(row.below for row in self.rows)

    def write_json(self, path: Path) -> None:
        """All raw measurements, medians and ratios; what is infinite becomes null."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")


def row_report(row: Row, pairs: list[tuple[Outcome, Outcome]], bar: Bar = NO_BAR) -> RowReport:
    """Judge a row by its pairs (etcd, ours)."""
    etcd, ours = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    ratios = Ratios(
        rate=_median_ratio([(o.rate, e.rate) for e, o in pairs]),
        cpu=_median_ratio([(o.cpu_us, e.cpu_us) for e, o in pairs]),
        p99=_median_ratio([(o.p99_ms, e.p99_ms) for e, o in pairs]),
    )
    return RowReport(
        name=row.name,
        load=row.load,
        clients=row.clients,
        is_on_leader=row.is_on_leader,
        etcd=etcd,
        ours=ours,
        medians_etcd=medians(etcd),
        medians_ours=medians(ours),
        ratios=ratios,
        bar=bar,
        below=bar.misses(ratios),
        is_generator_bound=is_generator_bound([*etcd, *ours]),
    )


def medians(outcomes: list[Outcome]) -> Medians:
    """Each figure's own median."""
    return Medians(
        rate=statistics.median(outcome.rate for outcome in outcomes),
        p50_ms=statistics.median(outcome.p50_ms for outcome in outcomes),
        p99_ms=statistics.median(outcome.p99_ms for outcome in outcomes),
        cpu_us=statistics.median(outcome.cpu_us for outcome in outcomes),
    )


def is_generator_bound(outcomes: list[Outcome]) -> bool:
    """True when the generator was busy nearly all the time in any of them."""
    return any(outcome.generator_cpu >= GENERATOR_CPU_MAX for outcome in outcomes)


def _median_ratio(pairs: list[tuple[float, float]]) -> float:
    """Median of the ratios pair by pair; no number when one of them is none."""
    ratios = [ours / etcd if etcd else math.nan for ours, etcd in pairs]
    return math.nan if any(map(math.isnan, ratios)) else statistics.median(ratios)


# ------------------------------------------------------------------ text


def table_head() -> str:
    """The line above the rows."""
    return (
        f"{'load':{_NAME_WIDTH}}{'etcd/s':>9}{'ours/s':>9}{'rate':>7}{'cpu':>7}"
        f"{'etcd p50/p99 ms':>18}{'ours p50/p99 ms':>18}{'cpu us e/o':>12}"
    )


def table_line(row: RowReport) -> str:
    """One row, with what is to be said about it at the end."""
    etcd, ours = row.medians_etcd, row.medians_ours
    cpu = f"{etcd.cpu_us:.0f}/{ours.cpu_us:.0f}"
    return (
        f"{row.name:{_NAME_WIDTH}}{etcd.rate:9.0f}{ours.rate:9.0f}"
        f"{row.ratios.rate:7.2f}{row.ratios.cpu:7.2f}"
        f"{_latency(etcd):>18}{_latency(ours):>18}{cpu:>12}{_notes(row)}"
    )


def peer_line(row: PeerRow) -> str:
    """One row of the peer, in the columns of the table's second system."""
    found = row.medians
    notes = "  generator-bound" if row.is_generator_bound else ""
    if failures := sum(outcome.failures for outcome in row.outcomes):
        notes += f"  failures {failures}"
    return (
        f"{row.name:{_NAME_WIDTH}}{'':9}{found.rate:9.0f}{'':14}{'':18}"
        f"{_latency(found):>18}{found.cpu_us:12.0f}{notes}"
    )


def sync_line(count: SyncCount) -> str:
    """How often a system synced."""
    calls = " and ".join(f"{number} {name}" for name, number in sorted(count.calls.items()))
    return (
        f"syncs of {count.system} at {count.clients} client(s): {count.per_put:.2f} a put "
        f"({calls} of all members for {count.puts} puts)"
    )


def _latency(of: Medians) -> str:
    return f"{of.p50_ms:.1f}/{of.p99_ms:.1f}"


def _notes(row: RowReport) -> str:
    notes = ""
    if row.below:
        notes += f"  below ({', '.join(row.below)})"
    if row.is_generator_bound:
        notes += "  generator-bound"
    failures = [sum(outcome.failures for outcome in side) for side in (row.etcd, row.ours)]
    if any(failures):
        notes += f"  failures etcd {failures[0]}, ours {failures[1]}"
    return notes
