"""A leader that will soon append again need not say by itself what is committed."""

from kvstore.raft.core import Raft
from kvstore.raft.types import AppendEntries, AppendReply, Propose, ReadIndexReply, ReadIndexRequest

from .single import all_of, drain, make_leader, new_raft, only, step


def acknowledge(index: int, sender: int) -> AppendReply:
    return AppendReply(to=1, sender=sender, term=1, match_index=index)


def empty_appends_to(raft: Raft) -> list[int]:
    return [m.to for m in all_of(drain(raft), AppendEntries) if not m.entries]


def holding_leader() -> Raft:
    """All have one entry, and know that it is committed."""
    raft = new_raft()
    make_leader(raft)
    for member in (2, 3):
        step(raft, acknowledge(1, member))
    raft.hold_commits(True)
    return raft


def write(raft: Raft) -> None:
    """One proposal of the leader's own clients, which 2 has too."""
    raft.propose([b"x"])
    drain(raft)
    raft.step(acknowledge(raft.last_index, 2))


def test_a_commit_that_is_held_travels_with_the_next_entries() -> None:
    raft = holding_leader()
    write(raft)
    assert not empty_appends_to(raft)
    assert raft.commit_index == raft.last_index
    raft.propose([b"y"])
    assert {m.commit for m in all_of(drain(raft), AppendEntries)} == {raft.last_index - 1}


def test_a_commit_that_is_held_is_told_when_the_driver_lets_go() -> None:
    raft = holding_leader()
    write(raft)
    drain(raft)
    raft.hold_commits(False)
    assert empty_appends_to(raft) == [2, 3]


def test_who_proposed_is_told_of_the_commit_at_once() -> None:
    raft = holding_leader()
    step(raft, Propose(to=1, sender=3, term=1, data=(b"x",)))
    raft.step(acknowledge(raft.last_index, 2))
    assert empty_appends_to(raft) == [3]
    write(raft)  # nobody there waits for this one
    assert not empty_appends_to(raft)


def test_who_reads_is_told_of_what_is_committed_at_once() -> None:
    raft = holding_leader()
    write(raft)
    drain(raft)
    raft.step(ReadIndexRequest(to=1, sender=3, term=1, context=7))
    sent = drain(raft)
    assert only(sent, ReadIndexReply).index == raft.last_index
    assert [(m.to, m.commit) for m in all_of(sent, AppendEntries)] == [(3, raft.last_index)]
