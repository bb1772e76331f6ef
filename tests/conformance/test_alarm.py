"""Maintenance.Alarm: listing, raising and disarming; what NOSPACE and CORRUPT refuse."""

from collections.abc import Iterator

import pytest

from kvstore.pb.rpc_pb2 import (
    CORRUPT,
    NOSPACE,
    AlarmRequest,
    AlarmResponse,
    DefragmentRequest,
    LeaseGrantRequest,
    LeaseRevokeRequest,
    StatusRequest,
)
from tests.conformance.client import Client, Refused, op_delete, op_put, op_range, refused
from tests.conformance.conftest import StartCluster

covers = pytest.mark.covers
GET, ACTIVATE, DEACTIVATE = AlarmRequest.GET, AlarmRequest.ACTIVATE, AlarmRequest.DEACTIVATE
NO_SPACE = ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded")
CORRUPT_CLUSTER = ("DATA_LOSS", "etcdserver: corrupt cluster")
QUOTA_BYTES = 2_000_000
VALUE = b"v" * 100_000
PUTS_MAX = 400  # etcd sees its size some commits late; far more than it ever needs


def alarm(client: Client, action: int, kind: int, member_id: int = 0) -> AlarmResponse:
    request = AlarmRequest(action=action, alarm=kind, memberID=member_id)  # type: ignore[arg-type]
    response = client.maintenance(request)
    assert isinstance(response, AlarmResponse)
    return response


def listed(client: Client, kind: int = 0) -> list[tuple[int, int]]:
    return [(one.memberID, one.alarm) for one in alarm(client, GET, kind).alarms]


@pytest.fixture
def raised(client: Client) -> Iterator[list[tuple[int, int]]]:
    """Alarms to be disarmed at the test's end."""
    alarms: list[tuple[int, int]] = []
    yield alarms
    for member_id, kind in alarms:
        alarm(client, DEACTIVATE, kind, member_id)


def test_there_is_no_alarm_at_first(client: Client) -> None:
    assert listed(client) == []


@covers("AlarmRequest.alarm=unknown")
def test_alarms_of_an_unknown_kind_are_none(client: Client) -> None:
    assert listed(client, 9) == []


@pytest.mark.oracle_fault("the process dies of it")
@covers("AlarmRequest.action=unknown")
def test_an_unknown_action_is_harmless(client: Client, prefix: bytes) -> None:
    with pytest.raises(Refused):
        alarm(client, 9, NOSPACE)
    client.put(prefix)


@covers("AlarmRequest.action=ACTIVATE", "AlarmRequest.alarm=CORRUPT", "AlarmRequest.memberID")
def test_a_raised_alarm_is_answered_and_listed(
    client: Client, raised: list[tuple[int, int]]
) -> None:
    raised.append((77, CORRUPT))
    [one] = alarm(client, ACTIVATE, CORRUPT, 77).alarms
    assert (one.memberID, one.alarm) == (77, CORRUPT)
    assert listed(client) == listed(client, CORRUPT) == [(77, CORRUPT)]
    assert listed(client, NOSPACE) == []


@covers("AlarmRequest.action=DEACTIVATE")
def test_a_disarmed_alarm_is_answered_and_gone(
    client: Client, raised: list[tuple[int, int]]
) -> None:
    raised.append((77, CORRUPT))
    alarm(client, ACTIVATE, CORRUPT, 77)
    [one] = alarm(client, DEACTIVATE, CORRUPT, 77).alarms
    assert (one.memberID, one.alarm) == (77, CORRUPT)
    assert listed(client) == []


def test_raising_an_alarm_twice_lists_it_once(
    client: Client, raised: list[tuple[int, int]]
) -> None:
    raised.append((77, CORRUPT))
    for _ in range(2):
        alarm(client, ACTIVATE, CORRUPT, 77)
    assert listed(client) == [(77, CORRUPT)]


def test_disarming_what_is_not_raised_is_harmless(client: Client) -> None:
    assert len(alarm(client, DEACTIVATE, NOSPACE, 77).alarms) == 0
    assert listed(client) == []


def test_alarms_of_two_members_are_disarmed_one_by_one(
    client: Client, raised: list[tuple[int, int]]
) -> None:
    for member_id in (77, 78):
        raised.append((member_id, CORRUPT))
        alarm(client, ACTIVATE, CORRUPT, member_id)
    alarm(client, DEACTIVATE, CORRUPT, 77)
    assert listed(client) == [(78, CORRUPT)]


def test_a_raised_alarm_shows_in_the_status(client: Client, raised: list[tuple[int, int]]) -> None:
    raised.append((77, CORRUPT))
    alarm(client, ACTIVATE, CORRUPT, 77)
    [error] = client.maintenance(StatusRequest()).errors
    assert error.strip() == "memberID:77 alarm:CORRUPT"


@covers("DATA_LOSS etcdserver: corrupt cluster")
def test_corrupt_refuses_every_write(
    client: Client, prefix: bytes, lease_id: int, raised: list[tuple[int, int]]
) -> None:
    revision = client.put(prefix).header.revision
    raised.append((77, CORRUPT))
    alarm(client, ACTIVATE, CORRUPT, 77)
    with refused(*CORRUPT_CLUSTER):
        client.put(prefix)
    with refused(*CORRUPT_CLUSTER):
        client.delete(prefix)
    with refused(*CORRUPT_CLUSTER):
        client.txn(success=[op_put(prefix)])
    with refused(*CORRUPT_CLUSTER):
        client.compact(revision)
    with refused(*CORRUPT_CLUSTER):
        client.lease(LeaseGrantRequest(ID=lease_id, TTL=100))
    with refused(*CORRUPT_CLUSTER):
        client.lease(LeaseRevokeRequest(ID=lease_id))


def test_corrupt_lets_reads_go_on(
    client: Client, prefix: bytes, raised: list[tuple[int, int]]
) -> None:
    client.put(prefix, b"v")
    raised.append((77, CORRUPT))
    alarm(client, ACTIVATE, CORRUPT, 77)
    assert client.range(prefix).kvs[0].value == b"v"
    assert client.txn(success=[op_range(prefix)]).succeeded


def test_writes_go_on_once_corrupt_is_disarmed(client: Client, prefix: bytes) -> None:
    alarm(client, ACTIVATE, CORRUPT, 77)
    alarm(client, DEACTIVATE, CORRUPT, 77)
    client.put(prefix)


@covers(
    "AlarmRequest.alarm=NOSPACE", "RESOURCE_EXHAUSTED etcdserver: mvcc: database space exceeded"
)
def test_raised_nospace_refuses_puts_and_grants(
    client: Client, prefix: bytes, lease_id: int, raised: list[tuple[int, int]]
) -> None:
    raised.append((77, NOSPACE))
    alarm(client, ACTIVATE, NOSPACE, 77)
    with refused(*NO_SPACE):
        client.put(prefix)
    with refused(*NO_SPACE):
        client.txn(success=[op_put(prefix)])
    with refused(*NO_SPACE):
        client.lease(LeaseGrantRequest(ID=lease_id, TTL=100))


def fill(client: Client) -> None:
    """Put until the member refuses."""
    for n in range(PUTS_MAX):
        client.put(b"k%d" % n, VALUE)


@pytest.fixture(scope="module")
def full(start_shared_cluster: StartCluster) -> Iterator[Client]:
    """A member whose quota has just been used up by keys k0, k1, …; with lease 5 granted."""
    cluster = start_shared_cluster(flags=(f"--quota-backend-bytes={QUOTA_BYTES}",))
    client = Client(cluster.endpoints[0])
    client.lease(LeaseGrantRequest(ID=5, TTL=1000))
    with refused(*NO_SPACE):
        fill(client)
    yield client
    client.close()


def test_a_full_store_raises_nospace_for_its_member(full: Client) -> None:
    member_id = full.range(b"k0").header.member_id
    assert listed(full) == [(member_id, NOSPACE)]


def test_a_full_store_refuses_the_smallest_put(full: Client) -> None:
    with refused(*NO_SPACE):
        full.put(b"small")


def test_a_full_store_refuses_a_txn_with_a_put(full: Client) -> None:
    with refused(*NO_SPACE):
        full.txn(success=[op_put(b"small")])


def test_a_full_store_still_reads(full: Client) -> None:
    assert full.range(b"k0").kvs[0].value == VALUE


def test_a_full_store_runs_a_txn_without_puts(full: Client) -> None:
    assert full.txn(success=[op_range(b"k0", count_only=True), op_delete(b"nothing")]).succeeded


def test_a_full_store_still_deletes(full: Client) -> None:
    assert full.delete(b"k0").deleted == 1


def test_a_full_store_still_revokes_leases(full: Client) -> None:
    assert full.lease(LeaseRevokeRequest(ID=5)).header.revision > 1


def test_room_made_by_compaction_is_usable_once_the_alarm_is_disarmed(full: Client) -> None:
    full.delete(b"k", b"l")
    full.compact(full.revision(), physical=True)
    full.maintenance(DefragmentRequest())
    with refused(*NO_SPACE):
        full.put(b"still-alarmed")
    for member_id, kind in listed(full):
        alarm(full, DEACTIVATE, kind, member_id)
    full.put(b"k0", VALUE)
    assert listed(full) == []
