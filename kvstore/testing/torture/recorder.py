"""What the clients of a run did and were told, and how a director waits for their next success.

No I/O: clients write it down here, the verdict and the report read it.
"""

import asyncio
import itertools
import math
import time
from collections.abc import Callable

import msgspec

from kvstore import client
from kvstore.testing.history import ViolationError
from kvstore.testing.linearizability import Operation
from kvstore.testing.torture.answers import Answer
from kvstore.testing.torture.lease_promises import LeasedKey
from kvstore.testing.watch_checker import Batch, Event, Resumption, Watch


class Acknowledgement(msgspec.Struct, frozen=True, gc=False):
    """A write that was answered; both are monotonic seconds."""

    invoked: float
    completed: float


class RecordedWatch:
    """A watch under way: what was asked for, and what has come so far."""

    def __init__(self, watch: Watch) -> None:
        self.asked_for = watch
        self.received: list[Batch | Resumption] = []
        self.through_revision = 0
        self.revision = watch.start_revision - 1
        """Everything up to it has been delivered."""

    def add(self, item: Batch | Resumption) -> None:
        """Something came, or the stream broke."""
        self.received.append(item)
        if isinstance(item, Resumption) or item.is_fragment:
            return
        delivered = item.revision if item.is_progress else item.events[-1].mod_revision
        self.revision = max(self.revision, delivered)

    def watch(self) -> Watch:
        """As the checker wants it."""
        return msgspec.structs.replace(
            self.asked_for,
            received=tuple(self.received),
            through_revision=self.through_revision,
        )


class Recorder:
    """All of one run."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        """Of the clients whose histories are checked."""
        self.refused: set[bytes] = set()
        """Values of writes of which the client library said: surely not applied."""
        self.written: dict[bytes, Operation] = {}
        """Key → put, answered or not; of the writers that write each key once."""
        self.written_keys: list[bytes] = []
        """The same keys, in the order in which their puts ended."""
        self.acknowledgements: list[Acknowledgement] = []
        """All writes that were answered, in the order of their answers."""
        self.answers: list[Answer] = []
        """What anybody was told of revisions and terms, in the order of the telling."""
        self.watches: list[RecordedWatch] = []
        self.leased: list[LeasedKey] = []
        self.revision = 0
        """The newest that any answer or event told."""
        self._newest_invoked = time.monotonic()  # of the writes that were acknowledged
        self._progress = asyncio.Event()

    @property
    def count(self) -> int:
        """Operations so far, of all kinds of clients."""
        return len(self.operations) + len(self.written)

    @property
    def unknown(self) -> int:
        """Operations without an answer."""
        operations = itertools.chain(self.operations, self.written.values())
        return sum(operation.completed is None for operation in operations)

    def record(self, operation: Operation, *, term: int = 0) -> None:
        """An operation has ended, with an answer (from a member in `term`) or without."""
        self.operations.append(operation)
        self._answered(operation, term)

    def record_write(self, put: Operation, *, term: int = 0) -> None:
        """The same of a put of a key that nobody else ever writes."""
        assert put.key not in self.written
        self.written[put.key] = put
        self.written_keys.append(put.key)
        self._answered(put, term)

    def record_header(self, header: client.Header, *, invoked: float) -> None:
        """A linearizable call that is no operation of a history was answered just now."""
        self._saw(Answer(invoked, time.monotonic(), header.revision, header.raft_term))

    def record_batch(self, watch: RecordedWatch, batch: client.WatchBatch) -> None:
        """A watcher got something through our client library."""
        events = tuple(map(_event, batch.events))
        one = Batch(revision=batch.revision, events=events, is_progress=not events)
        self.record_item(watch, one, term=batch.header.raft_term)

    def record_item(self, watch: RecordedWatch, item: Batch | Resumption, *, term: int = 0) -> None:
        """A watcher got something, or had to ask again."""
        watch.add(item)
        if isinstance(item, Batch):
            self._saw(Answer(-math.inf, time.monotonic(), item.revision, term))

    async def acknowledged_since(self, moment: float, *, seconds_max: float) -> None:
        """Wait for the answer to a write that was begun after `moment` (monotonic seconds).

        What was begun before may have its answer in a socket already: it tells nothing. Raises
        ViolationError when there is none within `seconds_max`.
        """
        await self._until(lambda: self._newest_invoked > moment, seconds_max)

    async def acknowledged_more(self, count: int, *, seconds_max: float) -> None:
        """Wait for so many more answers to writes. Raises ViolationError as above."""
        target = len(self.acknowledgements) + count
        await self._until(lambda: len(self.acknowledgements) >= target, seconds_max)

    async def _until(self, is_enough: Callable[[], bool], seconds_max: float) -> None:
        try:
            async with asyncio.timeout(seconds_max):
                while not is_enough():
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            raise ViolationError(f"no write was acknowledged for {seconds_max} s") from None

    def _answered(self, operation: Operation, term: int) -> None:
        if operation.completed is None:
            return
        is_write = operation.kind != "get"
        invoked, completed = operation.invoked, operation.completed
        self._saw(Answer(invoked, completed, operation.revision, term, is_write))
        if is_write:
            self.acknowledgements.append(Acknowledgement(invoked, completed))
            self._newest_invoked = max(self._newest_invoked, invoked)
            self._progress.set()

    def _saw(self, answer: Answer) -> None:
        self.answers.append(answer)
        self.revision = max(self.revision, answer.revision)


def _event(event: client.Event) -> Event:
    is_put = event.type is client.EventType.PUT
    before = event.prev_kv
    return Event(
        key=event.kv.key,
        value=event.kv.value if is_put else None,
        mod_revision=event.kv.mod_revision,
        prev_value=None if before is None else before.value,
        prev_mod_revision=0 if before is None else before.mod_revision,
    )
