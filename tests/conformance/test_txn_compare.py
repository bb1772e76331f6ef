"""Compares of a Txn: every target, every result, missing keys, ranges."""

from typing import Any

import pytest

from kvstore.pb.rpc_pb2 import Compare, LeaseGrantRequest
from tests.conformance.client import Client, end_of

covers = pytest.mark.covers
RESULTS = ("EQUAL", "GREATER", "LESS", "NOT_EQUAL")
RESULT_ROWS = [
    "EQUAL",
    *(pytest.param(name, marks=covers(f"Compare.result={name}")) for name in RESULTS[1:]),
]
HOLDS = {
    "EQUAL": lambda actual, wanted: actual == wanted,
    "GREATER": lambda actual, wanted: actual > wanted,
    "LESS": lambda actual, wanted: actual < wanted,
    "NOT_EQUAL": lambda actual, wanted: actual != wanted,
}


def holds(client: Client, key: bytes, result: str, target: str, **wanted: Any) -> bool:
    compare = Compare(
        key=key,
        result=Compare.CompareResult.Value(result),
        target=Compare.CompareTarget.Value(target),
        **wanted,
    )
    return client.txn([compare]).succeeded


@covers("Compare.version", "Compare.key")
@pytest.mark.parametrize("wanted", [1, 2, 3])
@pytest.mark.parametrize("result", RESULT_ROWS)
def test_version_compares_with_the_count_of_writes(
    client: Client, prefix: bytes, result: str, wanted: int
) -> None:
    client.put(prefix)
    client.put(prefix)
    assert holds(client, prefix, result, "VERSION", version=wanted) == HOLDS[result](2, wanted)


@covers("Compare.create_revision", "Compare.target=CREATE")
@pytest.mark.parametrize("offset", [-1, 0, 1])
@pytest.mark.parametrize("result", RESULTS)
def test_create_compares_with_the_create_revision(
    client: Client, prefix: bytes, result: str, offset: int
) -> None:
    created = client.put(prefix).header.revision
    client.put(prefix)
    wanted = created + offset
    assert holds(client, prefix, result, "CREATE", create_revision=wanted) == HOLDS[result](
        created, wanted
    )


@covers("Compare.mod_revision", "Compare.target=MOD")
@pytest.mark.parametrize("offset", [-1, 0, 1])
@pytest.mark.parametrize("result", RESULTS)
def test_mod_compares_with_the_mod_revision(
    client: Client, prefix: bytes, result: str, offset: int
) -> None:
    client.put(prefix)
    modified = client.put(prefix).header.revision
    wanted = modified + offset
    assert holds(client, prefix, result, "MOD", mod_revision=wanted) == HOLDS[result](
        modified, wanted
    )


@covers("Compare.value", "Compare.target=VALUE")
@pytest.mark.parametrize("wanted", [b"a", b"b", b"ba", b"\xff"])
@pytest.mark.parametrize("result", RESULTS)
def test_value_compares_as_unsigned_bytes(
    client: Client, prefix: bytes, result: str, wanted: bytes
) -> None:
    client.put(prefix, b"b")
    assert holds(client, prefix, result, "VALUE", value=wanted) == HOLDS[result](b"b", wanted)


@covers("Compare.lease", "Compare.target=LEASE")
@pytest.mark.parametrize("offset", [-1, 0, 1])
@pytest.mark.parametrize("result", RESULTS)
def test_lease_compares_with_the_lease_id(
    client: Client, prefix: bytes, lease_id: int, result: str, offset: int
) -> None:
    client.lease(LeaseGrantRequest(ID=lease_id, TTL=600))
    client.put(prefix, lease=lease_id)
    wanted = lease_id + offset
    assert holds(client, prefix, result, "LEASE", lease=wanted) == HOLDS[result](lease_id, wanted)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("VERSION", "version"),
        ("CREATE", "create_revision"),
        ("MOD", "mod_revision"),
        ("LEASE", "lease"),
    ],
)
def test_a_missing_key_compares_as_zero(
    client: Client, prefix: bytes, name: str, field: str
) -> None:
    assert holds(client, prefix, "EQUAL", name, **{field: 0})
    assert holds(client, prefix, "LESS", name, **{field: 1})
    assert not holds(client, prefix, "GREATER", name, **{field: 0})
    assert not holds(client, prefix, "NOT_EQUAL", name, **{field: 0})


@pytest.mark.parametrize("result", RESULTS)
def test_a_value_compare_of_a_missing_key_is_false(
    client: Client, prefix: bytes, result: str
) -> None:
    assert not holds(client, prefix, result, "VALUE", value=b"v")
    assert not holds(client, prefix, result, "VALUE", value=b"")


def test_a_deleted_key_compares_as_a_missing_one(client: Client, prefix: bytes) -> None:
    client.put(prefix)
    client.delete(prefix)
    assert holds(client, prefix, "EQUAL", "CREATE", create_revision=0)
    assert holds(client, prefix, "EQUAL", "VERSION", version=0)


def test_version_compare_restarts_after_a_delete(client: Client, prefix: bytes) -> None:
    client.put(prefix)
    client.put(prefix)
    client.delete(prefix)
    client.put(prefix)
    assert holds(client, prefix, "EQUAL", "VERSION", version=1)


def test_a_key_without_lease_compares_as_lease_zero(client: Client, prefix: bytes) -> None:
    client.put(prefix)
    assert holds(client, prefix, "EQUAL", "LEASE", lease=0)


def test_a_compare_without_operand_compares_with_zero(client: Client, prefix: bytes) -> None:
    assert holds(client, prefix, "EQUAL", "VERSION")
    client.put(prefix)
    assert not holds(client, prefix, "EQUAL", "VERSION")


def test_a_value_compare_without_operand_compares_with_the_empty_value(
    client: Client, prefix: bytes
) -> None:
    client.put(prefix, b"")
    assert holds(client, prefix, "EQUAL", "VALUE")


def test_an_operand_of_another_target_counts_as_zero(client: Client, prefix: bytes) -> None:
    assert holds(client, prefix, "EQUAL", "VERSION", mod_revision=7)


@covers("Compare.range_end")
def test_a_range_compare_must_hold_for_every_key(client: Client, prefix: bytes) -> None:
    client.put(prefix + b"a", b"1")
    client.put(prefix + b"b", b"1")
    end = end_of(prefix)
    assert holds(client, prefix, "EQUAL", "VALUE", value=b"1", range_end=end)
    client.put(prefix + b"b", b"2")
    assert not holds(client, prefix, "EQUAL", "VALUE", value=b"1", range_end=end)
    assert holds(client, prefix, "NOT_EQUAL", "VALUE", value=b"3", range_end=end)


def test_a_range_compare_ends_before_range_end(client: Client, prefix: bytes) -> None:
    client.put(prefix + b"a", b"1")
    client.put(prefix + b"b", b"2")
    assert holds(client, prefix, "EQUAL", "VALUE", value=b"1", range_end=prefix + b"b")


def test_a_range_compare_of_an_empty_range_is_that_of_a_missing_key(
    client: Client, prefix: bytes
) -> None:
    end = end_of(prefix)
    assert holds(client, prefix, "EQUAL", "VERSION", version=0, range_end=end)
    assert not holds(client, prefix, "GREATER", "VERSION", version=0, range_end=end)
    assert not holds(client, prefix, "EQUAL", "VALUE", value=b"", range_end=end)


def test_an_open_ended_range_compare_covers_all_later_keys(client: Client, prefix: bytes) -> None:
    client.put(prefix + b"z")
    assert holds(client, prefix, "GREATER", "VERSION", version=0, range_end=b"\0")
    assert not holds(client, prefix, "LESS", "MOD", mod_revision=1, range_end=b"\0")


UNKNOWN_ROWS = [
    pytest.param({name: 9}, id=name, marks=covers(f"Compare.{name}=unknown"))
    for name in ("target", "result")
]


@pytest.mark.parametrize("wanted", UNKNOWN_ROWS)
def test_an_unknown_compare_enum_on_an_existing_key_holds(
    client: Client, prefix: bytes, wanted: dict[str, int]
) -> None:
    client.put(prefix)
    assert client.txn([Compare(key=prefix, **wanted)]).succeeded  # type: ignore[arg-type]
