"""The safety properties of Raft (Figure 3) over all members, whatever the schedule did."""

from collections.abc import Iterable

from kvstore.raft.types import Role

from .member import Machine, Member


class SafetyChecker:
    """Remembers what was ever seen; `check` after every step."""

    def __init__(self) -> None:
        self._leaders: dict[int, int] = {}
        self._entries: dict[tuple[int, int], tuple[bytes, int]] = {}
        self._committed: dict[int, tuple[int, bytes]] = {}
        self._reads_floor: dict[tuple[int, int], int] = {}
        self._reads_seen: dict[int, int] = {}
        # What was checked of each member already, so that a step costs what it changed.
        self._logs_seen: dict[int, tuple[int, int, int]] = {}
        self._commits_seen: dict[int, int] = {}
        self._machines_seen: dict[int, Machine] = {}

    @property
    def committed_index(self) -> int:
        """Highest index that any member ever knew to be committed."""
        return max(self._committed, default=0)

    def read_begins(self, member: int, context: int) -> None:
        """A read may not miss what is committed when it is asked for."""
        self._reads_floor[member, context] = self.committed_index

    def check(self, members: Iterable[Member]) -> None:
        """Assert all safety properties."""
        running = [member for member in members if member.is_up]
        for member in running:
            member.raft.check_invariants()
            self._check_log(member)
        for member in running:
            self._check_leader(member)
            self._check_commit(member)
            self._check_machine(member)
            self._check_reads(member)

    def _check_log(self, member: Member) -> None:
        """Log Matching: an index and a term name one entry and one predecessor, everywhere."""
        log = member.raft.state.log
        tail = (log.compacted_index, log.last_index, log.last_term)
        if self._logs_seen.get(member.member_id) == tail:
            return
        self._logs_seen[member.member_id] = tail
        previous_term = log.compacted_term
        for entry in log.entries(log.compacted_index + 1, log.last_index):
            seen = self._entries.setdefault((entry.index, entry.term), (entry.data, previous_term))
            assert seen == (entry.data, previous_term), "log matching"
            previous_term = entry.term

    def _check_leader(self, member: Member) -> None:
        """Election Safety, and Leader Completeness: it has what was committed before."""
        raft = member.raft
        if raft.role is not Role.LEADER:
            return
        leader = self._leaders.setdefault(raft.term, member.member_id)
        assert leader == member.member_id, f"two leaders in term {raft.term}"
        if any(raft.term < other for other in self._leaders):
            return  # A deposed leader that does not know it yet may lack what came later.
        log = raft.state.log
        assert log.last_index >= self.committed_index, "leader completeness"
        for index, (term, _) in self._committed.items():
            if index > log.compacted_index:
                assert log.term(index) == term, "leader completeness"

    def _check_commit(self, member: Member) -> None:
        """What one member takes for committed nobody else may see differently."""
        log = member.raft.state.log
        seen = self._commits_seen.get(member.member_id, 0)
        self._commits_seen[member.member_id] = log.commit
        for entry in log.entries(max(seen, log.compacted_index) + 1, log.commit):
            fact = (entry.term, entry.data)
            assert self._committed.setdefault(entry.index, fact) == fact, "committed twice"

    def _check_machine(self, member: Member) -> None:
        """State Machine Safety: the same command at each index, none left out."""
        if self._machines_seen.get(member.member_id) is member.machine:
            return
        self._machines_seen[member.member_id] = member.machine
        for expected_index, (index, term, data) in enumerate(member.machine, 1):
            assert index == expected_index, "applied out of order"
            assert self._committed.get(index) == (term, data), "state machine safety"

    def _check_reads(self, member: Member) -> None:
        start = self._reads_seen.get(member.member_id, 0)
        for context, index in member.reads[start:]:
            floor = self._reads_floor[member.member_id, context]
            assert index >= floor, f"stale read: {index} < {floor}"
        self._reads_seen[member.member_id] = len(member.reads)
