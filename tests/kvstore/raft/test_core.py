"""The face of the core: what is restored, what a Ready says, what is refused."""

import msgspec
import pytest

from kvstore.raft.core import Raft
from kvstore.raft.progress import Progress, ProgressState
from kvstore.raft.types import (
    Config,
    Entry,
    HardState,
    Membership,
    Message,
    Restored,
    Role,
    SnapshotMeta,
)

from .single import (
    SILENT_TICKS,
    append,
    drain,
    entries,
    heartbeat,
    is_role,
    make_leader,
    new_raft,
    tick,
)

VOTERS = Membership(voters=(1, 2, 3))


def restore(restored: Restored) -> Raft:
    raft = Raft(Config(member_id=1), restored, lambda: 10)
    raft.check_invariants()
    return raft


def test_restored_from_a_snapshot_with_entries_behind_it() -> None:
    raft = restore(
        Restored(
            hard_state=HardState(3, 2, 7),
            first=SnapshotMeta(5, 2, VOTERS),
            entries=entries(2, 3, 3, first=6),
            applied=5,
        )
    )
    assert (raft.term, raft.vote, raft.role, raft.leader_id) == (3, 2, Role.FOLLOWER, 0)
    assert (raft.first_index, raft.last_index) == (6, 8)
    assert (raft.commit_index, raft.applied_index) == (7, 5)
    assert raft.ready().committed == entries(2, 3, first=6)
    assert raft.membership == VOTERS


def test_a_commit_index_on_disk_is_only_a_hint() -> None:
    raft = restore(
        Restored(
            hard_state=HardState(1, 0, 9), first=SnapshotMeta(0, 0, VOTERS), entries=entries(1)
        )
    )
    assert raft.commit_index == 1


def test_the_hint_never_runs_ahead_of_its_entries() -> None:
    """A crash may keep the hard state of a Ready and none of its entries: what lay in their places
    before, of a leader that failed, would count as committed."""
    raft = new_raft(1, 1, 1)
    raft.step(append(2, 1, 1, entries(2, 2, first=2), commit=3))
    ready = raft.ready()
    assert raft.commit_index == 3
    assert ready.hard_state is not None
    assert ready.hard_state.commit == 1  # entry 1 is on the disk as it is, 2 and 3 are not
    raft.stored(ready)
    assert raft.ready().hard_state == HardState(2, 0, 3)


def test_what_is_applied_is_committed_and_not_applied_again() -> None:
    raft = restore(
        Restored(
            hard_state=HardState(1),
            first=SnapshotMeta(0, 0, VOTERS),
            entries=entries(1, 1),
            applied=2,
        )
    )
    assert (raft.commit_index, raft.applied_index) == (2, 2)
    assert not raft.has_ready()


def test_a_term_that_the_crash_took_away_is_read_off_the_log_and_brings_no_vote() -> None:
    raft = restore(Restored(hard_state=HardState(1, 2), first=SnapshotMeta(5, 3, VOTERS)))
    assert (raft.term, raft.vote) == (3, 0)


def test_a_quiet_core_has_nothing_ready() -> None:
    raft = new_raft()
    assert not raft.has_ready()
    raft.tick()
    assert not raft.has_ready()


def test_a_commit_index_alone_needs_no_sync() -> None:
    raft = new_raft(1, term=1)
    raft.step(append(1, 1, 1, commit=1))
    ready = raft.ready()
    assert ready.hard_state == HardState(1, 0, 1)
    assert not ready.must_sync


def test_a_leader_that_steps_down_in_a_tick_sends_no_heartbeat() -> None:
    raft = new_raft()
    make_leader(raft)
    tick(raft, SILENT_TICKS - 1)
    assert is_role(raft, Role.LEADER)
    raft.tick()
    assert is_role(raft, Role.FOLLOWER)
    assert not drain(raft)


class Unknown(msgspec.Struct):
    """What is no message."""

    to: int = 1
    sender: int = 2
    term: int = 0


def test_an_unknown_message_is_a_bug() -> None:
    message: Message = Unknown()  # type: ignore[assignment]
    with pytest.raises(AssertionError):
        new_raft().step(message)


def test_invariants_notice_a_second_vote() -> None:
    raft = new_raft(term=1, vote=2)
    raft.state.vote = 3
    with pytest.raises(AssertionError, match="second vote"):
        raft.check_invariants()


def test_invariants_notice_a_gap() -> None:
    raft = new_raft(1)
    raft.state.log.append([Entry(3, 1)])
    with pytest.raises(AssertionError, match="gap"):
        raft.check_invariants()


def test_invariants_notice_reads_that_nobody_will_answer() -> None:
    raft = new_raft()
    raft.state.waiting_reads[1, 7] = None
    with pytest.raises(AssertionError, match="reads wait"):
        raft.check_invariants()


def test_a_late_acknowledgement_does_not_end_a_probe() -> None:
    progress = Progress(next_index=9, inflight_max=4)
    progress.match = 5
    progress.acknowledge(3, first_index=1)
    states = [progress.state]
    progress.acknowledge(5, first_index=1)
    states.append(progress.state)
    assert states == [ProgressState.PROBE, ProgressState.REPLICATE]
    assert progress.next == 6


def test_a_leader_is_heard_even_if_the_message_changes_nothing() -> None:
    raft = new_raft()
    raft.step(heartbeat(1))
    drain(raft)
    assert raft.leader_id == 2
