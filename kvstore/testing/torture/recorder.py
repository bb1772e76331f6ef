"""What the clients of a run did and were told, and how a director waits for their next success.

No I/O: clients write it down here, the verdict and the report read it.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

from kvstore import client
from kvstore.testing.history import ViolationError
from kvstore.testing.linearizability import Operation
from kvstore.testing.watch_checker import Batch, Event, Watch


class LeasedKey(msgspec.Struct, frozen=True):
    """A key that was put under a lease, and the moment (monotonic seconds) up to which the
    cluster has promised that it lives: each grant and each renewal lasts from when it was asked
    for."""

    key: bytes
    promised_until: float


class Acknowledgement(msgspec.Struct, frozen=True, gc=False):
    """A write that was answered; both are monotonic seconds."""

    invoked: float
    completed: float


class RecordedWatch:
    """A watch under way: what was asked for, and what has come so far."""

    def __init__(self, watch: Watch) -> None:
        self.asked_for = watch
        self.received: list[Batch] = []
        self.through_revision = 0

    @property
    def revision(self) -> int:
        """Everything up to it has been delivered."""
        return self.received[-1].revision if self.received else self.asked_for.start_revision - 1

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
        self.written: dict[bytes, bytes] = {}
        """Key → value, acknowledged; of the writers that write each key once."""
        self.unanswered = 0
        """Of these writers."""
        self.acknowledgements: list[Acknowledgement] = []
        """All writes that were answered, in the order of their answers."""
        self.watches: list[RecordedWatch] = []
        self.leased: list[LeasedKey] = []
        self.deleted_at: dict[bytes, float] = {}
        """When (monotonic seconds) somebody first saw that a key was deleted."""
        self.revision = 0
        """The newest that any answer or event told."""
        self._newest_invoked = time.monotonic()  # of the writes that were acknowledged
        self._progress = asyncio.Event()

    @property
    def count(self) -> int:
        """Operations so far, of all kinds of clients."""
        return len(self.operations) + len(self.written) + self.unanswered

    @property
    def unknown(self) -> int:
        """Operations without an answer."""
        of_clients = sum(operation.completed is None for operation in self.operations)
        return of_clients + self.unanswered

    def record(self, operation: Operation) -> None:
        """An operation has ended, with an answer or without."""
        self.operations.append(operation)
        self.revision = max(self.revision, operation.revision)
        if operation.kind != "get" and operation.completed is not None:
            self._acknowledge(operation.invoked, operation.completed)

    def record_write(self, key: bytes, value: bytes, *, invoked: float) -> None:
        """A write of a key that nobody else writes was acknowledged just now."""
        self.written[key] = value
        self._acknowledge(invoked, time.monotonic())

    def record_batch(self, watch: RecordedWatch, batch: client.WatchBatch) -> None:
        """A watcher got something."""
        now = time.monotonic()
        events = tuple(map(_event, batch.events))
        watch.received.append(Batch(revision=batch.revision, events=events, is_progress=not events))
        self.revision = max(self.revision, batch.revision)
        for event in events:
            if event.value is None:
                self.deleted_at.setdefault(event.key, now)

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

    def _acknowledge(self, invoked: float, completed: float) -> None:
        self.acknowledgements.append(Acknowledgement(invoked, completed))
        self._newest_invoked = max(self._newest_invoked, invoked)
        self._progress.set()


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
