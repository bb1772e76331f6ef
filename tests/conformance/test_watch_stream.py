"""Watch streams: cancel, progress, fragments, half-close, many watchers."""

from collections.abc import Callable

import pytest

from kvstore.pb.rpc_pb2 import WatchRequest
from tests.conformance.client import Client, WatchStream, end_of, op_put, summary

covers = pytest.mark.covers
OpenWatch = Callable[..., WatchStream]


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
