"""How long a leader holds commits back: while it appends quickly, and a moment beyond."""

from kvstore.raft.types import AppendReply
from kvstore.server.commit_hold import HOLD_SECONDS, CommitHold
from tests.kvstore.raft.single import drain, make_leader, new_raft, step

from .watched import ManualClock


class Bench:
    """A leader whose member 2 acknowledges at once."""

    def __init__(self) -> None:
        self.raft = new_raft()
        make_leader(self.raft)
        step(self.raft, AppendReply(to=1, sender=2, term=1, match_index=1))
        self.clock = ManualClock()
        self.clock.time = 100.0
        self.wakes = 0
        self._hold = CommitHold(self.raft, self.clock, self._wake)

    def _wake(self) -> None:
        self.wakes += 1

    def append_and_commit(self) -> bool:
        """One write; tell whether the commit was told by itself."""
        self.raft.propose([b"x"])
        drain(self.raft)
        self._hold.appended()
        reply = AppendReply(to=1, sender=2, term=1, match_index=self.raft.last_index)
        return bool(step(self.raft, reply))


def test_a_write_after_a_pause_is_told_at_once() -> None:
    bench = Bench()
    for _ in range(3):
        assert bench.append_and_commit()
        bench.clock.advance(2 * HOLD_SECONDS)
    assert bench.wakes == 0


def test_writes_that_follow_closely_are_held_until_there_are_none() -> None:
    bench = Bench()
    assert bench.append_and_commit()
    for _ in range(20):
        bench.clock.advance(HOLD_SECONDS / 2)
        assert not bench.append_and_commit()
        assert len(bench.clock.timers) == 1
    assert bench.wakes == 0
    bench.clock.advance(2 * HOLD_SECONDS)
    assert bench.wakes == 1
    assert drain(bench.raft)  # the last one's
    bench.clock.advance(2 * HOLD_SECONDS)
    assert bench.append_and_commit()
    assert bench.wakes == 1
