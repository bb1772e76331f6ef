"""RpcChannel on grpc.aio: the only module of the client that knows grpc.

It turns grpc's ways to fail into RpcFailure, and says of a failed call whether it surely never
left. No retries here (nor in grpc: they would repeat writes).
"""

from __future__ import annotations  # grpc's classes are generic only in their stubs

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio

from kvstore.client.endpoints import (
    CONNECT_SECONDS_MAX,
    PING_SECONDS,
    PING_TIMEOUT_SECONDS,
    RECONNECT_SECONDS_MAX,
    RECONNECT_SECONDS_MIN,
    UNIX_SCHEMES,
    parse,
)
from kvstore.client.tls import Tls
from kvstore.seams import RpcFailure

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),  # a range may be as large as the store
    ("grpc.max_send_message_length", -1),  # the server refuses what is too large, by its own text
    ("grpc.keepalive_time_ms", PING_SECONDS * 1000),
    ("grpc.keepalive_timeout_ms", PING_TIMEOUT_SECONDS * 1000),
    ("grpc.http2.ping_timeout_ms", PING_TIMEOUT_SECONDS * 1000),  # else 60 s, whatever is above
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.min_reconnect_backoff_ms", int(CONNECT_SECONDS_MAX * 1000)),
    ("grpc.initial_reconnect_backoff_ms", int(RECONNECT_SECONDS_MIN * 1000)),
    ("grpc.max_reconnect_backoff_ms", int(RECONNECT_SECONDS_MAX * 1000)),
    ("grpc.service_config_disable_resolution", 1),  # nobody's DNS may switch on retries
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),  # no back-off inherited from another client
)

# grpc says this when it found no connection to put a call on.
_NEVER_SENT = "failed to connect to all addresses"


def open_grpc_channel(endpoint: str, tls: Tls | None) -> GrpcChannel:
    """A channel to an endpoint (`endpoints.parse`), or to `unix://path`; connects when used.

    Raises ValueError.
    """
    if endpoint.startswith(UNIX_SCHEMES):
        path = endpoint.partition("://")[2]
        return GrpcChannel(endpoint, grpc.aio.insecure_channel(f"unix:{path}", _OPTIONS))
    address, material = parse(endpoint, tls)
    if material is None:
        return GrpcChannel(endpoint, grpc.aio.insecure_channel(address, _OPTIONS))
    options: list[tuple[str, Any]] = [*_OPTIONS]
    if material.server_name is not None:
        options.append(("grpc.ssl_target_name_override", material.server_name))
    credentials = grpc.ssl_channel_credentials(material.ca, material.key, material.certificate)
    return GrpcChannel(endpoint, grpc.aio.secure_channel(address, credentials, options))


class GrpcChannel:
    """RpcChannel to one endpoint."""

    def __init__(self, endpoint: str, channel: grpc.aio.Channel) -> None:
        self._endpoint = endpoint
        self._channel = channel
        self._unary: dict[str, grpc.aio.UnaryUnaryMultiCallable[Any, Any]] = {}
        self._is_closed = False

    async def unary(
        self,
        method: str,
        request: Any,
        response_type: Any,
        *,
        timeout_seconds: float | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> Any:
        """Call `method`, on an established connection only."""
        started = asyncio.get_running_loop().time()
        await self._connected(timeout_seconds)
        if timeout_seconds is not None:
            timeout_seconds -= asyncio.get_running_loop().time() - started
        ask = self._unary.get(method)
        if ask is None:
            ask = self._unary[method] = self._channel.unary_unary(
                method,
                request_serializer=_serialize,
                response_deserializer=response_type.FromString,
            )
        try:
            return await ask(request, timeout=timeout_seconds, metadata=tuple(metadata))
        except grpc.aio.AioRpcError as error:
            raise _failure(error.code(), error.details()) from None
        except asyncio.CancelledError:
            if self._is_closed and not _is_task_cancelled():
                raise RpcFailure("CANCELLED", "the client is closed") from None
            raise

    async def _connected(self, timeout_seconds: float | None) -> None:
        """Wait for the connection: a call that fails here surely never left."""
        wait_seconds = min(timeout_seconds or CONNECT_SECONDS_MAX, CONNECT_SECONDS_MAX)
        try:
            async with asyncio.timeout(wait_seconds):
                await self._until_ready()
        except TimeoutError:
            raise self._unreachable("no connection in time") from None

    async def _until_ready(self) -> None:
        while True:
            if self._is_closed:
                raise self._unreachable("the channel is closed")
            state = self._channel.get_state(try_to_connect=True)
            if state is grpc.ChannelConnectivity.READY:
                return
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                raise self._unreachable("no connection")
            await self._channel.wait_for_state_change(state)

    def _unreachable(self, why: str) -> RpcFailure:
        return RpcFailure("UNAVAILABLE", f"{self._endpoint}: {why}", sent=False)

    def stream(
        self, method: str, response_type: Any, *, metadata: Sequence[tuple[str, str]] = ()
    ) -> GrpcStream:
        """Open a streaming call; when there is no connection, its first use fails."""
        if self._is_closed:
            raise self._unreachable("the channel is closed")
        call = self._channel.stream_stream(
            method,
            request_serializer=_serialize,
            response_deserializer=response_type.FromString,
        )
        return GrpcStream(call(metadata=tuple(metadata)))

    async def close(self) -> None:
        """Close the connection; calls under way fail."""
        self._is_closed = True
        await self._channel.close()


class GrpcStream:
    """RpcStream on a grpc.aio call. grpc reads on demand, so a slow reader slows the server."""

    def __init__(self, call: grpc.aio.StreamStreamCall[Any, Any]) -> None:
        self._call = call
        self._is_open = False

    async def send(self, request: Any) -> None:
        """Send one message."""
        try:
            if not self._is_open:
                await self._until_open()
            await self._call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            raise await self._ended() from None
        except asyncio.CancelledError:
            self._raise_if_ended_here()
            raise

    async def receive(self) -> Any:
        """The next message, None at a clean end."""
        try:
            message = await self._call.read()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            raise await self._ended() from None
        except asyncio.CancelledError:
            self._raise_if_ended_here()
            raise
        return None if message is grpc.aio.EOF else message

    def cancel(self) -> None:
        """End the call from this side."""
        self._call.cancel()

    async def _until_open(self) -> None:
        """Wait until messages can be sent, or the call has ended.

        grpc's own waiting never ends when the call is cancelled before it has a connection.
        """
        ended = asyncio.Event()
        self._call.add_done_callback(lambda _: ended.set())
        waiting = [
            asyncio.ensure_future(self._call.wait_for_connection()),
            asyncio.ensure_future(ended.wait()),
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        if self._call.done():
            raise await self._ended()
        self._is_open = True

    async def _ended(self) -> RpcFailure:
        return _failure(await self._call.code(), await self._call.details())

    def _raise_if_ended_here(self) -> None:
        """grpc raises CancelledError for a cancelled call as for a cancelled task: tell apart."""
        if self._call.cancelled() and not _is_task_cancelled():
            raise RpcFailure("CANCELLED", "the stream was cancelled") from None


def _is_task_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _failure(code: grpc.StatusCode, details: str | None) -> RpcFailure:
    text = details or ""
    sent = not (code is grpc.StatusCode.UNAVAILABLE and text.startswith(_NEVER_SENT))
    return RpcFailure(code.name, text, sent=sent)
