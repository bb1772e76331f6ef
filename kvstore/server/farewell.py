"""How a member takes its leave that the cluster has removed: how long it stays, its last words.

Pure. Whoever asked this member for its removal wants an answer. And if it led, it may be the only
one that knows of the removal: the others then ask it for its vote, to hear that they need none
(`kvstore.raft.election`).
"""

from kvstore.errors import MemberRemovedError

SECONDS_MIN = 1.0
"""Enough for the answers that are due."""

SECONDS_MAX = 30.0
"""Whoever has not heard of it then can be told by starting this member again."""

ELECTIONS = 3
"""Election timeouts in which the others ask for its vote if they need it."""


def seconds(election_seconds: float) -> float:
    """Seconds from its removal to its end."""
    return min(max(SECONDS_MIN, ELECTIONS * election_seconds), SECONDS_MAX)


def error(member_id: int) -> MemberRemovedError:
    """What it ends with."""
    return MemberRemovedError(
        f"member {member_id:x} was removed from the cluster for good. Keep its data folder until"
        " the others have a leader: should they find none although enough of them run, start this"
        " member once more as it was, for it may be the only one that can tell them of its removal."
        " Then the folder is of no more use. To bring the machine back, add a new member (etcdctl"
        " member add) and start it with an empty --data-dir"
    )
