"""A member of PySyncObj's replicated dict that clients reach by msgpack over TCP.

    python -m benchmarks.pysyncobj_member CLIENT-PORT JOURNAL OWN-ADDRESS OTHER-ADDRESS …

A request is `[number, key, value]`, a get when the value is nil; the answer `[number, value]`, with
`true` for a put that was committed and applied here. A get reads this member's own copy.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import msgpack
from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf
from pysyncobj.batteries import ReplDict

# Batches leave once in this time. The default, 100 ms, would be all that a benchmark sees.
_BATCH_SECONDS = 0.005
# Two threads share the interpreter: neither waits for long. The default is 5 ms.
_SWITCH_INTERVAL_SECONDS = 0.0005


class _Answers:
    """Answers of the Raft thread, carried to the event loop in batches."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready: deque[tuple[asyncio.WriteTransport, bytes]] = deque()
        self._is_due = False

    def add(self, transport: asyncio.WriteTransport, answer: bytes) -> None:
        """From the Raft thread."""
        self._ready.append((transport, answer))
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon_threadsafe(self._flush)

    def _flush(self) -> None:
        self._is_due = False  # first: whoever still finds it set has appended before we look
        while self._ready:
            transport, answer = self._ready.popleft()
            transport.write(answer)


class _Client(asyncio.Protocol):
    def __init__(self, shared: Any, answers: _Answers) -> None:
        self._shared = shared
        self._answers = answers
        self._unpacker = msgpack.Unpacker()
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._unpacker.feed(data)
        for number, key, value in self._unpacker:
            if value is None:
                self._transport.write(msgpack.packb([number, self._shared.get(key)]))
            else:
                self._shared.set(key, value, callback=self._on_set(number))

    def _on_set(self, number: int) -> Callable[[object, int], None]:
        def on_set(_: object, reason: int) -> None:
            answer = msgpack.packb([number, reason == FAIL_REASON.SUCCESS])
            self._answers.add(self._transport, answer)

        return on_set


async def _serve(port: int, journal: str, own: str, others: list[str]) -> None:
    shared = ReplDict()
    settings = SyncObjConf(
        journalFile=journal,
        appendEntriesUseBatch=True,
        appendEntriesPeriod=_BATCH_SECONDS,
        autoTickPeriod=_BATCH_SECONDS,
    )
    member = SyncObj(own, others, settings, consumers=[shared])
    answers = _Answers()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Client(shared, answers), "127.0.0.1", port
    )
    try:
        await server.serve_forever()
    finally:
        member.destroy()


def main() -> None:
    """Run until a signal ends it."""
    port, journal, own, *others = sys.argv[1:]
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    asyncio.run(_serve(int(port), journal, own, others))


if __name__ == "__main__":
    main()
