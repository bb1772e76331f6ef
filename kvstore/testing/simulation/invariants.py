"""What must hold among the members at every moment (Raft, Figure 3), each as a small checker.

A checker is shown one member's core, or its state machine, and remembers what it has seen. It
looks only at what is new, so that it can look often. Each raises ViolationError.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from kvstore.apply import StateMachine
from kvstore.mvcc.types import KeyValue
from kvstore.raft.log import Log
from kvstore.raft.types import Entry, Membership
from kvstore.testing.history import ViolationError


class Look(msgspec.Struct, frozen=True):
    """What one member's core shows at a moment. `life` counts its restarts."""

    member_id: int
    life: int
    term: int
    is_leader: bool
    log: Log

    def __str__(self) -> str:
        return f"member {self.member_id:x} in term {self.term}"


class Checker(Protocol):
    """One property."""

    def check(self, look: Look) -> None:
        """Raise ViolationError when what is seen cannot be."""


class OneLeaderPerTerm:
    """Election Safety (Raft, 5.2)."""

    def __init__(self) -> None:
        self.leaders: dict[int, int] = {}  # term → member

    def check(self, look: Look) -> None:
        """See `Checker`."""
        if not look.is_leader:
            return
        leader = self.leaders.setdefault(look.term, look.member_id)
        if leader != look.member_id:
            raise ViolationError(f"two leaders: {look}, and member {leader:x}")


class MonotoneCommit:
    """A commit index never falls within one life (Raft, Figure 2)."""

    def __init__(self) -> None:
        self._commits: dict[tuple[int, int], int] = {}

    def check(self, look: Look) -> None:
        """See `Checker`."""
        life = (look.member_id, look.life)
        before = self._commits.get(life, 0)
        if look.log.commit < before:
            raise ViolationError(f"the commit of {look} fell from {before} to {look.log.commit}")
        self._commits[life] = look.log.commit


class LogMatching:
    """An index and a term name one entry, and one history before it (Raft, 5.3)."""

    def __init__(self) -> None:
        self._entries: dict[tuple[int, int], tuple[Entry, int]] = {}
        self._seen: dict[int, dict[int, Entry]] = {}  # member → index → the object checked

    def check(self, look: Look) -> None:
        """See `Checker`."""
        log = look.log
        entries = log.entries(log.compacted_index + 1, log.last_index)
        seen = self._seen.setdefault(look.member_id, {})
        # Logs are cut off at the end only: below an entry that is the same object nothing changed.
        fresh = len(entries)
        while fresh and seen.get(entries[fresh - 1].index) is not entries[fresh - 1]:
            fresh -= 1
        previous_term = entries[fresh - 1].term if fresh else log.compacted_term
        for entry in entries[fresh:]:
            fact = (entry, previous_term)
            known = self._entries.setdefault((entry.index, entry.term), fact)
            if known != fact:
                raise ViolationError(f"logs do not match at {entry.index}: {look} and another")
            seen[entry.index] = entry
            previous_term = entry.term


class CommittedOnce:
    """No two members take different entries of one index for committed (Raft, 5.4.3)."""

    def __init__(self) -> None:
        self.in_order: list[tuple[Entry, int]] = []
        """Committed entries as they became known, each with a term it was committed by."""
        self._entries: dict[int, Entry] = {}
        self._seen: dict[tuple[int, int], int] = {}

    def check(self, look: Look) -> None:
        """See `Checker`."""
        log, life = look.log, (look.member_id, look.life)
        start = max(self._seen.get(life, 0), log.compacted_index)
        self._seen[life] = max(start, log.commit)
        if log.commit <= start:
            return
        for entry in log.entries(start + 1, log.commit):
            known = self._entries.get(entry.index)
            if known is None:
                self._entries[entry.index] = entry
                self.in_order.append((entry, look.term))
            elif known != entry:
                raise ViolationError(f"two entries are committed at {entry.index}: {look}")


class LeaderCompleteness:
    """Whoever leads has all that was committed in terms up to its own (Raft, 5.4)."""

    def __init__(self, committed: CommittedOnce) -> None:
        self._committed = committed
        self._checked: dict[tuple[int, int], int] = {}

    def check(self, look: Look) -> None:
        """See `Checker`."""
        if not look.is_leader:
            return
        leadership = (look.member_id, look.term)
        start = self._checked.get(leadership, 0)
        in_order = self._committed.in_order
        for entry, term in in_order[start:]:
            if term <= look.term and not _has(look.log, entry):
                raise ViolationError(f"{look} leads without the committed entry {entry.index}")
        self._checked[leadership] = len(in_order)


class CommitOfOwnTerm:
    """A leader commits entries of its own term only, all others along with them (Raft, 5.4.2)."""

    def __init__(self) -> None:
        self._commits: dict[tuple[int, int, int], int] = {}

    def check(self, look: Look) -> None:
        """See `Checker`."""
        if not look.is_leader:
            return
        leadership, commit = (look.member_id, look.life, look.term), look.log.commit
        before = self._commits.setdefault(leadership, commit)
        self._commits[leadership] = commit
        if commit > before and look.log.term(commit) != look.term:
            raise ViolationError(f"{look} has committed {commit} of term {look.log.term(commit)}")


class OneChangeAtATime:
    """A leader proposes a change of the membership only once all before it are applied
    (dissertation, 4.1; effective when applied, as in etcd)."""

    def check(self, look: Look) -> None:
        """See `Checker`."""
        changes = look.log.membership_indexes
        if not look.is_leader or len(changes) < 2:
            return
        before, latest = changes[-2:]
        if look.log.term(latest) == look.term and before > look.log.applied:
            raise ViolationError(f"two changes of the membership at once: {look}")


def _has(log: Log, entry: Entry) -> bool:
    """What is compacted was applied, and `EqualStates` looks at that."""
    return entry.index < log.compacted_index or log.matches(entry.index, entry.term)


class Safety:
    """All properties of the cores."""

    def __init__(self) -> None:
        self.term_max = 0
        self._leaders = OneLeaderPerTerm()
        committed = CommittedOnce()
        self._checkers: tuple[Checker, ...] = (
            self._leaders,
            MonotoneCommit(),
            LogMatching(),
            committed,
            LeaderCompleteness(committed),
            CommitOfOwnTerm(),
            OneChangeAtATime(),
        )
        self._before: dict[int, tuple[int, ...]] = {}

    @property
    def leaders(self) -> dict[int, int]:
        """Who led, by term."""
        return self._leaders.leaders

    def check(self, look: Look) -> bool:
        """See `Checker`; tells whether anything has changed since the last look at the member."""
        log = look.log
        now = (look.life, look.term, look.is_leader, log.last_index, log.last_term, log.commit)
        if self._before.get(look.member_id) == now:
            return False
        self._before[look.member_id] = now
        self.term_max = max(self.term_max, look.term)
        for checker in self._checkers:
            checker.check(look)
        return True


class EqualStates:
    """Members that have applied as much are equal (State-Machine Safety)."""

    def __init__(self) -> None:
        self._states: dict[int, object] = {}

    def check(self, machine: StateMachine) -> None:
        """Compare what is cheap to compare; `EqualHistories` sees the rest."""
        store = machine.store
        state = (
            store.revision,
            store.key_count,
            store.live_bytes,
            sorted(machine.lessor.leases()),
            sorted(machine.alarms),
        )
        if self._states.setdefault(machine.applied_index, state) != state:
            raise ViolationError(f"states differ at index {machine.applied_index}")


class EqualHistories:
    """Every revision says the same on all members, whatever way it came to them."""

    def __init__(self) -> None:
        self.revision_max = 0
        self._rows: dict[int, list[KeyValue]] = {}
        self._checked: dict[int, tuple[StateMachine, int]] = {}

    def check(self, member_id: int, machine: StateMachine) -> None:
        """Look at the revisions that this state machine has got since the last time."""
        store = machine.store
        known, checked = self._checked.get(member_id, (None, 0))
        start = max(checked if known is machine else 0, store.compact_revision) + 1
        rows: dict[int, list[KeyValue]] = {}
        if start <= store.revision:
            for event in store.events_since(start):
                rows.setdefault(event.kv.mod_revision, []).append(event.kv)
        for revision in range(start, store.revision + 1):
            mine = rows.get(revision, [])
            if self._rows.setdefault(revision, mine) != mine:
                raise ViolationError(f"revision {revision} differs on member {member_id:x}")
        self._checked[member_id] = (machine, store.revision)
        self.revision_max = max(self.revision_max, store.revision)


def check_acknowledged(leader: Look, matches: dict[int, int], followers: Sequence[Look]) -> None:
    """What a member has acknowledged to its leader it has, on its disk and for as long as the term
    lasts: the leader counts on it (Raft, 5.1, 5.3, and Figure 2, matchIndex).

    `matches`: up to which index each member has, as the leader believes. Raises ViolationError.
    """
    for follower in followers:
        index = matches.get(follower.member_id, 0)
        if follower.term != leader.term or index < leader.log.compacted_index:
            continue
        if index <= follower.log.compacted_index:
            continue  # it was applied there, and `EqualStates` looks at that
        is_there = follower.log.matches(index, leader.log.term(index))
        if not is_there or follower.log.durable < index:
            raise ViolationError(f"{follower} lacks {index}, which it has acknowledged to {leader}")


def check_members(member_id: int, membership: Membership, machine: StateMachine) -> None:
    """Whom a member's core counts are those that its state machine lists, after each change.

    Only while no snapshot waits to be installed: its membership is in effect in the core already.
    Raises ViolationError.
    """
    records, removed = machine.members.records, machine.members.removed
    listed = Membership(
        voters=tuple(sorted(id_ for id_, record in records.items() if not record.is_learner)),
        learners=tuple(sorted(id_ for id_, record in records.items() if record.is_learner)),
        removed=tuple(sorted(removed)),
    )
    if membership != listed:
        raise ViolationError(
            f"member {member_id:x} counts {membership} but lists {listed}"
            f" at index {machine.applied_index}"
        )
