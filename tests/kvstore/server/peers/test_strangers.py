"""Whoever is no member, or speaks something else, is sent away and harms nobody."""

import asyncio
import contextlib
import os
import random
import resource
import socket

import msgspec
import pytest

from kvstore.server import peer_frames
from kvstore.server.peer_connection import Limits
from kvstore.server.peer_frames import Hello, Purpose
from kvstore.server.peer_journal import Fault
from tests.kvstore.server.peers.rig import (
    CLUSTER,
    Member,
    call,
    connected,
    deaf_member,
    port_of,
    read_frame,
    read_to_end,
    running,
    until,
    urls_of,
)


@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        ({"version": 1}, Fault.VERSION, "speaks version 1 of the peer protocol, we speak 3"),
        ({"cluster_id": 7}, Fault.WRONG_CLUSTER, "it is of cluster 7, we are of c1"),
        ({"receiver": 5}, Fault.WRONG_MEMBER, "it looks for member 5, we are 2"),
        ({"sender": 9}, Fault.UNKNOWN_MEMBER, "member 9 is not in the cluster"),
        ({"sender": 2}, Fault.UNKNOWN_MEMBER, "member 2 is not in the cluster"),
    ],
)
async def test_wrong_handshake_is_refused_with_its_reason(
    wrong: dict[str, int], kind: Fault, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    urls = urls_of(1, 2)
    two = Member(2, urls)
    async with running(two):
        for _ in range(3):
            reader, writer = await call(urls[2], **wrong)  # type: ignore[arg-type]
            writer.write(peer_frames.frame(b"smuggled"))
            assert words in peer_frames.read_welcome(await read_frame(reader)).refusal
            writer.close()
        await until(lambda: two.faults(kind) == 3)
    assert two.frames == []
    lines = [record.message for record in caplog.records if words in record.message]
    assert len(lines) == 1, "a fault that repeats is logged once per interval"
    assert lines[0].startswith("refused a connection from 127.0.0.1:")


async def test_member_of_another_cluster_is_neither_heard_nor_told() -> None:
    urls = urls_of(1, 2)
    one, two = Member(1, urls), Member(2, urls, cluster_id=0xBAD)
    async with running(one, two):
        one.peers.send(2, [b"secret"])
        await until(lambda: one.peers.counters.frames_dropped == 1)
        await until(lambda: min(m.faults(Fault.WRONG_CLUSTER) for m in (one, two)) > 0)
    assert one.frames == two.frames == []


async def test_caller_refuses_a_welcome_of_somebody_else() -> None:
    urls = urls_of(1, 2)
    one = Member(1, urls)
    async with running(one), deaf_member(urls[2], member_id=3) as hellos:
        one.peers.send(2, [b"secret"])
        await until(lambda: len(hellos) >= 2)
        assert not one.peers.is_connected(2)
        assert one.peers.counters.frames_dropped == 1


async def test_garbage_closes_the_connection_and_nothing_else() -> None:
    urls = urls_of(1, 2)
    one, two = Member(1, urls), Member(2, urls)
    dice = random.Random(11)
    hello = msgspec.msgpack.encode(Hello(peer_frames.MAGIC, 2, CLUSTER, 1, 2, Purpose.MESSAGES))
    heads = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        peer_frames.frame(b"\x96\xa3abc"),
        peer_frames.record_frame(Hello("other", 1, CLUSTER, 1, 2, Purpose.MESSAGES)),
        peer_frames.frame(b"\xc1"),
        (peer_frames.HANDSHAKE_BYTES_MAX + 1).to_bytes(4, "big"),
        peer_frames.frame(b"\x97" + hello[1:] + b"\x91" * 3_500 + b"\xc0"),  # absurdly deep
    ]
    heads += [b"\xff" + dice.randbytes(dice.randrange(4, 600)) for _ in range(80)]
    async with running(one, two):
        await connected((one, 2))
        for head in heads:
            reader, writer = await asyncio.open_connection("127.0.0.1", port_of(urls[2]))
            writer.write(head)
            assert await read_to_end(reader) == b"", "garbage gets no answer"
            writer.close()
        one.peers.send(2, [b"fine"])
        assert await two.frames_until(b"fine") == [b"fine"]
    assert two.faults(Fault.GARBAGE) == len(heads)
    assert one.peers.counters.connections_made == 1


async def test_silent_stranger_is_sent_away() -> None:
    urls = urls_of(1, 2)
    two = Member(2, urls, limits=Limits(connect_seconds=0.2), idle_timeout_seconds=0.2)
    async with running(two):
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(urls[2]))
        writer.write(b"\0\0")
        assert await read_to_end(reader) == b""
        writer.close()
        assert two.faults(Fault.SILENT) == 1


async def test_strangers_cannot_use_up_the_connections() -> None:
    urls = urls_of(1, 2)
    one, two = Member(1, urls), Member(2, urls)
    async with running(two):
        strangers = [
            await asyncio.open_connection("127.0.0.1", port_of(urls[2])) for _ in range(150)
        ]
        async with running(one):
            await connected((one, 2))
            one.peers.send(2, [b"fine"])
            assert await two.frames_until(b"fine") == [b"fine"]
        assert two.faults(Fault.CROWDED) >= 150 - 128
        for _, writer in strangers:
            writer.close()


async def test_oversized_frame_closes_the_connection_of_its_member() -> None:
    urls = urls_of(1, 2)
    two = Member(2, urls)
    async with running(two):
        reader, writer = await call(urls[2])
        await read_frame(reader)
        writer.write(peer_frames.frame(b"good"))
        writer.write((peer_frames.FRAME_BYTES_MAX + 1).to_bytes(4, "big"))
        await read_to_end(reader)
        writer.close()
        assert await two.frames_until(b"good") == [b"good"]
        assert two.faults(Fault.GARBAGE) == 1


async def test_message_that_the_node_cannot_decode_closes_the_connection() -> None:
    urls = urls_of(1, 2)
    one, two = Member(1, urls), Member(2, urls)

    def decode(sender: int, frame: bytes) -> None:
        msgspec.msgpack.decode(frame, type=int)

    async with running(one):
        await two.peers.start(decode, two.take_snapshot, two.unreachable.append, lambda: None)
        await connected((one, 2))
        one.peers.send(2, [b"\xa1x"])
        await until(lambda: two.faults(Fault.GARBAGE) == 1)
        await until(lambda: one.peers.counters.connections_made == 2)
        await two.peers.close()


async def test_members_are_accepted_again_once_there_are_file_descriptors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    urls = urls_of(1, 2)
    two = Member(2, urls)
    async with running(two):
        caller = socket.socket()
        caller.setblocking(False)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (caller.fileno() + 1, limits[1]))
        try:
            # Lower descriptors may be free: take them all.
            taken: list[int] = []
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.dup(caller.fileno()))
            address = ("127.0.0.1", port_of(urls[2]))
            await asyncio.get_running_loop().sock_connect(caller, address)
            words = "cannot accept connections of members"
            await until(lambda: any(words in record.getMessage() for record in caplog.records))
        finally:
            for descriptor in taken:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        reader, writer = await asyncio.open_connection(sock=caller)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await read_to_end(reader)
        writer.close()
    assert two.faults(Fault.GARBAGE) == 1
