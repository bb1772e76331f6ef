"""Hostile clients beside honest ones: how soon each is stopped, and what the honest ones notice.

The honest ones ask at a modest pace, for at full speed every other process would be an attack. The
attacks run in a process of their own.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import uvloop

from benchmarks import attacks, fill, observe
from benchmarks.fill import Writer
from benchmarks.grpc_client import GrpcConnection, connect, headers, message
from benchmarks.loads import PUT
from benchmarks.two_ports import TwoPorts
from kvstore.pb import rpc_pb2
from kvstore.testing.processes import KEELSON, ClusterProcesses, MemberProcess

_HONEST_CLIENTS = 8
_PACE_SECONDS = 0.02
# Long enough that a hiccup of the disk or two, which hits all clients at once, is less than the
# hundredth part.
_SECONDS = 15.0
_ATTACK_SECONDS_MAX = 60.0
_LARGE_KEYS = 16
_LARGE_VALUE = bytes(64 * 1024)


class Honest(msgspec.Struct):
    """What honest clients saw for a while."""

    latencies_ms: list[float] = []
    failures: int = 0

    @property
    def p99_ms(self) -> float:
        """Of all their requests."""
        ordered = sorted(self.latencies_ms)
        return ordered[len(ordered) * 99 // 100] if ordered else float("inf")


def run() -> None:
    """One member, and every attack on it in turn."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        cluster = ClusterProcesses(KEELSON, folder)
        member = TwoPorts(folder)
        member.make_certificate()
        cluster.members = [member]
        with cluster:
            uvloop.run(_run(member))


async def _run(member: TwoPorts) -> None:
    writer = await Writer.open(member.endpoint)
    prefix = attacks.VALUE_PREFIX
    large = (fill.put(prefix + b"%02d" % number, _LARGE_VALUE) for number in range(_LARGE_KEYS))
    await writer.send_all(large, under_way_max=1)
    writer.close()
    await _honest(member.endpoint, asyncio.Event())
    print(
        f"{'attack':20}{'stopped':>16}{'RSS MiB':>9}{'failures':>10}"
        f"{'p99 ms before/during/after':>30}{'during':>8}{'after':>7}",
        flush=True,
    )
    for name in attacks.ATTACKS:
        endpoint = member.tls_endpoint if name == "silent-tls" else member.endpoint
        await _row(name, member, endpoint)


async def _row(name: str, member: MemberProcess, endpoint: str) -> None:
    before = await _honest(member.endpoint, asyncio.Event())
    rss = observe.rss_mib(member.pid)
    over = asyncio.Event()
    during_task = asyncio.ensure_future(_honest(member.endpoint, over, seconds=_ATTACK_SECONDS_MAX))
    attacker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.attacks", name, endpoint),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert attacker.stdout is not None
    async with asyncio.timeout(_ATTACK_SECONDS_MAX):
        outcome = json.loads(await attacker.stdout.readline())
    await asyncio.sleep(_SECONDS)  # with the attack in place, if it is held
    growth = observe.rss_mib(member.pid) - rss
    over.set()
    during = await during_task
    attacker.kill()
    await attacker.wait()
    after = await _honest(member.endpoint, asyncio.Event())
    failures = before.failures + during.failures + after.failures
    print(
        f"{name:20}{outcome['how']:>8} {outcome['seconds']:5.2f} s{growth:9.0f}{failures:10}"
        f"{before.p99_ms:14.1f}/{during.p99_ms:7.1f}/{after.p99_ms:7.1f}"
        f"{during.p99_ms / before.p99_ms:7.2f}x{after.p99_ms / before.p99_ms:6.2f}x",
        flush=True,
    )


async def _honest(endpoint: str, over: asyncio.Event, *, seconds: float = _SECONDS) -> Honest:
    """Puts at a modest pace, on a connection for each client, until told or for some seconds."""
    seen = Honest()
    deadline = time.perf_counter() + seconds
    connections = [await connect(endpoint) for _ in range(_HONEST_CLIENTS)]

    async def ask(connection: GrpcConnection) -> None:
        while time.perf_counter() < deadline and not over.is_set():
            began = time.perf_counter()
            if await _put(connection):
                seen.latencies_ms.append((time.perf_counter() - began) * 1e3)
            else:
                seen.failures += 1
            await asyncio.sleep(_PACE_SECONDS)

    await asyncio.gather(*map(ask, connections))
    for connection in connections:
        connection.close()
    return seen


async def _put(connection: GrpcConnection) -> bool:
    done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    request = rpc_pb2.PutRequest(key=b"honest", value=bytes(256)).SerializeToString()
    connection.call(headers(PUT.method), message(request), done.set_result)
    return await done
