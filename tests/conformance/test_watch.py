"""Watch: watchers and their ids, ranges, filters, options, cancel, progress."""

from collections.abc import Callable

import pytest

from kvstore.pb.mvcc_pb2 import Event
from kvstore.pb.rpc_pb2 import (
    LeaseGrantRequest,
    LeaseRevokeRequest,
    WatchCreateRequest,
)
from tests.conformance.client import Client, WatchStream, end_of, op_delete, op_put, summary

covers = pytest.mark.covers
OpenWatch = Callable[..., WatchStream]


@covers("WatchRequest.create_request", "WatchCreateRequest.key")
def test_created_comes_before_the_events(client: Client, watch: WatchStream, prefix: bytes) -> None:
    created = watch.created(prefix)
    assert (created.canceled, len(created.events)) == (False, 0)
    client.put(prefix, b"v")
    assert summary(watch.events(1)) == [("PUT", prefix, b"v")]


def test_created_carries_the_present_revision(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    revision = client.put(prefix).header.revision
    assert watch.created(prefix).header.revision == revision


def test_a_put_event_carries_the_whole_key_value(
    client: Client, watch: WatchStream, prefix: bytes, lease_id: int
) -> None:
    client.lease(LeaseGrantRequest(ID=lease_id, TTL=600))
    created = client.put(prefix).header.revision
    watch.created(prefix)
    modified = client.put(prefix, b"v", lease=lease_id).header.revision
    [event] = watch.events(1)
    kv = event.kv
    assert (kv.key, kv.value, kv.lease, kv.version) == (prefix, b"v", lease_id, 2)
    assert (kv.create_revision, kv.mod_revision) == (created, modified)
    assert not event.HasField("prev_kv")


def test_a_delete_event_carries_key_and_mod_revision_only(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    client.put(prefix, b"v")
    watch.created(prefix)
    revision = client.delete(prefix).header.revision
    [event] = watch.events(1)
    kv = event.kv
    assert (event.type, kv.key, kv.mod_revision) == (Event.DELETE, prefix, revision)
    assert (kv.value, kv.create_revision, kv.version, kv.lease) == (b"", 0, 0, 0)


def test_the_header_of_events_is_the_revision_that_they_end_at(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(prefix)
    revision = client.put(prefix).header.revision
    [response] = watch.responses_until(1)
    assert response.header.revision == revision


def test_a_watch_of_one_key_sees_no_other(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(prefix + b"a")
    for name in (b"aa", b"b", b"a"):
        client.put(prefix + name)
    assert summary(watch.events(1)) == [("PUT", prefix + b"a", b"")]


@covers("WatchCreateRequest.range_end")
def test_a_watch_of_a_range_ends_before_range_end(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(prefix + b"a", prefix + b"c")
    for name in (b"c", b"a", b"d", b"b"):
        client.put(prefix + name)
    assert [e.kv.key for e in watch.events(2)] == [prefix + b"a", prefix + b"b"]


def test_a_watch_with_open_end_sees_all_later_keys(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(prefix + b"b", b"\0")
    for name in (b"a", b"b", b"z"):
        client.put(prefix + name)
    assert [e.kv.key for e in watch.events(2)] == [prefix + b"b", prefix + b"z"]


def test_a_watch_of_zero_byte_to_open_end_sees_everything(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(b"\0", b"\0")
    client.put(b"\0" + prefix)
    client.put(prefix)
    assert [e.kv.key for e in watch.events(2)] == [b"\0" + prefix, prefix]


def test_a_watch_of_the_empty_key_with_open_end_sees_everything(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(b"", b"\0")
    client.put(prefix)
    assert watch.events(1)[0].kv.key == prefix


def test_a_watch_of_the_empty_key_alone_watches_the_zero_byte_key(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(b"")
    client.put(prefix)
    client.put(b"\0")
    assert watch.events(1)[0].kv.key == b"\0"


@pytest.mark.parametrize("end", [b"a", b"b"], ids=["below", "equal"])
def test_a_watch_of_an_empty_range_is_refused_in_its_created_response(
    watch: WatchStream, prefix: bytes, end: bytes
) -> None:
    watch.create(prefix + b"b", prefix + end)
    response = watch.receive()
    assert (response.created, response.canceled, response.watch_id) == (True, True, -1)
    assert response.cancel_reason == "mvcc: watcher range is empty"


def test_a_stream_survives_a_refused_watcher(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.create(prefix, prefix)
    assert watch.receive().canceled
    watch.created(prefix)
    client.put(prefix)
    assert len(watch.events(1)) == 1


def test_ids_are_given_from_zero_upwards(watch: WatchStream, prefix: bytes) -> None:
    assert [watch.created(prefix).watch_id for _ in range(3)] == [0, 1, 2]


@covers("WatchCreateRequest.watch_id")
def test_a_chosen_id_is_kept(client: Client, watch: WatchStream, prefix: bytes) -> None:
    assert watch.created(prefix, watch_id=42).watch_id == 42
    client.put(prefix)
    assert watch.receive().watch_id == 42


def test_a_negative_id_may_be_chosen(client: Client, watch: WatchStream, prefix: bytes) -> None:
    assert watch.created(prefix, watch_id=-3).watch_id == -3
    client.put(prefix)
    assert watch.receive().watch_id == -3


def test_a_chosen_id_that_is_taken_is_refused_in_the_response(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(prefix, watch_id=5)
    watch.create(prefix, watch_id=5)
    response = watch.receive()
    assert (response.created, response.canceled, response.watch_id) == (True, True, -1)
    assert response.cancel_reason == "mvcc: duplicate watch ID provided on the WatchStream"
    client.put(prefix)
    assert watch.receive().watch_id == 5


def test_given_ids_skip_the_chosen_ones(watch: WatchStream, prefix: bytes) -> None:
    watch.created(prefix, watch_id=1)
    assert [watch.created(prefix).watch_id for _ in range(2)] == [0, 2]


def test_ids_belong_to_their_stream(client: Client, open_watch: OpenWatch, prefix: bytes) -> None:
    first, second = open_watch(client), open_watch(client)
    assert first.created(prefix, watch_id=9).watch_id == 9
    assert second.created(prefix, watch_id=9).watch_id == 9


def test_every_watcher_of_a_stream_gets_an_event_of_its_own(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    for watch_id in (3, 4):
        watch.created(prefix, watch_id=watch_id)
    client.put(prefix)
    assert {watch.receive().watch_id for _ in range(2)} == {3, 4}


def test_streams_see_the_same_events_independently(
    client: Client, open_watch: OpenWatch, prefix: bytes
) -> None:
    streams = [open_watch(client) for _ in range(3)]
    for stream in streams:
        stream.created(prefix)
    client.put(prefix, b"v")
    assert [summary(stream.events(1)) for stream in streams] == [[("PUT", prefix, b"v")]] * 3


def test_all_events_of_a_txn_come_in_one_response_in_operation_order(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    client.put(prefix + b"d")
    watch.created(prefix, end_of(prefix))
    client.txn(success=[op_put(prefix + b"z"), op_delete(prefix + b"d"), op_put(prefix + b"a")])
    response = watch.receive()
    assert summary(response.events) == [
        ("PUT", prefix + b"z", b""),
        ("DELETE", prefix + b"d", b""),
        ("PUT", prefix + b"a", b""),
    ]
    assert len({event.kv.mod_revision for event in response.events}) == 1


def test_a_range_delete_is_one_response_in_key_order(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    for name in (b"c", b"a", b"b"):
        client.put(prefix + name)
    watch.created(prefix, end_of(prefix))
    client.delete(prefix, end_of(prefix))
    keys = [event.kv.key for event in watch.receive().events]
    assert keys == [prefix + b"a", prefix + b"b", prefix + b"c"]


def test_revoking_a_lease_deletes_its_keys_in_one_response_in_key_order(
    client: Client, watch: WatchStream, prefix: bytes, lease_id: int
) -> None:
    client.lease(LeaseGrantRequest(ID=lease_id, TTL=600))
    for name in (b"c", b"a", b"b"):
        client.put(prefix + name, lease=lease_id)
    watch.created(prefix, end_of(prefix))
    client.lease(LeaseRevokeRequest(ID=lease_id))
    response = watch.receive()
    assert [event.type for event in response.events] == [Event.DELETE] * 3
    keys = [event.kv.key for event in response.events]
    assert keys == [prefix + b"a", prefix + b"b", prefix + b"c"]
    assert len({event.kv.mod_revision for event in response.events}) == 1


def test_events_come_in_revision_order(client: Client, watch: WatchStream, prefix: bytes) -> None:
    watch.created(prefix, end_of(prefix))
    written = [client.put(prefix + b"%d" % (n % 3)).header.revision for n in range(30)]
    assert [event.kv.mod_revision for event in watch.events(30)] == written


def test_a_delete_of_nothing_is_no_event(client: Client, watch: WatchStream, prefix: bytes) -> None:
    watch.created(prefix)
    client.delete(prefix)
    client.put(prefix)
    assert summary(watch.events(1)) == [("PUT", prefix, b"")]


def test_a_refused_write_is_no_event(client: Client, watch: WatchStream, prefix: bytes) -> None:
    watch.created(prefix)
    with pytest.raises(Exception, match="duplicate key"):
        client.txn(success=[op_put(prefix, b"1"), op_put(prefix, b"2")])
    client.put(prefix, b"3")
    assert summary(watch.events(1)) == [("PUT", prefix, b"3")]


@covers("WatchCreateRequest.filters=NOPUT")
def test_noput_leaves_the_deletes(client: Client, watch: WatchStream, prefix: bytes) -> None:
    watch.created(prefix, filters=[WatchCreateRequest.NOPUT])
    client.put(prefix)
    client.delete(prefix)
    assert summary(watch.events(1)) == [("DELETE", prefix, b"")]


@covers("WatchCreateRequest.filters=NODELETE")
def test_nodelete_leaves_the_puts(client: Client, watch: WatchStream, prefix: bytes) -> None:
    client.put(prefix)
    watch.created(prefix, filters=[WatchCreateRequest.NODELETE])
    client.delete(prefix)
    client.put(prefix, b"v")
    assert summary(watch.events(1)) == [("PUT", prefix, b"v")]


def test_both_filters_leave_nothing(client: Client, watch: WatchStream, prefix: bytes) -> None:
    both = [WatchCreateRequest.NOPUT, WatchCreateRequest.NODELETE]
    watch.created(prefix, filters=both, watch_id=8)
    watch.created(prefix, watch_id=9)
    client.put(prefix)
    client.delete(prefix)
    assert {watch.receive().watch_id for _ in range(2)} == {9}


def test_a_filter_keeps_the_rest_of_a_txn(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    client.put(prefix + b"a")
    watch.created(prefix, end_of(prefix), filters=[WatchCreateRequest.NODELETE])
    client.txn(success=[op_delete(prefix + b"a"), op_put(prefix + b"b")])
    assert summary(watch.events(1)) == [("PUT", prefix + b"b", b"")]


@covers("WatchCreateRequest.filters=unknown")
def test_an_unknown_filter_filters_nothing(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(prefix, filters=[9])
    client.put(prefix)
    client.delete(prefix)
    assert len(watch.events(2)) == 2


@covers("WatchCreateRequest.prev_kv")
def test_prev_kv_is_the_key_value_before_the_event(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    first = client.put(prefix, b"1").header.revision
    watch.created(prefix, prev_kv=True)
    second = client.put(prefix, b"2").header.revision
    client.delete(prefix)
    put, delete = watch.events(2)
    assert (put.prev_kv.value, put.prev_kv.mod_revision) == (b"1", first)
    assert (delete.prev_kv.value, delete.prev_kv.mod_revision) == (b"2", second)


def test_prev_kv_of_a_new_key_is_absent(client: Client, watch: WatchStream, prefix: bytes) -> None:
    watch.created(prefix, prev_kv=True)
    client.put(prefix)
    assert not watch.events(1)[0].HasField("prev_kv")


def test_prev_kv_after_a_delete_is_absent(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    client.put(prefix)
    client.delete(prefix)
    watch.created(prefix, prev_kv=True)
    client.put(prefix)
    assert not watch.events(1)[0].HasField("prev_kv")


def test_prev_kv_in_a_revoked_lease_names_the_lease(
    client: Client, watch: WatchStream, prefix: bytes, lease_id: int
) -> None:
    client.lease(LeaseGrantRequest(ID=lease_id, TTL=600))
    client.put(prefix, b"v", lease=lease_id)
    watch.created(prefix, prev_kv=True)
    client.lease(LeaseRevokeRequest(ID=lease_id))
    [event] = watch.events(1)
    assert (event.prev_kv.value, event.prev_kv.lease) == (b"v", lease_id)
