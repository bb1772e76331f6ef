"""Watch: watchers and their ids, ranges, filters, options, cancel, progress."""

from collections.abc import Callable
from typing import Any

import pytest

from kvstore.pb.mvcc_pb2 import Event
from kvstore.pb.rpc_pb2 import (
    LeaseGrantRequest,
    LeaseRevokeRequest,
    WatchCreateRequest,
    WatchRequest,
)
from tests.conformance.client import Client, WatchStream, op_delete, op_put
from tests.conformance.test_range import end_of

covers = pytest.mark.covers
OpenWatch = Callable[..., WatchStream]


def summary(events: list[Any]) -> list[tuple[str, bytes, bytes]]:
    return [(Event.EventType.Name(e.type), e.kv.key, e.kv.value) for e in events]


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


@covers("WatchRequest.cancel_request", "WatchCancelRequest.watch_id")
def test_cancel_is_confirmed_and_ends_the_events(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(prefix, watch_id=1)
    watch.created(prefix, watch_id=2)
    watch.cancel(1)
    confirmed = watch.receive()
    assert (confirmed.watch_id, confirmed.canceled, confirmed.created) == (1, True, False)
    assert confirmed.compact_revision == 0
    client.put(prefix)
    client.put(prefix)
    assert [watch.receive().watch_id for _ in range(2)] == [2, 2]


def test_cancel_of_an_unknown_id_is_not_answered(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(prefix)
    watch.cancel(77)
    client.put(prefix)
    assert len(watch.events(1)) == 1


def test_a_second_cancel_is_not_answered(client: Client, watch: WatchStream, prefix: bytes) -> None:
    watch.created(prefix, watch_id=1)
    watch.cancel(1)
    watch.cancel(1)
    assert watch.receive().canceled
    watch.created(prefix, watch_id=2)


def test_a_cancelled_id_may_be_chosen_again(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(prefix, watch_id=1)
    watch.cancel(1)
    assert watch.receive().canceled
    assert watch.created(prefix, watch_id=1).watch_id == 1
    client.put(prefix)
    assert watch.receive().watch_id == 1


def test_given_ids_are_not_given_again_after_a_cancel(watch: WatchStream, prefix: bytes) -> None:
    first = watch.created(prefix).watch_id
    watch.cancel(first)
    assert watch.receive().canceled
    assert watch.created(prefix).watch_id == first + 1


def test_cancel_leaves_the_same_id_on_other_streams(
    client: Client, open_watch: OpenWatch, prefix: bytes
) -> None:
    first, second = open_watch(client), open_watch(client)
    first.created(prefix)
    second.created(prefix)
    first.cancel(0)
    assert first.receive().canceled
    client.put(prefix)
    assert len(second.events(1)) == 1


@covers("WatchRequest.progress_request", "WatchProgressRequest")
def test_progress_of_a_synced_stream_has_id_minus_one_and_the_revision(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(prefix)
    revision = client.put(prefix + b"other").header.revision
    watch.progress()
    response = watch.receive()
    assert (response.watch_id, len(response.events)) == (-1, 0)
    assert (response.created, response.canceled) == (False, False)
    assert response.header.revision >= revision


def test_progress_requests_are_each_answered(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(prefix)
    for _ in range(3):
        watch.progress()
        assert watch.receive().watch_id == -1


@covers("WatchCreateRequest.progress_notify")
def test_progress_notify_is_silent_at_first(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(prefix, progress_notify=True)
    client.put(prefix)
    assert len(watch.events(1)) == 1


@covers("WatchCreateRequest.fragment")
def test_a_small_response_with_fragment_is_whole(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(prefix, end_of(prefix), fragment=True)
    client.txn(success=[op_put(prefix + b"%d" % n) for n in range(10)])
    response = watch.receive()
    assert (len(response.events), response.fragment) == (10, False)


LARGE_BYTES = 1_200_000  # two make more than the 2 MiB that one response may hold


def write_large(client: Client, prefix: bytes) -> int:
    """Three large values deleted at once; the revision of the delete."""
    for name in (b"a", b"b", b"c"):
        client.put(prefix + name, name * LARGE_BYTES)
    return client.delete(prefix, end_of(prefix)).header.revision


def test_large_responses_are_fragmented_with_the_flag_on_all_but_the_last(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    last = write_large(client, prefix)
    watch.create(prefix, end_of(prefix), start_revision=last, fragment=True, prev_kv=True)
    assert watch.receive().created
    responses = watch.responses_until(3)
    assert [len(response.events) for response in responses] == [1, 1, 1]
    assert [response.fragment for response in responses] == [True, True, False]
    keys = [event.kv.key for response in responses for event in response.events]
    assert keys == [prefix + b"a", prefix + b"b", prefix + b"c"]


def test_a_large_response_without_fragment_is_whole(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    last = write_large(client, prefix)
    watch.create(prefix, end_of(prefix), start_revision=last, prev_kv=True)
    assert watch.receive().created
    response = watch.receive()
    assert (len(response.events), response.fragment) == (3, False)
    assert response.ByteSize() > 3 * LARGE_BYTES


def test_a_request_without_content_is_ignored(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.send(WatchRequest())
    watch.created(prefix)
    client.put(prefix)
    assert len(watch.events(1)) == 1


def test_a_half_closed_stream_still_delivers(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    watch.created(prefix)
    watch.half_close()
    client.put(prefix, b"v")
    assert summary(watch.events(1)) == [("PUT", prefix, b"v")]


def test_requests_of_a_stream_are_answered_in_order(watch: WatchStream, prefix: bytes) -> None:
    for watch_id in (10, 11, 12):
        watch.create(prefix, watch_id=watch_id)
    assert [watch.receive().watch_id for _ in range(3)] == [10, 11, 12]


def test_a_thousand_watchers_on_one_stream(
    client: Client, watch: WatchStream, prefix: bytes
) -> None:
    for n in range(1000):
        watch.create(prefix + b"%03d" % n)
    assert {watch.receive().watch_id for _ in range(1000)} == set(range(1000))
    client.put(prefix + b"777")
    assert watch.receive().watch_id == 777
