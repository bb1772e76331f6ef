"""Range responses as bytes. Pure.

A version of a key never changes, so neither do its bytes in a response: those asked for lately are
remembered, and a range that many clients ask for costs a join. The field numbers are those of
etcd's RangeResponse.
"""

from collections.abc import Generator

from kvstore.mvcc.types import KeyValue, RangeResult
from kvstore.server import convert
from kvstore.server.wire import varint, with_length

REMEMBERED_BYTES_MAX = 64 * 1024 * 1024
"""Memory for rows that were asked for; beyond it all are forgotten."""

SLICE_ROWS = 1_000
"""Rows of a large range that are encoded at once: some milliseconds."""

ROW_BYTES_MAX = 16 * 1024
"""Larger rows are not remembered: to copy them costs as much as to encode them."""

_ROW_OVERHEAD_BYTES = 200  # place in the dict, its key, the objects
_KVS_TAG = b"\x12"  # field 2, length-delimited
_MORE = b"\x18\x01"  # field 3, true
_COUNT_TAG = b"\x20"  # field 4, varint


class RangeEncoder:
    """Encodes the ranges of one member."""

    def __init__(self, bytes_max: int = REMEMBERED_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        # By revision: no two versions of one store share theirs, not even after a snapshot.
        self._rows: dict[tuple[int, int], bytes] = {}

    def response(self, result: RangeResult, header: bytes, *, keys_only: bool) -> bytes:
        """The RangeResponse, begun by its header's field; rows without their values are never the
        remembered ones."""
        rows = map(_encode if keys_only else self._row, result.kvs)
        return b"".join((header, *rows, _end(result)))

    def response_in_slices(
        self, result: RangeResult, header: bytes, *, keys_only: bool
    ) -> Generator[None, None, bytes]:
        """The same for very many rows: pauses after each slice, and remembers none of them."""
        encode = _encode if keys_only else self._row_if_remembered
        parts = [header]
        for start in range(0, len(result.kvs), SLICE_ROWS):
            parts.append(b"".join(map(encode, result.kvs[start : start + SLICE_ROWS])))
            yield
        parts.append(_end(result))
        return b"".join(parts)

    def _row_if_remembered(self, kv: KeyValue) -> bytes:
        return self._rows.get((kv.mod_revision, kv.sub)) or _encode(kv)

    def _row(self, kv: KeyValue) -> bytes:
        key = kv.mod_revision, kv.sub
        row = self._rows.get(key)
        if row is None:
            row = _encode(kv)
            if len(row) <= ROW_BYTES_MAX:
                self._remember(key, row)
        return row

    def _remember(self, key: tuple[int, int], row: bytes) -> None:
        self._bytes += len(row) + _ROW_OVERHEAD_BYTES
        if self._bytes > self._bytes_max:
            self._rows.clear()
            self._bytes = len(row) + _ROW_OVERHEAD_BYTES
        self._rows[key] = row


def _end(result: RangeResult) -> bytes:
    count = _COUNT_TAG + varint(result.count) if result.count else b""
    return _MORE + count if result.more else count


def _encode(kv: KeyValue) -> bytes:
    return _KVS_TAG + with_length(convert.key_value(kv).SerializeToString())
