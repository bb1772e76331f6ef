"""Cluster.MemberList, grpc health, unknown methods, undecodable and oversized requests."""

import grpc
import pytest

from kvstore.pb.health_pb2 import HealthCheckRequest, HealthCheckResponse
from kvstore.pb.rpc_pb2 import MemberListRequest, PutRequest
from kvstore.testing.processes import ClusterProcesses
from tests.conformance.client import Client, op_put, refusal, refused

covers = pytest.mark.covers
HEALTH = "/grpc.health.v1.Health/Check"
MEMBER_LIST = "/etcdserverpb.Cluster/MemberList"
REQUEST_BYTES_MAX = 1_572_864  # --max-request-bytes by default
GRPC_OVERHEAD_BYTES = 512 * 1024


def call_raw(client: Client, path: str, request: bytes) -> bytes:
    """Call any path with any bytes; raises Refused."""
    call = client.channel.unary_unary(
        path, request_serializer=lambda data: data, response_deserializer=lambda data: data
    )
    try:
        response: bytes = call(request, timeout=10)
    except grpc.RpcError as error:
        raise refusal(error) from None
    return response


@covers("MemberListRequest")
def test_member_list_of_one_names_it_with_its_urls(
    client: Client, single: ClusterProcesses
) -> None:
    response = client.unary(MEMBER_LIST, MemberListRequest())
    [member] = response.members
    [process] = single.members
    assert response.header.member_id == member.ID
    assert member.name == process.name
    assert list(member.clientURLs) == [process.client_url]
    assert list(member.peerURLs) == [process.peer_url]
    assert not member.isLearner


def test_member_list_of_three_is_the_same_on_every_member(
    trio: ClusterProcesses, leader: Client, followers: list[Client]
) -> None:
    answers = [client.unary(MEMBER_LIST, MemberListRequest()) for client in (leader, *followers)]
    lists = [{(m.ID, m.name, *m.peerURLs, *m.clientURLs) for m in one.members} for one in answers]
    assert lists[0] == lists[1] == lists[2]
    assert {name for _, name, *_ in lists[0]} == {member.name for member in trio.members}
    assert {one.header.member_id for one in answers} == {m.ID for m in answers[0].members}


def test_members_of_a_cluster_agree_on_its_id(leader: Client, followers: list[Client]) -> None:
    headers = [client.range(b"k").header for client in (leader, *followers)]
    assert len({header.cluster_id for header in headers}) == 1
    assert len({header.member_id for header in headers}) == 3


def test_clusters_have_different_ids(client: Client, leader: Client) -> None:
    assert client.range(b"k").header.cluster_id != leader.range(b"k").header.cluster_id


def test_health_of_the_server_is_serving(client: Client) -> None:
    assert client.unary(HEALTH, HealthCheckRequest()).status == HealthCheckResponse.SERVING


@covers("HealthCheckRequest.service", "NOT_FOUND unknown service")
def test_health_of_an_unknown_service_is_not_found(client: Client) -> None:
    with refused("NOT_FOUND", "unknown service"):
        client.unary(HEALTH, HealthCheckRequest(service="nonsense"))


def test_health_watch_answers_at_once(client: Client) -> None:
    call = client.callable("/grpc.health.v1.Health/Watch")(HealthCheckRequest(), timeout=10)
    assert next(call).status == HealthCheckResponse.SERVING
    call.cancel()


@covers("UNIMPLEMENTED unknown method Nonsense for service etcdserverpb.KV")
def test_an_unknown_method_of_a_known_service_is_unimplemented(client: Client) -> None:
    with refused("UNIMPLEMENTED", "unknown method Nonsense for service etcdserverpb.KV"):
        call_raw(client, "/etcdserverpb.KV/Nonsense", b"")


@covers("UNIMPLEMENTED unknown service etcdserverpb.Nonsense")
def test_an_unknown_service_is_unimplemented(client: Client) -> None:
    with refused("UNIMPLEMENTED", "unknown service etcdserverpb.Nonsense"):
        call_raw(client, "/etcdserverpb.Nonsense/Range", b"")


def test_an_undecodable_request_is_an_error_and_harmless(client: Client, prefix: bytes) -> None:
    with pytest.raises(Exception, match="INTERNAL"):
        call_raw(client, "/etcdserverpb.KV/Put", b"\xff\xff")
    client.put(prefix, b"v")
    assert client.range(prefix).kvs[0].value == b"v"


@covers("INVALID_ARGUMENT etcdserver: request is too large")
def test_a_put_above_the_request_limit_is_refused(client: Client, prefix: bytes) -> None:
    with refused("INVALID_ARGUMENT", "etcdserver: request is too large"):
        client.put(prefix, b"v" * REQUEST_BYTES_MAX)
    assert client.range(prefix).count == 0


def test_a_put_a_little_below_the_request_limit_is_taken(client: Client, prefix: bytes) -> None:
    value = b"v" * (REQUEST_BYTES_MAX - 1024)
    client.put(prefix, value)
    assert client.range(prefix).kvs[0].value == value


def test_a_txn_above_the_request_limit_is_refused(client: Client, prefix: bytes) -> None:
    half = b"v" * (REQUEST_BYTES_MAX // 2)
    with refused("INVALID_ARGUMENT", "etcdserver: request is too large"):
        client.txn(success=[op_put(prefix + b"a", half), op_put(prefix + b"b", half)])


def test_a_message_above_the_transport_limit_is_exhausted(client: Client, prefix: bytes) -> None:
    with pytest.raises(Exception, match="RESOURCE_EXHAUSTED"):
        client.put(prefix, b"v" * (REQUEST_BYTES_MAX + GRPC_OVERHEAD_BYTES))


def test_responses_may_be_larger_than_requests(client: Client, prefix: bytes) -> None:
    value = b"v" * 1_000_000
    for name in (b"a", b"b", b"c", b"d", b"e"):
        client.put(prefix + name, value)
    response = client.range(prefix, prefix[:-1] + b"0")
    assert response.ByteSize() > 5_000_000


def test_hasleader_is_served_while_there_is_one(client: Client, prefix: bytes) -> None:
    response = client.kv(PutRequest(key=prefix), metadata=[("hasleader", "true")])
    assert response.header.revision > 1
