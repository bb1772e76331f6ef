"""Each checker accepts what can be, and names what cannot."""

import pytest

from kvstore.apply import StateMachine
from kvstore.commands import AddMember, Proposal, Put, RemoveMember
from kvstore.members import MemberRecord
from kvstore.raft.log import Log
from kvstore.raft.types import Entry, Membership, SnapshotMeta
from kvstore.testing.history import ViolationError
from kvstore.testing.simulation.invariants import (
    CommittedOnce,
    EqualHistories,
    EqualStates,
    LeaderCompleteness,
    LogMatching,
    Look,
    MonotoneCommit,
    OneLeaderPerTerm,
    Safety,
    check_acknowledged,
    check_members,
)

FIRST = SnapshotMeta(0, 0, Membership(voters=(1, 2, 3)))


def log(*terms: int, commit: int = 0, data: bytes = b"x", first: SnapshotMeta = FIRST) -> Log:
    """A log whose entries have these terms."""
    entries = [Entry(index, term, data) for index, term in enumerate(terms, first.index + 1)]
    made = Log(first, entries)
    made.commit_to(commit or first.index)
    return made


def look(member_id: int, term: int, of: Log, *, life: int = 0, is_leader: bool = False) -> Look:
    return Look(member_id, life, term, is_leader, of)


def leader(member_id: int, term: int, of: Log) -> Look:
    return look(member_id, term, of, is_leader=True)


def test_a_term_has_one_leader() -> None:
    checker = OneLeaderPerTerm()
    checker.check(leader(1, 2, log()))
    checker.check(leader(1, 2, log()))
    checker.check(leader(2, 3, log()))
    checker.check(look(3, 2, log()))
    with pytest.raises(ViolationError, match="two leaders: member 3 in term 2, and member 1"):
        checker.check(leader(3, 2, log()))


def test_a_commit_index_falls_with_a_restart_only() -> None:
    checker = MonotoneCommit()
    checker.check(look(1, 1, log(1, 1, commit=2)))
    checker.check(look(2, 1, log(1, 1, commit=1)))
    checker.check(look(1, 1, log(1, 1, commit=1), life=1))
    with pytest.raises(ViolationError, match="fell from 2 to 1"):
        checker.check(look(1, 1, log(1, 1, commit=1)))


def test_an_index_and_a_term_name_one_entry() -> None:
    checker = LogMatching()
    checker.check(look(1, 2, log(1, 1, 2)))
    checker.check(look(2, 2, log(1, 1)))
    checker.check(look(3, 3, log(1, 3)))
    with pytest.raises(ViolationError, match="do not match at 1"):
        checker.check(look(2, 2, log(1, data=b"other")))


def test_an_index_and_a_term_name_one_history() -> None:
    checker = LogMatching()
    checker.check(look(1, 2, log(1, 1, 2)))
    with pytest.raises(ViolationError, match="do not match at 3"):
        checker.check(look(2, 2, log(1, 2, 2)))


def test_what_was_cut_off_and_written_anew_is_looked_at_again() -> None:
    checker = LogMatching()
    checker.check(look(1, 3, log(1, 3, 3)))
    follower = log(1, 2)
    checker.check(look(2, 2, follower))
    follower.merge(1, 1, [Entry(2, 3, b"x"), Entry(3, 3, b"y")])
    with pytest.raises(ViolationError, match="do not match at 3"):
        checker.check(look(2, 3, follower))


def test_what_was_compacted_has_its_term_still() -> None:
    checker = LogMatching()
    checker.check(look(1, 2, log(1, 2, 2)))
    checker.check(look(2, 2, log(2, first=SnapshotMeta(2, 2, FIRST.membership))))
    with pytest.raises(ViolationError, match="do not match at 3"):
        checker.check(look(3, 2, log(2, first=SnapshotMeta(2, 1, FIRST.membership))))


def test_an_index_is_committed_once() -> None:
    checker = CommittedOnce()
    checker.check(look(1, 2, log(1, 1, commit=2)))
    checker.check(look(2, 2, log(1, 1, 2, commit=3)))
    checker.check(look(3, 2, log(1, 2, commit=1)))
    with pytest.raises(ViolationError, match="two entries are committed at 2"):
        checker.check(look(3, 2, log(1, 2, commit=2)))


def test_a_leader_has_what_was_committed_before_it() -> None:
    committed = CommittedOnce()
    checker = LeaderCompleteness(committed)
    committed.check(look(1, 2, log(1, 2, commit=2)))
    checker.check(leader(2, 3, log(1, 2, 3)))
    checker.check(look(3, 3, log(1)))
    with pytest.raises(ViolationError, match="member 3 in term 4 leads without the committed"):
        checker.check(leader(3, 4, log(1, 4)))


def test_a_leader_may_lack_what_later_terms_committed() -> None:
    committed = CommittedOnce()
    checker = LeaderCompleteness(committed)
    committed.check(look(1, 5, log(1, 5, commit=2)))
    checker.check(leader(2, 4, log(1, 4)))
    with pytest.raises(ViolationError):
        checker.check(leader(2, 6, log(1, 4, 6)))


def test_what_a_snapshot_covers_is_there() -> None:
    committed = CommittedOnce()
    checker = LeaderCompleteness(committed)
    committed.check(look(1, 2, log(1, 2, 2, commit=3)))
    checker.check(leader(2, 3, log(2, 3, first=SnapshotMeta(2, 2, FIRST.membership))))
    with pytest.raises(ViolationError, match="committed entry 3"):
        checker.check(leader(3, 4, log(4, first=SnapshotMeta(2, 2, FIRST.membership))))


def test_all_properties_are_looked_at_when_something_has_changed() -> None:
    safety = Safety()
    unchanged = log(1, 1, commit=1)
    assert safety.check(look(1, 1, unchanged))
    assert not safety.check(look(1, 1, unchanged))
    assert safety.check(look(1, 2, unchanged))
    assert safety.term_max == 2
    assert safety.check(leader(2, 2, log(1, 1, 2)))
    assert safety.leaders == {2: 2}
    for impossible in (
        leader(1, 2, unchanged),
        look(2, 2, log(1, 1, 2, data=b"other")),
        look(3, 3, log(3, commit=1)),
        leader(3, 3, log(3)),
    ):
        with pytest.raises(ViolationError):
            safety.check(impossible)


def machine(*values: bytes) -> StateMachine:
    """A state machine that has applied one put for each."""
    made = StateMachine()
    for index, value in enumerate(values, 1):
        made.apply(index, Proposal(1, 0, Put(b"key", value)))
    return made


def test_who_has_applied_as_much_is_equal() -> None:
    checker = EqualStates()
    checker.check(machine(b"1", b"2"))
    checker.check(machine(b"1", b"2"))
    checker.check(machine(b"1"))
    with pytest.raises(ViolationError, match="states differ at index 2"):
        checker.check(machine(b"1", b"longer"))


def test_a_revision_says_the_same_everywhere() -> None:
    checker = EqualHistories()
    checker.check(1, machine(b"1", b"2", b"3"))
    checker.check(2, machine(b"1", b"2"))
    assert checker.revision_max == 4
    with pytest.raises(ViolationError, match="revision 3 differs on member 3"):
        checker.check(3, machine(b"1", b"5"))


def test_a_state_that_was_replaced_is_looked_at_from_its_beginning() -> None:
    checker = EqualHistories()
    checker.check(1, machine(b"1", b"2", b"3"))
    with pytest.raises(ViolationError, match="revision 2 differs on member 1"):
        checker.check(1, machine(b"0", b"2", b"3"))


def test_the_core_counts_whom_the_state_machine_lists() -> None:
    machine = StateMachine({1: MemberRecord(peer_urls=("http://a:1",)), 2: MemberRecord()})
    check_members(1, Membership(voters=(1, 2)), machine)
    machine.apply(1, Proposal(1, 1, AddMember(3, ("http://c:1",), is_learner=True)))
    machine.apply(2, Proposal(1, 2, RemoveMember(2)))
    check_members(1, Membership(voters=(1,), learners=(3,), removed=(2,)), machine)
    for missed in (
        Membership(voters=(1, 2), learners=(3,)),
        Membership(voters=(1,), removed=(2,)),
        Membership(voters=(1, 3), removed=(2,)),
        Membership(voters=(1,), outgoing=(1, 2), learners=(3,), removed=(2,)),
    ):
        with pytest.raises(ViolationError, match=r"member 1 counts .* at index 2"):
            check_members(1, missed, machine)


def test_what_was_acknowledged_is_there_while_the_term_lasts() -> None:
    leads = leader(1, 3, log(1, 3, 3))
    follower = look(2, 3, log(1, 3))
    check_acknowledged(leads, {2: 2}, [leads, follower])
    check_acknowledged(leads, {}, [leads, follower])
    check_acknowledged(leads, {2: 3}, [look(2, 4, log(1))])
    compacted = log(3, first=SnapshotMeta(3, 3, FIRST.membership))
    check_acknowledged(leads, {2: 3}, [look(2, 3, compacted)])
    for lacks in (log(1, 3), log(1, 2, 2), log()):
        with pytest.raises(ViolationError, match="lacks 3, which it has acknowledged"):
            check_acknowledged(leads, {2: 3}, [look(2, 3, lacks)])
    unsynced = log(1, 3)
    unsynced.append([Entry(3, 3, b"x")])
    with pytest.raises(ViolationError, match="lacks 3, which it has acknowledged"):
        check_acknowledged(leads, {2: 3}, [look(2, 3, unsynced)])
