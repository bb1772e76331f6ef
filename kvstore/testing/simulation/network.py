"""The network between simulated processes: delay, loss, cuts in either direction.

One link per ordered pair of processes, in order as TCP is. A frame arrives whole and at most
once, or not at all: what `PeerTransport` promises and no more.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence, Set
from functools import partial
from random import Random

import msgspec

from kvstore.seams import SnapshotStream

_SNAPSHOT_QUEUE_CHUNKS = 4
_SPACING_SECONDS = 1e-6


class NetworkFaults(msgspec.Struct):
    """What goes wrong; may be changed while the simulation runs."""

    delay_seconds_max: float = 0.002
    loss: float = 0.0  # share of frames that vanish


class Network:
    """All links. `trace` sees everything that arrives."""

    def __init__(self, random: Random, faults: NetworkFaults) -> None:
        self.faults = faults
        self._random = random
        self._cut: set[tuple[int, int]] = set()
        self._arrivals: dict[tuple[int, int], float] = {}  # latest arrival per link
        self._transports: dict[int, SimulatedTransport] = {}
        self.trace = hashlib.sha256()
        self.delivered = 0
        self.lost = 0

    def attach(self, process: int, transport: "SimulatedTransport | None") -> None:
        """The process listens now (or, with None, is gone)."""
        if transport is None:
            self._transports.pop(process, None)
        else:
            self._transports[process] = transport

    def transport_of(self, process: int) -> "SimulatedTransport | None":
        """Whoever listens as this process now."""
        return self._transports.get(process)

    def cut(self, source: int, target: int) -> None:
        """Nothing gets from `source` to `target` any more."""
        self._cut.add((source, target))

    def heal(self) -> None:
        """Undo all cuts."""
        self._cut.clear()

    def is_cut(self, source: int, target: int) -> bool:
        """Tell whether the way from `source` to `target` is cut."""
        return (source, target) in self._cut

    def delay_seconds(self) -> float:
        """How long one message travels."""
        return self._random.random() * self.faults.delay_seconds_max

    def deliver(
        self,
        source: int,
        target: int,
        data: bytes,
        arrive: Callable[[], None],
        lose: Callable[[], None],
    ) -> None:
        """Let `arrive` run after a delay, behind all that was sent before; or `lose`."""
        if self.is_cut(source, target) or self._random.random() < self.faults.loss:
            self.lost += 1
            asyncio.get_running_loop().call_soon(lose)
            return
        loop = asyncio.get_running_loop()
        link = (source, target)
        # Strictly later than what was sent before: timers of one moment run in any order.
        earliest = self._arrivals.get(link, 0.0) + _SPACING_SECONDS
        at = max(loop.time() + self.delay_seconds(), earliest)
        self._arrivals[link] = at

        def run() -> None:
            if self.is_cut(source, target):
                self.lost += 1
                lose()
                return
            self.delivered += 1
            self.note(f"{loop.time():.9f} {source}>{target}", data)
            arrive()

        loop.call_at(at, run)

    def note(self, text: str, data: bytes = b"") -> None:
        """Add something that happened to the trace."""
        self.trace.update(text.encode() + b"\0" + data)


class _Snapshot(SnapshotStream):
    """A snapshot on its way."""

    def __init__(self, sender: int, header: bytes, queue: "asyncio.Queue[bytes | None]") -> None:
        self.sender = sender
        self.header = header
        self._queue = queue
        self.chunks = self._read()

    async def _read(self) -> AsyncIterator[bytes]:
        while (chunk := await self._queue.get()) is not None:
            if not chunk:
                raise ConnectionResetError("the sender is gone")
            yield chunk


class SimulatedTransport:
    """PeerTransport of one life of one process."""

    def __init__(self, network: Network, process: int) -> None:
        self._network = network
        self._process = process
        self._is_closed = False
        self._on_frame: Callable[[int, bytes], None] | None = None
        self._on_snapshot: Callable[[SnapshotStream], Awaitable[None]] | None = None
        self._on_unreachable: Callable[[int], None] | None = None
        self._on_removed: Callable[[], None] | None = None
        self._removed: Set[int] = frozenset()
        self.introduction = b""

    async def start(
        self,
        on_frame: Callable[[int, bytes], None],
        on_snapshot: Callable[[SnapshotStream], Awaitable[None]],
        on_unreachable: Callable[[int], None],
        on_removed: Callable[[], None],
    ) -> None:
        """Listen."""
        self._on_frame, self._on_snapshot = on_frame, on_snapshot
        self._on_unreachable, self._on_removed = on_unreachable, on_removed
        self._network.attach(self._process, self)

    def set_peers(
        self,
        _addresses: dict[int, Sequence[str]],
        *,
        removed: Set[int] = frozenset(),
        introduction: bytes = b"",
    ) -> None:
        """Everybody knows everybody, but for those that were removed."""
        self._removed, self.introduction = removed, introduction

    def is_connected(self, member_id: int) -> bool:
        """True while frames to the member can leave."""
        network = self._network
        is_listening = network.transport_of(member_id) is not None
        return is_listening and not network.is_cut(self._process, member_id)

    def send(self, to: int, frames: Sequence[bytes]) -> None:
        """Send frames, each with its own luck."""
        if self._is_closed:
            return
        for frame in frames:
            self._network.deliver(
                self._process,
                to,
                frame,
                partial(self._arrive, to, frame),
                lambda: self._lose(to),
            )

    async def send_snapshot(self, to: int, header: bytes, chunks: AsyncIterator[bytes]) -> None:
        """Stream a snapshot; a cut or a death on either side breaks it off."""
        receiver = self._network.transport_of(to)
        if receiver is None or receiver._on_snapshot is None:
            raise ConnectionRefusedError(f"process {to} does not listen")
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_SNAPSHOT_QUEUE_CHUNKS)
        storing = asyncio.ensure_future(
            receiver._on_snapshot(_Snapshot(self._process, header, queue))
        )
        try:
            async for chunk in chunks:
                await asyncio.sleep(self._network.delay_seconds())
                self._require_link(to, receiver)
                self._network.note(f"snapshot {self._process}>{to}", chunk)
                await self._put(queue, chunk, storing)
            await self._put(queue, None, storing)
            await storing
            self._require_link(to, receiver)
        except BaseException:
            storing.cancel()
            raise

    async def close(self) -> None:
        """Die: nothing goes out or comes in any more."""
        self.abort()

    def abort(self) -> None:
        """See `close`."""
        self._is_closed = True
        if self._network.transport_of(self._process) is self:
            self._network.attach(self._process, None)

    async def _put(
        self,
        queue: "asyncio.Queue[bytes | None]",
        chunk: bytes | None,
        storing: "asyncio.Future[None]",
    ) -> None:
        putting = asyncio.ensure_future(queue.put(chunk))
        await asyncio.wait([putting, storing], return_when=asyncio.FIRST_COMPLETED)
        if not putting.done():
            putting.cancel()
            await storing  # raises what the receiver failed with
            raise ConnectionResetError("the receiver ended early")

    def _require_link(self, to: int, receiver: "SimulatedTransport") -> None:
        if (
            self._is_closed
            or receiver._is_closed
            or self._network.is_cut(self._process, to)
            or self._network.is_cut(to, self._process)
        ):
            raise ConnectionResetError(f"the connection to process {to} broke")

    def _arrive(self, to: int, frame: bytes) -> None:
        receiver = self._network.transport_of(to)
        if receiver is None or receiver._on_frame is None:
            self._lose(to)
        elif self._process in receiver._removed:
            self._lose(to)
            if not self._is_closed and self._on_removed is not None:
                self._on_removed()
        else:
            receiver._on_frame(self._process, frame)

    def _lose(self, to: int) -> None:
        if not self._is_closed and self._on_unreachable is not None:
            self._on_unreachable(to)
