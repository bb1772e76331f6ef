"""The replicated state machine: every command, alarms, snapshots, and that members stay equal."""

from collections.abc import Iterator
from itertools import count
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore import apply
from kvstore.apply import (
    CHUNK_BYTES_MAX,
    AlarmMember,
    AlarmResult,
    Applied,
    LeaseGrantResult,
    MembershipResult,
    StateMachine,
)
from kvstore.commands import (
    AddMember,
    Alarm,
    AlarmAction,
    AlarmType,
    Command,
    Compact,
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRange,
    LeaseCheckpoint,
    LeaseGrant,
    LeaseRevoke,
    Proposal,
    PublishMember,
    Put,
    Range,
    Txn,
    decode,
    encode,
)
from kvstore.errors import (
    CompactedError,
    CorruptError,
    FutureRevisionError,
    KvError,
    LeaseExistsError,
    LeaseNotFoundError,
    MemberExistsError,
    NoSpaceError,
)
from kvstore.members import MemberRecord
from kvstore.mvcc import revision_log, store
from kvstore.mvcc.types import CompactResult, DeleteRangeResult, PutResult, TxnResult
from kvstore.raft.types import MembershipChange

MEMBER, OTHER_MEMBER = 1, 2
FOUNDER = MemberRecord(peer_urls=("http://p",))


class Member:
    """A state machine with the index that the log would give."""

    def __init__(self) -> None:
        self.machine = StateMachine({3: FOUNDER})
        self.indexes = count(1)

    def apply(self, command: Command) -> Any:
        # As it comes out of the log.
        proposal = decode(encode(Proposal(MEMBER, 0, command)))
        return self.machine.apply(next(self.indexes), proposal)

    def restart(self) -> None:
        self.machine = StateMachine.restore(self.machine.snapshot_chunks())


@pytest.fixture
def member() -> Member:
    return Member()


def raise_alarm(member: Member, alarm: AlarmType) -> None:
    member.apply(Alarm(AlarmAction.ACTIVATE, MEMBER, alarm))


# Commands.


def test_writes_answer_as_the_store_does(member: Member) -> None:
    assert member.apply(Put(b"a", b"1")) == PutResult(2)
    assert member.apply(DeleteRange(b"a")) == DeleteRangeResult(3, 1)
    assert member.apply(Txn(success=(Put(b"b"),))) == TxnResult(4, True, (PutResult(4),))
    assert member.apply(Compact(3)) == CompactResult(4)
    assert [event.kv.key for event in member.machine.take_events()] == [b"a", b"a", b"b"]


def test_a_failed_command_is_a_result_and_changes_nothing(member: Member) -> None:
    member.apply(Put(b"a"))
    before = list(member.machine.snapshot_chunks())[1:]
    failures: dict[Command, type[KvError]] = {
        Put(b"a", lease=99): LeaseNotFoundError,
        LeaseRevoke(99): LeaseNotFoundError,
        Compact(99): FutureRevisionError,
        Compact(-1): CompactedError,
        Txn(success=(Put(b"b"), Range(b"a", revision=99))): FutureRevisionError,
    }
    for command, error in failures.items():
        result = member.apply(command)
        assert isinstance(result, error)
        assert result.__traceback__ is None
    assert list(member.machine.snapshot_chunks())[1:] == before
    assert member.machine.applied_index == 1 + len(failures)


def test_the_applied_index_counts_entries_without_a_command(member: Member) -> None:
    member.machine.skip(1)
    assert member.machine.applied_index == 1
    with pytest.raises(AssertionError):
        member.machine.skip(1)


def test_a_lease_is_granted_once(member: Member) -> None:
    assert member.apply(LeaseGrant(7, 60)) == LeaseGrantResult(1, 7, 60)
    assert isinstance(member.apply(LeaseGrant(7, 30)), LeaseExistsError)
    assert member.machine.lessor.leases() == [7]


def test_revoking_a_lease_deletes_its_keys_in_one_revision_in_key_order(member: Member) -> None:
    member.apply(LeaseGrant(7, 60))
    for key in (b"b", b"c", b"a"):
        member.apply(Put(key, lease=7))
    member.apply(Put(b"c"))
    member.machine.take_events()
    assert member.apply(LeaseRevoke(7)) == Applied(6)
    deletes = [event.kv for event in member.machine.take_events()]
    assert [(kv.key, kv.mod_revision, kv.sub) for kv in deletes] == [(b"a", 6, 0), (b"b", 6, 1)]
    assert member.machine.lessor.leases() == []


def test_revoking_a_lease_without_keys_makes_no_revision(member: Member) -> None:
    member.apply(LeaseGrant(7, 60))
    assert member.apply(LeaseRevoke(7)) == Applied(1)


def test_a_checkpoint_reaches_the_leases_that_still_exist(member: Member) -> None:
    member.apply(LeaseGrant(7, 60))
    assert member.apply(LeaseCheckpoint(((7, 20), (8, 5)))) == Applied(1)
    assert [record.remaining_seconds for record in member.machine.lessor.records()] == [20]


def test_a_member_publishes_its_name_and_urls(member: Member) -> None:
    urls = ("http://a", "http://b")
    assert member.apply(PublishMember(3, "m3", urls)) == MembershipResult(1, None)
    assert member.machine.members.records == {3: MemberRecord("m3", urls, ("http://p",))}


# Alarms.


def test_a_change_of_the_membership_says_who_votes_now(member: Member) -> None:
    learner = AddMember(9, ("http://q",), is_learner=True)
    change = MembershipChange(learners=(9,))
    assert member.apply(learner) == MembershipResult(1, change)
    assert isinstance(member.apply(learner), MemberExistsError)


def test_an_alarm_is_raised_and_disarmed_per_member(member: Member) -> None:
    alarm = AlarmMember(AlarmType.NOSPACE, MEMBER)
    activate = Alarm(AlarmAction.ACTIVATE, MEMBER, AlarmType.NOSPACE)
    for _ in range(2):
        assert member.apply(activate) == AlarmResult(1, (alarm,))
    other = Alarm(AlarmAction.DEACTIVATE, OTHER_MEMBER, AlarmType.NOSPACE)
    assert member.apply(other) == AlarmResult(1)
    assert member.machine.alarms == {alarm}
    deactivate = Alarm(AlarmAction.DEACTIVATE, MEMBER, AlarmType.NOSPACE)
    assert member.apply(deactivate) == AlarmResult(1, (alarm,))
    assert member.apply(deactivate) == AlarmResult(1)
    assert member.machine.alarms == frozenset()


NEEDS_SPACE: list[Command] = [
    Put(b"a"),
    Txn(success=(Range(b"a"), Put(b"a"))),
    Txn(failure=(Put(b"a"),)),
    Txn(success=(Txn(failure=(Put(b"a"),)),)),
    LeaseGrant(8, 60),
]
FREES_SPACE: list[Command] = [
    DeleteRange(b"a"),
    Txn(success=(DeleteRange(b"b"), Range(b"a"), Txn(success=(Range(b"a"),)))),
    LeaseRevoke(7),
    Compact(2),
]
BOOKKEEPING: list[Command] = [LeaseCheckpoint(((7, 5),)), PublishMember(3, "m3", ())]


@pytest.fixture
def full_member(member: Member) -> Member:
    member.apply(LeaseGrant(7, 60))
    member.apply(Put(b"a"))
    member.apply(Put(b"b", lease=7))
    raise_alarm(member, AlarmType.NOSPACE)
    return member


@pytest.mark.parametrize("command", NEEDS_SPACE)
def test_without_space_what_needs_it_is_refused(full_member: Member, command: Command) -> None:
    assert isinstance(full_member.apply(command), NoSpaceError)
    full_member.restart()
    assert isinstance(full_member.apply(command), NoSpaceError)
    full_member.apply(Alarm(AlarmAction.DEACTIVATE, MEMBER, AlarmType.NOSPACE))
    assert not isinstance(full_member.apply(command), KvError)


@pytest.mark.parametrize("command", FREES_SPACE + BOOKKEEPING)
def test_without_space_what_frees_it_goes_on(full_member: Member, command: Command) -> None:
    assert not isinstance(full_member.apply(command), KvError)


@pytest.mark.parametrize("command", NEEDS_SPACE + FREES_SPACE)
def test_a_corrupt_cluster_changes_nothing(full_member: Member, command: Command) -> None:
    raise_alarm(full_member, AlarmType.CORRUPT)
    assert isinstance(full_member.apply(command), CorruptError)


@pytest.mark.parametrize("command", BOOKKEEPING)
def test_a_corrupt_cluster_goes_on_with_its_bookkeeping(
    full_member: Member, command: Command
) -> None:
    raise_alarm(full_member, AlarmType.CORRUPT)
    assert isinstance(full_member.apply(command), Applied | MembershipResult)


# Snapshots.


def test_a_snapshot_carries_everything(member: Member) -> None:
    member.machine.skip(next(member.indexes))
    member.apply(LeaseGrant(7, 60))
    member.apply(LeaseGrant(8, 60))
    member.apply(LeaseCheckpoint(((7, 20),)))
    member.apply(PublishMember(3, "m3", ("http://a",)))
    raise_alarm(member, AlarmType.CORRUPT)
    member.apply(Alarm(AlarmAction.DEACTIVATE, MEMBER, AlarmType.CORRUPT))
    raise_alarm(member, AlarmType.NOSPACE)
    before = member.machine
    member.restart()
    after = member.machine
    assert after.applied_index == before.applied_index
    assert after.members.records == before.members.records != {3: FOUNDER}
    assert after.alarms == before.alarms != frozenset()
    assert list(after.lessor.records()) == list(before.lessor.records())


def test_a_snapshot_is_of_the_moment_of_the_call(member: Member) -> None:
    member.apply(LeaseGrant(7, 60))
    member.apply(Put(b"a", b"1", lease=7))
    member.apply(Put(b"a", b"2", lease=7))
    expected = member.machine.store.hash_kv(0)
    chunks = member.machine.snapshot_chunks()
    member.apply(Put(b"a", b"3"))
    member.apply(LeaseRevoke(7))
    member.apply(PublishMember(3, "m3", ()))
    member.apply(Compact(4))
    while member.machine.store.compact_slice(1):
        pass
    restored = StateMachine.restore(chunks)
    assert restored.applied_index == 3
    assert restored.store.hash_kv(0) == expected
    assert restored.lessor.keys(7) == [b"a"]
    assert restored.members.records == {3: FOUNDER}


def test_a_restored_member_has_no_events(member: Member) -> None:
    member.apply(Put(b"a"))
    member.restart()
    assert member.machine.take_events() == []


def test_a_large_value_goes_in_several_chunks(member: Member) -> None:
    value = bytes(range(256)) * 4 * 1024 + b"end"
    member.apply(Put(b"a", b"small"))
    member.apply(Put(b"b", value))
    member.apply(Put(b"c", b"small"))
    chunks = list(member.machine.snapshot_chunks())
    assert max(map(len, chunks)) <= CHUNK_BYTES_MAX
    assert len(chunks) > 4
    member.restart()
    kvs = member.machine.store.range(Range(b"a", b"\0")).kvs
    assert [kv.value for kv in kvs] == [b"small", value, b"small"]


def test_many_rows_and_leases_go_in_many_chunks(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "ROWS_PER_CHUNK_MAX", 2)
    monkeypatch.setattr(apply, "LEASES_PER_CHUNK_MAX", 2)
    monkeypatch.setattr(revision_log, "SEGMENT_ROWS_MAX", 3)
    monkeypatch.setattr(store, "LOAD_SLICE_ROWS", 2)
    for number in range(1, 6):
        member.apply(LeaseGrant(number, 60))
        member.apply(Put(b"k%d" % number, lease=number))
    chunks = list(member.machine.snapshot_chunks())
    # The header; leases 2 2 1; rows 2 1 | 2 (what a segment holds, in twos).
    assert len(chunks) == 1 + 3 + 3
    # A pause after each of 3 batches of rows, and after keys 2 and 4.
    assert len(list(StateMachine.restore_slices(chunks))) == 3 + 2
    restored = StateMachine.restore(chunks)
    assert restored.store.hash_kv(0) == member.machine.store.hash_kv(0)
    assert [restored.lessor.keys(number) for number in range(1, 6)] == [
        [b"k%d" % number] for number in range(1, 6)
    ]


def _without(chunks: list[bytes], position: int) -> list[bytes]:
    return chunks[:position] + chunks[position + 1 :]


def test_a_part_of_a_snapshot_is_not_taken_for_the_whole(member: Member) -> None:
    member.apply(LeaseGrant(7, 60))
    member.apply(Put(b"a", bytes(2 * CHUNK_BYTES_MAX)))
    chunks = list(member.machine.snapshot_chunks())
    assert len(chunks) == 5
    # Header, leases, and the value's first and last piece.
    broken = [_without(chunks, 0), _without(chunks, 1), chunks[:2], _without(chunks, 4)]
    for part in broken:
        with pytest.raises(AssertionError):
            StateMachine.restore(part)
    with pytest.raises(AssertionError):
        StateMachine.restore([chunks[0], *chunks])


# Members stay equal.

_keys = st.sampled_from([b"a", b"b", b"c", b"d"])
_ends = st.sampled_from([b"", b"c", b"\0"])
_leases = st.sampled_from([0, 0, 7, 8])
_puts = st.builds(Put, _keys, st.sampled_from([b"", b"1", b"22"]), _leases)
_deletes = st.builds(DeleteRange, _keys, _ends)
_lists = st.lists(st.one_of(_puts, _deletes, st.builds(Range, _keys, _ends)), max_size=3).map(tuple)
_compares = st.builds(
    Compare, st.sampled_from(CompareResult), st.just(CompareTarget.MOD), _keys, st.integers(0, 9)
)
_alarms = st.builds(
    Alarm,
    st.sampled_from([AlarmAction.ACTIVATE, AlarmAction.DEACTIVATE, AlarmAction.DEACTIVATE]),
    st.just(MEMBER),
    st.just(AlarmType.NOSPACE),
)
_commands: st.SearchStrategy[Command] = st.one_of(
    _puts,
    _puts,
    _deletes,
    st.builds(Txn, st.lists(_compares, max_size=1).map(tuple), _lists, _lists),
    st.builds(Compact, st.integers(-1, 30)),
    st.builds(LeaseGrant, st.sampled_from([7, 8]), st.just(60)),
    st.builds(LeaseRevoke, st.sampled_from([7, 8])),
    st.builds(LeaseCheckpoint, st.just(((7, 5), (8, 3)))),
    _alarms,
    st.builds(PublishMember, st.just(1), st.sampled_from(["m1", "m2"]), st.just(())),
)


@pytest.fixture(scope="module")
def small_bounds() -> Iterator[None]:
    """Few rows already make several segments and chunks."""
    with (
        patch.object(revision_log, "SEGMENT_ROWS_MAX", 3),
        patch.object(apply, "ROWS_PER_CHUNK_MAX", 2),
    ):
        yield


def _seen(member: Member) -> tuple[Any, ...]:
    """Everything that a client can see of a member."""
    store = member.machine.store
    first = max(store.compact_revision, 1)
    return (
        member.machine.applied_index,
        member.machine.members.records,
        member.machine.alarms,
        list(member.machine.lessor.records()),
        [member.machine.lessor.keys(id_) for id_ in member.machine.lessor.leases()],
        store.live_bytes,
        [store.range(Range(b"\0", b"\0", revision=r)) for r in range(first, store.revision + 1)],
        [store.hash_kv(r) for r in (0, *range(first + 1, store.revision + 1))],
        list(store.events_since(first)),
    )


def _comparable(result: Any) -> Any:
    return (type(result), str(result)) if isinstance(result, KvError) else result


@pytest.mark.usefixtures("small_bounds")
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(_commands, st.integers(0, 4), st.sampled_from([0, 0, 0, 1])), max_size=40)
)
def test_members_agree_whatever_their_restarts_and_compaction_slices(
    steps: list[tuple[Command, int, int]],
) -> None:
    steady, restless = Member(), Member()
    for command, slices, restarts in steps:
        result = steady.apply(command)
        assert _comparable(restless.apply(command)) == _comparable(result)
        assert restless.machine.take_events() == steady.machine.take_events()
        while steady.machine.store.compact_slice(100):
            pass
        for _ in range(slices):
            restless.machine.store.compact_slice(1)
        if restarts:
            restless.restart()
    assert _seen(restless) == _seen(steady)
    while restless.machine.store.compact_slice(1):
        pass
    assert _seen(restless) == _seen(steady)
    assert restless.machine.store.size_bytes == steady.machine.store.size_bytes
