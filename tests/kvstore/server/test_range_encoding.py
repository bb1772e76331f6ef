"""Bytes of range responses: what protobuf itself would have said, however often it is asked."""

from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.mvcc.types import KeyValue, RangeResult
from kvstore.pb import rpc_pb2
from kvstore.server import convert, range_encoding
from kvstore.server.range_encoding import ROW_BYTES_MAX, RangeEncoder
from kvstore.server.wire import varint

HEADER = rpc_pb2.ResponseHeader(cluster_id=2**63, member_id=7, revision=300, raft_term=2)
FIELD = rpc_pb2.RangeResponse(header=HEADER).SerializeToString()

numbers = st.one_of(st.integers(0, 300), st.integers(0, 2**63 - 1))
rows = st.builds(
    KeyValue,
    st.binary(min_size=1, max_size=200),
    st.binary(max_size=300),
    numbers,
    numbers,
    st.integers(0, 3),
    numbers,
    numbers,
)
results = st.builds(
    RangeResult,
    numbers,
    st.lists(rows, max_size=5, unique_by=lambda kv: (kv.mod_revision, kv.sub)).map(tuple),
    st.booleans(),
    numbers,
)


def parsed(data: bytes) -> rpc_pb2.RangeResponse:
    return rpc_pb2.RangeResponse.FromString(data)


@given(results)
def test_it_is_what_protobuf_says_the_first_time_and_the_second(result: RangeResult) -> None:
    encoder = RangeEncoder()
    wanted = convert.range_response(result, HEADER)
    for _ in range(2):
        assert parsed(encoder.response(result, FIELD, keys_only=False)) == wanted


@given(results, st.booleans(), st.integers(1, 3))
def test_slices_make_the_same_bytes(result: RangeResult, keys_only: bool, slice_rows: int) -> None:
    encoder = RangeEncoder()
    whole = encoder.response(result, FIELD, keys_only=keys_only)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(range_encoding, "SLICE_ROWS", slice_rows)
        pauses, sliced = _run(encoder.response_in_slices(result, FIELD, keys_only=keys_only))
    assert sliced == whole
    assert pauses == -(-len(result.kvs) // slice_rows)


def _run(encoding: Generator[None, None, bytes]) -> tuple[int, bytes]:
    pauses = 0
    while True:
        try:
            next(encoding)
        except StopIteration as end:
            return pauses, end.value
        pauses += 1


@given(st.integers(0, 2**64 - 1))
def test_a_varint_is_what_protobuf_reads(value: int) -> None:
    message = rpc_pb2.ResponseHeader.FromString(b"\x08" + varint(value))
    assert message.cluster_id == value


def row(number: int, value: bytes = b"value") -> KeyValue:
    return KeyValue(b"key/%d" % number, value, number, number, 0, 1)


def test_rows_without_values_and_with_them_are_not_mixed_up() -> None:
    encoder = RangeEncoder()
    full, bare = RangeResult(9, (row(5),)), RangeResult(9, (row(5, b""),))
    for _ in range(2):
        assert parsed(encoder.response(full, FIELD, keys_only=False)).kvs[0].value == b"value"
        assert parsed(encoder.response(bare, FIELD, keys_only=True)).kvs[0].value == b""


def test_a_row_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = RangeEncoder()
    result = RangeResult(9, (row(5), row(6)))
    first = encoder.response(result, FIELD, keys_only=False)
    monkeypatch.setattr(range_encoding, "_encode", None)
    assert encoder.response(result, FIELD, keys_only=False) == first


def test_what_is_remembered_is_bounded() -> None:
    encoder = RangeEncoder(bytes_max=10_000)
    for number in range(1, 1_000):
        result = RangeResult(9, (row(number),))
        assert parsed(encoder.response(result, FIELD, keys_only=False)).kvs[0].key
        assert sum(map(len, encoder._rows.values())) <= 10_000
    large = RangeResult(9, (row(1_000, bytes(ROW_BYTES_MAX)),))
    remembered = dict(encoder._rows)
    assert len(parsed(encoder.response(large, FIELD, keys_only=False)).kvs[0].value)
    assert encoder._rows == remembered
