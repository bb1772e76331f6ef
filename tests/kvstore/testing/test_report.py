"""Sums of many runs, and what they should have been about."""

from kvstore.server.points import ALL_POINTS
from kvstore.testing.simulation.report import Report, never_happened, summary, total

FIRST = Report(
    members=3,
    seconds=30.5,
    operations=200,
    elections=2,
    faults={"pause": 2, "cut off": 1},
    crashes={"": 1, "wal sync": 2},
    trace_hash="first",
)
SECOND = Report(
    members=5,
    operations=300,
    faults={"pause": 1, "split": 4},
    crashes={"wal sync": 1, "wal write": 1},
)


def test_sums() -> None:
    sums = total([FIRST, SECOND])
    assert (sums.runs, sums.members, sums.operations, sums.elections) == (2, 8, 500, 2)
    assert sums.crashes == {"": 1, "wal sync": 3, "wal write": 1}
    assert sums.faults == {"cut off": 1, "pause": 3, "split": 4}
    assert (sums.fault_count, sums.cuts, sums.pauses, sums.membership_changes) == (8, 5, 3, 0)
    assert sums.trace_hash == ""
    assert FIRST.crashes == {"": 1, "wal sync": 2}, "the parts stay what they were"


def test_what_never_happened_is_named() -> None:
    missing = never_happened(total([FIRST, SECOND]))
    assert "torn tails" in missing
    assert "crash at snapshot rename" in missing
    assert "membership changes" in missing
    assert "complete last copy" in missing
    assert "elections" not in missing
    assert "crash at wal sync" not in missing
    everything = Report(
        elections=1,
        snapshots_taken=1,
        snapshots_sent=1,
        snapshots_installed=1,
        torn_tails=1,
        reads_across_elections=1,
        leases_expired=1,
        faults={"pause": 1, "split": 1, "membership change": 1},
        completed={"contested election": 1, "last copy": 1, "late acknowledgement": 1},
        crashes=dict.fromkeys(ALL_POINTS, 1),
    )
    assert never_happened(everything) == []


def test_the_summary_is_a_block_of_short_lines() -> None:
    text = summary(total([FIRST, SECOND, Report(crashes=dict.fromkeys(ALL_POINTS, 12))]))
    assert max(map(len, text.splitlines())) <= 104
    assert "500 operations" in text
    assert "15 wal sync" in text
    assert "0 membership changes" in text
