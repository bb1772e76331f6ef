"""The client's channel on grpc, against peers that accept a connection and say nothing."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from kvstore.client.grpc_channel import GrpcStream, open_grpc_channel
from kvstore.client.methods import LEASE_KEEP_ALIVE
from kvstore.pb import rpc_pb2
from kvstore.seams import RpcFailure


@pytest.fixture
def silent_endpoint() -> Iterator[str]:
    """As a member looks that was stopped by a signal: the kernel accepts, nobody answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


async def send(stream: GrpcStream) -> None:
    with pytest.raises(RpcFailure) as caught:
        await stream.send(rpc_pb2.LeaseKeepAliveRequest(ID=1))
    assert caught.value.code == "CANCELLED"


@pytest.mark.parametrize("is_before", [True, False])
async def test_a_cancelled_stream_ends_its_sender_before_there_is_a_connection(
    silent_endpoint: str, is_before: bool
) -> None:
    channel = open_grpc_channel(silent_endpoint, None)
    stream = channel.stream(LEASE_KEEP_ALIVE.name, LEASE_KEEP_ALIVE.response)
    if is_before:
        stream.cancel()
    sending = asyncio.create_task(send(stream))
    await asyncio.sleep(0)
    stream.cancel()
    await sending
    await channel.close()


async def test_a_sender_that_is_cancelled_itself_stays_cancelled(silent_endpoint: str) -> None:
    channel = open_grpc_channel(silent_endpoint, None)
    stream = channel.stream(LEASE_KEEP_ALIVE.name, LEASE_KEEP_ALIVE.response)
    sending = asyncio.create_task(stream.send(rpc_pb2.LeaseKeepAliveRequest(ID=1)))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await channel.close()
