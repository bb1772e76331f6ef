"""LogStorage: the log that recovers is one that was, at every point where a crash can fall."""

import asyncio
import random
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.errors import DataFolderError, WalCorruptError
from kvstore.raft.types import Entry, HardState, SnapshotMeta
from kvstore.storage.log_storage import LogStorage
from kvstore.testing.simulation.disk import SimulatedCrash, SimulatedFiles
from tests.kvstore.storage.logs import (
    SNAP,
    WAL,
    disk,
    entries,
    entry,
    indexes,
    meta,
    open_log,
    reopen,
    segments,
    snapshot,
    write,
)


class State(NamedTuple):
    """What a recovery may answer."""

    hard_state: HardState
    snapshot: SnapshotMeta | None
    entries: tuple[Entry, ...]

    @property
    def base(self) -> int:
        return self.snapshot.index if self.snapshot else 0

    @property
    def last(self) -> int:
        return self.base + len(self.entries)

    def appended(self, hard_state: HardState | None, more: tuple[Entry, ...]) -> "State":
        kept = self.entries[: more[0].index - self.base - 1] if more else self.entries
        return self._replace(hard_state=hard_state or self.hard_state, entries=kept + more)

    def marked(self, new: SnapshotMeta, *, reset: bool) -> "State":
        hard_state = HardState(
            max(self.hard_state.term, new.term),
            0 if self.hard_state.term < new.term else self.hard_state.vote,
            max(self.hard_state.commit, new.index),
        )
        kept = () if reset else self.entries[new.index - self.base :]
        return State(hard_state, new, kept)


def recovered(storage: LogStorage) -> State:
    recovery = storage.recovery
    return State(recovery.hard_state, recovery.snapshot, tuple(recovery.entries))


class Member:
    """One member's life after life: does something, crashes, recovers, is compared.

    `history` are the states that were appended since the last recovery; everything up to
    position `durable` has been synced.
    """

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.files = SimulatedFiles(random.Random(seed + 1))
        self.history = [State(HardState(), None, ())]
        self.durable = 0
        self.term = 0

    def open(self) -> None:
        self.storage = open_log(self.files, segment_bytes=1500)
        state = recovered(self.storage)
        assert state in self.history[self.durable :], "a log that never was, or has lost a promise"
        if state.snapshot is not None:
            assert list(self.storage.read_snapshot()) == chunks_of(state.snapshot)
        self.history, self.durable = [state], 0

    async def act(self) -> None:
        action = self.dice.choices(
            (self.append, self.sync, self.snapshot, self.install), (50, 30, 8, 4)
        )[0]
        await action()

    async def append(self) -> None:
        state = self.history[-1]
        self.term += self.dice.random() < 0.2
        # An override never reaches below the commit: half of the log counts as such.
        first = state.last + 1
        if self.dice.random() < 0.2:
            first = self.dice.randint(state.base + len(state.entries) // 2 + 1, first)
        size = self.dice.choice((10, 60, 700))
        more = tuple(entries(first, first + self.dice.randrange(4) - 1, self.term, size))
        hard_state = HardState(self.term, self.dice.randrange(3), state.base)
        new_hard_state = self.dice.choice((None, max(hard_state, state.hard_state, key=_term)))
        self.history.append(state.appended(new_hard_state, more))
        self.storage.append(new_hard_state, more)

    async def sync(self) -> None:
        promised = len(self.history) - 1
        await self.storage.sync()
        self.durable = promised

    async def snapshot(self) -> None:
        state = self.history[-1]
        if state.entries:
            covered = self.dice.choice(state.entries)
            await self._take(meta(covered.index, covered.term), reset=False)

    async def install(self) -> None:
        state = self.history[-1]
        index = state.base + 1 + self.dice.randrange(len(state.entries) + 5)
        await self._take(meta(index, self.term), reset=True)

    async def _take(self, new: SnapshotMeta, *, reset: bool) -> None:
        writer = self.storage.create_snapshot(new)
        for chunk in chunks_of(new):
            writer.write(chunk)
            if self.dice.random() < 0.3:
                await writer.sync()
        if self.dice.random() < 0.2:
            writer.abort()
            return
        await writer.finish()
        self.history.append(self.history[-1].marked(new, reset=reset))
        promised = len(self.history) - 1
        await self.storage.mark_snapshot(new, reset_log=reset)
        self.durable = promised

    async def live(self, actions: int, crash_after: int) -> None:
        """Act until the I/O point `crash_after`, or to the end, and crash."""
        points = 0

        def count(operation: str, path: str) -> None:
            nonlocal points
            points += 1
            if points == crash_after:
                self.files.crash()

        self.files.hook = count
        try:
            self.open()
            for _ in range(actions):
                await self.act()
            self.files.crash()
        except SimulatedCrash:
            pass
        self.files.hook = None


def _term(hard_state: HardState) -> int:
    return hard_state.term


def chunks_of(snapshot_meta: SnapshotMeta) -> list[bytes]:
    return [b"%d" % snapshot_meta.index * length for length in (1, 300, 900)]


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    lives=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 120)), min_size=1, max_size=6),
)
def test_recovery_is_a_prefix_of_history_with_everything_synced(
    seed: int, lives: list[tuple[int, int]]
) -> None:
    member = Member(seed)

    async def run() -> None:
        for actions, crash_after in lives:
            await member.live(actions, crash_after)
        member.open()

    asyncio.run(run())


@pytest.mark.parametrize("reset", [False, True], ids=["own", "installed"])
async def test_a_crash_at_any_step_of_a_snapshot_leaves_the_old_or_the_new_one(
    reset: bool,
) -> None:
    index = 45 if reset else 25
    seen = set()
    for step in range(1, 100):
        for seed in range(8):
            files = disk(seed)
            storage = open_log(files)
            await write(storage, [[entry(at)] for at in range(1, 11)])
            await snapshot(storage, 10, [b"old"])
            await write(storage, [[entry(at)] for at in range(11, 41)])
            log, steps = crash_at(files, step)
            try:
                await snapshot(storage, index, [b"new"], reset=reset)
                is_done = True
            except SimulatedCrash:
                is_done = False
            files.hook = None
            storage = reopen(files)
            content = list(storage.read_snapshot())
            if content == [b"old"]:
                assert not is_done
                assert indexes(storage) == list(range(11, 41))
            else:
                assert content == [b"new"]
                assert indexes(storage) == ([] if reset else list(range(26, 41)))
            seen.add(content[0])
            await storage.sync()
            assert len(files.list(SNAP)) == 1
        if is_done:
            break
    assert is_done
    assert seen == {b"old", b"new"}
    names = [operation for operation, _ in log]
    assert len(steps) > 10
    assert names.index("rename") < names.index("remove"), "nothing is dropped before the new counts"


def crash_at(files: SimulatedFiles, step: int) -> tuple[list[tuple[str, str]], list[int]]:
    """Cut the power at the I/O point number `step` from now."""
    log: list[tuple[str, str]] = []
    steps: list[int] = []

    def hook(operation: str, path: str) -> None:
        log.append((operation, path))
        steps.append(len(log))
        if len(log) == step:
            files.crash()

    files.hook = hook
    return log, steps


async def test_the_marker_is_durable_before_anything_is_dropped() -> None:
    files = disk()
    storage = open_log(files)
    await write(storage, [[entry(at)] for at in range(1, 101)])
    log, _ = crash_at(files, 0)
    await snapshot(storage, 100)
    names = [operation for operation, _ in log]
    kinds = [(operation, path.rpartition(".")[2]) for operation, path in log]
    file_synced = kinds.index(("synced", "tmp"))
    renamed = kinds.index(("rename", "tmp"))
    folder_synced = names.index("synced_folder")
    marked = kinds.index(("synced", "wal"))
    dropped = names.index("remove")
    assert file_synced < renamed < folder_synced < marked < dropped


async def test_segments_are_dropped_only_when_the_snapshot_covers_them() -> None:
    files = disk()
    storage = open_log(files)
    await write(storage, [[entry(at)] for at in range(1, 101)])
    before = segments(files)
    firsts = [int(path[-20:-4], 16) for path in before]
    covered = firsts[2] + 1  # an entry within the third segment
    await snapshot(storage, covered)
    assert segments(files) == before[2:]
    assert indexes(reopen(files)) == list(range(covered + 1, 101))


async def test_an_installed_snapshot_voids_the_whole_log() -> None:
    files = disk()
    storage = open_log(files)
    await write(storage, [[entry(at)] for at in range(1, 101)])
    await snapshot(storage, 70, reset=True)  # the log's entries behind 70 were in conflict
    assert len(segments(files)) == 1
    storage = reopen(files)
    assert indexes(storage) == []
    await write(storage, [[entry(at, term=2)] for at in range(71, 75)])
    assert reopen(files).recovery.entries == entries(71, 74, term=2)


@pytest.mark.parametrize("moment", ["write", "sync", "synced", "remove", "sync_folder"])
async def test_entries_appended_while_a_snapshot_is_marked_survive(moment: str) -> None:
    files = disk()
    storage = open_log(files)
    await write(storage, [[entry(at)] for at in range(1, 41)])
    writer = storage.create_snapshot(meta(40))
    await writer.finish()

    def append(operation: str, path: str) -> None:
        if operation == moment:
            files.hook = None
            storage.append(None, entries(41, 42))

    files.hook = append
    await storage.mark_snapshot(writer.meta, reset_log=False)
    assert files.hook is None
    await storage.sync()
    assert indexes(reopen(files)) == [41, 42]


async def test_a_snapshot_without_a_marker_does_not_count_and_is_removed() -> None:
    files = disk()
    storage = open_log(files)
    await write(storage, [entries(1, 5)])
    writer = storage.create_snapshot(meta(5))
    await writer.finish()
    storage = reopen(files)
    assert storage.recovery.snapshot is None
    assert indexes(storage) == [1, 2, 3, 4, 5]
    await storage.sync()
    assert files.list(SNAP) == []


async def test_an_aborted_snapshot_is_removed_with_the_next_sync() -> None:
    files = disk()
    storage = open_log(files)
    await write(storage, [entries(1, 5)])
    writer = storage.create_snapshot(meta(5))
    writer.abort()
    assert len(files.list(SNAP)) == 1
    await storage.sync()
    assert files.list(SNAP) == []


async def test_two_snapshots_of_one_index_may_be_under_way() -> None:
    files = disk()
    storage = open_log(files)
    await write(storage, [entries(1, 5)])
    first, second = storage.create_snapshot(meta(5)), storage.create_snapshot(meta(5))
    first.write(b"first")
    second.write(b"second")
    await first.finish()
    await storage.mark_snapshot(first.meta, reset_log=False)
    await second.finish()
    await storage.mark_snapshot(second.meta, reset_log=False)
    assert list(reopen(files).read_snapshot()) == [b"second"]


async def test_a_finished_snapshot_that_was_never_marked_goes_with_the_next_one() -> None:
    files = disk()
    storage = open_log(files)
    await write(storage, [entries(1, 5)])
    unneeded = storage.create_snapshot(meta(3))
    await unneeded.finish()
    await snapshot(storage, 5, [b"needed"])
    assert len(files.list(SNAP)) == 1
    assert list(reopen(files).read_snapshot()) == [b"needed"]


async def test_a_snapshot_never_goes_back() -> None:
    storage = open_log(disk())
    await write(storage, [entries(1, 5)])
    await snapshot(storage, 5)
    with pytest.raises(AssertionError, match="only forward"):
        await storage.mark_snapshot(meta(4), reset_log=False)


async def test_a_lost_wal_beside_a_snapshot_is_refused() -> None:
    files = disk()
    storage = open_log(files)
    await write(storage, [entries(1, 5)])
    await snapshot(storage, 5)
    for path in segments(files):
        await files.remove(path)
    await files.sync_folder(WAL)
    with pytest.raises(WalCorruptError, match="the WAL is gone"):
        reopen(files)


async def test_the_first_thing_of_a_new_member_may_be_an_installed_snapshot() -> None:
    files = disk()
    storage = open_log(files)
    await snapshot(storage, 500, reset=True)
    storage = reopen(files)
    assert storage.recovery.snapshot == meta(500)
    await write(storage, [[entry(501)]])
    assert indexes(reopen(files)) == [501]


async def test_a_folder_in_use_is_refused_until_it_is_closed() -> None:
    files = disk()
    storage = open_log(files)
    with pytest.raises(DataFolderError, match="locked"):
        open_log(files)
    storage.close()
    open_log(files).close()


async def test_a_refused_folder_is_not_left_locked() -> None:
    files = disk()
    storage = open_log(files)
    await write(storage, [[entry(1)], [entry(2)]])
    storage.close()
    files.flip_bit(segments(files)[0], 100)
    for _ in range(2):
        with pytest.raises(WalCorruptError):
            open_log(files)


async def test_concurrent_syncs_wait_for_each_other() -> None:
    files = disk()
    storage = open_log(files)
    async with asyncio.TaskGroup() as group:
        for at in range(1, 11):
            storage.append(None, [entry(at)])
            group.create_task(storage.sync())
    assert indexes(reopen(files)) == list(range(1, 11))


async def test_a_disk_that_lies_about_sync_loses_writes() -> None:
    files = disk()
    storage = open_log(files)
    await write(storage, [entries(1, 5)])
    files.lies_about_sync = True
    await write(storage, [[entry(at)] for at in range(6, 101)])
    assert indexes(reopen(files)) == [1, 2, 3, 4, 5]
