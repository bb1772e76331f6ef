"""KV.Put: versions, revisions, options."""

import pytest

from kvstore.pb.rpc_pb2 import LeaseGrantRequest
from tests.conformance.client import Client, refused

covers = pytest.mark.covers


def test_put_advances_the_revision_by_one(client: Client, prefix: bytes) -> None:
    before = client.revision()
    assert client.put(prefix).header.revision == before + 1


def test_first_write_of_a_store_makes_revision_two(fresh: Client) -> None:
    assert fresh.put(b"k").header.revision == 2


@covers("PutRequest.key", "PutRequest.value")
def test_put_answers_with_a_header_only(client: Client, prefix: bytes) -> None:
    response = client.put(prefix, b"v")
    assert not response.HasField("prev_kv")
    assert response.header.cluster_id != 0


def test_version_counts_the_writes_of_a_key(client: Client, prefix: bytes) -> None:
    for version in range(1, 4):
        client.put(prefix)
        assert client.range(prefix).kvs[0].version == version


def test_create_revision_stays_while_the_key_lives(client: Client, prefix: bytes) -> None:
    created = client.put(prefix).header.revision
    modified = client.put(prefix).header.revision
    [kv] = client.range(prefix).kvs
    assert (kv.create_revision, kv.mod_revision) == (created, modified)


def test_a_put_after_a_delete_starts_a_new_generation(client: Client, prefix: bytes) -> None:
    client.put(prefix)
    client.put(prefix)
    client.delete(prefix)
    created = client.put(prefix).header.revision
    [kv] = client.range(prefix).kvs
    assert (kv.create_revision, kv.mod_revision, kv.version) == (created, created, 1)


def test_put_of_the_same_value_is_a_write_all_the_same(client: Client, prefix: bytes) -> None:
    first = client.put(prefix, b"v").header.revision
    assert client.put(prefix, b"v").header.revision == first + 1


def test_an_empty_value_is_a_value(client: Client, prefix: bytes) -> None:
    client.put(prefix, b"v")
    client.put(prefix, b"")
    [kv] = client.range(prefix).kvs
    assert (kv.value, kv.version) == (b"", 2)


def test_values_are_bytes_of_any_kind(client: Client, prefix: bytes) -> None:
    value = bytes(range(256))
    client.put(prefix, value)
    assert client.range(prefix).kvs[0].value == value


def test_put_without_a_key_is_refused(client: Client) -> None:
    with refused("INVALID_ARGUMENT", "etcdserver: key is not provided"):
        client.put(b"", b"v")


def test_a_refused_put_does_not_advance_the_revision(client: Client) -> None:
    before = client.revision()
    with refused("INVALID_ARGUMENT", "etcdserver: key is not provided"):
        client.put(b"", b"v")
    assert client.revision() == before


@covers("PutRequest.prev_kv")
def test_prev_kv_is_the_key_value_before_the_put(client: Client, prefix: bytes) -> None:
    revision = client.put(prefix, b"old").header.revision
    kv = client.put(prefix, b"new", prev_kv=True).prev_kv
    assert (kv.key, kv.value, kv.mod_revision, kv.version) == (prefix, b"old", revision, 1)


def test_prev_kv_of_a_new_key_is_absent(client: Client, prefix: bytes) -> None:
    assert not client.put(prefix, prev_kv=True).HasField("prev_kv")


def test_prev_kv_after_a_delete_is_absent(client: Client, prefix: bytes) -> None:
    client.put(prefix)
    client.delete(prefix)
    assert not client.put(prefix, prev_kv=True).HasField("prev_kv")


def test_prev_kv_carries_the_lease_it_had(client: Client, prefix: bytes, lease_id: int) -> None:
    client.lease(LeaseGrantRequest(ID=lease_id, TTL=600))
    client.put(prefix, lease=lease_id)
    assert client.put(prefix, prev_kv=True).prev_kv.lease == lease_id


@covers("PutRequest.ignore_value")
def test_ignore_value_keeps_the_value_and_bumps_the_version(client: Client, prefix: bytes) -> None:
    client.put(prefix, b"v")
    client.put(prefix, ignore_value=True)
    [kv] = client.range(prefix).kvs
    assert (kv.value, kv.version) == (b"v", 2)


def test_ignore_value_changes_the_lease(client: Client, prefix: bytes, lease_id: int) -> None:
    client.lease(LeaseGrantRequest(ID=lease_id, TTL=600))
    client.put(prefix, b"v")
    client.put(prefix, ignore_value=True, lease=lease_id)
    [kv] = client.range(prefix).kvs
    assert (kv.value, kv.lease) == (b"v", lease_id)


@covers("INVALID_ARGUMENT etcdserver: value is provided")
def test_ignore_value_with_a_value_is_refused(client: Client, prefix: bytes) -> None:
    client.put(prefix, b"v")
    with refused("INVALID_ARGUMENT", "etcdserver: value is provided"):
        client.put(prefix, b"w", ignore_value=True)


@covers("INVALID_ARGUMENT etcdserver: key not found")
def test_ignore_value_of_a_missing_key_is_refused(client: Client, prefix: bytes) -> None:
    with refused("INVALID_ARGUMENT", "etcdserver: key not found"):
        client.put(prefix, ignore_value=True)


def test_ignore_value_of_a_deleted_key_is_refused(client: Client, prefix: bytes) -> None:
    client.put(prefix, b"v")
    client.delete(prefix)
    with refused("INVALID_ARGUMENT", "etcdserver: key not found"):
        client.put(prefix, ignore_value=True)


@covers("PutRequest.ignore_lease")
def test_ignore_lease_keeps_the_lease(client: Client, prefix: bytes, lease_id: int) -> None:
    client.lease(LeaseGrantRequest(ID=lease_id, TTL=600))
    client.put(prefix, b"v", lease=lease_id)
    client.put(prefix, b"w", ignore_lease=True)
    [kv] = client.range(prefix).kvs
    assert (kv.value, kv.lease) == (b"w", lease_id)


@covers("INVALID_ARGUMENT etcdserver: lease is provided")
def test_ignore_lease_with_a_lease_is_refused(client: Client, prefix: bytes) -> None:
    client.put(prefix)
    with refused("INVALID_ARGUMENT", "etcdserver: lease is provided"):
        client.put(prefix, ignore_lease=True, lease=1)


def test_ignore_lease_of_a_missing_key_is_refused(client: Client, prefix: bytes) -> None:
    with refused("INVALID_ARGUMENT", "etcdserver: key not found"):
        client.put(prefix, b"v", ignore_lease=True)


def test_ignoring_value_and_lease_touches_the_key(
    client: Client, prefix: bytes, lease_id: int
) -> None:
    client.lease(LeaseGrantRequest(ID=lease_id, TTL=600))
    client.put(prefix, b"v", lease=lease_id)
    revision = client.put(prefix, ignore_value=True, ignore_lease=True).header.revision
    [kv] = client.range(prefix).kvs
    assert (kv.value, kv.lease, kv.version, kv.mod_revision) == (b"v", lease_id, 2, revision)


@covers("PutRequest.lease", "NOT_FOUND etcdserver: requested lease not found")
def test_put_with_an_unknown_lease_is_refused(client: Client, prefix: bytes, lease_id: int) -> None:
    with refused("NOT_FOUND", "etcdserver: requested lease not found"):
        client.put(prefix, lease=lease_id)
    assert client.range(prefix).count == 0


def test_a_put_refused_while_applied_leaves_the_revision(
    client: Client, prefix: bytes, lease_id: int
) -> None:
    before = client.revision()
    with refused("NOT_FOUND", "etcdserver: requested lease not found"):
        client.put(prefix, lease=lease_id)
    with refused("INVALID_ARGUMENT", "etcdserver: key not found"):
        client.put(prefix, ignore_value=True)
    assert client.revision() == before


def test_a_put_without_lease_detaches_the_key(client: Client, prefix: bytes, lease_id: int) -> None:
    client.lease(LeaseGrantRequest(ID=lease_id, TTL=600))
    client.put(prefix, lease=lease_id)
    client.put(prefix)
    assert client.range(prefix).kvs[0].lease == 0


def test_keys_may_be_long_and_binary(client: Client, prefix: bytes) -> None:
    key = prefix + bytes(range(256)) * 8
    client.put(key, b"v")
    assert client.range(key).kvs[0].key == key
