"""Leases: grant, keep-alive, time to live, revoke, list, expiry."""

import time

import pytest

from kvstore.pb.rpc_pb2 import (
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseLeasesRequest,
    LeaseLeasesResponse,
    LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from tests.conformance.client import Client, KeepAliveStream, WatchStream, end_of, op_put, refused

covers = pytest.mark.covers
NOT_FOUND = ("NOT_FOUND", "etcdserver: requested lease not found")
TTL_MIN_SECONDS = 2  # ceil(1.5 x the election timeout of 1 s)
TTL_MAX_SECONDS = 9_000_000_000


def grant(client: Client, lease_id: int, ttl: int = 600) -> None:
    client.lease(LeaseGrantRequest(ID=lease_id, TTL=ttl))


def time_to_live(client: Client, lease_id: int, *, keys: bool = False) -> LeaseTimeToLiveResponse:
    response = client.lease(LeaseTimeToLiveRequest(ID=lease_id, keys=keys))
    assert isinstance(response, LeaseTimeToLiveResponse)
    return response


def lease_ids(client: Client) -> list[int]:
    response = client.lease(LeaseLeasesRequest())
    assert isinstance(response, LeaseLeasesResponse)
    return [lease.ID for lease in response.leases]


@covers("LeaseGrantRequest.TTL", "LeaseGrantRequest.ID")
def test_grant_with_a_chosen_id_keeps_id_and_ttl(client: Client, lease_id: int) -> None:
    response = client.lease(LeaseGrantRequest(ID=lease_id, TTL=100))
    assert (response.ID, response.TTL, response.error) == (lease_id, 100, "")


def test_grant_without_id_chooses_a_positive_one(client: Client) -> None:
    first = client.lease(LeaseGrantRequest(TTL=100)).ID
    second = client.lease(LeaseGrantRequest(TTL=100)).ID
    assert 0 < first != second > 0


def test_a_negative_id_may_be_chosen(client: Client, lease_id: int) -> None:
    grant(client, -lease_id)
    assert -lease_id in lease_ids(client)


@pytest.mark.parametrize("ttl", [-5, 0, 1, TTL_MIN_SECONDS])
def test_a_short_ttl_is_raised_to_the_minimum(client: Client, lease_id: int, ttl: int) -> None:
    response = client.lease(LeaseGrantRequest(ID=lease_id, TTL=ttl))
    assert response.TTL == TTL_MIN_SECONDS


def test_the_longest_ttl_is_granted(client: Client, lease_id: int) -> None:
    assert client.lease(LeaseGrantRequest(ID=lease_id, TTL=TTL_MAX_SECONDS)).TTL == TTL_MAX_SECONDS


@covers("OUT_OF_RANGE etcdserver: too large lease TTL")
def test_a_longer_ttl_is_refused(client: Client, lease_id: int) -> None:
    with refused("OUT_OF_RANGE", "etcdserver: too large lease TTL"):
        grant(client, lease_id, TTL_MAX_SECONDS + 1)


@covers("FAILED_PRECONDITION etcdserver: lease already exists")
def test_an_id_that_is_taken_is_refused(client: Client, lease_id: int) -> None:
    grant(client, lease_id)
    with refused("FAILED_PRECONDITION", "etcdserver: lease already exists"):
        grant(client, lease_id)


def test_a_refused_grant_leaves_the_lease_as_it_was(client: Client, lease_id: int) -> None:
    grant(client, lease_id, 100)
    with refused("FAILED_PRECONDITION", "etcdserver: lease already exists"):
        grant(client, lease_id, 900)
    assert time_to_live(client, lease_id).grantedTTL == 100


def test_a_revoked_id_may_be_granted_again(client: Client, lease_id: int) -> None:
    grant(client, lease_id)
    client.lease(LeaseRevokeRequest(ID=lease_id))
    grant(client, lease_id, 50)
    assert time_to_live(client, lease_id).grantedTTL == 50


def test_grant_and_empty_revoke_leave_the_revision(client: Client, lease_id: int) -> None:
    before = client.revision()
    response = client.lease(LeaseGrantRequest(ID=lease_id, TTL=100))
    assert response.header.revision == before
    assert client.lease(LeaseRevokeRequest(ID=lease_id)).header.revision == before


@covers("LeaseTimeToLiveRequest.ID")
def test_time_to_live_tells_granted_and_remaining_seconds(client: Client, lease_id: int) -> None:
    grant(client, lease_id, 100)
    response = time_to_live(client, lease_id)
    assert (response.ID, response.grantedTTL, len(response.keys)) == (lease_id, 100, 0)
    assert 95 <= response.TTL <= 100


def test_time_to_live_of_an_unknown_lease_is_minus_one(client: Client, lease_id: int) -> None:
    response = time_to_live(client, lease_id, keys=True)
    assert (response.ID, response.TTL, response.grantedTTL) == (lease_id, -1, 0)
    assert len(response.keys) == 0


def test_time_to_live_of_lease_zero_is_minus_one(client: Client) -> None:
    assert time_to_live(client, 0).TTL == -1


@covers("LeaseTimeToLiveRequest.keys")
def test_time_to_live_lists_the_keys_when_asked(
    client: Client, prefix: bytes, lease_id: int
) -> None:
    grant(client, lease_id)
    for name in (b"b", b"a"):
        client.put(prefix + name, lease=lease_id)
    assert sorted(time_to_live(client, lease_id, keys=True).keys) == [prefix + b"a", prefix + b"b"]
    assert len(time_to_live(client, lease_id).keys) == 0


def test_a_key_moves_from_lease_to_lease(client: Client, prefix: bytes, lease_id: int) -> None:
    grant(client, lease_id)
    grant(client, -lease_id)
    client.put(prefix, lease=lease_id)
    client.put(prefix, lease=-lease_id)
    assert len(time_to_live(client, lease_id, keys=True).keys) == 0
    assert list(time_to_live(client, -lease_id, keys=True).keys) == [prefix]


def test_a_put_without_lease_takes_the_key_off_its_list(
    client: Client, prefix: bytes, lease_id: int
) -> None:
    grant(client, lease_id)
    client.put(prefix, lease=lease_id)
    client.put(prefix)
    assert len(time_to_live(client, lease_id, keys=True).keys) == 0


def test_a_put_with_ignore_lease_leaves_the_key_on_its_list(
    client: Client, prefix: bytes, lease_id: int
) -> None:
    grant(client, lease_id)
    client.put(prefix, lease=lease_id)
    client.put(prefix, b"v", ignore_lease=True)
    assert list(time_to_live(client, lease_id, keys=True).keys) == [prefix]


def test_a_delete_takes_the_key_off_its_list(client: Client, prefix: bytes, lease_id: int) -> None:
    grant(client, lease_id)
    client.put(prefix, lease=lease_id)
    client.delete(prefix)
    assert len(time_to_live(client, lease_id, keys=True).keys) == 0


@covers("LeaseRevokeRequest.ID")
def test_revoke_deletes_the_keys_in_one_revision(
    client: Client, prefix: bytes, lease_id: int
) -> None:
    grant(client, lease_id)
    for name in (b"a", b"b"):
        revision = client.put(prefix + name, lease=lease_id).header.revision
    client.put(prefix + b"other")
    response = client.lease(LeaseRevokeRequest(ID=lease_id))
    assert response.header.revision == revision + 2
    assert [kv.key for kv in client.range(prefix, end_of(prefix)).kvs] == [prefix + b"other"]


def test_revoke_of_an_unknown_lease_is_refused(client: Client, lease_id: int) -> None:
    with refused(*NOT_FOUND):
        client.lease(LeaseRevokeRequest(ID=lease_id))


def test_a_second_revoke_is_refused(client: Client, lease_id: int) -> None:
    grant(client, lease_id)
    client.lease(LeaseRevokeRequest(ID=lease_id))
    with refused(*NOT_FOUND):
        client.lease(LeaseRevokeRequest(ID=lease_id))


def test_revoke_leaves_keys_that_were_put_without_the_lease_since(
    client: Client, prefix: bytes, lease_id: int
) -> None:
    grant(client, lease_id)
    client.put(prefix, lease=lease_id)
    client.put(prefix, b"mine")
    client.lease(LeaseRevokeRequest(ID=lease_id))
    assert client.range(prefix).kvs[0].value == b"mine"


def test_a_put_with_a_revoked_lease_is_refused(
    client: Client, prefix: bytes, lease_id: int
) -> None:
    grant(client, lease_id)
    client.lease(LeaseRevokeRequest(ID=lease_id))
    with refused(*NOT_FOUND):
        client.put(prefix, lease=lease_id)


def test_keys_that_a_txn_attaches_are_revoked_with_the_lease(
    client: Client, prefix: bytes, lease_id: int
) -> None:
    grant(client, lease_id)
    client.txn(success=[op_put(prefix + b"%d" % n, lease=lease_id) for n in range(5)])
    client.lease(LeaseRevokeRequest(ID=lease_id))
    assert client.range(prefix, end_of(prefix)).count == 0


@covers("LeaseLeasesRequest")
def test_leases_lists_what_was_granted_and_not_revoked(client: Client, lease_id: int) -> None:
    grant(client, lease_id)
    grant(client, -lease_id)
    client.lease(LeaseRevokeRequest(ID=-lease_id))
    ids = lease_ids(client)
    assert lease_id in ids
    assert -lease_id not in ids


def test_an_empty_store_has_no_leases(fresh: Client) -> None:
    assert lease_ids(fresh) == []


@covers("LeaseKeepAliveRequest.ID")
def test_keep_alive_answers_with_the_granted_ttl(
    client: Client, keep_alive: KeepAliveStream, lease_id: int
) -> None:
    grant(client, lease_id, 100)
    answer = keep_alive.keep_alive(lease_id)
    assert answer == LeaseKeepAliveResponse(header=answer.header, ID=lease_id, TTL=100)


def test_keep_alive_of_an_unknown_lease_answers_ttl_zero(
    keep_alive: KeepAliveStream, lease_id: int
) -> None:
    answer = keep_alive.keep_alive(lease_id)
    assert answer == LeaseKeepAliveResponse(header=answer.header, ID=lease_id, TTL=0)


def test_keep_alive_of_a_revoked_lease_answers_ttl_zero(
    client: Client, keep_alive: KeepAliveStream, lease_id: int
) -> None:
    grant(client, lease_id)
    client.lease(LeaseRevokeRequest(ID=lease_id))
    assert keep_alive.keep_alive(lease_id).TTL == 0


def test_keep_alives_on_a_stream_are_answered_in_order(
    client: Client, keep_alive: KeepAliveStream, lease_id: int
) -> None:
    grant(client, lease_id, 100)
    asked = [lease_id, -lease_id, lease_id]
    for one in asked:
        keep_alive.send(LeaseKeepAliveRequest(ID=one))
    answers = [keep_alive.receive() for _ in asked]
    assert [answer.ID for answer in answers] == asked
    assert [answer.TTL for answer in answers] == [100, 0, 100]


def test_a_half_closed_keep_alive_stream_ends(
    client: Client, keep_alive: KeepAliveStream, lease_id: int
) -> None:
    grant(client, lease_id, 100)
    assert keep_alive.keep_alive(lease_id).TTL == 100
    keep_alive.half_close()
    with pytest.raises(EOFError):
        keep_alive.receive()


def test_keep_alive_leaves_the_revision(
    client: Client, keep_alive: KeepAliveStream, lease_id: int
) -> None:
    grant(client, lease_id)
    before = client.revision()
    assert keep_alive.keep_alive(lease_id).header.revision == before
    assert client.revision() == before


@pytest.mark.slow
def test_an_expired_lease_deletes_its_keys_with_events(
    client: Client, watch: WatchStream, prefix: bytes, lease_id: int
) -> None:
    grant(client, lease_id, TTL_MIN_SECONDS)
    granted = time.monotonic()
    for name in (b"b", b"a"):
        client.put(prefix + name, lease=lease_id)
    watch.created(prefix, end_of(prefix))
    response = watch.receive()
    assert time.monotonic() - granted >= TTL_MIN_SECONDS - 0.1
    assert [event.kv.key for event in response.events] == [prefix + b"a", prefix + b"b"]
    assert time_to_live(client, lease_id).TTL == -1
    assert lease_id not in lease_ids(client)


@pytest.mark.slow
def test_keep_alive_puts_the_expiry_off(
    client: Client, watch: WatchStream, keep_alive: KeepAliveStream, prefix: bytes, lease_id: int
) -> None:
    grant(client, lease_id, TTL_MIN_SECONDS)
    client.put(prefix, lease=lease_id)
    watch.created(prefix)
    while time_to_live(client, lease_id).TTL > TTL_MIN_SECONDS - 1:
        assert watch.waiting() == []
    renewed = time.monotonic()
    assert keep_alive.keep_alive(lease_id).TTL == TTL_MIN_SECONDS
    assert len(watch.events(1)) == 1
    assert time.monotonic() - renewed >= TTL_MIN_SECONDS - 0.1


@pytest.mark.slow
def test_keys_taken_off_a_lease_survive_its_expiry(
    client: Client, watch: WatchStream, prefix: bytes, lease_id: int
) -> None:
    grant(client, lease_id, TTL_MIN_SECONDS)
    client.put(prefix + b"stays", lease=lease_id)
    client.put(prefix + b"goes", lease=lease_id)
    client.put(prefix + b"stays")
    watch.created(prefix, end_of(prefix))
    assert [event.kv.key for event in watch.events(1)] == [prefix + b"goes"]
    assert client.range(prefix + b"stays").count == 1
