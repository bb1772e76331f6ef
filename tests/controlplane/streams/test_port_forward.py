"""Forwarded ports: streams in pairs, over the connection itself and through a WebSocket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.streams import spdy
from controlplane.streams.port_forward import (
    Bare,
    Dropped,
    Ended,
    Forwarding,
    Left,
    Received,
    Tunnel,
    Wanted,
)
from controlplane.streams.spdy import Spdy
from controlplane.streams.violations import ViolationError
from controlplane.streams.websocket import Message, WebSocket


def headers(kind: str, request: str = "0", port: str = "80") -> dict[str, str]:
    return {"streamType": kind, "port": port, "requestID": request}


def forwarded() -> tuple[Forwarding, Spdy, int, int]:
    """A connection to port 80: the server's end, the client's, its two streams."""
    server, peer = Forwarding(Bare()), Spdy(is_client=True)
    errors, data = peer.open(headers("error")), peer.open(headers("data"))
    peer.end(errors)
    assert server.receive(peer.take()) == [Wanted(data, 80)]
    assert set(peer.receive(server.take())) == {spdy.Replied(errors), spdy.Replied(data)}
    return server, peer, errors, data


def test_a_connection_and_its_end() -> None:
    server, peer, errors, data = forwarded()
    peer.write(data, b"question")
    peer.end(data)
    assert server.receive(peer.take()) == [Received(data, b"question"), Ended(data)]
    server.write(data, b"answer")
    server.end(data)
    assert list(peer.receive(server.take())) == [
        spdy.Received(data, b"answer"),
        spdy.Ended(data),
        spdy.Ended(errors),
    ]


def test_what_goes_wrong_is_told_on_the_stream_of_errors() -> None:
    server, peer, errors, data = forwarded()
    server.end(data, "why")
    assert spdy.Received(errors, b"why") in list(peer.receive(server.take()))


def test_a_connection_that_nobody_wants_any_more() -> None:
    server, peer, errors, data = forwarded()
    peer.reset(data, 5)
    assert server.receive(peer.take()) == [Dropped(data)]
    assert list(peer.receive(server.take())) == [spdy.Ended(errors)]
    peer.go_away()
    assert server.receive(peer.take()) == [Left()]


@pytest.mark.parametrize(
    "asked",
    [
        headers("data"),  # of no request that has a stream of errors
        headers("error", port="0"),
        headers("error", port="65536"),
        headers("error", port="²"),
        headers("error", port=""),
        headers("nonsense"),
    ],
)
def test_streams_that_make_no_sense_are_refused(asked: dict[str, str]) -> None:
    server, peer = Forwarding(Bare()), Spdy(is_client=True)
    number = peer.open(asked)
    assert server.receive(peer.take()) == []
    assert list(peer.receive(server.take())) == [spdy.Reset(number)]


def test_one_request_has_one_stream_of_errors() -> None:
    server, peer = Forwarding(Bare()), Spdy(is_client=True)
    first, second = peer.open(headers("error")), peer.open(headers("error"))
    server.receive(peer.take())
    assert list(peer.receive(server.take())) == [spdy.Replied(first), spdy.Reset(second)]
    peer.reset(first, 5)
    again = peer.open(headers("error"))
    server.receive(peer.take())
    assert list(peer.receive(server.take())) == [spdy.Replied(again)]


@given(st.binary(max_size=5_000), st.integers(1, 600))
def test_frames_in_messages_however_they_are_cut(data: bytes, size: int) -> None:
    """kubectl-needs: SPDY frames inside WebSocket binary messages."""
    server, socket, peer = (
        Forwarding(Tunnel(WebSocket())),
        WebSocket(lambda: b"mask"),
        Spdy(is_client=True),
    )
    peer.open(headers("error"))
    number = peer.open(headers("data"))
    peer.write(number, data)
    peer.end(number)
    out = peer.take()
    for at in range(0, len(out), size):
        socket.send(out[at : at + size])
    first, *events = server.receive(socket.take())
    assert first == Wanted(number, 80)
    assert b"".join(one.data for one in events if isinstance(one, Received)) == data
    assert events[-1] == Ended(number)
    server.write(number, data)
    answers = b"".join(
        one.data for one in socket.receive(server.take()) if isinstance(one, Message)
    )
    heard = list(peer.receive(answers))
    assert b"".join(one.data for one in heard if isinstance(one, spdy.Received)) == data
    socket.close()
    assert server.receive(socket.take()) == [Left()]


@given(st.lists(st.binary(max_size=100), max_size=5), st.booleans())
def test_no_bytes_at_all_break_a_server_otherwise(parts: list[bytes], is_tunnel: bool) -> None:
    server = Forwarding(Tunnel(WebSocket()) if is_tunnel else Bare())
    try:
        for part in parts:
            server.receive(part)
    except ViolationError as error:
        server.break_off(error)
        assert server.take()
