"""A command's streams over both protocols: what the server hears, and what the client gets."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.streams import channels, spdy
from controlplane.streams.channels import CLOSE, ERROR, STDERR, STDIN, STDOUT, ChannelStreams
from controlplane.streams.channels import ChannelClient as Client
from controlplane.streams.command_spdy import SpdyStreams
from controlplane.streams.remote_command import (
    RESIZE_BYTES_MAX,
    Begun,
    Event,
    Input,
    InputEnded,
    Left,
    Resized,
    Resizes,
    Wish,
    failure,
    status_of,
)
from controlplane.streams.spdy import Spdy
from controlplane.streams.violations import ViolationError

ALL = Wish(has_stdin=True, has_stdout=True, has_stderr=True)
TERMINAL = Wish(has_stdin=True, has_stdout=True, has_stderr=True, has_tty=True)


def client() -> Client:
    return Client(lambda: b"abcd")


# ------------------------------------------------------------------------- WebSocket


def test_channels_both_ways() -> None:
    """kubectl-needs: channels 0 to 4, 255 ends the input."""
    server, peer = ChannelStreams(ALL), client()
    assert server.receive(b"") == [Begun()]
    peer.write(STDIN, b"in")
    peer.end_input()
    assert server.receive(peer.take()) == [Input(b"in"), InputEnded()]
    server.write_output(b"out")
    server.write_errors(b"err")
    server.finish(status_of(7))
    *told, (channel, status), end = peer.receive(server.take())
    assert told == [(STDOUT, b"out"), (STDERR, b"err")]
    assert (channel, end) == (ERROR, (CLOSE, b""))
    decoded = msgspec.json.decode(status)
    assert decoded["reason"] == "NonZeroExitCode"
    assert decoded["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]


def test_whoever_waits_until_he_is_connected_gets_an_empty_message_first() -> None:
    for wish, channel in (
        (ALL, STDOUT),
        (Wish(has_stderr=True), STDERR),
        (Wish(has_stdin=True), ERROR),
    ):
        assert ChannelStreams(wish).take() == bytes((0x82, 1, channel))


def test_input_cannot_be_ended_in_v4() -> None:
    server, peer = ChannelStreams(ALL, channels.V4), client()
    peer.end_input()
    assert server.receive(peer.take()) == [Begun()]


def test_what_was_not_asked_for_is_neither_sent_nor_heard() -> None:
    server, peer = ChannelStreams(Wish(has_stdout=True)), client()
    peer.write(STDIN, b"in")
    peer.write(4, b'{"Width":80,"Height":24}')
    peer.write(77, b"x")
    assert server.receive(peer.take()) == [Begun()]
    server.take()
    server.write_errors(b"err")
    assert server.take() == b""


def test_a_terminal_is_resized() -> None:
    server, peer = ChannelStreams(TERMINAL), client()
    peer.write(4, b'{"Width":80,"Height":24}\n')
    peer.write(4, b'{"Width":81,"Height":24}')
    assert server.receive(peer.take()) == [Begun(), Resized(80, 24), Resized(81, 24)]


# ------------------------------------------------------------------------------ SPDY


def opened(wish: Wish, *kinds: str) -> tuple[SpdyStreams, Spdy, dict[str, int], list[Event]]:
    server, peer = SpdyStreams(wish), Spdy(is_client=True)
    numbers = {kind: peer.open({"streamtype": kind}) for kind in kinds}
    events = server.receive(peer.take())
    list(peer.receive(server.take()))
    return server, peer, numbers, events


def test_a_command_begins_when_all_its_streams_are_there() -> None:
    *_, events = opened(ALL, "error", "stdin", "stdout")
    assert events == []
    *_, events = opened(ALL, "error", "stdin", "stdout", "stderr")
    assert events == [Begun()]
    *_, events = opened(TERMINAL, "error", "stdin", "stdout", "resize")
    assert events == [Begun()], "a terminal has no stderr"


def test_streams_both_ways() -> None:
    server, peer, numbers, _ = opened(ALL, "error", "stdin", "stdout", "stderr")
    peer.write(numbers["stdin"], b"in")
    peer.end(numbers["stdin"])
    assert server.receive(peer.take()) == [Input(b"in"), InputEnded()]
    server.write_output(b"out")
    server.write_errors(b"err")
    server.finish(status_of(0))
    events = list(peer.receive(server.take()))
    assert events[:2] == [
        spdy.Received(numbers["stdout"], b"out"),
        spdy.Received(numbers["stderr"], b"err"),
    ]
    status = next(
        one.data
        for one in events
        if isinstance(one, spdy.Received) and one.stream == numbers["error"]
    )
    assert msgspec.json.decode(status) == {"metadata": {}, "status": "Success"}
    ended = {one.stream for one in events if isinstance(one, spdy.Ended)}
    assert ended == {numbers[kind] for kind in ("stdout", "stderr", "error")}


def test_a_stream_that_is_not_wanted_is_refused() -> None:
    server, peer = SpdyStreams(Wish(has_stdout=True)), Spdy(is_client=True)
    for kind in ("stdin", "error", "error", "nonsense"):
        peer.open({"streamtype": kind})
    server.receive(peer.take())
    resets = [one.stream for one in peer.receive(server.take()) if isinstance(one, spdy.Reset)]
    assert resets == [1, 5, 7]


def test_a_client_that_leaves() -> None:
    server, peer, *_ = opened(ALL, "error")
    peer.go_away()
    assert server.receive(peer.take()) == [Left()]


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_no_bytes_at_all_break_a_server_otherwise(parts: list[bytes]) -> None:
    for server in (SpdyStreams(TERMINAL), ChannelStreams(TERMINAL)):
        try:
            for part in parts:
                server.receive(part)
        except ViolationError as error:
            server.break_off(error)
            assert server.take()


# --------------------------------------------------------------------------- statuses


def test_statuses_as_kubectl_understands_them() -> None:
    assert status_of(0) == {"metadata": {}, "status": "Success"}
    assert status_of(137)["message"] == (
        "command terminated with non-zero exit code: exit status 137"
    )
    assert failure("why")["message"] == "Internal error occurred: why"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b'{"Width":80,"Height":24}\n', [Resized(80, 24)]),
        (b'{"Width":0,"Height":24}\n{"Width":70000,"Height":1}\nnonsense\n', []),
        (b"x" * (RESIZE_BYTES_MAX + 1) + b'\n{"Width":1,"Height":2}\n', [Resized(1, 2)]),
    ],
)
def test_sizes_of_terminals(data: bytes, found: list[Resized]) -> None:
    resizes = Resizes()
    whole = [one for at in range(len(data)) for one in resizes.feed(data[at : at + 1])]
    assert whole == found
