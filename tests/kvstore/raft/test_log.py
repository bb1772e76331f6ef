"""The log's tail, by example and against a plain list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.raft.log import ENTRY_OVERHEAD_BYTES, Log
from kvstore.raft.types import Entry, Membership, SnapshotMeta

from .single import entries


def new_log(*terms: int, compacted: int = 0) -> Log:
    """A log with entries of these terms, the first `compacted` of them compacted."""
    log = Log(SnapshotMeta(0, 0, Membership()), entries(*terms))
    log.commit_to(compacted)
    log.hand_committed()
    log.applied = compacted
    log.compact(compacted)
    log.check_invariants()
    return log


term_lists = st.lists(st.integers(1, 5), max_size=12).map(sorted)


@given(term_lists, st.integers(0, 12), st.integers(0, 14), st.integers(0, 6))
def test_find_by_term_skips_exactly_what_cannot_match(
    terms: list[int], compacted: int, index: int, term: int
) -> None:
    compacted = min(compacted, len(terms))
    log = new_log(*terms, compacted=compacted)
    found = log.find_by_term(index, term)
    index = min(index, len(terms))
    assert found <= index
    for skipped in range(found + 1, index + 1):
        assert [0, *terms][skipped] > term
    if compacted <= found:
        assert log.term(found) <= term


def test_find_by_term_says_when_nothing_here_qualifies() -> None:
    """The answer lies below the compaction point: what follows it is all of later terms."""
    log = new_log(1, 3, 3, 4, compacted=3)
    assert log.find_by_term(4, 2) == 2
    assert log.find_by_term(3, 2) == 2
    assert log.find_by_term(4, 3) == 3


@given(term_lists, term_lists, st.integers(0, 12), st.integers(0, 12))
def test_merge_leaves_the_leaders_prefix_and_truncates_only_conflicts(
    ours: list[int], leaders: list[int], previous: int, count: int
) -> None:
    log = new_log(*ours)
    # Log Matching holds between real logs: where terms agree, so does all before.
    shared = next(
        (i for i, (a, b) in enumerate(zip(ours, leaders, strict=False)) if a != b),
        min(len(ours), len(leaders)),
    )
    previous = min(previous, shared)
    sent = entries(*leaders)[previous : previous + count]
    assert log.merge(previous, log.term(previous), sent)
    log.check_invariants()
    merged = [entry.term for entry in log.entries(1, log.last_index)]
    end = previous + len(sent)
    assert merged[:end] == leaders[:end]
    conflicts = end > shared and len(ours) > shared
    assert merged[end:] == ([] if conflicts else ours[end:])


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=20), st.integers(0, 800))
def test_entries_within_fills_the_bytes_but_gives_at_least_one(
    data: list[bytes], bytes_max: int
) -> None:
    log = new_log()
    log.append([Entry(index, 1, item) for index, item in enumerate(data, 1)])
    sizes = [len(item) + ENTRY_OVERHEAD_BYTES for item in data]
    for low in range(1, len(data) + 1):
        count = len(log.entries_within(low, bytes_max))
        fitting = [n for n in range(len(data) - low + 2) if sum(sizes[low - 1 :][:n]) <= bytes_max]
        assert count == max(1, fitting[-1])
    assert log.entries_within(len(data) + 1, bytes_max) == ()
    assert log.bytes_between(0, len(data)) == sum(sizes)


def test_a_committed_entry_is_never_truncated() -> None:
    log = new_log(1, 1, 1)
    log.commit_to(2)
    with pytest.raises(AssertionError, match="committed entry"):
        log.merge(1, 1, entries(2, first=2))


def test_commit_never_goes_back_or_beyond_the_log() -> None:
    log = new_log(1, 1, 1)
    log.commit_to(2)
    log.commit_to(1)
    assert log.commit == 2
    with pytest.raises(AssertionError, match="acknowledged entries are lost"):
        log.commit_to(4)


def test_what_is_compacted_is_out_of_reach() -> None:
    log = new_log(1, 1, 2, compacted=2)
    assert log.term(2) == 1
    assert not log.matches(1, 1)
    assert log.matches(2, 1)
    assert not log.matches(4, 2)
    for ask in (lambda: log.term(1), lambda: log.entries(2, 3), lambda: log.entries_within(2, 9)):
        with pytest.raises(AssertionError):
            ask()


def test_a_reset_log_is_its_snapshot_and_nothing_else() -> None:
    log = new_log(1, 1, 1)
    log.reset(SnapshotMeta(9, 3, Membership()))
    log.check_invariants()
    assert (log.last_index, log.last_term, log.commit, log.applied, log.durable) == (9, 3, 9, 9, 9)
    assert log.hand_unwritten() == ()
