"""What all connections cost together: the one that holds most ends, whoever comes last."""

import pytest

from kvstore.http2.limits import (
    PROCESS_RECEIVING_BYTES_MAX,
    PROCESS_SENDING_BYTES_MAX,
    PROCESS_STREAMS_MAX,
)
from kvstore.http2.protocol import ErrorCode
from kvstore.http2.totals import Totals
from tests.kvstore.http2.peer import Peer, message

HALF_A_MESSAGE = message(bytes(16_000))[:8_000]


@pytest.mark.parametrize(
    ("attribute", "most"),
    [
        ("streams", PROCESS_STREAMS_MAX),
        ("receiving_bytes", PROCESS_RECEIVING_BYTES_MAX),
        ("sending_bytes", PROCESS_SENDING_BYTES_MAX),
    ],
)
def test_the_largest_ends_and_the_others_go_on(attribute: str, most: int) -> None:
    totals = Totals()
    peers = [Peer(totals=totals) for _ in range(3)]
    for size, peer in enumerate(peers, 1):
        for _ in range(size):
            call = peer.begin()
            peer.data(call, HALF_A_MESSAGE)
            peer.connection.sender.window = 0
            call.send(bytes(1_000))
    setattr(totals, attribute, most + 1)  # as if there were many more of them
    peers[0].begin()
    assert peers[2].fault() is ErrorCode.ENHANCE_YOUR_CALM
    assert peers[0].fault() is peers[1].fault() is None
    call = peers[0].begin()
    peers[0].data(call, message(b"still served"))
    assert call.messages == [b"still served"]


def test_time_alone_finds_it_too() -> None:
    totals = Totals()
    peer, other = Peer(totals=totals), Peer(totals=totals)
    peer.begin()
    totals.streams = PROCESS_STREAMS_MAX + 1
    other.connection.tick(other.now)
    assert peer.fault() is ErrorCode.ENHANCE_YOUR_CALM


def test_sums_without_a_connection_end_nothing() -> None:
    totals = Totals()
    totals.streams = PROCESS_STREAMS_MAX + 1
    totals.relieve()
    assert totals.streams == PROCESS_STREAMS_MAX + 1
