"""One real member in this process, served by the real front, and ways to call it."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence, Set
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from kvstore.seams import SnapshotStream
from kvstore.server import config
from kvstore.server.bootstrap import bootstrap
from kvstore.server.clock import LoopClock
from kvstore.server.config import Settings
from kvstore.server.front import Front
from kvstore.server.member import Member, Seams
from kvstore.server.pages import MemberPages
from kvstore.storage.files import LocalFiles
from kvstore.urls import parse_url


class NoPeers:
    """The transport of a member whose peers, if it has any, are all out of reach."""

    async def start(
        self,
        on_frame: Callable[[int, bytes], None],
        on_snapshot: Callable[[SnapshotStream], Awaitable[None]],
        on_unreachable: Callable[[int], None],
        on_removed: Callable[[], None],
    ) -> None:
        """Listen to nobody."""

    def send(self, to: int, frames: Sequence[bytes]) -> None:
        """Lose the frames."""

    async def send_snapshot(self, to: int, header: bytes, chunks: AsyncIterator[bytes]) -> None:
        """Fail like an unreachable peer."""
        raise ConnectionError(f"member {to:x} is out of reach")

    def set_peers(
        self,
        addresses: dict[int, Sequence[str]],
        *,
        removed: Set[int] = frozenset(),
        introduction: bytes = b"",
    ) -> None:
        """Nobody is called anyway."""

    def is_connected(self, member_id: int) -> bool:
        """Nobody is."""
        return False

    async def close(self) -> None:
        """Nothing is open."""


class Running:
    """A member that runs, and a channel to it."""

    def __init__(self, member: Member, channel: grpc.aio.Channel, port: int) -> None:
        self.member = member
        self.port = port
        self.node = member.node
        self.channel = channel

    async def call(
        self,
        method: str,
        request: Message,
        response_type: type[Message],
        metadata: Sequence[tuple[str, str]] = (),
    ) -> Any:
        """The response to one unary call, by its short name: `KV/Put`."""
        unary: Any = self.channel.unary_unary(
            f"/etcdserverpb.{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response_type.FromString,
        )
        return await unary(request, metadata=metadata)

    async def status(
        self,
        method: str,
        request: Message,
        response_type: type[Message],
        metadata: Sequence[tuple[str, str]] = (),
    ) -> tuple[str, str]:
        """Code and text that a unary call fails with."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(method, request, response_type, metadata)
        return caught.value.code().name, str(caught.value.details())

    def stream(self, method: str, response_type: type[Message]) -> Any:
        """A streaming call under way."""
        return self.channel.stream_stream(
            f"/etcdserverpb.{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response_type.FromString,
        )()


# Requests get five seconds and twice this: so that a busy machine cannot fail a test.
PATIENT = "--election-timeout=40000"


def settings_for(folder: Path, *flags: str) -> Settings:
    """The settings of a member that keeps its data in `folder`."""
    settings = config.load(["--data-dir", str(folder / "data"), *flags], {})
    assert isinstance(settings, Settings)
    return settings


@asynccontextmanager
async def running(folder: Path, *flags: str) -> AsyncIterator[Running]:
    """Run a member, alone in its cluster unless `flags` say otherwise."""
    settings = settings_for(folder, *flags)
    files, clock = LocalFiles(), LoopClock()
    spec = (await bootstrap(files, settings)).spec
    async with asyncio.TaskGroup() as tasks:
        seams = Seams(clock, files, NoPeers(), random.Random(1))
        member = Member(settings, spec, seams, tasks)
        pages = MemberPages(member.node).get
        front = Front(member.services, [parse_url("http://127.0.0.1:0")], pages=pages)
        run = tasks.create_task(member.run())
        await front.start()
        try:
            # A window that grows by itself would take in whole what a test does not read.
            options = [("grpc.http2.bdp_probe", 0)]
            address = f"127.0.0.1:{front.ports[0]}"
            async with grpc.aio.insecure_channel(address, options) as channel:
                yield Running(member, channel, front.ports[0])
        finally:
            await front.stop()
            member.stop()
        await run
    files.close()
