"""Ticks: what the core is told of the time that passes, also of that which nobody noticed. Pure.

A loop that is a little late each time must not slow time down for elections, so ticks keep their
rate. Those that were missed altogether, by a process or a machine that stood still, count as
silence of the leader; but only once a whole tick has passed in which it could have been heard.
"""

from kvstore.raft.core import Raft


class Ticks:
    """The ticks of one core, `interval_seconds` apart."""

    def __init__(self, raft: Raft, interval_seconds: float, now: float) -> None:
        self._raft = raft
        self._interval_seconds = interval_seconds
        self._due = now
        self._missed = 0
        self._silence = 0  # of the leader, as of the tick before

    def seconds_to_next(self, now: float) -> float:
        """Schedule the tick after this one."""
        following = self._due + self._interval_seconds
        self._due = following if following > now else now + self._interval_seconds
        return self._due - now

    def tick(self, now: float) -> None:
        """Tell the core that a tick has passed, and what it has missed if that counts by now."""
        raft = self._raft
        if raft.silence_ticks < self._silence:
            self._missed = 0  # the leader was heard
        missed = int((now - self._due) / self._interval_seconds)
        if missed:
            # What the leader sent meanwhile is still to be read, and it may be a moment late.
            self._missed += missed
        elif self._missed:
            raft.pass_over(self._missed)
            self._missed = 0
        raft.tick()
        self._silence = raft.silence_ticks
        if not self._silence:
            self._missed = 0  # it campaigns, and counts anew from here
