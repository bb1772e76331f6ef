"""One port for gRPC and plain HTTP, over real connections."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from kvstore.pb import rpc_pb2 as pb
from tests.kvstore.server.single import PATIENT, Running, running


@pytest.fixture
async def member(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, PATIENT) as member:
        yield member


async def _talk(port: int, *pieces: bytes) -> bytes:
    """Send pieces, each in a segment of its own, and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    answer = await reader.read()
    writer.close()
    return answer


async def _get(port: int, path: str) -> tuple[int, bytes]:
    answer = await _talk(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    return int(head.split()[1]), body


async def _put(member: Running) -> pb.PutResponse:
    response = await member.call("KV/Put", pb.PutRequest(key=b"k", value=b"v"), pb.PutResponse)
    assert isinstance(response, pb.PutResponse)
    return response


def _metrics(page: bytes) -> dict[str, float]:
    lines = [line for line in page.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in map(str.split, lines)}


async def test_metrics_tell_what_the_member_does(member: Running) -> None:
    revision = (await _put(member)).header.revision
    status, page = await _get(member.port, "/metrics")
    metrics = _metrics(page)
    assert status == 200
    assert metrics["etcd_debugging_mvcc_current_revision"] == revision
    assert metrics["etcd_server_has_leader"] == metrics["etcd_server_is_leader"] == 1
    assert metrics["process_resident_memory_bytes"] > 10_000_000
    assert metrics["process_open_fds"] > 3


async def test_health_is_a_linearizable_read(member: Running) -> None:
    await _put(member)
    assert await _get(member.port, "/health") == (200, b'{"health":"true"}')


async def test_an_alarm_is_no_health(member: Running) -> None:
    await _put(member)
    alarm = pb.AlarmRequest(
        action=pb.AlarmRequest.ACTIVATE, alarm=pb.NOSPACE, memberID=member.node.member_id
    )
    await member.call("Maintenance/Alarm", alarm, pb.AlarmResponse)
    assert await _get(member.port, "/health") == (503, b'{"health":"false"}')


async def test_version_and_what_is_not_there(member: Running) -> None:
    status, page = await _get(member.port, "/version")
    assert status == 200
    assert set(json.loads(page)) == {"etcdserver", "etcdcluster"}
    assert (await _get(member.port, "/version?x=1"))[0] == 200
    assert (await _get(member.port, "/nothing"))[0] == 404


async def test_a_request_in_pieces_is_one_request(member: Running) -> None:
    answer = await _talk(member.port, b"G", b"ET /vers", b"ion HTTP/1.1\r\n", b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "garbage", [b"GET " + b"x" * 20_000, b"\0" * 100, b"POST / HTTP/1.1\r\n\r\n"]
)
async def test_garbage_ends_its_connection_and_no_other(member: Running, garbage: bytes) -> None:
    try:
        answer = await _talk(member.port, garbage)
    except ConnectionError:
        answer = b""
    assert b"200 OK" not in answer
    assert (await _put(member)).header.revision > 1


async def test_a_client_that_leaves_at_once_is_forgotten(member: Running) -> None:
    for first in (b"", b"G", b"PRI * HTTP/2.0"):
        _, writer = await asyncio.open_connection("127.0.0.1", member.port)
        writer.write(first)
        writer.transport.abort()
    assert (await _put(member)).header.revision > 1


def test_all_this_on_the_loop_of_a_real_member(tmp_path: Path) -> None:
    async def session() -> None:
        async with running(tmp_path, PATIENT) as member:
            await _put(member)
            assert (await _get(member.port, "/health"))[0] == 200

    uvloop.run(session())
