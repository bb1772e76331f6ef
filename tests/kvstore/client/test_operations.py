"""Ranges, compares and txns as records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.client import (
    CreateRevision,
    LeaseOf,
    ModRevision,
    Value,
    Version,
    convert,
    delete,
    get,
    prefix_end,
    put,
)
from kvstore.client.operations import is_read_only, key_range
from kvstore.commands import Compare, CompareResult, CompareTarget, Txn

keys = st.binary(max_size=4)


@given(keys, keys)
def test_a_prefix_range_holds_exactly_the_keys_that_begin_with_it(
    prefix: bytes, key: bytes
) -> None:
    start, end = key_range(prefix, prefix=True)
    is_inside = key >= start and (end == b"\0" or key < end)
    assert is_inside is (key.startswith(prefix) and key != b"")  # no key is empty


def test_prefix_ends_carry_over() -> None:
    assert prefix_end(b"a") == b"b"
    assert prefix_end(b"a\xff\xff") == b"b"
    assert prefix_end(b"\xff") == b"\0"


def test_range_end_prefix_and_from_key_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="exclude"):
        key_range("a", "b", prefix=True)
    with pytest.raises(ValueError, match="exclude"):
        key_range("a", prefix=True, from_key=True)
    assert key_range("a", from_key=True) == (b"a", b"\0")
    assert key_range("", from_key=True) == (b"\0", b"\0")


def test_comparisons_build_compares() -> None:
    assert (Value("k") == "v") == Compare(CompareResult.EQUAL, CompareTarget.VALUE, b"k", b"v")
    assert (Version("k") > 1) == Compare(CompareResult.GREATER, CompareTarget.VERSION, b"k", 1)
    assert (CreateRevision("k") < 2) == Compare(CompareResult.LESS, CompareTarget.CREATE, b"k", 2)
    assert (ModRevision("k") != 3) == Compare(CompareResult.NOT_EQUAL, CompareTarget.MOD, b"k", 3)
    assert (LeaseOf("k", prefix=True) == 4) == Compare(
        CompareResult.EQUAL, CompareTarget.LEASE, b"k", 4, b"l"
    )


def test_a_field_is_compared_with_its_own_type_only() -> None:
    with pytest.raises(TypeError, match="Value"):
        _ = Value("k") == 1
    with pytest.raises(TypeError, match="Version"):
        _ = Version("k") == "1"


def test_only_txns_without_writes_are_read_only() -> None:
    assert is_read_only(Txn())
    assert is_read_only(Txn((), (get("k"), Txn((), (get("k"),), ())), ()))
    assert not is_read_only(Txn((), (), (delete("k"),)))
    assert not is_read_only(Txn((), (Txn((), (), (put("k"),)),), ()))


def test_a_compare_with_zero_is_sent_with_its_target() -> None:
    request = convert.txn_request(Txn((Version("k") == 0,), (), ()))
    assert request.compare[0].WhichOneof("target_union") == "version"
