"""KV.DeleteRange: what is deleted, counted and returned."""

import pytest

from kvstore.pb.rpc_pb2 import LeaseGrantRequest
from tests.conformance.client import Client, end_of, refused

covers = pytest.mark.covers


@covers("DeleteRangeRequest.key")
def test_delete_of_one_key_counts_one_and_advances_the_revision(
    client: Client, prefix: bytes
) -> None:
    revision = client.put(prefix).header.revision
    response = client.delete(prefix)
    assert (response.deleted, response.header.revision) == (1, revision + 1)
    assert client.range(prefix).count == 0


def test_delete_of_nothing_leaves_the_revision(client: Client, prefix: bytes) -> None:
    before = client.revision()
    response = client.delete(prefix)
    assert (response.deleted, response.header.revision) == (0, before)


def test_a_second_delete_finds_nothing(client: Client, prefix: bytes) -> None:
    client.put(prefix)
    revision = client.delete(prefix).header.revision
    again = client.delete(prefix)
    assert (again.deleted, again.header.revision) == (0, revision)


@covers("DeleteRangeRequest.range_end")
def test_delete_of_a_range_is_one_revision(client: Client, prefix: bytes) -> None:
    for name in (b"a", b"b", b"c"):
        revision = client.put(prefix + name).header.revision
    response = client.delete(prefix, end_of(prefix))
    assert (response.deleted, response.header.revision) == (3, revision + 1)


def test_delete_range_end_is_exclusive(client: Client, prefix: bytes) -> None:
    for name in (b"a", b"b", b"c"):
        client.put(prefix + name)
    assert client.delete(prefix + b"a", prefix + b"c").deleted == 2
    assert client.range(prefix + b"c").count == 1


def test_delete_with_range_end_not_above_the_key_deletes_nothing(
    client: Client, prefix: bytes
) -> None:
    client.put(prefix)
    assert client.delete(prefix, prefix).deleted == 0
    assert client.delete(prefix + b"b", prefix).deleted == 0
    assert client.range(prefix).count == 1


def test_delete_from_a_key_on(fresh: Client) -> None:
    for key in (b"a", b"b", b"\xff"):
        fresh.put(key)
    assert fresh.delete(b"b", b"\0").deleted == 2
    assert [kv.key for kv in fresh.range(b"\0", b"\0").kvs] == [b"a"]


def test_delete_of_everything(fresh: Client) -> None:
    for key in (b"\0", b"a", b"\xff"):
        fresh.put(key)
    response = fresh.delete(b"\0", b"\0")
    assert (response.deleted, response.header.revision) == (3, 5)


def test_delete_without_a_key_is_refused(client: Client) -> None:
    with refused("INVALID_ARGUMENT", "etcdserver: key is not provided"):
        client.delete(b"")


@covers("DeleteRangeRequest.prev_kv")
def test_delete_prev_kvs_are_what_was_deleted_in_key_order(client: Client, prefix: bytes) -> None:
    client.put(prefix + b"b", b"2")
    revision = client.put(prefix + b"a", b"1").header.revision
    kvs = client.delete(prefix, end_of(prefix), prev_kv=True).prev_kvs
    assert [(kv.key, kv.value) for kv in kvs] == [(prefix + b"a", b"1"), (prefix + b"b", b"2")]
    assert kvs[0].mod_revision == kvs[0].create_revision == revision


def test_delete_without_prev_kv_returns_no_kvs(client: Client, prefix: bytes) -> None:
    client.put(prefix)
    assert len(client.delete(prefix).prev_kvs) == 0


def test_delete_of_nothing_with_prev_kv_returns_no_kvs(client: Client, prefix: bytes) -> None:
    assert len(client.delete(prefix, prev_kv=True).prev_kvs) == 0


def test_deleted_prev_kv_carries_its_lease(client: Client, prefix: bytes, lease_id: int) -> None:
    client.lease(LeaseGrantRequest(ID=lease_id, TTL=600))
    client.put(prefix, lease=lease_id)
    assert client.delete(prefix, prev_kv=True).prev_kvs[0].lease == lease_id


def test_keys_of_a_past_generation_are_not_deleted_again(client: Client, prefix: bytes) -> None:
    client.put(prefix + b"a")
    client.delete(prefix + b"a")
    client.put(prefix + b"b")
    assert client.delete(prefix, end_of(prefix)).deleted == 1
