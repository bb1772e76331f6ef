"""Frames between members: whole, in order, at most once, bounded."""

import asyncio
import random

import pytest

from kvstore.errors import ConfigError
from kvstore.server import peer_frames
from kvstore.server.peer_connection import Limits
from kvstore.server.peer_journal import Fault
from tests.kvstore.server.peers.rig import (
    Member,
    call,
    connected,
    deaf_member,
    read_frame,
    read_to_end,
    running,
    until,
    urls_of,
)


async def test_frames_arrive_whole_in_order_and_once() -> None:
    urls = urls_of(1, 2)
    one, two = Member(1, urls), Member(2, urls)
    dice = random.Random(7)
    sizes = [dice.choice([1, 3, 100, 5_000, 262_140, 262_144, 900_000]) for _ in range(60)]
    frames = [number.to_bytes(4, "big") + dice.randbytes(size) for number, size in enumerate(sizes)]
    async with running(one, two):
        await connected((one, 2), (two, 1))
        for start in range(0, len(frames), 7):
            one.peers.send(2, frames[start : start + 7])
        two.peers.send(1, [b"back"])
        assert await two.frames_until(frames[-1]) == frames
        assert await one.frames_until(b"back") == [b"back"]
    assert {sender for sender, _ in two.frames} == {1}
    assert two.peers.counters.frames_received == len(frames)
    assert one.peers.counters.bytes_sent == sum(map(len, frames))


async def test_largest_frame_arrives() -> None:
    urls = urls_of(1, 2)
    one, two = Member(1, urls), Member(2, urls)
    frame = random.Random(1).randbytes(1024) * (peer_frames.FRAME_BYTES_MAX // 1024)
    async with running(one, two):
        await connected((one, 2))
        one.peers.send(2, [frame])
        assert await two.frames_until(frame) == [frame]
    assert one.peers.counters.frames_dropped == 0


async def test_frames_sent_before_the_connection_stands_are_kept() -> None:
    urls = urls_of(1, 2)
    one, two = Member(1, urls), Member(2, urls)
    async with running(two, one):
        one.peers.send(2, [b"early"])
        assert await two.frames_until(b"early") == [b"early"]


async def test_frames_written_before_closing_arrive() -> None:
    urls = urls_of(1, 2)
    one, two = Member(1, urls), Member(2, urls)
    async with running(one, two):
        await connected((one, 2))
        one.peers.send(2, [bytes(300_000), b"goodbye"])
        await one.peers.close()
        assert (await two.frames_until(b"goodbye"))[-1] == b"goodbye"


async def test_member_that_restarts_is_reached_again() -> None:
    urls = urls_of(1, 2)
    one, two = Member(1, urls), Member(2, urls)
    async with running(one):
        async with running(two):
            await connected((one, 2))
            one.peers.send(2, [b"first"])
            await two.frames_until(b"first")
        await until(lambda: not one.peers.is_connected(2))
        assert one.unreachable == [2]
        again = Member(2, urls)
        async with running(again):
            await connected((one, 2), (again, 1))
            one.peers.send(2, [b"second"])
            again.peers.send(1, [b"hello"])
            assert await again.frames_until(b"second") == [b"second"]
            assert await one.frames_until(b"hello") == [b"hello"]


async def test_frames_to_a_member_that_is_away_are_dropped_and_told() -> None:
    urls = urls_of(1, 2)
    one = Member(1, urls)
    async with running(one):
        one.peers.send(2, [b"lost", b"lost too"])
        await until(lambda: one.peers.counters.frames_dropped == 2)
        await until(lambda: one.unreachable == [2])
        assert one.faults(Fault.UNREACHABLE) >= 1


async def test_frames_to_nobody_we_know_are_dropped() -> None:
    urls = urls_of(1, 2)
    one = Member(1, urls)
    async with running(one):
        one.peers.send(9, [b"x", b"y"])
        assert one.peers.counters.frames_dropped == 2


async def test_queue_to_a_member_that_never_reads_is_bounded() -> None:
    urls = urls_of(1, 2)
    limits = Limits(queue_bytes_max=8 * 1024 * 1024, queue_frames_max=500)
    one = Member(1, urls, limits=limits, idle_timeout_seconds=60.0)
    frame = bytes(100_000)
    async with running(one), deaf_member(urls[2], member_id=2):
        await connected((one, 2))
        while not one.peers.counters.frames_dropped:
            one.peers.send(2, [frame] * 10)
            assert one.peers.pending_bytes(2) <= limits.queue_bytes_max + 10 * 4
            await asyncio.sleep(0)
        dropped = one.peers.counters.frames_dropped
        one.peers.send(2, [frame] * 10)
        assert one.peers.counters.frames_dropped == dropped + 10
        await until(lambda: one.unreachable == [2] * len(one.unreachable) != [])
        assert one.peers.is_connected(2)


async def test_count_of_queued_frames_is_bounded() -> None:
    urls = urls_of(1, 2)
    one = Member(1, urls, limits=Limits(queue_frames_max=3))
    async with running(one):
        one.peers.send(2, [b"1", b"2", b"3", b"4", b"5"])
        # The newest go: what is queued already keeps its order.
        assert one.peers.counters.frames_dropped == 2


async def test_half_open_connection_is_noticed_within_the_idle_timeout() -> None:
    urls = urls_of(1, 2)
    one = Member(1, urls, idle_timeout_seconds=0.4)
    async with running(one), deaf_member(urls[2], member_id=2) as hellos:
        await connected((one, 2))
        # Nobody answers signs of life: given up, told, called again.
        await until(lambda: len(hellos) >= 2)
        assert 2 in one.unreachable
        assert one.faults(Fault.LOST) >= 1


async def test_idle_connection_of_living_members_stays() -> None:
    urls = urls_of(1, 2)
    one, two = Member(1, urls, idle_timeout_seconds=2.0), Member(2, urls, idle_timeout_seconds=2.0)
    loop = asyncio.get_running_loop()
    async with running(one, two):
        await connected((one, 2), (two, 1))
        silent_since = loop.time()
        await until(lambda: loop.time() - silent_since > 2.0 * 1.75)
        assert one.peers.counters.connections_made == two.peers.counters.connections_made == 1
        assert one.unreachable == two.unreachable == []


async def test_removed_member_is_cut_off_and_refused() -> None:
    urls = urls_of(1, 2)
    one, two = Member(1, urls), Member(2, urls)
    async with running(one, two):
        await connected((one, 2), (two, 1))
        one.peers.set_peers({})
        await until(lambda: one.faults(Fault.UNKNOWN_MEMBER) > 0)
        two.peers.send(1, [b"still here?"])
        one.peers.send(2, [b"x"])
        await until(lambda: two.peers.counters.frames_dropped > 0)
        assert one.frames == two.frames == []
        one.peers.set_peers({2: [urls[2]]})
        await connected((one, 2), (two, 1))
        two.peers.send(1, [b"back"])
        assert await one.frames_until(b"back") == [b"back"]


async def test_newer_connection_of_a_sender_replaces_the_older() -> None:
    urls = urls_of(1, 2)
    two = Member(2, urls)
    async with running(two):
        old_reader, old = await call(urls[2])
        await read_frame(old_reader)
        new_reader, new = await call(urls[2])
        await read_frame(new_reader)
        assert await read_to_end(old_reader) == b""
        new.write(peer_frames.frame(b"new"))
        assert await two.frames_until(b"new") == [b"new"]
        old.close()
        new.close()


async def test_busy_port_is_a_clear_error() -> None:
    urls = urls_of(1, 2)
    one, other = Member(1, urls), Member(1, urls)
    async with running(one):
        with pytest.raises(ConfigError, match=r"cannot listen for members on http.* in use"):
            await other.start()
