"""What random operations look like: few keys, few revisions, so that they meet each other."""

from hypothesis import strategies as st

from kvstore.commands import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    Operation,
    Put,
    Range,
    SortOrder,
    SortTarget,
    Txn,
)
from kvstore.errors import DuplicateKeyError
from kvstore.mvcc.checks import check_txn

LEASES = (7, 8)
MISSING_LEASE = 99
OPERATIONS_MAX = 100

keys = st.sampled_from([b"\0", b"a", b"ab", b"b", b"c", b"d\0", b"\xff"])
range_ends = st.sampled_from([b"", b"", b"\0", b"\0", b"b", b"c", b"d", b"\xff\xff", b"a"])
values = st.sampled_from([b"", b"x", b"y", b"zz"])
revisions = st.integers(-2, 40)
steps_back = st.integers(-1, 8)  # from the present revision
maybe_revisions = st.sampled_from([0, 0, 0, 1, 2, 3, 5, 8, 13, 21, -1])
limits = st.sampled_from([0, 0, 1, 2, 3, -1, 2**63 - 1])


@st.composite
def puts(draw: st.DrawFn) -> Put:
    ignore_value = draw(st.sampled_from([False] * 5 + [True]))
    ignore_lease = draw(st.sampled_from([False] * 5 + [True]))
    lease = draw(st.sampled_from([0] * 6 + [*LEASES, *LEASES, MISSING_LEASE]))
    return Put(
        key=draw(keys),
        value=b"" if ignore_value else draw(values),
        lease=0 if ignore_lease else lease,
        prev_kv=draw(st.booleans()),
        ignore_value=ignore_value,
        ignore_lease=ignore_lease,
    )


deletes = st.builds(DeleteRange, keys, range_ends, st.booleans())

ranges = st.builds(
    Range,
    key=keys,
    range_end=range_ends,
    limit=limits,
    revision=st.one_of(st.just(0), revisions),
    sort_order=st.sampled_from(SortOrder),
    sort_target=st.sampled_from(SortTarget),
    keys_only=st.booleans(),
    count_only=st.booleans(),
    min_mod_revision=maybe_revisions,
    max_mod_revision=maybe_revisions,
    min_create_revision=maybe_revisions,
    max_create_revision=maybe_revisions,
)
plain_ranges = st.builds(Range, keys, range_ends, limits, st.one_of(st.just(0), revisions))


@st.composite
def compares(draw: st.DrawFn) -> Compare:
    target = draw(st.sampled_from(CompareTarget))
    return Compare(
        result=draw(st.sampled_from(CompareResult)),
        target=target,
        key=draw(keys),
        value=draw(values) if target is CompareTarget.VALUE else draw(st.integers(0, 12)),
        range_end=draw(range_ends),
    )


def _txns(operations: st.SearchStrategy[Operation]) -> st.SearchStrategy[Txn]:
    lists = st.lists(operations, max_size=4).map(tuple)
    return st.builds(Txn, st.lists(compares(), max_size=2).map(tuple), lists, lists)


def _is_accepted(txn: Txn) -> bool:
    try:
        check_txn(txn, OPERATIONS_MAX)
    except DuplicateKeyError:
        return False
    return True


_leaves: st.SearchStrategy[Operation] = st.one_of(puts(), deletes, plain_ranges, ranges)
txns = _txns(st.one_of(_leaves, _leaves, _txns(st.one_of(_leaves, _txns(_leaves))))).filter(
    _is_accepted
)
