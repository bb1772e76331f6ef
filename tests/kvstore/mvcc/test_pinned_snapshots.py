"""A log that was pinned stays as it was, whatever writes and compactions do afterwards."""

from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.commands import Compact, DeleteRange, Put
from kvstore.errors import KvError
from kvstore.lease import Lessor
from kvstore.mvcc import revision_log
from kvstore.mvcc.store import Store

_KEYS = [b"a", b"b", b"c", b"d", b"e"]
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(_KEYS)),
        st.tuples(st.just("delete"), st.sampled_from(_KEYS)),
        st.tuples(st.just("compact"), st.integers(0, 3)),
        st.tuples(st.just("slice"), st.just(1)),
        st.tuples(st.just("pin"), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(steps=_STEPS)
def test_what_was_pinned_does_not_change(steps: list[tuple[str, bytes | int]]) -> None:
    store = Store(Lessor())
    pinned = []
    with patch.object(revision_log, "SEGMENT_ROWS_MAX", 3):
        for action, argument in steps:
            _do(store, action, argument)
            if action == "pin":
                expected = [kv for rows in store.pinned_rows() for kv in rows]
                assert len(expected) == store.row_count
                pinned.append((store.pinned_rows(), expected))
        while store.compact_slice(1):
            pass
        for key in _KEYS:
            store.put(Put(key))
    for rows, expected in pinned:
        assert [kv for segment in rows for kv in segment] == expected


def _do(store: Store, action: str, argument: bytes | int) -> None:
    if action == "put" and isinstance(argument, bytes):
        store.put(Put(argument))
    elif action == "delete" and isinstance(argument, bytes):
        store.delete_range(DeleteRange(argument))
    elif action == "compact" and isinstance(argument, int):
        try:
            store.compact(Compact(store.revision - argument))
        except KvError:
            return  # nothing to compact yet
    elif action == "slice":
        store.compact_slice(1)


def test_the_segment_before_a_dropped_last_one_is_not_shared() -> None:
    """Found by review: it became the last, grew in place, and the snapshot grew with it."""
    store = Store(Lessor())
    with patch.object(revision_log, "SEGMENT_ROWS_MAX", 3):
        for key in (b"a", b"b"):
            store.put(Put(key))
        store.put(Put(b"c"))
        store.delete_range(DeleteRange(b"c"))
        store.compact(Compact(store.revision))
        store.compact_slice(1)
        rows = store.pinned_rows()
        while store.compact_slice(1):
            pass
        store.put(Put(b"later"))
    assert b"later" not in [kv.key for segment in rows for kv in segment]
