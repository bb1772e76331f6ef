"""KV.Range: keys, ranges, limits, sorting, revisions."""

import pytest

from kvstore.pb.rpc_pb2 import RangeRequest
from tests.conformance.client import Client, end_of, refused

covers = pytest.mark.covers
NONE, ASCEND, DESCEND = RangeRequest.NONE, RangeRequest.ASCEND, RangeRequest.DESCEND


def keys_of(response: object) -> list[bytes]:
    return [kv.key for kv in response.kvs]  # type: ignore[attr-defined]


@pytest.fixture
def three(client: Client, prefix: bytes) -> bytes:
    """Keys a, b, c with values 3, 1, 2 and versions 1, 3, 2."""
    for name, value in ((b"b", b"x"), (b"c", b"x"), (b"a", b"3"), (b"b", b"y")):
        client.put(prefix + name, value)
    client.put(prefix + b"c", b"2")
    client.put(prefix + b"b", b"1")
    return prefix


@covers("RangeRequest.key")
def test_one_key_is_returned_with_all_its_fields(client: Client, prefix: bytes) -> None:
    revision = client.put(prefix, b"v").header.revision
    [kv] = client.range(prefix).kvs
    assert (kv.key, kv.value) == (prefix, b"v")
    assert (kv.create_revision, kv.mod_revision, kv.version, kv.lease) == (revision, revision, 1, 0)


def test_a_missing_key_gives_nothing_and_no_error(client: Client, prefix: bytes) -> None:
    response = client.range(prefix)
    assert (len(response.kvs), response.count, response.more) == (0, 0, False)


@covers("INVALID_ARGUMENT etcdserver: key is not provided")
def test_range_without_a_key_is_refused(client: Client) -> None:
    with refused("INVALID_ARGUMENT", "etcdserver: key is not provided"):
        client.range(b"")


def test_range_without_a_key_but_with_an_end_is_refused(client: Client) -> None:
    with refused("INVALID_ARGUMENT", "etcdserver: key is not provided"):
        client.range(b"", b"z")


@covers("RangeRequest.range_end")
def test_range_end_is_exclusive(client: Client, three: bytes) -> None:
    assert keys_of(client.range(three + b"a", three + b"c")) == [three + b"a", three + b"b"]


def test_range_end_equal_to_the_key_gives_nothing(client: Client, three: bytes) -> None:
    response = client.range(three + b"a", three + b"a")
    assert (keys_of(response), response.count) == ([], 0)


def test_range_end_below_the_key_gives_nothing(client: Client, three: bytes) -> None:
    assert client.range(three + b"c", three + b"a").count == 0


def test_range_end_zero_byte_means_all_keys_from_the_key_on(client: Client, three: bytes) -> None:
    keys = keys_of(client.range(three + b"b", b"\0"))
    assert keys[:2] == [three + b"b", three + b"c"]
    assert keys == sorted(keys)


def test_key_and_range_end_zero_byte_mean_every_key(fresh: Client) -> None:
    for key in (b"\0", b"\0\1", b"a", b"\xff", b"\xff\xff"):
        fresh.put(key)
    assert keys_of(fresh.range(b"\0", b"\0")) == [b"\0", b"\0\1", b"a", b"\xff", b"\xff\xff"]


def test_keys_are_ordered_as_unsigned_bytes(client: Client, prefix: bytes) -> None:
    names = [b"\x00", b"\x7f", b"\x80", b"\xff", b"a", b"a\x00", b"aa"]
    for name in names:
        client.put(prefix + name)
    assert keys_of(client.range(prefix, end_of(prefix))) == sorted(prefix + name for name in names)


@covers("RangeRequest.limit")
def test_limit_cuts_kvs_sets_more_and_leaves_count(client: Client, three: bytes) -> None:
    response = client.range(three, end_of(three), limit=2)
    assert keys_of(response) == [three + b"a", three + b"b"]
    assert (response.count, response.more) == (3, True)


@pytest.mark.parametrize("limit", [0, 3, 4])
def test_limit_zero_or_not_reached_cuts_nothing(client: Client, three: bytes, limit: int) -> None:
    response = client.range(three, end_of(three), limit=limit)
    assert (len(response.kvs), response.more) == (3, False)


def test_negative_limit_means_no_limit(client: Client, three: bytes) -> None:
    response = client.range(three, end_of(three), limit=-1)
    assert (len(response.kvs), response.more) == (3, False)


@covers("RangeRequest.revision")
def test_revision_reads_the_past(client: Client, prefix: bytes) -> None:
    past = client.put(prefix, b"old").header.revision
    client.put(prefix, b"new")
    [kv] = client.range(prefix, revision=past).kvs
    assert (kv.value, kv.version, kv.mod_revision) == (b"old", 1, past)


def test_read_of_the_past_has_the_present_revision_in_its_header(
    client: Client, prefix: bytes
) -> None:
    past = client.put(prefix).header.revision
    present = client.put(prefix).header.revision
    assert client.range(prefix, revision=past).header.revision == present


def test_revision_before_a_key_does_not_know_it(client: Client, prefix: bytes) -> None:
    revision = client.put(prefix).header.revision
    assert client.range(prefix, revision=revision - 1).count == 0


def test_revision_before_a_delete_still_knows_the_key(client: Client, prefix: bytes) -> None:
    revision = client.put(prefix, b"v").header.revision
    client.delete(prefix)
    assert client.range(prefix, revision=revision).kvs[0].value == b"v"
    assert client.range(prefix).count == 0


def test_count_at_a_revision_counts_the_keys_of_then(client: Client, prefix: bytes) -> None:
    client.put(prefix + b"a")
    past = client.put(prefix + b"b").header.revision
    client.put(prefix + b"c")
    response = client.range(prefix, end_of(prefix), revision=past, limit=1)
    assert (response.count, response.more) == (2, True)


@covers("OUT_OF_RANGE etcdserver: mvcc: required revision is a future revision")
def test_future_revision_is_refused(client: Client, prefix: bytes) -> None:
    revision = client.put(prefix).header.revision
    with refused("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision"):
        client.range(prefix, revision=revision + 1)


def test_present_revision_is_readable(client: Client, prefix: bytes) -> None:
    revision = client.put(prefix).header.revision
    assert client.range(prefix, revision=revision).count == 1


def test_negative_revision_reads_the_present(client: Client, prefix: bytes) -> None:
    client.put(prefix, b"v")
    assert client.range(prefix, revision=-1).kvs[0].value == b"v"


TARGETS = {
    "KEY": [b"a", b"b", b"c"],
    "VERSION": [b"a", b"c", b"b"],
    "CREATE": [b"b", b"c", b"a"],
    "MOD": [b"a", b"c", b"b"],
    "VALUE": [b"b", b"c", b"a"],
}
TARGET_ROWS = [
    pytest.param(name, marks=[] if name == "KEY" else [covers(f"RangeRequest.sort_target={name}")])
    for name in TARGETS
]


@pytest.mark.parametrize("name", TARGET_ROWS)
@covers("RangeRequest.sort_order=ASCEND")
def test_ascending_sort_by_each_target(client: Client, three: bytes, name: str) -> None:
    sort_target = RangeRequest.SortTarget.Value(name)
    response = client.range(three, end_of(three), sort_target=sort_target, sort_order=ASCEND)
    assert keys_of(response) == [three + key for key in TARGETS[name]]


@pytest.mark.parametrize("name", TARGETS)
@covers("RangeRequest.sort_order=DESCEND")
def test_descending_sort_by_each_target(client: Client, three: bytes, name: str) -> None:
    sort_target = RangeRequest.SortTarget.Value(name)
    response = client.range(three, end_of(three), sort_target=sort_target, sort_order=DESCEND)
    assert keys_of(response) == [three + key for key in reversed(TARGETS[name])]


@pytest.mark.parametrize("name", TARGETS)
def test_order_none_sorts_ascending_by_the_target(client: Client, three: bytes, name: str) -> None:
    sort_target = RangeRequest.SortTarget.Value(name)
    response = client.range(three, end_of(three), sort_target=sort_target, sort_order=NONE)
    assert keys_of(response) == [three + key for key in TARGETS[name]]


def test_sort_happens_before_the_limit(client: Client, three: bytes) -> None:
    response = client.range(
        three,
        end_of(three),
        limit=1,
        sort_target=RangeRequest.MOD,
        sort_order=DESCEND,
    )
    assert keys_of(response) == [three + b"b"]
    assert (response.count, response.more) == (3, True)


def test_descending_by_key_with_a_limit_gives_the_last_keys(client: Client, three: bytes) -> None:
    response = client.range(three, end_of(three), limit=2, sort_order=DESCEND)
    assert keys_of(response) == [three + b"c", three + b"b"]


def test_equal_sort_fields_ascending_leave_each_key_once(client: Client, prefix: bytes) -> None:
    for name in (b"c", b"a", b"b"):
        client.put(prefix + name, b"same")
    response = client.range(
        prefix, end_of(prefix), sort_target=RangeRequest.VALUE, sort_order=ASCEND
    )
    assert sorted(keys_of(response)) == [prefix + b"a", prefix + b"b", prefix + b"c"]


@pytest.mark.oracle_fault("ignores an unknown order (3.5 refuses it)")
@covers("RangeRequest.sort_order=unknown", "INVALID_ARGUMENT etcdserver: invalid sort option")
def test_unknown_sort_order_is_refused(client: Client, prefix: bytes) -> None:
    with refused("INVALID_ARGUMENT", "etcdserver: invalid sort option"):
        client.range(prefix, sort_order=3)


@pytest.mark.oracle_fault("the process dies of it (3.5 refuses it)")
@covers("RangeRequest.sort_target=unknown")
def test_unknown_sort_target_is_refused(client: Client, prefix: bytes) -> None:
    with refused("INVALID_ARGUMENT", "etcdserver: invalid sort option"):
        client.range(prefix, sort_target=5)


@covers("RangeRequest.serializable")
def test_serializable_read_on_the_only_member_sees_the_last_write(
    client: Client, prefix: bytes
) -> None:
    client.put(prefix, b"v")
    assert client.range(prefix, serializable=True).kvs[0].value == b"v"


@covers("RangeRequest.keys_only")
def test_keys_only_drops_values_and_keeps_the_rest(client: Client, prefix: bytes) -> None:
    revision = client.put(prefix, b"v").header.revision
    [kv] = client.range(prefix, keys_only=True).kvs
    assert (kv.key, kv.value, kv.version, kv.mod_revision) == (prefix, b"", 1, revision)


def test_keys_only_may_sort_by_value(client: Client, three: bytes) -> None:
    response = client.range(
        three,
        end_of(three),
        keys_only=True,
        sort_target=RangeRequest.VALUE,
        sort_order=ASCEND,
    )
    assert keys_of(response) == [three + b"b", three + b"c", three + b"a"]
    assert {kv.value for kv in response.kvs} == {b""}


@covers("RangeRequest.count_only")
def test_count_only_returns_no_kvs(client: Client, three: bytes) -> None:
    response = client.range(three, end_of(three), count_only=True)
    assert (len(response.kvs), response.count, response.more) == (0, 3, False)


def test_count_only_ignores_the_limit(client: Client, three: bytes) -> None:
    response = client.range(three, end_of(three), count_only=True, limit=1)
    assert (len(response.kvs), response.count, response.more) == (0, 3, False)


def test_count_only_at_a_revision_counts_the_past(client: Client, prefix: bytes) -> None:
    past = client.put(prefix + b"a").header.revision
    client.put(prefix + b"b")
    response = client.range(prefix, end_of(prefix), count_only=True, revision=past)
    assert response.count == 1


@pytest.fixture
def spread(client: Client, prefix: bytes) -> tuple[bytes, list[int]]:
    """Keys a, b, c, then b written again; the four revisions."""
    names = (b"a", b"b", b"c", b"b")
    return prefix, [client.put(prefix + name).header.revision for name in names]


@covers("RangeRequest.min_mod_revision")
def test_min_mod_revision_is_inclusive(client: Client, spread: tuple[bytes, list[int]]) -> None:
    prefix, revisions = spread
    response = client.range(prefix, end_of(prefix), min_mod_revision=revisions[2])
    assert keys_of(response) == [prefix + b"b", prefix + b"c"]


@covers("RangeRequest.max_mod_revision")
def test_max_mod_revision_is_inclusive(client: Client, spread: tuple[bytes, list[int]]) -> None:
    prefix, revisions = spread
    response = client.range(prefix, end_of(prefix), max_mod_revision=revisions[2])
    assert keys_of(response) == [prefix + b"a", prefix + b"c"]


@covers("RangeRequest.min_create_revision")
def test_min_create_revision_is_inclusive(client: Client, spread: tuple[bytes, list[int]]) -> None:
    prefix, revisions = spread
    response = client.range(prefix, end_of(prefix), min_create_revision=revisions[1])
    assert keys_of(response) == [prefix + b"b", prefix + b"c"]


@covers("RangeRequest.max_create_revision")
def test_max_create_revision_is_inclusive(client: Client, spread: tuple[bytes, list[int]]) -> None:
    prefix, revisions = spread
    response = client.range(prefix, end_of(prefix), max_create_revision=revisions[1])
    assert keys_of(response) == [prefix + b"a", prefix + b"b"]


def test_revision_filters_leave_count_alone(
    client: Client, spread: tuple[bytes, list[int]]
) -> None:
    prefix, revisions = spread
    response = client.range(prefix, end_of(prefix), min_mod_revision=revisions[3])
    assert (len(response.kvs), response.count, response.more) == (1, 3, False)


def test_revision_filters_come_before_the_limit(
    client: Client, spread: tuple[bytes, list[int]]
) -> None:
    prefix, revisions = spread
    response = client.range(prefix, end_of(prefix), min_mod_revision=revisions[2], limit=1)
    assert keys_of(response) == [prefix + b"b"]
    assert (response.count, response.more) == (3, True)


def test_all_revision_filters_together_must_hold(
    client: Client, spread: tuple[bytes, list[int]]
) -> None:
    prefix, revisions = spread
    response = client.range(
        prefix,
        end_of(prefix),
        min_mod_revision=revisions[2],
        max_mod_revision=revisions[3],
        min_create_revision=revisions[1],
        max_create_revision=revisions[1],
    )
    assert keys_of(response) == [prefix + b"b"]


def test_revision_filters_apply_to_a_past_revision(
    client: Client, spread: tuple[bytes, list[int]]
) -> None:
    prefix, revisions = spread
    response = client.range(
        prefix, end_of(prefix), revision=revisions[2], max_mod_revision=revisions[1]
    )
    assert keys_of(response) == [prefix + b"a", prefix + b"b"]


def test_header_names_cluster_member_and_term(client: Client, prefix: bytes) -> None:
    first, second = client.range(prefix).header, client.range(prefix).header
    assert first.cluster_id == second.cluster_id != 0
    assert first.member_id == second.member_id != 0
    assert first.raft_term == second.raft_term >= 1


def test_reads_do_not_advance_the_revision(client: Client, prefix: bytes) -> None:
    revision = client.put(prefix).header.revision
    client.range(prefix)
    client.range(prefix, serializable=True)
    assert client.range(prefix).header.revision == revision


def test_an_empty_store_is_at_revision_one(fresh: Client) -> None:
    assert fresh.range(b"\0", b"\0").header.revision == 1


def test_unknown_request_fields_are_ignored(client: Client, prefix: bytes) -> None:
    client.put(prefix, b"v")
    request = RangeRequest()
    request.MergeFromString(RangeRequest(key=prefix).SerializeToString() + b"\xf8\x07\x01")
    assert client.kv(request).kvs[0].value == b"v"
