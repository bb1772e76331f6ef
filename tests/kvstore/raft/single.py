"""One core alone, member 1 of a cluster whose other members are played by the test."""

from collections.abc import Sequence
from itertools import cycle
from typing import TypeVar

from kvstore.raft.core import Raft
from kvstore.raft.types import (
    AppendEntries,
    Config,
    Entry,
    HardState,
    Heartbeat,
    Membership,
    Message,
    Ready,
    RequestVote,
    Restored,
    Role,
    SnapshotMeta,
    VoteReply,
)

ELECTION_TICKS = 10
SILENT_TICKS = 15  # … of a quorum, and a leader steps down

M = TypeVar("M", bound=Message)


def entries(*terms: int, first: int = 1) -> tuple[Entry, ...]:
    """One entry of each of these terms."""
    return tuple(Entry(index, term, b"%d" % index) for index, term in enumerate(terms, first))


def new_raft(
    *terms: int,
    term: int = 0,
    vote: int = 0,
    commit: int = 0,
    voters: Sequence[int] = (1, 2, 3),
    learners: Sequence[int] = (),
    timeouts: Sequence[int] = (ELECTION_TICKS,),
    heartbeat_ticks: int = 1,
    append_bytes_max: int = 1024 * 1024,
    inflight_appends_max: int = 256,
    uncommitted_bytes_max: int = 1024 * 1024,
) -> Raft:
    """Member 1, restored with a log of these terms."""
    draw = cycle(timeouts)
    membership = Membership(voters=tuple(voters), learners=tuple(learners))
    return Raft(
        Config(
            member_id=1,
            election_ticks=ELECTION_TICKS,
            heartbeat_ticks=heartbeat_ticks,
            append_bytes_max=append_bytes_max,
            inflight_appends_max=inflight_appends_max,
            uncommitted_bytes_max=uncommitted_bytes_max,
        ),
        Restored(
            hard_state=HardState(max(term, *terms, 0), vote, commit),
            first=SnapshotMeta(0, 0, membership),
            entries=entries(*terms),
        ),
        lambda: next(draw),
    )


def drain(raft: Raft) -> list[Message]:
    """Be the driver until nothing is left to do; all messages that it sent."""
    sent: list[Message] = []
    while raft.has_ready():
        ready = raft.ready()
        finish(raft, ready)
        sent += (*ready.appends, *ready.promises)
    raft.check_invariants()
    return sent


def finish(raft: Raft, ready: Ready) -> None:
    """The disk has it, and the state machine too."""
    raft.stored(ready)
    if ready.committed:
        raft.applied(ready.committed[-1].index)
    raft.check_invariants()


def only(messages: Sequence[Message], kind: type[M]) -> M:
    """The one message of a kind."""
    found = [message for message in messages if isinstance(message, kind)]
    assert len(found) == 1, messages
    return found[0]


def all_of(messages: Sequence[Message], kind: type[M]) -> list[M]:
    """The messages of a kind."""
    return [message for message in messages if isinstance(message, kind)]


def is_role(raft: Raft, role: Role) -> bool:
    """A role to assert on twice: mypy takes a property for a constant."""
    return raft.role is role


def step(raft: Raft, message: Message) -> list[Message]:
    """Step one message; what was sent in the end."""
    raft.step(message)
    return drain(raft)


def tick(raft: Raft, ticks: int) -> list[Message]:
    """Let time pass; what was sent."""
    sent: list[Message] = []
    for _ in range(ticks):
        raft.tick()
        sent += drain(raft)
    return sent


def append(
    term: int,
    previous_index: int = 0,
    previous_term: int = 0,
    new: tuple[Entry, ...] = (),
    *,
    commit: int = 0,
    sender: int = 2,
) -> AppendEntries:
    """An append from another member to ours."""
    return AppendEntries(
        to=1,
        sender=sender,
        term=term,
        previous_index=previous_index,
        previous_term=previous_term,
        commit=commit,
        entries=new,
    )


def heartbeat(term: int, *, sender: int = 2, commit: int = 0, read_context: int = 0) -> Heartbeat:
    """A heartbeat from another member to ours."""
    return Heartbeat(to=1, sender=sender, term=term, commit=commit, read_context=read_context)


def request_vote(
    term: int,
    last_index: int = 0,
    last_term: int = 0,
    *,
    sender: int = 2,
    pre_vote: bool = False,
    transfer: bool = False,
) -> RequestVote:
    """A vote request from another member to ours."""
    return RequestVote(
        to=1,
        sender=sender,
        term=term,
        last_index=last_index,
        last_term=last_term,
        pre_vote=pre_vote,
        transfer=transfer,
    )


def vote(term: int, *, sender: int = 2, granted: bool = True, pre_vote: bool = False) -> VoteReply:
    """Another member's vote."""
    return VoteReply(to=1, sender=sender, term=term, granted=granted, pre_vote=pre_vote)


def make_candidate(raft: Raft) -> list[Message]:
    """Campaign and win the pre-vote; what was sent as a candidate."""
    raft.campaign()
    drain(raft)
    sent = step(raft, vote(raft.term + 1, pre_vote=True))
    assert raft.role is Role.CANDIDATE
    return sent


def make_leader(raft: Raft) -> list[Message]:
    """Win an election with member 2's vote; what was sent as the leader."""
    make_candidate(raft)
    sent = step(raft, vote(raft.term))
    assert raft.role is Role.LEADER
    return sent
