"""What a leader knows of one member's log, and how fast it may send to it.

    PROBE      one append per round trip, until it is known where the logs agree
    REPLICATE  appends stream, at most `inflight_max` of them unacknowledged
    SNAPSHOT   nothing: the driver streams a snapshot

Bookkeeping only: no messages and no log may enter.
"""

from collections import deque
from enum import IntEnum


class ProgressState(IntEnum):
    """How a leader treats a member."""

    PROBE = 0
    REPLICATE = 1
    SNAPSHOT = 2


class Progress:
    """One member in the leader's eyes: `match` is known to be durable there, `next` goes next."""

    __slots__ = (
        "_inflight_max",
        "awaited",
        "inflight",
        "is_nudged",
        "is_probed",
        "match",
        "next",
        "sent_commit",
        "silent_ticks",
        "state",
    )

    def __init__(self, next_index: int, inflight_max: int) -> None:
        self.match = 0
        self.next = next_index
        self.state = ProgressState.PROBE
        # Since it was heard, or since we lead it (dissertation, 6.2).
        self.silent_ticks = 0
        # PROBE: the probe is out; wait for its answer or the next sign of life.
        self.is_probed = False
        # REPLICATE: the member lives but lags; one append, empty if the window is full, finds
        # out whether the ones before it were lost.
        self.is_nudged = False
        # Newest commit index it was told; if that append is lost, a heartbeat repeats it.
        self.sent_commit = 0
        # Somebody there waits for this index to be committed, or did.
        self.awaited = 0
        # Last index of each unacknowledged append, oldest first.
        self.inflight: deque[int] = deque()
        self._inflight_max = inflight_max

    def become_probe(self, next_index: int) -> None:
        """Find out where the logs agree, first with an append that starts at `next_index`."""
        self._become(ProgressState.PROBE)
        self.next = max(next_index, self.match + 1)

    def become_replicate(self) -> None:
        """The logs agree up to `match`: stream what follows."""
        self._become(ProgressState.REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self) -> None:
        """What the member needs is compacted: wait for the driver's snapshot."""
        self._become(ProgressState.SNAPSHOT)

    def _become(self, state: ProgressState) -> None:
        self.state = state
        self.is_probed = self.is_nudged = False
        self.inflight.clear()

    @property
    def is_full(self) -> bool:
        """Tell whether the window is used up."""
        return len(self.inflight) >= self._inflight_max

    def can_send(self, last_index: int, commit: int, *, holds_commits: bool) -> bool:
        """Tell whether an append should go out now.

        `holds_commits`: that more is committed is told with the next entries, where nobody waits.
        """
        if self.state is ProgressState.PROBE:
            return not self.is_probed
        if self.state is ProgressState.SNAPSHOT:
            return False
        has_news = self.next <= last_index or (
            self.sent_commit < commit and (not holds_commits or self.sent_commit < self.awaited)
        )
        return self.is_nudged or (has_news and not self.is_full)

    def awaits(self, index: int) -> None:
        """Somebody there waits for the commit of `index`."""
        self.awaited = max(self.awaited, index)

    def needs_reply(self, entry_count: int) -> bool:
        """Tell whether we learn something from the reply to an append of so many entries."""
        return bool(entry_count) or self.is_nudged or self.state is ProgressState.PROBE

    def sent(self, entry_count: int, commit: int) -> None:
        """An append with the next `entry_count` entries has gone out."""
        self.sent_commit = commit
        self.is_nudged = False
        if self.state is ProgressState.PROBE:
            self.is_probed = True
        elif entry_count:
            self.next += entry_count
            self.inflight.append(self.next - 1)

    def heard(self, last_index: int) -> None:
        """The member answered a heartbeat: if it lags, what was sent may have been lost."""
        self.silent_ticks = 0
        self.is_probed = False
        self.is_nudged = self.state is ProgressState.REPLICATE and self.match < last_index

    def acknowledge(self, match_index: int, first_index: int) -> None:
        """The member's log is durable and agrees up to `match_index`.

        `first_index` is the first entry that the leader still has: a member that lacks one
        before it stays in SNAPSHOT.
        """
        is_news = match_index > self.match
        self.match = max(self.match, match_index)
        self.next = max(self.next, self.match + 1)
        if self.state is ProgressState.REPLICATE:
            while self.inflight and self.inflight[0] <= match_index:
                self.inflight.popleft()
        elif self.state is ProgressState.PROBE:
            # A late acknowledgement of less than `match` says nothing about now.
            if match_index == self.match:
                self.become_replicate()
        elif is_news and self.match + 1 >= first_index:
            self.become_replicate()

    def reject(self, rejected_index: int, hint_index: int) -> None:
        """The member has no match at `rejected_index`; `hint_index` is the next candidate."""
        if self.state is ProgressState.SNAPSHOT:
            return
        if rejected_index <= self.match:
            # It once acknowledged this: the answer is a very late one, or the member's disk was
            # wiped. To believe it is safe either way, `match` only falls.
            self.match = 0
            self.become_probe(min(rejected_index, hint_index + 1))
        elif self.state is ProgressState.REPLICATE:
            self.become_probe(self.match + 1)
        elif rejected_index == self.next - 1:
            self.become_probe(min(rejected_index, hint_index + 1))

    def check_invariants(self, last_index: int) -> None:
        """Assert what must always hold on a leader whose log ends at `last_index`."""
        assert 0 <= self.match < self.next <= last_index + 1
        assert len(self.inflight) <= self._inflight_max
        assert self.state is ProgressState.REPLICATE or not self.inflight
        assert all(self.match < index < self.next for index in self.inflight)
        assert list(self.inflight) == sorted(self.inflight)
