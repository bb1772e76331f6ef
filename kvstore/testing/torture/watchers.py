"""Watchers: some watch everything across all faults, some come and go.

The long ones end when they have been told everything up to the last revision; that they lose
nothing is the point. One of them is read as the members send it, without our client's care. The
short ones start anywhere, and end when they have been told everything that is known by then.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from random import Random

from kvstore import client
from kvstore.errors import KvError
from kvstore.testing.history import ViolationError
from kvstore.testing.torture.raw_watch import RawWatch
from kvstore.testing.torture.recorder import RecordedWatch, Recorder
from kvstore.testing.watch_checker import Batch, Resumption, Watch

STILL_SECONDS_MAX = 120.0  # without anything new; who has much to tell may take longer
STILL_SECONDS_MAX_OF_CONTROL = 5.0  # where silence is what a run hopes for
CATCH_UP_SECONDS_MAX = 1_800.0
_BACK_REVISIONS_MAX = 500  # how far back a short watch may start
_SHORT_SECONDS_MAX = 8.0
_ASK_AGAIN_SECONDS = 0.5
_MOVE_SECONDS = 3.0  # between two changes of the raw watch to another member, on average


class Watchers:
    """All watches of a run."""

    def __init__(
        self, recorder: Recorder, prefix: bytes, still_seconds_max: float = STILL_SECONDS_MAX
    ) -> None:
        """`still_seconds_max`: how long a watch may get nothing new, while there is something."""
        self._recorder = recorder
        self._prefix = prefix
        self._still_seconds_max = still_seconds_max
        self._end = client.prefix_end(prefix)
        self._last_revision: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._is_disturbed = False

    @contextlib.contextmanager
    def disturbed(self) -> Iterator[None]:
        """A fault lasts: what a watch waits for meanwhile is not held against the members."""
        self._is_disturbed = True
        try:
            yield
        finally:
            self._is_disturbed = False

    def end_at(self, revision: int) -> None:
        """Tell the long watches up to which revision they have to be told everything."""
        self._last_revision.set_result(revision)

    async def run(
        self,
        stores: Sequence[client.Client],
        endpoints: Sequence[str],
        is_stopped: Callable[[], bool],
        random: Random,
    ) -> None:
        """Watch until the long watches have come to their end, the short ones until stopped.

        Raises ViolationError when a watch is refused or does not come to its end.
        """
        everything = (
            Watch(key=self._prefix, range_end=self._end, prev_kv=True),
            Watch(key=self._prefix, range_end=self._end, no_put=True),
            Watch(key=self._prefix, range_end=self._end, no_delete=True),
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_raw(endpoints, everything[0], random))
            for watch, store in zip(everything, stores, strict=True):
                tasks.create_task(self._watch_to_the_end(store, watch))
            for store in stores:
                tasks.create_task(self._watch_now_and_then(store, is_stopped, random))

    async def _watch_to_the_end(self, store: client.Client, watch: Watch) -> None:
        recorded = self._record(watch)
        async with _watching(store, watch) as changes, asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self._follow(recorded, changes))
            last = await asyncio.shield(self._last_revision)
            await self.told_through(last, recorded, changes.request_progress)
            following.cancel()

    async def _watch_raw(self, endpoints: Sequence[str], watch: Watch, random: Random) -> None:
        """The same without our client's watch, and at another member every now and then."""
        recorded = self._record(watch)

        def receive(item: Batch | Resumption, term: int) -> None:
            self._recorder.record_item(recorded, item, term=term)

        # In this order: a watch that is closed before its reader ends would fail it.
        async with RawWatch(endpoints, watch, random) as changes, asyncio.TaskGroup() as tasks:
            following = tasks.create_task(changes.run(receive))
            moving = tasks.create_task(_move_now_and_then(changes, random))
            last = await asyncio.shield(self._last_revision)
            moving.cancel()
            await self.told_through(last, recorded, changes.request_progress)
            following.cancel()

    async def _watch_now_and_then(
        self, store: client.Client, is_stopped: Callable[[], bool], random: Random
    ) -> None:
        """Short watches, each until it was told everything that was known when its time was over.

        So one that got nothing, of a key of which there was something to tell, is found out.
        """
        while not is_stopped():
            recorded = self._record(self._short(random))
            async with (
                _watching(store, recorded.asked_for) as changes,
                asyncio.TaskGroup() as tasks,
            ):
                following = tasks.create_task(self._follow(recorded, changes))
                await asyncio.sleep(random.random() * _SHORT_SECONDS_MAX)
                known = self._recorder.revision
                await self.told_through(known, recorded, changes.request_progress)
                following.cancel()

    async def told_through(
        self, last: int, recorded: RecordedWatch, request_progress: Callable[[], None]
    ) -> None:
        """Wait until it was told everything up to a revision. Raises ViolationError: it never is,
        although no fault was under way for long enough.
        """
        waited_seconds = still_seconds = 0.0
        while recorded.revision < last:
            if still_seconds > self._still_seconds_max or waited_seconds > CATCH_UP_SECONDS_MAX:
                raise ViolationError(
                    f"a watch is at revision {recorded.revision} and does not reach {last}"
                )
            count, revision = len(recorded.received), recorded.revision
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
            if not self._is_disturbed:
                waited_seconds += _ASK_AGAIN_SECONDS
                still_seconds += _ASK_AGAIN_SECONDS
            if recorded.revision > revision:
                still_seconds = 0.0
            if len(recorded.received) == count:
                # Again and again: a request is lost with its stream. Not while anything comes: an
                # old etcd answers before it has sent what is due (before 3.4.25 and 3.5.8).
                request_progress()
        recorded.through_revision = last

    def _record(self, watch: Watch) -> RecordedWatch:
        recorded = RecordedWatch(watch)
        self._recorder.watches.append(recorded)
        return recorded

    async def _follow(self, recorded: RecordedWatch, changes: client.Watch) -> None:
        try:
            async for batch in changes:
                self._recorder.record_batch(recorded, batch)
        except KvError as error:
            raise ViolationError(f"{recorded.asked_for} ended with {error!r}") from error

    def _short(self, random: Random) -> Watch:
        """Anything, from a revision that is soon to come or a while ago."""
        start = self._recorder.revision + random.randint(-_BACK_REVISIONS_MAX, 2)
        is_all = random.random() < 0.5
        key = self._prefix if is_all else self._some_key(random)
        return Watch(
            key=key,
            range_end=self._end if is_all else b"",
            start_revision=max(start, 1),
            prev_kv=random.random() < 0.5,
            no_put=random.random() < 0.2,
        )

    def _some_key(self, random: Random) -> bytes:
        """One that somebody used lately."""
        operations = self._recorder.operations
        return random.choice(operations[-100:]).key if operations else self._prefix


async def _move_now_and_then(changes: RawWatch, random: Random) -> None:
    while True:
        await asyncio.sleep(random.expovariate(1 / _MOVE_SECONDS))
        changes.change_member()


def _watching(store: client.Client, watch: Watch) -> client.Watch:
    filters = []
    if watch.no_put:
        filters.append(client.Filter.NOPUT)
    if watch.no_delete:
        filters.append(client.Filter.NODELETE)
    return store.watch(
        watch.key,
        watch.range_end,
        start_revision=watch.start_revision,
        prev_kv=watch.prev_kv,
        filters=filters,
        progress_notify=True,
        fragment=True,
    )
