"""Strangers with good manners: who is to join is introduced, who was removed is told so."""

import random

import pytest

from kvstore.seams import Clock
from kvstore.server.clock import LoopClock
from kvstore.server.config import Settings, load
from kvstore.server.peer_frames import SNAPSHOT_FRAME_BYTES_MAX
from kvstore.server.peer_introduction import TcpIntroducer
from kvstore.server.peer_journal import Fault
from tests.kvstore.server.peers.rig import Member, connected, running, until, urls_of


def introducer() -> TcpIntroducer:
    settings = load([], {})
    assert isinstance(settings, Settings)
    clock: Clock = LoopClock()
    return TcpIntroducer(settings, clock, random.Random(1))


@pytest.mark.parametrize("size", [1, 100_000, SNAPSHOT_FRAME_BYTES_MAX])
async def test_a_stranger_is_introduced(size: int) -> None:
    urls = urls_of(1)
    one = Member(1, urls)
    one.peers.set_peers({}, introduction=b"x" * size)
    async with running(one):
        for _ in range(2):
            assert await introducer().ask(urls[1]) == b"x" * size
    assert one.frames == []


async def test_who_is_no_member_yet_cannot_introduce() -> None:
    urls = urls_of(1)
    one = Member(1, urls)
    async with running(one):
        with pytest.raises(ConnectionError, match="not a member itself yet"):
            await introducer().ask(urls[1])


async def test_nobody_there_is_a_connection_error() -> None:
    with pytest.raises(ConnectionError):
        await introducer().ask(urls_of(1)[1])


async def test_a_removed_member_is_told_so_and_others_are_not() -> None:
    urls = urls_of(1, 2, 3)
    one, two, three = Member(1, urls), Member(2, urls), Member(3, urls)
    async with running(one, two, three):
        await connected((one, 2), (two, 1), (three, 1))
        one.peers.set_peers({3: [urls[3]]}, removed={2})
        await until(lambda: two.removals > 0)
        assert one.faults(Fault.REMOVED) > 0
        assert three.removals == 0
        one.peers.send(3, [b"still here"])
        await three.frames_until(b"still here")


async def test_a_url_that_names_no_host_ends_nobody() -> None:
    """It may be in the log already."""
    urls = urls_of(1, 3)
    one, three = Member(1, {**urls, 2: "http://127.0.0.1:1"}), Member(3, urls)
    async with running(one, three):
        one.peers.set_peers({2: [f"http://{'x' * 64}.example:2380"], 3: [urls[3]]})
        await until(lambda: one.faults(Fault.UNREACHABLE) > 0)
        one.peers.send(3, [b"alive"])
        await three.frames_until(b"alive")
