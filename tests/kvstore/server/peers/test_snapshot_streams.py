"""A snapshot travels whole, alone and held back by its receiver, or not at all."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from kvstore.seams import SnapshotStream
from kvstore.server import peer_frames
from kvstore.server.peer_connection import Limits
from kvstore.server.peer_frames import Purpose, SnapshotEnd, SnapshotHeader
from kvstore.server.peer_journal import Fault
from tests.kvstore.server.certificates import Authority
from tests.kvstore.server.peers.rig import (
    Member,
    call,
    connected,
    read_frame,
    read_to_end,
    running,
    until,
    urls_of,
)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def chunks_of(count: int, *, size: int = 256 * 1024) -> AsyncIterator[bytes]:
    for number in range(count):
        yield number.to_bytes(4, "big") * (size // 4)
        await asyncio.sleep(0)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_snapshot_streams_while_frames_flow(authority: Authority, scheme: str) -> None:
    urls = urls_of(1, 2, scheme=scheme)
    tls = [authority.issue(f"m{n}") if scheme == "https" else None for n in (1, 2)]
    one, two = Member(1, urls, tls=tls[0]), Member(2, urls, tls=tls[1])
    async with running(one, two):
        await connected((one, 2))
        sending = asyncio.create_task(one.peers.send_snapshot(2, b"header", chunks_of(256)))
        flowing = 0
        while not sending.done():
            one.peers.send(2, [flowing.to_bytes(8, "big")])
            await two.frames_until(flowing.to_bytes(8, "big"))
            flowing += 1
        await sending
        assert flowing > 10
        expected = b"".join([chunk async for chunk in chunks_of(256)])
        assert two.snapshots == [(1, b"header", expected)]
        assert [frame for _, frame in two.frames] == [n.to_bytes(8, "big") for n in range(flowing)]
    assert one.peers.counters.snapshots_sent == two.peers.counters.snapshots_received == 1


async def test_empty_snapshot_is_one_too() -> None:
    urls = urls_of(1, 2)
    one, two = Member(1, urls), Member(2, urls)
    async with running(one, two):
        await one.peers.send_snapshot(2, b"", chunks_of(0))
        assert two.snapshots == [(1, b"", b"")]


async def test_slow_consumer_holds_the_sender_back() -> None:
    urls = urls_of(1, 2)
    one, two = Member(1, urls), Member(2, urls)
    may_read = asyncio.Event()
    produced = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal produced
        async for chunk in chunks_of(160):
            produced += 1
            yield chunk

    async def consume(stream: SnapshotStream) -> None:
        await may_read.wait()
        await two.keep(stream)

    two.consume = consume
    async with running(one, two):
        sending = asyncio.create_task(one.peers.send_snapshot(2, b"h", counted()))
        seen = -1
        while produced != seen:  # until nothing moves any more
            seen = produced
            for _ in range(200):
                await asyncio.sleep(0.001)
        assert produced < 120, "it must not all lie in buffers"
        may_read.set()
        await sending
        assert len(two.snapshots[0][2]) == 160 * 256 * 1024


async def test_second_snapshot_at_a_time_is_refused() -> None:
    urls = urls_of(1, 2, 3)
    one, two, three = (Member(n, urls) for n in (1, 2, 3))
    may_end = asyncio.Event()

    async def consume(stream: SnapshotStream) -> None:
        await two.keep(stream)
        await may_end.wait()

    two.consume = consume
    async with running(one, two, three):
        first = asyncio.create_task(one.peers.send_snapshot(2, b"1", chunks_of(4)))
        await until(lambda: len(two.snapshots) == 1)
        with pytest.raises(ConnectionError, match="another snapshot is coming in"):
            await three.peers.send_snapshot(2, b"3", chunks_of(4))
        assert not first.done(), "the sender waits until it is stored"
        may_end.set()
        await first
        await three.peers.send_snapshot(2, b"3", chunks_of(4))
        assert [sender for sender, _, _ in two.snapshots] == [1, 3]


async def test_a_header_that_cannot_be_decoded_is_refused() -> None:
    """Of another version, perhaps; it must not end who gets it."""
    urls = urls_of(1, 2)
    one, two = Member(1, urls), Member(2, urls)

    async def consume(stream: SnapshotStream) -> None:
        msgspec.msgpack.decode(stream.header)

    two.consume = consume
    async with running(one, two):
        for header in (b"\x91", b"\xa1\xff", b"\x91" * 100_000 + b"\xc0"):
            with pytest.raises(ConnectionError, match=r"truncated|decode|recursion"):
                await one.peers.send_snapshot(2, header, chunks_of(1))
        two.consume = two.keep
        await one.peers.send_snapshot(2, b"h", chunks_of(1))
        assert len(two.snapshots) == 1


async def test_receiver_that_refuses_is_believed() -> None:
    urls = urls_of(1, 2)
    one, two = Member(1, urls), Member(2, urls)

    async def consume(stream: SnapshotStream) -> None:
        raise ConnectionRefusedError("not newer than what is here")

    two.consume = consume
    async with running(one, two):
        with pytest.raises(ConnectionError, match="not newer than what is here"):
            await one.peers.send_snapshot(2, b"h", chunks_of(100))
        assert two.faults(Fault.SNAPSHOT) == 1
        two.consume = two.keep
        await one.peers.send_snapshot(2, b"h", chunks_of(1))
        assert len(two.snapshots) == 1


async def test_receiver_that_has_it_already_need_not_read() -> None:
    urls = urls_of(1, 2)
    one, two = Member(1, urls), Member(2, urls)

    async def consume(stream: SnapshotStream) -> None:
        return

    two.consume = consume
    async with running(one, two):
        await one.peers.send_snapshot(2, b"h", chunks_of(100))
        assert two.peers.counters.snapshots_received == 1


async def test_receiver_that_dies_in_mid_stream_fails_the_sender() -> None:
    urls = urls_of(1, 2)
    one, two = Member(1, urls), Member(2, urls)
    begun = asyncio.Event()

    async def consume(stream: SnapshotStream) -> None:
        async for _ in stream.chunks:
            begun.set()

    two.consume = consume
    async with running(one, two):
        sending = asyncio.create_task(one.peers.send_snapshot(2, b"h", chunks_of(100_000)))
        await begun.wait()
        await two.peers.close()
        with pytest.raises(ConnectionError):
            await sending
        with pytest.raises(ConnectionError, match="cannot send a snapshot to member 2"):
            await one.peers.send_snapshot(2, b"h", chunks_of(1))


async def test_sender_that_dies_in_mid_stream_fails_the_receiver() -> None:
    urls = urls_of(1, 2)
    one, two = Member(1, urls), Member(2, urls)
    broken: list[str] = []

    async def consume(stream: SnapshotStream) -> None:
        try:
            await two.keep(stream)
        except ConnectionError as error:
            broken.append(str(error))
            raise

    two.consume = consume
    async with running(one, two):
        sending = asyncio.create_task(one.peers.send_snapshot(2, b"h", chunks_of(100_000)))
        await until(two.peers.is_receiving_snapshot)
        sending.cancel()
        await until(lambda: bool(broken))
        assert "broke off" in broken[0]
        await until(lambda: not two.peers.is_receiving_snapshot())
        await one.peers.send_snapshot(2, b"h", chunks_of(1))
        assert len(two.snapshots) == 1


async def test_receiver_that_stalls_is_given_up() -> None:
    urls = urls_of(1, 2)
    limits = Limits(snapshot_stall_seconds=0.3)
    one, two = Member(1, urls, limits=limits, idle_timeout_seconds=0.2), Member(2, urls)

    async def consume(stream: SnapshotStream) -> None:
        await asyncio.Event().wait()

    two.consume = consume
    async with running(one, two):
        with pytest.raises(ConnectionError, match="the receiver takes no more"):
            await one.peers.send_snapshot(2, b"h", chunks_of(200))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([SnapshotHeader(b"h"), b"chunk", SnapshotEnd(5, 1)], "differs from what was sent"),
        ([SnapshotHeader(b"h"), SnapshotEnd(1, 0)], "differs from what was sent"),
        ([SnapshotHeader(b"h"), SnapshotHeader(b"h")], "parts are out of order"),
        ([b"chunk"], "does not begin with its header"),
    ],
)
async def test_snapshot_that_is_not_whole_is_not_stored(
    parts: list[SnapshotHeader | SnapshotEnd | bytes],
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    urls = urls_of(1, 2)
    two = Member(2, urls)
    async with running(two):
        reader, writer = await call(urls[2], purpose=Purpose.SNAPSHOT)
        await read_frame(reader)
        for part in parts:
            if isinstance(part, bytes):
                writer.write(peer_frames.chunk_frame(part))
            else:
                writer.write(peer_frames.record_frame(part))
        await read_to_end(reader)
        await until(lambda: not two.peers.is_receiving_snapshot())
        writer.close()
        assert two.faults(Fault.GARBAGE) == 1
    assert two.snapshots == []
    assert any(words in record.message for record in caplog.records)


async def test_sender_that_stalls_frees_the_place() -> None:
    urls = urls_of(1, 2)
    two = Member(2, urls, limits=Limits(snapshot_stall_seconds=0.3), idle_timeout_seconds=0.2)
    async with running(two):
        reader, writer = await call(urls[2], purpose=Purpose.SNAPSHOT)
        await read_frame(reader)
        writer.write(peer_frames.record_frame(SnapshotHeader(b"h")))
        await until(two.peers.is_receiving_snapshot)
        await until(lambda: not two.peers.is_receiving_snapshot())
        writer.close()
        assert two.faults(Fault.SNAPSHOT) == 1
