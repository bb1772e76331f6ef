"""WebSocket: our two ends between themselves, and each with aiohttp's as an independent peer."""

import asyncio
import contextlib

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from controlplane.streams.violations import ViolationError
from controlplane.streams.websocket import (
    MESSAGE_BYTES_MAX,
    PROTOCOL_ERROR,
    TOO_BIG,
    Closed,
    Event,
    Message,
    Ponged,
    WebSocket,
    accept_of,
)
from controlplane.upgrades import TakenOver, switching, taken_over


def client() -> WebSocket:
    return WebSocket(lambda: b"\x01\x80\xff\x00")


def heard(end: WebSocket, data: bytes, size: int = 1 << 30) -> list[Event]:
    return [
        event for at in range(0, len(data), size) for event in end.receive(data[at : at + size])
    ]


def test_the_example_of_the_rfc() -> None:
    assert accept_of("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # 1.3


@given(st.lists(st.binary(max_size=70_000), max_size=4), st.integers(1, 100_000), st.booleans())
def test_messages_come_as_they_were_sent(sent: list[bytes], size: int, is_to_server: bool) -> None:
    one, other = (client(), WebSocket()) if is_to_server else (WebSocket(), client())
    for data in sent:
        one.send(data)
    assert heard(other, one.take(), size) == [Message(data) for data in sent]


@given(st.lists(st.binary(max_size=300), max_size=5), st.booleans())
def test_no_bytes_at_all_break_an_end_otherwise(parts: list[bytes], is_client: bool) -> None:
    end = client() if is_client else WebSocket()
    with contextlib.suppress(ViolationError):
        for part in parts:
            list(end.receive(part))


def test_parts_are_joined_and_pings_may_come_in_between() -> None:
    server = WebSocket()
    parts = b"\x02\x83\0\0\0\0one" + b"\x89\x81\0\0\0\0p" + b"\x80\x83\0\0\0\0two"
    assert heard(server, parts, 1) == [Message(b"onetwo")]
    assert server.take() == b"\x8a\x01p"


def test_a_close_is_answered_and_is_the_last() -> None:
    server, other = WebSocket(), client()
    other.close(1000, "done")
    other.send(b"late")
    assert heard(server, other.take()) == [Closed(1000, "done")]
    assert server.take() == b"\x88\x02\x03\xe8"
    assert heard(server, b"anything") == []


def test_a_pong_is_told() -> None:
    server, other = WebSocket(), client()
    server.ping()
    assert heard(other, server.take()) == []
    assert heard(server, other.take()) == [Ponged()]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x82\x01x", PROTOCOL_ERROR),  # a client masks
        (b"\xc2\x81\0\0\0\0x", PROTOCOL_ERROR),  # no extension was agreed on
        (b"\x09\x80\0\0\0\0", PROTOCOL_ERROR),  # a ping in parts
        (b"\x89\xfe\0\x80\0\0\0\0", PROTOCOL_ERROR),  # a ping of 128 bytes
        (b"\x80\x80\0\0\0\0", PROTOCOL_ERROR),  # the end of nothing
        (b"\x02\x80\0\0\0\0\x02\x80\0\0\0\0", PROTOCOL_ERROR),  # one within another
        (b"\x83\x80\0\0\0\0", PROTOCOL_ERROR),  # a type that there is not
        (b"\x88\x81\0\0\0\0x", PROTOCOL_ERROR),  # half a close code
        (b"\x82\xff" + (MESSAGE_BYTES_MAX + 1).to_bytes(8, "big"), TOO_BIG),
    ],
)
def test_what_a_client_may_not_do(data: bytes, code: int) -> None:
    with pytest.raises(ViolationError) as raised:
        heard(WebSocket(), data)
    assert raised.value.code == code


def test_parts_are_no_way_past_the_bound() -> None:
    server = WebSocket()
    part = b"\x82\xff" + MESSAGE_BYTES_MAX.to_bytes(8, "big") + bytes(4 + MESSAGE_BYTES_MAX)
    assert heard(server, b"\x02" + part[1:]) == []
    with pytest.raises(ViolationError, match="a message of more than"):
        heard(server, b"\x80\x81\0\0\0\0x")


async def test_aiohttp_understands_our_server() -> None:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        async with taken_over(request) as (reader, writer):
            key = request.headers["Sec-WebSocket-Key"]
            answered = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
            writer.write(switching([*answered, ("Sec-WebSocket-Accept", accept_of(key))]))
            socket = WebSocket()
            while data := await reader.read(1_000):
                for event in socket.receive(data):
                    if isinstance(event, Message):
                        socket.send(event.data.upper())
                writer.write(socket.take())
        return TakenOver()

    server = await asyncio.get_running_loop().create_server(web.Server(handle), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{port}/") as peer,
    ):
        for size in (0, 1, 125, 126, 65_535, 65_536, 200_000):
            await peer.send_bytes(b"x" * size)
            assert await peer.receive_bytes() == b"X" * size
        await peer.ping()
        await peer.send_str("text")
        assert await peer.receive_bytes() == b"TEXT"
        await peer.close(code=1001)
        assert peer.close_code == 1001
    server.close()
