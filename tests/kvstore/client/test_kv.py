"""Keys, against a real member."""

import pytest

from kvstore.client import (
    Client,
    CreateRevision,
    LeaseOf,
    ModRevision,
    SortOrder,
    SortTarget,
    Value,
    Version,
    delete,
    get,
    put,
)
from kvstore.client.types import DeleteResponse, PutResponse, RangeResponse, TxnResponse
from kvstore.errors import (
    CompactedError,
    DuplicateKeyError,
    EmptyKeyError,
    FutureRevisionError,
    KeyNotFoundError,
    LeaseNotFoundError,
    RequestTooLargeError,
    UnavailableError,
    ValueProvidedError,
)
from kvstore.testing.processes import ClusterProcesses
from tests.kvstore.client.channels import connect

pytestmark = pytest.mark.usefixtures("channel")


async def test_what_was_put_is_got(client: Client, key: str) -> None:
    first = await client.put(key, b"\x00\xff", prev_kv=True)
    second = await client.put(key, "two", prev_kv=True)
    kv = await client.get(key)
    assert first.prev_kv is None
    assert second.prev_kv is not None
    assert second.prev_kv.value == b"\x00\xff"
    assert kv is not None
    assert (kv.value, kv.version) == (b"two", 2)
    assert kv.create_revision == first.header.revision
    assert kv.mod_revision == second.header.revision == first.header.revision + 1
    old = await client.get(key, revision=first.header.revision)
    assert old is not None
    assert old.value == b"\x00\xff"
    assert await client.get(key + "none") is None


async def test_a_put_can_keep_the_value_or_the_lease(client: Client, key: str) -> None:
    lease = (await client.leases.grant(60)).lease_id
    await client.put(key, "v", lease=lease)
    await client.put(key, ignore_value=True)
    kv = await client.get(key)
    assert kv is not None
    assert (kv.value, kv.lease) == (b"v", 0)
    await client.put(key, "w", lease=lease)
    await client.put(key, "x", ignore_lease=True)
    kv = await client.get(key)
    assert kv is not None
    assert (kv.value, kv.lease) == (b"x", lease)


async def test_faults_of_the_caller_are_typed(client: Client, key: str) -> None:
    with pytest.raises(EmptyKeyError):
        await client.put("")
    with pytest.raises(KeyNotFoundError):
        await client.put(key, ignore_value=True)
    with pytest.raises(ValueProvidedError):
        await client.put(key, "v", ignore_value=True)
    with pytest.raises(LeaseNotFoundError):
        await client.put(key, "v", lease=404)
    with pytest.raises(FutureRevisionError):
        await client.get(key, revision=2**40)
    with pytest.raises(RequestTooLargeError):
        await client.put(key, b"x" * (2 * 1024 * 1024))
    with pytest.raises(DuplicateKeyError):
        await client.txn().then(put(key), put(key)).commit()


async def test_ranges_have_all_of_etcds_options(client: Client, key: str) -> None:
    revisions = [(await client.put(f"{key}{n}", str(9 - n))).header.revision for n in range(5)]
    everything = await client.get_range(key, prefix=True)
    assert [kv.value for kv in everything.kvs] == [b"9", b"8", b"7", b"6", b"5"]
    some = await client.get_range(
        key, prefix=True, limit=2, sort_order=SortOrder.ASCEND, sort_target=SortTarget.VALUE
    )
    assert [kv.value for kv in some.kvs] == [b"5", b"6"]
    assert (some.more, some.count) == (True, 5)
    keys = await client.get_range(f"{key}1", f"{key}3", keys_only=True, serializable=True)
    assert [(kv.key, kv.value) for kv in keys.kvs] == [
        (f"{key}1".encode(), b""),
        (f"{key}2".encode(), b""),
    ]
    counted = await client.get_range(key, prefix=True, count_only=True)
    assert (counted.count, counted.kvs) == (5, ())
    newer = await client.get_range(key, prefix=True, min_mod_revision=revisions[3])
    older = await client.get_range(key, prefix=True, max_create_revision=revisions[0])
    assert (len(newer.kvs), len(older.kvs)) == (2, 1)
    at = await client.get_range(key, prefix=True, revision=revisions[1])
    assert at.count == 2
    later = await client.get_range(f"{key}4", from_key=True)
    assert later.kvs[0].key == f"{key}4".encode()


async def test_deletes_tell_what_they_deleted(client: Client, key: str) -> None:
    for n in range(3):
        await client.put(f"{key}{n}", str(n))
    one = await client.delete(f"{key}0")
    rest = await client.delete(key, prefix=True, prev_kv=True)
    none = await client.delete(key, prefix=True)
    assert (one.deleted, one.prev_kvs) == (1, ())
    assert [kv.value for kv in rest.prev_kvs] == [b"1", b"2"]
    assert none.deleted == 0
    assert none.header.revision == rest.header.revision


async def test_a_txn_runs_the_branch_that_its_compares_choose(client: Client, key: str) -> None:
    await client.put(key, "v")
    won = (
        await client.txn()
        .when(Value(key) == "v", Version(key) == 1, LeaseOf(key) == 0)
        .when(ModRevision(key) > 1, CreateRevision(key) < 2**40, Version(key + "x") == 0)
        .then(put(key, "w", prev_kv=True), get(key), delete(key + "none"))
        .otherwise(delete(key))
        .commit()
    )
    assert won.succeeded
    written, read, deleted = won.responses
    assert isinstance(written, PutResponse)
    assert written.prev_kv is not None
    assert isinstance(read, RangeResponse)
    assert read.kvs[0].value == b"w"  # sees the put before it
    assert isinstance(deleted, DeleteResponse)
    lost = await client.txn().when(Value(key) != "w").then(delete(key)).commit()
    assert (lost.succeeded, lost.responses) == (False, ())


async def test_txns_nest(client: Client, key: str) -> None:
    inner = client.txn().when(Version(key) > 0).then(get(key)).otherwise(put(key, "new")).build()
    first = await client.txn().then(inner, put(key + "2", "x")).commit()
    again = await client.commit(client.txn().then(inner).build())
    assert isinstance(first.responses[0], TxnResponse)
    assert not first.responses[0].succeeded
    assert isinstance(again.responses[0], TxnResponse)
    assert again.responses[0].succeeded


async def test_a_compare_may_cover_a_range(client: Client, key: str) -> None:
    await client.put(key + "1", "same")
    await client.put(key + "2", "same")
    query = client.txn().when(Value(key, prefix=True) == "same")
    assert (await query.commit()).succeeded
    await client.put(key + "2", "other")
    assert not (await query.commit()).succeeded


async def test_compacted_revisions_are_gone(client: Client, key: str) -> None:
    revision = (await client.put(key, "old")).header.revision
    newest = (await client.put(key, "new")).header.revision
    await client.compact(newest, physical=True)
    with pytest.raises(CompactedError):
        await client.get(key, revision=revision)
    with pytest.raises(CompactedError):
        await client.compact(revision)


async def test_large_answers_are_received(client: Client, key: str) -> None:
    for n in range(6):
        await client.put(f"{key}{n}", b"x" * 1_000_000)
    response = await client.get_range(key, prefix=True)
    assert sum(len(kv.value) for kv in response.kvs) == 6_000_000
    await client.delete(key, prefix=True)


async def test_nobody_there_is_unavailable_and_surely_not_applied() -> None:
    async with connect(["127.0.0.1:1"]) as lonely:
        with pytest.raises(UnavailableError) as raised:
            await lonely.put("k", "v", timeout_seconds=0.5)
    assert not raised.value.may_have_been_applied


async def test_endpoints_may_be_urls(single: ClusterProcesses, key: str) -> None:
    async with connect([single.members[0].client_url]) as client:
        await client.put(key, "v")
        assert await client.get(key) is not None
    with pytest.raises(ValueError, match="unknown scheme"):
        async with connect(["ftp://127.0.0.1"]) as client:
            await client.get("k")


async def test_a_revision_that_is_not_there_is_refused_in_etcds_words(
    client: Client, key: str
) -> None:
    with pytest.raises(FutureRevisionError, match="required revision is a future revision"):
        await client.get(key, revision=1 << 40)
