"""gRPC's health service over a real connection."""

from collections.abc import AsyncIterator

import grpc
import pytest

from kvstore.pb.health_pb2 import HealthCheckRequest, HealthCheckResponse
from kvstore.server import health
from kvstore.server.call import Service
from kvstore.server.front import Front
from kvstore.urls import parse_url


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    service = Service(health.HealthService(), health.METHODS)
    front = Front([service], [parse_url("http://127.0.0.1:0")])
    await front.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{front.ports[0]}") as channel:
        yield channel
    await front.stop()


async def _check(channel: grpc.aio.Channel, service: str) -> HealthCheckResponse:
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=HealthCheckRequest.SerializeToString,
        response_deserializer=HealthCheckResponse.FromString,
    )
    return await check(HealthCheckRequest(service=service))


async def test_the_whole_server_serves(channel: grpc.aio.Channel) -> None:
    assert (await _check(channel, "")).status == HealthCheckResponse.SERVING


async def test_no_single_service_is_known(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _check(channel, "etcdserverpb.KV")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "unknown service"


@pytest.mark.parametrize(
    ("service", "status"),
    [
        ("", HealthCheckResponse.SERVING),
        ("etcdserverpb.KV", HealthCheckResponse.SERVICE_UNKNOWN),
    ],
)
async def test_a_watch_begins_with_the_present_status_and_stays_open(
    channel: grpc.aio.Channel, service: str, status: int
) -> None:
    watch = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=HealthCheckRequest.SerializeToString,
        response_deserializer=HealthCheckResponse.FromString,
    )(HealthCheckRequest(service=service))
    response = await watch.read()
    assert isinstance(response, HealthCheckResponse)
    assert response.status == status
    assert not watch.done()
    watch.cancel()
