"""The clients of a run, all on our client library, all against real members.

Recording clients operate on keys, lease them and watch. Writers are for pressure: each has one put
under way at all times, of a key that nobody else writes.
"""

import asyncio
import time
from collections.abc import Sequence
from random import Random

import msgspec

from kvstore import client
from kvstore.errors import UnavailableError
from kvstore.testing.history import ViolationError
from kvstore.testing.linearizability import Operation
from kvstore.testing.torture.large_values import LargeClient
from kvstore.testing.torture.leases import TTL_SECONDS_MAX, LeaseClient
from kvstore.testing.torture.operators import Operator
from kvstore.testing.torture.recorder import Recorder
from kvstore.testing.torture.watchers import (
    STILL_SECONDS_MAX,
    STILL_SECONDS_MAX_OF_CONTROL,
    Watchers,
)

PREFIX = b"torture/"
REQUEST_TIMEOUT_SECONDS = 4.0  # outlasts an election; what hangs at a silent member ends sooner
LEASE_CLIENTS = 2
# A client leaves a member that fails, and stays with the next. Without new connections all would
# meet at one member in the end, and a fault of it would look like one of the cluster.
_OPERATIONS_PER_CONNECTION = 100
# A new leader gives every lease its full TTL once more.
LEASE_END_SECONDS_MAX = 2 * TTL_SECONDS_MAX + 30.0
_LEASED = PREFIX + b"leased/"
_FIRST_WRITER = 1_000  # writers' processes, for telling: nobody else has such a number
_LOOK_AGAIN_SECONDS = 0.2
# Each is kept once by its writer, and by every watch that it is told to.
_OPENINGS_PER_LARGE_VALUE = 8


class Workload:
    """Everybody who talks to the cluster; `run` is over once `stop` was called."""

    def __init__(
        self,
        endpoints: Sequence[str],
        recorder: Recorder,
        *,
        clients: int,
        writers: int,
        seed: int,
        is_control: bool = False,
    ) -> None:
        self.recorder = recorder
        patience = STILL_SECONDS_MAX_OF_CONTROL if is_control else STILL_SECONDS_MAX
        self.watchers = Watchers(recorder, PREFIX, patience)
        self._endpoints = tuple(endpoints)
        self._clients = clients
        self._writers = writers
        self._random = Random(seed)
        self._is_stopped = False
        self._writing = asyncio.Event()  # the writers may write
        self._is_large_due = asyncio.Event()
        self._openings = 0

    async def run(self) -> None:
        """Work until `stop`, let the leases run out and the long watches come to their end.

        Raises an ExceptionGroup with what broke, a ViolationError where the cluster is to blame.
        """
        async with asyncio.TaskGroup() as watching:
            watching.create_task(self._watch())
            async with asyncio.TaskGroup() as working:
                for number in range(self._clients):
                    working.create_task(self._operate(number))
                for number in range(LEASE_CLIENTS):
                    working.create_task(self._lease(number))
                working.create_task(self._write_large())
                for number in range(self._writers):
                    working.create_task(self._write(number))
            self.watchers.end_at(await self._leases_have_ended())

    def open_writers(self) -> None:
        """Let the writers write."""
        self._writing.set()
        if self._openings % _OPENINGS_PER_LARGE_VALUE == 0:
            self._is_large_due.set()
        self._openings += 1

    def close_writers(self) -> None:
        """Let the writers rest after the put that they have under way."""
        if not self._is_stopped:
            self._writing.clear()

    def stop(self) -> None:
        """Begin nothing any more."""
        self._is_stopped = True
        self._writing.set()
        self._is_large_due.set()

    def connect(self, number: int) -> client.Client:
        """A client that prefers one of the endpoints; the caller closes it."""
        first = number % len(self._endpoints)
        endpoints = self._endpoints[first:] + self._endpoints[:first]
        return client.connect(endpoints, request_timeout_seconds=REQUEST_TIMEOUT_SECONDS)

    async def _operate(self, number: int) -> None:
        operator = self._operator(number)
        while not self._is_stopped:
            async with self.connect(number) as store:
                for _ in range(_OPERATIONS_PER_CONNECTION):
                    if not self._is_stopped:
                        await operator.next(store)

    def _operator(self, number: int) -> Operator:
        dice = Random(self._random.getrandbits(64))
        return Operator(number, self.recorder, PREFIX + b"ten/", dice)

    async def _lease(self, number: int) -> None:
        leaser = LeaseClient(number, self.recorder, _LEASED, Random(self._random.getrandbits(64)))
        async with self.connect(number + 1) as store:
            while not self._is_stopped:
                await leaser.next(store)

    async def _leases_have_ended(self) -> int:
        """Wait for it; the revision at which no leased key was left.

        Somebody goes on writing: that the cluster serves is what bounds how long leases may last.
        """
        deadline = time.monotonic() + LEASE_END_SECONDS_MAX
        operator = self._operator(self._clients)
        async with self.connect(0) as store:
            while True:
                try:
                    found = await self._leased_keys(store)
                except UnavailableError as error:
                    told: object = error
                else:
                    if not found.count:
                        return found.header.revision
                    told = found.kvs[0]
                if time.monotonic() > deadline:
                    raise ViolationError(f"leases have not ended in time: {told!r}")
                look_again_at = time.monotonic() + _LOOK_AGAIN_SECONDS
                while time.monotonic() < look_again_at:
                    await operator.next(store)

    async def _leased_keys(self, store: client.Client) -> client.RangeResponse:
        """Those that are left; what the answer tells of time is recorded."""
        asked_at = time.monotonic()
        found = await store.get_range(_LEASED, prefix=True)
        self.recorder.record_header(found.header, invoked=asked_at)
        return found

    async def _watch(self) -> None:
        async with (
            self.connect(0) as first,
            self.connect(1) as second,
            self.connect(2) as third,
        ):
            await self.watchers.run(
                [first, second, third], self._endpoints, lambda: self._is_stopped, self._random
            )

    async def _write_large(self) -> None:
        large = LargeClient(self.recorder, PREFIX)
        async with self.connect(0) as store:
            while not self._is_stopped:
                await self._is_large_due.wait()
                self._is_large_due.clear()
                await large.next(store)

    async def _write(self, number: int) -> None:
        count = 0
        while not self._is_stopped:
            async with self.connect(number) as store:
                for _ in range(_OPERATIONS_PER_CONNECTION):
                    await self._writing.wait()
                    if not self._is_stopped:
                        count += 1
                        await self._write_once(store, number, count)

    async def _write_once(self, store: client.Client, number: int, count: int) -> None:
        put = Operation(
            process=_FIRST_WRITER + number,
            kind="put",
            key=b"%swritten/%d/%d" % (PREFIX, number, count),
            value=b"written %d %d" % (number, count),
            invoked=time.monotonic(),
        )
        assert put.value is not None
        try:
            header = (await store.put(put.key, put.value)).header
        except UnavailableError as error:
            if error.may_have_been_applied:
                self.recorder.record_write(put)
            else:
                self.recorder.refused.add(put.value)
            return
        except asyncio.CancelledError:
            self.recorder.record_write(put)
            raise
        answered = msgspec.structs.replace(
            put, completed=time.monotonic(), revision=header.revision
        )
        self.recorder.record_write(answered, term=header.raft_term)
