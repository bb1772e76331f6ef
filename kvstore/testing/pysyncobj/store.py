"""A key-value store with revisions, replicated by PySyncObj: what its users write.

All four operations go through its log, a read too: what it answers from a member's own copy may be
old, as its documentation says, and nothing stronger is offered. Answers carry revisions as etcd's
do, so that histories can be judged alike.
"""

from collections.abc import Callable, Set
from typing import Any

from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf, replicated
from pysyncobj.transport import Transport

from kvstore.testing.history import Write
from kvstore.testing.pysyncobj.moments import DUMP, JOURNAL
from kvstore.testing.pysyncobj.transport import Member

SUCCESS: int = FAIL_REASON.SUCCESS

Answer = tuple[bool, int, bytes | None, int]
"""Was it effective, the store's revision, and of a get the value and its mod_revision."""

TransportClass = Callable[[Any, Member, set[Member]], Transport]


class ReplicatedStore(SyncObj):  # type: ignore[misc]  # PySyncObj has no types
    """One member's copy. All that is set behind PySyncObj's own constructor is its state."""

    def __init__(
        self,
        member: Member,
        others: Set[Member],
        transport_class: TransportClass,
        *,
        snapshot_count: int,
    ) -> None:
        """`snapshot_count`: entries in the log that make it compact."""
        settings = SyncObjConf(
            autoTick=False,
            journalFile=JOURNAL,
            fullDumpFile=DUMP,
            logCompactionMinEntries=snapshot_count,
            useFork=False,  # one process has all members; an option that PySyncObj offers
        )
        super().__init__(member, others, conf=settings, transportClass=transport_class)
        self.revision = 1  # of an empty store, as in etcd
        self.found: dict[bytes, tuple[bytes, int]] = {}
        self.writes: list[tuple[int, bytes, bytes | None]] = []

    def role_number(self) -> int:
        """0: follower, 1: candidate, 2: leader."""
        number: int = self._SyncObj__raftState
        return number

    def campaign(self) -> None:
        """Let its election timeout run out."""
        self._SyncObj__raftElectionDeadline = 0.0

    def history(self) -> list[Write]:
        """All writes, in their order."""
        return [Write(*write) for write in self.writes]

    @replicated  # type: ignore[untyped-decorator]
    def put(self, key: bytes, value: bytes) -> Answer:
        """Set a key."""
        return self._write(key, value)

    @replicated  # type: ignore[untyped-decorator]
    def delete(self, key: bytes) -> Answer:
        """Remove a key."""
        return self._write(key, None) if key in self.found else self._unchanged()

    @replicated  # type: ignore[untyped-decorator]
    def compare_and_set(self, key: bytes, mod_revision: int, value: bytes) -> Answer:
        """Set a key if it still is what it was at `mod_revision`; 0 = if it does not exist."""
        _, found = self.found.get(key, (b"", 0))
        return self._write(key, value) if found == mod_revision else self._unchanged()

    @replicated  # type: ignore[untyped-decorator]
    def get(self, key: bytes) -> Answer:
        """Read a key."""
        value, mod_revision = self.found.get(key, (None, 0))
        return True, self.revision, value, mod_revision

    def _write(self, key: bytes, value: bytes | None) -> Answer:
        self.revision += 1
        self.writes.append((self.revision, key, value))
        if value is None:
            del self.found[key]
        else:
            self.found[key] = (value, self.revision)
        return True, self.revision, None, 0

    def _unchanged(self) -> Answer:
        return False, self.revision, None, 0
