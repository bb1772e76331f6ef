"""The front over real connections, with a small service of the test's own."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import pytest

from kvstore.errors import ConfigError, NoLeaderError, ResponseTooLargeError, StoppedError
from kvstore.http2.limits import SENDING_BYTES_MAX, STREAM_BLOCKED_BYTES
from kvstore.pb import mvcc_pb2, rpc_pb2
from kvstore.server import calls
from kvstore.server.call import Call, Methods, Service, StreamCall
from kvstore.server.calls import UnaryCall
from kvstore.server.front import Front, FrontLimits
from kvstore.urls import parse_url

PUT, WATCH = "/test.Echo/Put", "/test.Echo/Watch"
METHODS: Methods = {
    PUT: ("put", rpc_pb2.PutRequest, "unary"),
    WATCH: ("watch", rpc_pb2.PutRequest, "stream"),
}


def _response(revision: int) -> rpc_pb2.PutResponse:
    return rpc_pb2.PutResponse(header=rpc_pb2.ResponseHeader(revision=revision))


class Echo:
    """Answers a put by its key: what to do is in the test."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.streams: list[StreamCall] = []
        self.requests: list[bytes] = []
        self.seen = asyncio.Event()
        self.half_closed = asyncio.Event()
        self.closed = asyncio.Event()
        self.writable = asyncio.Event()

    def put(self, request: rpc_pb2.PutRequest, call: Call) -> None:
        self.calls.append(call)
        self.seen.set()
        if request.key == b"raise":
            raise NoLeaderError
        if request.key == b"break":
            raise ZeroDivisionError
        if request.key == b"fail":
            call.fail(NoLeaderError())
        elif request.key == b"bytes":
            call.reply(_response(7).SerializeToString())
        elif request.key != b"wait":
            call.reply(rpc_pb2.PutResponse(prev_kv=mvcc_pb2.KeyValue(key=request.key)))

    def watch(self, call: StreamCall) -> None:
        self.streams.append(call)

        def on_request(request: rpc_pb2.PutRequest) -> None:
            self.requests.append(request.key)
            if request.key == b"raise":
                raise NoLeaderError
            if request.key == b"break":
                raise ZeroDivisionError
            self.seen.set()

        call.on_request = on_request
        call.on_half_closed = self.half_closed.set
        call.on_closed = self.closed.set
        call.on_writable = self.writable.set


@pytest.fixture
async def echo() -> Echo:
    return Echo()


async def _serve(echo: Echo, limits: FrontLimits | None = None) -> Front:
    front = Front([Service(echo, METHODS)], [parse_url("http://127.0.0.1:0")], limits=limits)
    await front.start()
    return front


@pytest.fixture
async def front(echo: Echo) -> AsyncIterator[Front]:
    front = await _serve(echo)
    yield front
    await front.stop()


@pytest.fixture
async def channel(front: Front) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{front.ports[0]}") as channel:
        yield channel


def _unary(channel: grpc.aio.Channel, name: str = PUT) -> Any:
    return channel.unary_unary(
        name,
        request_serializer=rpc_pb2.PutRequest.SerializeToString,
        response_deserializer=rpc_pb2.PutResponse.FromString,
    )


def _raw(channel: grpc.aio.Channel) -> Any:
    return channel.unary_unary(PUT)


def _raw_stream(channel: grpc.aio.Channel) -> Any:
    return channel.stream_stream(WATCH)()


def _stream(channel: grpc.aio.Channel, name: str = WATCH) -> Any:
    return channel.stream_stream(
        name,
        request_serializer=rpc_pb2.PutRequest.SerializeToString,
        response_deserializer=rpc_pb2.PutResponse.FromString,
    )()


def _put(key: bytes) -> rpc_pb2.PutRequest:
    return rpc_pb2.PutRequest(key=key)


async def _status(call: Any) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code().name, str(caught.value.details())


# ---------------------------------------------------------------------- unary


async def test_a_reply_may_be_a_message_or_its_bytes(channel: grpc.aio.Channel) -> None:
    assert (await _unary(channel)(_put(b"k"))).prev_kv.key == b"k"
    assert (await _unary(channel)(_put(b"bytes"))).header.revision == 7


@pytest.mark.parametrize("key", [b"fail", b"raise"])
async def test_a_failed_or_raised_error_becomes_its_status(
    channel: grpc.aio.Channel, key: bytes
) -> None:
    status = await _status(_unary(channel)(_put(key)))
    assert status == ("UNAVAILABLE", "etcdserver: no leader")


async def test_only_the_first_outcome_of_a_call_counts(
    channel: grpc.aio.Channel, echo: Echo
) -> None:
    call = _unary(channel)(_put(b"wait"))
    await echo.seen.wait()
    echo.calls[0].reply(_response(1))
    echo.calls[0].reply(_response(2))
    echo.calls[0].fail(NoLeaderError())
    assert (await call).header.revision == 1


async def test_a_call_knows_its_peer_deadline_and_metadata(
    channel: grpc.aio.Channel, echo: Echo
) -> None:
    now = asyncio.get_running_loop().time()
    await _unary(channel)(_put(b"a"), timeout=60, metadata=[("hasleader", "true")])
    await _unary(channel)(_put(b"a"))
    with_deadline, without = echo.calls
    assert with_deadline.metadata["hasleader"] == "true"
    assert "hasleader" not in without.metadata
    assert with_deadline.deadline is not None
    assert now + 50 < with_deadline.deadline < now + 65
    assert without.deadline is None


async def test_an_answer_to_a_client_that_left_is_ignored(
    channel: grpc.aio.Channel, echo: Echo
) -> None:
    call = _unary(channel)(_put(b"wait"))
    await echo.seen.wait()
    call.cancel()
    echo.calls[0].reply(rpc_pb2.PutResponse())
    assert (await _unary(channel)(_put(b"after"))).prev_kv.key == b"after"
    echo.calls[0].fail(NoLeaderError())


async def test_a_deadline_ends_the_call(channel: grpc.aio.Channel) -> None:
    code, _ = await _status(_unary(channel)(_put(b"wait"), timeout=0.05))
    assert code == "DEADLINE_EXCEEDED"


async def test_garbage_is_no_request(channel: grpc.aio.Channel) -> None:
    code, text = await _status(_raw(channel)(b"\xff\xff"))
    assert code == "INTERNAL"
    assert text.startswith("grpc: error unmarshalling request: ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("/test.Echo/Nope", "unknown method Nope for service test.Echo"),
        ("/test.Nope/Put", "unknown service test.Nope"),
    ],
)
async def test_what_is_not_served_is_unimplemented(
    channel: grpc.aio.Channel, name: str, text: str
) -> None:
    assert await _status(_unary(channel, name)(_put(b"k"))) == ("UNIMPLEMENTED", text)
    stream = _stream(channel, name)
    assert await _status(stream.read()) == ("UNIMPLEMENTED", text)


async def test_a_message_beyond_the_limit_is_refused(echo: Echo) -> None:
    front = await _serve(echo, FrontLimits(request_bytes_max=1024))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{front.ports[0]}") as channel:
        value = bytes(1024 + 512 * 1024)
        code, text = await _status(_unary(channel)(rpc_pb2.PutRequest(value=value)))
        assert code == "RESOURCE_EXHAUSTED"
        assert "larger than max" in text
        await _unary(channel)(rpc_pb2.PutRequest(value=value[:-100]))
    await front.stop()


@pytest.mark.parametrize("count", [0, 2])
async def test_a_unary_call_has_one_request(
    channel: grpc.aio.Channel, echo: Echo, count: int
) -> None:
    call: Any = channel.stream_stream(PUT)()
    for _ in range(count):
        await call.write(_put(b"k").SerializeToString())
    await call.done_writing()
    code, _ = await _status(call.read())
    assert code == "INTERNAL"
    assert not echo.calls


async def test_a_response_beyond_all_limits_is_a_status(
    channel: grpc.aio.Channel, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> bytes:
        raise ResponseTooLargeError("2 GiB")

    monkeypatch.setattr(calls, "serialize", refuse)
    code, _ = await _status(_unary(channel)(_put(b"k")))
    assert code == "RESOURCE_EXHAUSTED"
    stream = _stream(channel)
    await stream.write(_put(b"a"))
    await echo.seen.wait()
    await _until_called(echo)
    echo.streams[0].send(_response(1))
    assert (await _status(stream.read()))[0] == "RESOURCE_EXHAUSTED"


async def _until_called(echo: Echo) -> None:
    async with asyncio.timeout(60):
        while not echo.requests:  # noqa: ASYNC110 - the service's own record tells
            await asyncio.sleep(0.01)


async def test_a_large_response_is_no_problem(channel: grpc.aio.Channel, echo: Echo) -> None:
    call = _raw(channel)(_put(b"wait").SerializeToString())
    await echo.seen.wait()
    echo.calls[0].reply(bytes(4_000_000))
    assert len(await call) == 4_000_000


# ---------------------------------------------------------------------- streams


async def test_requests_of_a_stream_arrive_in_order(channel: grpc.aio.Channel, echo: Echo) -> None:
    stream = _stream(channel)
    keys = [str(number).encode() for number in range(200)]
    for key in keys:
        await stream.write(_put(key))
    await stream.done_writing()
    await echo.half_closed.wait()
    assert echo.requests == keys
    echo.streams[0].end()
    assert await stream.read() is grpc.aio.EOF
    assert await stream.code() is grpc.StatusCode.OK


async def test_responses_arrive_in_order_and_before_the_end(
    channel: grpc.aio.Channel, echo: Echo
) -> None:
    stream = _stream(channel)
    await stream.write(_put(b"a"))
    await echo.seen.wait()
    for revision in range(100):
        echo.streams[0].send(_response(revision))
    echo.streams[0].end()
    assert [response.header.revision async for response in stream] == list(range(100))
    await echo.closed.wait()


@pytest.mark.parametrize("how", ["fail", "raise"])
async def test_a_stream_fails_with_the_status_of_the_error(
    channel: grpc.aio.Channel, echo: Echo, how: str
) -> None:
    stream = _stream(channel)
    await stream.write(_put(how.encode()))
    if how == "fail":
        await echo.seen.wait()
        echo.streams[0].fail(NoLeaderError())
        echo.streams[0].fail(StoppedError())  # too late
    assert await _status(stream.read()) == ("UNAVAILABLE", "etcdserver: no leader")
    await echo.closed.wait()


async def test_garbage_on_a_stream_ends_it(channel: grpc.aio.Channel, echo: Echo) -> None:
    stream = _raw_stream(channel)
    await stream.write(b"\xff\xff")
    code, _ = await _status(stream.read())
    assert code == "INTERNAL"
    await echo.closed.wait()


async def test_a_client_that_leaves_closes_the_stream(
    channel: grpc.aio.Channel, echo: Echo
) -> None:
    stream = _stream(channel)
    await stream.write(_put(b"a"))
    await echo.seen.wait()
    stream.cancel()
    await echo.closed.wait()
    echo.streams[0].send(rpc_pb2.PutResponse())
    echo.streams[0].end()
    assert not echo.streams[0].is_blocked


async def test_a_stream_is_blocked_until_its_client_reads(
    channel: grpc.aio.Channel, echo: Echo
) -> None:
    stream = _raw_stream(channel)
    await stream.write(_put(b"a").SerializeToString())
    await echo.seen.wait()
    call = echo.streams[0]
    count = 0
    while not call.is_blocked:  # until the buffers on the way are full as well
        call.send(bytes(100_000))
        count += 1
        await asyncio.sleep(0)
    assert count >= STREAM_BLOCKED_BYTES // 100_000
    call.end()
    received = 0
    async for _ in stream:
        received += 1
    assert received == count
    await echo.closed.wait()
    assert not call.is_blocked
    assert not echo.writable.is_set()  # it had ended: there was nothing more to write


async def test_requests_of_a_blocked_stream_wait(channel: grpc.aio.Channel, echo: Echo) -> None:
    stream = _raw_stream(channel)
    await stream.write(_put(b"a").SerializeToString())
    await echo.seen.wait()
    echo.seen.clear()
    call = echo.streams[0]
    blocked = 0
    while blocked < 20:  # stays blocked for a while: the client does not read
        if call.is_blocked:
            blocked += 1
        else:
            call.send(bytes(100_000))
            blocked = 0
        await asyncio.sleep(0.001)
    for _ in range(3):
        await stream.write(_put(b"b").SerializeToString())
    await _unary(channel)(_put(b"k"))  # has come after them, on the same connection
    assert echo.requests.count(b"b") <= 1  # the one whose read was under way
    echo.seen.clear()
    while echo.requests.count(b"b") < 3:
        assert await stream.read() is not grpc.aio.EOF
    await echo.writable.wait()


# ---------------------------------------------------------------------- start and stop


async def test_a_handler_that_breaks_ends_its_call_and_no_other(
    channel: grpc.aio.Channel, echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = _unary(channel)(rpc_pb2.PutRequest(key=b"wait"))
    await echo.seen.wait()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _unary(channel)(rpc_pb2.PutRequest(key=b"break"))
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    stream = _raw_stream(channel)
    await stream.write(rpc_pb2.PutRequest(key=b"break").SerializeToString())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    assert "ZeroDivisionError" in caplog.text
    echo.calls[0].reply(_response(1))
    assert (await waiting).header.revision == 1


async def test_a_client_that_reads_nothing_gets_no_more_answers(
    channel: grpc.aio.Channel, echo: Echo
) -> None:
    waiting = _unary(channel)(rpc_pb2.PutRequest(key=b"wait"))
    await echo.seen.wait()
    sender = cast(UnaryCall, echo.calls[0]).connection.sender
    sender.queued_bytes += SENDING_BYTES_MAX
    echo.calls[0].reply(_response(1))
    sender.queued_bytes -= SENDING_BYTES_MAX
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await waiting
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_handler_can_ask_whether_its_answer_will_be_read(
    channel: grpc.aio.Channel, echo: Echo
) -> None:
    waiting = _unary(channel)(rpc_pb2.PutRequest(key=b"wait"))
    await echo.seen.wait()
    assert echo.calls[0].accepts_answer()
    sender = cast(UnaryCall, echo.calls[0]).connection.sender
    sender.queued_bytes += SENDING_BYTES_MAX
    assert not echo.calls[0].accepts_answer()
    sender.queued_bytes -= SENDING_BYTES_MAX
    assert (await _status(waiting))[0] == "RESOURCE_EXHAUSTED"
    assert not echo.calls[0].accepts_answer()  # it is over


async def test_stop_lets_answers_that_are_on_their_way_arrive(
    echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    for time in ("front.STOP_GRACE_SECONDS", "client_port._CLOSE_SECONDS"):
        monkeypatch.setattr(f"kvstore.server.{time}", 60.0)  # busy machines take theirs
    front = await _serve(echo)
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{front.ports[0]}", options) as channel:
        waiting = _unary(channel)(rpc_pb2.PutRequest(key=b"wait"))
        await echo.seen.wait()
        large = rpc_pb2.PutResponse(prev_kv=mvcc_pb2.KeyValue(value=bytes(20_000_000)))
        echo.calls[0].reply(large)
        await front.stop()
        assert len((await waiting).prev_kv.value) == 20_000_000


async def test_who_connects_while_it_stops_is_closed(front: Front) -> None:
    front._router.is_stopping = True
    reader, writer = await asyncio.open_connection("127.0.0.1", front.ports[0])
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()


async def test_stop_fails_what_is_under_way(echo: Echo) -> None:
    front = await _serve(echo)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{front.ports[0]}") as channel:
        unary = _unary(channel)(_put(b"wait"))
        await echo.seen.wait()
        echo.seen.clear()
        stream = _stream(channel)
        await stream.write(_put(b"a"))
        await echo.seen.wait()
        stopping = asyncio.create_task(front.stop())
        expected = ("UNAVAILABLE", "etcdserver: server stopped")
        assert await _status(unary) == expected
        assert await _status(stream.read()) == expected
        await stopping
        await echo.closed.wait()


async def test_a_busy_port_is_named(echo: Echo) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        url = parse_url(f"http://127.0.0.1:{taken.getsockname()[1]}")
        front = Front([Service(echo, METHODS)], [url])
        with pytest.raises(ConfigError, match=url.text):
            await front.start()


async def test_two_fronts_cannot_share_a_port(front: Front, echo: Echo) -> None:
    url = parse_url(f"http://127.0.0.1:{front.ports[0]}")
    with pytest.raises(ConfigError, match="in use"):
        await Front([Service(echo, METHODS)], [url]).start()
