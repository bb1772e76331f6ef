"""What goes wrong in a simulated run: faults that begin and end, drawn from the seed.

Each is a small class; several may be in effect at a time. What cannot go wrong is not here:
`PeerTransport` promises that a frame arrives at most once and that none overtakes another, so
frames are neither repeated nor reordered (see `network`; tests/kvstore/raft does both to the core).
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from kvstore.server.points import (
    FIRST_START_POINTS,
    POINTS,
    START_POINTS,
    is_frequent,
)
from kvstore.testing.simulation.contest import ContestedElection
from kvstore.testing.simulation.course import start
from kvstore.testing.simulation.last_copy import LastCopy
from kvstore.testing.simulation.late_ack import LATE_ACK_MEMBERS_MIN, LateAck
from kvstore.testing.simulation.network import Link, Network
from kvstore.testing.simulation.victims import Trap, Victim, Victims

_LEADER_PROBABILITY = 1 / 3  # of being the victim, besides its luck as one of the members
_PASSES_MAX = 12  # of a frequent point, before its trap snaps
_LOSS_MAX = 0.3
_DELAY_SECONDS_MAX = 0.5  # half a shortest election timeout
_SYNC_SECONDS_MAX = 2.0
_SYNCS_UNTIL_ERROR_MAX = 6

CUT_KINDS = ("cut one way", "cut off", "cut between two", "split")
PAUSE_KIND = "pause"
MEMBERSHIP_KIND = "membership change"


class Fault(Protocol):
    """Something that goes wrong for a while."""

    @property
    def kind(self) -> str:
        """What it is counted as."""

    @property
    def members(self) -> Sequence[Victim]:
        """Those it is about; empty = all."""

    def begin(self) -> None:
        """Now."""

    def end(self) -> None:
        """Undo it, whatever became of it meanwhile."""


class Crash:
    """Power cuts at a random moment: of one member, or of all."""

    def __init__(self, members: Sequence[Victim]) -> None:
        self.kind = "crash" if len(members) == 1 else "power cut"
        self.members = members

    def begin(self) -> None:
        """See `Fault`."""
        for member in self.members:
            if member.is_alive:
                member.crash()

    def end(self) -> None:
        """See `Fault`."""
        start(self.members)


class CrashAtPoint:
    """A power cut when the member passes an I/O point, if it does so in time; others may lose
    power with it."""

    def __init__(self, member: Victim, trap: Trap) -> None:
        self.kind = "power cut at a point" if trap.others else "crash at a point"
        self.members = (member, *trap.others)
        self._trap = trap

    def begin(self) -> None:
        """See `Fault`."""
        member = self.members[0]
        member.traps.append(self._trap)
        if self._trap.point in START_POINTS and member.is_alive:
            member.crash()
            start((member,))

    def end(self) -> None:
        """See `Fault`."""
        self.members[0].traps.remove(self._trap)
        start(self.members)


class Pause:
    """SIGSTOP, then SIGCONT."""

    kind = PAUSE_KIND

    def __init__(self, member: Victim) -> None:
        self.members = (member,)
        self._process = member.process

    def begin(self) -> None:
        """See `Fault`."""
        self._process = self.members[0].process
        self._process.pause()

    def end(self) -> None:
        """See `Fault`; the life that was stopped may be over."""
        self._process.resume()


class Cut:
    """Some links carry nothing."""

    def __init__(
        self, kind: str, network: Network, members: Sequence[Victim], links: Sequence[Link]
    ) -> None:
        assert kind in CUT_KINDS
        self.kind = kind
        self.members = members
        self._network = network
        self._links = links

    def begin(self) -> None:
        """See `Fault`."""
        for link in self._links:
            self._network.cut(link)

    def end(self) -> None:
        """See `Fault`."""
        for link in self._links:
            self._network.mend(link)


class Loss:
    """Many frames vanish, everywhere."""

    kind = "loss"
    members: Sequence[Victim] = ()

    def __init__(self, network: Network, share: float) -> None:
        self._network = network
        self._share = share

    def begin(self) -> None:
        """See `Fault`."""
        self._network.loss.begin(self._share)

    def end(self) -> None:
        """See `Fault`."""
        self._network.loss.end(self._share)


class Delay:
    """Everything takes long, each frame as long as its luck."""

    kind = "delay"
    members: Sequence[Victim] = ()

    def __init__(self, network: Network, seconds_max: float) -> None:
        self._network = network
        self._seconds_max = seconds_max

    def begin(self) -> None:
        """See `Fault`."""
        self._network.delay_seconds_max.begin(self._seconds_max)

    def end(self) -> None:
        """See `Fault`."""
        self._network.delay_seconds_max.end(self._seconds_max)


class Stall:
    """Some links hold what is under way, and let it pass in the end, in its order."""

    kind = "stall"

    def __init__(self, network: Network, members: Sequence[Victim], links: Sequence[Link]) -> None:
        self.members = members
        self._network = network
        self._links = links

    def begin(self) -> None:
        """See `Fault`."""
        for link in self._links:
            self._network.stall(link)

    def end(self) -> None:
        """See `Fault`."""
        for link in self._links:
            self._network.release(link)


class Reconnections:
    """A member's connections are made anew, at the beginning and at the end."""

    kind = "reconnections"

    def __init__(self, network: Network, member: Victim, others: Sequence[Victim]) -> None:
        self.members = (member,)
        self._network = network
        self._others = others

    def begin(self) -> None:
        """See `Fault`."""
        for other in self._others:
            self._network.reconnect((self.members[0].member_id, other.member_id))
            self._network.reconnect((other.member_id, self.members[0].member_id))

    def end(self) -> None:
        """See `Fault`."""
        self.begin()


class MembershipChange:
    """No fault, but what goes on meanwhile counts; `roster` makes it."""

    kind = MEMBERSHIP_KIND
    members: Sequence[Victim] = ()

    def begin(self) -> None:
        """It was asked for."""

    def end(self) -> None:
        """It is confirmed."""


class SlowDisk:
    """A sync takes long."""

    kind = "slow disk"

    def __init__(self, member: Victim, sync_seconds: float) -> None:
        self.members = (member,)
        self._sync_seconds = sync_seconds

    def begin(self) -> None:
        """See `Fault`."""
        self.members[0].files.sync_seconds.begin(self._sync_seconds)

    def end(self) -> None:
        """See `Fault`."""
        self.members[0].files.sync_seconds.end(self._sync_seconds)


class BrokenDisk:
    """A sync fails: the process ends itself, and is started again on a disk that works."""

    kind = "disk failure"

    def __init__(self, member: Victim, syncs_until_error: int) -> None:
        self.members = (member,)
        self._syncs_until_error = syncs_until_error

    def begin(self) -> None:
        """See `Fault`."""
        self.members[0].files.syncs_until_error = self._syncs_until_error

    def end(self) -> None:
        """See `Fault`."""
        self.members[0].files.syncs_until_error = None
        start(self.members)


# ---------------------------------------------------------------------- drawing


def draw(random: Random, cluster: Victims) -> Fault:
    """Any fault, about any member."""
    kinds = list(_DRAWS)
    (kind,) = random.choices(kinds, [_DRAWS[kind] for kind in kinds])
    return kind(random, cluster)


def draw_first(random: Random, cluster: Victims) -> Fault:
    """A fault of a member's very first start: to begin before it."""
    trap = Trap(random.choice(FIRST_START_POINTS))
    return CrashAtPoint(random.choice(cluster.members), trap)


def _shuffled(random: Random, cluster: Victims) -> list[Victim]:
    """All members, the victim first: often the leader, or there would be few elections."""
    members = random.sample(cluster.members, len(cluster.members))
    leader = cluster.leader()
    if random.random() < _LEADER_PROBABILITY and leader is not None:
        members.remove(leader)
        members.insert(0, leader)
    return members


def _crash(random: Random, cluster: Victims) -> Fault:
    return Crash([_shuffled(random, cluster)[0]])


def _power_cut(_: Random, cluster: Victims) -> Fault:
    return Crash(cluster.members)


def _crash_at_point(random: Random, cluster: Victims) -> Fault:
    point = random.choice(POINTS)
    count = random.randrange(_PASSES_MAX) + 1 if is_frequent(point) else 1
    member, *others = _shuffled(random, cluster)
    with_it = others[: random.randrange(len(cluster.members))] if is_frequent(point) else []
    return CrashAtPoint(member, Trap(point, count, tuple(with_it)))


def _pause(random: Random, cluster: Victims) -> Fault:
    return Pause(_shuffled(random, cluster)[0])


def _cut(random: Random, cluster: Victims) -> Fault:
    kind = random.choice(CUT_KINDS)
    members = _shuffled(random, cluster)
    here, there = members[:1], members[1:]
    if kind == "cut between two":
        there = members[1:2]  # all others go on seeing both
    elif kind == "split":
        half = len(members) // 2
        here, there = members[:half], members[half:]
    out = [(a.member_id, b.member_id) for a in here for b in there]
    back = [(b, a) for a, b in out]
    if kind == "cut one way":
        links = random.choice((out, back))
    elif kind == "cut between two":
        links = random.choice((out, out + back))
    else:
        links = out + back
    about = [*here, *there] if kind == "cut between two" else here
    return Cut(kind, cluster.network, about, links)


def _stall(random: Random, cluster: Victims) -> Fault:
    member, *others = _shuffled(random, cluster)
    there = others[: random.randrange(len(others)) + 1] if others else []
    out = [(member.member_id, other.member_id) for other in there]
    back = [(b, a) for a, b in out]
    return Stall(cluster.network, (member,), random.choice((out, back)))


def _contested_election(random: Random, cluster: Victims) -> Fault:
    members = _leader_first(random, cluster)
    return ContestedElection(Random(random.getrandbits(64)), cluster, members)


def _last_copy(random: Random, cluster: Victims) -> Fault:
    return LastCopy(Random(random.getrandbits(64)), cluster, _leader_first(random, cluster))


def _late_ack(random: Random, cluster: Victims) -> Fault:
    if len(cluster.members) < LATE_ACK_MEMBERS_MIN:
        return _last_copy(random, cluster)
    return LateAck(Random(random.getrandbits(64)), cluster, _leader_first(random, cluster))


def _leader_first(random: Random, cluster: Victims) -> list[Victim]:
    members = random.sample(cluster.members, len(cluster.members))
    leader = cluster.leader()
    if leader is not None:
        members.remove(leader)
        members.insert(0, leader)
    return members


def _loss(random: Random, cluster: Victims) -> Fault:
    return Loss(cluster.network, random.random() * _LOSS_MAX)


def _delay(random: Random, cluster: Victims) -> Fault:
    return Delay(cluster.network, random.random() * _DELAY_SECONDS_MAX)


def _reconnections(random: Random, cluster: Victims) -> Fault:
    member, *others = _shuffled(random, cluster)
    return Reconnections(cluster.network, member, others)


def _slow_disk(random: Random, cluster: Victims) -> Fault:
    return SlowDisk(_shuffled(random, cluster)[0], random.random() * _SYNC_SECONDS_MAX)


def _broken_disk(random: Random, cluster: Victims) -> Fault:
    count = random.randrange(_SYNCS_UNTIL_ERROR_MAX) + 1
    return BrokenDisk(_shuffled(random, cluster)[0], count)


# How often each comes, relative to the others. Changes of membership are `roster`'s.
_DRAWS: dict[Callable[[Random, Victims], Fault], int] = {
    _crash: 3,
    _power_cut: 1,
    _crash_at_point: 8,
    _pause: 3,
    _cut: 6,
    _contested_election: 3,
    _last_copy: 2,
    _late_ack: 3,
    _stall: 2,
    _loss: 2,
    _delay: 2,
    _reconnections: 1,
    _slow_disk: 2,
    _broken_disk: 2,
}
