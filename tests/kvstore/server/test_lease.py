"""The Lease service on one real member, and the order of keep-alives on a recording stream."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from kvstore.errors import KvError, RequestTimeoutError, TooManyRequestsError
from kvstore.pb import rpc_pb2 as pb
from kvstore.server.call import Pieces
from kvstore.server.lease import KEEP_ALIVES_MAX, LeaseService
from kvstore.server.lease_keeper import LeaseKeeper
from kvstore.server.quota import Quota
from tests.kvstore.server.single import Running, running


@pytest.fixture
async def member(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as member:
        yield member


async def grant(member: Running, ttl: int, lease_id: int = 0) -> pb.LeaseGrantResponse:
    request = pb.LeaseGrantRequest(TTL=ttl, ID=lease_id)
    response = await member.call("Lease/LeaseGrant", request, pb.LeaseGrantResponse)
    assert isinstance(response, pb.LeaseGrantResponse)
    return response


async def put(member: Running, key: bytes, lease: int) -> None:
    await member.call("KV/Put", pb.PutRequest(key=key, lease=lease), pb.PutResponse)


async def time_to_live(
    member: Running, lease_id: int, keys: bool = False
) -> pb.LeaseTimeToLiveResponse:
    request = pb.LeaseTimeToLiveRequest(ID=lease_id, keys=keys)
    response = await member.call("Lease/LeaseTimeToLive", request, pb.LeaseTimeToLiveResponse)
    assert isinstance(response, pb.LeaseTimeToLiveResponse)
    return response


async def leases(member: Running) -> list[int]:
    response = await member.call(
        "Lease/LeaseLeases", pb.LeaseLeasesRequest(), pb.LeaseLeasesResponse
    )
    return [status.ID for status in response.leases]


async def test_grant_keeps_the_id_that_was_chosen(member: Running) -> None:
    response = await grant(member, 100, 7)
    assert (response.ID, response.TTL, response.header.revision) == (7, 100, 1)


async def test_grant_chooses_a_positive_id_when_asked_for_none(member: Running) -> None:
    first, second = await grant(member, 100), await grant(member, 100)
    assert first.ID > 0
    assert second.ID > 0
    assert first.ID != second.ID


@pytest.mark.parametrize("ttl", [-5, 0, 1, 2])
async def test_lease_outlives_an_election(member: Running, ttl: int) -> None:
    assert (await grant(member, ttl)).TTL == 2


async def test_least_ttl_follows_the_election_timeout(tmp_path: Path) -> None:
    async with running(tmp_path, "--heartbeat-interval=100", "--election-timeout=3000") as member:
        assert (await grant(member, 1)).TTL == 5
    async with running(tmp_path / "2", "--election-timeout=2000") as member:
        assert (await grant(member, 1)).TTL == 3


async def test_taken_id_and_too_large_ttl_are_refused(member: Running) -> None:
    await grant(member, 100, 7)
    request = pb.LeaseGrantRequest(TTL=100, ID=7)
    status = await member.status("Lease/LeaseGrant", request, pb.LeaseGrantResponse)
    assert status == ("FAILED_PRECONDITION", "etcdserver: lease already exists")
    request = pb.LeaseGrantRequest(TTL=9_000_000_001)
    status = await member.status("Lease/LeaseGrant", request, pb.LeaseGrantResponse)
    assert status == ("OUT_OF_RANGE", "etcdserver: too large lease TTL")


async def test_grant_without_room_raises_the_alarm(tmp_path: Path) -> None:
    async with running(tmp_path, "--quota-backend-bytes=1") as member:
        request = pb.LeaseGrantRequest(TTL=100)
        status = await member.status("Lease/LeaseGrant", request, pb.LeaseGrantResponse)
        assert status == ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded")


async def test_revoke_deletes_the_keys_in_one_revision(member: Running) -> None:
    await grant(member, 100, 7)
    await put(member, b"b", 7)
    await put(member, b"a", 7)
    request = pb.LeaseRevokeRequest(ID=7)
    response = await member.call("Lease/LeaseRevoke", request, pb.LeaseRevokeResponse)
    assert response.header.revision == 4
    assert await leases(member) == []
    assert member.node.machine.store.key_count == 0
    status = await member.status("Lease/LeaseRevoke", request, pb.LeaseRevokeResponse)
    assert status == ("NOT_FOUND", "etcdserver: requested lease not found")


async def test_time_to_live_tells_keys_only_when_asked(member: Running) -> None:
    await grant(member, 100, 7)
    await put(member, b"b", 7)
    await put(member, b"a", 7)
    response = await time_to_live(member, 7)
    assert (response.ID, response.grantedTTL, list(response.keys)) == (7, 100, [])
    assert 95 <= response.TTL <= 100
    response = await time_to_live(member, 7, keys=True)
    assert list(response.keys) == [b"a", b"b"]
    assert response.header.revision == 3


async def test_time_to_live_of_an_unknown_lease_is_minus_1(member: Running) -> None:
    response = await time_to_live(member, 77)
    assert (response.ID, response.TTL, response.grantedTTL) == (77, -1, 0)


async def test_time_to_live_without_a_leader_fails(tmp_path: Path) -> None:
    cluster = "--initial-cluster=default=http://localhost:2380,other=http://127.0.0.1:1"
    async with running(
        tmp_path, cluster, "--heartbeat-interval=10", "--election-timeout=100"
    ) as member:
        request = pb.LeaseTimeToLiveRequest(ID=7)
        code, _ = await member.status("Lease/LeaseTimeToLive", request, pb.LeaseTimeToLiveResponse)
        assert code == "UNAVAILABLE"


async def test_leases_lists_the_first_to_end_first(member: Running) -> None:
    await grant(member, 300, 1)
    await grant(member, 100, 2)
    await grant(member, 200, 3)
    await time_to_live(member, 1)
    assert await leases(member) == [2, 3, 1]


async def test_keep_alive_tells_the_granted_ttl_and_0_for_an_unknown_lease(
    member: Running,
) -> None:
    await grant(member, 100, 7)
    stream = member.stream("Lease/LeaseKeepAlive", pb.LeaseKeepAliveResponse)
    for lease_id in (7, 77, 7):
        await stream.write(pb.LeaseKeepAliveRequest(ID=lease_id))
    await stream.done_writing()
    answers = [(answer.ID, answer.TTL) async for answer in stream]
    assert answers == [(7, 100), (77, 0), (7, 100)]
    assert await stream.code() is grpc.StatusCode.OK


class RecordingStream:
    """A client's keep-alive stream."""

    def __init__(self, service: LeaseService) -> None:
        self.metadata: dict[str, str] = {}
        self.on_request: Callable[[Any], None] = lambda _: None
        self.on_half_closed: Callable[[], None] = lambda: None
        self.on_closed: Callable[[], None] = lambda: None
        self.on_writable: Callable[[], None] = lambda: None
        self.is_blocked = False
        self.answers: list[tuple[int, int]] = []
        self.end_count = 0
        self.failure: KvError | None = None
        service.keep_alive(self)

    def ask(self, lease_id: int) -> None:
        self.on_request(pb.LeaseKeepAliveRequest(ID=lease_id))

    def send(self, response: pb.LeaseKeepAliveResponse) -> None:
        raise AssertionError("answers go out together with their header")

    def send_all(self, responses: Sequence[Pieces]) -> None:
        for pieces in responses:
            response = pb.LeaseKeepAliveResponse.FromString(b"".join(pieces))
            self.answers.append((response.ID, response.TTL))

    def end(self) -> None:
        self.end_count += 1

    def fail(self, error: KvError) -> None:
        self.failure = error


class SlowLeader:
    """Answers renewals when and as the test says."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[int | KvError], None]] = []

    def renew(self, lease_id: int, done: Callable[[int | KvError], None]) -> None:
        self.waiting.append(done)


@pytest.fixture
def leader() -> SlowLeader:
    return SlowLeader()


@pytest.fixture
def stream(member: Running, leader: SlowLeader) -> RecordingStream:
    quota = Quota(member.node, None)
    return RecordingStream(LeaseService(member.node, cast(LeaseKeeper, leader), quota))


async def test_keep_alives_are_answered_in_the_order_of_the_requests(
    leader: SlowLeader, stream: RecordingStream
) -> None:
    for lease_id in (1, 2, 3):
        stream.ask(lease_id)
    leader.waiting[2](30)
    leader.waiting[1](0)
    assert stream.answers == []
    leader.waiting[0](10)
    assert stream.answers == [(1, 10), (2, 0), (3, 30)]


async def test_half_closed_keep_alive_stream_ends_after_its_last_answer(
    leader: SlowLeader, stream: RecordingStream
) -> None:
    stream.ask(1)
    stream.on_half_closed()
    assert stream.end_count == 0
    leader.waiting[0](10)
    assert stream.answers == [(1, 10)]
    assert stream.end_count == 1


async def test_renewal_that_cannot_be_made_ends_the_stream(
    leader: SlowLeader, stream: RecordingStream
) -> None:
    stream.ask(1)
    leader.waiting[0](RequestTimeoutError())
    assert isinstance(stream.failure, RequestTimeoutError)
    assert stream.answers == []


async def test_unanswered_keep_alives_are_bounded(
    leader: SlowLeader, stream: RecordingStream
) -> None:
    for _ in range(KEEP_ALIVES_MAX):
        stream.ask(1)
    with pytest.raises(TooManyRequestsError):
        stream.ask(1)
    leader.waiting[0](10)
    stream.ask(1)
    assert len(leader.waiting) == KEEP_ALIVES_MAX + 1
